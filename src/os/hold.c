/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* How deep a thread is inside gmem, and what is due when it leaves. What is held then is held.c's. */
#include "os/internal.h"
#include "os/os.h"
#include "os/signal.h"

#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

THREAD_LOCAL volatile uint32_t depth;
/* By a pointer: held.c has 2 KiB for each thread, and who never holds, as the library, has nothing of it. A
 * library with that much of the loader's room cannot be opened by a program that runs. */
THREAD_LOCAL void (*volatile give_back)(void);

#define compiler_barrier() __asm__ volatile("" ::: "memory")

void os_signals_begin(void)
{
	depth = depth + 1;
	compiler_barrier();
}

bool os_signals_begun(void)
{
	return depth > 0;
}

void os_signals_at_end(void (*release)(void))
{
	give_back = release;
}

static __attribute__((noinline)) void release(void)
{
	if (give_back)
		give_back();
	else
		os_signal_set_pending(false);
}

void os_signals_end(void)
{
	os_assert(depth > 0);
	compiler_barrier();
	depth = depth - 1;
	compiler_barrier();
	if (depth == 0 && os_signal_is_kept())
		release();
}

uint32_t os_signals_suspend(void)
{
	uint32_t was = depth;

	depth = 0;
	compiler_barrier();
	return was;
}

void os_signals_resume(uint32_t was)
{
	compiler_barrier();
	depth = was;
}
