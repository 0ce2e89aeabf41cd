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

/* What is no guest memory, and what the system refuses: gmem_last_refusal() is of this call and not of one before. */
static void each_failure_has_a_rule(void **state)
{
	struct gmem *g = t_create(1, BOTH), *other;
	char *window = t_map(g, 0, 1);
	struct gmem_map_args there = { .args_size = sizeof(there),
				       .flags = MAP_FIXED_NOREPLACE,
				       .prot = PROT_READ,
				       .addr = (uintptr_t)window,
				       .size = PAGE };
	int fds[2], handle;
	void *at;

	assert_int_equal(pipe(fds), 0);
	assert_refused(gmem_open(fds[0], 0, &other), -ENOENT, "LIB_FD_OTHER");
	assert_refused(gmem_map(g, &there, &at), -EEXIST, "PLATFORM");
	assert_int_equal(gmem_descriptor(g, &handle), 0);
	gmem_unmap(window, PAGE);
	gmem_put(g);
	assert_refused(gmem_open(handle, 0, &other), -ESTALE, "LIB_FILE_GONE");
	close(handle);
	close(fds[0]);
	close(fds[1]);
}

/* What has no result takes a NULL for nothing to do. */
static void nothing_is_let_go_of(void **state)
{
	struct gmem *g = t_create(1, BOTH);
	struct gmem_refusal r = { .args_size = sizeof(r) };
	uint64_t at = 0, offset, size;

	gmem_get(NULL);
	gmem_put(NULL);
	gmem_unbind(NULL, NULL);
	gmem_unbind(g, NULL);
	gmem_fault_end(NULL);
	gmem_pin_trim(NULL, PAGE);
	gmem_unpin(NULL);
	gmem_consumer_remove(g, NULL);
	gmem_change_refuse_part(NULL, 0, PAGE);
	assert_false(gmem_change_wants_every_part(NULL));
	assert_false(gmem_change_next_part(NULL, &at, &offset, &size));
	assert_refused(gmem_last_refusal(NULL), -EINVAL, "LIB_NO_ANSWER_ROOM");
	assert_refused(gmem_explain("LIB_PATIENCE", NULL), -EINVAL, "LIB_NO_ANSWER_ROOM");
	gmem_put(g);
}

static int prepared_with;

static int prepare_so(void *data, uint64_t offset, uint64_t size)
{
	return prepared_with;
}

static void expect_prepared(struct gmem *g, int answer, int err)
{
	void *at;

	prepared_with = answer;
	assert_int_equal(gmem_fault_begin(g), 0);
	assert_refused(gmem_page(g, 0, &at, NULL), err, "PAGE_PREPARE");
	gmem_fault_end(g);
}

/* A VM type that answers with what is no errno. */
static void what_a_type_answers_is_not_trusted(void **state)
{
	static const struct gmem_vm_type type = { .ops_size = sizeof(type), .prepare = prepare_so };
	struct gmem_create_args args = { .args_size = sizeof(args), .size = PAGE, .type = &type };
	struct gmem *g;

	assert_int_equal(gmem_create(&args, &g), 0);
	expect_prepared(g, -EBUSY, -EBUSY);
	expect_prepared(g, 1, -EIO);
	expect_prepared(g, -100000, -EIO);
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
		cmocka_unit_test(each_failure_has_a_rule),
		cmocka_unit_test(nothing_is_let_go_of),
		cmocka_unit_test(what_a_type_answers_is_not_trusted),
		cmocka_unit_test(consumers_are_at_home),
		cmocka_unit_test(who_may_not_look_cannot_count),
	};

	return cmocka_run_group_tests_name("refused", tests, NULL, NULL);
}
