/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The program does what it likes with the memory behind a slot, at any time: the guest's access gives what
 * the kernel gives (EFAULT with exit_reason 0), never the end of the process, and after the repair the same
 * instruction completes. Also in threads that have SIGSEGV and SIGBUS blocked.
 */
#include "guest.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static void expect_out(struct guest *g, uint8_t value)
{
	assert_int_equal(guest_run(g), 0);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(*((uint8_t *)g->run + g->run->io.data_offset), value);
}

static void expect_efault(struct guest *g, uint64_t rip)
{
	struct kvm_regs regs;

	assert_int_equal(guest_run(g), -EFAULT);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_UNKNOWN);
	guest_regs(g, &regs);
	assert_int_equal(regs.rip, rip);
}

static void fixed(void *at, size_t size, int prot)
{
	assert_ptr_equal(mmap(at, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), at);
}

static void unmapped_memory(void)
{
	uint8_t *mem = guest_memory(PAGE);
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	guest_set_slot(&g, 1, DATA, PAGE, mem);
	GUEST_CODE(&g, LOAD_AL, OUT_AL, LOAD_AL, OUT_AL, HLT);
	mem[0] = 0x11;
	expect_out(&g, 0x11);
	munmap(mem, PAGE);
	expect_efault(&g, CODE + 5);
	fixed(mem, PAGE, PROT_READ | PROT_WRITE);
	mem[0] = 0x22;
	expect_out(&g, 0x22);
	guest_free(&g);
	munmap(mem, PAGE);
}

static void protected_memory(void)
{
	uint8_t *mem = guest_memory(PAGE);
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	guest_set_slot(&g, 1, DATA, PAGE, mem);
	GUEST_CODE(&g, MOV_AL(1), STORE_AL, OUT_AL, MOV_AL(2), STORE_AL, LOAD_AL, OUT_AL, HLT);
	expect_out(&g, 1);
	mprotect(mem, PAGE, PROT_READ);
	expect_efault(&g, CODE + 9);
	assert_int_equal(mem[0], 1);
	mprotect(mem, PAGE, PROT_NONE);
	expect_efault(&g, CODE + 9);
	mprotect(mem, PAGE, PROT_READ | PROT_WRITE);
	expect_out(&g, 2);
	assert_int_equal(mem[0], 2);
	guest_free(&g);
	munmap(mem, PAGE);
}

/* Nobody tells us of this: the access itself finds out. */
static void truncated_file(void)
{
	int fd = memfd_create("ram", 0);
	struct guest g;
	uint8_t *mem;

	assert_int_equal(ftruncate(fd, PAGE), 0);
	mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(mem, MAP_FAILED);
	guest_make(&g, KVM_X86_DEFAULT_VM);
	guest_set_slot(&g, 1, DATA, PAGE, mem);
	GUEST_CODE(&g, LOAD_AL, OUT_AL, LOAD_AL, OUT_AL, HLT);
	mem[0] = 0x33;
	expect_out(&g, 0x33);
	assert_int_equal(ftruncate(fd, 0), 0);
	expect_efault(&g, CODE + 5);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	expect_out(&g, 0);
	guest_free(&g);
	munmap(mem, PAGE);
	close(fd);
}

static void access_over_two_pages(void)
{
	uint8_t *mem = guest_memory(2 * PAGE);
	struct kvm_regs regs;
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	guest_set_slot(&g, 1, DATA, 2 * PAGE, mem);
	/* mov eax, 0x11223344; mov [0x8ffe], eax */
	GUEST_CODE(&g, 0x66, 0xb8, 0x44, 0x33, 0x22, 0x11, 0x66, 0xa3, 0xfe, 0x8f, HLT);
	munmap(mem + PAGE, PAGE);
	expect_efault(&g, CODE + 6);
	assert_int_equal(mem[PAGE - 2], 0);
	assert_int_equal(mem[PAGE - 1], 0);
	fixed(mem + PAGE, PAGE, PROT_READ | PROT_WRITE);
	assert_int_equal(guest_run(&g), 0);
	assert_int_equal(g.run->exit_reason, KVM_EXIT_HLT);
	assert_memory_equal(mem + PAGE - 2, "\x44\x33\x22\x11", 4);
	guest_regs(&g, &regs);
	guest_free(&g);
	munmap(mem, 2 * PAGE);
}

static void discarded_memory(void)
{
	uint8_t *mem = guest_memory(PAGE);
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	guest_set_slot(&g, 1, DATA, PAGE, mem);
	GUEST_CODE(&g, MOV_AL(7), STORE_AL, LOAD_AL, OUT_AL, LOAD_AL, OUT_AL, HLT);
	expect_out(&g, 7);
	assert_int_equal(madvise(mem, PAGE, MADV_DONTNEED), 0);
	expect_out(&g, 0);
	guest_free(&g);
	munmap(mem, PAGE);
}

static void moved_memory(void)
{
	uint8_t *mem = guest_memory(PAGE), *elsewhere = guest_memory(PAGE);
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	guest_set_slot(&g, 1, DATA, PAGE, mem);
	GUEST_CODE(&g, LOAD_AL, OUT_AL, LOAD_AL, OUT_AL, LOAD_AL, OUT_AL, HLT);
	mem[0] = 0x44;
	elsewhere[0] = 0x55;
	expect_out(&g, 0x44);
	assert_ptr_equal(mremap(elsewhere, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, mem), mem);
	expect_out(&g, 0x55);
	assert_ptr_not_equal(mremap(mem, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, elsewhere),
			     MAP_FAILED);
	expect_efault(&g, CODE + 10);
	guest_free(&g);
	munmap(elsewhere, PAGE);
}

static void rewritten_code(void)
{
	uint8_t *mem = guest_memory(PAGE);
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	guest_set_slot(&g, 1, DATA, PAGE, mem);
	/* again: call 0x8000; out PORT, al; jmp again */
	GUEST_CODE(&g, 0xe8, 0xfd, 0x6f, OUT_AL, 0xeb, 0xf9);
	memcpy(mem, "\xb0\x01\xc3", 3); /* mov al, 1; ret */
	expect_out(&g, 1);
	expect_out(&g, 1);
	mem[1] = 2; /* written by the host, in place */
	expect_out(&g, 2);
	fixed(mem, PAGE, PROT_READ | PROT_WRITE); /* another page at the same address */
	memcpy(mem, "\xb0\x03\xc3", 3);
	expect_out(&g, 3);
	munmap(mem, PAGE);
	expect_efault(&g, DATA);
	guest_free(&g);
}

static void (*const cases[])(void) = { unmapped_memory,	      protected_memory, truncated_file,
				       access_over_two_pages, discarded_memory, moved_memory,
				       rewritten_code };

static void run_all(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cases[i]();
}

static void memory_that_goes_away(void **state)
{
	run_all();
}

static void with_fault_signals_blocked(void **state)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGSEGV);
	sigaddset(&set, SIGBUS);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &old), 0);
	run_all();
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &old, &set), 0);
	/* The program finds its mask as it left it. */
	assert_true(sigismember(&set, SIGSEGV));
	assert_true(sigismember(&set, SIGBUS));
}

static _Atomic int stop;

/* After an exit the guest goes on with what has come there meanwhile, from its first instruction on. */
static void replaced_between_two_runs(void **state)
{
	uint8_t *mem = guest_memory(2 * PAGE);
	struct guest g;

	guest_make(&g, KVM_X86_DEFAULT_VM);
	guest_set_slot(&g, 1, DATA, PAGE, mem);
	GUEST_CODE(&g, LOAD_AL, OUT_AL, LOAD_AL, OUT_AL, HLT);
	mem[0] = 0x11;
	mem[PAGE] = 0x22;
	expect_out(&g, 0x11);
	guest_set_slot(&g, 1, DATA, 0, mem);
	guest_set_slot(&g, 1, DATA, PAGE, mem + PAGE);
	expect_out(&g, 0x22);
	guest_free(&g);
	munmap(mem, 2 * PAGE);
}

static void *spin_in_guest(void *arg)
{
	struct guest *g = arg;
	int r;

	do {
		r = guest_run(g);
	} while (r == -EINTR && !stop);
	return (void *)(intptr_t)r;
}

/* The guest reads in a loop when the page goes: its KVM_RUN ends, within a bounded time. */
static void unmapped_under_a_running_guest(void **state)
{
	for (int round = 0; round < 50; round++) {
		uint8_t *mem = guest_memory(PAGE);
		struct guest g;
		pthread_t thread;
		void *r;

		guest_make(&g, KVM_X86_DEFAULT_VM);
		guest_set_slot(&g, 1, DATA, PAGE, mem);
		GUEST_CODE(&g, LOAD_AL, 0xeb, 0xfb); /* again: mov al, [0x8000]; jmp again */
		assert_int_equal(pthread_create(&thread, NULL, spin_in_guest, &g), 0);
		guest_sleep_us((unsigned int)round * 40);
		munmap(mem, PAGE);
		pthread_join(thread, &r);
		assert_int_equal((intptr_t)r, -EFAULT);
		assert_int_equal(g.run->exit_reason, KVM_EXIT_UNKNOWN);
		guest_free(&g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_that_goes_away),
		cmocka_unit_test(with_fault_signals_blocked),
		cmocka_unit_test(replaced_between_two_runs),
		cmocka_unit_test(unmapped_under_a_running_guest),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
