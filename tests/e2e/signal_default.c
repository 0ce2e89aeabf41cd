/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A signal that only KVM_SET_SIGNAL_MASK lets through ends KVM_RUN and goes on waiting; nothing is done about
 * it, so it need not have a handler.
 */
#include "guest.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void *kick(void *arg)
{
	guest_sleep_us(100000);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void a_signal_without_a_handler_ends_a_run(void **state)
{
	struct {
		uint32_t len;
		uint8_t set[8];
	} mask = { .len = 8 };
	struct timespec now = { 0 };
	pthread_t self = pthread_self(), thread;
	sigset_t usr1;
	struct guest g;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	guest_make(&g, KVM_X86_DEFAULT_VM);
	assert_int_equal(ioctl(g.vcpu, KVM_SET_SIGNAL_MASK, &mask), 0);
	GUEST_CODE(&g, LOOP_HERE);
	/* One that waits already, and one that comes. */
	assert_int_equal(pthread_kill(self, SIGUSR1), 0);
	assert_int_equal(guest_run(&g), -EINTR);
	assert_int_equal(sigtimedwait(&usr1, NULL, &now), SIGUSR1);
	assert_int_equal(pthread_create(&thread, NULL, kick, &self), 0);
	assert_int_equal(guest_run(&g), -EINTR);
	assert_int_equal(sigtimedwait(&usr1, NULL, &now), SIGUSR1);
	pthread_join(thread, NULL);
	guest_free(&g);
}

static void elsewhere_it_kills_as_ever(void **state)
{
	struct {
		uint32_t len;
		uint8_t set[8];
	} mask = { .len = 8 };
	struct sigaction sa;
	sigset_t usr1;
	struct guest g;
	int status;
	pid_t pid;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	assert_int_equal(ioctl(g.vcpu, KVM_SET_SIGNAL_MASK, &mask), 0);
	assert_int_equal(sigaction(SIGUSR1, NULL, &sa), 0);
	assert_ptr_equal(sa.sa_handler, SIG_DFL);
	pid = fork();
	if (pid == 0) {
		sigemptyset(&usr1);
		sigaddset(&usr1, SIGUSR1);
		pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
		raise(SIGUSR1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGUSR1);
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signal_without_a_handler_ends_a_run),
		cmocka_unit_test(elsewhere_it_kills_as_ever),
	};

	alarm(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
