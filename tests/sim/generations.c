/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The orders in which generations before guest_memfd freed pages and told who had them mapped (docs/generations.md),
 * as variants of core's punch, with the races that were found in them; and core's own, with the same actors.
 *
 *	posted_free_then_tell		v8: the pages go, then their users hear of it
 *	posted_tell_then_free		its first repair: the other way round, and nothing that keeps users out
 *	posted_lock_dropped		v10: told before and behind, and the lock is free in between
 *	posted_bytes_for_pages		v8: told of bytes, and who hears takes them for pages
 *	order_bracketed			gmem's, and guest_memfd's since v13
 *
 * The first three are broken on purpose: gmem-sim runs them when they are named, and tests/sim/broken looks that they
 * are found.
 */
#include "actors.h"

#include "core/file_private.h"
#include "mmu/mmu_private.h"

#define ALL (SIM_RANDOM | SIM_PCT | SIM_EXHAUSTIVE)
#define ALL_SHARED (GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED)

static bool mmu_is_free(void *unused)
{
	return !sim_mutex_holder(&world.mmu->lock);
}

/* One step: whatever has been told, nobody may have the page when it goes. */
static void look_before_free(unsigned int page)
{
	int level;

	sim_wait_for(mmu_is_free, NULL, "the mmu lock, to look");
	sim_alone_begin();
	level = mmu_mapped_level(world.mmu, (BASE + page) * PAGE);
	sim_alone_end();
	if (level >= 0)
		sim_fail("translation: a page is freed, and a guest has it mapped");
}

static void free_page(struct gmem_file *f, unsigned int page)
{
	look_before_free(page);
	sim_assert(!store_punch(f->store, page * PAGE, PAGE));
}

static struct gmem_change discard(struct gmem_file *f)
{
	return (struct gmem_change){
		.kind = GMEM_CHANGE_DISCARD,
		.size = PAGE,
		.filter = GMEM_FILTER_SHARED,
		.file = f,
	};
}

static void tell(struct gmem_file *f)
{
	struct gmem_change ch = discard(f);

	os_rwlock_write_lock(&f->invalidate);
	sim_assert(!bracket_begin(f, &ch));
	bracket_end(f, &ch);
	os_rwlock_write_unlock(&f->invalidate);
}

static void frees_then_tells(void *arg)
{
	struct actor *a = arg;

	sim_assert(!store_punch(a->file->file->store, 0, PAGE));
	sim_point();
	tell(a->file->file);
}

static void tells_then_frees(void *arg)
{
	struct actor *a = arg;

	tell(a->file->file);
	sim_point();
	free_page(a->file->file, 0);
}

/* In the right order, and of other pages: the second page's first byte is number 4096, and so is the page that is told. */
static void tells_of_bytes(void *arg)
{
	struct actor *a = arg;
	struct gmem_file *f = a->file->file;
	struct gmem_change ch = discard(f);

	ch.offset = PAGE * PAGE;
	ch.size = PAGE * PAGE;
	os_rwlock_write_lock(&f->invalidate);
	sim_assert(!bracket_begin(f, &ch));
	free_page(f, 1);
	bracket_end(f, &ch);
	os_rwlock_write_unlock(&f->invalidate);
}

/* Who has come in between hears of an end alone. */
static void drops_the_lock(void *arg)
{
	struct actor *a = arg;
	struct gmem_file *f = a->file->file;
	struct gmem_change ch = discard(f);
	struct gmem_consumer *c;

	os_rwlock_write_lock(&f->invalidate);
	ch.generation = ++f->generation;
	for (c = f->consumers; c; c = c->next)
		sim_assert(!c->ops->begin(c, &ch));
	os_rwlock_write_unlock(&f->invalidate);
	sim_assert(!store_punch(f->store, 0, PAGE));
	os_rwlock_write_lock(&f->invalidate);
	for (c = f->consumers; c; c = c->next)
		c->ops->end(c, &ch);
	os_rwlock_write_unlock(&f->invalidate);
}

/* As v10's KVM: counts the changes that are under way, and lets nobody fault while there are any. */
struct counter {
	struct gmem_consumer consumer;
	int in_progress;
};

static int count_begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	((struct counter *)c)->in_progress++;
	return 0;
}

static void count_end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	if (--((struct counter *)c)->in_progress < 0)
		sim_fail("bracket: an end without begin, and -1 changes are in progress");
}

static void registers(void *arg)
{
	static const struct gmem_consumer_ops ops = { .begin = count_begin, .end = count_end };
	struct actor *a = arg;
	struct counter c = { .consumer.ops = &ops };

	gmem_file_add_consumer(a->file->file, &c.consumer);
	sim_point();
	gmem_file_remove_consumer(a->file->file, &c.consumer);
	if (c.in_progress)
		sim_fail("bracket: %d changes are in progress for who has left", c.in_progress);
}

static void punches(void *arg)
{
	struct actor *a = arg;

	sim_assert(!gmem_file_punch(a->file->file, 0, PAGE));
}

/* ---- scenarios ----------------------------------------------------------------------------------- */

static struct world_file *pages(unsigned int nr)
{
	struct world_file *f;

	world_make(false);
	f = world_file(ALL_SHARED, nr);
	world_slot(0, BASE, nr, 0, 0, f->file, 0);
	return f;
}

static void setup_free_then_tell(void)
{
	struct world_file *f = pages(1);

	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .turns = 2 });
	act("puncher", frees_then_tells, (struct actor){ .file = f });
}

SIM_SCENARIO(posted_free_then_tell) = {
	.about =
		"v8: pages are freed before their users are told: what a guest writes in between is in a "
		"page that is not its own",
	.searches = ALL,
	.is_broken = true,
	.setup = setup_free_then_tell,
	.teardown = world_unmake,
};

static void setup_with(void (*order)(void *))
{
	struct world_file *f = pages(1);

	f->host.blind = true;
	act("guest", guest_restless, (struct actor){ .guest = world_guest("guest"), .turns = 2 });
	act("puncher", order, (struct actor){ .file = f });
}

static void setup_tell_then_free(void)
{
	setup_with(tells_then_frees);
}

SIM_SCENARIO(posted_tell_then_free) = {
	.about =
		"users are told before pages are freed, and nothing keeps them out: a fault in the gap maps "
		"a page that goes",
	.searches = ALL,
	.is_broken = true,
	.setup = setup_tell_then_free,
	.teardown = world_unmake,
};

static void setup_lock_dropped(void)
{
	struct world_file *f = pages(1);

	act("other VM", registers, (struct actor){ .file = f });
	act("puncher", drops_the_lock, (struct actor){ .file = f });
}

SIM_SCENARIO(posted_lock_dropped) = {
	.about = "v10: who registers between the two calls of a punch hears of its end alone",
	.searches = ALL,
	.is_broken = true,
	.setup = setup_lock_dropped,
	.teardown = world_unmake,
};

static void setup_bytes_for_pages(void)
{
	struct world_file *f = pages(2);

	f->host.blind = true;
	act("guest", guest_restless,
	    (struct actor){ .guest = world_guest("guest"), .first = 1, .turns = 2 });
	act("puncher", tells_of_bytes, (struct actor){ .file = f });
}

SIM_SCENARIO(posted_bytes_for_pages) = {
	.about =
		"v8: a punch tells in bytes what its users take for pages: who has the page hears of another",
	.searches = ALL,
	.is_broken = true,
	.setup = setup_bytes_for_pages,
	.teardown = world_unmake,
};

static void look_at_reclaim(void *type, uint64_t offset, uint64_t size)
{
	look_before_free(0);
}

static const struct gmem_type_ops looks = { .reclaim = look_at_reclaim };

static void setup_bracketed(void)
{
	struct world_file *f = pages(1);

	gmem_file_set_type(f->file, &looks, NULL);
	act("guest", guest_restless, (struct actor){ .guest = world_guest("guest"), .turns = 2 });
	act("other VM", registers, (struct actor){ .file = f });
	act("puncher", punches, (struct actor){ .file = f });
}

SIM_SCENARIO(order_bracketed) = {
	.about =
		"users are told before and behind, under one lock: nobody has the page when it goes, and who "
		"comes hears of all or nothing",
	.searches = ALL,
	.setup = setup_bracketed,
	.teardown = world_unmake,
};
