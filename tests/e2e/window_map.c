/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A private page of a guest_memfd stays hidden, and a shared one there, through whatever a program does to its
 * mappings of it; and a conversion touches nothing but mappings of the file.
 */
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static void a_private_page_is_hidden_and_comes_back_as_it_was(void **state)
{
	struct window *w = *state;

	window_hide(w, 3, 2);
	expect_shown(w->map + 2 * PAGE, 3);
	expect_hidden(w->map + 3 * PAGE);
	expect_hidden(w->map + 4 * PAGE);
	expect_shown(w->map + 5 * PAGE, 6);
	window_show(w, 4, 1);
	expect_hidden(w->map + 3 * PAGE);
	expect_shown(w->map + 4 * PAGE, 5);
	window_show(w, 3, 1);
	expect_shown(w->map + 3 * PAGE, 4);
}

static void every_mapping_is_told_whenever_it_was_made(void **state)
{
	struct window *w = *state;
	uint8_t *before = window_map(w), *part, *after;

	part = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 8 * PAGE);
	assert_ptr_not_equal(part, MAP_FAILED);
	window_hide(w, 9, 1);
	after = window_map(w);
	expect_hidden(before + 9 * PAGE);
	expect_hidden(part + PAGE);
	expect_hidden(after + 9 * PAGE);
	expect_shown(part, 9);
	expect_shown(part + 2 * PAGE, 11);
	expect_shown(after + 10 * PAGE, 11);
	window_show(w, 9, 1);
	expect_shown(before + 9 * PAGE, 10);
	expect_shown(part + PAGE, 10);
	expect_shown(after + 9 * PAGE, 10);
	after[9 * PAGE] = 77;
	assert_int_equal(part[PAGE], 77);
	munmap(before, w->size);
	munmap(part, 4 * PAGE);
	munmap(after, w->size);
}

static void the_end_of_the_file_is_as_ever(void **state)
{
	struct window *w = *state;
	size_t last = w->size / PAGE - 1;
	uint8_t *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd,
			  (off_t)(w->size - PAGE));

	assert_ptr_not_equal(p, MAP_FAILED);
	window_show(w, last, 1);
	assert_int_equal(window_write(p, 1), 0);
	expect_hidden(p + PAGE);
	window_hide(w, last, 1);
	expect_hidden(p);
	window_show(w, last, 1);
	assert_int_equal(p[0], 1);
	expect_hidden(p + PAGE);
	munmap(p, 3 * PAGE);
}

static void a_part_is_unmapped(void **state)
{
	struct window *w = *state;

	window_hide(w, 10, 4);
	assert_int_equal(munmap(w->map + 11 * PAGE, PAGE), 0);
	expect_hidden(w->map + 10 * PAGE);
	assert_int_equal(window_read(w->map + 11 * PAGE), SIGSEGV);
	expect_hidden(w->map + 12 * PAGE);
	window_show(w, 10, 4);
	expect_shown(w->map + 10 * PAGE, 11);
	assert_int_equal(window_read(w->map + 11 * PAGE), SIGSEGV);
	expect_shown(w->map + 12 * PAGE, 13);
	/* Both edges at once, and what a hole leaves. */
	assert_int_equal(munmap(w->map + 12 * PAGE, 2 * PAGE), 0);
	window_hide(w, 8, 8);
	expect_hidden(w->map + 10 * PAGE);
	assert_int_equal(window_read(w->map + 12 * PAGE), SIGSEGV);
	expect_hidden(w->map + 14 * PAGE);
	expect_shown(w->map + 16 * PAGE, 17);
}

/* Somebody else's memory where a page was: no conversion may reach it. */
static void what_replaces_a_page_is_left_alone(void **state)
{
	struct window *w = *state;
	uint8_t *mine = w->map + 20 * PAGE;

	window_hide(w, 20, 2);
	assert_ptr_equal(mmap(mine, PAGE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 mine);
	memset(mine, 99, PAGE);
	window_show(w, 20, 2);
	expect_shown(mine, 99);
	expect_shown(mine + PAGE, 22);
	window_hide(w, 19, 3);
	expect_shown(mine, 99);
	expect_hidden(mine + PAGE);
	window_show(w, 0, PAGES);
	expect_shown(mine, 99);
	/* And the file's page again over it. */
	assert_ptr_equal(mmap(mine, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->fd,
			      20 * PAGE),
			 mine);
	expect_shown(mine, 21);
	window_hide(w, 20, 1);
	expect_hidden(mine);
}

static void a_mapping_over_another_of_the_same_file(void **state)
{
	struct window *w = *state;
	uint8_t *p = w->map + 30 * PAGE;

	window_hide(w, 2, 1);
	/* Pages 1 to 3 where 30 to 32 were. */
	assert_ptr_equal(
		mmap(p, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->fd, PAGE), p);
	expect_shown(p, 2);
	expect_hidden(p + PAGE);
	expect_shown(p + 2 * PAGE, 4);
	window_hide(w, 31, 1);
	expect_shown(p, 2);
	expect_shown(p + 2 * PAGE, 4);
	window_show(w, 2, 1);
	expect_shown(p + PAGE, 3);
	expect_shown(w->map + 2 * PAGE, 3);
	errno = 0;
	assert_ptr_equal(mmap(p, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, w->fd, 0),
			 MAP_FAILED);
	assert_int_equal(errno, EEXIST);
	expect_shown(p, 2);
}

static void it_moves(void **state)
{
	struct window *w = *state;
	uint8_t *place = reserve(16 * PAGE), *p;

	window_hide(w, 5, 1);
	window_hide(w, 7, 1);
	p = mremap(w->map + 4 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   place + PAGE);
	assert_ptr_equal(p, place + PAGE);
	assert_int_equal(window_read(w->map + 4 * PAGE), SIGSEGV);
	assert_int_equal(window_read(w->map + 5 * PAGE), SIGSEGV);
	expect_shown(p, 5);
	expect_hidden(p + PAGE);
	expect_shown(p + 2 * PAGE, 7);
	expect_hidden(p + 3 * PAGE);
	assert_int_equal(window_read(p + 4 * PAGE), SIGSEGV);
	window_show(w, 5, 1);
	window_hide(w, 6, 1);
	expect_shown(p + PAGE, 6);
	expect_hidden(p + 2 * PAGE);
	expect_hidden(p + 3 * PAGE);
	/* Over memory of the program, and over itself refused. */
	errno = 0;
	assert_ptr_equal(mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE),
			 MAP_FAILED);
	assert_int_equal(errno, EINVAL);
	expect_hidden(p + 2 * PAGE);
	munmap(place, 16 * PAGE);
}

static void it_shrinks_and_grows(void **state)
{
	struct window *w = *state;
	uint8_t *place = reserve(8 * PAGE), *p = place;

	assert_ptr_equal(mmap(p, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, w->fd,
			      40 * PAGE),
			 p);
	window_hide(w, 41, 1);
	window_hide(w, 45, 1);
	assert_ptr_equal(mremap(p, 4 * PAGE, 2 * PAGE, 0), p);
	expect_shown(p, 41);
	expect_hidden(p + PAGE);
	assert_int_equal(window_read(p + 2 * PAGE), SIGSEGV);
	/* In place: the room behind it is free now. */
	munmap(p + 2 * PAGE, 6 * PAGE);
	assert_ptr_equal(mremap(p, 2 * PAGE, 6 * PAGE, 0), p);
	expect_shown(p, 41);
	expect_hidden(p + PAGE);
	expect_shown(p + 2 * PAGE, 43);
	expect_hidden(p + 5 * PAGE);
	window_hide(w, 44, 1);
	expect_hidden(p + 4 * PAGE);
	window_show(w, 40, 8);
	for (size_t i = 0; i < 6; i++)
		expect_shown(p + i * PAGE, (uint8_t)(41 + i));
	/* And away, since there is no room. */
	window_hide(w, 46, 1);
	assert_ptr_not_equal(mmap(p + 6 * PAGE, PAGE, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			     MAP_FAILED);
	errno = 0;
	assert_ptr_equal(mremap(p, 6 * PAGE, 8 * PAGE, 0), MAP_FAILED);
	assert_int_equal(errno, ENOMEM);
	p = mremap(p, 6 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	assert_ptr_not_equal(p, MAP_FAILED);
	expect_shown(p + 5 * PAGE, 46);
	expect_hidden(p + 6 * PAGE);
	expect_shown(p + 7 * PAGE, 48);
	munmap(p, 8 * PAGE);
}

static void it_is_doubled(void **state)
{
	struct window *w = *state;
	uint8_t *p;

	window_hide(w, 1, 1);
	p = mremap(w->map, 0, 3 * PAGE, MREMAP_MAYMOVE);
	assert_ptr_not_equal(p, MAP_FAILED);
	expect_shown(p, 1);
	expect_hidden(p + PAGE);
	expect_hidden(w->map + PAGE);
	window_show(w, 1, 1);
	window_hide(w, 2, 1);
	expect_shown(p + PAGE, 2);
	expect_hidden(p + 2 * PAGE);
	expect_hidden(w->map + 2 * PAGE);
	munmap(p, 3 * PAGE);
}

static void it_is_protected(void **state)
{
	struct window *w = *state;
	uint8_t *p = w->map + 50 * PAGE;

	window_hide(w, 51, 1);
	assert_int_equal(mprotect(p, 3 * PAGE, PROT_READ), 0);
	assert_int_equal(window_read(p), 0);
	assert_int_equal(window_write(p, 1), SIGSEGV);
	assert_int_equal(window_read(p + PAGE), SIGBUS);
	window_show(w, 51, 1);
	assert_int_equal(window_read(p + PAGE), 0);
	assert_int_equal(window_write(p + PAGE, 1), SIGSEGV);
	window_hide(w, 50, 2);
	assert_int_equal(window_read(p), SIGBUS);
	assert_int_equal(mprotect(p, 3 * PAGE, PROT_NONE), 0);
	assert_int_equal(window_read(p), SIGSEGV);
	assert_int_equal(window_read(p + 2 * PAGE), SIGSEGV);
	window_show(w, 50, 1);
	assert_int_equal(window_read(p), SIGSEGV);
	assert_int_equal(mprotect(p, 3 * PAGE, PROT_READ | PROT_WRITE), 0);
	expect_shown(p, 51);
	expect_hidden(p + PAGE);
	expect_shown(p + 2 * PAGE, 53);
	errno = 0;
	assert_int_equal(mprotect(p, PAGE, PROT_READ | PROT_EXEC), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(syscall(SYS_mprotect, p, 3 * PAGE, PROT_READ | PROT_WRITE), 0);
	expect_hidden(p + PAGE);
}

/* What a key forbids, it forbids on pages that are shown later, too. */
static void it_has_a_protection_key(void **state)
{
	struct window *w = *state;
	int key = pkey_alloc(0, 0);

	if (key < 0)
		skip();
	window_hide(w, 1, 1);
	assert_int_equal(pkey_mprotect(w->map, 2 * PAGE, PROT_READ | PROT_WRITE, key), 0);
	expect_hidden(w->map + PAGE);
	window_show(w, 1, 1);
	expect_shown(w->map + PAGE, 2);
	pkey_set(key, PKEY_DISABLE_ACCESS);
	assert_int_equal(window_read(w->map), SIGSEGV);
	assert_int_equal(window_read(w->map + PAGE), SIGSEGV);
	pkey_set(key, 0);
	expect_shown(w->map + PAGE, 2);
	pkey_free(key);
}

static void it_cannot_be_sealed_or_shuffled(void **state)
{
	struct window *w = *state;

	window_hide(w, 1, 1);
	errno = 0;
	assert_int_equal(syscall(462 /* mseal */, w->map, 4 * PAGE, 0), -1);
	assert_true(errno == EINVAL || errno == ENOSYS);
	errno = 0;
	assert_int_equal(remap_file_pages(w->map, PAGE, 0, 1, 0), -1);
	assert_int_equal(errno, EINVAL);
	expect_hidden(w->map + PAGE);
	window_show(w, 1, 1);
	expect_shown(w->map, 1);
	expect_shown(w->map + PAGE, 2);
}

static void a_mapping_keeps_the_file(void **state)
{
	struct window *w = *state;
	int copy = dup(w->fd);

	window_hide(w, 6, 1);
	close(w->fd);
	w->fd = copy;
	expect_hidden(w->map + 6 * PAGE);
	munmap(w->map, w->size);
	w->map = window_map(w);
	expect_shown(w->map + 5 * PAGE, 6);
	expect_hidden(w->map + 6 * PAGE);
}

/* Without a handler a process dies of it, as of any SIGBUS. */
static int touch_and_die(void)
{
	struct kvm_create_guest_memfd c = { .size = PAGE, .flags = GUEST_MEMFD_FLAG_MMAP };
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	int fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &c);
	volatile char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	sigaction(SIGBUS, &dfl, NULL);
	return *p;
}

static void it_kills_a_program_that_does_not_expect_it(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(touch_and_die());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

/* Kernels with hwpoison say otherwise about a marked page, which may have been shown since; the program must not
 * see that. Of other memory it must. Sent by hand. */
static void a_fault_is_told_as_that_of_an_empty_file(void **state)
{
	static uint8_t other;
	struct window *w = *state;
	siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_MCEERR_AR };
	uint8_t *const addr[] = { &other, w->map, w->map + PAGE };
	volatile int sent = 0;

	window_hide(w, 1, 1);
	for (volatile size_t i = 0; i < 3; i++) {
		info.si_addr = addr[i];
		info.si_addr_lsb = 12;
		sent = window_queue(&info);
		assert_int_equal(sent, SIGBUS);
		assert_ptr_equal(window_info.si_addr, addr[i]);
		assert_int_equal(window_info.si_code, i ? BUS_ADRERR : BUS_MCEERR_AR);
		assert_int_equal(window_info.si_addr_lsb, i ? 0 : 12);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WINDOW_TEST(a_private_page_is_hidden_and_comes_back_as_it_was),
		WINDOW_TEST(every_mapping_is_told_whenever_it_was_made),
		WINDOW_TEST(the_end_of_the_file_is_as_ever),
		WINDOW_TEST(a_part_is_unmapped),
		WINDOW_TEST(what_replaces_a_page_is_left_alone),
		WINDOW_TEST(a_mapping_over_another_of_the_same_file),
		WINDOW_TEST(it_moves),
		WINDOW_TEST(it_shrinks_and_grows),
		WINDOW_TEST(it_is_doubled),
		WINDOW_TEST(it_is_protected),
		WINDOW_TEST(it_has_a_protection_key),
		WINDOW_TEST(it_cannot_be_sealed_or_shuffled),
		WINDOW_TEST(a_mapping_keeps_the_file),
		cmocka_unit_test(it_kills_a_program_that_does_not_expect_it),
		WINDOW_TEST(a_fault_is_told_as_that_of_an_empty_file),
	};

	window_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
