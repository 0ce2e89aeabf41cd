/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Requests as a real kernel takes them where the number of the request, or a careless reading of it, says
 * otherwise: which structures are only read, what is written back after a failure, what does not wait for
 * the vCPU. Asked of Linux 7.2.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#define LOGGED 0x100000ul

/* A copy of the structure in memory that cannot be written. */
static void *read_only(const void *what, size_t size)
{
	void *page = guest_memory(PAGE);

	memcpy(page, what, size);
	assert_int_equal(mprotect(page, PAGE, PROT_READ), 0);
	return page;
}

static int lowest_free_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void a_guest_memfd_is_made_from_a_constant(void **state)
{
	static const struct kvm_create_guest_memfd what = { .size = PAGE };
	void *constant = read_only(&what, sizeof(what));
	struct guest g;
	int before, fd;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	before = lowest_free_fd();
	fd = ioctl(g.vm, KVM_CREATE_GUEST_MEMFD, constant);
	assert_int_equal(fd, before);
	assert_int_equal(close(fd), 0);
	assert_int_equal(lowest_free_fd(), before);
	guest_free(&g);
	munmap(constant, PAGE);
}

static void a_dirty_log_is_cleared_from_a_constant(void **state)
{
	uint64_t bits = 1;
	struct kvm_clear_dirty_log what = { .slot = 1, .num_pages = 1, .dirty_bitmap = &bits };
	void *constant = read_only(&what, sizeof(what)), *mem = guest_memory(PAGE);
	struct kvm_userspace_memory_region r = {
		.slot = 1,
		.flags = KVM_MEM_LOG_DIRTY_PAGES,
		.guest_phys_addr = LOGGED,
		.memory_size = PAGE,
		.userspace_addr = (uintptr_t)mem,
	};
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	assert_int_equal(ioctl(g.vm, KVM_SET_USER_MEMORY_REGION, &r), 0);
	assert_int_equal(ioctl(g.vm, KVM_CLEAR_DIRTY_LOG, constant), 0);
	guest_free(&g);
	munmap(constant, PAGE);
	munmap(mem, PAGE);
}

/* Also after a refusal: that it cannot be written is what the program hears. */
static void what_was_faulted_in_is_written_back_always(void **state)
{
	struct kvm_pre_fault_memory what = { .gpa = 0, .size = PAGE, .flags = 1 };
	void *constant = read_only(&what, sizeof(what));
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	assert_int_equal(ioctl(g.vcpu, KVM_PRE_FAULT_MEMORY, &what), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ioctl(g.vcpu, KVM_PRE_FAULT_MEMORY, constant), -1);
	assert_int_equal(errno, EFAULT);
	guest_free(&g);
	munmap(constant, PAGE);
}

static void *run(void *arg)
{
	struct guest *g = arg;

	while (guest_run(g) == 0 && g->run->exit_reason == KVM_EXIT_IO)
		;
	return NULL;
}

static void nothing(int signo)
{
}

/* isatty() and its kind, beside a vCPU that runs: answered at once (alarm() ends the test otherwise). */
static void a_request_that_is_not_of_kvm_does_not_wait(void **state)
{
	struct termios t;
	struct guest g;
	pthread_t thread;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	GUEST_CODE(&g, LOOP_HERE);
	assert_int_equal(pthread_create(&thread, NULL, run, &g), 0);
	guest_sleep_us(20000);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(ioctl(g.vcpu, TCGETS, &t), -1);
		assert_int_equal(errno, EINVAL);
	}
	assert_int_equal(pthread_kill(thread, SIGUSR1), 0);
	pthread_join(thread, NULL);
	guest_free(&g);
}

/* Words: flags, five of the hardware's. */
static void code_in_a_device_is_an_emulation_failure(void **state)
{
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	/* mov ax, 0x9000; jmp ax */
	GUEST_CODE(&g, 0xb8, 0x00, 0x90, 0xff, 0xe0);
	memset(&g.run->emulation_failure, 0xff, sizeof(g.run->emulation_failure));
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_INTERNAL_ERROR);
	assert_int_equal(g.run->emulation_failure.suberror, KVM_INTERNAL_ERROR_EMULATION);
	assert_int_equal(g.run->emulation_failure.ndata, 6);
	assert_int_equal(g.run->emulation_failure.flags, 0);
	guest_free(&g);
}

static uint32_t ask(struct guest *g, uint32_t number)
{
	/* vmcall; hlt */
	static const uint8_t code[] = { 0x0f, 0x01, 0xc1, HLT };
	struct kvm_regs regs;

	guest_code(g, code, sizeof(code));
	guest_regs(g, &regs);
	regs.rax = number;
	regs.rcx = 1; /* a clock that there is not, to KVM_HC_CLOCK_PAIRING */
	assert_int_equal(ioctl(g->vcpu, KVM_SET_REGS, &regs), 0);
	assert_int_equal(guest_run(g), 0);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_HLT);
	guest_regs(g, &regs);
	return (uint32_t)regs.rax;
}

static void hypercalls_for_what_is_absent_say_so(void **state)
{
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	assert_int_equal(ask(&g, KVM_HC_SEND_IPI), (uint32_t)-KVM_EOPNOTSUPP);
	assert_int_equal(ask(&g, KVM_HC_CLOCK_PAIRING), (uint32_t)-KVM_EOPNOTSUPP);
	assert_int_equal(ask(&g, KVM_HC_MAP_GPA_RANGE), (uint32_t)-KVM_ENOSYS);
	assert_int_equal(ask(&g, KVM_HC_KICK_CPU), 0);
	guest_free(&g);
}

/* A vCPU stays with its VM when its descriptor is closed. */
static void an_id_is_given_out_once(void **state)
{
	struct guest g;
	int i, fd;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	fd = ioctl(g.vm, KVM_CREATE_VCPU, 1);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(ioctl(g.vm, KVM_CREATE_VCPU, 1), -1);
	assert_int_equal(errno, EEXIST);
	for (i = 2; i < 1024; i++) {
		fd = ioctl(g.vm, KVM_CREATE_VCPU, i);
		assert_true(fd >= 0);
		close(fd);
	}
	/* KVM_CAP_MAX_VCPUS of them: that is said before the id is looked at. */
	for (i = 1; i < 2000; i += 1998) {
		assert_int_equal(ioctl(g.vm, KVM_CREATE_VCPU, i), -1);
		assert_int_equal(errno, EINVAL);
	}
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_memfd_is_made_from_a_constant),
		cmocka_unit_test(a_dirty_log_is_cleared_from_a_constant),
		cmocka_unit_test(what_was_faulted_in_is_written_back_always),
		cmocka_unit_test(a_request_that_is_not_of_kvm_does_not_wait),
		cmocka_unit_test(code_in_a_device_is_an_emulation_failure),
		cmocka_unit_test(hypercalls_for_what_is_absent_say_so),
		cmocka_unit_test(an_id_is_given_out_once),
	};
	struct sigaction action = { .sa_handler = nothing };

	sigaction(SIGUSR1, &action, NULL);
	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
