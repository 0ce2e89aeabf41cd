/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "window.h"

#include "../paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

bool window_marked;
int window_vm;
__thread siginfo_t window_info;

static __thread sigjmp_buf out;

static void leave(int signo, siginfo_t *info, void *context)
{
	window_info = *info;
	siglongjmp(out, signo);
}

/* Each time: cmocka has its own for the time of a test. */
static void catch_faults(void)
{
	struct sigaction sa = { .sa_sigaction = leave, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

void window_init(int argc, char **argv)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	window_marked = argc > 1 && strcmp(argv[1], "marked") == 0;
	if (window_marked)
		skip_without_marks();
	window_vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	if (window_vm < 0) {
		perror("KVM_CREATE_VM");
		exit(1);
	}
	close(kvm);
}

int window_convert(const struct window *w, size_t page, size_t nr, bool to_private)
{
	struct kvm_memory_attributes2 a = {
		.offset = page * PAGE,
		.size = nr * PAGE,
		.attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return ioctl(w->fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? -errno : 0;
}

void window_hide(const struct window *w, size_t page, size_t nr)
{
	assert_int_equal(window_convert(w, page, nr, true), 0);
}

void window_show(const struct window *w, size_t page, size_t nr)
{
	assert_int_equal(window_convert(w, page, nr, false), 0);
}

uint8_t *window_map(const struct window *w)
{
	uint8_t *map = mmap(NULL, w->size, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	return map;
}

size_t nr_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	size_t nr = 0;
	int c;

	while ((c = getc(f)) != EOF)
		nr += c == '\n';
	fclose(f);
	return nr;
}

/* Behind the pages of the test, so that there are too many for a mapping each. */
static void hide_very_many(struct window *w)
{
	for (size_t i = 0; i < MANY_PAGES; i += 2)
		window_hide(w, PAGES + i, 1);
	assert_true(nr_mappings() < MANY_PAGES / 2);
}

int window_setup(void **state)
{
	struct window *w = calloc(1, sizeof(*w));
	struct kvm_create_guest_memfd c = { .flags = GUEST_MEMFD_FLAG_MMAP |
						     GUEST_MEMFD_FLAG_INIT_SHARED };

	w->size = (PAGES + (window_marked ? MANY_PAGES : 0)) * PAGE;
	c.size = w->size;
	w->fd = ioctl(window_vm, KVM_CREATE_GUEST_MEMFD, &c);
	assert_true(w->fd >= 0);
	w->map = window_map(w);
	if (window_marked)
		hide_very_many(w);
	for (size_t i = 0; i < PAGES; i++)
		memset(w->map + i * PAGE, (int)i + 1, PAGE);
	*state = w;
	return 0;
}

int window_teardown(void **state)
{
	struct window *w = *state;

	munmap(w->map, w->size);
	close(w->fd);
	free(w);
	return 0;
}

int window_read(const volatile uint8_t *p)
{
	int signo;

	catch_faults();
	signo = sigsetjmp(out, 1);
	if (signo == 0)
		(void)*p;
	return signo;
}

int window_write(volatile uint8_t *p, uint8_t value)
{
	int signo;

	catch_faults();
	signo = sigsetjmp(out, 1);
	if (signo == 0)
		*p = value;
	return signo;
}

int window_queue(siginfo_t *info)
{
	int signo;

	catch_faults();
	signo = sigsetjmp(out, 1);
	if (signo == 0)
		syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), info->si_signo, info);
	return signo;
}

static void expect_bus_error(int signo, const uint8_t *p)
{
	assert_int_equal(signo, SIGBUS);
	assert_int_equal(window_info.si_signo, SIGBUS);
	assert_int_equal(window_info.si_code, BUS_ADRERR);
	assert_ptr_equal(window_info.si_addr, p);
	assert_int_equal(window_info.si_addr_lsb, 0);
}

void expect_hidden(uint8_t *page)
{
	int pipe_ends[2];
	char c = 'x';

	expect_bus_error(window_read(page), page);
	expect_bus_error(window_write(page + 123, 1), page + 123);
	expect_bus_error(window_read(page + PAGE - 1), page + PAGE - 1);
	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	assert_int_equal(write(pipe_ends[1], page, 1), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(write(pipe_ends[1], &c, 1), 1);
	assert_int_equal(read(pipe_ends[0], page + 1, 1), -1);
	assert_int_equal(errno, EFAULT);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

void expect_shown(uint8_t *page, uint8_t value)
{
	assert_int_equal(window_read(page), 0);
	for (size_t i = 0; i < PAGE; i += 64)
		assert_int_equal(page[i], value);
	assert_int_equal(window_write(page + 5, value), 0);
}
