/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Model specific registers: lists, and reading and writing several at once up to the first that fails. */
#include "kvm/state.h"

#include <errno.h>

#define MAX_AT_ONCE 256u
#define LIST_MAX 128u
#define ENTRY_AT(arg, i) \
	((arg) + offsetof(struct kvm_msrs, entries) + (i) * sizeof(struct kvm_msr_entry))

/* Fills a struct kvm_msr_list: the number is told even when there is too little room. */
static long put_list(uint64_t arg, const uint32_t *indices, unsigned int nr)
{
	uint32_t room;

	if (os_copy_in(&room, arg, sizeof(room)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	if (os_copy_out(arg, &nr, sizeof(nr)))
		return obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	if (room < nr)
		return obs_refuse(RULE_MSR_LIST_NO_ROOM);
	if (os_copy_out(arg + sizeof(struct kvm_msr_list), indices, nr * sizeof(*indices)))
		return obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	return 0;
}

long msr_list(uint64_t arg)
{
	uint32_t indices[LIST_MAX];
	unsigned int nr = cpu_soft_msr_list(indices, LIST_MAX);

	os_assert(nr <= LIST_MAX);
	return put_list(arg, indices, nr);
}

/* Registers that tell features of the machine, without a vCPU: gmem's has microcode and no flaws. */
static const struct {
	uint32_t index;
	uint64_t value;
} features[] = {
	{ 0x8b, 1ull << 32 }, /* IA32_BIOS_SIGN_ID */
	{ 0x10a, 0 },	      /* IA32_ARCH_CAPABILITIES */
};

long msr_feature_list(uint64_t arg)
{
	uint32_t indices[NR_ROWS(features)];
	unsigned int i;

	for (i = 0; i < NR_ROWS(features); i++)
		indices[i] = features[i].index;
	return put_list(arg, indices, NR_ROWS(features));
}

static long check_count(uint64_t arg, uint32_t *nr)
{
	struct kvm_msrs head;

	if (os_copy_in(&head, arg, sizeof(head)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	if (head.nmsrs >= MAX_AT_ONCE)
		return obs_refuse(RULE_MSR_TOO_MANY);
	*nr = head.nmsrs;
	return 0;
}

typedef int msr_access(struct vcpu *vcpu, struct kvm_msr_entry *e);

static int read_one(struct vcpu *vcpu, struct kvm_msr_entry *e)
{
	return vcpu->ops->get_msr(vcpu->cpu, e->index, &e->data);
}

static int write_one(struct vcpu *vcpu, struct kvm_msr_entry *e)
{
	return vcpu->ops->set_msr(vcpu->cpu, e->index, e->data);
}

/* Returns how many were done: the first that cannot be done ends it. */
static long access_all(struct vcpu *vcpu, uint64_t arg, msr_access *access, bool copy_out)
{
	struct kvm_msr_entry e;
	uint32_t nr = 0, i;
	long err = check_count(arg, &nr);

	if (err)
		return err;
	for (i = 0; i < nr; i++) {
		if (os_copy_in(&e, ENTRY_AT(arg, i), sizeof(e)))
			return obs_refuse(RULE_ARGUMENT_UNREADABLE);
		if (access(vcpu, &e)) {
			obs_refuse(RULE_MSR_REFUSED);
			break;
		}
		if (copy_out && os_copy_out(ENTRY_AT(arg, i), &e, sizeof(e)))
			return obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	}
	return i;
}

static int read_feature(struct vcpu *vcpu, struct kvm_msr_entry *e)
{
	unsigned int i;

	for (i = 0; i < NR_ROWS(features); i++) {
		if (features[i].index != e->index)
			continue;
		e->data = features[i].value;
		return 0;
	}
	return -ENOENT;
}

long msr_get_features(uint64_t arg)
{
	return access_all(NULL, arg, read_feature, true);
}

long msr_get(struct vcpu *vcpu, uint64_t arg)
{
	return access_all(vcpu, arg, read_one, true);
}

long msr_set(struct vcpu *vcpu, uint64_t arg)
{
	return access_all(vcpu, arg, write_one, false);
}
