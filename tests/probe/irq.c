/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Interrupt chips and event descriptors as far as a bare VM meets them. */
#include "probe.h"

#include <sys/eventfd.h>

#define BASE 0xc0000000UL

static void irqchip(void)
{
	int vm = vm_new(0), vcpu;
	struct kvm_irq_level l = { .irq = 4, .level = 1 };
	struct kvm_mp_state s;

	say_ok("IRQ_LINE without a chip", ioctl(vm, KVM_IRQ_LINE, &l));
	say_ok("CREATE_PIT2 without a chip",
	       ioctl(vm, KVM_CREATE_PIT2, &(struct kvm_pit_config){ 0 }));
	say_ok("CREATE_IRQCHIP", ioctl(vm, KVM_CREATE_IRQCHIP, 0));
	say_ok("CREATE_IRQCHIP again", ioctl(vm, KVM_CREATE_IRQCHIP, 0));
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	ioctl(vcpu, KVM_GET_MP_STATE, &s);
	say("mp_state of vCPU 0 with a chip", "%u", s.mp_state);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 1);
	ioctl(vcpu, KVM_GET_MP_STATE, &s);
	say("mp_state of vCPU 1 with a chip", "%u", s.mp_state);
	vm = vm_new(0);
	ioctl(vm, KVM_CREATE_VCPU, 0);
	say_ok("CREATE_IRQCHIP after a vCPU", ioctl(vm, KVM_CREATE_IRQCHIP, 0));
}

static void no_chip(void)
{
	int vm = vm_new(0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	struct kvm_lapic_state l;
	struct kvm_irqchip c = { .chip_id = 0 };
	struct kvm_msi m = { 0 };
	struct kvm_irqfd i = { .fd = eventfd(0, 0) };

	say_ok("GET_LAPIC without a chip", ioctl(vcpu, KVM_GET_LAPIC, &l));
	say_ok("GET_IRQCHIP without a chip", ioctl(vm, KVM_GET_IRQCHIP, &c));
	say_ok("SIGNAL_MSI without a chip", ioctl(vm, KVM_SIGNAL_MSI, &m));
	say_ok("IRQFD without a chip", ioctl(vm, KVM_IRQFD, &i));
	say_ok("SMI", ioctl(vcpu, KVM_SMI, 0));
	say_ok("KVMCLOCK_CTRL without a clock", ioctl(vcpu, KVM_KVMCLOCK_CTRL, 0));
	say_ok("SET_TSC_KHZ of a vCPU to 0", ioctl(vcpu, KVM_SET_TSC_KHZ, 0));
	say_ok("GET_TSC_KHZ of a vCPU", ioctl(vcpu, KVM_GET_TSC_KHZ, 0) > 0 ? 0 : -1);
	say_ok("GET_CLOCK", ioctl(vm, KVM_GET_CLOCK, &(struct kvm_clock_data){ 0 }));
	say_ok("SET_IDENTITY_MAP_ADDR after a vCPU",
	       ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &(uint64_t){ 0xfeffc000 }));
	vm = vm_new(0);
	say_ok("SET_IDENTITY_MAP_ADDR",
	       ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &(uint64_t){ 0xfeffc000 }));
}

static void devices(void)
{
	int vm = vm_new(0);
	struct kvm_create_device d = { .type = 99 };
	struct kvm_enc_region r = { 0 };

	say_ok("CREATE_DEVICE of type 99", ioctl(vm, KVM_CREATE_DEVICE, &d));
	d = (struct kvm_create_device){ .type = 5, .flags = KVM_CREATE_DEVICE_TEST };
	say_ok("CREATE_DEVICE test of a vgic", ioctl(vm, KVM_CREATE_DEVICE, &d));
	say_ok("MEMORY_ENCRYPT_OP(NULL)", ioctl(vm, KVM_MEMORY_ENCRYPT_OP, NULL));
	say_ok("MEMORY_ENCRYPT_REG_REGION", ioctl(vm, KVM_MEMORY_ENCRYPT_REG_REGION, &r));
	say_ok("MEMORY_ENCRYPT_UNREG_REGION", ioctl(vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, &r));
}

/* ---- ioeventfd ---- */

static int event(int vm, int fd, uint64_t addr, uint32_t len, uint32_t flags, uint64_t match)
{
	struct kvm_ioeventfd e = {
		.fd = fd,
		.addr = addr,
		.len = len,
		.flags = flags,
		.datamatch = match,
	};

	return ioctl(vm, KVM_IOEVENTFD, &e);
}

static void ioeventfd_mistakes(void)
{
	int vm = vm_new(0), e = eventfd(0, EFD_NONBLOCK), m = memfd_create("m", 0);

	say_ok("IOEVENTFD mmio of 4", event(vm, e, BASE, 4, 0, 0));
	say_ok("IOEVENTFD the same again", event(vm, e, BASE, 4, 0, 0));
	say_ok("IOEVENTFD same address, data match", event(vm, e, BASE, 4, 1, 5));
	say_ok("IOEVENTFD of length 3", event(vm, e, BASE + 16, 3, 0, 0));
	say_ok("IOEVENTFD of length 0", event(vm, e, BASE + 16, 0, 0, 0));
	say_ok("IOEVENTFD of length 0 with data match", event(vm, e, BASE + 32, 0, 1, 0));
	say_ok("IOEVENTFD of length 16", event(vm, e, BASE + 32, 16, 0, 0));
	say_ok("IOEVENTFD that wraps", event(vm, e, ~0ULL, 8, 0, 0));
	say_ok("IOEVENTFD with flag bit 10", event(vm, e, BASE + 64, 4, 1 << 10, 0));
	say_ok("IOEVENTFD with a memfd", event(vm, m, BASE + 64, 4, 0, 0));
	say_ok("IOEVENTFD with a closed descriptor", event(vm, 1000, BASE + 64, 4, 0, 0));
	say_ok("IOEVENTFD taken away", event(vm, e, BASE, 4, 4, 0));
	say_ok("IOEVENTFD taken away twice", event(vm, e, BASE, 4, 4, 0));
	say_ok("IOEVENTFD(NULL)", ioctl(vm, KVM_IOEVENTFD, NULL));
}

static long events_of(int e)
{
	uint64_t n = 0;

	return read(e, &n, 8) == 8 ? (long)n : 0;
}

static void ioeventfd_works(void)
{
	struct guest g;
	int e = eventfd(0, EFD_NONBLOCK), p = eventfd(0, EFD_NONBLOCK);

	guest_make(&g, 0, GUEST_FLAT32);
	event(g.vm, e, BASE, 4, KVM_IOEVENTFD_FLAG_DATAMATCH, 5);
	event(g.vm, p, 0x50, 1, KVM_IOEVENTFD_FLAG_PIO, 0);
	/* mov eax, 5; mov [BASE], eax; out 0x50, al; mov al, 6; mov [BASE], eax; out 0x50, eax */
	guest_load(&g, 0xb8, 5, 0, 0, 0, 0xa3, 0, 0, 0, 0xc0, 0xe6, 0x50, 0xb0, 6, 0xa3, 0, 0, 0,
		   0xc0, 0xe7, 0x50, 0xf4);
	say("first exit", "%s", guest_go(&g));
	say("events by then", "mmio %ld pio %ld", events_of(e), events_of(p));
	say("second exit", "%s", guest_go(&g));
	say("third exit", "%s", guest_go(&g));
	say("events after it", "mmio %ld pio %ld", events_of(e), events_of(p));
}

static void coalesced(void)
{
	struct guest g;
	struct kvm_coalesced_mmio_zone z = { .addr = BASE, .size = 4096 };
	struct kvm_coalesced_mmio_ring *r;
	int at;

	guest_make(&g, 0, GUEST_FLAT32);
	at = ioctl(g.vm, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
	if (at <= 0)
		cannot_ask();
	r = (void *)((uint8_t *)g.run + at * PG);
	say_ok("REGISTER_COALESCED_MMIO", ioctl(g.vm, KVM_REGISTER_COALESCED_MMIO, &z));
	guest_load(&g, 0xb8, 5, 0, 0, 0, 0xa3, 0, 0, 0, 0xc0, 0xa3, 4, 0, 0, 0xc0, 0xe6, 0x10,
		   0xf4);
	say("two coalesced stores and an out", "%s", guest_go(&g));
	say("ring", "first %u last %u", r->first, r->last);
	say("entry 0", "%#llx len %u data %u", (unsigned long long)r->coalesced_mmio[0].phys_addr,
	    r->coalesced_mmio[0].len, r->coalesced_mmio[0].data[0]);
	say_ok("UNREGISTER_COALESCED_MMIO", ioctl(g.vm, KVM_UNREGISTER_COALESCED_MMIO, &z));
}

static const struct probe_case list[] = {
	{ "irq", "irqchip", irqchip },
	{ "irq", "no chip", no_chip },
	{ "irq", "devices", devices },
	{ "ioeventfd", "mistakes", ioeventfd_mistakes },
	{ "ioeventfd", "works", ioeventfd_works },
	{ "coalesced", "coalesced", coalesced },
};

const struct probe_list cases_irq = { list, COUNT(list) };
