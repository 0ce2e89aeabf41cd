/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * An instruction that a device has answered is finished before anything else happens: an interrupt, an NMI
 * or a signal that comes with the answer neither repeats the access nor loses it. Asked of Linux 7.2.
 */
#include "guest.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define HANDLER (CODE + 0x100)
#define BUFFER 0x2000
#define DEVICE 0x9000 /* ds:0x9000, no slot */

#define READ_DEVICE 0xa0, 0x00, 0x90 /* mov al, [0x9000] */
#define INC_DEVICE 0xfe, 0x06, 0x00, 0x90
#define REP_INSB 0xf3, 0x6c

static void set_vector(struct guest *g, unsigned int n)
{
	uint16_t entry[2] = { HANDLER, 0 };

	memcpy(g->ram + 4 * n, entry, sizeof(entry));
	/* push ax; mov al, 0x77; out PORT, al; pop ax; iret */
	memcpy(g->ram + HANDLER, "\x50\xb0\x77\xe6\x10\x58\xcf", 7);
}

static uint8_t *port_data(struct guest *g)
{
	return (uint8_t *)g->run + g->run->io.data_offset;
}

static void expect_read(struct guest *g, uint8_t value)
{
	assert_int_equal(guest_run(g), 0);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_MMIO);
	assert_int_equal(g->run->mmio.phys_addr, DEVICE);
	assert_false(g->run->mmio.is_write);
	g->run->mmio.data[0] = value;
}

static void expect_handler(struct guest *g)
{
	assert_int_equal(guest_run(g), 0);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(g->run->io.direction, KVM_EXIT_IO_OUT);
	assert_int_equal(*port_data(g), 0x77);
}

static void expect_halt(struct guest *g)
{
	assert_int_equal(guest_run(g), 0);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_HLT);
}

static void interrupt(struct guest *g)
{
	struct kvm_interrupt irq = { .irq = 0x20 };

	assert_int_equal(ioctl(g->vcpu, KVM_INTERRUPT, &irq), 0);
}

static void start(struct guest *g, const void *code, size_t size)
{
	struct kvm_regs regs;

	guest_make(g, KVM_X86_DEFAULT_VM);
	set_vector(g, 2);
	set_vector(g, 0x20);
	guest_code(g, code, size);
	guest_regs(g, &regs);
	regs.rdi = BUFFER;
	regs.rcx = 5;
	regs.rdx = PORT;
	assert_int_equal(ioctl(g->vcpu, KVM_SET_REGS, &regs), 0);
}
#define START(g, ...)                                        \
	do {                                                 \
		static const uint8_t c_[] = { __VA_ARGS__ }; \
		start((g), c_, sizeof(c_));                  \
	} while (0)

static void expect_al(struct guest *g, uint8_t value)
{
	struct kvm_regs regs;

	guest_regs(g, &regs);
	assert_int_equal((uint8_t)regs.rax, value);
}

static void an_interrupt_waits_for_the_read_it_comes_with(void **state)
{
	struct guest g;

	START(&g, READ_DEVICE, HLT);
	expect_read(&g, 0x42);
	interrupt(&g);
	expect_handler(&g);
	expect_halt(&g);
	expect_al(&g, 0x42);
	guest_free(&g);
}

static void an_nmi_waits_for_the_read_it_comes_with(void **state)
{
	struct guest g;

	START(&g, READ_DEVICE, HLT);
	expect_read(&g, 0x43);
	assert_int_equal(ioctl(g.vcpu, KVM_NMI, 0), 0);
	expect_handler(&g);
	expect_halt(&g);
	expect_al(&g, 0x43);
	guest_free(&g);
}

static void an_interrupt_does_not_part_read_and_write(void **state)
{
	struct guest g;

	START(&g, INC_DEVICE, HLT);
	expect_read(&g, 0x10);
	interrupt(&g);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_MMIO);
	assert_true(g.run->mmio.is_write);
	assert_int_equal(g.run->mmio.data[0], 0x11);
	expect_handler(&g);
	expect_halt(&g);
	guest_free(&g);
}

static void expect_ins(struct guest *g)
{
	assert_int_equal(guest_run(g), 0);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(g->run->io.direction, KVM_EXIT_IO_IN);
	assert_int_equal(g->run->io.count, 5);
	memcpy(port_data(g), "abcde", 5);
}

static void an_interrupt_waits_for_port_data(void **state)
{
	struct guest g;

	START(&g, REP_INSB, HLT);
	expect_ins(&g);
	interrupt(&g);
	expect_handler(&g);
	expect_halt(&g);
	assert_memory_equal(g.ram + BUFFER, "abcde\0", 6);
	guest_free(&g);
}

/* The state that a program saves after that must hold all that devices have given. */
static void immediate_exit_stores_port_data(void **state)
{
	struct kvm_regs regs;
	struct guest g;

	START(&g, REP_INSB, HLT);
	expect_ins(&g);
	g.run->immediate_exit = 1;
	assert_int_equal(guest_run(&g), -EINTR);
	g.run->immediate_exit = 0;
	guest_regs(&g, &regs);
	assert_int_equal(regs.rcx, 0);
	assert_int_equal(regs.rdi, BUFFER + 5);
	assert_memory_equal(g.ram + BUFFER, "abcde\0", 6);
	expect_halt(&g);
	guest_free(&g);
}

static void a_lowered_count_ends_the_stores(void **state)
{
	struct kvm_regs regs;
	struct guest g;

	START(&g, REP_INSB, HLT);
	expect_ins(&g);
	guest_regs(&g, &regs);
	regs.rcx = 2;
	assert_int_equal(ioctl(g.vcpu, KVM_SET_REGS, &regs), 0);
	expect_halt(&g);
	guest_regs(&g, &regs);
	assert_int_equal(regs.rcx, 0);
	assert_int_equal(regs.rdi, BUFFER + 2);
	assert_memory_equal(g.ram + BUFFER, "ab\0", 3);
	guest_free(&g);
}

static void wait_with_usr1(struct guest *g)
{
	struct {
		uint32_t len;
		uint8_t set[8];
	} mask = { .len = 8 };

	assert_int_equal(ioctl(g->vcpu, KVM_SET_SIGNAL_MASK, &mask), 0);
	assert_int_equal(pthread_kill(pthread_self(), SIGUSR1), 0);
}

/* A signal that waits: KVM_RUN returns, but with the access done. */
static void a_signal_waits_for_the_read_it_comes_with(void **state)
{
	struct timespec now = { 0 };
	struct kvm_regs regs;
	struct guest g;
	sigset_t usr1;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	START(&g, READ_DEVICE, HLT);
	expect_read(&g, 0x44);
	wait_with_usr1(&g);
	assert_int_equal(guest_run(&g), -EINTR);
	guest_regs(&g, &regs);
	assert_int_equal((uint8_t)regs.rax, 0x44);
	assert_int_equal(regs.rip, CODE + 3);
	assert_int_equal(sigtimedwait(&usr1, NULL, &now), SIGUSR1);
	expect_halt(&g);
	guest_free(&g);
}

static void nothing(int signo)
{
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupt_waits_for_the_read_it_comes_with),
		cmocka_unit_test(an_nmi_waits_for_the_read_it_comes_with),
		cmocka_unit_test(an_interrupt_does_not_part_read_and_write),
		cmocka_unit_test(an_interrupt_waits_for_port_data),
		cmocka_unit_test(immediate_exit_stores_port_data),
		cmocka_unit_test(a_lowered_count_ends_the_stores),
		cmocka_unit_test(a_signal_waits_for_the_read_it_comes_with),
	};
	struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGUSR1, &action, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
