/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Files over a store that is none of core's own, and a store over a descriptor that another has made. */
#include "test.h"

#include <errno.h>
#include <string.h>

#include "fail_alloc.h"
#include "fixture.h"
#include "recorder.h"

#define NR_PAGES 8u

/* Where each page is, among twice as many places. */
struct own {
	struct store is; /* first */
	uint8_t *memory;
	unsigned int place[NR_PAGES];
	unsigned int nr_released, nr_destroyed, nr_punched;
};

static struct own *own_of(struct store *s)
{
	return (struct own *)s;
}

static void destroy(struct store *s)
{
	own_of(s)->nr_destroyed++;
}

static int address(struct store *s, uint64_t offset, void **addr)
{
	*addr = own_of(s)->memory + own_of(s)->place[offset / PAGE] * PAGE + offset % PAGE;
	return 0;
}

static int level(struct store *s, uint64_t offset)
{
	return LEVEL_4K;
}

static int allocate(struct store *s, uint64_t offset, uint64_t size)
{
	return -ENOSPC;
}

static int punch(struct store *s, uint64_t offset, uint64_t size)
{
	own_of(s)->nr_punched++;
	for (uint64_t at = offset; at < offset + size; at += PAGE)
		memset(own_of(s)->memory + own_of(s)->place[at / PAGE] * PAGE, 0, PAGE);
	return 0;
}

static bool next_present(struct store *s, uint64_t *offset, uint64_t end, uint64_t *size)
{
	*size = end - *offset;
	return true;
}

static uint64_t backed(struct store *s)
{
	return s->size;
}

static int release(struct store *s)
{
	own_of(s)->nr_released++;
	return 0;
}

static const struct store_ops ops = {
	.destroy = destroy,
	.address = address,
	.level = level,
	.allocate = allocate,
	.punch = punch,
	.next_present = next_present,
	.backed = backed,
	.release = release,
};

static struct gmem_file *make_file(struct own *o)
{
	static uint8_t memory[2 * NR_PAGES * PAGE];
	struct gmem_file *f;

	memset(memory, 0, sizeof(memory));
	*o = (struct own){ .is = { .ops = &ops, .size = NR_PAGES * PAGE, .fd = -1 },
			   .memory = memory };
	for (unsigned int i = 0; i < NR_PAGES; i++)
		o->place[i] = i;
	assert_int_equal(gmem_file_create_on(&o->is, GMEM_FILE_IN_PLACE, &f), 0);
	return f;
}

static void a_file_is_what_its_store_does(void **state)
{
	struct own o;
	struct gmem_file *f = make_file(&o);
	uint64_t before = os_alloc_live();

	*page_at(f, 3 * PAGE) = 3;
	assert_int_equal(gmem_file_allocate(f, 0, PAGE), -ENOSPC);
	assert_int_equal(gmem_file_punch(f, 3 * PAGE, PAGE), 0);
	assert_int_equal(o.nr_punched, 1);
	assert_int_equal(*page_at(f, 3 * PAGE), 0);
	assert_int_equal(os_alloc_live(), before);
	gmem_file_put(f);
	assert_int_equal(o.nr_destroyed, 1);
}

static void a_store_with_a_release_of_its_own_is_not_punched(void **state)
{
	struct own o;
	struct gmem_file *f = make_file(&o);

	gmem_file_release(f);
	assert_int_equal(o.nr_released, 1);
	assert_int_equal(o.nr_punched, 0);
	gmem_file_put(f);
}

/* ---- moving ------------------------------------------------------------------------------------ */

static struct recorder r[2];

/* To the other half of the places; told already, and not yet that it is over. */
static int move(void *data, uint64_t offset, uint64_t size)
{
	struct own *o = data;

	assert_string_equal(diary(), "ab bb");
	for (uint64_t i = offset / PAGE; i < (offset + size) / PAGE; i++) {
		memcpy(o->memory + (NR_PAGES + i) * PAGE, o->memory + i * PAGE, PAGE);
		memset(o->memory + i * PAGE, 0xee, PAGE);
		o->place[i] = NR_PAGES + (unsigned int)i;
	}
	return 0;
}

static int move_fails(void *data, uint64_t offset, uint64_t size)
{
	return -ENOMEM;
}

static void pages_move_while_nobody_has_a_translation(void **state)
{
	struct own o;
	struct gmem_file *f = make_file(&o);

	for (unsigned int i = 0; i < NR_PAGES; i++)
		*page_at(f, i * PAGE) = (uint8_t)(i + 1);
	recorders_add(r, 2, f);
	assert_int_equal(gmem_file_move(f, 2 * PAGE, 3 * PAGE, move, &o), 0);
	assert_string_equal(diary(), "ab bb ae be");
	assert_int_equal(r[0].last.kind, GMEM_CHANGE_MOVE);
	assert_int_equal(r[0].last.offset, 2 * PAGE);
	assert_int_equal(r[0].last.size, 3 * PAGE);
	assert_int_equal(r[0].last.filter, GMEM_FILTER_SHARED | GMEM_FILTER_PRIVATE);
	for (unsigned int i = 0; i < NR_PAGES; i++)
		assert_int_equal(*page_at(f, i * PAGE), i + 1);
	recorders_remove(r, 2);
	gmem_file_put(f);
}

static void a_move_that_fails_ends_all_the_same(void **state)
{
	struct own o;
	struct gmem_file *f = make_file(&o);

	recorders_add(r, 1, f);
	assert_int_equal(gmem_file_move(f, 0, PAGE, move_fails, &o), -ENOMEM);
	assert_string_equal(diary(), "ab ae");
	recorders_remove(r, 1);
	gmem_file_release(f);
	assert_int_equal(gmem_file_move(f, 0, PAGE, move, &o), -EFAULT);
	gmem_file_put(f);
}

/* ---- over a descriptor -------------------------------------------------------------------------- */

static void a_store_over_a_descriptor_reads_what_is_in_it(void **state)
{
	struct gmem_file *f;
	struct store *s;
	uint8_t byte = 7;
	int fd;

	assert_int_equal(os_memfd_create("other", NR_PAGES * PAGE, &fd), 0);
	assert_int_equal(store_create_on(fd, NR_PAGES * PAGE, &s), 0);
	assert_int_equal(store_fd(s), fd);
	assert_int_equal(gmem_file_create_on(s, GMEM_FILE_IN_PLACE, &f), 0);
	*page_at(f, PAGE) = byte;
	assert_int_equal(store_backed(s), PAGE);
	gmem_file_put(f);
	assert_false(os_fd_is_ours(fd));
}

static void without_memory_the_descriptor_is_the_callers(void **state)
{
	struct store *s = NULL;
	int fd;

	assert_int_equal(os_memfd_create("other", PAGE, &fd), 0);
	allow_allocs(0);
	assert_int_equal(store_create_on(fd, PAGE, &s), -ENOMEM);
	allow_allocs(ALLOW_ALL);
	assert_null(s);
	assert_true(os_fd_is_ours(fd));
	os_fd_close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_what_its_store_does),
		cmocka_unit_test(a_store_with_a_release_of_its_own_is_not_punched),
		cmocka_unit_test(pages_move_while_nobody_has_a_translation),
		cmocka_unit_test(a_move_that_fails_ends_all_the_same),
		cmocka_unit_test(a_store_over_a_descriptor_reads_what_is_in_it),
		cmocka_unit_test(without_memory_the_descriptor_is_the_callers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
