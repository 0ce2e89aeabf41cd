/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The generations before guest_memfd as whole VMs: conversions of each kind beside a guest, slots and closes. */
#include "kvm_world.h"

#include <errno.h>

#include <gmem/early.h>

#include "core/gmem_file.h"
#include "kvm/memfd.h"

#define MIXED (SIM_RANDOM | SIM_PCT)
#define PUNCH 3

static void runs(void *arg)
{
	for (int i = 0; i < 3; i++) {
		long ret = kw_value(kw.vcpu, KVM_RUN, 0);

		sim_note("KVM_RUN: %ld", ret);
		sim_assert(!ret || ret == -EBADF);
	}
}

static void binds(void *arg)
{
	long ret = kw_slot(1, DATA_GPA, 0, 0, 0);

	sim_assert(!ret || ret == -EINVAL || ret == -EBADF);
	ret = kw_slot(1, DATA_GPA, NR_PAGES * PAGE, KVM_MEM_PRIVATE, 0);
	sim_note("bind: %ld", ret);
	sim_assert(!ret || ret == -EINVAL || ret == -EBADF);
}

static void closes(void *arg)
{
	kw_close(kw.gmem);
}

/* Some pages, and in turn they get memory and lose it. */
static void allocates(void *arg)
{
	struct kvm_object *o = kw_object(kw.gmem);

	for (int i = 0; o && i < 3; i++) {
		uint64_t first = sim_choose(NR_PAGES);

		sim_assert(!kvm_memfd_fallocate(o, i % 2 ? PUNCH : 0, (int64_t)(first * PAGE),
						(int64_t)((NR_PAGES - first) * PAGE)));
	}
	if (o)
		kvm_object_put(o);
}

static void encrypts(void *arg)
{
	struct kvm_enc_region r = { .addr = DATA_GPA + PAGE * sim_choose(NR_PAGES), .size = PAGE };

	for (int i = 0; i < 3; i++) {
		long ret = kw_call(kw.vm,
				   i % 2 ? KVM_MEMORY_ENCRYPT_REG_REGION
					 : KVM_MEMORY_ENCRYPT_UNREG_REGION,
				   &r);

		sim_assert(!ret || ret == -EBADF);
	}
}

static void sets_attributes(void *arg)
{
	for (int i = 0; i < 3; i++) {
		struct kvm_memory_attributes a = {
			.address = DATA_GPA,
			.size = NR_PAGES * PAGE,
			.attributes = i % 2 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE,
		};
		long ret = kw_call(kw.vm, KVM_SET_MEMORY_ATTRIBUTES_V10, &a);

		sim_assert(ret == -EBADF || (!ret && !a.size));
	}
}

/* ---- v5: what is allocated is private ------------------------------------------------------------- */

static void must_be_allocated(void *unused)
{
	struct kvm_object *o = kw_object(kw.gmem);
	uint64_t nr_private = 0, backed;
	struct gmem_file *f;

	if (!o)
		return;
	f = memfd_file(o);
	for (uint64_t page = 0; page < NR_PAGES; page++)
		nr_private += gmem_file_is_private(f, page * PAGE);
	backed = store_backed(gmem_file_store(f));
	if (backed != nr_private * PAGE)
		sim_fail("truth: %u pages are private, and %u have memory",
			 (unsigned int)nr_private, (unsigned int)(backed / PAGE));
	gmem_file_check(f);
	kvm_object_put(o);
}

static void start(const char *profile)
{
	kw_make(profile, 0);
	sim_spawn("vCPU", runs, NULL);
	sim_spawn("binder", binds, NULL);
	sim_spawn("closer", closes, NULL);
}

static void setup_v5(void)
{
	start("memfd-v5");
	sim_spawn("allocator", allocates, NULL);
	sim_spawn("other allocator", allocates, NULL);
	sim_invariant(SIM_AT_END, must_be_allocated, NULL);
}

SIM_SCENARIO(kvm_v5_fallocate) = {
	.about =
		"memfd-v5: pages are allocated and punched while a vCPU runs, and slots go and come: what has "
		"memory is private",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_v5,
	.teardown = kw_unmake,
};

/* A file that stays open, to be looked at. */
static void setup_v5_open(void)
{
	kw_make("memfd-v5", 0);
	sim_spawn("vCPU", runs, NULL);
	sim_spawn("allocator", allocates, NULL);
	sim_spawn("other allocator", allocates, NULL);
	sim_invariant(SIM_AT_END, must_be_allocated, NULL);
}

SIM_SCENARIO(kvm_v5_truth) = {
	.about =
		"memfd-v5: two threads allocate and punch the same pages beside a vCPU: the truth and what is "
		"allocated stay one",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_v5_open,
	.teardown = kw_unmake,
};

/* All pages, once: the least in which one can come between the two halves of the other. */
static void allocates_all(void *arg)
{
	struct kvm_object *o = kw_object(kw.gmem);

	sim_assert(!kvm_memfd_fallocate(o, 0, 0, (int64_t)(NR_PAGES * PAGE)));
	kvm_object_put(o);
}

static void punches_all(void *arg)
{
	struct kvm_object *o = kw_object(kw.gmem);

	sim_assert(!kvm_memfd_fallocate(o, PUNCH, 0, (int64_t)(NR_PAGES * PAGE)));
	kvm_object_put(o);
}

static void setup_v5_two(void)
{
	kw_make("memfd-v5", 0);
	sim_spawn("allocator", allocates_all, NULL);
	sim_spawn("puncher", punches_all, NULL);
	sim_invariant(SIM_AT_END, must_be_allocated, NULL);
}

SIM_SCENARIO(kvm_v5_two_callers) = {
	.about =
		"memfd-v5: one allocates what another punches: each comes before the other or behind it",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_v5_two,
	.teardown = kw_unmake,
};

/* ---- v8 and v10: the VM says it ------------------------------------------------------------------- */

static void setup_v8(void)
{
	start("memfd-v8");
	sim_spawn("converter", encrypts, NULL);
	sim_spawn("other converter", encrypts, NULL);
	sim_spawn("puncher", allocates, NULL);
}

SIM_SCENARIO(kvm_v8_encrypt) = {
	.about =
		"memfd-v8: guest addresses are made shared and private, and pages punched, while a vCPU runs and "
		"the slot goes",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_v8,
	.teardown = kw_unmake,
};

static void setup_v10(void)
{
	start("restrictedmem-v10");
	sim_spawn("converter", sets_attributes, NULL);
	sim_spawn("puncher", allocates, NULL);
}

SIM_SCENARIO(kvm_v10_attributes) = {
	.about =
		"restrictedmem-v10: attributes and punches while a vCPU runs, the slot goes and the file is closed",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_v10,
	.teardown = kw_unmake,
};
