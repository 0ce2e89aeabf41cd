/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Signals while a vCPU runs, and what the program finds of its own handlers. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <sys/time.h>
#include <time.h>

#include "t.h"

static volatile sig_atomic_t arrived;
static volatile int last_value, last_code;

static void empty(int signo)
{
}

static void note(int signo, siginfo_t *info, void *context)
{
	arrived++;
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
}

static void handle(int signo, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction act = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	CHECK(sigaction(signo, &act, NULL) == 0);
}

static void alarm_in(long us)
{
	struct itimerval t = { .it_value = { .tv_usec = us } };

	CHECK(setitimer(ITIMER_REAL, &t, NULL) == 0);
}

/* ---- KVM_RUN ----------------------------------------------------------------------------- */

static void an_empty_handler_is_enough(struct spinning *s)
{
	struct sigaction act = { .sa_handler = empty };

	for (int restart = 0; restart < 2; restart++) {
		act.sa_flags = restart ? SA_RESTART : 0;
		CHECK(sigaction(SIGALRM, &act, NULL) == 0);
		alarm_in(20000);
		FAILS(ioctl(s->vcpu, KVM_RUN, 0), EINTR);
		CHECK(s->run->exit_reason == KVM_EXIT_INTR);
	}
}

static struct spinning *of_handler;

static void use_ioctls(int signo)
{
	struct kvm_regs regs;

	arrived = ioctl(of_handler->vcpu, KVM_GET_REGS, &regs) == 0 && regs.rip == 0xfff0;
	close(make_vm(0));
}

static void a_handler_may_use_ioctls(struct spinning *s)
{
	struct sigaction act = { .sa_handler = use_ioctls };

	arrived = 0;
	of_handler = s;
	CHECK(sigaction(SIGALRM, &act, NULL) == 0);
	alarm_in(20000);
	FAILS(ioctl(s->vcpu, KVM_RUN, 0), EINTR);
	CHECK(arrived == 1);
}

static void *send_value(void *arg)
{
	union sigval value = { .sival_int = 4711 };

	usleep(20000);
	pthread_sigqueue(*(pthread_t *)arg, SIGRTMIN + 3, value);
	return NULL;
}

static void siginfo_is_what_was_sent(struct spinning *s)
{
	pthread_t self = pthread_self(), sender;

	arrived = 0;
	handle(SIGRTMIN + 3, note, 0);
	CHECK(pthread_create(&sender, NULL, send_value, &self) == 0);
	FAILS(ioctl(s->vcpu, KVM_RUN, 0), EINTR);
	CHECK(arrived == 1 && last_code == SI_QUEUE && last_value == 4711);
	pthread_join(sender, NULL);
}

static volatile int in_order;

static void next_in_order(int signo, siginfo_t *info, void *context)
{
	if (info->si_value.sival_int == in_order)
		in_order++;
	arrived++;
	of_handler->run->immediate_exit = 1;
}

static void *send_many(void *arg)
{
	usleep(20000);
	for (int i = 0; i < 10; i++) {
		union sigval value = { .sival_int = i };

		pthread_sigqueue(*(pthread_t *)arg, SIGRTMIN + 3, value);
	}
	return NULL;
}

static void queued_signals_keep_their_order(struct spinning *s)
{
	pthread_t self = pthread_self(), sender;

	of_handler = s;
	handle(SIGRTMIN + 3, next_in_order, 0);
	for (int i = 0; i < 20; i++) {
		in_order = arrived = 0;
		CHECK(pthread_create(&sender, NULL, send_many, &self) == 0);
		while (arrived < 10)
			FAILS(ioctl(s->vcpu, KVM_RUN, 0), EINTR);
		CHECK(in_order == 10);
		pthread_join(sender, NULL);
		s->run->immediate_exit = 0;
	}
}

static void a_handler_for_once_waits_too(struct spinning *s)
{
	struct sigaction old;

	arrived = 0;
	handle(SIGALRM, note, (int)SA_RESETHAND);
	alarm_in(20000);
	FAILS(ioctl(s->vcpu, KVM_RUN, 0), EINTR);
	CHECK(arrived == 1);
	CHECK(sigaction(SIGALRM, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
}

static char *alternate;
static volatile bool on_alternate;

static void look_at_stack(int signo, siginfo_t *info, void *context)
{
	char here;

	on_alternate = &here >= alternate && &here < alternate + (64 << 10);
}

static void the_alternate_stack_is_used(struct spinning *s)
{
	stack_t stack = { .ss_size = 64 << 10 }, none = { .ss_flags = SS_DISABLE };

	alternate =
		mmap(NULL, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack.ss_sp = alternate;
	CHECK(sigaltstack(&stack, NULL) == 0);
	handle(SIGALRM, look_at_stack, SA_ONSTACK);
	alarm_in(20000);
	FAILS(ioctl(s->vcpu, KVM_RUN, 0), EINTR);
	CHECK(on_alternate);
	handle(SIGALRM, look_at_stack, 0);
	alarm_in(20000);
	FAILS(ioctl(s->vcpu, KVM_RUN, 0), EINTR);
	CHECK(!on_alternate);
	sigaltstack(&none, NULL);
	munmap(alternate, 64 << 10);
}

/* The signal is blocked but let through by the vCPU's mask: KVM_RUN ends, the signal stays pending.
 */
static void a_signal_mask_lets_it_through(struct spinning *s)
{
	/* A length and, unaligned behind it, the mask: nothing is blocked. */
	uint32_t arg[3] = { 8, 0, 0 };
	sigset_t set, pending;

	arrived = 0;
	handle(SIGALRM, note, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	CHECK(ioctl(s->vcpu, KVM_SET_SIGNAL_MASK, arg) == 0);
	for (int i = 0; i < 2; i++) {
		/* The second time it is pending before the vCPU runs. */
		if (i == 0)
			alarm_in(20000);
		FAILS(ioctl(s->vcpu, KVM_RUN, 0), EINTR);
		CHECK(arrived == 0);
		CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGALRM) == 1);
	}
	CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0);
	CHECK(arrived == 1);
	CHECK(ioctl(s->vcpu, KVM_SET_SIGNAL_MASK, NULL) == 0);
}

/* ---- no wake-up is lost ------------------------------------------------------------------ */

#define NR_KICKS 100000
static volatile bool enough;
static sem_t has_left;
static struct kvm_run *volatile kicked_run;

static void ask_to_leave(int signo)
{
	kicked_run->immediate_exit = 1;
}

static void *run_again_and_again(void *arg)
{
	struct spinning *s = arg;
	sigset_t mask;

	while (!enough) {
		CHECK(ioctl(s->vcpu, KVM_RUN, 0) == -1 && errno == EINTR);
		s->run->immediate_exit = 0;
		sem_post(&has_left);
	}
	/* And none stays held. */
	CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
	CHECK(sigismember(&mask, SIGUSR1) == 0);
	return NULL;
}

/* One thread runs the vCPU, one kicks it: each kick makes it come out, however it meets the vCPU.
 */
static void no_wake_up_is_lost(struct spinning *s, bool with_mask)
{
	uint32_t empty_mask[3] = { 8, 0, 0 };
	struct sigaction act = { .sa_handler = ask_to_leave };
	pthread_t runner;

	kicked_run = s->run;
	enough = false;
	CHECK(ioctl(s->vcpu, KVM_SET_SIGNAL_MASK, with_mask ? empty_mask : NULL) == 0);
	CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
	CHECK(sem_init(&has_left, 0, 0) == 0);
	CHECK(pthread_create(&runner, NULL, run_again_and_again, s) == 0);
	for (int i = 0; i < NR_KICKS; i++) {
		struct timespec limit;

		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += 20;
		pthread_kill(runner, SIGUSR1);
		CHECK(sem_timedwait(&has_left, &limit) == 0);
	}
	enough = true;
	pthread_kill(runner, SIGUSR1);
	pthread_join(runner, NULL);
	s->run->immediate_exit = 0;
}

/* ---- what the program finds -------------------------------------------------------------- */

static void old_actions_are_the_programs(void)
{
	struct sigaction act = { .sa_handler = empty, .sa_flags = SA_RESTART | SA_NODEFER }, old;
	static const int signals[] = { SIGSEGV, SIGBUS, SIGUSR2 };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		CHECK(sigaction(signals[i], NULL, &old) == 0);
		CHECK(old.sa_handler == SIG_DFL && !(old.sa_flags & SA_SIGINFO));
		sigaddset(&act.sa_mask, SIGTERM);
		CHECK(sigaction(signals[i], &act, &old) == 0);
		CHECK(old.sa_handler == SIG_DFL);
		CHECK(sigaction(signals[i], NULL, &old) == 0);
		CHECK(old.sa_handler == empty);
		CHECK(old.sa_flags == (SA_RESTART | SA_NODEFER));
		CHECK(sigismember(&old.sa_mask, SIGTERM) == 1);
		CHECK(sigismember(&old.sa_mask, SIGHUP) == 0);
		CHECK(signal(signals[i], SIG_IGN) == empty);
		CHECK(signal(signals[i], SIG_DFL) == SIG_IGN);
	}
	FAILS(sigaction(SIGKILL, &act, NULL), EINVAL);
	FAILS(sigaction(0, &act, NULL), EINVAL);
	FAILS(sigaction(65, &act, NULL), EINVAL);
}

static void once_means_once(void)
{
	struct sigaction old;

	arrived = 0;
	handle(SIGUSR2, note, (int)SA_RESETHAND);
	raise(SIGUSR2);
	CHECK(arrived == 1);
	CHECK(sigaction(SIGUSR2, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
	handle(SIGSEGV, note, (int)SA_RESETHAND);
	raise(SIGSEGV);
	CHECK(arrived == 2);
	CHECK(sigaction(SIGSEGV, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
}

static void a_sent_sigsegv_can_be_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	raise(SIGSEGV);
	signal(SIGSEGV, SIG_DFL);
}

/* ---- death ------------------------------------------------------------------------------- */

static siginfo_t death_of(void (*fn)(void))
{
	siginfo_t info = { 0 };
	pid_t pid = fork();

	if (pid == 0) {
		fn();
		_exit(0);
	}
	CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED) == 0);
	return info;
}

static void touch_nothing(void)
{
	volatile uintptr_t nowhere = 8;

	*(volatile char *)nowhere = 1;
}

static void touch_nothing_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	touch_nothing();
}

static void touch_nothing_blocked(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigprocmask(SIG_BLOCK, &set, NULL);
	touch_nothing();
}

static void touch_behind_the_end(void)
{
	char *mem = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			 make_gmem(make_vm(0), PAGE, 3), 0);

	mem[PAGE] = 1;
}

static void send_sigsegv(void)
{
	kill(getpid(), SIGSEGV);
}

static void faults_kill_as_always(void)
{
	static void (*const segv[])(void) = { touch_nothing, touch_nothing_ignored,
					      touch_nothing_blocked, send_sigsegv };
	siginfo_t info;

	for (size_t i = 0; i < sizeof(segv) / sizeof(segv[0]); i++) {
		info = death_of(segv[i]);
		CHECK(info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED);
		CHECK(info.si_status == SIGSEGV);
	}
	info = death_of(touch_behind_the_end);
	CHECK(info.si_status == SIGBUS);
}

/* ---- the program's own handler of faults ------------------------------------------------- */

static sigjmp_buf out;
static volatile uintptr_t fault_address;
static volatile int fault_code;

static void leave(int signo, siginfo_t *info, void *context)
{
	fault_address = (uintptr_t)info->si_addr;
	fault_code = info->si_code;
	siglongjmp(out, 1);
}

static void sigbus_has_the_address(void)
{
	int vm = make_vm(0);
	int gmem = make_gmem(vm, PAGE, 3);
	char *mem = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);

	handle(SIGBUS, leave, 0);
	handle(SIGSEGV, leave, 0);
	for (int i = 0; i < 1000; i++) {
		if (sigsetjmp(out, 1) == 0) {
			((volatile char *)mem)[PAGE + 17] = 1;
			CHECK(false);
		}
		CHECK(fault_address == (uintptr_t)mem + PAGE + 17 && fault_code == BUS_ADRERR);
	}
	FAILS(ioctl(vm, KVM_SET_USER_MEMORY_REGION, 24), EFAULT);
	FAILS(ioctl(vm, KVM_CREATE_GUEST_MEMFD, mem + PAGE), EFAULT);
	CHECK(mprotect(mem, PAGE, PROT_READ) == 0);
	if (sigsetjmp(out, 1) == 0) {
		((volatile char *)mem)[5] = 1;
		CHECK(false);
	}
	CHECK(fault_address == (uintptr_t)mem + 5 && fault_code == SEGV_ACCERR);
	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	munmap(mem, 4 * PAGE);
	close(gmem);
	close(vm);
}

/* Bad pointers are EFAULT also for a thread that has the signals of a fault blocked, at any time.
 */
static void blocked_faults_are_still_caught(void)
{
	int vm = make_vm(0);
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigaddset(&set, SIGBUS);
	for (int i = 0; i < 3; i++) {
		FAILS(ioctl(vm, KVM_CREATE_GUEST_MEMFD, 24), EFAULT);
		CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
		FAILS(ioctl(vm, KVM_CREATE_GUEST_MEMFD, 24), EFAULT);
		CHECK(pthread_sigmask(SIG_BLOCK, NULL, &old) == 0);
		CHECK(sigismember(&old, SIGSEGV) == 1 && sigismember(&old, SIGBUS) == 1);
		CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
		FAILS(ioctl(vm, KVM_CREATE_GUEST_MEMFD, 24), EFAULT);
		CHECK(pthread_sigmask(SIG_BLOCK, NULL, &old) == 0);
		CHECK(sigismember(&old, SIGSEGV) == 0 && sigismember(&old, SIGBUS) == 0);
	}
	close(vm);
}

/* The memory that the guest runs in goes away under it: EFAULT, and nobody dies. */
static void *take_away(void *arg)
{
	struct spinning *s = arg;

	usleep(20000);
	munmap(s->code, PAGE);
	return NULL;
}

static void memory_of_the_guest_may_go(bool blocked)
{
	struct spinning s = make_spinning();
	sigset_t set;
	pthread_t thread;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigaddset(&set, SIGBUS);
	if (blocked)
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_create(&thread, NULL, take_away, &s);
	FAILS(ioctl(s.vcpu, KVM_RUN, 0), EFAULT);
	CHECK(s.run->exit_reason == 0);
	pthread_join(thread, NULL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	munmap(s.run, 3 * PAGE);
	close(s.vcpu);
	close(s.vm);
}

int main(void)
{
	struct spinning s = make_spinning();

	old_actions_are_the_programs();
	once_means_once();
	a_sent_sigsegv_can_be_ignored();
	faults_kill_as_always();
	sigbus_has_the_address();
	blocked_faults_are_still_caught();
	an_empty_handler_is_enough(&s);
	a_handler_may_use_ioctls(&s);
	siginfo_is_what_was_sent(&s);
	queued_signals_keep_their_order(&s);
	a_handler_for_once_waits_too(&s);
	the_alternate_stack_is_used(&s);
	a_signal_mask_lets_it_through(&s);
	memory_of_the_guest_may_go(false);
	memory_of_the_guest_may_go(true);
	no_wake_up_is_lost(&s, false);
	no_wake_up_is_lost(&s, true);
	return 0;
}
