/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A VM: its birth and end, and its requests. */
#include "kvm/vm.h"
#include "kvm/early.h"
#include "kvm/limit.h"

#include <errno.h>

int vm_create(uint64_t type, struct vm **out)
{
	struct mmu_config config = { .gpa_bits = (uint8_t)memory_gpa_bits() };
	const struct vm_type *kind = vm_type_find(type);
	struct vm *vm;
	int r;

	if (!kind || !(kvm_profile()->vm_types >> type & 1))
		return obs_refuse(RULE_VM_TYPE);
	vm = os_alloc(sizeof(*vm));
	if (!vm)
		return obs_refuse(RULE_NO_MEMORY);
	vm->type = kind;
	vm->has_private = kind->has_private;
	vm->in_place = kvm_profile()->in_place == KVM_IN_PLACE_ALWAYS;
	config.has_private = vm->has_private;
	config.retry_invalid_slot = kvm_profile()->prefault_waits;
	early_configure(vm, &config);
	r = limit_make(&vm->limit);
	if (!r)
		r = mmu_create(&config, &vm->mmu);
	if (r) {
		if (vm->limit)
			gmem_limit_put(vm->limit);
		os_free(vm, sizeof(*vm));
		return r;
	}
	kvm_object_init(&vm->object, KVM_OBJECT_VM);
	os_mutex_init(&vm->slots_lock);
	os_mutex_init(&vm->leftover.lock);
	os_mutex_init(&vm->lock);
	os_mutex_init(&vm->ring_lock);
	os_rwlock_init(&vm->io_lock);
	account_add(vm);
	obs_count(OBS_VM_MADE, type, vm->account.number, 0);
	*out = vm;
	return 0;
}

/* False: there was none. What keeps a slot's file is let go of without the lock. */
static bool delete_a_slot(struct vm *vm)
{
	struct kvm_object *keeps = NULL;
	struct memslot *slot;

	os_mutex_lock(&vm->slots_lock);
	slot = memslot_any(vm->mmu);
	if (slot) {
		keeps = slot->keeps;
		memslot_delete(vm->mmu, slot);
	}
	os_mutex_unlock(&vm->slots_lock);
	if (keeps)
		kvm_object_put(keeps);
	return slot;
}

void vm_destroy(struct vm *vm)
{
	account_before_end(vm, NULL);
	leftover_end(vm, NULL);
	account_remove(vm);
	hva_forget(vm);
	while (delete_a_slot(vm))
		;
	ioevent_destroy(vm);
	mmu_destroy(vm->mmu);
	if (vm->limit)
		gmem_limit_put(vm->limit);
	obs_count(OBS_VM_GONE, vm->type->type, vm->account.number, 0);
	os_free(vm, sizeof(*vm));
}

/* ---- requests ---------------------------------------------------------------------------------- */

static long set_region(void *object, void *data, uint64_t arg)
{
	struct kvm_userspace_memory_region2 r2 = { 0 };
	const struct kvm_userspace_memory_region *r1 = data;

	if (kvm_profile()->early)
		return early_set_region(object, r1, arg);
	__builtin_memcpy(&r2, r1, sizeof(*r1));
	return memory_set_region(object, &r2, true);
}

static long set_region2(void *object, void *data, uint64_t arg)
{
	return memory_set_region(object, data, false);
}

/* Whether there is such a request at all comes before its structure is read. */
static long set_attributes(void *object, void *data, uint64_t arg)
{
	struct kvm_memory_attributes a;

	if (vm_in_place(object) && kvm_profile()->vm_attributes_gone)
		return obs_refuse(RULE_VM_ATTRIBUTES_GONE);
	if (os_copy_in(&a, arg, sizeof(a)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	return memory_set_attributes(object, &a);
}

/* The number says that the structure travels back as well; the kernel only reads it. */
static long create_guest_memfd(void *object, void *data, uint64_t arg)
{
	struct kvm_create_guest_memfd args;

	if (os_copy_in(&args, arg, sizeof(args)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	return gmem_create(object, &args);
}

static long check_extension(void *object, void *data, uint64_t arg)
{
	return caps_check(object, arg);
}

static long enable_cap(void *object, void *data, uint64_t arg)
{
	return caps_enable(object, data);
}

static long create_vcpu(void *object, void *data, uint64_t arg)
{
	return vcpu_create(object, arg);
}

static long get_dirty_log(void *object, void *data, uint64_t arg)
{
	return dirty_get(object, data);
}

/* Only read, as above. */
static long clear_dirty_log(void *object, void *data, uint64_t arg)
{
	struct kvm_clear_dirty_log log;

	if (os_copy_in(&log, arg, sizeof(log)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	return dirty_clear(object, &log);
}

static long reset_dirty_rings(void *object, void *data, uint64_t arg)
{
	return obs_refuse(RULE_DIRTY_NO_RING);
}

static long set_nr_mmu_pages(void *object, void *data, uint64_t arg)
{
	if (arg < 64)
		return obs_refuse(RULE_MMU_PAGES);
	return 0;
}

static long set_tss_addr(void *object, void *data, uint64_t arg)
{
	if (arg > (1ull << 32) - 3 * OS_PAGE_SIZE)
		return obs_refuse(RULE_TSS_TOO_HIGH);
	return 0;
}

static long set_identity_map_addr(void *object, void *data, uint64_t arg)
{
	struct vm *vm = object;
	long r = 0;

	os_mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		r = obs_refuse(RULE_VM_HAS_VCPUS);
	os_mutex_unlock(&vm->lock);
	return r;
}

static long create_irqchip(void *object, void *data, uint64_t arg)
{
	struct vm *vm = object;
	long r = 0;

	os_mutex_lock(&vm->lock);
	if (vm->irqchip)
		r = obs_refuse(RULE_IRQCHIP_EXISTS);
	else if (vm->nr_vcpus)
		r = obs_refuse(RULE_VM_HAS_VCPUS);
	else
		vm->irqchip = true;
	os_mutex_unlock(&vm->lock);
	return r;
}

static long set_boot_cpu_id(void *object, void *data, uint64_t arg)
{
	struct vm *vm = object;
	long r = 0;

	os_mutex_lock(&vm->lock);
	if (vm->nr_vcpus)
		r = obs_refuse(RULE_BOOT_CPU_LATE);
	else
		vm->boot_cpu_id = (uint32_t)arg;
	os_mutex_unlock(&vm->lock);
	return r;
}

static long ioeventfd(void *object, void *data, uint64_t arg)
{
	return ioevent_set(object, data);
}

static long register_coalesced(void *object, void *data, uint64_t arg)
{
	return coalesced_register(object, data);
}

static long unregister_coalesced(void *object, void *data, uint64_t arg)
{
	return coalesced_unregister(object, data);
}

static long get_tsc_khz(void *object, void *data, uint64_t arg)
{
	return (long)os_tsc_khz();
}

static long get_clock(void *object, void *data, uint64_t arg)
{
	struct vm *vm = object;
	struct kvm_clock_data *clock = data;

	os_mutex_lock(&vm->lock);
	clock->clock = os_clock_ns() + (uint64_t)vm->clock_offset;
	os_mutex_unlock(&vm->lock);
	clock->realtime = os_wallclock_ns();
	clock->host_tsc = os_tsc();
	clock->flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	return 0;
}

static long set_clock(void *object, void *data, uint64_t arg)
{
	struct vm *vm = object;
	const struct kvm_clock_data *clock = data;
	uint64_t elapsed = 0;

	if (clock->flags &
	    ~(uint32_t)(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC))
		return obs_refuse(RULE_CLOCK_FLAGS);
	if (clock->flags & KVM_CLOCK_REALTIME && os_wallclock_ns() > clock->realtime)
		elapsed = os_wallclock_ns() - clock->realtime;
	os_mutex_lock(&vm->lock);
	vm->clock_offset = (int64_t)(clock->clock + elapsed - os_clock_ns());
	os_mutex_unlock(&vm->lock);
	return 0;
}

/* ---- interrupt controllers and devices: none yet, and refused as by a VM that has none ---------- */

static long no_irqchip(void *object, void *data, uint64_t arg)
{
	return obs_refuse(RULE_NO_IRQCHIP);
}

static long no_interrupts(void *object, void *data, uint64_t arg)
{
	return obs_refuse(RULE_NO_INTERRUPTS);
}

static long no_timer(void *object, void *data, uint64_t arg)
{
	return obs_refuse(RULE_NO_TIMER);
}

static long no_device(void *object, void *data, uint64_t arg)
{
	return obs_refuse(RULE_NO_DEVICE);
}

static const struct ioctl_row rows[] = {
	IOCTL_ROW(KVM_SET_MEMORY_ATTRIBUTES, set_attributes, true),
	IOCTL_ROW(KVM_SET_USER_MEMORY_REGION2, set_region2, false),
	IOCTL_ROW(KVM_SET_USER_MEMORY_REGION, set_region, false),
	IOCTL_ROW(KVM_CHECK_EXTENSION, check_extension, false),
	IOCTL_ROW(KVM_CREATE_GUEST_MEMFD, create_guest_memfd, true),
	IOCTL_ROW(KVM_GET_DIRTY_LOG, get_dirty_log, false),
	IOCTL_ROW(KVM_CLEAR_DIRTY_LOG, clear_dirty_log, true),
	IOCTL_ROW(KVM_RESET_DIRTY_RINGS, reset_dirty_rings, false),
	IOCTL_ROW(KVM_CREATE_VCPU, create_vcpu, false),
	IOCTL_ROW(KVM_ENABLE_CAP, enable_cap, false),
	IOCTL_ROW(KVM_IOEVENTFD, ioeventfd, false),
	IOCTL_ROW(KVM_REGISTER_COALESCED_MMIO, register_coalesced, false),
	IOCTL_ROW(KVM_UNREGISTER_COALESCED_MMIO, unregister_coalesced, false),
	IOCTL_ROW(KVM_SET_NR_MMU_PAGES, set_nr_mmu_pages, false),
	IOCTL_ROW(KVM_SET_TSS_ADDR, set_tss_addr, false),
	IOCTL_ROW(KVM_SET_IDENTITY_MAP_ADDR, set_identity_map_addr, false),
	IOCTL_ROW(KVM_CREATE_IRQCHIP, create_irqchip, false),
	IOCTL_ROW(KVM_SET_BOOT_CPU_ID, set_boot_cpu_id, false),
	IOCTL_ROW(KVM_GET_TSC_KHZ, get_tsc_khz, false),
	IOCTL_ROW(KVM_GET_CLOCK, get_clock, false),
	IOCTL_ROW(KVM_SET_CLOCK, set_clock, false),
	IOCTL_ROW(KVM_GET_IRQCHIP, no_irqchip, false),
	IOCTL_ROW(KVM_SET_IRQCHIP, no_irqchip, false),
	IOCTL_ROW(KVM_IRQ_LINE, no_irqchip, false),
	IOCTL_ROW(KVM_IRQ_LINE_STATUS, no_irqchip, false),
	IOCTL_ROW(KVM_IRQFD, no_interrupts, false),
	IOCTL_ROW(KVM_SIGNAL_MSI, no_interrupts, false),
	IOCTL_ROW(KVM_SET_GSI_ROUTING, no_interrupts, false),
	IOCTL_ROW(KVM_CREATE_PIT, no_timer, false),
	IOCTL_ROW(KVM_CREATE_PIT2, no_timer, false),
	IOCTL_ROW(KVM_CREATE_DEVICE, no_device, false),
};

long vm_ioctl(struct vm *vm, unsigned int cmd, uint64_t arg)
{
	long r = early_ioctl(vm, cmd, arg);

	if (r == -NO_SUCH_REQUEST && !early_lacks(cmd))
		r = ioctl_run(rows, NR_ROWS(rows), vm, cmd, arg);
	return r == -NO_SUCH_REQUEST ? obs_refuse(RULE_VM_REQUEST_UNKNOWN) : r;
}
