/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* CPUID: what the engine can do, and what the program gave a vCPU. */
#include "kvm/state.h"

#include <errno.h>

#define MAX_ENTRIES 256u
#define ENTRIES_AT(arg) ((arg) + offsetof(struct kvm_cpuid2, entries))

static struct kvm_cpuid_entry2 to_uapi(const struct cpu_cpuid *c)
{
	return (struct kvm_cpuid_entry2){
		.function = c->function,
		.index = c->index,
		.flags = c->index_matters ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = c->eax,
		.ebx = c->ebx,
		.ecx = c->ecx,
		.edx = c->edx,
	};
}

static long put_entries(uint64_t arg, const struct cpu_cpuid *entries, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct kvm_cpuid_entry2 e = to_uapi(&entries[i]);

		if (os_copy_out(ENTRIES_AT(arg) + i * sizeof(e), &e, sizeof(e)))
			return obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	}
	if (os_copy_out(arg, &nr, sizeof(nr)))
		return obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	return 0;
}

static long list(uint64_t arg, const struct cpu_cpuid *entries, unsigned int nr)
{
	uint32_t room;

	if (os_copy_in(&room, arg, sizeof(room)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	if (room < nr)
		return obs_refuse(RULE_CPUID_NO_ROOM);
	return put_entries(arg, entries, nr);
}

long cpuid_list_supported(uint64_t arg)
{
	struct cpu_cpuid entries[64];
	unsigned int nr = cpu_soft_supported_cpuid(entries, NR_ROWS(entries));

	os_assert(nr <= NR_ROWS(entries));
	return list(arg, entries, nr);
}

/* What KVM emulates beyond the machine: MOVBE and RDPID, in two leaves behind the range leaf. */
long cpuid_list_emulated(uint64_t arg)
{
	static const struct cpu_cpuid entries[] = {
		{ .function = 0, .eax = 7 },
		{ .function = 1, .ecx = 1u << 22 },
		{ .function = 7, .index_matters = true, .ecx = 1u << 22 },
	};

	return list(arg, entries, NR_ROWS(entries));
}

static void drop(struct vcpu *vcpu)
{
	os_free(vcpu->cpuid, vcpu->nr_cpuid * sizeof(*vcpu->cpuid));
	vcpu->cpuid = NULL;
	vcpu->nr_cpuid = 0;
}

static long give_engine(struct vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, unsigned int nr)
{
	struct cpu_cpuid *c = os_alloc(nr * sizeof(*c));
	unsigned int i;
	long err;

	if (nr && !c)
		return obs_refuse(RULE_NO_MEMORY);
	for (i = 0; i < nr; i++) {
		const struct kvm_cpuid_entry2 *e = &entries[i];

		c[i] = (struct cpu_cpuid){
			e->function, e->index, e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
			e->eax,	     e->ebx,   e->ecx,
			e->edx
		};
	}
	err = vcpu->ops->set_cpuid(vcpu->cpu, c, nr);
	os_free(c, nr * sizeof(*c));
	return err;
}

/* Takes the array over, also when it refuses. */
static long take(struct vcpu *vcpu, struct kvm_cpuid_entry2 *entries, unsigned int nr)
{
	uint64_t size = nr * sizeof(*entries);
	long err = 0;

	if (vcpu->has_run) {
		if (nr != vcpu->nr_cpuid || (nr && __builtin_memcmp(entries, vcpu->cpuid, size)))
			err = obs_refuse(RULE_CPUID_AFTER_RUN);
		os_free(entries, size);
		return err;
	}
	err = give_engine(vcpu, entries, nr);
	if (err) {
		os_free(entries, size);
		return err;
	}
	drop(vcpu);
	vcpu->cpuid = entries;
	vcpu->nr_cpuid = nr;
	return 0;
}

long cpuid_set(struct vcpu *vcpu, uint64_t arg)
{
	struct kvm_cpuid_entry2 *entries = NULL;
	struct kvm_cpuid2 head;

	if (os_copy_in(&head, arg, sizeof(head)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	if (head.nent > MAX_ENTRIES)
		return obs_refuse(RULE_CPUID_TOO_MANY);
	if (head.nent) {
		entries = os_alloc(head.nent * sizeof(*entries));
		if (!entries)
			return obs_refuse(RULE_NO_MEMORY);
		if (os_copy_in(entries, ENTRIES_AT(arg), head.nent * sizeof(*entries))) {
			os_free(entries, head.nent * sizeof(*entries));
			return obs_refuse(RULE_ARGUMENT_UNREADABLE);
		}
	}
	return take(vcpu, entries, head.nent);
}

/* KVM_SET_CPUID: the older form, without an index. */
long cpuid_set_old(struct vcpu *vcpu, uint64_t arg)
{
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid head;
	unsigned int i;

	if (os_copy_in(&head, arg, sizeof(head)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	if (head.nent > MAX_ENTRIES)
		return obs_refuse(RULE_CPUID_TOO_MANY);
	if (!head.nent)
		return take(vcpu, NULL, 0);
	entries = os_alloc(head.nent * sizeof(*entries));
	if (!entries)
		return obs_refuse(RULE_NO_MEMORY);
	for (i = 0; i < head.nent; i++) {
		struct kvm_cpuid_entry e;

		if (os_copy_in(&e, arg + sizeof(head) + i * sizeof(e), sizeof(e))) {
			os_free(entries, head.nent * sizeof(*entries));
			return obs_refuse(RULE_ARGUMENT_UNREADABLE);
		}
		entries[i] = (struct kvm_cpuid_entry2){ .function = e.function,
							.eax = e.eax,
							.ebx = e.ebx,
							.ecx = e.ecx,
							.edx = e.edx };
	}
	return take(vcpu, entries, head.nent);
}

long cpuid_get(struct vcpu *vcpu, uint64_t arg)
{
	uint32_t room;

	if (os_copy_in(&room, arg, sizeof(room)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	if (room < vcpu->nr_cpuid)
		return obs_refuse(RULE_CPUID_NO_ROOM);
	if (os_copy_out(ENTRIES_AT(arg), vcpu->cpuid, vcpu->nr_cpuid * sizeof(*vcpu->cpuid)) ||
	    os_copy_out(arg, &vcpu->nr_cpuid, sizeof(vcpu->nr_cpuid)))
		return obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	return 0;
}
