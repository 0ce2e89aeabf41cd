/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include <errno.h>
#include <signal.h>
#include <ucontext.h>

#include "os/fault.h"
#include "os/internal.h"
#include "os/os.h"
#include "os/signal.h"
#include "os/sys.h"

#define SIG_BIT(signo) ((uint64_t)1 << ((signo)-1))
/* From here on the kernel queues a number as often as it is sent. */
#define FIRST_QUEUED 32
#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

THREAD_LOCAL volatile uint32_t depth;
THREAD_LOCAL volatile uint64_t held;

/*
 * A SIGSEGV or SIGBUS that somebody sent is kept here and not in the kernel: it would have to be
 * blocked there, and then a real fault of this thread would kill the process.
 */
enum { KEPT_SEGV, KEPT_BUS, NR_KEPT };
THREAD_LOCAL siginfo_t kept[NR_KEPT];
THREAD_LOCAL volatile bool is_kept[NR_KEPT];

#define compiler_barrier() __asm__ volatile("" ::: "memory")

static long change_mask(int how, const uint64_t *set, uint64_t *old)
{
	return os_sys4(SYS_rt_sigprocmask, how, set, old, sizeof(*set));
}

void os_signals_begin(void)
{
	depth = depth + 1;
	compiler_barrier();
}

bool os_signals_begun(void)
{
	return depth > 0;
}

void os_signal_requeue(int signo, const void *siginfo)
{
	long tgid = os_sys0(SYS_getpid);
	long tid = os_sys0(SYS_gettid);

	/* The queue may be full: the number at least must arrive. */
	if (os_sys4(SYS_rt_tgsigqueueinfo, tgid, tid, signo, siginfo))
		os_sys3(SYS_tgkill, tgid, tid, signo);
}

static void send_kept(unsigned int which, int signo)
{
	siginfo_t info;

	if (!is_kept[which])
		return;
	info = kept[which];
	is_kept[which] = false;
	os_signal_requeue(signo, &info);
}

/* Handlers run in here, and may leave by siglongjmp(): all is settled before each system call. */
static __attribute__((noinline)) void release(void)
{
	uint64_t set = held;

	held = 0;
	os_signal_set_pending(false);
	if (set)
		change_mask(SIG_UNBLOCK, &set, NULL);
	send_kept(KEPT_SEGV, SIGSEGV);
	send_kept(KEPT_BUS, SIGBUS);
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

/*
 * Signals of the queueing kind keep their order: those that wait behind this one are taken out of the
 * queue and put behind it again.
 */
#define NR_BEHIND 16
THREAD_LOCAL siginfo_t behind[NR_BEHIND];

static void requeue_in_order(int signo, const void *siginfo)
{
	static const struct {
		long sec, nsec;
	} at_once;
	uint64_t set = SIG_BIT(signo);
	unsigned int nr = 0;

	while (nr < NR_BEHIND &&
	       os_sys4(SYS_rt_sigtimedwait, &set, &behind[nr], &at_once, sizeof(set)) == signo)
		nr++;
	os_signal_requeue(signo, siginfo);
	for (unsigned int i = 0; i < nr; i++)
		os_signal_requeue(signo, &behind[i]);
}

static void keep(unsigned int which, const siginfo_t *info)
{
	if (is_kept[which])
		return; /* a second one of a number that is pending already is dropped, as always */
	kept[which] = *info;
	is_kept[which] = true;
}

void os_signal_hold(int signo, const void *siginfo, void *ucontext)
{
	ucontext_t *uc = ucontext;
	uint64_t mask;

	if (signo == SIGSEGV || signo == SIGBUS) {
		keep(signo == SIGBUS ? KEPT_BUS : KEPT_SEGV, siginfo);
	} else {
		held = held | SIG_BIT(signo);
		__builtin_memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
		mask |= held;
		__builtin_memcpy(&uc->uc_sigmask, &mask, sizeof(mask));
		/* This handler runs with the signal blocked, unless the program asked for
		 * SA_NODEFER. */
		mask = SIG_BIT(signo);
		change_mask(SIG_BLOCK, &mask, NULL);
		if (signo >= FIRST_QUEUED)
			requeue_in_order(signo, siginfo);
		else
			os_signal_requeue(signo, siginfo);
	}
	os_signal_set_pending(true);
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

int os_signal_mask_swap(uint64_t mask, uint64_t *old)
{
	uint64_t all = ~(uint64_t)0;
	uint64_t real, set;
	long ret = change_mask(SIG_SETMASK, &all, &real);

	if (ret)
		return (int)ret;
	/* No signal comes between: the account of what is held can change. */
	if (old)
		*old = real & ~held;
	else
		held = held & ~mask;
	set = mask | held;
	ret = change_mask(SIG_SETMASK, &set, NULL);
	os_signal_mask_changed();
	return (int)ret;
}
