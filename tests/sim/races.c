/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The races that guest_memfd and its forerunners had or could have had, in the order in which they became known;
 * each with the fewest actors that can show it, and searched for every schedule with few preemptions where that is
 * possible in the time there is.
 */
#include "actors.h"

#define ALL (SIM_RANDOM | SIM_PCT | SIM_EXHAUSTIVE)
#define MIXED (SIM_RANDOM | SIM_PCT)
#define ALL_SHARED (GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED)

/* A VM with one file, behind nr pages from BASE on. */
static struct world_file *one_slot(bool has_private, unsigned int flags, uint64_t nr)
{
	struct world_file *f;

	world_make(has_private);
	f = world_file(flags, nr);
	world_slot(0, BASE, nr, 0, 0, f->file, 0);
	return f;
}

/* Its private pages are the file's, its shared ones memory. */
static void all_private(unsigned int nr)
{
	sim_assert(!mmu_set_attributes(world.mmu, BASE, nr, ATTR_PRIVATE));
}

/* ---- 1 and 2: punch and invalidate ------------------------------------------------------------- */

static void setup_punch_while_mapped(void)
{
	struct world_file *f = one_slot(false, ALL_SHARED, 1);

	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest") });
	act("puncher", puncher, (struct actor){ .file = f });
}

SIM_SCENARIO(race01_punch_while_mapped) = {
	.about =
		"a page is punched while a vCPU has it mapped: nobody can use it when it is freed, "
		"and it is zero",
	.searches = ALL,
	.setup = setup_punch_while_mapped,
	.teardown = world_unmake,
};

static void setup_fault_in_the_gap(void)
{
	struct world_file *f = one_slot(true, 0, 2);

	all_private(2);
	act("guest", guest_restless, (struct actor){ .guest = world_guest("guest"), .turns = 3 });
	act("other guest", guest_runs,
	    (struct actor){ .guest = world_guest("other guest"), .nr = 2, .turns = 3 });
	act("puncher", puncher, (struct actor){ .file = f, .nr = 2, .turns = 2 });
}

SIM_SCENARIO(race02_fault_in_the_gap) = {
	.about = "vCPUs fault between the invalidation of a punch and its end: nothing is mapped "
		 "until the pages are gone",
	.searches = MIXED,
	.setup = setup_fault_in_the_gap,
	.teardown = world_unmake,
};

/* ---- 3: registration --------------------------------------------------------------------------- */

static void setup_register_in_a_bracket(void)
{
	struct world_file *f = one_slot(false, ALL_SHARED, 2);

	act("visitor", visitor, (struct actor){ .file = f, .turns = 2 });
	act("puncher", puncher, (struct actor){ .file = f, .nr = 2, .turns = 2 });
}

SIM_SCENARIO(race03_register_in_a_bracket) = {
	.about =
		"a consumer comes or goes while a change is told: it hears of all of it or of nothing",
	.searches = ALL,
	.setup = setup_register_in_a_bracket,
	.teardown = world_unmake,
};

static void setup_bind_in_a_bracket(void)
{
	struct world_file *f = one_slot(true, GMEM_FILE_IN_PLACE | GMEM_FILE_MMAP, 2);

	act("slot changer", slot_changer, (struct actor){ .turns = 2 });
	act("converter", converter, (struct actor){ .file = f, .nr = 2, .turns = 2, .sole = true });
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .nr = 2 });
}

SIM_SCENARIO(race03_bind_in_a_bracket) = {
	.about =
		"a memslot is bound to a file and unbound while it converts: the mmu's watch hears "
		"whole brackets",
	.searches = MIXED,
	.setup = setup_bind_in_a_bracket,
	.teardown = world_unmake,
};

/* ---- 4: two ranges ----------------------------------------------------------------------------- */

static void setup_two_slots_one_punch(void)
{
	struct world_file *f = one_slot(false, ALL_SHARED, 8);

	memslot_delete(world.mmu, world_find(0));
	world_slot(0, BASE + 6, 2, 0, 0, f->file, 0);
	world_slot(1, BASE, 2, 4, 0, f->file, 2);
	act("guest", guest_touches,
	    (struct actor){ .guest = world_guest("guest"), .nr = 8, .turns = 2 });
	act("puncher", puncher, (struct actor){ .file = f, .nr = 4, .whole = true });
}

SIM_SCENARIO(race04_two_slots_one_punch) = {
	.about =
		"a punch meets two memslots of the file that lie apart: both are invalidated until "
		"its end",
	.searches = ALL,
	.setup = setup_two_slots_one_punch,
	.teardown = world_unmake,
};

/* The first of the two is mapped, the second not; and a page beside them that keeps their table. */
static void setup_one_of_two_slots(void)
{
	struct world_file *f = one_slot(false, ALL_SHARED, 8);

	memslot_delete(world.mmu, world_find(0));
	world_slot(0, BASE + 6, 2, 0, 0, f->file, 0);
	world_slot(1, BASE, 2, 4, 0, f->file, 2);
	world_slot(2, BASE + 4, 1, 8, 0, NULL, 0);
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .first = 6 });
	act("guest beside", guest_touches,
	    (struct actor){ .guest = world_guest("guest beside"), .first = 4 });
	act("puncher", puncher, (struct actor){ .file = f, .nr = 4, .whole = true });
}

SIM_SCENARIO(race04_one_of_two_slots) = {
	.about = "a punch meets two memslots of the file, of which one is mapped: its vCPU flushes",
	.searches = MIXED,
	.setup = setup_one_of_two_slots,
	.teardown = world_unmake,
};

static void setup_two_brackets(void)
{
	one_slot(true, 0, 8);
	act("guest", guest_touches,
	    (struct actor){ .guest = world_guest("guest"), .nr = 8, .turns = 2 });
	act("converter", gfn_converter, (struct actor){ .turns = 2 });
	act("remapper", remapper, (struct actor){ .first = 7, .turns = 2 });
}

SIM_SCENARIO(race04_two_brackets) = {
	.about =
		"two invalidations of one VM at once, of ranges that lie apart: neither forgets the "
		"other's",
	.searches = MIXED,
	.setup = setup_two_brackets,
	.teardown = world_unmake,
};

static void setup_two_changes_of_memory(void)
{
	world_make(false);
	world_slot(0, BASE, 8, 0, 0, NULL, 0);
	act("guest", guest_touches,
	    (struct actor){ .guest = world_guest("guest"), .nr = 8, .turns = 2 });
	act("remapper", remapper, (struct actor){ .turns = 2 });
	act("other remapper", remapper, (struct actor){ .slot = 1, .first = 7, .turns = 2 });
}

SIM_SCENARIO(race04_two_changes_of_memory) = {
	.about = "two ranges of memory that lie apart are mapped anew at once: neither forgets the "
		 "other's",
	.searches = MIXED,
	.setup = setup_two_changes_of_memory,
	.teardown = world_unmake,
};

/* ---- 5 and 6: a fault in flight ---------------------------------------------------------------- */

static void setup_install_after(void)
{
	one_slot(true, 0, 1);
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest") });
	act("converter", gfn_converter, (struct actor){ .turns = 2 });
}

SIM_SCENARIO(race05_install_after_invalidation) = {
	.about =
		"a fault looks its page up before an invalidation and installs after it: it starts "
		"over",
	.searches = ALL,
	.setup = setup_install_after,
	.teardown = world_unmake,
};

static void setup_state_changes_in_place(void)
{
	struct world_file *f = one_slot(true, GMEM_FILE_IN_PLACE, 1);

	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest") });
	act("converter", converter, (struct actor){ .file = f, .turns = 2, .sole = true });
}

SIM_SCENARIO(race06_state_changes_under_a_fault) = {
	.about =
		"a page is converted in place while a fault on it is in flight: the leaf is of the "
		"new state",
	.searches = ALL,
	.setup = setup_state_changes_in_place,
	.teardown = world_unmake,
};

static void setup_state_changes_from_shared(void)
{
	struct world_file *f = one_slot(true, GMEM_FILE_IN_PLACE | GMEM_FILE_INIT_SHARED, 1);

	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest") });
	act("converter", converter, (struct actor){ .file = f, .turns = 2, .sole = true });
}

SIM_SCENARIO(race06_shared_page_changes_under_a_fault) = {
	.about = "memory of the program is mapped while its page becomes private in place",
	.searches = ALL,
	.setup = setup_state_changes_from_shared,
	.teardown = world_unmake,
};

/* ---- 7: flags ---------------------------------------------------------------------------------- */

static void setup_flags_change(void)
{
	world_make(false);
	world_slot(0, BASE, 2, 0, 0, NULL, 0);
	act("guest", guest_touches,
	    (struct actor){ .guest = world_guest("guest"), .nr = 2, .turns = 2 });
	act("switcher", log_switcher, (struct actor){ .turns = 2 });
}

SIM_SCENARIO(race07_flags_change_under_a_fault) = {
	.about = "a memslot begins and ends to be logged while a fault maps it for writing",
	.searches = ALL,
	.setup = setup_flags_change,
	.teardown = world_unmake,
};

/* ---- 8 and 9: the ends of slots and files ------------------------------------------------------ */

static void setup_slot_goes_in_a_punch(void)
{
	struct world_file *f = one_slot(false, ALL_SHARED, 2);

	act("guest", guest_runs,
	    (struct actor){ .guest = world_guest("guest"), .nr = 2, .turns = 2 });
	act("slot changer", slot_changer, (struct actor){ .turns = 2 });
	act("puncher", puncher, (struct actor){ .file = f, .nr = 2, .turns = 2 });
}

SIM_SCENARIO(race08_slot_goes_in_a_punch) = {
	.about = "a memslot is deleted while a punch looks for whom it is bound to",
	.searches = MIXED,
	.setup = setup_slot_goes_in_a_punch,
	.teardown = world_unmake,
};

static void setup_slot_goes_in_a_change_of_memory(void)
{
	world_make(false);
	world_slot(0, BASE, 2, 0, 0, NULL, 0);
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .nr = 2 });
	act("slot changer", slot_changer, (struct actor){ .turns = 1 });
	act("remapper", remapper, (struct actor){ .nr = 2, .whole = true });
}

SIM_SCENARIO(race08_slot_goes_in_a_change_of_memory) = {
	.about = "a memslot is deleted, and comes again, while its memory is mapped anew",
	.searches = MIXED,
	.setup = setup_slot_goes_in_a_change_of_memory,
	.teardown = world_unmake,
};

static void setup_close_against_unbind(void)
{
	struct world_file *f = one_slot(true, 0, 1);

	all_private(1);
	act("closer", closer, (struct actor){ .file = f });
	act("slot changer", slot_changer, (struct actor){ .turns = 1 });
}

SIM_SCENARIO(race09_close_against_unbind) = {
	.about =
		"the last descriptor is closed while a memslot of the file is deleted: each lets go "
		"once",
	.searches = ALL,
	.setup = setup_close_against_unbind,
	.teardown = world_unmake,
};

static void setup_close_while_used(void)
{
	struct world_file *f = one_slot(true, 0, 2);

	all_private(2);
	act("guest", guest_runs,
	    (struct actor){ .guest = world_guest("guest"), .nr = 2, .turns = 3 });
	act("closer", closer, (struct actor){ .file = f });
	act("puncher", puncher, (struct actor){ .file = f, .nr = 2 });
	act("slot changer", slot_changer, (struct actor){ .turns = 2 });
}

SIM_SCENARIO(race09_close_while_used) = {
	.about =
		"the last descriptor is closed while vCPUs fault, a punch runs and the memslot goes",
	.searches = MIXED,
	.setup = setup_close_while_used,
	.teardown = world_unmake,
};

/* ---- 10: accounting ---------------------------------------------------------------------------- */

static void teardown_accounts(void)
{
	struct world_file *f = &world.files[0];
	struct store *store = gmem_file_store(f->file);

	sim_assert(store_backed(store) <= gmem_file_size(f->file));
	sim_assert(!gmem_file_punch(f->file, 0, gmem_file_size(f->file)));
	sim_assert(!store_backed(store));
	world_unmake();
}

static void setup_two_punchers(void)
{
	struct world_file *f = one_slot(false, ALL_SHARED, 4);

	f->host.blind = true;
	act("puncher", puncher, (struct actor){ .file = f, .nr = 4, .turns = 2 });
	act("other puncher", puncher, (struct actor){ .file = f, .nr = 4, .turns = 2 });
	act("allocator", allocator, (struct actor){ .file = f, .nr = 4, .turns = 2 });
	act("guest", guest_runs,
	    (struct actor){ .guest = world_guest("guest"), .nr = 4, .turns = 2 });
}

SIM_SCENARIO(race10_two_punchers) = {
	.about =
		"two punch the same pages while they are backed and written: what is counted is there",
	.searches = MIXED,
	.setup = setup_two_punchers,
	.teardown = teardown_accounts,
};

/* ---- 11: all or nothing ------------------------------------------------------------------------ */

static void setup_conversion_that_fails(void)
{
	struct world_file *f =
		one_slot(true, GMEM_FILE_IN_PLACE | GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED, 3);

	f->host.fails_begin = true;
	act("converter", converter,
	    (struct actor){ .file = f, .nr = 3, .turns = 3, .whole = true, .sole = true });
	act("observer", observer, (struct actor){ .file = f, .nr = 3, .turns = 2 });
	act("visitor", visitor, (struct actor){ .file = f, .turns = 2 });
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .nr = 3 });
}

SIM_SCENARIO(race11_conversion_that_fails) = {
	.about =
		"a conversion fails when most consumers have begun: all is as before, and nobody saw "
		"a part",
	.searches = MIXED,
	.setup = setup_conversion_that_fails,
	.teardown = world_unmake,
};

static void setup_attributes_in_part(void)
{
	one_slot(true, 0, 4);
	act("converter", gfn_converter, (struct actor){ .nr = 4, .turns = 2, .whole = true });
	act("observer", observer, (struct actor){ .nr = 4, .turns = 2 });
}

SIM_SCENARIO(race11_attributes_seen_in_part) = {
	.about = "the attributes of a range are looked at without a lock while they change",
	.searches = ALL,
	.setup = setup_attributes_in_part,
	.teardown = world_unmake,
};

static void setup_attributes_in_two_leaves(void)
{
	one_slot(true, 0, 4);
	act("converter", gfn_converter,
	    (struct actor){ .first = 510, .nr = 4, .turns = 3, .whole = true });
	act("observer", observer, (struct actor){ .first = 510, .nr = 4, .turns = 2 });
}

SIM_SCENARIO(race11_attributes_in_two_leaves) = {
	.about = "the same where two leaves of the map change, and are given back and used again",
	.searches = ALL,
	.setup = setup_attributes_in_two_leaves,
	.teardown = world_unmake,
};

/* ---- 12 and 13: the host ----------------------------------------------------------------------- */

static void setup_pin_against_conversion(void)
{
	struct world_file *f =
		one_slot(true, GMEM_FILE_IN_PLACE | GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED, 2);

	f->host.refuses = true;
	act("pinner", pinner, (struct actor){ .file = f });
	act("converter", converter,
	    (struct actor){ .file = f, .nr = 2, .turns = 1, .whole = true, .sole = true });
}

SIM_SCENARIO(race12_pin_against_conversion) = {
	.about = "a page is pinned for I/O while it becomes private: one of the two is refused",
	.searches = ALL,
	.setup = setup_pin_against_conversion,
	.teardown = world_unmake,
};

static void setup_host_fault_against_conversion(void)
{
	struct world_file *f =
		one_slot(true, GMEM_FILE_IN_PLACE | GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED, 1);

	act("host", host_runs, (struct actor){ .file = f, .turns = 2 });
	act("converter", converter, (struct actor){ .file = f, .turns = 2, .sole = true });
}

SIM_SCENARIO(race13_host_fault_against_conversion) = {
	.about = "the host faults a page in while it becomes private: it has none afterwards",
	.searches = ALL,
	.setup = setup_host_fault_against_conversion,
	.teardown = world_unmake,
};

/* ---- 14: both halves --------------------------------------------------------------------------- */

static void teardown_nothing_allocated(void)
{
	struct world_file *f = &world.files[0];

	/* Nobody but the guest may have given a page to the file, and it has touched one only. */
	sim_assert(store_backed(gmem_file_store(f->file)) <= PAGE);
	world_unmake();
}

static void setup_both_halves(void)
{
	one_slot(true, 0, 2);
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .turns = 2 });
	act("converter", gfn_converter, (struct actor){ .turns = 3 });
	act("program", program, (struct actor){ .nr = 2, .turns = 3 });
}

SIM_SCENARIO(race14_both_halves) = {
	.about = "the program goes on to write the shared half of a page that becomes private: the "
		 "guest's is another, and is allocated by the guest alone",
	.searches = MIXED,
	.setup = setup_both_halves,
	.teardown = world_unmake,
};

/* Makes the page shared, and gives what it was back. */
static void gives_back(void *arg)
{
	struct world_file *f = arg;

	os_mutex_lock(&world.slots);
	sim_assert(!mmu_set_attributes(world.mmu, BASE, 1, 0));
	os_mutex_unlock(&world.slots);
	sim_assert(!gmem_file_punch(f->file, 0, PAGE));
}

static void teardown_nothing_left(void)
{
	if (store_backed(gmem_file_store(world.files[0].file)))
		sim_fail("allocation: a page is backed that nobody asked for");
	world_unmake();
}

static void setup_given_back(void)
{
	struct world_file *f = one_slot(true, 0, 1);

	all_private(1);
	f->host.blind = true;
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest") });
	sim_spawn("converter", gives_back, f);
}

SIM_SCENARIO(race14_given_back_under_a_fault) = {
	.about = "a page becomes shared and its private half is punched while a fault on it is in "
		 "flight: nothing is allocated for nobody",
	.searches = ALL,
	.setup = setup_given_back,
	.teardown = teardown_nothing_left,
};

static void setup_host_touches_private(void)
{
	struct world_file *f = one_slot(true, GMEM_FILE_IN_PLACE | GMEM_FILE_MMAP, 2);

	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest") });
	act("host", host_runs, (struct actor){ .file = f, .nr = 2, .turns = 3 });
}

SIM_SCENARIO(race14_host_touches_private) = {
	.about = "a host that touches private pages gets SIGBUS, and no page is allocated for it",
	.searches = MIXED,
	.setup = setup_host_touches_private,
	.teardown = teardown_nothing_allocated,
};

/* ---- 15: huge mappings ------------------------------------------------------------------------- */

static void setup_straddled_by_gfn(void)
{
	one_slot(true, 0, 512);
	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .nr = 12 });
	act("converter", gfn_converter, (struct actor){ .first = 4, .nr = 2, .turns = 2 });
}

SIM_SCENARIO(race15_straddled_by_gfn) = {
	.about = "pages inside of a 2 MiB leaf become private: no leaf reaches over them",
	.searches = ALL,
	.setup = setup_straddled_by_gfn,
	.teardown = world_unmake,
};

static void setup_straddled_in_place(void)
{
	struct world_file *f =
		one_slot(true, GMEM_FILE_IN_PLACE | GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED, 512);

	act("guest", guest_touches, (struct actor){ .guest = world_guest("guest"), .nr = 12 });
	act("converter", converter,
	    (struct actor){ .file = f, .first = 4, .nr = 2, .turns = 2, .sole = true });
	act("host", host_runs, (struct actor){ .file = f, .first = 3, .nr = 3, .turns = 2 });
}

SIM_SCENARIO(race15_straddled_in_place) = {
	.about = "pages inside of a 2 MiB leaf become private in place",
	.searches = MIXED,
	.setup = setup_straddled_in_place,
	.teardown = world_unmake,
};
