/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The rule that refused the thread's last call that failed. */
#include <errno.h>
#include <stddef.h>

#include "lib/lib.h"
#include "obs/rules.h"

int gmem_last_refusal(struct gmem_refusal *refusal)
{
	/* Read before the arguments are checked, which may refuse. */
	struct obs_refusal last = obs_last_refusal();
	struct gmem_refusal r = { .error = last.err,
				  .rule = obs_rule_id(last.rule),
				  .reason = obs_rule_text(last.rule) };

	if (last.rule == RULE_NONE)
		return -ENOENT;
	return lib_args_out(refusal, &r, sizeof(r), sizeof(r));
}
