/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Which VMs a change of the program's own mappings concerns. A program with many VMs maps and unmaps much that is
 * no guest's: each VM says, once and for good, what its slots stand on, and only those are told whose range meets
 * the change.
 *
 * The lock is held from begin to end, so that both see the same VMs. The cookie is the array of those that were
 * hit. A slot that is made beside a change is as good as made behind it.
 */
#include "core/range.h"
#include "kvm/vm.h"

static struct os_rwlock lock;
static struct interval_tree ranges;
static _Atomic unsigned int nr_ranges;

/* ---- what VMs stand on ------------------------------------------------------------------------- */

static bool is_known(const struct vm *vm, uint64_t hva, uint64_t end)
{
	return vm->hva.start <= hva && end <= vm->hva.end;
}

static void grow(struct vm *vm, uint64_t hva, uint64_t end)
{
	bool any = vm->hva.end;

	if (any)
		interval_remove(&ranges, &vm->hva);
	else
		atomic_fetch_add(&nr_ranges, 1);
	vm->hva.start = any && vm->hva.start < hva ? vm->hva.start : hva;
	vm->hva.end = max_u64(vm->hva.end, end);
	interval_insert(&ranges, &vm->hva);
}

void hva_note(struct vm *vm, uint64_t hva, uint64_t size)
{
	bool known;

	if (!size)
		return;
	os_rwlock_read_lock(&lock);
	known = is_known(vm, hva, hva + size);
	os_rwlock_read_unlock(&lock);
	if (known)
		return;
	os_rwlock_write_lock(&lock);
	if (!is_known(vm, hva, hva + size))
		grow(vm, hva, hva + size);
	os_rwlock_write_unlock(&lock);
}

void hva_forget(struct vm *vm)
{
	os_rwlock_write_lock(&lock);
	if (vm->hva.end) {
		interval_remove(&ranges, &vm->hva);
		atomic_fetch_sub(&nr_ranges, 1);
		vm->hva.end = 0;
	}
	os_rwlock_write_unlock(&lock);
}

/* ---- changes ----------------------------------------------------------------------------------- */

struct hva_change {
	uint64_t addr, size; /* while it begins */
	unsigned int max, nr;
	struct vm *hit[];
};

/* An unmapping cannot be refused: when there is no memory, those that need some wait for one another. */
#define NR_SPARE 1024
static struct os_mutex spare_lock = OS_MUTEX_INIT;
static char spare[sizeof(struct hva_change) + NR_SPARE * sizeof(struct vm *)]
	__attribute__((aligned(16)));

static size_t change_size(unsigned int max)
{
	return sizeof(struct hva_change) + max * sizeof(struct vm *);
}

static struct hva_change *change_get(unsigned int max)
{
	struct hva_change *change = os_alloc(change_size(max));

	if (!change) {
		os_assert(max <= NR_SPARE);
		os_mutex_lock(&spare_lock);
		change = (struct hva_change *)(void *)spare;
		__builtin_memset(change, 0, change_size(max));
	}
	change->max = max;
	return change;
}

static void change_put(struct hva_change *change)
{
	if ((char *)change == spare)
		os_mutex_unlock(&spare_lock);
	else
		os_free(change, change_size(change->max));
}

static struct vm *vm_at(struct interval *node)
{
	return (struct vm *)((char *)node - offsetof(struct vm, hva));
}

static bool count(void *arg, struct interval *node)
{
	++*(unsigned int *)arg;
	return true;
}

bool hva_meets(uint64_t addr, uint64_t size)
{
	unsigned int nr = 0;

	if (!atomic_load(&nr_ranges))
		return false;
	os_rwlock_read_lock(&lock);
	interval_for_each(&ranges, addr, range_top(addr, size), count, &nr);
	os_rwlock_read_unlock(&lock);
	return nr;
}

/* In a child of a fork those of the parent are still there. */
static bool begin_one(void *arg, struct interval *node)
{
	struct hva_change *change = arg;
	struct vm *vm = vm_at(node);

	if (vm->object.home == os_home_token() &&
	    mmu_hva_invalidate_begin(vm->mmu, change->addr, change->size))
		change->hit[change->nr++] = vm;
	return true;
}

static struct hva_change *begin_all(uint64_t addr, uint64_t size)
{
	uint64_t end = range_top(addr, size);
	struct hva_change *change;
	unsigned int max = 0;

	interval_for_each(&ranges, addr, end, count, &max);
	if (!max)
		return NULL;
	change = change_get(max);
	change->addr = addr;
	change->size = size;
	interval_for_each(&ranges, addr, end, begin_one, change);
	if (change->nr)
		return change;
	change_put(change);
	return NULL;
}

uint64_t kvm_hva_change_begin(uint64_t addr, uint64_t size)
{
	struct hva_change *change;

	if (!size || !atomic_load_explicit(&nr_ranges, memory_order_acquire))
		return 0;
	os_rwlock_read_lock(&lock);
	change = begin_all(addr, size);
	if (!change)
		os_rwlock_read_unlock(&lock);
	return (uint64_t)(uintptr_t)change;
}

void kvm_hva_change_end(uint64_t addr, uint64_t size, uint64_t cookie)
{
	struct hva_change *change = (struct hva_change *)(uintptr_t)cookie;

	if (!change)
		return;
	for (unsigned int i = 0; i < change->nr; i++)
		mmu_hva_invalidate_end(change->hit[i]->mmu, addr, size);
	change_put(change);
	os_rwlock_read_unlock(&lock);
}

/* ---- fork -------------------------------------------------------------------------------------- */

void kvm_before_fork(void)
{
	os_rwlock_write_lock(&lock);
}

void kvm_after_fork_in_parent(void)
{
	os_rwlock_write_unlock(&lock);
}

void kvm_after_fork_in_child(void)
{
	os_rwlock_init(&lock);
	os_mutex_init(&spare_lock);
}
