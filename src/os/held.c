/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Signals that wait until their thread has left gmem. */
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

THREAD_LOCAL volatile uint64_t held;

/*
 * A SIGSEGV or SIGBUS that somebody sent is kept here and not in the kernel: it would have to be
 * blocked there, and then a real fault of this thread would kill the process.
 */
enum { KEPT_SEGV, KEPT_BUS, NR_KEPT };
THREAD_LOCAL siginfo_t kept[NR_KEPT];
THREAD_LOCAL volatile bool is_kept[NR_KEPT];

static long change_mask(int how, const uint64_t *set, uint64_t *old)
{
	return os_sys4(SYS_rt_sigprocmask, how, set, old, sizeof(*set));
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
static void give_back(void)
{
	uint64_t set = held;

	held = 0;
	os_signal_set_pending(false);
	if (set)
		change_mask(SIG_UNBLOCK, &set, NULL);
	send_kept(KEPT_SEGV, SIGSEGV);
	send_kept(KEPT_BUS, SIGBUS);
}

/*
 * Signals of the queueing kind keep their order, though what is queued again goes to the end: those that wait behind
 * are taken out and queued again, too. Others may be sent meanwhile, and then stand in front. So the order is kept
 * here as well, of all that were queued again and are not delivered yet: what comes takes its place behind them, and
 * the first of them is delivered (os_signal_in_order). si_errno, which queued signals have no use for, marks what was
 * queued again. Of one number at a time; with every signal blocked.
 */
#define NR_BEHIND 16
#define AGAIN 0x676d656d
THREAD_LOCAL struct {
	int signo;
	unsigned int nr;
	siginfo_t info[NR_BEHIND + 1];
} order;

static bool is_waiting(int signo)
{
	uint64_t set = 0;

	return !os_sys2(SYS_rt_sigpending, &set, sizeof(set)) && set & SIG_BIT(signo);
}

static void order_push(const siginfo_t *info)
{
	order.info[order.nr] = *info;
	if (info->si_errno == AGAIN)
		order.info[order.nr].si_errno = 0;
	order.nr++;
}

static void order_pop(siginfo_t *first)
{
	*first = order.info[0];
	order.nr--;
	__builtin_memmove(&order.info[0], &order.info[1], order.nr * sizeof(order.info[0]));
}

static void queue_again(int signo, siginfo_t info)
{
	info.si_errno = AGAIN;
	os_signal_requeue(signo, &info);
}

/* What was queued again is in the order already. */
static void take(const siginfo_t *info, unsigned int known)
{
	if (info->si_errno != AGAIN || !known)
		order_push(info);
}

static void requeue_in_order(int signo, const siginfo_t *info)
{
	static const struct {
		long sec, nsec;
	} at_once;
	uint64_t set = SIG_BIT(signo);
	unsigned int known, at, taken = 0;
	siginfo_t next = *info;

	if (order.nr && !is_waiting(order.signo) && next.si_errno != AGAIN)
		order.nr = 0;
	if (order.nr && (order.signo != signo || order.nr >= NR_BEHIND)) {
		os_signal_requeue(signo, info);
		return;
	}
	order.signo = signo;
	known = order.nr;
	do {
		take(&next, known);
		taken++;
	} while (order.nr < NR_BEHIND &&
		 os_sys4(SYS_rt_sigtimedwait, &set, &next, &at_once, sizeof(set)) == signo);
	/* Each is to bring one of the order; which of them it carries is seen by sigwaitinfo() alone. */
	for (at = order.nr > taken ? order.nr - taken : 0; at < order.nr; at++)
		queue_again(signo, order.info[at]);
}

static void next_in_order(int signo, siginfo_t *info)
{
	bool again = info->si_errno == AGAIN, more = is_waiting(signo);

	if (order.signo == signo && (more ? order.nr > 0 : order.nr == again)) {
		if (!again)
			order_push(info);
		order_pop(info);
	} else if (order.signo == signo) {
		order.nr = 0;
	}
	if (info->si_errno == AGAIN)
		info->si_errno = 0;
}

void os_signal_in_order(int signo, void *siginfo)
{
	uint64_t all = ~(uint64_t)0, mask;

	if (signo < FIRST_QUEUED || (!order.nr && ((siginfo_t *)siginfo)->si_errno != AGAIN))
		return;
	change_mask(SIG_BLOCK, &all, &mask);
	next_in_order(signo, siginfo);
	change_mask(SIG_SETMASK, &mask, NULL);
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

	os_signals_at_end(give_back);
	if (signo == SIGSEGV || signo == SIGBUS) {
		keep(signo == SIGBUS ? KEPT_BUS : KEPT_SEGV, siginfo);
	} else {
		held = held | SIG_BIT(signo);
		__builtin_memcpy(&mask, &uc->uc_sigmask, sizeof(mask));
		mask |= held;
		__builtin_memcpy(&uc->uc_sigmask, &mask, sizeof(mask));
		/* This handler runs with the signal blocked, unless the program asked for
		 * SA_NODEFER. */
		mask = ~(uint64_t)0;
		change_mask(SIG_BLOCK, &mask, &mask);
		if (signo >= FIRST_QUEUED)
			requeue_in_order(signo, siginfo);
		else
			os_signal_requeue(signo, siginfo);
		mask |= SIG_BIT(signo);
		change_mask(SIG_SETMASK, &mask, NULL);
	}
	os_signal_set_pending(true);
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
