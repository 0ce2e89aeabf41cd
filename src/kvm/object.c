/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Counting, /dev/kvm itself, and where a call on a descriptor goes. */
#include "kvm/object.h"
#include "kvm/memfd.h"

#include <errno.h>

const struct kvm_fd_ops *kvm_fds;
static const struct kvm_profile *chosen;

void kvm_set_fd_ops(const struct kvm_fd_ops *ops)
{
	kvm_fds = ops;
}

int kvm_set_profile(const char *name)
{
	unsigned int i;

	for (i = 0; kvm_profiles[i]; i++) {
		if (name && __builtin_strcmp(name, kvm_profiles[i]->name))
			continue;
		chosen = kvm_profiles[i];
		return 0;
	}
	return obs_refuse(RULE_PROFILE_UNKNOWN);
}

const struct kvm_profile *kvm_profile(void)
{
	return chosen ? chosen : kvm_profiles[0];
}

const struct kvm_memory_exit *kvm_memory_exit(void)
{
	static const struct kvm_memory_exit settled = {
		.reason = KVM_EXIT_MEMORY_FAULT,
		.flag_private = KVM_MEMORY_EXIT_FLAG_PRIVATE,
		.error = -EFAULT,
	};
	const struct kvm_memory_exit *e = kvm_profile()->memory_exit;

	return e ? e : &settled;
}

void kvm_object_init(struct kvm_object *o, enum kvm_object_type type)
{
	o->type = type;
	o->home = os_home_token();
	atomic_init(&o->refs, 1);
}

void kvm_object_get(struct kvm_object *o)
{
	uint32_t before = atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);

	os_assert(before > 0);
}

void kvm_object_put(struct kvm_object *o)
{
	uint32_t before = atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel);

	os_assert(before > 0);
	/* A copy in a forked child: what it stands for lives on in the parent. */
	if (before != 1 || o->home != os_home_token())
		return;
	switch (o->type) {
	case KVM_OBJECT_SYSTEM:
		os_free(o, sizeof(*o));
		break;
	case KVM_OBJECT_VM:
		vm_destroy(vm_of(o));
		break;
	case KVM_OBJECT_VCPU:
		vcpu_destroy(vcpu_of(o));
		break;
	case KVM_OBJECT_GMEM:
		gmem_destroy(gmem_of(o));
		break;
	case KVM_OBJECT_MEMFD:
		memfd_destroy(o);
		break;
	}
}

int kvm_open(struct kvm_object **out)
{
	struct kvm_object *o = os_alloc(sizeof(*o));

	if (!o)
		return obs_refuse(RULE_NO_MEMORY);
	kvm_object_init(o, KVM_OBJECT_SYSTEM);
	*out = o;
	return 0;
}

static long answer(struct kvm_object *o, unsigned int cmd, uint64_t arg)
{
	bool foreign = o->home != os_home_token();

	switch (o->type) {
	case KVM_OBJECT_SYSTEM:
		return system_ioctl(cmd, arg);
	case KVM_OBJECT_VM:
		if (foreign)
			return obs_refuse(RULE_VM_FOREIGN);
		return vm_ioctl(vm_of(o), cmd, arg);
	case KVM_OBJECT_VCPU:
		if (foreign)
			return obs_refuse(RULE_VCPU_FOREIGN);
		return vcpu_ioctl(vcpu_of(o), cmd, arg);
	case KVM_OBJECT_MEMFD:
		return obs_refuse(RULE_GMEM_REQUEST_UNKNOWN);
	default:
		return gmem_ioctl(gmem_of(o), cmd, arg);
	}
}

/* Whose events these are. */
static void set_context(struct kvm_object *o, struct os_context *me)
{
	switch (o->type) {
	case KVM_OBJECT_SYSTEM:
		break;
	case KVM_OBJECT_VM:
		me->vm = (uint16_t)vm_of(o)->account.number;
		break;
	case KVM_OBJECT_VCPU:
		me->vm = (uint16_t)vcpu_of(o)->vm->account.number;
		me->vcpu = (uint16_t)(vcpu_of(o)->id + 1);
		break;
	case KVM_OBJECT_GMEM:
		me->file = gmem_of(o)->file ? gmem_file_number(gmem_of(o)->file) : 0;
		break;
	case KVM_OBJECT_MEMFD:
		me->file = gmem_file_number(memfd_file(o));
		break;
	}
}

/* KVM_RUN tells of itself. */
static __attribute__((noinline)) long answer_observed(struct kvm_object *o, unsigned int cmd,
						      uint64_t arg)
{
	struct os_context *me = os_context();
	struct os_context before = *me;
	uint64_t start = obs_start();
	long r;

	set_context(o, me);
	me->told = start;
	r = answer(o, cmd, arg);
	if (cmd != KVM_RUN)
		obs_span(OBS_REQUEST, start, r, cmd, arg, r > 0 ? (uint64_t)r : 0);
	me->vm = before.vm;
	me->vcpu = before.vcpu;
	me->file = before.file;
	return r;
}

void kvm_tell_closed(const struct kvm_object *o)
{
	struct kvm_object *object = (struct kvm_object *)o;

	if (o->home != os_home_token())
		return;
	if (o->type == KVM_OBJECT_VM)
		obs_count(OBS_CLOSED, o->type, vm_of(object)->account.number,
			  vm_of(object)->account.number);
	else if (o->type == KVM_OBJECT_VCPU)
		obs_count(OBS_CLOSED, o->type, vcpu_of(object)->id,
			  vcpu_of(object)->vm->account.number);
	else if (o->type == KVM_OBJECT_GMEM && gmem_of(object)->file)
		obs_count(OBS_CLOSED, o->type, gmem_file_number(gmem_of(object)->file),
			  gmem_of(object)->vm->account.number);
}

long kvm_ioctl(struct kvm_object *o, unsigned int cmd, uint64_t arg)
{
	return obs_watched() ? answer_observed(o, cmd, arg) : answer(o, cmd, arg);
}

/* Numbers as text without stdio: returns the end. */
static char *put_text(char *p, const char *end, const char *text)
{
	while (*text && p < end)
		*p++ = *text++;
	return p;
}

static char *put_number(char *p, const char *end, uint32_t n)
{
	char digits[11];
	unsigned int i = sizeof(digits) - 1;

	digits[i] = 0;
	do {
		digits[--i] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return put_text(p, end, digits + i);
}

void kvm_object_link(struct kvm_object *o, char *text, uint64_t size)
{
	char *p = text, *end = text + size - 1;
	const char *prefix, *name, *suffix;

	switch (o->type) {
	case KVM_OBJECT_SYSTEM:
		p = put_text(p, end, "/dev/kvm");
		break;
	case KVM_OBJECT_VM:
		p = put_text(p, end, "anon_inode:kvm-vm");
		break;
	case KVM_OBJECT_VCPU:
		p = put_text(p, end, "anon_inode:kvm-vcpu:");
		p = put_number(p, end, vcpu_of(o)->id);
		break;
	case KVM_OBJECT_GMEM:
		p = put_text(p, end,
			     kvm_profile()->gmem_own_fs ? "/[kvm-gmem] (deleted)"
							: "anon_inode:[kvm-gmem]");
		break;
	case KVM_OBJECT_MEMFD:
		memfd_link(o, &prefix, &name, &suffix);
		p = put_text(put_text(put_text(p, end, prefix), end, name), end, suffix);
		break;
	}
	*p = 0;
}
