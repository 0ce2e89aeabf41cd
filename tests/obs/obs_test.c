/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What is told: events are counted, a refusal names its rule when asked to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "obs/obs.h"
#include "os/os.h"

#include "observed.h"

static int pipe_fds[2];

static int listen_to_messages(void **state)
{
	os_log_set_fd(pipe(pipe_fds) ? -1 : pipe_fds[1]);
	return 0;
}

static int stop_listening(void **state)
{
	os_log_set_why(false);
	os_log_set_level(OS_LOG_WARN);
	os_log_set_fd(2);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return 0;
}

/* All since the last time; a byte of the test's own ends it. */
static const char *what_was_said(void)
{
	static char buf[4096];
	ssize_t nr;

	assert_int_equal(write(pipe_fds[1], "", 1), 1);
	nr = read(pipe_fds[0], buf, sizeof(buf));
	assert_true(nr > 0 && !buf[nr - 1]);
	return buf;
}

static void a_refusal_is_its_error_and_quiet(void **state)
{
	assert_int_equal(obs_refuse(RULE_MEMSLOT_OVERLAP), -EEXIST);
	assert_int_equal(obs_refuse_as(RULE_NO_DESCRIPTOR, -EMFILE), -EMFILE);
	assert_int_equal(obs_refuse_quietly(RULE_RUN_SIGNAL), -EINTR);
	assert_string_equal(what_was_said(), "");
}

static void a_refusal_names_its_rule_when_asked_why(void **state)
{
	os_log_set_why(true);
	assert_int_equal(obs_refuse(RULE_NO_MEMORY), -ENOMEM);
	assert_string_equal(what_was_said(), "gmem: ENOMEM: no memory [NO_MEMORY]\n");
	/* A rule of one request names it by itself. */
	assert_int_equal(obs_refuse(RULE_MMU_PAGES), -EINVAL);
	assert_string_equal(
		what_was_said(),
		"gmem: EINVAL: KVM_SET_NR_MMU_PAGES: at least 64 MMU pages [MMU_PAGES]\n");
	assert_int_equal(obs_refuse_quietly(RULE_RUN_SIGNAL), -EINTR);
	assert_string_equal(what_was_said(), "");
}

static void a_refusal_names_the_request_it_is_in(void **state)
{
	enum obs_request before = obs_request_begin(REQ_KVM_ENABLE_CAP), nested;

	os_log_set_why(true);
	nested = obs_request_begin(REQ_KVM_GET_MSRS);
	assert_int_equal(nested, REQ_KVM_ENABLE_CAP);
	assert_int_equal(obs_request_end(nested, 0), 0);
	obs_refuse(RULE_ARGUMENT_UNREADABLE);
	assert_string_equal(
		what_was_said(),
		"gmem: EFAULT: KVM_ENABLE_CAP: the argument cannot be read [ARGUMENT_UNREADABLE]\n");
	assert_int_equal(obs_request_end(before, -EFAULT), -EFAULT);
	assert_string_equal(what_was_said(), "");
	obs_refuse(RULE_NO_MEMORY);
	assert_string_equal(what_was_said(), "gmem: ENOMEM: no memory [NO_MEMORY]\n");
}

static void an_errno_without_a_rule_gets_one_at_the_end(void **state)
{
	enum obs_request before = obs_request_begin(REQ_KVM_CREATE_VM);

	assert_int_equal(obs_last_refusal().err, 0);
	assert_int_equal(obs_request_end(before, -ENOMEM), -ENOMEM);
	assert_int_equal(obs_last_refusal().rule, RULE_NO_MEMORY);
	before = obs_request_begin(REQ_KVM_CREATE_VM);
	assert_int_equal(obs_request_end(before, -ENFILE), -ENFILE);
	assert_int_equal(obs_last_refusal().rule, RULE_PLATFORM);
	assert_int_equal(obs_last_refusal().err, -ENFILE);
	/* The last word is that of the place that refused last. */
	before = obs_request_begin(REQ_KVM_CREATE_VM);
	obs_refuse(RULE_VM_TYPE);
	assert_int_equal(obs_request_end(before, -EINVAL), -EINVAL);
	assert_int_equal(obs_last_refusal().rule, RULE_VM_TYPE);
}

static void *look_from_a_thread(void *arg)
{
	*(struct obs_refusal *)arg = obs_last_refusal();
	return NULL;
}

static void the_last_refusal_is_the_threads_own(void **state)
{
	struct obs_refusal other;
	pthread_t thread;

	obs_refuse(RULE_VM_TYPE);
	assert_int_equal(pthread_create(&thread, NULL, look_from_a_thread, &other), 0);
	pthread_join(thread, NULL);
	assert_int_equal(other.rule, RULE_NONE);
	assert_int_equal(obs_last_refusal().rule, RULE_VM_TYPE);
}

static void events_are_counted_each_by_itself(void **state)
{
	observed_begin();
	obs_count(OBS_PUNCH, 1, 2, 3);
	obs_count(OBS_PUNCH, 1, 2, 3);
	assert_int_equal(observed_nr(OBS_PUNCH), 2);
	assert_int_equal(observed_nr(OBS_EXIT), 0);
	obs_add(OBS_EXIT);
	assert_int_equal(observed_nr(OBS_PUNCH), 2);
	assert_int_equal(observed_nr(OBS_EXIT), 1);
	assert_string_equal(what_was_said(), "");
	observed_end();
}

static void nobody_wants_events_until_somebody_does(void **state)
{
	assert_false(obs_wanted());
	observed_begin();
	assert_true(obs_wanted() && obs_watched() && obs_on());
	observed_end();
	assert_false(obs_wanted() || obs_watched() || obs_on());
	/* As the system does for a tracer. */
	atomic_fetch_add(&os_wanted, 1);
	assert_true(obs_wanted() && obs_watched() && obs_start());
	assert_false(obs_on());
	obs_count(OBS_PUNCH, 1, 2, 3);
	assert_int_equal(obs_refuse(RULE_VM_TYPE), -EINVAL);
	atomic_fetch_sub(&os_wanted, 1);
	assert_false(obs_wanted() || obs_start());
	os_log_set_level(OS_LOG_DEBUG);
	assert_true(obs_wanted());
	assert_false(obs_watched());
	assert_string_equal(what_was_said(), "");
	obs_count(OBS_EXIT, 1, 2, 0x30);
	assert_string_equal(what_was_said(), "gmem: exit 0x1 0x2 0x30\n");
	os_log_set_level(OS_LOG_WARN);
	assert_false(obs_wanted());
}

/* Longer than any test takes, so that what it takes itself changes no bucket. */
static void a_length_is_in_the_bucket_of_its_highest_bit(void **state)
{
	for (unsigned int log = 40; log < 48; log++) {
		uint64_t ticks = 1ull << log, slack = 1ull << 38;
		unsigned int bucket = log < OBS_NR_BUCKETS ? log : OBS_NR_BUCKETS - 1;

		observed_begin();
		obs_span(OBS_PUNCH, os_tsc() - ticks, 0, 1, 2, 3);
		obs_span(OBS_PUNCH, os_tsc() - (2 * ticks - slack), -EIO, 1, 2, 3);
		/* What has no length is in none. */
		obs_count(OBS_PUNCH, 1, 2, 3);
		for (unsigned int i = 0; i < OBS_NR_BUCKETS; i++)
			assert_int_equal(observed_counter(OBS_PUNCH)->buckets[i],
					 i == bucket ? 2 : 0);
		assert_int_equal(observed_counter(OBS_PUNCH)->nr, 3);
		assert_int_equal(observed_counter(OBS_PUNCH)->failed, 1);
		assert_in_range(observed_counter(OBS_PUNCH)->ticks, 3 * ticks - slack, 3 * ticks);
		observed_end();
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, listen_to_messages, stop_listening)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_refusal_is_its_error_and_quiet),
		TEST(a_refusal_names_its_rule_when_asked_why),
		TEST(a_refusal_names_the_request_it_is_in),
		TEST(an_errno_without_a_rule_gets_one_at_the_end),
		TEST(the_last_refusal_is_the_threads_own),
		TEST(events_are_counted_each_by_itself),
		TEST(nobody_wants_events_until_somebody_does),
		TEST(a_length_is_in_the_bucket_of_its_highest_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
