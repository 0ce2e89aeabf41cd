/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A program learns why: of the last call that failed, of a rule by its name, of a bare number. */
#include "t.h"

#include <pthread.h>

struct gmem_refusal_first {
	uint32_t args_size;
	int32_t error;
	const char *rule, *reason;
};

static struct gmem_refusal last(void)
{
	struct gmem_refusal r = { .args_size = sizeof(r) };

	assert_int_equal(gmem_last_refusal(&r), 0);
	return r;
}

static void *ask_in_another_thread(void *result)
{
	struct gmem_refusal r = { .args_size = sizeof(r) };

	*(int *)result = gmem_last_refusal(&r);
	return NULL;
}

static void the_last_call_that_failed_is_explained_to_its_thread(void **state)
{
	struct gmem_create_args args = { .args_size = sizeof(args), .size = PAGE + 1 };
	pthread_t thread;
	struct gmem *g;
	int other = 0;

	assert_int_equal(gmem_create(&args, &g), -EINVAL);
	assert_string_equal(last().rule, "LIB_CREATE_SIZE");
	assert_int_equal(last().error, -EINVAL);
	assert_non_null(strstr(last().reason, "whole pages"));
	assert_string_equal(last().since, "gmem");
	assert_non_null(strstr(last().advice, "Round"));
	assert_int_equal(pthread_create(&thread, NULL, ask_in_another_thread, &other), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(other, -ENOENT);
	g = t_create(1, BOTH);
	assert_string_equal(last().rule, "LIB_CREATE_SIZE");
	gmem_put(g);
}

static void who_holds_a_page_is_why_it_stays_shared(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	struct gmem_pinned *pin;

	assert_int_equal(gmem_pin(g, PAGE, 1, &pin), 0);
	assert_int_equal(gmem_make_private(g, 0, 4 * PAGE, NULL), -EAGAIN);
	assert_int_equal(last().error, -EAGAIN);
	gmem_unpin(pin);
	gmem_put(g);
}

static void a_rule_is_found_by_its_name(void **state)
{
	struct gmem_refusal r = { .args_size = sizeof(r) };

	assert_int_equal(gmem_explain("LIB_PATIENCE", &r), 0);
	assert_int_equal(r.error, -ERANGE);
	assert_string_equal(r.rule, "LIB_PATIENCE");
	assert_true(r.reason[0] && r.since[0] && r.advice[0]);
	assert_int_equal(gmem_explain("PLATFORM", &r), 0);
	assert_int_equal(r.error, 0);
	assert_int_equal(gmem_explain("NONE", &r), -ENOENT);
	assert_string_equal(last().rule, "LIB_RULE_UNKNOWN");
	assert_int_equal(gmem_explain(NULL, &r), -EINVAL);
	assert_int_equal(gmem_explain("LIB_PATIENCE", NULL), -EINVAL);
}

static void a_program_that_was_built_for_0_2_gets_what_it_knows(void **state)
{
	struct {
		struct gmem_refusal_first first;
		uint64_t beyond;
	} r = { .first.args_size = sizeof(r.first), .beyond = 7 };

	assert_int_equal(gmem_explain("LIB_PATIENCE", (struct gmem_refusal *)&r), 0);
	assert_true(r.first.reason[0]);
	assert_int_equal(r.beyond, 7);
	r.first.args_size -= 8;
	assert_int_equal(gmem_explain("LIB_PATIENCE", (struct gmem_refusal *)&r), -EINVAL);
}

static void a_number_has_words(void **state)
{
	static const int errors[] = { E2BIG,  EACCES,	       EAGAIN,	   EBADF,  EBADMSG, EEXIST,
				      EFAULT, EHWPOISON,       EINTR,	   EINVAL, EIO,	    EMFILE,
				      ENFILE, ENODATA,	       ENODEV,	   ENOENT, ENOEXEC, ENOMEM,
				      ENOSPC, ENOSYS,	       EOPNOTSUPP, EPERM,  ERANGE,  EREMOTE,
				      ESTALE, EPROTONOSUPPORT, ETIMEDOUT };
	const char *other = gmem_strerror(-EXDEV);

	assert_string_equal(gmem_strerror(0), "done");
	assert_string_equal(gmem_strerror(17), "done");
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		assert_string_not_equal(gmem_strerror(-errors[i]), other);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(gmem_strerror(-errors[i]),
						gmem_strerror(-errors[j]));
	}
	assert_string_equal(gmem_strerror(INT32_MIN), other);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_call_that_failed_is_explained_to_its_thread),
		cmocka_unit_test(who_holds_a_page_is_why_it_stays_shared),
		cmocka_unit_test(a_rule_is_found_by_its_name),
		cmocka_unit_test(a_program_that_was_built_for_0_2_gets_what_it_knows),
		cmocka_unit_test(a_number_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
