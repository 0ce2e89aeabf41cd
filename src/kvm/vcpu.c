/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A vCPU: its birth and end, and the requests it takes. */
#include "kvm/state.h"
#include "kvm/vm.h"

#include <errno.h>

#define EFER_LMA (1ull << 10)
#define CR4_LA57 (1ull << 12)

/* ---- birth and end ------------------------------------------------------------------------------- */

static int make_run_pages(struct vcpu *vcpu)
{
	void *pages;
	int err = os_memfd_create("gmem-vcpu", VCPU_NR_PAGES * OS_PAGE_SIZE, &vcpu->run_fd);

	if (err)
		return err;
	err = os_map_file(vcpu->run_fd, 0, VCPU_NR_PAGES * OS_PAGE_SIZE, 0,
			  OS_MAP_READ | OS_MAP_WRITE | OS_MAP_HIDDEN, &pages);
	if (err)
		os_fd_close(vcpu->run_fd);
	else
		vcpu->run = pages;
	return err;
}

static void drop_run_pages(struct vcpu *vcpu)
{
	os_unmap(vcpu->run, VCPU_NR_PAGES * OS_PAGE_SIZE);
	os_fd_close(vcpu->run_fd);
}

static int make_engine(struct vcpu *vcpu)
{
	int err = mmu_vcpu_create(vcpu->vm->mmu, &vcpu->mmu);

	if (err)
		return err;
	vcpu->ops = &cpu_soft_ops;
	err = vcpu->ops->create(vcpu->vm->mmu, vcpu->mmu, &vcpu->cpu);
	if (err)
		mmu_vcpu_destroy(vcpu->mmu);
	return err;
}

static int vcpu_alloc(struct vm *vm, uint32_t id, struct vcpu **out)
{
	struct vcpu *vcpu = os_alloc(sizeof(*vcpu));
	int err;

	if (!vcpu)
		return obs_refuse(RULE_NO_MEMORY);
	vcpu->vm = vm;
	vcpu->id = id;
	err = make_run_pages(vcpu);
	if (!err) {
		err = make_engine(vcpu);
		if (err)
			drop_run_pages(vcpu);
	}
	if (err) {
		os_free(vcpu, sizeof(*vcpu));
		return err;
	}
	kvm_object_init(&vcpu->object, KVM_OBJECT_VCPU);
	os_mutex_init(&vcpu->lock);
	kvm_object_get(&vm->object);
	*out = vcpu;
	return 0;
}

static bool id_taken(const struct vm *vm, uint32_t id)
{
	return vm->vcpu_ids[id / 64] >> (id % 64) & 1;
}

static long add(struct vm *vm, struct vcpu *vcpu, int fd)
{
	long r = fd;

	os_mutex_lock(&vm->lock);
	if (vm->nr_vcpus >= KVM_MAX_NR_VCPUS) {
		r = obs_refuse(RULE_VCPU_TOO_MANY);
	} else if (id_taken(vm, vcpu->id)) {
		r = obs_refuse(RULE_VCPU_EXISTS);
	} else {
		struct cpu_state *s = vcpu_state(vcpu);

		vm->vcpu_ids[vcpu->id / 64] |= 1ull << (vcpu->id % 64);
		vm->nr_vcpus++;
		if (vcpu->id != vm->boot_cpu_id) {
			s->apic_base &= ~(1ull << 8);
			if (vm->irqchip)
				vcpu->mp_state = KVM_MP_STATE_UNINITIALIZED;
		}
	}
	os_mutex_unlock(&vm->lock);
	return r;
}

long vcpu_create(struct vm *vm, uint64_t id)
{
	struct vcpu *vcpu;
	long r;
	int fd;

	if (id >= (vm->max_vcpu_id ? vm->max_vcpu_id : KVM_MAX_VCPU_ID))
		return obs_refuse(RULE_VCPU_ID);
	r = kvm_fds->reserve(true, NULL, &fd);
	if (r)
		return obs_refuse_as(RULE_VCPU_NO_DESCRIPTOR, (int)r);
	r = vcpu_alloc(vm, (uint32_t)id, &vcpu);
	if (!r) {
		account_add_vcpu(vcpu);
		r = add(vm, vcpu, fd);
	} else {
		vcpu = NULL;
	}
	if (r >= 0 && vcpu) {
		obs_count(OBS_VCPU_MADE, id, vm->account.number, 0);
		kvm_fds->commit(fd, &vcpu->object);
		return r;
	}
	kvm_fds->cancel(fd);
	if (vcpu)
		kvm_object_put(&vcpu->object);
	return r;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	account_remove_vcpu(vcpu);
	vcpu->ops->destroy(vcpu->cpu);
	mmu_vcpu_destroy(vcpu->mmu);
	drop_run_pages(vcpu);
	os_free(vcpu->cpuid, vcpu->nr_cpuid * sizeof(*vcpu->cpuid));
	obs_count(OBS_VCPU_GONE, vcpu->id, vm->account.number, 0);
	os_free(vcpu, sizeof(*vcpu));
	kvm_object_put(&vm->object);
}

void kvm_kick(struct kvm_object *o)
{
	mmu_vcpu_request(vcpu_of(o)->mmu, MMU_REQ_KICK);
}

/* ---- requests ------------------------------------------------------------------------------------ */

static long get_regs(void *object, void *data, uint64_t arg)
{
	regs_get(object, data);
	return 0;
}

static long set_regs(void *object, void *data, uint64_t arg)
{
	regs_set(object, data);
	return 0;
}

static long get_sregs(void *object, void *data, uint64_t arg)
{
	sregs_get(object, data);
	return 0;
}

static long set_sregs(void *object, void *data, uint64_t arg)
{
	return sregs_set(object, data);
}

static long get_sregs2(void *object, void *data, uint64_t arg)
{
	sregs2_get(object, data);
	return 0;
}

static long set_sregs2(void *object, void *data, uint64_t arg)
{
	return sregs2_set(object, data);
}

static long get_fpu(void *object, void *data, uint64_t arg)
{
	fpu_get(object, data);
	return 0;
}

static long set_fpu(void *object, void *data, uint64_t arg)
{
	return fpu_set(object, data);
}

static long get_xsave(void *object, void *data, uint64_t arg)
{
	xsave_get(object, data);
	return 0;
}

static long set_xsave(void *object, void *data, uint64_t arg)
{
	return xsave_set(object, data);
}

static long get_xcrs(void *object, void *data, uint64_t arg)
{
	xcrs_get(object, data);
	return 0;
}

static long set_xcrs(void *object, void *data, uint64_t arg)
{
	return xcrs_set(object, data);
}

static long get_debugregs(void *object, void *data, uint64_t arg)
{
	debugregs_get(object, data);
	return 0;
}

static long set_debugregs(void *object, void *data, uint64_t arg)
{
	return debugregs_set(object, data);
}

static long get_events(void *object, void *data, uint64_t arg)
{
	events_get(object, data);
	return 0;
}

static long set_events(void *object, void *data, uint64_t arg)
{
	return events_set(object, data);
}

static long get_mp_state(void *object, void *data, uint64_t arg)
{
	const struct vcpu *vcpu = object;
	struct kvm_mp_state *m = data;

	m->mp_state = vcpu->mp_state;
	return 0;
}

static long set_mp_state(void *object, void *data, uint64_t arg)
{
	const struct kvm_mp_state *m = data;

	return mp_state_set(object, m->mp_state);
}

static long interrupt(void *object, void *data, uint64_t arg)
{
	const struct kvm_interrupt *i = data;

	return interrupt_queue(object, i->irq);
}

static long nmi(void *object, void *data, uint64_t arg)
{
	vcpu_state(object)->nmi_pending = true;
	return 0;
}

static long set_guest_debug(void *object, void *data, uint64_t arg)
{
	return guest_debug_set(object, data);
}

static long set_cpuid(void *object, void *data, uint64_t arg)
{
	return cpuid_set_old(object, arg);
}

static long set_cpuid2(void *object, void *data, uint64_t arg)
{
	return cpuid_set(object, arg);
}

static long get_cpuid2(void *object, void *data, uint64_t arg)
{
	return cpuid_get(object, arg);
}

static long get_msrs(void *object, void *data, uint64_t arg)
{
	return msr_get(object, arg);
}

static long set_msrs(void *object, void *data, uint64_t arg)
{
	return msr_set(object, arg);
}

/* KVM_TRANSLATE walks the tables with whatever address it gets: the upper bits are no error. */
static uint64_t canonical(struct vcpu *vcpu, uint64_t linear)
{
	const struct cpu_state *s = vcpu_state(vcpu);
	unsigned int unused = s->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

	if (!(s->efer & EFER_LMA))
		return linear;
	return (uint64_t)((int64_t)(linear << unused) >> unused);
}

static long translate(void *object, void *data, uint64_t arg)
{
	struct vcpu *vcpu = object;
	struct kvm_translation *t = data;
	bool writable, user;
	uint64_t gpa;

	t->valid = !vcpu->ops->translate(vcpu->cpu, canonical(vcpu, t->linear_address), &gpa,
					 &writable, &user);
	t->physical_address = t->valid ? gpa : ~0ull;
	t->writeable = 1;
	t->usermode = 0;
	return 0;
}

/* arg NULL: no mask of its own any more. */
static long set_signal_mask(void *object, void *data, uint64_t arg)
{
	struct vcpu *vcpu = object;
	uint32_t len;

	if (!arg) {
		vcpu->has_sigmask = false;
		return 0;
	}
	if (os_copy_in(&len, arg, sizeof(len)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	if (len != sizeof(vcpu->sigmask))
		return obs_refuse(RULE_SIGNAL_MASK_LENGTH);
	if (os_copy_in(&vcpu->sigmask, arg + sizeof(len), sizeof(vcpu->sigmask)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	vcpu->has_sigmask = true;
	return 0;
}

/* The counter cannot be scaled: it counts as the machine's does. */
static long set_tsc_khz(void *object, void *data, uint64_t arg)
{
	uint64_t khz = os_tsc_khz(), slack = khz / 4000;

	if (arg && (arg < khz - slack || arg > khz + slack))
		return obs_refuse(RULE_TSC_SCALING);
	return 0;
}

static long pre_fault(void *object, void *data, uint64_t arg)
{
	return vcpu_pre_fault(object, arg);
}

static long get_tsc_khz(void *object, void *data, uint64_t arg)
{
	return (long)os_tsc_khz();
}

static long enable_cap(void *object, void *data, uint64_t arg)
{
	return obs_refuse(RULE_CAP_VCPU);
}

static const struct ioctl_row rows[] = {
	IOCTL_ROW(KVM_GET_REGS, get_regs, false),
	IOCTL_ROW(KVM_SET_REGS, set_regs, false),
	IOCTL_ROW(KVM_GET_SREGS, get_sregs, false),
	IOCTL_ROW(KVM_SET_SREGS, set_sregs, false),
	IOCTL_ROW(KVM_GET_SREGS2, get_sregs2, false),
	IOCTL_ROW(KVM_SET_SREGS2, set_sregs2, false),
	IOCTL_ROW(KVM_GET_FPU, get_fpu, false),
	IOCTL_ROW(KVM_SET_FPU, set_fpu, false),
	IOCTL_ROW(KVM_GET_XSAVE, get_xsave, false),
	IOCTL_ROW(KVM_GET_XSAVE2, get_xsave, false),
	IOCTL_ROW(KVM_SET_XSAVE, set_xsave, false),
	IOCTL_ROW(KVM_GET_XCRS, get_xcrs, false),
	IOCTL_ROW(KVM_SET_XCRS, set_xcrs, false),
	IOCTL_ROW(KVM_GET_DEBUGREGS, get_debugregs, false),
	IOCTL_ROW(KVM_SET_DEBUGREGS, set_debugregs, false),
	IOCTL_ROW(KVM_GET_VCPU_EVENTS, get_events, false),
	IOCTL_ROW(KVM_SET_VCPU_EVENTS, set_events, false),
	IOCTL_ROW(KVM_GET_MP_STATE, get_mp_state, false),
	IOCTL_ROW(KVM_SET_MP_STATE, set_mp_state, false),
	IOCTL_ROW(KVM_INTERRUPT, interrupt, false),
	IOCTL_ROW(KVM_NMI, nmi, false),
	IOCTL_ROW(KVM_SET_GUEST_DEBUG, set_guest_debug, false),
	IOCTL_ROW(KVM_SET_CPUID, set_cpuid, true),
	IOCTL_ROW(KVM_SET_CPUID2, set_cpuid2, true),
	IOCTL_ROW(KVM_GET_CPUID2, get_cpuid2, true),
	IOCTL_ROW(KVM_GET_MSRS, get_msrs, true),
	IOCTL_ROW(KVM_SET_MSRS, set_msrs, true),
	IOCTL_ROW(KVM_TRANSLATE, translate, false),
	IOCTL_ROW(KVM_SET_SIGNAL_MASK, set_signal_mask, true),
	IOCTL_ROW(KVM_PRE_FAULT_MEMORY, pre_fault, true),
	IOCTL_ROW(KVM_GET_TSC_KHZ, get_tsc_khz, false),
	IOCTL_ROW(KVM_SET_TSC_KHZ, set_tsc_khz, false),
	IOCTL_ROW(KVM_ENABLE_CAP, enable_cap, false),
};

static long run(struct vcpu *vcpu, uint64_t arg)
{
	enum obs_request before = obs_request_begin(REQ_KVM_RUN);

	return obs_request_end(before, arg ? obs_refuse(RULE_RUN_ARGUMENT) : vcpu_run(vcpu));
}

long vcpu_ioctl(struct vcpu *vcpu, unsigned int cmd, uint64_t arg)
{
	long r;

	/* Before the lock: isatty() of a vCPU that runs shall not wait until it stops. */
	if ((cmd >> 8 & 0xff) != KVMIO)
		return obs_refuse(RULE_VCPU_REQUEST_FOREIGN);
	if (cmd == KVM_PRE_FAULT_MEMORY && kvm_profile()->no_prefault)
		return obs_refuse(RULE_VCPU_REQUEST_UNKNOWN);
	os_mutex_lock(&vcpu->lock);
	r = cmd == KVM_RUN ? run(vcpu, arg) : ioctl_run(rows, NR_ROWS(rows), vcpu, cmd, arg);
	os_mutex_unlock(&vcpu->lock);
	return r == -NO_SUCH_REQUEST ? obs_refuse(RULE_VCPU_REQUEST_UNKNOWN) : r;
}
