/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The account after a storm: threads convert, touch, punch, discard, pre-fault and pin pages that each of them owns, slots come and
 * go, and somebody looks all the time. Then the numbers are those that the threads have kept by themselves, page by page, and
 * that the system has of the program's memory.
 */
#include "fixture.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm/account.h"
#include "kvm/account_rows.h"
#include "kvm/vm.h"
#include "map/pins.h"
#include "os/os.h"

#define GPA (1ull << 32)
#define FAR (1ull << 40)
#define NR 256u
#define NR_THREADS 4u
#define NR_STEPS 8000u
#define NR_SLOTS_MADE 1000u
#define NR_LOOKS 20u /* at least */
#define P ACCOUNT_PRIVATE
#define F ACCOUNT_IN_FILE
#define M ACCOUNT_IN_PROGRAM

/* cmocka's own would jump out of another thread. */
#define MUST(what)                                                                 \
	do {                                                                       \
		if (!(what)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
			abort();                                                   \
		}                                                                  \
	} while (0)

static struct {
	int vm, gmem, vcpus[NR_THREADS];
	char *memory;
	uint8_t state[NR]; /* as its owner has made it */
	struct pin *pins[NR];
} world;

static struct account_snapshot looks[2];
static struct account_peak peak; /* the most of all looks */
static _Atomic unsigned int nr_running;

/* ---- those who change ---------------------------------------------------------------------------- */

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct host_file *host_file(void)
{
	return kvm_gmem_host_file(object_of(world.gmem));
}

/* The slot has the second half of the file. */
static uint64_t offset_of(uint32_t page)
{
	return (NR + page) * PAGE;
}

static void touch_file(uint32_t page)
{
	void *at;

	MUST(!store_address(gmem_file_store(host_file()->file), offset_of(page), &at));
	*(volatile char *)at = 1;
	world.state[page] |= F;
}

static void punch(uint32_t page)
{
	MUST(!kvm_gmem_fallocate(object_of(world.gmem), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 offset_of(page), PAGE));
	world.state[page] &= (uint8_t)~F;
}

static void change_program(uint32_t page, bool touches)
{
	char *at = world.memory + page * PAGE;

	if (touches)
		*(volatile char *)at = 1;
	else
		MUST(!madvise(at, PAGE, MADV_DONTNEED));
	world.state[page] = (uint8_t)((world.state[page] & ~M) | (touches ? M : 0));
}

static void convert(uint32_t page, bool is_private)
{
	MUST(!set_private(world.vm, GPA + page * PAGE, PAGE, is_private));
	world.state[page] = (uint8_t)((world.state[page] & ~P) | (is_private ? P : 0));
}

static void prefault(uint32_t page, int vcpu)
{
	struct kvm_pre_fault_memory f = { .gpa = GPA + page * PAGE, .size = PAGE };

	if (!(world.state[page] & P))
		return;
	MUST(!call(vcpu, KVM_PRE_FAULT_MEMORY, &f));
	world.state[page] |= F;
}

static void pin_or_not(uint32_t page)
{
	if (world.pins[page]) {
		pin_drop(world.pins[page]);
		world.pins[page] = NULL;
	} else {
		MUST(!pin_intend(host_file(), offset_of(page) + 7, 9, &world.pins[page]));
	}
}

static void step(uint64_t random, uint32_t page, int vcpu)
{
	switch (random % 8) {
	case 0:
	case 1:
		convert(page, random & 8);
		break;
	case 2:
		touch_file(page);
		break;
	case 3:
		punch(page);
		break;
	case 4:
	case 5:
		change_program(page, random & 8);
		break;
	case 6:
		prefault(page, vcpu);
		break;
	default:
		pin_or_not(page);
	}
}

static void *change_pages(void *arg)
{
	uint32_t own = (uint32_t)(uintptr_t)arg;
	uint64_t seed = 0x9e3779b97f4a7c15ull + own;

	for (unsigned int i = 0; i < NR_STEPS; i++) {
		uint64_t random = next(&seed);

		step(random >> 32, (uint32_t)(random % (NR / NR_THREADS)) * NR_THREADS + own,
		     world.vcpus[own]);
	}
	nr_running--;
	return NULL;
}

/* Over the first half of the same file; the last one stays. */
static void *change_slots(void *arg)
{
	for (unsigned int i = 0; i < NR_SLOTS_MADE; i++) {
		MUST(!set_slot(world.vm, 5, KVM_MEM_GUEST_MEMFD, FAR, NR / 2 * PAGE, world.memory,
			       world.gmem, 0));
		if (i + 1 < NR_SLOTS_MADE)
			MUST(!set_slot(world.vm, 5, KVM_MEM_GUEST_MEMFD, FAR, 0, world.memory,
				       world.gmem, 0));
	}
	nr_running--;
	return NULL;
}

/* ---- who looks ----------------------------------------------------------------------------------- */

static void raise(uint64_t *most, uint64_t now)
{
	*most = now > *most ? now : *most;
}

static const struct account_slot *slot_of(const struct account_snapshot *s)
{
	for (uint32_t i = 0; i < s->nr_slots; i++)
		if (s->slots[i].id == 3)
			return &s->slots[i];
	return NULL;
}

/* Each look goes on from the one before. */
static const struct account_snapshot *look(struct account_walker *w, unsigned int nr)
{
	struct account_snapshot *now = &looks[nr % 2];
	const struct account_slot *slot;

	account_walk(w, vm_of(object_of(world.vm)), false, nr ? &looks[1 - nr % 2] : NULL, now);
	slot = slot_of(now);
	MUST(slot && !(slot->flags & ACCOUNT_GONE));
	raise(&peak.backed_private, account_backed(&slot->now, true));
	raise(&peak.backed_shared, account_backed(&slot->now, false));
	raise(&peak.both, account_both(&slot->now));
	return now;
}

static const struct account_snapshot *storm(void)
{
	pthread_t threads[NR_THREADS + 1];
	struct account_walker *w;
	const struct account_snapshot *last;
	unsigned int nr = 0;

	assert_int_equal(account_walker_create(&w), 0);
	nr_running = NR_THREADS + 1;
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, change_pages, (void *)i), 0);
	assert_int_equal(pthread_create(&threads[NR_THREADS], NULL, change_slots, NULL), 0);
	while (nr < NR_LOOKS || nr_running)
		look(w, nr++);
	for (unsigned int i = 0; i <= NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	last = look(w, nr);
	account_walker_destroy(w);
	return last;
}

/* ---- what is to be --------------------------------------------------------------------------------- */

static uint64_t pages_with(uint32_t bits)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; i < NR; i++)
		nr += (world.state[i] & bits) == bits;
	return nr;
}

static uint64_t pages_pinned(void)
{
	uint64_t nr = 0;

	for (uint32_t i = 0; i < NR; i++)
		nr += world.pins[i] != NULL;
	return nr;
}

/* What the system knows of it: present, or swapped out. */
static void the_program_has_what_it_kept(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);

	for (uint32_t i = 0; fd >= 0 && i < NR; i++) {
		uint64_t entry, at = (uintptr_t)world.memory / PAGE + i;

		assert_int_equal(pread(fd, &entry, 8, (off_t)(at * 8)), 8);
		assert_int_equal(entry >> 62 != 0, (world.state[i] & M) != 0);
	}
	close(fd);
}

static void the_slot_is_exact(const struct account_slot *slot)
{
	uint64_t sums[ACCOUNT_NR_STATES] = { 0 };

	for (uint32_t i = 0; i < NR; i++)
		sums[world.state[i]] += PAGE;
	for (uint32_t s = 0; s < ACCOUNT_NR_STATES; s++)
		assert_int_equal(slot->now.by_state[s], sums[s]);
	assert_int_equal(slot->now.pinned, pages_pinned() * PAGE);
	assert_int_equal(slot->peak.backed_private, peak.backed_private);
	assert_int_equal(slot->peak.backed_shared, peak.backed_shared);
	/* Punches that a look met are left out. */
	assert_in_range(slot->peak.both, account_both(&slot->now), peak.both);
}

static void the_runs_are_exact(const struct account_snapshot *s)
{
	uint32_t page = 0;

	assert_int_equal(s->coarse_pages, 0);
	for (uint32_t r = 0; r < s->nr_runs && page < NR; r++) {
		if (s->runs[r].gpa >= FAR)
			continue;
		for (uint32_t i = 0; i < s->runs[r].nr_pages; i++, page++)
			assert_int_equal(s->runs[r].states,
					 1u << world.state[page] |
						 (world.pins[page] ? ACCOUNT_PINNED : 0));
	}
	assert_int_equal(page, NR);
}

static void the_file_is_exact(const struct account_file *f)
{
	assert_int_equal(f->flags & ACCOUNT_GONE, 0);
	assert_int_equal(f->size, 2 * NR * PAGE);
	assert_int_equal(f->backed, pages_with(F) * PAGE);
	assert_int_equal(f->allocated, pages_with(F) * PAGE);
	assert_int_equal(f->bound, (NR + NR / 2) * PAGE);
	assert_int_equal(f->private_bytes, pages_with(P) * PAGE);
	assert_int_equal(f->shared_bytes, (NR + NR / 2 - pages_with(P)) * PAGE);
	assert_int_equal(f->pinned, pages_pinned() * PAGE);
}

/* Rows of slot 5 from before are told as well, as gone. */
static void the_vm_is_the_sum_of_its_slots(const struct account_snapshot *s)
{
	struct account_bytes sum = { 0 };
	uint32_t nr = 0;

	for (uint32_t i = 0; i < s->nr_slots; i++) {
		if (s->slots[i].flags & ACCOUNT_GONE)
			continue;
		account_bytes_add(&sum, &s->slots[i].now);
		nr++;
	}
	assert_int_equal(nr, 2);
	assert_int_equal(s->vms[0].nr_slots, 2);
	assert_memory_equal(&s->vms[0].now, &sum, sizeof(sum));
}

/* ---- the whole ------------------------------------------------------------------------------------- */

static void make_world(void)
{
	memset(&world, 0, sizeof(world));
	world.vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	world.gmem = make_gmem(world.vm, 2 * NR * PAGE, 0);
	for (uint32_t i = 0; i < NR_THREADS; i++) {
		world.vcpus[i] = (int)call_value(world.vm, KVM_CREATE_VCPU, i);
		assert_true(world.vcpus[i] >= 0);
	}
	world.memory =
		mmap(NULL, NR * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(world.memory != MAP_FAILED);
	/* A huge page would be all there at once. */
	madvise(world.memory, NR * PAGE, MADV_NOHUGEPAGE);
	assert_int_equal(set_slot(world.vm, 3, KVM_MEM_GUEST_MEMFD, GPA, NR * PAGE, world.memory,
				  world.gmem, NR * PAGE),
			 0);
}

static void end_world(void)
{
	for (uint32_t i = 0; i < NR; i++)
		if (world.pins[i])
			pin_drop(world.pins[i]);
	for (uint32_t i = 0; i < NR_THREADS; i++)
		fixture_close(world.vcpus[i]);
	fixture_close(world.gmem);
	fixture_close(world.vm);
	munmap(world.memory, NR * PAGE);
	fixture_end();
}

static void after_a_storm_every_number_is_exact(void **state)
{
	const struct account_snapshot *last;

	make_world();
	last = storm();
	the_program_has_what_it_kept();
	the_slot_is_exact(slot_of(last));
	the_runs_are_exact(last);
	assert_int_equal(last->nr_files, 1);
	the_file_is_exact(&last->files[0]);
	the_vm_is_the_sum_of_its_slots(last);
	end_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_a_storm_every_number_is_exact),
	};

	return cmocka_run_group_tests_name("account_stress", tests, fixture_setup, NULL);
}
