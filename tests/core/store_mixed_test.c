/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Files with windows and huge pages of the pool: what is private all through is in huge pages, and what is shared all through if the host
 * takes it so, everything else in small ones; a conversion moves contents from one to the other. The pool is made larger for the time of the test.
 */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "core/limit.h"
#include "fail_alloc.h"
#include "fixture.h"
#include "os/fail.h"
#include "pool_run.h"
#include "recorder.h"
#include "store_model.h"

#define WANTED 12
#define WINDOWS (GMEM_FILE_MMAP | GMEM_FILE_HUGETLB)

/* ---- the store --------------------------------------------------------------------------------- */

static struct store *mixed(uint64_t size, bool huge)
{
	struct store *s;

	assert_int_equal(store_create_mixed(size, STORE_2M, huge, &s), 0);
	return s;
}

static void pages_for_its_whole_blocks_are_set_aside(void **state)
{
	uint64_t before = os_alloc_live();
	long nr = pool_free();
	struct store *s = mixed(2 * BLOCK + 3 * PAGE, true), *more = NULL;

	assert_int_equal(pool_free(), nr - 2);
	assert_int_equal(store_backed(s), 0);
	assert_true(store_is_huge(s, 2 * BLOCK - 1));
	assert_false(store_is_huge(s, 2 * BLOCK));
	assert_int_equal(store_create_mixed((uint64_t)(nr - 1) * BLOCK, STORE_2M, true, &more),
			 -ENOMEM);
	assert_null(more);
	store_destroy(s);
	assert_int_equal(pool_free(), nr);
	/* None of it is a whole block. */
	s = mixed(BLOCK - PAGE, true);
	assert_int_equal(pool_free(), nr);
	assert_false(store_is_huge(s, 0));
	store_destroy(s);
	assert_int_equal(os_alloc_live(), before);
}

static void a_block_that_moves_keeps_what_is_in_it(void **state)
{
	struct store *s = mixed(2 * BLOCK, true);

	guest_at(s, 7 * PAGE)[5] = 1;
	guest_at(s, BLOCK)[0] = 2;
	assert_int_equal(store_backed(s), 2 * BLOCK);
	assert_int_equal(store_level(s, 0), LEVEL_2M);
	assert_int_equal(store_move(s, 0, false), 0);
	assert_false(store_is_huge(s, 0));
	assert_true(store_is_huge(s, BLOCK));
	assert_int_equal(at(s, 7 * PAGE)[5], 1);
	assert_true(is_zero(at(s, 8 * PAGE), PAGE));
	assert_int_equal(at(s, BLOCK)[0], 2);
	at(s, 9 * PAGE)[0] = 3;
	assert_int_equal(store_move(s, 0, true), 0);
	assert_true(store_is_huge(s, 0));
	assert_int_equal(guest_at(s, 7 * PAGE)[5], 1);
	assert_int_equal(guest_at(s, 9 * PAGE)[0], 3);
	assert_int_equal(store_level(s, 0), LEVEL_2M);
	assert_int_equal(store_backed(s), 2 * BLOCK);
	store_destroy(s);
}

/* Nothing is there that would have to be copied. */
static void an_empty_block_takes_no_memory_to_move(void **state)
{
	struct store *s = mixed(BLOCK, true);

	assert_int_equal(store_move(s, 0, false), 0);
	assert_int_equal(store_backed(s), 0);
	guest_at(s, PAGE)[0] = 1;
	assert_int_equal(store_backed(s), PAGE);
	assert_int_equal(store_punch(s, PAGE, PAGE), 0);
	assert_int_equal(store_move(s, 0, true), 0);
	assert_int_equal(store_backed(s), 0);
	assert_true(is_zero(guest_at(s, 0), BLOCK));
	store_destroy(s);
}

/* Others have taken what was given back: it is small then, and never without memory. */
static void without_a_page_in_the_pool_a_block_is_small(void **state)
{
	struct store *s = mixed(3 * BLOCK, true), *other;

	memset(guest_at(s, 0), 7, BLOCK);
	guest_at(s, BLOCK)[0] = 1;
	assert_int_equal(store_allocate(s, 2 * BLOCK, PAGE), 0);
	assert_int_equal(store_move(s, 0, false), 0);
	assert_int_equal(store_punch(s, BLOCK, 2 * BLOCK), 0);
	other = make_store((uint64_t)pool_free() * BLOCK, STORE_2M);
	assert_int_equal(store_move(s, 0, true), -ENOMEM);
	assert_false(store_is_huge(s, 0));
	assert_int_equal(at(s, BLOCK - 1)[0], 7);
	guest_at(s, BLOCK + PAGE)[0] = 8;
	assert_false(store_is_huge(s, BLOCK));
	assert_int_equal(store_allocate(s, 2 * BLOCK, PAGE), 0);
	assert_false(store_is_huge(s, 2 * BLOCK));
	assert_int_equal(store_backed(s), BLOCK + 2 * PAGE);
	store_destroy(other);
	assert_int_equal(store_move(s, 0, true), 0);
	assert_int_equal(at(s, BLOCK - 1)[0], 7);
	store_destroy(s);
}

static void contents_are_those_of_a_model(void **state)
{
	for (uint64_t seed = 1; seed < 5; seed++)
		compare_store_with_model(mixed(MODEL_PAGES * PAGE, seed & 1), seed, 1500);
}

/* ---- files -------------------------------------------------------------------------------------- */

static bool is_huge(struct gmem_file *f, uint64_t offset)
{
	return store_is_huge(gmem_file_store(f), offset);
}

static int level_at(struct gmem_file *f, uint64_t offset)
{
	void *addr;
	int level;

	assert_int_equal(gmem_file_page(f, offset, &addr, &level), 0);
	return level;
}

static uint8_t *touch(struct gmem_file *f, uint64_t offset)
{
	level_at(f, offset);
	return page_at(f, offset);
}

static void one_shared_page_makes_its_block_small_until_it_is_private(void **state)
{
	struct gmem_file *f = file_of(6 * MB, WINDOWS);
	long nr;

	touch(f, 2 * MB)[0] = 1;
	touch(f, 3 * MB)[0] = 2;
	touch(f, 4 * MB)[0] = 3;
	nr = pool_free();
	assert_int_equal(level_at(f, 3 * MB), LEVEL_2M);
	assert_int_equal(convert(f, 3 * MB, PAGE, 0), 0);
	assert_false(is_huge(f, 2 * MB));
	assert_true(is_huge(f, 4 * MB));
	assert_int_equal(pool_free(), nr + 1);
	assert_int_equal(level_at(f, 3 * MB), LEVEL_4K);
	assert_int_equal(page_at(f, 2 * MB)[0], 1);
	assert_int_equal(page_at(f, 3 * MB)[0], 2);
	page_at(f, 3 * MB)[1] = 4;
	/* One more and one less make no difference. */
	assert_int_equal(convert(f, 2 * MB, 2 * PAGE, 0), 0);
	assert_int_equal(convert(f, 3 * MB, PAGE, P), 0);
	assert_false(is_huge(f, 2 * MB));
	assert_int_equal(convert(f, 2 * MB, 2 * PAGE, P), 0);
	assert_true(is_huge(f, 2 * MB));
	assert_int_equal(pool_free(), nr);
	assert_int_equal(level_at(f, 3 * MB), LEVEL_2M);
	assert_int_equal(page_at(f, 2 * MB)[0], 1);
	assert_int_equal(page_at(f, 3 * MB)[0], 2);
	assert_int_equal(page_at(f, 3 * MB)[1], 4);
	assert_int_equal(page_at(f, 4 * MB)[0], 3);
	close_file(f);
}

static void what_is_shared_at_first_is_small(void **state)
{
	struct gmem_file *f = file_of(4 * MB + PAGE, WINDOWS | GMEM_FILE_INIT_SHARED);

	touch(f, 0)[0] = 1;
	touch(f, 4 * MB)[0] = 2;
	assert_int_equal(store_backed(gmem_file_store(f)), 2 * PAGE);
	assert_int_equal(convert(f, 0, 4 * MB + PAGE, P), 0);
	assert_true(is_huge(f, 0));
	assert_false(is_huge(f, 4 * MB));
	assert_int_equal(touch(f, 0)[0], 1);
	assert_int_equal(touch(f, 4 * MB)[0], 2);
	assert_int_equal(convert(f, 0, 4 * MB + PAGE, 0), 0);
	assert_false(is_huge(f, 0));
	assert_int_equal(page_at(f, 0)[0], 1);
	close_file(f);
}

/* Who has an address of another page of the block loses it, too. */
static void consumers_hear_of_the_move_and_of_the_conversion(void **state)
{
	struct gmem_file *f = file_of(4 * MB, WINDOWS);
	struct recorder r[1] = { 0 };

	touch(f, 0)[0] = 1;
	recorders_add(r, 1, f);
	diary_clear();
	assert_int_equal(convert(f, 5 * PAGE, PAGE, 0), 0);
	assert_string_equal(diary(), "ab ae ab ae");
	assert_int_equal(r->last.kind, GMEM_CHANGE_CONVERT);
	diary_clear();
	assert_int_equal(convert(f, 6 * PAGE, PAGE, 0), 0);
	assert_string_equal(diary(), "ab ae");
	diary_clear();
	assert_int_equal(convert(f, 5 * PAGE, 2 * PAGE, P), 0);
	assert_string_equal(diary(), "ap ab ae ab ae");
	assert_int_equal(r->last.kind, GMEM_CHANGE_MOVE);
	assert_int_equal(r->last.offset, 0);
	assert_int_equal(r->last.size, 2 * MB);
	recorders_remove(r, 1);
	close_file(f);
}

static void what_is_refused_leaves_it_huge(void **state)
{
	const struct gmem_refused page = { 5 * PAGE, PAGE };
	struct gmem_file *f = file_of(4 * MB, WINDOWS);
	struct recorder r[1] = { 0 };
	uint64_t where;

	memset(touch(f, 0), 9, 2 * MB);
	recorders_add(r, 1, f);
	r->refuse = &page;
	r->nr_refuse = 1;
	/* A move is none of theirs to refuse; the conversion is. */
	assert_int_equal(convert(f, 5 * PAGE, PAGE, 0), 0);
	r->refuse_prepare = -EAGAIN;
	assert_int_equal(convert_where(f, 0, 2 * MB, P, &where), -EAGAIN);
	assert_int_equal(where, 5 * PAGE);
	assert_false(is_huge(f, 0));
	r->refuse_prepare = 0;
	assert_int_equal(convert(f, 5 * PAGE, PAGE, P), 0);
	assert_true(is_huge(f, 0));
	assert_int_equal(page_at(f, 2 * MB - 1)[0], 9);
	recorders_remove(r, 1);
	close_file(f);
}

static int refuse_conversion(struct gmem_consumer *c, const struct gmem_change *ch)
{
	return ch->kind == GMEM_CHANGE_CONVERT ? -ENOMEM : 0;
}

static void hear_no_more(struct gmem_consumer *c, const struct gmem_change *ch)
{
}

static void a_conversion_that_fails_later_puts_it_together_again(void **state)
{
	static const struct gmem_consumer_ops ops = { .begin = refuse_conversion,
						      .end = hear_no_more };
	struct gmem_file *f = file_of(4 * MB, WINDOWS);
	struct gmem_consumer c = { .ops = &ops };

	memset(touch(f, 0), 9, 2 * MB);
	gmem_file_add_consumer(f, &c);
	assert_int_equal(convert(f, 5 * PAGE, PAGE, 0), -ENOMEM);
	assert_true(all_are(f, 0, 4 * MB, P));
	assert_true(is_huge(f, 0));
	assert_int_equal(page_at(f, 5 * PAGE)[0], 9);
	gmem_file_remove_consumer(f, &c);
	close_file(f);
}

/* ---- a host that can have what is shared huge -------------------------------------------------- */

static struct {
	bool takes;
	int refuse; /* -errno of close */
	uint64_t closed;
	unsigned int nr_closed, nr_opened;
	struct gmem_file *file;
	bool huge_at_open;
} host;

static bool host_takes(struct gmem_consumer *c, uint64_t offset, uint64_t size)
{
	assert_int_equal(size, 2 * MB);
	return host.takes;
}

static int host_close(struct gmem_consumer *c, uint64_t offset, uint64_t size)
{
	if (host.refuse)
		return host.refuse;
	host.closed = offset;
	host.nr_closed++;
	return 0;
}

static void host_open(struct gmem_consumer *c, uint64_t offset, uint64_t size)
{
	assert_int_equal(offset, host.closed);
	host.nr_opened++;
	host.huge_at_open = is_huge(host.file, offset);
}

static int begin_all(struct gmem_consumer *c, const struct gmem_change *ch)
{
	return 0;
}

static const struct gmem_consumer_ops host_ops = {
	.begin = begin_all,
	.end = hear_no_more,
	.takes_huge = host_takes,
	.close = host_close,
	.open = host_open,
};
static struct gmem_consumer host_consumer = { .ops = &host_ops, .last = true };

static struct gmem_file *file_with_host(uint64_t size)
{
	struct gmem_file *f = file_of(size, WINDOWS | GMEM_FILE_HUGE_WINDOWS);

	memset(&host, 0, sizeof(host));
	host.takes = true;
	host.file = f;
	gmem_file_add_consumer(f, &host_consumer);
	return f;
}

static void close_with_host(struct gmem_file *f)
{
	gmem_file_remove_consumer(f, &host_consumer);
	close_file(f);
}

static void what_is_shared_all_through_stays_huge(void **state)
{
	struct gmem_file *f = file_with_host(4 * MB);

	touch(f, PAGE)[0] = 1;
	assert_int_equal(convert(f, 0, 2 * MB, 0), 0);
	assert_true(is_huge(f, 0));
	assert_int_equal(host.nr_closed, 0);
	/* The host needs no fault of ours for any page of it. */
	assert_int_equal(store_backed(gmem_file_store(f)), 2 * MB);
	assert_int_equal(level_at(f, PAGE), LEVEL_2M);
	assert_int_equal(convert(f, 2 * PAGE, PAGE, P), 0);
	assert_false(is_huge(f, 0));
	assert_int_equal(host.nr_closed, 1);
	assert_int_equal(host.nr_opened, 1);
	assert_false(host.huge_at_open);
	assert_int_equal(page_at(f, PAGE)[0], 1);
	page_at(f, PAGE)[1] = 2;
	assert_int_equal(convert(f, 2 * PAGE, PAGE, 0), 0);
	assert_true(is_huge(f, 0) && host.huge_at_open);
	assert_int_equal(host.nr_closed, 2);
	assert_int_equal(host.nr_opened, 2);
	assert_int_equal(page_at(f, PAGE)[1], 2);
	assert_int_equal(convert(f, 0, 4 * MB, P), 0);
	assert_true(is_huge(f, 0));
	assert_int_equal(host.nr_closed, 2);
	close_with_host(f);
}

static void what_is_held_in_a_shared_block_refuses(void **state)
{
	struct gmem_file *f = file_with_host(4 * MB);
	uint64_t where;

	touch(f, PAGE)[0] = 1;
	assert_int_equal(convert(f, 0, 2 * MB, 0), 0);
	host.refuse = -EAGAIN;
	assert_int_equal(convert_where(f, 2 * PAGE, PAGE, P, &where), -EAGAIN);
	assert_int_equal(where, 2 * PAGE);
	assert_int_equal(convert_where(f, 0, 4 * MB, P, &where), 0);
	assert_int_equal(convert(f, 0, 2 * MB, 0), 0);
	assert_true(all_are(f, 0, 2 * MB, 0) && is_huge(f, 0));
	assert_int_equal(gmem_file_punch(f, 0, PAGE), -EAGAIN);
	assert_int_equal(gmem_file_stay_small(f), -EAGAIN);
	assert_false(gmem_file_is_small(f));
	assert_int_equal(page_at(f, PAGE)[0], 1);
	host.refuse = 0;
	assert_int_equal(gmem_file_punch(f, 0, PAGE), 0);
	assert_false(is_huge(f, 0));
	assert_int_equal(page_at(f, PAGE)[0], 1);
	/* Held when it could go back: that is for the next time. */
	assert_int_equal(convert(f, 2 * PAGE, PAGE, P), 0);
	host.refuse = -EAGAIN;
	assert_int_equal(convert(f, 2 * PAGE, PAGE, 0), 0);
	assert_false(is_huge(f, 0));
	assert_int_equal(host.nr_closed, host.nr_opened);
	close_with_host(f);
}

static void a_file_that_stays_small_has_only_private_huge_pages(void **state)
{
	struct gmem_file *f = file_with_host(4 * MB);

	touch(f, 0)[0] = 1;
	assert_int_equal(convert(f, 0, 2 * MB, 0), 0);
	assert_int_equal(gmem_file_stay_small(f), 0);
	assert_false(is_huge(f, 0));
	assert_true(is_huge(f, 2 * MB));
	assert_int_equal(convert(f, 2 * MB, 2 * MB, 0), 0);
	assert_false(is_huge(f, 2 * MB));
	assert_int_equal(convert(f, 0, 2 * MB, P), 0);
	assert_true(is_huge(f, 0));
	assert_int_equal(page_at(f, 0)[0], 1);
	close_with_host(f);
}

static void write_by_window(struct gmem_file *f, uint64_t offset, uint8_t value)
{
	int fd = store_fd(store_huge(gmem_file_store(f)));
	uint8_t *window = mmap(NULL, 4 * MB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(window, MAP_FAILED);
	window[offset] = value;
	munmap(window, 4 * MB);
}

/* A conversion takes no memory, and nobody hears of a touch in a window: what is huge there is there in full. */
static void what_is_shared_and_huge_is_there_in_full(void **state)
{
	static const uint64_t punched[] = { 0, 5 * PAGE };
	struct gmem_file *f = file_with_host(4 * MB);

	assert_int_equal(convert(f, 0, 2 * MB, 0), 0);
	assert_false(is_huge(f, 0));
	assert_int_equal(store_backed(gmem_file_store(f)), 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(convert(f, 0, 2 * MB, P), 0);
		memset(touch(f, 0), 9, 2 * MB);
		assert_int_equal(gmem_file_punch(f, punched[i], PAGE), 0);
		assert_true(is_huge(f, 0));
		assert_int_equal(convert(f, 0, 2 * MB, 0), 0);
		assert_int_equal(page_at(f, punched[i])[0], 0);
		assert_int_equal(page_at(f, punched[i] + PAGE)[0], 9);
		assert_true(is_huge(f, 0));
		write_by_window(f, punched[i], 8);
		assert_int_equal(convert(f, 9 * PAGE, PAGE, P), 0);
		assert_false(is_huge(f, 0));
		assert_int_equal(page_at(f, punched[i])[0], 8);
	}
	close_with_host(f);
}

static void who_does_not_take_it_has_it_small(void **state)
{
	static const struct gmem_consumer_ops ops = { .begin = begin_all, .end = hear_no_more };
	struct gmem_consumer first = { .ops = &host_ops }, plain = { .ops = &ops, .last = true };
	struct gmem_file *f = file_with_host(4 * MB);

	touch(f, PAGE)[0] = 1;
	host.takes = false;
	assert_int_equal(convert(f, 0, 2 * MB, 0), 0);
	assert_false(is_huge(f, 0));
	assert_int_equal(page_at(f, PAGE)[0], 1);
	assert_false(gmem_file_shares_huge(f, 0, 4 * MB));
	gmem_file_remove_consumer(f, &host_consumer);
	/* One that is not the host, and a host that cannot. */
	gmem_file_add_consumer(f, &first);
	gmem_file_add_consumer(f, &plain);
	host.takes = true;
	assert_int_equal(convert(f, 0, 2 * MB, P), 0);
	assert_int_equal(convert(f, 0, 2 * MB, 0), 0);
	assert_false(is_huge(f, 0));
	gmem_file_remove_consumer(f, &first);
	gmem_file_remove_consumer(f, &plain);
	close_file(f);
}

static void what_is_small_says_so(void **state)
{
	struct gmem_file *f = file_of(4 * MB, GMEM_FILE_MMAP);

	assert_true(gmem_file_is_small(f));
	assert_int_equal(gmem_file_stay_small(f), 0);
	assert_false(gmem_file_shares_huge(f, 0, 4 * MB));
	close_file(f);
	f = file_with_host(4 * MB);
	touch(f, 0)[0] = 1;
	assert_false(gmem_file_is_small(f));
	assert_int_equal(convert(f, 0, 2 * MB, 0), 0);
	assert_true(gmem_file_shares_huge(f, 2 * MB - PAGE, 2 * MB));
	assert_false(gmem_file_shares_huge(f, 2 * MB, 2 * MB));
	host.refuse = -EAGAIN;
	assert_int_equal(gmem_file_stay_small(f), -EAGAIN);
	assert_true(gmem_file_shares_huge(f, 0, PAGE));
	/* Nothing is huge any more that is not yet. */
	touch(f, 2 * MB)[0] = 1;
	assert_int_equal(convert(f, 2 * MB, 2 * MB, 0), 0);
	assert_false(is_huge(f, 2 * MB));
	host.refuse = 0;
	assert_int_equal(gmem_file_stay_small(f), 0);
	assert_true(gmem_file_is_small(f) && !is_huge(f, 0));
	assert_int_equal(gmem_file_stay_small(f), 0);
	close_with_host(f);
	f = file_with_host(4 * MB);
	gmem_file_release(f);
	assert_int_equal(gmem_file_stay_small(f), 0);
	assert_false(gmem_file_is_small(f));
	close_with_host(f);
}

static void without_memory_for_small_pages_a_shared_block_stays(void **state)
{
	struct gmem_file *f = file_with_host(2 * MB);
	struct os_fail_seen seen;

	touch(f, 0)[0] = 1;
	assert_int_equal(convert(f, 0, 2 * MB, 0), 0);
	os_fail_arm(
		&(struct os_fail_plan){ .points = 1u << OS_FAIL_POPULATE, .first = 0, .nr = 1 });
	assert_int_equal(convert(f, PAGE, PAGE, P), -ENOMEM);
	os_fail_disarm(&seen);
	assert_int_equal(seen.nr_failed, 1);
	assert_true(is_huge(f, 0) && host.huge_at_open);
	assert_int_equal(host.nr_opened, host.nr_closed);
	assert_int_equal(page_at(f, 0)[0], 1);
	close_with_host(f);
}

static void without_memory_for_small_pages_nothing_changes(void **state)
{
	struct gmem_file *f = file_of(4 * MB, WINDOWS);
	struct os_fail_seen seen;

	memset(touch(f, 0), 9, 2 * MB);
	memset(touch(f, 2 * MB), 8, 2 * MB);
	/* The first block has moved already. */
	os_fail_arm(
		&(struct os_fail_plan){ .points = 1u << OS_FAIL_POPULATE, .first = 1, .nr = 1 });
	assert_int_equal(convert(f, 0, 4 * MB, 0), -ENOMEM);
	os_fail_disarm(&seen);
	assert_int_equal(seen.nr_failed, 1);
	assert_true(all_are(f, 0, 4 * MB, P));
	assert_true(is_huge(f, 0) && is_huge(f, 2 * MB));
	assert_int_equal(page_at(f, 0)[0], 9);
	assert_int_equal(page_at(f, 4 * MB - 1)[0], 8);
	assert_int_equal(store_backed(gmem_file_store(f)), 4 * MB);
	assert_int_equal(convert(f, 0, 4 * MB, 0), 0);
	assert_int_equal(page_at(f, 4 * MB - 1)[0], 8);
	close_file(f);
}

static void without_a_huge_page_it_is_private_and_small(void **state)
{
	struct gmem_file *f = file_of(2 * MB, WINDOWS);
	struct store *other;

	touch(f, PAGE)[0] = 1;
	assert_int_equal(convert(f, 0, PAGE, 0), 0);
	other = make_store((uint64_t)pool_free() * BLOCK, STORE_2M);
	assert_int_equal(convert(f, 0, PAGE, P), 0);
	assert_false(is_huge(f, 0));
	assert_int_equal(page_at(f, PAGE)[0], 1);
	store_destroy(other);
	assert_int_equal(convert(f, 0, PAGE, 0), 0);
	assert_int_equal(convert(f, 0, PAGE, P), 0);
	assert_true(is_huge(f, 0));
	assert_int_equal(touch(f, PAGE)[0], 1);
	close_file(f);
}

static void a_limit_counts_what_each_block_takes(void **state)
{
	struct gmem_limit *limit;
	struct gmem_file *f;
	void *addr;
	int level;

	assert_int_equal(gmem_limit_create(2 * MB + PAGE, &limit), 0);
	f = file_of(4 * MB, WINDOWS | GMEM_FILE_INIT_SHARED);
	gmem_file_set_limit(f, limit);
	touch(f, 0)[0] = 1;
	touch(f, 2 * MB)[0] = 2;
	assert_int_equal(gmem_limit_used(limit), 2 * PAGE);
	/* The first has room for a huge page, the second then has none. */
	assert_int_equal(convert(f, 0, 2 * MB, P), 0);
	assert_true(is_huge(f, 0));
	assert_int_equal(convert(f, 2 * MB, 2 * MB, P), 0);
	assert_false(is_huge(f, 2 * MB));
	assert_int_equal(gmem_limit_used(limit), 2 * MB + PAGE);
	assert_int_equal(gmem_file_page(f, 3 * MB, &addr, &level), -ENOMEM);
	assert_int_equal(convert(f, 0, PAGE, 0), 0);
	assert_int_equal(gmem_limit_used(limit), 2 * MB + PAGE);
	assert_int_equal(touch(f, 0)[0], 1);
	assert_int_equal(touch(f, 2 * MB)[0], 2);
	/* An empty one is as large as the page that it would take. */
	assert_int_equal(gmem_file_punch(f, 0, 2 * MB), 0);
	assert_int_equal(convert(f, 0, PAGE, P), 0);
	assert_true(is_huge(f, 0));
	assert_int_equal(gmem_file_page(f, 0, &addr, &level), 0);
	assert_int_equal(gmem_limit_used(limit), 2 * MB + PAGE);
	close_file(f);
	gmem_limit_put(limit);
}

static void without_memory_for_the_bits_there_is_no_store(void **state)
{
	uint64_t before = os_alloc_live();
	long nr = pool_free();
	struct store *s = NULL;

	for (int allowed = 0; allowed < 16; allowed++) {
		allow_allocs(allowed);
		if (!store_create_mixed(2 * BLOCK, STORE_2M, true, &s))
			break;
		assert_int_equal(os_alloc_live(), before);
		assert_int_equal(pool_free(), nr);
	}
	allow_allocs(ALLOW_ALL);
	assert_non_null(s);
	store_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_for_its_whole_blocks_are_set_aside),
		cmocka_unit_test(a_block_that_moves_keeps_what_is_in_it),
		cmocka_unit_test(an_empty_block_takes_no_memory_to_move),
		cmocka_unit_test(without_a_page_in_the_pool_a_block_is_small),
		cmocka_unit_test(contents_are_those_of_a_model),
		cmocka_unit_test(one_shared_page_makes_its_block_small_until_it_is_private),
		cmocka_unit_test(what_is_shared_at_first_is_small),
		cmocka_unit_test(consumers_hear_of_the_move_and_of_the_conversion),
		cmocka_unit_test(what_is_refused_leaves_it_huge),
		cmocka_unit_test(a_conversion_that_fails_later_puts_it_together_again),
		cmocka_unit_test(without_memory_for_small_pages_nothing_changes),
		cmocka_unit_test(without_a_huge_page_it_is_private_and_small),
		cmocka_unit_test(a_limit_counts_what_each_block_takes),
		cmocka_unit_test(without_memory_for_the_bits_there_is_no_store),
		cmocka_unit_test(what_is_shared_all_through_stays_huge),
		cmocka_unit_test(what_is_held_in_a_shared_block_refuses),
		cmocka_unit_test(a_file_that_stays_small_has_only_private_huge_pages),
		cmocka_unit_test(what_is_shared_and_huge_is_there_in_full),
		cmocka_unit_test(who_does_not_take_it_has_it_small),
		cmocka_unit_test(what_is_small_says_so),
		cmocka_unit_test(without_memory_for_small_pages_a_shared_block_stays),
	};

	return pool_run(WANTED, tests);
}
