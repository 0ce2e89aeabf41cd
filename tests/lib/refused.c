/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which rule refused: what a caller did wrong, and what the machine does not have. */
#include "t.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The call was refused with this errno, by this rule. */
static void assert_refused(int result, int err, const char *rule)
{
	struct gmem_refusal r = { .args_size = sizeof(r) };

	assert_int_equal(result, err);
	assert_int_equal(gmem_last_refusal(&r), 0);
	assert_int_equal(r.error, err);
	assert_string_equal(r.rule, rule);
}

static int create(uint64_t size, uint32_t flags)
{
	struct gmem_create_args args = { .args_size = sizeof(args), .flags = flags, .size = size };
	struct gmem *g;
	int err = gmem_create(&args, &g);

	if (!err)
		gmem_put(g);
	return err;
}

/* The first call of all. */
static void windows_before_there_is_a_file(void **state)
{
	assert_refused(gmem_unmap((void *)PAGE, PAGE), -EINVAL, "LIB_NO_WINDOWS");
}

static void what_cannot_be_created(void **state)
{
	struct gmem *g = t_create(1, BOTH);

	assert_refused(create(PAGE, 32), -EINVAL, "LIB_CREATE_FLAGS");
	assert_refused(create(PAGE, GMEM_HUGETLB_1G), -EINVAL, "LIB_CREATE_HUGE");
	assert_refused(create(PAGE, GMEM_HUGETLB | GMEM_THP), -EINVAL, "LIB_CREATE_HUGE");
	assert_refused(create(0, 0), -EINVAL, "LIB_CREATE_SIZE");
	assert_refused(create(PAGE + 1, 0), -EINVAL, "LIB_CREATE_SIZE");
	gmem_put(g);
}

/* No machine has as many as this. */
static void huge_pages_that_there_are_not(void **state)
{
	int err = create((uint64_t)1 << 46, GMEM_HUGETLB);

	if (err == -EINVAL)
		skip(); /* a kernel without hugetlbfs */
	assert_refused(err, -ENOMEM, "GMEM_NO_HUGE_PAGES");
	assert_refused(create((uint64_t)1 << 46, GMEM_HUGETLB | GMEM_MMAP), -ENOMEM,
		       "GMEM_NO_HUGE_PAGES");
}

static void a_size_that_is_none(void **state)
{
	struct gmem *g = t_create(1, BOTH);
	char *window = t_map(g, 0, 1);

	assert_refused(gmem_unmap(window, UINT64_MAX), -EINVAL, "LIB_PLACE_SIZE");
	assert_refused(gmem_protect(window, (uint64_t)1 << 63, PROT_READ), -EINVAL,
		       "LIB_PLACE_SIZE");
	t_open(window);
	gmem_unmap(window, PAGE);
	gmem_put(g);
}

/* ---- in a child, whose assertions would unwind into the parent's tests --------------------------------------------- */

static void must_be_refused(int result, int err, const char *rule)
{
	struct gmem_refusal r = { .args_size = sizeof(r) };

	if (result != err || gmem_last_refusal(&r) || r.error != err || strcmp(r.rule, rule)) {
		dprintf(2, "child: %d instead of %d, by %s\n", result, err,
			r.rule ? r.rule : "no rule");
		_exit(1);
	}
}

static void run_child(void (*child)(struct gmem *g), struct gmem *g)
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		child(g);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void add_consumer(struct gmem *g)
{
	static const struct gmem_consumer_callbacks ops = { .ops_size = sizeof(ops) };
	struct gmem_consumer *c;

	must_be_refused(gmem_consumer_add(g, &ops, NULL, &c), -EREMOTE, "LIB_CONSUMER_HOME");
}

static void consumers_are_at_home(void **state)
{
	struct gmem *g = t_create(1, BOTH);

	run_child(add_consumer, g);
	gmem_put(g);
}

static void count_without_capabilities(struct gmem *g)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };

	if (syscall(SYS_capset, &head, none))
		_exit(2);
	must_be_refused(gmem_count_references(), -EPERM, "LIB_REFERENCES");
}

static void who_may_not_look_cannot_count(void **state)
{
	struct gmem *g = t_create(1, BOTH);

	run_child(count_without_capabilities, g);
	gmem_put(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_before_there_is_a_file),
		cmocka_unit_test(what_cannot_be_created),
		cmocka_unit_test(huge_pages_that_there_are_not),
		cmocka_unit_test(a_size_that_is_none),
		cmocka_unit_test(consumers_are_at_home),
		cmocka_unit_test(who_may_not_look_cannot_count),
	};

	return cmocka_run_group_tests_name("refused", tests, NULL, NULL);
}
