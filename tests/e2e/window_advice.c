/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Advice and locks on a mapping of a guest_memfd: no advice opens a private page, none loses a shared one, and
 * what mlock asks for lasts while pages come and go.
 */
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#define MADV_COLLAPSE_NR 25
#define MADV_SOFT_OFFLINE_NR 101
#define MADV_GUARD_INSTALL_NR 102
#define MADV_GUARD_REMOVE_NR 103

static void expect_advice(void *p, size_t size, int advice, int err)
{
	errno = 0;
	if (madvise(p, size, advice))
		assert_int_equal(errno, err);
	else
		assert_int_equal(0, err);
}

/* Pages 1 to 4 are advised; 2 and 3 are private. */
static void expect_as_before(struct window *w)
{
	expect_shown(w->map, 1);
	expect_shown(w->map + PAGE, 2);
	expect_hidden(w->map + 2 * PAGE);
	expect_hidden(w->map + 3 * PAGE);
	expect_shown(w->map + 4 * PAGE, 5);
}

static void harmless_advice_does_no_harm(void **state)
{
	static const int harmless[] = {
		MADV_NORMAL,	 MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTNEED,
		MADV_DONTFORK,	 MADV_DOFORK, MADV_DONTDUMP,   MADV_DODUMP,   MADV_HUGEPAGE,
		MADV_NOHUGEPAGE, MADV_COLD,   MADV_PAGEOUT,    MADV_DONTNEED,
	};
	struct window *w = *state;

	window_hide(w, 2, 2);
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		/* Some kernels are built without one or the other. */
		if (madvise(w->map + PAGE, 4 * PAGE, harmless[i]))
			assert_int_equal(errno, EINVAL);
		expect_as_before(w);
		/* Asked for the very page, too. */
		madvise(w->map + 3 * PAGE, PAGE, harmless[i]);
		expect_as_before(w);
	}
	expect_advice(w->map + PAGE, 4 * PAGE, MADV_DONTNEED, 0);
	if (madvise(w->map + PAGE, 4 * PAGE, MADV_DONTNEED_LOCKED))
		assert_int_equal(errno, EINVAL);
	expect_as_before(w);
	/* As raw system calls, and by the handle of the process. */
	assert_int_equal(syscall(SYS_madvise, w->map, 8 * PAGE, MADV_DONTNEED), 0);
	expect_as_before(w);
	window_show(w, 2, 2);
	expect_shown(w->map + 2 * PAGE, 3);
	expect_shown(w->map + 3 * PAGE, 4);
}

static void some_advice_is_not_for_guest_memory(void **state)
{
	struct window *w = *state;

	window_hide(w, 2, 2);
	expect_advice(w->map + PAGE, 4 * PAGE, MADV_FREE, EINVAL);
	expect_advice(w->map + PAGE, 4 * PAGE, MADV_WIPEONFORK, EINVAL);
	expect_advice(w->map + PAGE, 4 * PAGE, MADV_COLLAPSE_NR, EINVAL);
	expect_advice(w->map + PAGE, 4 * PAGE, MADV_HWPOISON, EINVAL);
	expect_advice(w->map + PAGE, 4 * PAGE, MADV_SOFT_OFFLINE_NR, EINVAL);
	expect_advice(w->map + 1, PAGE, MADV_DONTNEED, EINVAL);
	expect_advice(w->map + PAGE, 4 * PAGE, 12345, EINVAL);
	expect_as_before(w);
}

static void a_guard_of_the_program_does_not_open_what_is_hidden(void **state)
{
	struct window *w = *state;

	window_hide(w, 2, 2);
	if (madvise(w->map + PAGE, 4 * PAGE, MADV_GUARD_INSTALL_NR)) {
		assert_int_equal(errno, EINVAL);
	} else {
		assert_int_not_equal(window_read(w->map + 2 * PAGE), 0);
		assert_int_equal(madvise(w->map + PAGE, 4 * PAGE, MADV_GUARD_REMOVE_NR), 0);
	}
	expect_as_before(w);
}

static void pages_can_be_had_in_advance_unless_hidden(void **state)
{
	struct window *w = *state;

	window_hide(w, 2, 2);
	expect_advice(w->map, 2 * PAGE, MADV_POPULATE_READ, 0);
	expect_advice(w->map, 2 * PAGE, MADV_POPULATE_WRITE, 0);
	expect_advice(w->map, 4 * PAGE, MADV_POPULATE_READ, EFAULT);
	expect_advice(w->map + 2 * PAGE, PAGE, MADV_POPULATE_WRITE, EFAULT);
	expect_as_before(w);
}

static void removed_pages_are_punched(void **state)
{
	struct window *w = *state;
	uint8_t *other = window_map(w);

	window_hide(w, 2, 2);
	expect_advice(w->map + PAGE, 2 * PAGE, MADV_REMOVE, 0);
	expect_shown(w->map, 1);
	expect_shown(w->map + PAGE, 0);
	expect_shown(other + PAGE, 0);
	expect_hidden(w->map + 2 * PAGE);
	expect_hidden(other + 2 * PAGE);
	/* A punch changes contents, not who may see them. */
	window_show(w, 2, 2);
	expect_shown(w->map + 2 * PAGE, 0);
	expect_shown(w->map + 3 * PAGE, 4);
	munmap(other, w->size);
}

static void a_process_can_advise_itself(void **state)
{
	struct window *w = *state;
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct iovec vec[2] = { { w->map, 3 * PAGE }, { w->map + 3 * PAGE, 2 * PAGE } };
	long ret;

	assert_true(self >= 0);
	window_hide(w, 2, 2);
	assert_int_equal(process_madvise(self, vec, 2, MADV_COLD, 0), 5 * PAGE);
	expect_as_before(w);
	/* Only newer kernels let a process do this to itself by its handle. */
	ret = process_madvise(self, vec, 2, MADV_DONTNEED, 0);
	assert_true(ret == 5 * PAGE || (ret == -1 && errno == EINVAL));
	expect_as_before(w);
	ret = syscall(SYS_process_madvise, self, vec, 2, MADV_COLLAPSE_NR, 0);
	assert_int_equal(ret, -1);
	assert_int_equal(errno, EINVAL);
	expect_as_before(w);
	assert_int_equal(process_madvise(self, vec, 2, MADV_COLD, 1), -1);
	assert_int_equal(errno, EINVAL);
	close(self);
}

/* It could take away what hides a page. */
static void a_userfaultfd_of_the_program_has_no_part_in_it(void **state)
{
	struct window *w = *state;
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* of user mode only */);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)w->map, 4 * PAGE },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };

	if (uffd < 0)
		skip();
	window_hide(w, 2, 2);
	assert_int_equal(ioctl(uffd, UFFDIO_API, &api), 0);
	assert_int_equal(ioctl(uffd, UFFDIO_REGISTER, &reg), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(ioctl(uffd, UFFDIO_UNREGISTER, &reg.range), -1);
	assert_int_equal(errno, EINVAL);
	close(uffd);
	expect_as_before(w);
}

/* Of the mapping at p: VmFlags has "lo". */
static bool is_locked(const void *p)
{
	char line[512];
	unsigned long first, last;
	bool here = false, locked = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
			here = first <= (uintptr_t)p && (uintptr_t)p < last;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			locked = strstr(line, " lo ");
	}
	fclose(f);
	return locked;
}

/* Under the address sanitizer mlock does nothing, in any program. */
static void need_locks(void)
{
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool work;

	assert_int_equal(mlock(p, PAGE), 0);
	work = is_locked(p);
	munmap(p, PAGE);
	if (!work)
		skip();
}

static void what_is_locked_stays_locked(void **state)
{
	struct window *w = *state;

	need_locks();
	assert_int_equal(mlock(w->map + PAGE, 4 * PAGE), 0);
	window_hide(w, 2, 1);
	assert_true(is_locked(w->map + PAGE));
	expect_hidden(w->map + 2 * PAGE);
	expect_advice(w->map + PAGE, 4 * PAGE, MADV_DONTNEED, EINVAL);
	expect_hidden(w->map + 2 * PAGE);
	window_show(w, 2, 1);
	assert_true(is_locked(w->map + 2 * PAGE));
	expect_shown(w->map + 2 * PAGE, 3);
	assert_int_equal(munlock(w->map + PAGE, 4 * PAGE), 0);
	assert_false(is_locked(w->map + 2 * PAGE));
	window_hide(w, 2, 1);
	window_show(w, 2, 1);
	assert_false(is_locked(w->map + 2 * PAGE));
}

static void a_hidden_page_cannot_be_locked_in(void **state)
{
	struct window *w = *state;

	need_locks();
	window_hide(w, 2, 1);
	errno = 0;
	assert_int_equal(mlock(w->map + PAGE + 5, 2 * PAGE), -1);
	assert_int_equal(errno, ENOMEM);
	expect_hidden(w->map + 2 * PAGE);
	assert_int_equal(munlock(w->map, 4 * PAGE), 0);
	/* On first touch: there is nothing to bring in. */
	assert_int_equal(mlock2(w->map + PAGE, 2 * PAGE, MLOCK_ONFAULT), 0);
	expect_hidden(w->map + 2 * PAGE);
	window_show(w, 2, 1);
	assert_true(is_locked(w->map + 2 * PAGE));
	expect_shown(w->map + 2 * PAGE, 3);
	errno = 0;
	assert_int_equal(mlock2(w->map, PAGE, 77), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(syscall(SYS_munlock, w->map, 4 * PAGE), 0);
	assert_false(is_locked(w->map + 2 * PAGE));
}

static void all_is_locked_and_unlocked(void **state)
{
	struct window *w = *state;

	need_locks();
	window_hide(w, 2, 1);
	/* Few may lock all that a process has. */
	if (mlockall(MCL_CURRENT | MCL_ONFAULT))
		skip();
	expect_hidden(w->map + 2 * PAGE);
	window_show(w, 2, 1);
	expect_shown(w->map + 2 * PAGE, 3);
	assert_true(is_locked(w->map + 2 * PAGE));
	window_hide(w, 2, 1);
	assert_int_equal(munlockall(), 0);
	expect_hidden(w->map + 2 * PAGE);
	window_show(w, 2, 1);
	assert_false(is_locked(w->map + 2 * PAGE));
	assert_false(is_locked(w->map + PAGE));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WINDOW_TEST(harmless_advice_does_no_harm),
		WINDOW_TEST(some_advice_is_not_for_guest_memory),
		WINDOW_TEST(a_guard_of_the_program_does_not_open_what_is_hidden),
		WINDOW_TEST(pages_can_be_had_in_advance_unless_hidden),
		WINDOW_TEST(removed_pages_are_punched),
		WINDOW_TEST(a_process_can_advise_itself),
		WINDOW_TEST(a_userfaultfd_of_the_program_has_no_part_in_it),
		WINDOW_TEST(what_is_locked_stays_locked),
		WINDOW_TEST(a_hidden_page_cannot_be_locked_in),
		WINDOW_TEST(all_is_locked_and_unlocked),
	};

	window_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
