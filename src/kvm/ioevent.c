/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guest writes that KVM_RUN need not return for: an eventfd is signalled (KVM_IOEVENTFD), or the write is
 * noted in the ring on the third page of the vCPU's mapping (coalesced MMIO and port writes).
 */
#include "kvm/vm.h"

#include <errno.h>

/* ---- eventfds ------------------------------------------------------------------------------------ */

static int check_event(const struct kvm_ioeventfd *a)
{
	switch (a->len) {
	case 0:
	case 1:
	case 2:
	case 4:
	case 8:
		break;
	default:
		return obs_refuse(RULE_IOEVENT_LENGTH);
	}
	if (a->addr + a->len < a->addr)
		return obs_refuse(RULE_IOEVENT_WRAPS);
	if (a->flags & ~(uint32_t)KVM_IOEVENTFD_VALID_FLAG_MASK)
		return obs_refuse(RULE_IOEVENT_FLAGS);
	if (!a->len && a->flags & KVM_IOEVENTFD_FLAG_DATAMATCH)
		return obs_refuse(RULE_IOEVENT_MATCH);
	return 0;
}

static bool same_place(const struct ioeventfd *e, const struct ioeventfd *f)
{
	if (e->pio != f->pio || e->addr != f->addr)
		return false;
	if (!e->len || !f->len || e->len != f->len)
		return e->len == f->len || !e->len || !f->len;
	return !e->match || !f->match || e->datamatch == f->datamatch;
}

static int assign(struct vm *vm, const struct ioeventfd *what)
{
	struct ioeventfd *e = os_alloc(sizeof(*e));
	struct ioeventfd *other;

	if (!e)
		return obs_refuse(RULE_NO_MEMORY);
	*e = *what;
	os_rwlock_write_lock(&vm->io_lock);
	for (other = vm->ioeventfds; other; other = other->next) {
		if (same_place(other, e))
			break;
	}
	if (!other) {
		e->next = vm->ioeventfds;
		vm->ioeventfds = e;
		atomic_fetch_add(&vm->nr_io, 1);
	}
	os_rwlock_write_unlock(&vm->io_lock);
	if (!other)
		return 0;
	os_free(e, sizeof(*e));
	return obs_refuse(RULE_IOEVENT_EXISTS);
}

static int deassign(struct vm *vm, const struct ioeventfd *what)
{
	struct ioeventfd **p, *found = NULL;

	os_rwlock_write_lock(&vm->io_lock);
	for (p = &vm->ioeventfds; *p; p = &(*p)->next) {
		struct ioeventfd *e = *p;

		if (e->ino_key != what->ino_key || e->pio != what->pio || e->addr != what->addr ||
		    e->len != what->len || e->match != what->match ||
		    (e->match && e->datamatch != what->datamatch))
			continue;
		*p = e->next;
		atomic_fetch_sub(&vm->nr_io, 1);
		found = e;
		break;
	}
	os_rwlock_write_unlock(&vm->io_lock);
	if (!found)
		return obs_refuse(RULE_IOEVENT_NOT_THERE);
	os_fd_close(found->fd);
	os_free(found, sizeof(*found));
	return 0;
}

long ioevent_set(struct vm *vm, const struct kvm_ioeventfd *a)
{
	struct ioeventfd what = {
		.addr = a->addr,
		.datamatch = a->datamatch,
		.len = a->len,
		.pio = a->flags & KVM_IOEVENTFD_FLAG_PIO,
		.match = a->flags & KVM_IOEVENTFD_FLAG_DATAMATCH,
	};
	bool off = a->flags & KVM_IOEVENTFD_FLAG_DEASSIGN;
	int err = off ? 0 : check_event(a);

	if (err)
		return err;
	err = os_eventfd_hold(a->fd, &what.fd, &what.ino_key);
	if (err)
		return obs_refuse_as(RULE_IOEVENT_NOT_EVENTFD, err);
	err = off ? deassign(vm, &what) : assign(vm, &what);
	if (off || err)
		os_fd_close(what.fd);
	return err;
}

static bool event_matches(const struct ioeventfd *e, bool pio, uint64_t addr, uint64_t value,
			  uint32_t len)
{
	if (e->pio != pio || e->addr != addr || (e->len && e->len != len))
		return false;
	return !e->match || e->datamatch == value;
}

/* ---- the ring ------------------------------------------------------------------------------------ */

#define RING_SIZE                                                             \
	((uint32_t)((OS_PAGE_SIZE - sizeof(struct kvm_coalesced_mmio_ring)) / \
		    sizeof(struct kvm_coalesced_mmio)))

long coalesced_register(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone)
{
	struct coalesced_zone *z;

	if (zone->pio > 1)
		return obs_refuse(RULE_COALESCED_PIO);
	z = os_alloc(sizeof(*z));
	if (!z)
		return obs_refuse(RULE_NO_MEMORY);
	z->addr = zone->addr;
	z->size = zone->size;
	z->pio = zone->pio;
	os_rwlock_write_lock(&vm->io_lock);
	z->next = vm->zones;
	vm->zones = z;
	atomic_fetch_add(&vm->nr_io, 1);
	os_rwlock_write_unlock(&vm->io_lock);
	return 0;
}

/* Drops the zones that lie inside the one named. */
long coalesced_unregister(struct vm *vm, const struct kvm_coalesced_mmio_zone *zone)
{
	struct coalesced_zone **p, *z;

	if (zone->pio > 1)
		return obs_refuse(RULE_COALESCED_PIO);
	os_rwlock_write_lock(&vm->io_lock);
	for (p = &vm->zones; (z = *p) != NULL;) {
		if (z->pio != (zone->pio != 0) || z->addr > zone->addr ||
		    zone->addr - z->addr > z->size ||
		    zone->size > z->size - (zone->addr - z->addr)) {
			p = &z->next;
			continue;
		}
		*p = z->next;
		atomic_fetch_sub(&vm->nr_io, 1);
		os_free(z, sizeof(*z));
	}
	os_rwlock_write_unlock(&vm->io_lock);
	return 0;
}

static bool in_zone(const struct vm *vm, bool pio, uint64_t addr, uint32_t len)
{
	const struct coalesced_zone *z;

	for (z = vm->zones; z; z = z->next) {
		if (z->pio == pio && addr >= z->addr && len <= z->size &&
		    addr - z->addr <= z->size - len)
			return true;
	}
	return false;
}

/* The program moves first, we move last; a program that writes nonsense there harms only itself. */
static bool ring_put(struct vcpu *vcpu, bool pio, uint64_t addr, const void *data, uint32_t len)
{
	struct kvm_coalesced_mmio_ring *ring =
		(void *)((uint8_t *)vcpu->run + KVM_COALESCED_MMIO_PAGE_OFFSET * OS_PAGE_SIZE);
	uint32_t last, next;
	bool room;

	os_mutex_lock(&vcpu->vm->ring_lock);
	last = __atomic_load_n(&ring->last, __ATOMIC_RELAXED) % RING_SIZE;
	next = (last + 1) % RING_SIZE;
	room = next != __atomic_load_n(&ring->first, __ATOMIC_ACQUIRE) % RING_SIZE;
	if (room) {
		struct kvm_coalesced_mmio *slot = &ring->coalesced_mmio[last];

		slot->phys_addr = addr;
		slot->len = len;
		slot->pio = pio;
		__builtin_memcpy(slot->data, data, len);
		__atomic_store_n(&ring->last, next, __ATOMIC_RELEASE);
	}
	os_mutex_unlock(&vcpu->vm->ring_lock);
	return room;
}

bool ioevent_write(struct vcpu *vcpu, bool pio, uint64_t addr, const void *data, uint32_t len)
{
	struct vm *vm = vcpu->vm;
	const struct ioeventfd *e;
	uint64_t value = 0;
	bool taken = false;

	if (!os_racy_load(&vm->nr_io) || len > sizeof(value))
		return false;
	__builtin_memcpy(&value, data, len);
	os_rwlock_read_lock(&vm->io_lock);
	for (e = vm->ioeventfds; e && !taken; e = e->next) {
		if (!event_matches(e, pio, addr, value, len))
			continue;
		os_eventfd_signal(e->fd);
		taken = true;
	}
	if (!taken && in_zone(vm, pio, addr, len))
		taken = ring_put(vcpu, pio, addr, data, len);
	os_rwlock_read_unlock(&vm->io_lock);
	return taken;
}

void ioevent_destroy(struct vm *vm)
{
	while (vm->ioeventfds) {
		struct ioeventfd *e = vm->ioeventfds;

		vm->ioeventfds = e->next;
		os_fd_close(e->fd);
		os_free(e, sizeof(*e));
	}
	while (vm->zones) {
		struct coalesced_zone *z = vm->zones;

		vm->zones = z->next;
		os_free(z, sizeof(*z));
	}
}
