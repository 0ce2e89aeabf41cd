/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Scenarios of our own design: where its parts meet. Entering and shooting down, tables that are freed under a walk,
 * the dirty log, memory that the program maps anew, prefaults, a consumer that is slow, and everybody at once.
 */
#include "actors.h"

#include <errno.h>

#include "core/limit.h"

#define ALL (SIM_RANDOM | SIM_PCT | SIM_EXHAUSTIVE)
#define MIXED (SIM_RANDOM | SIM_PCT)
#define IN_PLACE (GMEM_FILE_IN_PLACE | GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED)

static void memory_slot(uint64_t nr, uint32_t flags)
{
	world_make(false);
	world_slot(0, BASE, nr, 0, flags, NULL, 0);
}

/* ---- vCPUs and shootdowns ---------------------------------------------------------------------- */

static void setup_enter(void)
{
	world_make(true);
	world_slot(0, BASE, 1, 0, 0, NULL, 0);
	act("guest", guest_restless, (struct actor){ .guest = world_guest("guest"), .turns = 2 });
	act("converter", gfn_converter, (struct actor){ .turns = 1 });
}

SIM_SCENARIO(mmu_enter_against_shootdown) = {
	.about =
		"a vCPU enters with what it had cached while a shootdown looks whether it is inside: "
		"one of the two sees the other",
	.searches = ALL,
	.preemptions = 3,
	.setup = setup_enter,
	.teardown = world_unmake,
};

static void setup_two_shootdowns(void)
{
	world_make(true);
	world_slot(0, BASE, 2, 0, 0, NULL, 0);
	act("guest", guest_touches,
	    (struct actor){ .guest = world_guest("guest"), .nr = 2, .turns = 2 });
	act("other guest", guest_restless,
	    (struct actor){ .guest = world_guest("other guest"), .turns = 2 });
	act("converter", gfn_converter, (struct actor){ .turns = 2 });
	act("remapper", remapper, (struct actor){ .first = 1, .turns = 2 });
}

SIM_SCENARIO(mmu_two_shootdowns) = {
	.about = "two shootdowns wait for the same vCPUs, which flush once for both: nobody sleeps "
		 "for good",
	.searches = MIXED,
	.setup = setup_two_shootdowns,
	.teardown = world_unmake,
};

/* Until then a block of guest code lasts. */
static struct mmu_vcpu *slow_vcpu;
static struct sim_fibre *changer;
static bool dawdled;

static bool is_waited_for(void *arg)
{
	if (sim_fibre_done(changer))
		return true;
	switch (*(unsigned int *)arg) {
	case 0:
		return walk_waiters(slow_vcpu);
	case 1:
		return mmu_vcpu_requests(slow_vcpu) & MMU_REQ_FLUSH;
	default:
		return walk_gives_up(slow_vcpu);
	}
}

static void dawdles(void *arg)
{
	struct actor *a = arg;
	unsigned int until;

	slow_vcpu = a->guest->v;
	for (unsigned int i = 0; i < a->turns; i++) {
		guest_enter(a->guest);
		guest_access(a->guest, BASE, true);
		dawdled = true;
		until = sim_choose(3);
		sim_wait_for(is_waited_for, &until, "the end of the block");
		if (sim_choose(2))
			guest_poll(a->guest);
		guest_leave(a->guest);
	}
}

static bool has_dawdled(void *arg)
{
	return dawdled;
}

/* Not before the vCPU has what will be taken from it. */
static void converts_later(void *arg)
{
	sim_wait_for(has_dawdled, NULL, "a vCPU that has the page");
	gfn_converter(arg);
}

static void setup_sleep(void)
{
	static struct actor change = { .nr = 1, .turns = 1 };

	world_make(true);
	world_slot(0, BASE, 1, 0, 0, NULL, 0);
	dawdled = false;
	changer = sim_spawn("converter", converts_later, &change);
	act("guest", dawdles, (struct actor){ .guest = world_guest("guest") });
}

SIM_SCENARIO(mmu_shootdown_sleeps) = {
	.about = "a vCPU flushes or leaves just when a shootdown goes to sleep for it: it is woken",
	.searches = ALL,
	.setup = setup_sleep,
	.teardown = world_unmake,
};

static void setup_two_sleepers(void)
{
	static struct actor change = { .nr = 1, .turns = 2 };

	world_make(true);
	world_slot(0, BASE, 2, 0, 0, NULL, 0);
	dawdled = false;
	changer = sim_spawn("converter", converts_later, &change);
	act("guest", dawdles, (struct actor){ .guest = world_guest("guest"), .turns = 2 });
	act("other guest", guest_restless,
	    (struct actor){ .guest = world_guest("other guest"), .turns = 2 });
	act("remapper", remapper, (struct actor){ .nr = 2, .whole = true });
}

SIM_SCENARIO(mmu_two_shootdowns_sleep) = {
	.about = "two shootdowns sleep for one vCPU, and wait for another: both are woken",
	.searches = MIXED,
	.setup = setup_two_sleepers,
	.teardown = world_unmake,
};

static struct sim_fibre *changers[2];

static bool changers_done(void)
{
	return sim_fibre_done(changers[0]) && sim_fibre_done(changers[1]);
}

/* Never leaves before the others are done. */
static void stays(void *arg)
{
	struct actor *a = arg;

	guest_enter(a->guest);
	guest_access(a->guest, BASE, true);
	while (!changers_done()) {
		guest_poll(a->guest);
		os_yield();
	}
	guest_leave(a->guest);
}

static void setup_stays(void)
{
	static struct actor change, remap;

	change = (struct actor){ .first = 1, .nr = 1, .turns = 2 };
	remap = (struct actor){ .first = 2, .nr = 1, .turns = 2 };
	world_make(true);
	world_slot(0, BASE, 3, 0, 0, NULL, 0);
	changers[0] = sim_spawn("converter", gfn_converter, &change);
	changers[1] = sim_spawn("remapper", remapper, &remap);
	act("guest", stays, (struct actor){ .guest = world_guest("guest") });
}

SIM_SCENARIO(mmu_guest_never_leaves) = {
	.about = "two shootdowns of a vCPU that never leaves: a request to flush is not lost",
	.searches = MIXED,
	.max_points = 50000,
	.setup = setup_stays,
	.teardown = world_unmake,
};

/* ---- tables ------------------------------------------------------------------------------------ */

static void setup_tables(void)
{
	world_make(false);
	world_watch(FAR, 2);
	world_slot(0, BASE, 2, 0, 0, NULL, 0);
	world_slot(1, FAR, 2, 4, 0, NULL, 0);
	act("guest", guest_touches,
	    (struct actor){ .guest = world_guest("guest"), .nr = 2, .turns = 2 });
	act("far guest", guest_restless,
	    (struct actor){ .guest = world_guest("far guest"),
			    .first = (unsigned int)(FAR - BASE),
			    .turns = 2 });
	act("slot changer", slot_changer, (struct actor){ .turns = 2 });
	act("far slot changer", slot_changer, (struct actor){ .slot = 1 });
}

SIM_SCENARIO(mmu_tables_freed_under_a_walk) = {
	.about =
		"page tables are unlinked while vCPUs walk them, and used again elsewhere: not before "
		"nobody walks them",
	.searches = MIXED,
	.setup = setup_tables,
	.teardown = world_unmake,
};

static void setup_table_replaced(void)
{
	world_make(true);
	world_slot(0, BASE, 512, 0, 0, NULL, 0);
	/* So that the first leaves are small, and a larger one replaces their table. */
	sim_assert(!mmu_set_attributes(world.mmu, BASE + 11, 1, ATTR_PRIVATE));
	act("guest", guest_touches,
	    (struct actor){ .guest = world_guest("guest"), .nr = 10, .turns = 2 });
	act("other guest", guest_restless,
	    (struct actor){ .guest = world_guest("other guest"), .first = 3, .turns = 2 });
	act("sharer", gfn_converter, (struct actor){ .first = 11, .turns = 2 });
}

SIM_SCENARIO(mmu_table_replaced_under_a_walk) = {
	.about = "a table of small leaves gives way to one large leaf while vCPUs walk it",
	.searches = MIXED,
	.setup = setup_table_replaced,
	.teardown = world_unmake,
};

static void setup_move(void)
{
	memory_slot(2, 0);
	world_watch(FAR, 2);
	act("guest", guest_touches,
	    (struct actor){ .guest = world_guest("guest"), .nr = 2, .turns = 2 });
	act("far guest", guest_restless,
	    (struct actor){ .guest = world_guest("far guest"),
			    .first = (unsigned int)(FAR - BASE),
			    .turns = 2 });
	act("mover", slot_mover, (struct actor){ .turns = 1 });
}

SIM_SCENARIO(mmu_slot_moves_under_a_fault) = {
	.about = "a memslot moves and comes back while vCPUs fault at both places",
	.searches = MIXED,
	.setup = setup_move,
	.teardown = world_unmake,
};

/* ---- the dirty log ----------------------------------------------------------------------------- */

static void all_copied(void)
{
	for (unsigned int i = 0; i < NR_PAGES; i++)
		world.pages[i].copied = true;
	world.logged = true;
}

static void setup_dirty_log(void)
{
	memory_slot(2, MEMSLOT_LOG_DIRTY);
	all_copied();
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .turns = 2 });
	act("logger", dirty_logger, (struct actor){ .turns = 2 });
}

SIM_SCENARIO(mmu_no_write_escapes_the_log) = {
	.about = "a log is taken while the guest writes: what it does not tell is as it was copied",
	.searches = ALL,
	.setup = setup_dirty_log,
	.teardown = world_unmake,
};

static void setup_logs(void)
{
	memory_slot(3, MEMSLOT_LOG_DIRTY);
	all_copied();
	act("guest", guest_runs,
	    (struct actor){ .guest = world_guest("guest"), .nr = 3, .turns = 3 });
	act("other guest", guest_runs,
	    (struct actor){ .guest = world_guest("other guest"), .nr = 3, .turns = 3 });
	act("logger", dirty_logger, (struct actor){ .turns = 3 });
	act("switcher", log_switcher, (struct actor){ .turns = 2 });
}

SIM_SCENARIO(mmu_logs_and_switches) = {
	.about = "logs are taken and cleared in both ways, switched off and on, beside two vCPUs",
	.searches = MIXED,
	.setup = setup_logs,
	.teardown = world_unmake,
};

/* ---- memory of the program --------------------------------------------------------------------- */

static void setup_remap(void)
{
	memory_slot(2, 0);
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .nr = 2 });
	act("remapper", remapper, (struct actor){ .nr = 2, .whole = true });
}

SIM_SCENARIO(mmu_memory_mapped_anew) = {
	.about =
		"memory behind a memslot is mapped anew while a vCPU faults it in: nobody has it in "
		"between",
	.searches = ALL,
	.setup = setup_remap,
	.teardown = world_unmake,
};

static void setup_remap_in_place(void)
{
	struct world_file *f;

	world_make(true);
	f = world_file(GMEM_FILE_IN_PLACE | GMEM_FILE_INIT_SHARED, 2);
	world_slot(0, BASE, 2, 0, 0, f->file, 0);
	act("guest", guest_touches,
	    (struct actor){ .guest = world_guest("guest"), .nr = 2, .turns = 2 });
	act("converter", converter, (struct actor){ .file = f, .nr = 2, .turns = 2, .sole = true });
	act("remapper", remapper, (struct actor){ .nr = 2, .turns = 2 });
}

SIM_SCENARIO(mmu_memory_mapped_anew_behind_a_file) = {
	.about = "pages change between memory and file while that memory is mapped anew",
	.searches = MIXED,
	.setup = setup_remap_in_place,
	.teardown = world_unmake,
};

/* ---- prefaults --------------------------------------------------------------------------------- */

static void setup_prefault(void)
{
	struct world_file *f;

	world_make(true);
	f = world_file(IN_PLACE, 3);
	world_slot(0, BASE, 3, 0, 0, f->file, 0);
	act("prefaulter", prefaulter,
	    (struct actor){ .guest = world_guest("prefaulter"), .nr = 3 });
	act("converter", converter, (struct actor){ .file = f, .nr = 3, .turns = 2, .sole = true });
	act("slot changer", slot_changer, (struct actor){ .turns = 1 });
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .nr = 3 });
}

SIM_SCENARIO(mmu_prefault_against_change) = {
	.about = "pages are faulted in ahead while they convert and their memslot goes",
	.searches = MIXED,
	.setup = setup_prefault,
	.teardown = world_unmake,
};

/* ---- a consumer that is slow ------------------------------------------------------------------- */

static struct sim_fibre *quick;

static bool quick_is_done(void)
{
	return sim_fibre_done(quick);
}

static void quick_guest(void *arg)
{
	guest_touches(arg);
}

static void setup_slow(void)
{
	static struct actor elsewhere;
	struct world_file *f;

	world_make(true);
	f = world_file(IN_PLACE, 2);
	world_slot(0, BASE, 2, 0, 0, f->file, 0);
	world_slot(1, BASE + 4, 2, 4, 0, NULL, 0);
	f->host.slow = quick_is_done;
	elsewhere = (struct actor){
		.guest = world_guest("quick guest"), .first = 4, .nr = 2, .turns = 2
	};
	quick = sim_spawn("quick guest", quick_guest, &elsewhere);
	act("guest", guest_restless, (struct actor){ .guest = world_guest("guest"), .turns = 2 });
	act("converter", converter,
	    (struct actor){ .file = f, .nr = 2, .turns = 1, .whole = true, .sole = true });
	act("punch", puncher, (struct actor){ .file = f, .nr = 2 });
}

SIM_SCENARIO(mmu_slow_consumer) = {
	.about =
		"a consumer takes its time over begin: who has no page of the file does not wait for "
		"it, and nobody waits for good",
	.searches = MIXED,
	.setup = setup_slow,
	.teardown = world_unmake,
};

/* ---- everybody --------------------------------------------------------------------------------- */

struct role {
	const char *name;
	void (*fn)(void *arg);
	struct actor actor;
};

static void cast(const struct role *roles, unsigned int nr)
{
	const struct role *r = &roles[sim_choose(nr)];

	act(r->name, r->fn, r->actor);
}

static void setup_everybody_in_place(void)
{
	static const unsigned int flags[] = { IN_PLACE, GMEM_FILE_IN_PLACE,
					      GMEM_FILE_IN_PLACE | GMEM_FILE_INIT_SHARED };
	static const unsigned int sizes[] = { 4, 512 };
	struct world_file *f;

	world_make(true);
	f = world_file(flags[sim_choose(3)], sizes[sim_choose(2)]);
	f->host.refuses = true;
	world_slot(0, BASE, gmem_file_size(f->file) / PAGE, 0, 0, f->file, 0);
	const struct role guests[] = {
		{ "guest", guest_runs, { .guest = world_guest("guest"), .nr = 4, .turns = 3 } },
		{ "guest", guest_restless, { .guest = &world.guests[0], .turns = 3 } },
	};
	const struct role changing[] = {
		{ "converter", converter, { .file = f, .nr = 4, .turns = 3 } },
		{ "puncher", puncher, { .file = f, .nr = 4, .turns = 2 } },
	};
	const struct role others[] = {
		{ "slot changer", slot_changer, { .turns = 2 } },
		{ "host", host_runs, { .file = f, .nr = 4, .turns = 3 } },
		{ "pinner", pinner, { .file = f, .nr = 4, .turns = 2 } },
		{ "visitor", visitor, { .file = f, .turns = 2 } },
		{ "allocator", allocator, { .file = f, .nr = 4 } },
		{ "other converter", converter, { .file = f, .nr = 4, .turns = 3 } },
		/* One of each at the most: */
		{ "closer", closer, { .file = f } },
		{ "prefaulter", prefaulter, { .guest = world_guest("prefaulter"), .nr = 4 } },
		{ "remapper", remapper, { .nr = 4 } },
	};

	cast(guests, 2);
	cast(changing, 2);
	cast(others, 9);
	cast(others, 6);
}

SIM_SCENARIO(everybody_in_place) = {
	.about = "four of all that can happen to a file that converts in place, drawn by lot",
	.searches = MIXED,
	.share = 6,
	.setup = setup_everybody_in_place,
	.teardown = world_unmake,
};

static void setup_everybody_by_gfn(void)
{
	static const unsigned int sizes[] = { 4, 512 };
	struct world_file *f;

	world_make(true);
	world_watch(FAR, 4);
	f = world_file(0, sizes[sim_choose(2)]);
	world_slot(0, BASE, gmem_file_size(f->file) / PAGE, 0, 0, f->file, 0);
	const struct role guests[] = {
		{ "guest", guest_runs, { .guest = world_guest("guest"), .nr = 4, .turns = 3 } },
		{ "guest", guest_restless, { .guest = &world.guests[0], .turns = 3 } },
	};
	const struct role changing[] = {
		{ "converter", gfn_converter, { .nr = 4, .turns = 3 } },
		{ "mover", slot_mover, { .turns = 1 } },
	};
	const struct role others[] = {
		{ "slot changer", slot_changer, { .turns = 2 } },
		{ "puncher", puncher, { .file = f, .nr = 4, .turns = 2 } },
		{ "program", program, { .nr = 4, .turns = 2 } },
		{ "other converter", gfn_converter, { .nr = 4, .turns = 3 } },
		/* One of each at the most: */
		{ "closer", closer, { .file = f } },
		{ "prefaulter", prefaulter, { .guest = world_guest("prefaulter"), .nr = 4 } },
		{ "remapper", remapper, { .nr = 4 } },
	};

	cast(guests, 2);
	cast(changing, 2);
	cast(others, 7);
	cast(others, 4);
}

SIM_SCENARIO(everybody_by_gfn) = {
	.about = "four of all that can happen to a VM whose attributes say what is private",
	.searches = MIXED,
	.share = 6,
	.setup = setup_everybody_by_gfn,
	.teardown = world_unmake,
};

/* ---- limits ------------------------------------------------------------------------------------ */

static struct gmem_limit *limit;
static unsigned int nr_taken;

/* A guest's fault on a page of its own, as mmu_fault() makes it. */
static void takes_page(void *arg)
{
	struct actor *a = arg;
	struct gmem_file *f = a->file->file;
	void *addr;
	int level, err;

	gmem_file_fault_begin(f);
	err = gmem_file_page(f, a->first * PAGE, &addr, &level);
	gmem_file_fault_end(f);
	sim_note("page %u: %d", a->first, err);
	sim_assert(!err || err == -ENOMEM);
	nr_taken += !err;
}

static void must_be_one(void *unused)
{
	if (nr_taken != 1 || gmem_limit_used(limit) != PAGE)
		sim_fail("limit: %u got a page where there is room for one, and %u bytes are held",
			 nr_taken, (unsigned int)gmem_limit_used(limit));
}

static void setup_limit(void)
{
	struct world_file *f;

	world_make(false);
	f = world_file(IN_PLACE, 2);
	nr_taken = 0;
	sim_assert(!gmem_limit_create(PAGE, &limit));
	gmem_file_set_limit(f->file, limit);
	gmem_limit_put(limit);
	act("guest", takes_page, (struct actor){ .file = f });
	act("other guest", takes_page, (struct actor){ .file = f, .first = 1 });
	sim_invariant(SIM_AT_END, must_be_one, NULL);
}

SIM_SCENARIO(limit_two_in_one_room) = {
	.about = "two faults meet at a limit that has room for one page: one of them gets it",
	.searches = ALL,
	.setup = setup_limit,
	.teardown = world_unmake,
};
