/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a program's threads can do to each other by requests, closes and mappings. */
#include "kvm_world.h"

#include <errno.h>

#include "kvm/object.h"
#include "mmu/mmu.h"

#define MIXED (SIM_RANDOM | SIM_PCT)

/* ---- actors ------------------------------------------------------------------------------------ */

static void runs(void *arg)
{
	for (int i = 0; i < 3; i++) {
		long ret = kw_value(kw.vcpu, KVM_RUN, 0);

		sim_note("KVM_RUN: %ld", ret);
		sim_assert(!ret || ret == -EFAULT || ret == -EBADF);
	}
}

static void closes(void *arg)
{
	int *fd = arg;

	kw_close(*fd);
}

/* The guest_memfd may be closed before or after, or while. */
static void binds(void *arg)
{
	for (int i = 0; i < 2; i++) {
		long ret = kw_slot(1, DATA_GPA, 0, 0, 0);

		sim_assert(!ret || ret == -EINVAL || ret == -EBADF);
		ret = kw_slot(1, DATA_GPA, NR_PAGES * PAGE, KVM_MEM_GUEST_MEMFD, 0);
		sim_note("bind: %ld", ret);
		sim_assert(!ret || ret == -EBADF || ret == -EINVAL);
	}
}

static void prefaults(void *arg)
{
	struct kvm_pre_fault_memory p = { .gpa = DATA_GPA, .size = NR_PAGES * PAGE };
	long ret = kw_call(kw.vcpu, KVM_PRE_FAULT_MEMORY, &p);

	sim_assert(!ret || ret == -EFAULT || ret == -ENOENT || ret == -EAGAIN || ret == -EBADF);
	/* What was done and what is left are all there is. */
	sim_assert(p.gpa + p.size == DATA_GPA + NR_PAGES * PAGE);
}

static void punches(void *arg)
{
	struct kvm_object *o = kw_object(kw.gmem);

	if (!o)
		return;
	sim_assert(!kvm_gmem_fallocate(o, 3, 0, NR_PAGES * PAGE));
	kvm_object_put(o);
}

static void sets_attributes(void *arg)
{
	for (int i = 0; i < 3; i++) {
		long ret = kw_set_private(sim_choose(NR_PAGES), 1, i % 2 == 0);

		sim_assert(!ret || ret == -EBADF);
	}
}

/* ---- the ends of things ------------------------------------------------------------------------ */

static void setup_close_against_bind(void)
{
	kw_make("linux-7.2", 0);
	sim_assert(!kw_set_private(0, NR_PAGES, true));
	sim_spawn("closer", closes, &kw.gmem);
	sim_spawn("binder", binds, NULL);
	sim_spawn("vCPU", runs, NULL);
	sim_spawn("puncher", punches, NULL);
}

SIM_SCENARIO(kvm_close_against_bind) = {
	.about =
		"a guest_memfd is closed while memslots are bound to it and deleted, and a vCPU runs",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_close_against_bind,
	.teardown = kw_unmake,
};

static void setup_all_closed(void)
{
	kw_make("linux-7.2", 0);
	sim_assert(!kw_set_private(0, 1, true));
	sim_spawn("vCPU", runs, NULL);
	sim_spawn("closer of the VM", closes, &kw.vm);
	sim_spawn("closer of the vCPU", closes, &kw.vcpu);
	sim_spawn("closer of the file", closes, &kw.gmem);
	sim_spawn("prefaulter", prefaults, NULL);
}

SIM_SCENARIO(kvm_all_closed_while_it_runs) = {
	.about =
		"VM, vCPU and guest_memfd are closed in every order while a vCPU runs: each goes with "
		"its last count, and all go",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_all_closed,
	.teardown = kw_unmake,
};

static void creates(void *arg)
{
	struct kvm_create_guest_memfd c = { .size = PAGE };
	long fd = kw_call(kw.vm, KVM_CREATE_GUEST_MEMFD, &c);

	if (fd >= 0)
		kw_close((int)fd);
	fd = kw_value(kw.vm, KVM_CREATE_VCPU, sim_choose(2));
	sim_assert(fd >= 0 || fd == -EEXIST || fd == -EBADF);
	if (fd >= 0)
		kw_close((int)fd);
}

static void setup_create(void)
{
	kw_make("linux-7.2", 0);
	sim_spawn("maker", creates, NULL);
	sim_spawn("other maker", creates, NULL);
	sim_spawn("closer", closes, &kw.vm);
}

SIM_SCENARIO(kvm_create_against_close) = {
	.about = "guest_memfds and vCPUs are made in a VM that is being closed",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_create,
	.teardown = kw_unmake,
};

/* ---- requests beside each other ---------------------------------------------------------------- */

static void setup_requests(void)
{
	kw_make("linux-7.2", 0);
	sim_spawn("vCPU", runs, NULL);
	sim_spawn("attributes", sets_attributes, NULL);
	sim_spawn("binder", binds, NULL);
	sim_spawn("puncher", punches, NULL);
}

SIM_SCENARIO(kvm_requests_by_gfn) = {
	.about = "attributes, memslots and punches change while a vCPU runs",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_requests,
	.teardown = kw_unmake,
};

/* Each has a page of its own, and says of it what it is. */
static void owns_a_page(void *arg)
{
	uint64_t page = (uintptr_t)arg, gfn = DATA_GPA / PAGE + page;
	struct vm *vm = (struct vm *)kw_object(kw.vm);

	for (int i = 0; i < 3; i++) {
		uint32_t wanted = i % 2 ? 0 : ATTR_PRIVATE;

		sim_assert(!kw_set_private(page, 1, wanted));
		if (attr_map_get(mmu_attributes(vm->mmu), gfn) != wanted)
			sim_fail("attributes: page %u is not what it was made", (unsigned)page);
	}
	kvm_object_put(&vm->object);
}

static void setup_attributes_beside(void)
{
	kw_make("linux-7.2", 0);
	sim_spawn("attributes of a page", owns_a_page, (void *)0);
	sim_spawn("attributes of the next", owns_a_page, (void *)1);
}

SIM_SCENARIO(kvm_attributes_beside_each_other) = {
	.about = "two threads say what two pages are that lie side by side: neither undoes the "
		 "other's",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_attributes_beside,
	.teardown = kw_unmake,
};

/* ---- memory of the program --------------------------------------------------------------------- */

static struct vm *on_memory[2];
static struct mmu_vcpu *touching[2];

static void touches(void *arg)
{
	struct mmu_fault_info info;

	for (int i = 0; i < 2; i++)
		sim_assert(mmu_fault(arg, CODE_GPA, MMU_READ, false, &info) == MMU_FAULT_OK);
}

static void none_maps_it(void)
{
	for (int i = 0; i < 2; i++)
		if (mmu_mapped_level(on_memory[i]->mmu, CODE_GPA) >= 0)
			sim_fail("brackets: VM %d maps memory that is being mapped anew", i);
}

static void maps_anew(void *arg)
{
	for (int i = 0; i < 2; i++) {
		uint64_t cookie = kvm_hva_change_begin((uintptr_t)kw.memory, PAGE);

		none_maps_it();
		sim_point();
		none_maps_it();
		kvm_hva_change_end((uintptr_t)kw.memory, PAGE, cookie);
	}
}

static void setup_two_vms(void)
{
	kw_make("linux-7.2", 0);
	on_memory[0] = (struct vm *)kw_object(kw.vm);
	on_memory[1] = (struct vm *)kw_object(kw_vm_beside());
	for (int i = 0; i < 2; i++) {
		sim_assert(!mmu_vcpu_create(on_memory[i]->mmu, &touching[i]));
		sim_spawn(i ? "vCPU of the other" : "vCPU", touches, touching[i]);
	}
	sim_spawn("mapper", maps_anew, NULL);
}

static void teardown_two_vms(void)
{
	for (int i = 0; i < 2; i++) {
		mmu_vcpu_destroy(touching[i]);
		kvm_object_put(&on_memory[i]->object);
	}
	kw_unmake();
}

SIM_SCENARIO(kvm_memory_of_two_vms_mapped_anew) = {
	.about = "memory that two VMs stand on is mapped anew while their vCPUs touch it: both "
		 "have let go of it meanwhile",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_two_vms,
	.teardown = teardown_two_vms,
};

/* ---- arguments and signals --------------------------------------------------------------------- */

/* Where each access is a point. */
static struct kvm_memory_attributes *shared_argument;

static void scribbles(void *arg)
{
	for (int i = 0; i < 4; i++) {
		sim_point();
		shared_argument->size = i % 2 ? PAGE : 0;
		shared_argument->address = DATA_GPA + (i % 2 ? 0 : 2 * PAGE);
	}
}

static void asks_with_it(void *arg)
{
	long ret = kw_call(kw.vm, KVM_SET_MEMORY_ATTRIBUTES, shared_argument);

	sim_note("attributes: %ld", ret);
	sim_assert(!ret || ret == -EINVAL);
}

static void setup_scribble(void)
{
	kw_make("linux-7.2", 0);
	shared_argument = (void *)((char *)kw.memory + 6 * PAGE);
	*shared_argument = (struct kvm_memory_attributes){
		.address = DATA_GPA, .size = PAGE, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE
	};
	sim_spawn("asker", asks_with_it, NULL);
	sim_spawn("scribbler", scribbles, NULL);
}

SIM_SCENARIO(kvm_argument_changes) = {
	.about = "a request's structure is overwritten while it is carried out: it was read once",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_scribble,
	.teardown = kw_unmake,
};

static struct sim_fibre *runner;

static void runs_for_good(void *arg)
{
	static const uint8_t forever[] = { 0xeb, 0xfe };
	struct kvm_regs r = { .rip = CODE_GPA, .rflags = 2 };

	__builtin_memcpy(kw.memory, forever, sizeof(forever));
	sim_assert(!kw_call(kw.vcpu, KVM_SET_REGS, &r));
	sim_assert(kw_value(kw.vcpu, KVM_RUN, 0) == -EINTR);
	os_signal_set_pending(false);
}

/* As the shim's handler of a signal does. */
static void signals(void *arg)
{
	struct kvm_object *o = kw_object(kw.vcpu);

	sim_point();
	sim_signal(runner);
	kvm_kick(o);
	kvm_object_put(o);
}

static void setup_kick(void)
{
	kw_make("linux-7.2", 0);
	runner = sim_spawn("vCPU", runs_for_good, NULL);
	sim_spawn("signal", signals, NULL);
}

SIM_SCENARIO(kvm_signal_while_it_runs) = {
	.about = "a signal arrives at any moment of KVM_RUN: the guest, which never ends, is left",
	.searches = SIM_RANDOM,
	.threads_stay = true,
	.setup = setup_kick,
	.teardown = kw_unmake,
};
