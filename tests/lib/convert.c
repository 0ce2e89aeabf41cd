/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Conversion and contents through the library. */
#include <pthread.h>

#include "t.h"

static void pages_begin_as_the_flags_say(void **state)
{
	struct gmem *private = t_create(2, GMEM_MMAP), *shared = t_create(2, BOTH);
	char *a = t_map(private, 0, 2), *b = t_map(shared, 0, 2);

	assert_int_equal(t_state(private, 1), PRIVATE);
	assert_int_equal(t_state(shared, 1), 0);
	t_hidden(a);
	t_open(b);
	gmem_unmap(a, 2 * PAGE);
	gmem_unmap(b, 2 * PAGE);
	gmem_put(private);
	gmem_put(shared);
}

static void contents_stay_where_they_are(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	char *window = t_map(g, 0, 4);

	strcpy(window + PAGE, "from the host");
	t_private(g, 1, 1);
	t_hidden(window + PAGE);
	t_open(window);
	t_open(window + 2 * PAGE);
	assert_string_equal(t_guest(g, 1), "from the host");
	strcpy(t_guest(g, 1), "from the guest");
	t_shared(g, 1, 1);
	t_open(window + PAGE);
	assert_string_equal(window + PAGE, "from the guest");
	gmem_unmap(window, 4 * PAGE);
	gmem_put(g);
}

static void no_mmap_flag_is_needed(void **state)
{
	struct gmem *g = t_create(4, 0);

	t_shared(g, 2, 1);
	assert_int_equal(t_state(g, 2), 0);
	assert_int_equal(t_state(g, 1), PRIVATE);
	gmem_put(g);
}

/* The order of KVM's checks; the out fields are left alone. */
static void arguments_are_checked_in_order(void **state)
{
	static const struct {
		uint64_t offset, size, attributes;
		uint32_t flags;
	} bad[] = {
		{ 0, PAGE, PRIVATE, 1 },
		{ 0, PAGE, 1, 0 },
		{ 0, PAGE, PRIVATE | (uint64_t)1 << 32, 0 },
		{ 0, 0, PRIVATE, 0 },
		{ PAGE, UINT64_MAX & ~(PAGE - 1), PRIVATE, 0 },
		{ 1, PAGE, PRIVATE, 0 },
		{ 0, PAGE + 1, PRIVATE, 0 },
		{ 4 * PAGE, PAGE, PRIVATE, 0 },
		{ 3 * PAGE, 2 * PAGE, 0, 0 },
	};
	struct gmem *g = t_create(4, BOTH);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct gmem_convert_args a = { .args_size = sizeof(a),
					       .flags = bad[i].flags,
					       .offset = bad[i].offset,
					       .size = bad[i].size,
					       .attributes = bad[i].attributes,
					       .error_offset = 77 };

		assert_int_equal(gmem_convert(g, &a), -EINVAL);
		assert_int_equal(a.error_offset, 77);
	}
	assert_int_equal(gmem_convert(g, NULL), -EINVAL);
	for (uint64_t page = 0; page < 4; page++)
		assert_int_equal(t_state(g, page), 0);
	gmem_put(g);
}

static void success_leaves_error_offset_alone(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	uint64_t where = 77;

	assert_int_equal(gmem_make_private(g, 0, PAGE, &where), 0);
	assert_int_equal(where, 77);
	assert_int_equal(gmem_make_private(g, 0, PAGE, &where), 0);
	assert_int_equal(where, 77);
	gmem_put(g);
}

static void every_refusal_is_told_in_one_call(void **state)
{
	struct gmem *g = t_create(16, BOTH);
	struct gmem_pinned *pins[3];
	struct gmem_range refused[2];
	struct gmem_convert_args a = { .args_size = sizeof(a),
				       .size = 16 * PAGE,
				       .attributes = PRIVATE,
				       .refused = refused,
				       .max_refused = 2 };

	assert_int_equal(gmem_pin(g, 9 * PAGE + 5, 10, &pins[0]), 0);
	assert_int_equal(gmem_pin(g, 3 * PAGE, 2 * PAGE, &pins[1]), 0);
	assert_int_equal(gmem_pin(g, 12 * PAGE, PAGE, &pins[2]), 0);
	assert_int_equal(gmem_convert(g, &a), -EAGAIN);
	assert_int_equal(a.nr_refused, 3);
	assert_int_equal(a.error_offset, 3 * PAGE);
	assert_int_equal(refused[0].offset, 3 * PAGE);
	assert_int_equal(refused[0].size, 2 * PAGE);
	assert_int_equal(refused[1].offset, 9 * PAGE);
	assert_int_equal(refused[1].size, PAGE);
	for (uint64_t page = 0; page < 16; page++)
		assert_int_equal(t_state(g, page), 0);
	for (int i = 0; i < 3; i++)
		gmem_unpin(pins[i]);
	assert_int_equal(gmem_convert(g, &a), 0);
	assert_int_equal(a.nr_refused, 0);
	gmem_put(g);
}

static void the_last_refusal_is_told_with_its_rule(void **state)
{
	struct gmem *g = t_create(1, BOTH);
	struct gmem_refusal r = { .args_size = sizeof(r) }, same = { .args_size = sizeof(same) };
	struct gmem_pinned *pin;

	assert_int_equal(gmem_pin(g, 0, 2 * PAGE, &pin), -EINVAL);
	assert_int_equal(gmem_last_refusal(&r), 0);
	assert_int_equal(r.error, -EINVAL);
	assert_string_equal(r.rule, "LIB_RANGE_PAST_END");
	assert_string_equal(r.reason, "the range reaches past the end of the file");
	/* A call that succeeds leaves it. */
	assert_int_equal(gmem_pin(g, 0, PAGE, &pin), 0);
	assert_int_equal(gmem_last_refusal(&same), 0);
	assert_string_equal(same.rule, r.rule);
	gmem_unpin(pin);
	/* Asking is a call, too. */
	assert_int_equal(gmem_last_refusal(NULL), -EINVAL);
	assert_int_equal(gmem_last_refusal(&r), 0);
	assert_string_equal(r.rule, "LIB_NO_ANSWER_ROOM");
	gmem_put(g);
}

static void who_refuses_first_gives_the_rule(void **state)
{
	struct gmem_refusal r = { .args_size = sizeof(r) };
	struct gmem *g = t_create(1, BOTH);
	struct gmem_pinned *pin;

	assert_int_equal(gmem_pin(g, 0, PAGE, &pin), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(gmem_make_private(g, 0, PAGE, NULL), -EAGAIN);
		assert_int_equal(gmem_last_refusal(&r), 0);
		assert_string_equal(r.rule, "CONVERT_HELD");
	}
	gmem_unpin(pin);
	gmem_put(g);
}

static void *ask_in_a_fresh_thread(void *arg)
{
	struct gmem_refusal r = { .args_size = sizeof(r) };

	*(int *)arg = gmem_last_refusal(&r);
	return NULL;
}

static void a_thread_that_was_refused_nothing_has_no_refusal(void **state)
{
	pthread_t thread;
	int err = 0;

	assert_int_equal(pthread_create(&thread, NULL, ask_in_a_fresh_thread, &err), 0);
	pthread_join(thread, NULL);
	assert_int_equal(err, -ENOENT);
}

static void runs_are_read_back(void **state)
{
	struct gmem *g = t_create(1000, BOTH);
	struct gmem_extent e[8];
	uint32_t nr = 99;

	t_private(g, 10, 3);
	t_private(g, 20, 1);
	assert_int_equal(gmem_query(g, 0, 1000 * PAGE, e, 8, &nr), 0);
	assert_int_equal(nr, 5);
	assert_int_equal(e[1].offset, 10 * PAGE);
	assert_int_equal(e[1].size, 3 * PAGE);
	assert_int_equal(e[1].attributes, PRIVATE);
	assert_int_equal(e[4].offset, 21 * PAGE);
	assert_int_equal(e[4].size, 979 * PAGE);
	/* Cut to what was asked, and to the file. */
	assert_int_equal(gmem_query(g, 11 * PAGE, 5000 * PAGE, e, 2, &nr), 0);
	assert_int_equal(nr, 2);
	assert_int_equal(e[0].offset, 11 * PAGE);
	assert_int_equal(e[0].size, 2 * PAGE);
	assert_int_equal(gmem_query(g, 2000 * PAGE, PAGE, e, 8, &nr), 0);
	assert_int_equal(nr, 0);
	assert_int_equal(gmem_query(g, 0, PAGE, NULL, 0, &nr), 0);
	assert_int_equal(nr, 0);
	assert_int_equal(gmem_query(g, 1, PAGE, e, 8, &nr), -EINVAL);
	assert_int_equal(gmem_query(g, 0, 0, e, 8, &nr), -EINVAL);
	assert_int_equal(gmem_query(g, 0, PAGE, NULL, 8, &nr), -EINVAL);
	assert_int_equal(gmem_query(g, 0, PAGE, e, 8, NULL), -EINVAL);
	assert_int_equal(gmem_query(NULL, 0, PAGE, e, 8, &nr), -EINVAL);
	gmem_put(g);
}

static void attributes_are_of_pages_of_the_file(void **state)
{
	struct gmem *g = t_create(2, BOTH);
	uint32_t attributes;

	t_private(g, 1, 1);
	assert_int_equal(gmem_attributes(g, 2 * PAGE - 1, &attributes), 0);
	assert_int_equal(attributes, PRIVATE);
	assert_int_equal(gmem_attributes(g, 2 * PAGE, &attributes), -EINVAL);
	assert_int_equal(gmem_attributes(g, 0, NULL), -EINVAL);
	assert_int_equal(gmem_attributes(NULL, 0, &attributes), -EINVAL);
	gmem_put(g);
}

static void a_punch_frees_and_changes_no_state(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	char *window = t_map(g, 0, 4);
	struct gmem_stats s = { .args_size = sizeof(s) };

	memset(window, 'x', 4 * PAGE);
	t_private(g, 2, 1);
	assert_int_equal(gmem_punch(g, PAGE, 2 * PAGE), 0);
	assert_int_equal(gmem_get_stats(g, &s), 0);
	assert_int_equal(s.backed_bytes, 2 * PAGE);
	assert_int_equal(t_state(g, 2), PRIVATE);
	assert_int_equal(window[PAGE], 0);
	assert_int_equal(window[0], 'x');
	t_hidden(window + 2 * PAGE);
	assert_int_equal(*t_guest(g, 2), 0);
	/* Beyond the end is no error, as KVM has it. */
	assert_int_equal(gmem_punch(g, 3 * PAGE, 100 * PAGE), 0);
	assert_int_equal(gmem_punch(g, 0, 0), -EINVAL);
	assert_int_equal(gmem_punch(g, 1, PAGE), -EINVAL);
	assert_int_equal(gmem_punch(g, PAGE, UINT64_MAX - 4095), -EINVAL);
	assert_int_equal(gmem_punch(g, UINT64_MAX - 4095, PAGE), -EINVAL);
	assert_int_equal(gmem_punch(NULL, 0, PAGE), -EINVAL);
	gmem_unmap(window, 4 * PAGE);
	gmem_put(g);
}

static void allocation_backs_pages_and_keeps_them(void **state)
{
	struct gmem *g = t_create(8, BOTH);
	char *window = t_map(g, 0, 8);
	struct gmem_stats s = { .args_size = sizeof(s) };

	strcpy(window + 2 * PAGE, "kept");
	assert_int_equal(gmem_allocate(g, PAGE, 4 * PAGE), 0);
	assert_int_equal(gmem_get_stats(g, &s), 0);
	assert_int_equal(s.backed_bytes, 4 * PAGE);
	assert_string_equal(window + 2 * PAGE, "kept");
	assert_int_equal(gmem_allocate(g, 7 * PAGE, 2 * PAGE), -EINVAL);
	assert_int_equal(gmem_allocate(g, 0, 0), -EINVAL);
	assert_int_equal(gmem_allocate(g, 0, 1), -EINVAL);
	assert_int_equal(gmem_allocate(NULL, 0, PAGE), -EINVAL);
	gmem_unmap(window, 8 * PAGE);
	gmem_put(g);
}

static void patience_has_bounds(void **state)
{
	assert_int_equal(gmem_patience(), 1000);
	assert_int_equal(gmem_set_patience(0), -ERANGE);
	assert_int_equal(gmem_set_patience(3600001), -ERANGE);
	assert_int_equal(gmem_patience(), 1000);
	assert_int_equal(gmem_set_patience(20), 0);
	assert_int_equal(gmem_patience(), 20);
	assert_int_equal(gmem_set_patience(1000), 0);
}

static int interrupt(void *data, const struct gmem_change *change)
{
	gmem_interrupt();
	++*(int *)data;
	return 0;
}

static int begin_nothing(void *data, const struct gmem_change *change)
{
	return 0;
}

static void end_nothing(void *data, const struct gmem_change *change)
{
}

/* Prepare stands for a signal handler here: it runs in the middle of the call, in its thread. */
static void a_long_conversion_is_interrupted_before_it_changes_anything(void **state)
{
	static const struct gmem_consumer_callbacks callbacks = {
		.ops_size = sizeof(callbacks),
		.prepare = interrupt,
		.begin = begin_nothing,
		.end = end_nothing,
	};
	uint64_t nr_pages = (uint64_t)1 << 20, where = 77;
	struct gmem *g = t_create(nr_pages, BOTH);
	struct gmem_consumer *c;
	int nr_asked = 0;

	/* Outside of a call it is for nothing. */
	gmem_interrupt();
	assert_int_equal(gmem_make_private(g, 0, nr_pages * PAGE, NULL), 0);
	t_shared(g, 0, nr_pages);
	assert_int_equal(gmem_consumer_add(g, &callbacks, &nr_asked, &c), 0);
	assert_int_equal(gmem_make_private(g, PAGE, (nr_pages - 1) * PAGE, &where), -EINTR);
	assert_int_equal(where, PAGE);
	assert_int_equal(nr_asked, 1);
	assert_int_equal(t_state(g, 1), 0);
	gmem_consumer_remove(g, c);
	/* It was for that call alone. */
	assert_int_equal(gmem_make_private(g, PAGE, (nr_pages - 1) * PAGE, &where), 0);
	gmem_put(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_begin_as_the_flags_say),
		cmocka_unit_test(contents_stay_where_they_are),
		cmocka_unit_test(no_mmap_flag_is_needed),
		cmocka_unit_test(arguments_are_checked_in_order),
		cmocka_unit_test(success_leaves_error_offset_alone),
		cmocka_unit_test(every_refusal_is_told_in_one_call),
		cmocka_unit_test(the_last_refusal_is_told_with_its_rule),
		cmocka_unit_test(who_refuses_first_gives_the_rule),
		cmocka_unit_test(a_thread_that_was_refused_nothing_has_no_refusal),
		cmocka_unit_test(runs_are_read_back),
		cmocka_unit_test(attributes_are_of_pages_of_the_file),
		cmocka_unit_test(a_punch_frees_and_changes_no_state),
		cmocka_unit_test(allocation_backs_pages_and_keeps_them),
		cmocka_unit_test(patience_has_bounds),
		cmocka_unit_test(a_long_conversion_is_interrupted_before_it_changes_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
