/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Interrupts from the program, eventfds and the coalescing ring, debugging, and state that comes with kvm_run. */
#include "guest.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Interrupt vector n of real mode goes to CODE + 0x100. */
static void set_vector(struct guest *g, unsigned int n)
{
	uint16_t entry[2] = { CODE + 0x100, 0 };

	memcpy(g->ram + 4 * n, entry, sizeof(entry));
	/* mov al, 0x77; out PORT, al; iret */
	memcpy(g->ram + CODE + 0x100, "\xb0\x77\xe6\x10\xcf", 5);
}

static uint8_t out_value(struct guest *g)
{
	assert_int_equal(g->run->exit_reason, KVM_EXIT_IO);
	return *((uint8_t *)g->run + g->run->io.data_offset);
}

static void an_interrupt_is_taken_when_it_can_be(void **state)
{
	struct kvm_interrupt irq = { .irq = 0x20 };
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	set_vector(&g, 0x20);
	/* mov al, 1; out PORT, al; sti; nop; mov al, 2; out PORT, al; hlt */
	GUEST_CODE(&g, MOV_AL(1), OUT_AL, 0xfb, 0x90, MOV_AL(2), OUT_AL, HLT);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(out_value(&g), 1);
	assert_int_equal(g.run->if_flag, 0);
	assert_int_equal(g.run->ready_for_interrupt_injection, 0);
	g.run->request_interrupt_window = 1;
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_IRQ_WINDOW_OPEN);
	assert_int_equal(g.run->ready_for_interrupt_injection, 1);
	g.run->request_interrupt_window = 0;
	assert_int_equal(ioctl(g.vcpu, KVM_INTERRUPT, &irq), 0);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(out_value(&g), 0x77);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(out_value(&g), 2);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_HLT);
	guest_free(&g);
}

static void an_nmi_needs_no_flag(void **state)
{
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	set_vector(&g, 2);
	GUEST_CODE(&g, MOV_AL(1), OUT_AL, MOV_AL(2), OUT_AL, HLT);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(ioctl(g.vcpu, KVM_NMI, 0), 0);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(out_value(&g), 0x77);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(out_value(&g), 2);
	guest_free(&g);
}

static void eventfds_take_writes(void **state)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct kvm_ioeventfd e = { .datamatch = 5, .addr = PORT, .len = 1, .fd = fd };
	struct guest g;
	uint64_t count;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	e.flags = KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH;
	assert_int_equal(ioctl(g.vm, KVM_IOEVENTFD, &e), 0);
	assert_int_equal(ioctl(g.vm, KVM_IOEVENTFD, &e), -1);
	assert_int_equal(errno, EEXIST);
	e = (struct kvm_ioeventfd){ .addr = 0xa000, .fd = fd };
	assert_int_equal(ioctl(g.vm, KVM_IOEVENTFD, &e), 0);
	/* mov al, 5; out PORT, al; mov [0xa000], al; mov al, 6; out PORT, al */
	GUEST_CODE(&g, MOV_AL(5), OUT_AL, 0xa2, 0x00, 0xa0, MOV_AL(6), OUT_AL, HLT);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(out_value(&g), 6);
	assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 2);
	e.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	assert_int_equal(ioctl(g.vm, KVM_IOEVENTFD, &e), 0);
	assert_int_equal(ioctl(g.vm, KVM_IOEVENTFD, &e), -1);
	assert_int_equal(errno, ENOENT);
	e = (struct kvm_ioeventfd){ .addr = 0xb000, .fd = g.vm };
	assert_int_equal(ioctl(g.vm, KVM_IOEVENTFD, &e), -1);
	assert_int_equal(errno, EINVAL);
	guest_free(&g);
	close(fd);
}

static void coalesced_writes_wait_in_the_ring(void **state)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = 0xa000, .size = 4 };
	struct kvm_coalesced_mmio_ring *ring;
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	ring = (void *)((uint8_t *)g.run + KVM_COALESCED_MMIO_PAGE_OFFSET * PAGE);
	assert_int_equal(ioctl(g.vm, KVM_REGISTER_COALESCED_MMIO, &zone), 0);
	/* mov [0xa001], al; mov [0xa002], ax; mov [0xa004], al */
	GUEST_CODE(&g, MOV_AL(9), 0xa2, 0x01, 0xa0, 0xa3, 0x02, 0xa0, 0xa2, 0x04, 0xa0, HLT);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(g.run->mmio.phys_addr, 0xa004);
	assert_int_equal(ring->last - ring->first, 2);
	assert_int_equal(ring->coalesced_mmio[0].phys_addr, 0xa001);
	assert_int_equal(ring->coalesced_mmio[0].data[0], 9);
	assert_int_equal(ring->coalesced_mmio[1].len, 2);
	assert_int_equal(ioctl(g.vm, KVM_UNREGISTER_COALESCED_MMIO, &zone), 0);
	guest_free(&g);
}

static void single_steps_and_breakpoints_exit(void **state)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	GUEST_CODE(&g, MOV_AL(1), MOV_AL(2), 0xcc, HLT);
	assert_int_equal(ioctl(g.vcpu, KVM_SET_GUEST_DEBUG, &d), 0);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_DEBUG);
	assert_int_equal(g.run->debug.arch.exception, 1);
	assert_int_equal(g.run->debug.arch.pc, CODE + 2);
	d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
	assert_int_equal(ioctl(g.vcpu, KVM_SET_GUEST_DEBUG, &d), 0);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_DEBUG);
	assert_int_equal(g.run->debug.arch.exception, 3);
	assert_int_equal(g.run->debug.arch.pc, CODE + 4);
	guest_free(&g);
}

static void registers_travel_with_kvm_run(void **state)
{
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	GUEST_CODE(&g, MOV_AL(0x42), OUT_AL, OUT_AL, HLT);
	g.run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->s.regs.regs.rax, 0x42);
	assert_int_equal(g.run->s.regs.sregs.cr0 & 1, 0);
	g.run->s.regs.regs.rax = 0x43;
	g.run->s.regs.regs.rip += 2;
	g.run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(out_value(&g), 0x43);
	g.run->kvm_valid_regs = 1ull << 40;
	assert_int_equal(guest_run(&g), -EINVAL);
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupt_is_taken_when_it_can_be),
		cmocka_unit_test(an_nmi_needs_no_flag),
		cmocka_unit_test(eventfds_take_writes),
		cmocka_unit_test(coalesced_writes_wait_in_the_ring),
		cmocka_unit_test(single_steps_and_breakpoints_exit),
		cmocka_unit_test(registers_travel_with_kvm_run),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
