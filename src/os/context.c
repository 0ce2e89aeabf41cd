/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/context.h"

#include "os/os.h"
#include "os/spare.h"
#include "os/sys.h"

/* Above all numbers of threads there are. */
#define FIRST_MADE_UP 0x80000000u

__attribute__((tls_model("initial-exec"))) __thread struct os_context os_own_context;

static _Atomic uint32_t nr_made_up;

struct os_context *os_context_called(void)
{
	return &os_own_context;
}

uint32_t os_thread_number(void)
{
	if (os_jailed())
		return FIRST_MADE_UP + atomic_fetch_add(&nr_made_up, 1);
	return (uint32_t)os_sys0(SYS_gettid);
}
