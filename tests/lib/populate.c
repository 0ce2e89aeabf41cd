/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem_populate(): private pages get their first contents; the rest is refused. */
#include "t.h"

#include <pthread.h>
#include <stdatomic.h>

static int populate(struct gmem *g, uint64_t first, uint64_t nr, const void *source, uint64_t *done)
{
	struct gmem_populate_args args = { .args_size = sizeof(args),
					   .offset = first * PAGE,
					   .size = nr * PAGE,
					   .source = source,
					   .populated = 1 };
	int err = gmem_populate(g, &args);

	*done = args.populated / PAGE;
	return err;
}

static char source[40 * 4096];

static void fill_source(void)
{
	for (size_t i = 0; i < sizeof(source); i++)
		source[i] = (char)(i / PAGE + i % 13 + 1);
}

static void contents_are_there_and_hidden(void **state)
{
	struct gmem *g = t_create(64, GMEM_MMAP);
	char *at = t_map(g, 0, 64);
	uint64_t done;

	fill_source();
	assert_int_equal(populate(g, 3, 40, source, &done), 0);
	assert_int_equal(done, 40);
	for (uint64_t i = 0; i < 40; i++)
		assert_memory_equal(t_guest(g, 3 + i), source + i * PAGE, PAGE);
	assert_int_equal(t_guest(g, 2)[4095], 0);
	assert_int_equal(t_guest(g, 43)[0], 0);
	t_hidden(at + 3 * PAGE);
	assert_int_equal(gmem_unmap(at, 64 * PAGE), 0);
	gmem_put(g);
}

static void without_a_source_contents_stay(void **state)
{
	struct gmem_stats stats = { .args_size = sizeof(stats) };
	struct gmem *g = t_create(8, 0);
	uint64_t done;

	memset(t_guest(g, 1), 'k', PAGE);
	assert_int_equal(populate(g, 0, 8, NULL, &done), 0);
	assert_int_equal(gmem_get_stats(g, &stats), 0);
	assert_int_equal(stats.backed_bytes, 8 * PAGE);
	assert_int_equal(t_guest(g, 1)[9], 'k');
	assert_int_equal(t_guest(g, 2)[9], 0);
	gmem_put(g);
}

static void a_shared_page_ends_it(void **state)
{
	struct gmem *g = t_create(40, 0);
	uint64_t done;

	fill_source();
	t_shared(g, 21, 1);
	assert_int_equal(populate(g, 0, 40, source, &done), -EINVAL);
	assert_int_equal(done, 21);
	assert_memory_equal(t_guest(g, 20), source + 20 * PAGE, PAGE);
	assert_int_equal(t_guest(g, 22)[0], 0);
	assert_int_equal(populate(g, 21, 1, source, &done), -EINVAL);
	assert_int_equal(done, 0);
	gmem_put(g);
}

/* ---- the VM type ---------------------------------------------------------------------------------- */

struct type {
	unsigned int nr_prepared;
	uint64_t refuse; /* this page */
};

static int prepare(void *data, uint64_t offset, uint64_t size)
{
	struct type *t = data;

	if (offset == t->refuse * PAGE)
		return -EIO;
	t->nr_prepared += (unsigned int)(size / PAGE);
	return 0;
}

static void the_type_prepares_each_page_once(void **state)
{
	struct type type = { .refuse = 30 };
	struct gmem_vm_type ops = { .ops_size = sizeof(ops), .prepare = prepare };
	struct gmem_create_args args = {
		.args_size = sizeof(args), .size = 40 * PAGE, .type = &ops, .type_data = &type
	};
	struct gmem *g;
	uint64_t done;

	fill_source();
	assert_int_equal(gmem_create(&args, &g), 0);
	assert_int_equal(populate(g, 0, 40, source, &done), -EIO);
	assert_int_equal(done, 30);
	assert_int_equal(type.nr_prepared, 30);
	t_guest(g, 7);
	assert_int_equal(type.nr_prepared, 30);
	gmem_put(g);
}

/* ---- what is refused ------------------------------------------------------------------------------- */

static void arguments_are_checked(void **state)
{
	struct gmem_populate_args args = { .args_size = sizeof(args), .flags = 1, .size = PAGE };
	struct gmem *g = t_create(8, 0);
	uint64_t done;
	char *hole = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_int_equal(gmem_populate(g, NULL), -EINVAL);
	assert_int_equal(gmem_populate(NULL, &args), -EINVAL);
	assert_int_equal(gmem_populate(g, &args), -EINVAL);
	assert_int_equal(populate(g, 0, 0, NULL, &done), -EINVAL);
	assert_int_equal(populate(g, 7, 2, NULL, &done), -EINVAL);
	args = (struct gmem_populate_args){ .args_size = sizeof(args), .offset = 8, .size = PAGE };
	assert_int_equal(gmem_populate(g, &args), -EINVAL);
	assert_int_equal(munmap(hole + PAGE, PAGE), 0);
	assert_int_equal(populate(g, 0, 2, hole, &done), -EFAULT);
	assert_int_equal(done, 0);
	assert_int_equal(munmap(hole, PAGE), 0);
	gmem_put(g);
}

/* ---- a source that goes while it is read ---------------------------------------------------------------------------- */

static _Atomic int is_over;

static void *convert_to_and_fro(void *g)
{
	while (!is_over) {
		t_private(g, 0, 16);
		t_shared(g, 0, 16);
	}
	return NULL;
}

/* It is a window of another guest memory: what has become private is told, and raises no signal. */
static void a_source_may_go_meanwhile(void **state)
{
	struct gmem *from = t_create(16, BOTH), *to = t_create(16, 0);
	char *window = t_map(from, 0, 16);
	int read = 0, unread = 0;
	pthread_t other;

	memset(window, 's', 16 * PAGE);
	is_over = 0;
	assert_int_equal(pthread_create(&other, NULL, convert_to_and_fro, from), 0);
	for (int i = 0; i < 20000 && (i < 2000 || !read || !unread); i++) {
		uint64_t done;
		int err = populate(to, 0, 16, window, &done);

		assert_true(!err || (err == -EFAULT && !done));
		read += !err;
		unread += !!err;
	}
	is_over = 1;
	pthread_join(other, NULL);
	assert_true(read && unread);
	assert_int_equal(t_guest(to, 15)[4095], 's');
	gmem_unmap(window, 16 * PAGE);
	gmem_put(from);
	gmem_put(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contents_are_there_and_hidden),
		cmocka_unit_test(without_a_source_contents_stay),
		cmocka_unit_test(a_shared_page_ends_it),
		cmocka_unit_test(the_type_prepares_each_page_once),
		cmocka_unit_test(arguments_are_checked),
		cmocka_unit_test(a_source_may_go_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
