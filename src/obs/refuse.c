/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/obs.h"

int obs_refuse(int err, const char *rule)
{
	if (os_log_why())
		os_log_refusal(err, rule);
	obs_refused(err, 0);
	return err;
}
