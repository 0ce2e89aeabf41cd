/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Guest code on cpu/soft while its memory changes. */
#include "actors.h"
#include "soft.h"

#define MIXED (SIM_RANDOM | SIM_PCT)
#define IN_PLACE (GMEM_FILE_IN_PLACE | GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED)

static void teardown(void)
{
	soft_unmake();
	world_unmake();
}

static struct world_file *file_slot(unsigned int flags, uint64_t nr)
{
	struct world_file *f;

	world_make_mapped(true);
	f = world_file(flags, nr);
	world_slot(0, BASE, nr, 0, 0, f->file, 0);
	return f;
}

static void run(unsigned int nr, struct soft_guest what)
{
	sim_spawn(nr ? "vCPU 1" : "vCPU 0", soft_runs, soft_make(nr, what));
}

/* ---- nothing is lost --------------------------------------------------------------------------- */

static uint64_t word(unsigned int page, unsigned int nr)
{
	return *(volatile uint64_t *)(void *)(world_address(world.files[0].file, page * PAGE) +
					      8 * nr);
}

static void teardown_counted(void)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < NR_SOFT; i++) {
		const struct soft_guest *g = &soft_guests[i];

		sum += g->turns;
		if (g->turns && word(0, SOFT_WORD + i) != ((uint64_t)(i + 1) << 32) + g->turns)
			sim_fail("contents: the last word of vCPU %u is lost", i);
	}
	if (word(0, SOFT_SUM) != sum)
		sim_fail("contents: a locked add is lost");
	teardown();
}

static void setup_conversion(void)
{
	struct world_file *f = file_slot(IN_PLACE, 2);

	run(0, (struct soft_guest){ .turns = 2, .reads_back = true, .crosses = true });
	act("converter", converter, (struct actor){ .file = f, .nr = 2, .turns = 3, .sole = true });
}

SIM_SCENARIO(soft_conversion_in_place) = {
	.about =
		"guest code reads and writes pages, also across two, that convert in place: nothing "
		"is lost",
	.searches = MIXED,
	.setup = setup_conversion,
	.teardown = teardown_counted,
};

static void setup_two_vcpus(void)
{
	struct world_file *f = file_slot(IN_PLACE, 2);

	run(0, (struct soft_guest){ .turns = 2, .reads_back = true });
	run(1, (struct soft_guest){ .turns = 2, .reads_back = true });
	act("converter", converter,
	    (struct actor){ .file = f, .nr = 2, .turns = 2, .whole = true, .sole = true });
	sim_spawn("kicker", soft_kicker, &soft_guests[1]);
}

SIM_SCENARIO(soft_two_vcpus) = {
	.about = "two vCPUs add to one word with a lock prefix while its page converts and one is "
		 "kicked",
	.searches = MIXED,
	.setup = setup_two_vcpus,
	.teardown = teardown_counted,
};

static void setup_slot(void)
{
	file_slot(GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED, 2);
	run(0, (struct soft_guest){ .turns = 2, .reads_back = true, .crosses = true });
	act("slot changer", slot_changer, (struct actor){ .turns = 2 });
}

SIM_SCENARIO(soft_slot_goes) = {
	.about =
		"the memslot of a file goes and comes back under guest code: an instruction is done "
		"once",
	.searches = MIXED,
	.setup = setup_slot,
	.teardown = teardown_counted,
};

static void setup_code_goes(void)
{
	file_slot(GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED, 2);
	run(0, (struct soft_guest){ .turns = 2, .reads_back = true });
	act("slot changer", slot_changer, (struct actor){ .slot = SOFT_CODE_SLOT, .turns = 1 });
}

SIM_SCENARIO(soft_code_goes) = {
	.about = "the memslot of the code goes and comes back",
	.searches = MIXED,
	.setup = setup_code_goes,
	.teardown = teardown_counted,
};

/* ---- nobody is where he may not be ------------------------------------------------------------- */

static void setup_punch(void)
{
	struct world_file *f = file_slot(GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED, 2);

	run(0, (struct soft_guest){ .turns = 3, .crosses = true });
	act("puncher", puncher, (struct actor){ .file = f, .nr = 2, .turns = 2 });
}

SIM_SCENARIO(soft_punch) = {
	.about = "pages are punched under guest code: they are zero until the punch has ended",
	.searches = MIXED,
	.setup = setup_punch,
	.teardown = teardown,
};

/* What a half that the guest has left holds must stay as it is. */
static void watch(uint8_t *host)
{
	uint64_t was[SOFT_SUM + 1], is[SOFT_SUM + 1];

	if (!host)
		return;
	__builtin_memcpy(was, host, sizeof(was));
	for (int i = 0; i < 6; i++) {
		sim_point();
		__builtin_memcpy(is, host, sizeof(is));
		if (__builtin_memcmp(was, is, sizeof(was)))
			sim_fail("contents: a half that nobody may reach is written");
	}
}

static void watching_converter(void *arg)
{
	struct world_file *f = arg;

	os_mutex_lock(&world.slots);
	sim_assert(!mmu_set_attributes(world.mmu, BASE, 1, ATTR_PRIVATE));
	watch(world.memory);
	sim_assert(!mmu_set_attributes(world.mmu, BASE, 1, 0));
	watch(world_address(f->file, 0));
	os_mutex_unlock(&world.slots);
}

static void setup_by_gfn(void)
{
	struct world_file *f = file_slot(0, 2);

	run(0, (struct soft_guest){ .turns = 3, .crosses = true });
	sim_spawn("converter", watching_converter, f);
}

SIM_SCENARIO(soft_conversion_by_gfn) = {
	.about =
		"pages change between memory and file under guest code: the half that it left is left "
		"alone",
	.searches = MIXED,
	.setup = setup_by_gfn,
	.teardown = teardown,
};

static void setup_remap(void)
{
	world_make_mapped(false);
	world_slot(0, BASE, 2, 0, 0, NULL, 0);
	run(0, (struct soft_guest){ .turns = 3, .crosses = true });
	act("remapper", remapper, (struct actor){ .nr = 2, .turns = 2 });
}

SIM_SCENARIO(soft_memory_mapped_anew) = {
	.about = "memory is mapped anew under guest code: nobody is there meanwhile",
	.searches = MIXED,
	.setup = setup_remap,
	.teardown = teardown,
};

/* ---- the dirty log ----------------------------------------------------------------------------- */

static uint64_t copies[2][PAGE / 8];

static void copy(uint64_t log)
{
	for (unsigned int i = 0; i < 2; i++)
		if (log >> i & 1)
			__builtin_memcpy(copies[i], world.memory + i * PAGE, PAGE);
}

static void migrate(void *arg)
{
	for (int i = 0; i < 3; i++) {
		uint64_t log;

		os_mutex_lock(&world.slots);
		world.nr_clearing++;
		memslot_dirty_get(world.mmu, world_find(0), &log, true);
		copy(log);
		world.nr_clearing--;
		os_mutex_unlock(&world.slots);
	}
}

static void teardown_migrated(void)
{
	uint64_t log;

	memslot_dirty_get(world.mmu, world_find(0), &log, false);
	copy(log);
	if (__builtin_memcmp(copies, world.memory, sizeof(copies)))
		sim_fail("dirty log: the copy is not whole");
	teardown();
}

static void setup_migration(void)
{
	world_make_mapped(false);
	world_slot(0, BASE, 2, 0, MEMSLOT_LOG_DIRTY, NULL, 0);
	__builtin_memset(copies, 0, sizeof(copies));
	run(0, (struct soft_guest){ .turns = 4, .reads_back = true, .crosses = true });
	sim_spawn("migration", migrate, NULL);
}

SIM_SCENARIO(soft_migration) = {
	.about = "memory is copied by the dirty log while guest code writes it: the copy is whole",
	.searches = MIXED,
	.setup = setup_migration,
	.teardown = teardown_migrated,
};
