/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Stores of the program's own: what they are asked, under what exclusion, what their refusals become, and their end. */
#include "t.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/wait.h>

#define NR_PAGES 16
#define BIG ((uint64_t)2 << 20)

/* Pages in a private mapping. In shared memory itself, so that a child's calls would be seen. */
struct own {
	char *memory;
	uint64_t size;
	bool present[NR_PAGES];
	int lockless; /* written in punch, read in the others, under no lock of its own */
	_Atomic int nr_address, nr_allocate, nr_punch, nr_release, nr_destroy;
	int address_error, allocate_error, punch_error;
	uint32_t order;
	/* Where not NULL: address() says that it is there, and waits. */
	sem_t *arrived, *go_on;
};

static int own_address(void *data, uint64_t offset, void **addr)
{
	struct own *o = data;

	assert_true(offset < o->size && offset % PAGE == 0);
	o->nr_address++;
	assert_int_equal(o->lockless, 0);
	if (o->address_error)
		return o->address_error;
	if (o->arrived) {
		sem_post(o->arrived);
		sem_wait(o->go_on);
	}
	*addr = o->memory + offset;
	return 0;
}

static uint32_t own_order(void *data, uint64_t offset)
{
	return ((struct own *)data)->order;
}

static int own_allocate(void *data, uint64_t offset, uint64_t size)
{
	struct own *o = data;

	o->nr_allocate++;
	assert_int_equal(o->lockless, 0);
	return o->allocate_error;
}

static int own_punch(void *data, uint64_t offset, uint64_t size)
{
	struct own *o = data;

	o->nr_punch++;
	o->lockless = 1;
	if (!o->punch_error)
		memset(o->memory + offset, 0, size);
	o->lockless = 0;
	return o->punch_error;
}

static int own_next_present(void *data, uint64_t *offset, uint64_t end, uint64_t *size)
{
	struct own *o = data;

	for (uint64_t at = *offset; at < end; at += PAGE)
		if (o->present[at / PAGE]) {
			*offset = at;
			*size = PAGE;
			return 1;
		}
	return 0;
}

static uint64_t own_backed(void *data)
{
	return 3 * PAGE;
}

static void own_release(void *data)
{
	struct own *o = data;

	assert_int_equal(o->nr_destroy, 0);
	o->nr_release++;
}

static void own_destroy(void *data)
{
	((struct own *)data)->nr_destroy++;
}

static const struct gmem_store_ops all_ops = {
	.ops_size = sizeof(all_ops),
	.address = own_address,
	.order = own_order,
	.allocate = own_allocate,
	.punch = own_punch,
	.next_present = own_next_present,
	.backed = own_backed,
	.release = own_release,
	.destroy = own_destroy,
};

static struct own *make_own(uint64_t size)
{
	struct own *o =
		mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *room;

	assert_ptr_not_equal(o, MAP_FAILED);
	room = mmap(NULL, size + BIG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(room, MAP_FAILED);
	o->memory = (char *)(((uintptr_t)room + BIG - 1) & ~(BIG - 1));
	o->size = size;
	return o;
}

static int create_with(const struct gmem_store_ops *ops, struct own *o, int fd, uint32_t flags,
		       uint64_t size, struct gmem **g)
{
	struct gmem_store store = { .args_size = sizeof(store), .fd = fd, .ops = ops, .data = o };
	struct gmem_create_args args = {
		.args_size = sizeof(args), .flags = flags, .size = size, .store = &store
	};

	return gmem_create(&args, g);
}

static struct gmem *create_own(struct own *o)
{
	struct gmem *g = NULL;

	assert_int_equal(create_with(&all_ops, o, -1, GMEM_INIT_SHARED, o->size, &g), 0);
	return g;
}

static int a_file(uint64_t size)
{
	char name[] = "/tmp/gmem-stores-XXXXXX";
	int fd = mkstemp(name);

	assert_true(fd >= 0);
	unlink(name);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fd;
}

/* ---- without a descriptor ---------------------------------------------------------------------- */

static void a_store_of_its_own_has_the_pages(void **state)
{
	struct gmem_stats stats = { .args_size = sizeof(stats) };
	struct own *o = make_own(NR_PAGES * PAGE);
	struct gmem *g = create_own(o);
	char *page = t_guest(g, 5);

	assert_ptr_equal(page, o->memory + 5 * PAGE);
	strcpy(page, "mine");
	t_private(g, 4, 4);
	assert_ptr_equal(t_guest(g, 5), page);
	assert_string_equal(page, "mine");
	assert_int_equal(o->nr_punch, 0);
	assert_int_equal(gmem_allocate(g, 0, 2 * PAGE), 0);
	assert_int_equal(o->nr_allocate, 1);
	assert_int_equal(gmem_punch(g, 5 * PAGE, PAGE), 0);
	assert_int_equal(*page, 0);
	assert_int_equal(t_state(g, 5), PRIVATE);
	assert_int_equal(gmem_get_stats(g, &stats), 0);
	assert_int_equal(stats.backed_bytes, 3 * PAGE);
	assert_int_equal(o->nr_release, 0);
	gmem_put(g);
	assert_int_equal(o->nr_release, 1);
	assert_int_equal(o->nr_destroy, 1);
	assert_int_equal(o->nr_punch, 1);
}

static void the_smallest_store_can_be_had(void **state)
{
	static const struct gmem_store_ops least = { .ops_size = sizeof(least),
						     .address = own_address,
						     .punch = own_punch };
	struct gmem_stats stats = { .args_size = sizeof(stats) };
	struct own *o = make_own(NR_PAGES * PAGE);
	struct gmem *g;

	assert_int_equal(create_with(&least, o, -1, 0, NR_PAGES * PAGE, &g), 0);
	*t_guest(g, 1) = 1;
	assert_int_equal(gmem_allocate(g, 0, PAGE), 0);
	assert_int_equal(gmem_get_stats(g, &stats), 0);
	assert_int_equal(stats.backed_bytes, 0);
	gmem_put(g);
	/* Nobody said that it wants to keep them. */
	assert_int_equal(o->nr_punch, 1);
	assert_int_equal(o->memory[PAGE], 0);
}

static void what_does_not_fit_is_refused(void **state)
{
	struct gmem_create_args limited = { .args_size = sizeof(limited),
					    .size = NR_PAGES * PAGE,
					    .limit = PAGE };
	struct gmem_store_ops ops = all_ops;
	struct own *o = make_own(NR_PAGES * PAGE);
	struct gmem_store store = {
		.args_size = sizeof(store), .fd = -1, .ops = &all_ops, .data = o
	};
	int fd = a_file(NR_PAGES * PAGE), longer = a_file((NR_PAGES + 1) * PAGE);
	uint64_t size = NR_PAGES * PAGE;
	struct gmem *g = NULL;

	assert_int_equal(create_with(&all_ops, o, -1, GMEM_MMAP, size, &g), -EINVAL);
	must_refuse("LIB_STORE_WINDOWS");
	assert_int_equal(create_with(&all_ops, o, -1, GMEM_THP, size, &g), -EINVAL);
	must_refuse("LIB_STORE_FLAGS");
	assert_int_equal(create_with(&all_ops, o, fd, GMEM_HUGETLB, size, &g), -EINVAL);
	must_refuse("LIB_STORE_FLAGS");
	assert_int_equal(create_with(NULL, o, -1, 0, size, &g), -EINVAL);
	must_refuse("LIB_STORE_SHAPE");
	ops.address = NULL;
	assert_int_equal(create_with(&ops, o, -1, 0, size, &g), -EINVAL);
	must_refuse("LIB_STORE_SHAPE");
	assert_int_equal(create_with(&all_ops, o, fd, 0, size, &g), -EINVAL);
	must_refuse("LIB_STORE_SHAPE");
	ops.reserved = 1;
	assert_int_equal(create_with(&ops, o, fd, 0, size, &g), -EINVAL);
	must_refuse("LIB_STORE_SHAPE");
	ops = all_ops;
	ops.ops_size = 8;
	assert_int_equal(create_with(&ops, o, -1, 0, size, &g), -EINVAL);
	must_refuse("LIB_ARGS_SIZE");
	assert_int_equal(create_with(NULL, o, longer, 0, size, &g), -EINVAL);
	must_refuse("LIB_STORE_FD");
	close(longer);
	assert_int_equal(create_with(NULL, o, longer, 0, size, &g), -EINVAL);
	must_refuse("LIB_STORE_FD");
	limited.store = &store;
	assert_int_equal(gmem_create(&limited, &g), -EINVAL);
	must_refuse("LIB_STORE_LIMIT");
	/* Nothing was called, and what is the program's is still. */
	assert_int_equal(o->nr_address + o->nr_punch + o->nr_release + o->nr_destroy, 0);
	assert_int_equal(fcntl(fd, F_GETFD), 0);
	close(fd);
}

static void a_block_is_as_large_as_the_store_says(void **state)
{
	struct own *o = make_own(2 * BIG + PAGE);
	struct gmem *g = create_own(o);
	struct gmem_block b = { .args_size = sizeof(b) };

	assert_int_equal(gmem_fault_begin(g), 0);
	assert_int_equal(gmem_find_block(g, BIG + 7 * PAGE + 5, &b), 0);
	assert_int_equal(b.order, 0);
	assert_int_equal(b.offset, BIG + 7 * PAGE);
	o->order = 12; /* no leaf is of that size */
	assert_int_equal(gmem_find_block(g, BIG + 7 * PAGE + 5, &b), 0);
	assert_int_equal(b.order, 9);
	assert_int_equal(b.offset, BIG);
	assert_ptr_equal(b.addr, o->memory + BIG);
	assert_int_equal(b.attributes, 0);
	/* Not past the end, whatever it says. */
	o->order = 18;
	assert_int_equal(gmem_find_block(g, 2 * BIG, &b), 0);
	assert_int_equal(b.order, 0);
	gmem_fault_end(g);
	t_private(g, 3, 1);
	assert_int_equal(gmem_fault_begin(g), 0);
	assert_int_equal(gmem_find_block(g, 3 * PAGE, &b), 0);
	assert_int_equal(b.order, 0);
	assert_int_equal(b.attributes, PRIVATE);
	assert_int_equal(gmem_find_block(g, 2 * BIG + PAGE, &b), -EINVAL);
	assert_int_equal(gmem_find_block(g, 0, NULL), -EINVAL);
	assert_int_equal(gmem_find_block(NULL, 0, &b), -EINVAL);
	gmem_fault_end(g);
	gmem_put(g);
}

/* ---- with a descriptor ------------------------------------------------------------------------- */

static void a_file_of_the_host_is_mapped(void **state)
{
	uint64_t size = NR_PAGES * PAGE;
	int fd = a_file(size);
	struct gmem *g;
	char *window, read[8] = "";

	assert_int_equal(create_with(NULL, NULL, fd, BOTH, size, &g), 0);
	window = t_map(g, 0, NR_PAGES);
	strcpy(window + 2 * PAGE, "on disk");
	assert_int_equal(pread(fd, read, sizeof(read), 2 * PAGE), sizeof(read));
	assert_string_equal(read, "on disk");
	t_private(g, 2, 1);
	t_hidden(window + 2 * PAGE);
	assert_string_equal(t_guest(g, 2), "on disk");
	t_shared(g, 2, 1);
	t_open(window + 2 * PAGE);
	assert_string_equal(window + 2 * PAGE, "on disk");
	assert_int_equal(gmem_punch(g, 2 * PAGE, PAGE), 0);
	assert_int_equal(window[2 * PAGE], 0);
	window[3 * PAGE] = 3;
	assert_int_equal(gmem_unmap(window, size), 0);
	gmem_put(g);
	assert_int_equal(pread(fd, read, 1, 3 * PAGE), 1);
	assert_int_equal(read[0], 0);
	close(fd);
}

static void a_store_may_keep_its_contents(void **state)
{
	static const struct gmem_store_ops keep = { .ops_size = sizeof(keep),
						    .release = own_release,
						    .destroy = own_destroy };
	struct own *o = make_own(PAGE);
	int fd = a_file(NR_PAGES * PAGE);
	struct gmem *g;

	assert_int_equal(create_with(&keep, o, fd, BOTH, NR_PAGES * PAGE, &g), 0);
	*t_guest(g, 3) = 3;
	gmem_put(g);
	assert_int_equal(o->nr_release, 1);
	assert_int_equal(o->nr_destroy, 1);
	o->nr_destroy = 0;
	assert_int_equal(create_with(&keep, o, fd, 0, NR_PAGES * PAGE, &g), 0);
	close(fd);
	assert_int_equal(*t_guest(g, 3), 3);
	gmem_put(g);
	assert_int_equal(o->nr_destroy, 1);
}

/* ---- snapshots --------------------------------------------------------------------------------- */

static void a_store_of_its_own_is_saved_and_restored(void **state)
{
	struct own *o = make_own(NR_PAGES * PAGE);
	struct gmem *g = create_own(o);
	int fd = a_file(0);
	struct gmem_snapshot_args save = { .args_size = sizeof(save), .fd = fd };
	struct gmem_restore_args restore = { .args_size = sizeof(restore), .fd = fd };

	strcpy(t_guest(g, 2), "two");
	strcpy(t_guest(g, 3), "three");
	o->present[2] = o->present[3] = true;
	t_private(g, 3, 1);
	assert_int_equal(gmem_snapshot(g, &save), 0);
	assert_int_equal(gmem_punch(g, 0, NR_PAGES * PAGE), 0);
	t_shared(g, 3, 1);
	assert_int_equal(gmem_restore(g, &restore), 0);
	assert_string_equal(o->memory + 2 * PAGE, "two");
	assert_string_equal(o->memory + 3 * PAGE, "three");
	assert_int_equal(t_state(g, 2), 0);
	assert_int_equal(t_state(g, 3), PRIVATE);
	gmem_put(g);
	close(fd);
}

/* ---- refusals ---------------------------------------------------------------------------------- */

static int begin_counts(void *data, const struct gmem_change *change)
{
	++*(int *)data;
	return 0;
}

static void end_counts(void *data, const struct gmem_change *change)
{
	--*(int *)data;
}

static void what_a_store_refuses_is_said(void **state)
{
	static const struct gmem_consumer_callbacks counts = { .ops_size = sizeof(counts),
							       .begin = begin_counts,
							       .end = end_counts };
	static const int errors[] = { -ENOMEM, -ENOSPC };
	struct own *o = make_own(NR_PAGES * PAGE);
	struct gmem *g = create_own(o);
	struct gmem_consumer *c;
	int in_progress = 0;
	void *at;

	assert_int_equal(gmem_consumer_add(g, &counts, &in_progress, &c), 0);
	for (int i = 0; i < 2; i++) {
		o->allocate_error = o->address_error = errors[i];
		assert_int_equal(gmem_allocate(g, 0, PAGE), errors[i]);
		must_refuse("GMEM_ALLOCATE_FAILED");
		assert_int_equal(gmem_fault_begin(g), 0);
		assert_int_equal(gmem_page(g, 0, &at, NULL), errors[i]);
		must_refuse("LIB_STORE_PAGE");
		gmem_fault_end(g);
	}
	o->allocate_error = o->address_error = 0;
	assert_int_equal(gmem_allocate(g, 0, PAGE), 0);
	/* Of which nodes its memory is. */
	assert_int_equal(gmem_set_policy(g, 0, PAGE, 0, NULL, 0, 0), -EOPNOTSUPP);
	must_refuse("LIB_POLICY_STORE");
	assert_int_equal(gmem_get_policy(g, 0, NULL, NULL, 0, 0), -EOPNOTSUPP);
	o->punch_error = 17; /* no errno */
	assert_int_equal(gmem_punch(g, 0, PAGE), -EIO);
	must_refuse("GMEM_PUNCH_FAILED");
	assert_int_equal(in_progress, 0);
	/* It works again, and the file can still be let go. */
	t_private(g, 0, 1);
	gmem_put(g);
	assert_int_equal(in_progress, 0);
	gmem_consumer_remove(NULL, c);
	assert_int_equal(o->nr_destroy, 1);
}

static int nr_told;

static void tell(void *data, uint64_t offset, uint64_t size)
{
	assert_int_equal(offset, 6 * PAGE);
	assert_int_equal(size, PAGE);
	nr_told++;
}

static void a_type_hears_of_what_the_store_calls_present(void **state)
{
	struct gmem_vm_type type = { .ops_size = sizeof(type), .make_private = tell };
	struct own *o = make_own(NR_PAGES * PAGE);
	struct gmem_store store = {
		.args_size = sizeof(store), .fd = -1, .ops = &all_ops, .data = o
	};
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = GMEM_INIT_SHARED,
					 .size = o->size,
					 .type = &type,
					 .store = &store };
	struct gmem *g;

	assert_int_equal(gmem_create(&args, &g), 0);
	o->present[6] = true;
	t_private(g, 0, NR_PAGES);
	assert_int_equal(nr_told, 1);
	gmem_put(g);
}

/* ---- moving ------------------------------------------------------------------------------------ */

static uint32_t kinds_told;

static int begin_tells(void *data, const struct gmem_change *change)
{
	struct gmem_change_info info = { .args_size = sizeof(info) };

	assert_int_equal(gmem_change_describe(change, &info), 0);
	kinds_told |= 1u << info.kind;
	assert_int_equal(info.aborted, 0);
	return 0;
}

static void end_tells(void *data, const struct gmem_change *change)
{
}

static int swap_halves(void *data, uint64_t offset, uint64_t size)
{
	struct own *o = data;
	char *there = o->memory + BIG / 2;

	assert_int_equal(kinds_told, 1u << GMEM_KIND_MOVE);
	memcpy(there, o->memory, NR_PAGES * PAGE);
	memset(o->memory, 0xee, NR_PAGES * PAGE);
	o->memory = there;
	return 0;
}

static int refuse_to_move(void *data, uint64_t offset, uint64_t size)
{
	return -ENOSPC;
}

static void a_store_may_move_its_pages(void **state)
{
	static const struct gmem_consumer_callbacks tells = { .ops_size = sizeof(tells),
							      .begin = begin_tells,
							      .end = end_tells };
	struct own *o = make_own(BIG);
	struct gmem *g = create_own(o), *other = t_create(NR_PAGES, BOTH);
	struct gmem_consumer *c;
	char *before = t_guest(g, 2), *after;

	strcpy(before, "moves");
	t_private(g, 2, 1);
	assert_int_equal(gmem_consumer_add(g, &tells, NULL, &c), 0);
	assert_int_equal(gmem_move(g, 0, NR_PAGES * PAGE, swap_halves, o), 0);
	after = t_guest(g, 2);
	assert_ptr_not_equal(before, after);
	assert_string_equal(after, "moves");
	assert_int_equal(t_state(g, 2), PRIVATE);
	assert_int_equal(gmem_move(g, 0, PAGE, refuse_to_move, NULL), -ENOSPC);
	must_refuse("LIB_STORE_MOVE");
	assert_int_equal(gmem_move(g, 0, BIG + PAGE, swap_halves, o), -EINVAL);
	assert_int_equal(gmem_move(g, 0, PAGE, NULL, o), -EINVAL);
	assert_int_equal(gmem_move(NULL, 0, PAGE, swap_halves, o), -EINVAL);
	assert_int_equal(gmem_move(other, 0, PAGE, swap_halves, o), -EOPNOTSUPP);
	must_refuse("LIB_STORE_STAYS");
	gmem_consumer_remove(g, c);
	gmem_put(g);
	gmem_put(other);
}

/* ---- slow, and beside others ------------------------------------------------------------------- */

static void *look(void *arg)
{
	t_guest(arg, 0);
	return NULL;
}

static _Atomic bool was_converted;

static void *convert(void *arg)
{
	t_private(arg, 0, 1);
	was_converted = true;
	return NULL;
}

static void a_slow_store_holds_up_its_own_file_alone(void **state)
{
	struct own *o = make_own(NR_PAGES * PAGE);
	struct gmem *g = create_own(o), *other = t_create(NR_PAGES, BOTH);
	pthread_t looker, converter;
	sem_t arrived, go_on;

	sem_init(&arrived, 0, 0);
	sem_init(&go_on, 0, 0);
	o->arrived = &arrived;
	o->go_on = &go_on;
	assert_int_equal(pthread_create(&looker, NULL, look, g), 0);
	sem_wait(&arrived);
	assert_int_equal(pthread_create(&converter, NULL, convert, g), 0);
	/* The other file does not wait. */
	t_private(other, 0, NR_PAGES);
	t_guest(other, 3);
	assert_int_equal(t_state(g, 0), 0);
	assert_false(was_converted);
	sem_post(&go_on);
	pthread_join(looker, NULL);
	pthread_join(converter, NULL);
	assert_true(was_converted);
	o->arrived = NULL;
	gmem_put(g);
	gmem_put(other);
	sem_destroy(&arrived);
	sem_destroy(&go_on);
}

static void *be_guest(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		t_guest(arg, i % NR_PAGES);
		assert_int_equal(gmem_allocate(arg, i % NR_PAGES * PAGE, PAGE), 0);
	}
	return NULL;
}

static void *be_host(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(gmem_punch(arg, i % NR_PAGES * PAGE, PAGE), 0);
		t_private(arg, i % NR_PAGES, 1);
		t_shared(arg, i % NR_PAGES, 1);
	}
	return NULL;
}

static void nothing_runs_beside_a_punch(void **state)
{
	struct own *o = make_own(NR_PAGES * PAGE);
	struct gmem *g = create_own(o);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i < 3 ? be_guest : be_host, g),
				 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	gmem_put(g);
	assert_int_equal(o->nr_destroy, 1);
}

/* ---- fork -------------------------------------------------------------------------------------- */

static int in_child(struct gmem *g)
{
	if (gmem_fault_begin(g) != -EREMOTE)
		return 1;
	if (gmem_make_private(g, 0, PAGE, NULL))
		return 2;
	if (gmem_allocate(g, 0, PAGE))
		return 3;
	if (gmem_move(g, 0, PAGE, refuse_to_move, NULL) != -EREMOTE)
		return 4;
	gmem_put(g);
	return 0;
}

/* A child of threads may make none under the thread sanitizer. */
#if defined(__SANITIZE_THREAD__)
#define MAY_FORK 0
#else
#define MAY_FORK 1
#endif

static void a_child_calls_nothing_of_it(void **state)
{
	struct own *o = make_own(NR_PAGES * PAGE);
	struct gmem *g = create_own(o);
	int status = -1;
	pid_t pid;

	if (!MAY_FORK) {
		gmem_put(g);
		skip();
	}
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(in_child(g));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	/* What it asked for was done here. */
	assert_int_equal(t_state(g, 0), PRIVATE);
	assert_int_equal(o->nr_allocate, 1);
	assert_int_equal(o->nr_release, 0);
	assert_int_equal(o->nr_destroy, 0);
	gmem_put(g);
	assert_int_equal(o->nr_destroy, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_of_its_own_has_the_pages),
		cmocka_unit_test(the_smallest_store_can_be_had),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(a_block_is_as_large_as_the_store_says),
		cmocka_unit_test(a_file_of_the_host_is_mapped),
		cmocka_unit_test(a_store_may_keep_its_contents),
		cmocka_unit_test(a_store_of_its_own_is_saved_and_restored),
		cmocka_unit_test(what_a_store_refuses_is_said),
		cmocka_unit_test(a_type_hears_of_what_the_store_calls_present),
		cmocka_unit_test(a_store_may_move_its_pages),
		cmocka_unit_test(a_slow_store_holds_up_its_own_file_alone),
		cmocka_unit_test(nothing_runs_beside_a_punch),
		cmocka_unit_test(a_child_calls_nothing_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
