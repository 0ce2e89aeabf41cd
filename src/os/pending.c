/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whether a signal of the program waits for this thread to leave gmem: the shim says so. */
#include "os/fail.h"
#include "os/internal.h"
#include "os/os.h"

static __thread volatile bool signal_is_pending __attribute__((tls_model("initial-exec")));

bool os_signal_is_kept(void)
{
	return signal_is_pending;
}

bool os_signal_pending(void)
{
	return signal_is_pending || os_fail(OS_FAIL_SIGNAL);
}

void os_signal_set_pending(bool pending)
{
	signal_is_pending = pending;
}
