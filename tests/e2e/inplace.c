/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "inplace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- touching ---------------------------------------------------------------------------------- */

static __thread sigjmp_buf back;
static __thread volatile sig_atomic_t touching;
static __thread const void *volatile fault_address;
static __thread volatile int fault_code;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	if (!touching) {
		signal(sig, SIG_DFL);
		return;
	}
	fault_address = info->si_addr;
	fault_code = info->si_code;
	siglongjmp(back, sig);
}

static void catch_faults(void)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };

	/* cmocka has its own around every test. */
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

static int touch(volatile uint8_t *p, const uint8_t *in, uint8_t *out)
{
	int sig;

	catch_faults();
	sig = sigsetjmp(back, 0);
	if (!sig) {
		touching = 1;
		if (in)
			*p = *in;
		else
			*out = *p;
	}
	touching = 0;
	if (sig == SIGBUS) {
		assert_int_equal(fault_code, BUS_ADRERR);
		assert_ptr_equal(fault_address, (const void *)(uintptr_t)p);
	}
	return sig;
}

int host_read(const uint8_t *p, uint8_t *value)
{
	return touch((volatile uint8_t *)(uintptr_t)p, NULL, value);
}

int host_write(uint8_t *p, uint8_t value)
{
	return touch(p, &value, NULL);
}

uint8_t guest_exchange(struct guest *g, uint64_t gpa, uint8_t value)
{
	/* mov al, [gpa]; out PORT, al; mov byte [gpa], value; hlt */
	const uint8_t low = (uint8_t)gpa, high = (uint8_t)(gpa >> 8);
	const uint8_t code[] = { 0xa0, low, high, OUT_AL, 0xc6, 0x06, low, high, value, HLT };
	uint8_t found;

	guest_code(g, code, sizeof(code));
	assert_int_equal(guest_run(g), 0);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_IO);
	found = *((uint8_t *)g->run + g->run->io.data_offset);
	assert_int_equal(guest_run(g), 0);
	assert_int_equal(g->run->exit_reason, KVM_EXIT_HLT);
	return found;
}

void expect_private(struct inplace *t, unsigned int page, uint8_t found, uint8_t left)
{
	uint8_t *p = t->host + page * PAGE, value;

	assert_int_equal(host_write(p, (uint8_t)~found), SIGBUS);
	assert_int_equal(guest_exchange(&t->g, DATA + page * PAGE, left), found);
	assert_int_equal(host_read(p, &value), SIGBUS);
}

void expect_shared(struct inplace *t, unsigned int page, uint8_t found, uint8_t between,
		   uint8_t left)
{
	uint8_t *p = t->host + page * PAGE, value = 0;

	assert_int_equal(host_read(p, &value), 0);
	assert_int_equal(value, found);
	assert_int_equal(host_write(p, between), 0);
	assert_int_equal(guest_exchange(&t->g, DATA + page * PAGE, left), between);
	assert_int_equal(host_read(p, &value), 0);
	assert_int_equal(value, left);
}

/* ---- making and converting --------------------------------------------------------------------- */

int inplace_cap(void)
{
	static const int numbers[] = { 250, 249 };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), found = 0;

	for (unsigned int i = 0; kvm >= 0 && !found && i < 2; i++)
		if (ioctl(kvm, KVM_CHECK_EXTENSION, (long)numbers[i]) == PRIVATE)
			found = numbers[i];
	if (kvm >= 0)
		close(kvm);
	return found;
}

void inplace_need(void)
{
	if (inplace_cap())
		return;
	puts("this /dev/kvm has no conversion in place");
	exit(77);
}

void inplace_make(struct inplace *t, unsigned int nr_pages, uint64_t flags)
{
	size_t size = nr_pages * PAGE;

	assert_true(nr_pages <= INPLACE_MAX_PAGES);
	guest_make(&t->g, KVM_X86_SW_PROTECTED_VM);
	t->nr = nr_pages;
	t->fd = guest_gmem(&t->g, size, flags);
	if (flags & GUEST_MEMFD_FLAG_MMAP)
		t->host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	else
		t->host = guest_memory(size);
	assert_ptr_not_equal(t->host, MAP_FAILED);
	guest_set_gmem(&t->g, 1, DATA, size, t->host, t->fd);
}

void inplace_free(struct inplace *t)
{
	guest_free(&t->g);
	assert_int_equal(munmap(t->host, t->nr * PAGE), 0);
	assert_int_equal(close(t->fd), 0);
}

int inplace_convert(int fd, uint64_t offset, uint64_t size, uint64_t attributes, uint64_t *where)
{
	struct kvm_memory_attributes2 a = {
		.offset = offset,
		.size = size,
		.attributes = attributes,
		.error_offset = UNTOLD,
	};
	int r;

	do {
		r = ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? -errno : 0;
	} while (r == -EINTR);
	if (where)
		*where = a.error_offset;
	return r;
}

void inplace_set(struct inplace *t, unsigned int first, unsigned int nr, uint64_t attributes)
{
	assert_int_equal(inplace_convert(t->fd, first * PAGE, nr * PAGE, attributes, NULL), 0);
}
