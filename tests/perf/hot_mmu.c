/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Attribute changes with their bracket, nested tables, guest faults. */
#include "hot_layers.h"

#include "core/gmem_file.h"
#include "mmu/memslot.h"
#include "mmu/mmu.h"
#include "os/fault.h"
#include "os/os.h"

#define NR_SETS 2000u
#define NR_WALKS 20000u
#define NR_PAGES 2048u /* that are private, of twice as many */
#define PAGES_1G ((uint64_t)1 << 18)
#define UNIFORM ((uint64_t)1 << 20) /* the gfn of another slot, all of it private */
#define FAR ((uint64_t)1 << 30)	    /* a gfn far from the slot */

static struct mmu *mmu;
static struct mmu_vcpu *vcpu;
static struct gmem_file *file, *uniform;

static void make_mmu(void)
{
	struct mmu_config config = { .has_private = true, .gpa_bits = 48 };

	if (mmu)
		return;
	os_assert(os_fault_init() == 0);
	os_assert(mmu_create(&config, &mmu) == 0);
	os_assert(mmu_vcpu_create(mmu, &vcpu) == 0);
}

static void set(uint64_t gfn, uint64_t nr, uint32_t attributes)
{
	os_assert(mmu_set_attributes(mmu, gfn, nr, attributes) == 0);
}

static void set_1g(void)
{
	for (unsigned int i = 0; i < NR_SETS; i++)
		set(FAR, PAGES_1G, i & 1 ? 0 : ATTR_PRIVATE);
}

static void set_1g_unaligned(void)
{
	for (unsigned int i = 0; i < NR_SETS; i++)
		set(FAR + 5, PAGES_1G, i & 1 ? 0 : ATTR_PRIVATE);
}

static void set_no_change(void)
{
	for (unsigned int i = 0; i < NR_SETS; i++)
		set(FAR, PAGES_1G, 0);
}

/* A slot with a file whose pages are all present. */
static void make_file(uint32_t id, uint64_t gfn, uint64_t nr_pages, struct gmem_file **out)
{
	struct memslot slot = {
		.id = id, .gfn = gfn, .nr_pages = nr_pages, .flags = MEMSLOT_GUEST_MEMFD
	};
	void *at;

	os_assert(gmem_file_create(nr_pages << OS_PAGE_SHIFT, 0, out) == 0);
	slot.file = *out;
	os_assert(memslot_create(mmu, &slot, false) == 0);
	for (uint64_t n = 0; n < nr_pages; n++) {
		os_assert(gmem_file_page(*out, n << OS_PAGE_SHIFT, &at, &(int){ 0 }) == 0);
		*(volatile char *)at = 1;
	}
}

/* Every second page is private, so that each has a leaf of its own. */
static void make_pages(void)
{
	make_mmu();
	if (file)
		return;
	make_file(0, 0, 2 * NR_PAGES, &file);
	for (uint64_t gfn = 0; gfn < 2 * NR_PAGES; gfn += 2)
		set(gfn, 1, ATTR_PRIVATE);
}

static void fault_all(void)
{
	struct mmu_fault_info info;

	for (uint64_t n = 0; n < NR_PAGES; n++)
		os_assert(mmu_fault(vcpu, 2 * n << OS_PAGE_SHIFT, MMU_WRITE, false, &info) ==
			  MMU_FAULT_OK);
}

static void make_zapped(void)
{
	make_pages();
	fault_all();
	mmu_invalidate_begin(mmu, 0, 2 * NR_PAGES);
	mmu_invalidate_end(mmu, 0, 2 * NR_PAGES);
}

static void make_mapped(void)
{
	make_pages();
	fault_all();
}

static void fault_present(void)
{
	fault_all();
}

static void fault_mapped(void)
{
	fault_all();
}

/* All private: whoever maps more than the page that was asked for has less to do for the next. */
static void make_uniform(void)
{
	make_mmu();
	if (!uniform) {
		make_file(1, UNIFORM, NR_PAGES, &uniform);
		set(UNIFORM, NR_PAGES, ATTR_PRIVATE);
	}
	mmu_invalidate_begin(mmu, UNIFORM, UNIFORM + NR_PAGES);
	mmu_invalidate_end(mmu, UNIFORM, UNIFORM + NR_PAGES);
}

static void touch_in_order(void)
{
	struct mmu_fault_info info;
	struct mmu_leaf leaf;

	for (uint64_t n = 0; n < NR_PAGES; n++) {
		uint64_t gpa = (UNIFORM + n) << OS_PAGE_SHIFT;
		bool found;

		mmu_vcpu_enter(vcpu);
		found = mmu_walk(vcpu, gpa, MMU_WRITE, &leaf);
		mmu_vcpu_leave(vcpu);
		os_assert(found || mmu_fault(vcpu, gpa, MMU_WRITE, false, &info) == MMU_FAULT_OK);
	}
}

static void nested_walk(void)
{
	struct mmu_leaf leaf;

	mmu_vcpu_enter(vcpu);
	for (uint64_t n = 0; n < NR_WALKS; n++)
		os_assert(mmu_walk(vcpu, 2 * (n % NR_PAGES) << OS_PAGE_SHIFT, MMU_WRITE, &leaf));
	mmu_vcpu_leave(vcpu);
}

/* What a VMM does most: a page of a slot that the guest uses changes there and back; no fault between. */
static void set_page_in_slot(void)
{
	for (unsigned int i = 0; i < NR_SETS; i++)
		set(6, 1, i & 1 ? ATTR_PRIVATE : 0);
}

const struct hot_path hot_mmu_paths[] = {
	{ "set_1g", NR_SETS, make_mmu, set_1g },
	{ "set_1g_unaligned", NR_SETS, make_mmu, set_1g_unaligned },
	{ "set_no_change", NR_SETS, make_mmu, set_no_change },
	{ "fault_present", NR_PAGES, make_zapped, fault_present },
	{ "fault_mapped", NR_PAGES, make_mapped, fault_mapped },
	{ "touch_in_order", NR_PAGES, make_uniform, touch_in_order },
	{ "nested_walk", NR_WALKS, make_mapped, nested_walk },
	{ "set_page_in_slot", NR_SETS, make_mapped, set_page_in_slot },
	{ 0 },
};
