/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who keeps whom, and what the last close does; also beside other threads. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdlib.h>

#include "core/store.h"
#include "kvm/vm.h"
#include "map/host_file.h"
#include "mmu/memslot.h"
#include "os/os.h"

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)

static void a_guest_memfd_keeps_its_vm(void **state)
{
	int vm = make_vm(KVM_X86_DEFAULT_VM), gmem = make_gmem(vm, 4 * PAGE, 0);
	struct kvm_object *o = object_of(gmem);
	uint64_t live = os_alloc_live();

	fixture_close(vm);
	assert_int_equal(os_alloc_live(), live);
	assert_int_equal(kvm_gmem_fallocate(o, FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE), 0);
	assert_int_equal(store_backed(gmem_file_store(kvm_gmem_host_file(o)->file)), 4 * PAGE);
	assert_int_equal(kvm_gmem_fallocate(o, PUNCH, 0, 4 * PAGE), 0);
	assert_int_equal(store_backed(gmem_file_store(kvm_gmem_host_file(o)->file)), 0);
	fixture_close(gmem);
	assert_true(os_alloc_live() < live);
	fixture_end();
}

/* Changes memslots of the VM where a release of a file of the VM is in its middle. */
struct releasing {
	struct gmem_consumer consumer;
	int vm;
	_Atomic bool done;
	bool waited;
	pthread_t thread;
};

static char beside[4096] __attribute__((aligned(4096)));

static void *change_a_slot(void *arg)
{
	struct releasing *r = arg;

	if (set_slot(r->vm, 3, 0, 5 * GB, PAGE, beside, -1, 0))
		abort();
	atomic_store(&r->done, true);
	return NULL;
}

static int release_begins(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct releasing *r = (struct releasing *)c;
	uint64_t end = os_clock_ns() + 20000000;

	if (ch->kind != GMEM_CHANGE_RELEASE || pthread_create(&r->thread, NULL, change_a_slot, r))
		abort();
	while (!atomic_load(&r->done) && os_clock_ns() < end)
		os_yield();
	r->waited = !atomic_load(&r->done);
	return 0;
}

static void release_ends(struct gmem_consumer *c, const struct gmem_change *ch)
{
}

static void nobody_changes_memslots_while_a_file_is_released(void **state)
{
	static const struct gmem_consumer_ops ops = { .begin = release_begins,
						      .end = release_ends };
	struct releasing r = { .consumer = { .ops = &ops },
			       .vm = make_vm(KVM_X86_SW_PROTECTED_VM) };
	int gmem = make_gmem(r.vm, PAGE, 0);

	assert_int_equal(set_slot(r.vm, 0, KVM_MEM_GUEST_MEMFD, GB, PAGE, NULL, gmem, 0), 0);
	gmem_file_add_consumer(kvm_gmem_host_file(object_of(gmem))->file, &r.consumer);
	fixture_close(gmem);
	assert_int_equal(pthread_join(r.thread, NULL), 0);
	assert_true(r.waited);
	fixture_close(r.vm);
	fixture_end();
}

/* ---- the slots lock ------------------------------------------------------------------------------ */

static struct vm *watched;
static int nr_changes, nr_held;

static void look_at_the_lock(void)
{
	if (!watched)
		return;
	nr_changes++;
	if (os_mutex_trylock(&watched->slots_lock))
		os_mutex_unlock(&watched->slots_lock);
	else
		nr_held++;
}

int __real_mmu_set_attributes(struct mmu *mmu, uint64_t gfn, uint64_t nr, uint32_t attributes);
int __real_memslot_create(struct mmu *mmu, const struct memslot *what, bool dirty_all);
void __real_memslot_delete(struct mmu *mmu, struct memslot *slot);
int __wrap_mmu_set_attributes(struct mmu *mmu, uint64_t gfn, uint64_t nr, uint32_t attributes);
int __wrap_memslot_create(struct mmu *mmu, const struct memslot *what, bool dirty_all);
void __wrap_memslot_delete(struct mmu *mmu, struct memslot *slot);

int __wrap_mmu_set_attributes(struct mmu *mmu, uint64_t gfn, uint64_t nr, uint32_t attributes)
{
	look_at_the_lock();
	return __real_mmu_set_attributes(mmu, gfn, nr, attributes);
}

int __wrap_memslot_create(struct mmu *mmu, const struct memslot *what, bool dirty_all)
{
	look_at_the_lock();
	return __real_memslot_create(mmu, what, dirty_all);
}

void __wrap_memslot_delete(struct mmu *mmu, struct memslot *slot)
{
	look_at_the_lock();
	__real_memslot_delete(mmu, slot);
}

static void slots_and_attributes_change_under_the_slots_lock(void **state)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM);

	nr_changes = nr_held = 0;
	watched = (struct vm *)object_of(vm);
	assert_int_equal(set_slot(vm, 0, 0, GB, PAGE, beside, -1, 0), 0);
	assert_int_equal(set_private(vm, GB, PAGE, true), 0);
	assert_int_equal(set_slot(vm, 0, 0, 0, 0, NULL, -1, 0), 0);
	watched = NULL;
	assert_int_equal(nr_changes, 3);
	assert_int_equal(nr_held, 3);
	fixture_close(vm);
	fixture_end();
}

static void the_slot_outlives_the_guest_memfd(void **state)
{
	int vm = make_vm(KVM_X86_SW_PROTECTED_VM), gmem = make_gmem(vm, PAGE, 0);
	int vcpu = make_vcpu(vm);
	struct kvm_pre_fault_memory p = { .gpa = GB, .size = PAGE };

	assert_int_equal(set_slot(vm, 0, KVM_MEM_GUEST_MEMFD, GB, PAGE, NULL, gmem, 0), 0);
	assert_int_equal(set_private(vm, GB, PAGE, true), 0);
	assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), 0);
	assert_int_equal(p.size, 0);
	fixture_close(gmem);
	p = (struct kvm_pre_fault_memory){ .gpa = GB, .size = PAGE };
	assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), -EFAULT);
	assert_int_equal(p.size, PAGE);
	assert_int_equal(set_slot(vm, 1, 0, GB, PAGE, NULL, -1, 0), -EEXIST);
	assert_int_equal(set_slot(vm, 0, 0, 0, 0, NULL, -1, 0), 0);
	assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), -EFAULT);
	assert_int_equal(set_private(vm, GB, PAGE, false), 0);
	assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), -ENOENT);
	end_vm(vm, vcpu);
}

static void prefault_fails_or_makes_progress(void **state)
{
	static char ram[4 * 4096] __attribute__((aligned(4096)));
	int vm = make_vm(KVM_X86_DEFAULT_VM), vcpu = make_vcpu(vm);
	struct kvm_pre_fault_memory p = { .gpa = GB, .size = 6 * PAGE };

	assert_int_equal(set_slot(vm, 0, 0, GB, 4 * PAGE, ram, -1, 0), 0);
	assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), 0);
	assert_int_equal(p.gpa, GB + 4 * PAGE);
	assert_int_equal(p.size, 2 * PAGE);
	assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), -ENOENT);
	assert_int_equal(p.size, 2 * PAGE);
	p.flags = 1;
	assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), -EINVAL);
	p = (struct kvm_pre_fault_memory){ .gpa = GB };
	assert_int_equal(call(vcpu, KVM_PRE_FAULT_MEMORY, &p), -EINVAL);
	fixture_close(vcpu);
	fixture_close(vm);
}

static void fallocate_rules(void **state)
{
	int vm = make_vm(KVM_X86_DEFAULT_VM), gmem = make_gmem(vm, 4 * PAGE, 0);
	struct kvm_object *o = object_of(gmem);

	assert_int_equal(kvm_gmem_fallocate(o, 0, 0, PAGE), -EOPNOTSUPP);
	assert_int_equal(kvm_gmem_fallocate(o, FALLOC_FL_PUNCH_HOLE, 0, PAGE), -EOPNOTSUPP);
	assert_int_equal(kvm_gmem_fallocate(o, FALLOC_FL_ZERO_RANGE, 0, PAGE), -EOPNOTSUPP);
	assert_int_equal(kvm_gmem_fallocate(o, PUNCH, -1, PAGE), -EINVAL);
	assert_int_equal(kvm_gmem_fallocate(o, PUNCH, 0, 0), -EINVAL);
	assert_int_equal(kvm_gmem_fallocate(o, PUNCH, 1, PAGE), -EINVAL);
	assert_int_equal(kvm_gmem_fallocate(o, PUNCH, PAGE, INT64_MAX), -EFBIG);
	assert_int_equal(kvm_gmem_fallocate(o, PUNCH, 4 * PAGE, 8 * PAGE), 0);
	assert_int_equal(kvm_gmem_fallocate(o, FALLOC_FL_KEEP_SIZE, 4 * PAGE, PAGE), -EINVAL);
	assert_int_equal(kvm_gmem_fallocate(o, FALLOC_FL_KEEP_SIZE, 3 * PAGE, PAGE), 0);
	fixture_close(gmem);
	fixture_close(vm);
}

/* ---- beside other threads ----------------------------------------------------------------------- */

#define ROUNDS 300

struct shared {
	int vm;
	_Atomic int gmem;
	uint64_t flags; /* of the guest_memfds */
};

static void *change_slots(void *arg)
{
	struct shared *s = arg;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		long r = set_slot(s->vm, 0, KVM_MEM_GUEST_MEMFD, GB, 512 * PAGE, NULL, s->gmem, 0);

		if (!r)
			r = set_slot(s->vm, 0, 0, 0, 0, NULL, -1, 0);
		else if (r != -EBADF && r != -EINVAL)
			abort();
	}
	return NULL;
}

static void *change_attributes(void *arg)
{
	struct shared *s = arg;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		if (set_private(s->vm, GB + (uint64_t)(i % 7) * PAGE, 33 * PAGE, i & 1))
			abort();
	}
	return NULL;
}

/* The descriptor may be closed by now, or another one's. */
static void *convert_in_place(void *arg)
{
	struct shared *s = arg;
	int i;

	for (i = 0; i < 4 * ROUNDS; i++) {
		struct kvm_memory_attributes2 a = {
			.offset = (uint64_t)(i % 7) * PAGE,
			.size = 33 * PAGE,
			.attributes = i & 1 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		};
		long r = call(s->gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a);

		if (r && r != -EBADF && r != -ENOTTY && r != -EINVAL)
			abort();
	}
	return NULL;
}

static void *change_files(void *arg)
{
	struct shared *s = arg;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		int old = s->gmem, fresh = make_gmem(s->vm, 512 * PAGE, s->flags);

		if (fresh < 0)
			abort();
		s->gmem = fresh;
		fixture_close(old);
	}
	return NULL;
}

static void *prefault(void *arg)
{
	struct shared *s = arg;
	int vcpu = make_vcpu(s->vm), i;

	for (i = 0; i < ROUNDS; i++) {
		struct kvm_pre_fault_memory p = { .gpa = GB, .size = 64 * PAGE };
		long r = call(vcpu, KVM_PRE_FAULT_MEMORY, &p);

		if ((r < 0) == (p.size < 64 * PAGE))
			abort();
	}
	fixture_close(vcpu);
	return NULL;
}

static void race(void *(*change)(void *), uint64_t flags)
{
	void *(*const actors[])(void *) = { change_slots, change, change_files, prefault };
	struct shared s = { .vm = make_vm(KVM_X86_SW_PROTECTED_VM), .flags = flags };
	pthread_t threads[4];
	unsigned int i;

	s.gmem = make_gmem(s.vm, 512 * PAGE, flags);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, actors[i], &s), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	fixture_close(s.gmem);
	fixture_close(s.vm);
	fixture_end();
}

static void slots_files_attributes_and_faults_race(void **state)
{
	race(change_attributes, 0);
}

static void slots_files_conversions_in_place_and_faults_race(void **state)
{
	fixture_start("in-place");
	race(convert_in_place, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	fixture_start(NULL);
}

/* Is any VM told of a change of [ram, ram + size)? */
static bool concerns(const char *ram, uint64_t size)
{
	uint64_t cookie = kvm_hva_change_begin((uintptr_t)ram, size);

	if (cookie)
		kvm_hva_change_end((uintptr_t)ram, size, cookie);
	return cookie;
}

static void a_change_of_memory_concerns_those_who_stand_there(void **state)
{
	static char ram[64 * 4096] __attribute__((aligned(4096)));
	int vms[3];

	for (int i = 0; i < 3; i++)
		vms[i] = make_vm(KVM_X86_DEFAULT_VM);
	assert_false(concerns(ram, sizeof(ram)));
	/* One in the middle, one on both sides of it, one at the same place as the first. */
	assert_int_equal(set_slot(vms[0], 0, 0, 0, 8 * PAGE, ram + 28 * PAGE, -1, 0), 0);
	assert_int_equal(set_slot(vms[1], 0, 0, 0, PAGE, ram + 40 * PAGE, -1, 0), 0);
	assert_int_equal(set_slot(vms[1], 1, 0, GB, PAGE, ram + 4 * PAGE, -1, 0), 0);
	assert_int_equal(set_slot(vms[2], 0, 0, 0, PAGE, ram + 35 * PAGE, -1, 0), 0);
	for (unsigned int page = 0; page < 64; page++)
		assert_int_equal(concerns(ram + page * PAGE, PAGE),
				 page == 4 || page == 40 || (page >= 28 && page < 36));
	fixture_close(vms[0]);
	assert_false(concerns(ram + 28 * PAGE, PAGE));
	assert_true(concerns(ram + 35 * PAGE, PAGE));
	assert_true(concerns(ram, sizeof(ram)));
	assert_int_equal(set_slot(vms[1], 0, 0, 0, 0, NULL, -1, 0), 0);
	assert_false(concerns(ram + 40 * PAGE, PAGE));
	assert_true(concerns(ram, 5 * PAGE));
	fixture_close(vms[1]);
	fixture_close(vms[2]);
	assert_false(concerns(ram, sizeof(ram)));
	fixture_end();
}

static bool maps_first_page(struct vm *vm)
{
	return mmu_mapped_level(vm->mmu, 0) >= 0;
}

static void a_change_of_memory_is_told_to_all_vms_that_stand_there(void **state)
{
	static char ram[4096] __attribute__((aligned(4096)));
	struct mmu_fault_info info;
	struct mmu_vcpu *v[3];
	struct vm *vms[3];
	uint64_t cookie;
	int fds[3], nr_mapped = 0;

	for (int i = 0; i < 3; i++) {
		fds[i] = make_vm(KVM_X86_DEFAULT_VM);
		vms[i] = (struct vm *)object_of(fds[i]);
		assert_int_equal(set_slot(fds[i], 0, 0, 0, PAGE, ram, -1, 0), 0);
		assert_int_equal(mmu_vcpu_create(vms[i]->mmu, &v[i]), 0);
		assert_int_equal(mmu_fault(v[i], 0, MMU_WRITE, false, &info), MMU_FAULT_OK);
		assert_true(maps_first_page(vms[i]));
	}
	cookie = kvm_hva_change_begin((uintptr_t)ram, PAGE);
	for (int i = 0; i < 3; i++)
		nr_mapped += maps_first_page(vms[i]);
	kvm_hva_change_end((uintptr_t)ram, PAGE, cookie);
	assert_int_equal(nr_mapped, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(mmu_fault(v[i], 0, MMU_WRITE, false, &info), MMU_FAULT_OK);
		mmu_vcpu_destroy(v[i]);
		fixture_close(fds[i]);
	}
	fixture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_memfd_keeps_its_vm),
		cmocka_unit_test(nobody_changes_memslots_while_a_file_is_released),
		cmocka_unit_test(slots_and_attributes_change_under_the_slots_lock),
		cmocka_unit_test(the_slot_outlives_the_guest_memfd),
		cmocka_unit_test(prefault_fails_or_makes_progress),
		cmocka_unit_test(fallocate_rules),
		cmocka_unit_test(a_change_of_memory_concerns_those_who_stand_there),
		cmocka_unit_test(a_change_of_memory_is_told_to_all_vms_that_stand_there),
		cmocka_unit_test(slots_files_attributes_and_faults_race),
		cmocka_unit_test(slots_files_conversions_in_place_and_faults_race),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
