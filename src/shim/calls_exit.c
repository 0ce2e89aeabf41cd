/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The orderly ends of a process: what its memory is like is looked at once more, for who observes, and that it ends. */
#include <stdlib.h>
#include <unistd.h>

#include "kvm/account.h"
#include "obs/obs.h"
#include "shim/calls.h"
#include "shim/shim.h"

void calls_before_exit(void)
{
	/* The end of a vfork child is not its parent's, whose memory it uses. */
	if (shim_is_vfork_child())
		return;
	os_log_end();
	if (!obs_on())
		return;
	shim_enter();
	account_last();
	obs_end();
	shim_leave();
}

/* exit(), and the return of main(). */
__attribute__((destructor)) static void at_exit(void)
{
	calls_before_exit();
}

SHIM_EXPORT _Noreturn void _exit(int status)
{
	calls_before_exit();
	for (;;)
		os_sys1(SYS_exit_group, status);
}

SHIM_EXPORT _Noreturn void _Exit(int status)
{
	_exit(status);
}
