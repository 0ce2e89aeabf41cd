/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memslots and per-VM attributes: the checks, in the kernel's order, since the order decides which errno a
 * program sees. What is done after them is mmu/'s.
 */
#include "core/range.h"
#include "kvm/early.h"
#include "kvm/memfd.h"
#include "kvm/vm.h"

#include <errno.h>

#define USER_END 0x7ffffffff000ull /* of a program's addresses, four-level paging */
#define MAX_SLOT_PAGES ((1ull << 31) - 1)

/* A request as the checks see it. */
struct region {
	const struct kvm_userspace_memory_region2 *r;
	uint32_t id, as_id, flags;
	uint64_t gfn, nr;
	struct gmem *gmem; /* counted; given back when no lock is held, since that may release it */
	/* A file that no VM owns, counted: at first for the slot, which takes it over; from a slot that is gone. */
	struct kvm_object *memfd;
};

static unsigned int ask_gpa_bits(void)
{
	struct cpu_cpuid entries[64];
	unsigned int i, nr = cpu_soft_supported_cpuid(entries, NR_ROWS(entries));

	for (i = 0; i < nr && i < NR_ROWS(entries); i++) {
		if (entries[i].function == 0x80000008)
			return entries[i].eax & 0xff;
	}
	return KVM_GPA_BITS;
}

/* The CPU is asked once: CPUID is slow on a machine that is itself virtual. */
unsigned int memory_gpa_bits(void)
{
	static _Atomic unsigned int known;
	unsigned int bits = atomic_load_explicit(&known, memory_order_relaxed);

	if (!bits) {
		bits = ask_gpa_bits();
		atomic_store_explicit(&known, bits, memory_order_relaxed);
	}
	return bits;
}

static int check_flags(struct vm *vm, const struct region *g)
{
	uint32_t legal = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY;

	if (vm->has_private || kvm_profile()->gmem_any_vm)
		legal |= KVM_MEM_GUEST_MEMFD;
	if (g->flags & legal & KVM_MEM_GUEST_MEMFD)
		legal = KVM_MEM_GUEST_MEMFD | kvm_profile()->gmem_slot_flags;
	if (g->flags & ~legal)
		return obs_refuse(RULE_MEMSLOT_FLAGS);
	return 0;
}

static int check_hva(const struct region *g)
{
	const struct kvm_userspace_memory_region2 *r = g->r;
	const struct kvm_early *early = kvm_profile()->early;
	bool anywhere = early && early->any_offset && g->flags & KVM_MEM_GUEST_MEMFD;

	if (r->userspace_addr & (OS_PAGE_SIZE - 1) ||
	    (!anywhere && !range_inside(r->userspace_addr, r->memory_size, USER_END)))
		return obs_refuse(RULE_MEMSLOT_HVA);
	return 0;
}

static int check_offset(const struct region *g)
{
	const struct kvm_userspace_memory_region2 *r = g->r;
	const struct kvm_early *early = kvm_profile()->early;

	if (!(g->flags & KVM_MEM_GUEST_MEMFD) || (early && early->any_offset))
		return 0;
	if (!(r->guest_memfd_offset & (OS_PAGE_SIZE - 1)) &&
	    !range_wraps(r->guest_memfd_offset, r->memory_size))
		return 0;
	return obs_refuse(early ? RULE_PRIVATE_OFFSET : RULE_MEMSLOT_GMEM_OFFSET);
}

/* One, since a page of a guest_memfd has one slot, and SMM's memory would be the same again. */
static unsigned int nr_spaces(const struct vm *vm)
{
	return vm->has_private && !kvm_profile()->early ? 1 : MEMSLOT_NR_SPACES;
}

static int check_place(struct vm *vm, const struct region *g)
{
	const struct kvm_userspace_memory_region2 *r = g->r;
	uint64_t page = OS_PAGE_SIZE - 1;
	int err;

	if (r->memory_size & page)
		return obs_refuse(RULE_MEMSLOT_SIZE_UNALIGNED);
	if (r->guest_phys_addr & page)
		return obs_refuse(RULE_MEMSLOT_GPA_UNALIGNED);
	err = check_hva(g);
	if (!err)
		err = check_offset(g);
	if (err)
		return err;
	if (g->as_id >= nr_spaces(vm))
		return obs_refuse(RULE_MEMSLOT_SPACE);
	if (range_wraps(r->guest_phys_addr, r->memory_size))
		return obs_refuse(RULE_MEMSLOT_GPA_WRAPS);
	if (g->nr > MAX_SLOT_PAGES)
		return obs_refuse(RULE_MEMSLOT_TOO_LONG);
	return 0;
}

static bool too_high(const struct region *g)
{
	return g->gfn + g->nr - 1 >= 1ull << (memory_gpa_bits() - OS_PAGE_SHIFT);
}

static int check_overlap(struct vm *vm, const struct region *g)
{
	if (memslot_overlaps(vm->mmu, g->as_id, g->id, g->gfn, g->nr))
		return obs_refuse(RULE_MEMSLOT_OVERLAP);
	return 0;
}

static void note_bound(void *arg, void *owner, uint64_t offset, uint64_t size)
{
	*(bool *)arg = true;
}

/* The guest_memfd a new slot names, and whether its range can be bound. */
static int find_gmem(struct vm *vm, struct region *g)
{
	const struct kvm_userspace_memory_region2 *r = g->r;
	struct gmem_file *file;
	bool bound = false;
	int err = gmem_lookup(vm, (int)r->guest_memfd, &g->gmem);

	if (err)
		return err;
	file = g->gmem->file;
	if (gmem_file_flags(file) & GMEM_FILE_EMPTY ||
	    !range_inside(r->guest_memfd_offset, r->memory_size, gmem_file_size(file)))
		return obs_refuse(RULE_MEMSLOT_GMEM_RANGE);
	gmem_file_fault_begin(file);
	gmem_file_for_bindings(file, r->guest_memfd_offset, r->memory_size, note_bound, &bound);
	gmem_file_fault_end(file);
	if (bound)
		return obs_refuse_as(RULE_MEMSLOT_GMEM_BOUND, kvm_profile()->bind_overlap);
	return 0;
}

static int find_file(struct vm *vm, struct region *g, struct memslot *what)
{
	const struct kvm_userspace_memory_region2 *r = g->r;
	int err;

	what->file_offset = r->guest_memfd_offset;
	if (kvm_profile()->early) {
		err = early_find_file((int)r->guest_memfd, &what->file_offset, r->memory_size,
				      &g->memfd);
		if (err)
			return err;
		what->file = memfd_file(g->memfd);
		what->keeps = g->memfd;
		return 0;
	}
	err = find_gmem(vm, g);
	if (err)
		return err;
	what->file = g->gmem->file;
	what->gmem_only = gmem_file_flags(what->file) & GMEM_FILE_MMAP;
	return 0;
}

static bool dirty_starts_set(const struct vm *vm)
{
	return vm->dirty_protect & KVM_DIRTY_LOG_INITIALLY_SET;
}

static int create_slot(struct vm *vm, struct region *g)
{
	struct memslot what = {
		.id = g->id,
		.as_id = g->as_id,
		.gfn = g->gfn,
		.nr_pages = g->nr,
		.hva = min_u64(g->r->userspace_addr, USER_END),
		.flags = g->flags,
	};
	int err;

	if (range_wraps(memslot_total_pages(vm->mmu), g->nr))
		return obs_refuse(RULE_MEMSLOT_TOTAL);
	err = check_overlap(vm, g);
	if (!err && g->flags & KVM_MEM_GUEST_MEMFD)
		err = find_file(vm, g, &what);
	if (err)
		return err;
	if (too_high(g))
		return obs_refuse(RULE_MEMSLOT_GPA_WIDTH);
	err = memslot_create(vm->mmu, &what, dirty_starts_set(vm));
	if (!err)
		g->memfd = NULL;
	/* Another VM's slot has come in between. */
	if (err == -EEXIST && g->memfd)
		return obs_refuse(RULE_PRIVATE_BOUND);
	return err;
}

static int move_slot(struct vm *vm, const struct region *g, struct memslot *slot)
{
	int err = check_overlap(vm, g);

	if (err)
		return err;
	if (too_high(g))
		return obs_refuse(RULE_MEMSLOT_GPA_WIDTH);
	return memslot_move(vm->mmu, slot, g->gfn, g->flags, dirty_starts_set(vm));
}

static int modify_slot(struct vm *vm, const struct region *g, struct memslot *slot)
{
	uint32_t fixed = KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD;

	if (g->flags & KVM_MEM_GUEST_MEMFD)
		return obs_refuse(RULE_MEMSLOT_GMEM_FIXED);
	if (g->r->userspace_addr != slot->hva || g->nr != slot->nr_pages ||
	    (g->flags ^ slot->flags) & fixed)
		return obs_refuse(RULE_MEMSLOT_FIXED);
	if (g->gfn != slot->gfn)
		return move_slot(vm, g, slot);
	if (g->flags != slot->flags)
		return memslot_set_flags(vm->mmu, slot, g->flags, dirty_starts_set(vm));
	return 0;
}

static int apply(struct vm *vm, struct region *g)
{
	struct memslot *slot = memslot_find(vm->mmu, g->as_id, g->id);

	if (!g->nr) {
		if (!slot)
			return obs_refuse(RULE_MEMSLOT_NOT_THERE);
		g->memfd = slot->keeps;
		memslot_delete(vm->mmu, slot);
		return 0;
	}
	return slot ? modify_slot(vm, g, slot) : create_slot(vm, g);
}

static void tell_slot(const struct vm *vm, const struct region *g, int err)
{
	uint16_t file = g->gmem && g->gmem->file ? gmem_file_number(g->gmem->file) : 0;
	uint64_t slot = g->r->slot | (uint64_t)g->flags << 32;

	obs_span_file(OBS_SLOT, file, 0, err, slot, g->gfn << OS_PAGE_SHIFT,
		      g->nr << OS_PAGE_SHIFT);
	if (!err && g->nr)
		obs_count_file(OBS_SLOT_HOST, file, slot, g->r->userspace_addr,
			       file ? g->r->guest_memfd_offset : 0);
}

long memory_set_region(struct vm *vm, const struct kvm_userspace_memory_region2 *r, bool v1)
{
	struct region g = {
		.r = r,
		.id = r->slot & 0xffff,
		.as_id = r->slot >> 16,
		.flags = r->flags,
		.gfn = r->guest_phys_addr >> OS_PAGE_SHIFT,
		.nr = r->memory_size >> OS_PAGE_SHIFT,
	};
	int err;

	if (v1 && r->flags & ~(uint32_t)(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		return obs_refuse(RULE_MEMSLOT_OLD_FLAGS);
	if (g.id >= KVM_NR_USER_SLOTS)
		return obs_refuse(RULE_MEMSLOT_ID);
	if (r->userspace_addr < USER_END && r->memory_size < USER_END)
		hva_note(vm, r->userspace_addr, r->memory_size);
	if (!r->memory_size)
		account_before_end(vm, NULL);
	os_mutex_lock(&vm->slots_lock);
	err = check_flags(vm, &g);
	if (!err)
		err = check_place(vm, &g);
	if (!err)
		err = apply(vm, &g);
	os_mutex_unlock(&vm->slots_lock);
	if (obs_watched())
		tell_slot(vm, &g, err);
	if (g.gmem)
		kvm_object_put(&g.gmem->object);
	if (g.memfd)
		kvm_object_put(g.memfd);
	return err;
}

static uint64_t legal_attributes(const struct vm *vm)
{
	return vm->has_private && !vm_in_place(vm) ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
}

static int set_attributes(struct vm *vm, const struct kvm_memory_attributes *a)
{
	/* Looked at once more under the lock: the VM may have been switched to in-place conversion. */
	if (a->attributes & ~legal_attributes(vm))
		return obs_refuse(RULE_ATTRIBUTES_ILLEGAL);
	return mmu_set_attributes(vm->mmu, a->address >> OS_PAGE_SHIFT, a->size >> OS_PAGE_SHIFT,
				  (uint32_t)a->attributes);
}

static int change_attributes(struct vm *vm, const struct kvm_memory_attributes *a)
{
	uint64_t legal = legal_attributes(vm);
	int err = 0;

	if (a->flags)
		return obs_refuse(RULE_ATTRIBUTES_FLAGS);
	if (a->attributes & ~legal)
		return obs_refuse(RULE_ATTRIBUTES_ILLEGAL);
	if (!a->size || range_wraps(a->address, a->size))
		return obs_refuse(RULE_ATTRIBUTES_RANGE);
	if ((a->address | a->size) & (OS_PAGE_SIZE - 1))
		return obs_refuse(RULE_ATTRIBUTES_UNALIGNED);
	if (!legal)
		return 0;
	account_changed();
	os_mutex_lock(&vm->slots_lock);
	err = set_attributes(vm, a);
	os_mutex_unlock(&vm->slots_lock);
	return err;
}

long memory_set_attributes(struct vm *vm, const struct kvm_memory_attributes *a)
{
	int err = change_attributes(vm, a);

	if (obs_watched() && (err || obs_looks_closer()))
		obs_span(OBS_ASKED, 0, err, a->address, a->size, a->attributes);
	if (!err)
		leftover_note(vm, a->address, a->size);
	return err;
}
