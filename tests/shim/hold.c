/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Signals held by os, with the moment of each arrival chosen. Not run under gmem. */
#include "os/signal.h"

#include <pthread.h>

#include "os/os.h"
#include "t.h"

#define BIT(signo) ((uint64_t)1 << ((signo)-1))

static volatile int handled, in_order;

static void handler(int signo, siginfo_t *info, void *context)
{
	if (os_signals_begun())
		os_signal_hold(signo, info, context);
	else {
		os_signal_in_order(signo, info);
		if (info->si_code == SI_QUEUE && info->si_errno == 0 &&
		    info->si_value.sival_int == handled)
			in_order++;
		handled++;
	}
}

static bool is_blocked(int signo)
{
	sigset_t set;

	CHECK(sigprocmask(SIG_BLOCK, NULL, &set) == 0);
	return sigismember(&set, signo);
}

static void set_blocked(int signo, bool block)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signo);
	CHECK(sigprocmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL) == 0);
}

static void is_delivered_at_the_outermost_end(int signo)
{
	handled = 0;
	os_signals_begin();
	os_signals_begin();
	CHECK(!os_signal_pending());
	raise(signo);
	CHECK(os_signal_pending() && handled == 0);
	os_signals_end();
	CHECK(handled == 0);
	os_signals_end();
	CHECK(handled == 1 && !os_signal_pending() && !is_blocked(signo));
	raise(signo);
	CHECK(handled == 2);
}

/* What was held before the mask was swapped is not part of the program's own mask. */
static void arrives_before_the_swap(int signo)
{
	uint64_t old = 0;

	handled = 0;
	os_signals_begin();
	raise(signo);
	CHECK(os_signal_mask_swap(0, &old) == 0);
	CHECK(!(old & BIT(signo)) && os_signal_pending());
	CHECK(os_signal_mask_swap(old, NULL) == 0);
	CHECK(handled == 0);
	os_signals_end();
	CHECK(handled == 1 && !is_blocked(signo));
}

/* What the program blocks and the swapped mask lets through is seen, and stays pending. */
static void is_let_through_by_the_swap(int signo, bool pending_before)
{
	uint64_t old = 0;

	handled = 0;
	set_blocked(signo, true);
	os_signals_begin();
	if (pending_before)
		raise(signo);
	CHECK(!os_signal_pending());
	CHECK(os_signal_mask_swap(0, &old) == 0);
	CHECK(old & BIT(signo));
	if (!pending_before)
		raise(signo);
	CHECK(os_signal_pending());
	CHECK(os_signal_mask_swap(old, NULL) == 0);
	os_signals_end();
	CHECK(handled == 0 && is_blocked(signo) && !os_signal_pending());
	set_blocked(signo, false);
	CHECK(handled == 1);
}

static void is_kept_back_by_the_swap(int signo)
{
	uint64_t old = 0;

	handled = 0;
	os_signals_begin();
	CHECK(os_signal_mask_swap(BIT(signo), &old) == 0);
	raise(signo);
	CHECK(!os_signal_pending());
	CHECK(os_signal_mask_swap(old, NULL) == 0);
	os_signals_end();
	CHECK(handled == 1);
}

/* A fault of this thread must still find its signal unblocked. */
static void a_sent_fault_signal_is_not_blocked(int signo)
{
	handled = 0;
	os_signals_begin();
	raise(signo);
	CHECK(os_signal_pending() && !is_blocked(signo));
	os_signals_end();
	CHECK(handled == 1 && !is_blocked(signo));
}

static void send(int signo, int value)
{
	CHECK(pthread_sigqueue(pthread_self(), signo, (union sigval){ .sival_int = value }) == 0);
}

/* More of them wait than are taken out of the queue at once, and each of those that follow is held as well. */
static void all_come_in_the_order_they_were_sent(int signo, int nr)
{
	handled = in_order = 0;
	set_blocked(signo, true);
	for (int i = 0; i < nr / 2; i++)
		send(signo, i);
	os_signals_begin();
	set_blocked(signo, false);
	CHECK(handled == 0 && os_signal_pending());
	for (int i = nr / 2; i < nr; i++)
		send(signo, i);
	os_signals_end();
	CHECK(handled == nr && in_order == nr && !is_blocked(signo));
}

/* Sent while the first is being queued again: it stands in the queue before it. */
static void one_that_slips_in_waits_for_its_turn(int signo)
{
	siginfo_t first;
	sigset_t set;

	handled = in_order = 0;
	os_signals_begin();
	send(signo, 0);
	CHECK(handled == 0 && os_signal_pending());
	sigemptyset(&set);
	sigaddset(&set, signo);
	CHECK(sigwaitinfo(&set, &first) == signo);
	send(signo, 1);
	os_signal_requeue(signo, &first);
	os_signals_end();
	CHECK(handled == 2 && in_order == 2);
	send(signo, 2);
	CHECK(handled == 3 && in_order == 3);
}

/* A program that takes one itself gets the others once each. */
static void one_that_was_taken_otherwise_is_forgotten(int signo)
{
	sigset_t set;

	handled = in_order = 0;
	os_signals_begin();
	send(signo, 9);
	sigemptyset(&set);
	sigaddset(&set, signo);
	CHECK(sigwaitinfo(&set, NULL) == signo);
	os_signals_end();
	CHECK(handled == 0);
	send(signo, 0);
	send(signo, 1);
	CHECK(handled == 2 && in_order == 2);
}

int main(void)
{
	static const int signals[] = { SIGUSR1, SIGTERM, 40 };
	struct sigaction act = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	for (int nodefer = 0; nodefer < 2; nodefer++) {
		act.sa_flags = SA_SIGINFO | (nodefer ? SA_NODEFER : 0);
		for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
			CHECK(sigaction(signals[i], &act, NULL) == 0);
			is_delivered_at_the_outermost_end(signals[i]);
			arrives_before_the_swap(signals[i]);
			is_let_through_by_the_swap(signals[i], true);
			is_let_through_by_the_swap(signals[i], false);
			is_kept_back_by_the_swap(signals[i]);
		}
		if (!nodefer) {
			all_come_in_the_order_they_were_sent(40, 6);
			all_come_in_the_order_they_were_sent(40, 34);
			all_come_in_the_order_they_were_sent(40, 80);
			one_that_slips_in_waits_for_its_turn(40);
			one_that_was_taken_otherwise_is_forgotten(40);
		}
		CHECK(sigaction(SIGSEGV, &act, NULL) == 0 && sigaction(SIGBUS, &act, NULL) == 0);
		a_sent_fault_signal_is_not_blocked(SIGSEGV);
		a_sent_fault_signal_is_not_blocked(SIGBUS);
	}
	return 0;
}
