/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Everything a program may do to its mapping, around and over hidden pages. */
#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guard_t.h"
#include "os/window.h"

#define NR 32
#define COLLAPSE 25
#define DONTNEED_LOCKED 24
#define GUARD_INSTALL 102
#define RW (PROT_READ | PROT_WRITE)

static uint64_t A(const void *p)
{
	return (uintptr_t)p;
}

static uint8_t *P(uint64_t addr)
{
	return (uint8_t *)(uintptr_t)addr;
}

/* Pages 4-7, 9 and 20-25 are hidden. */
static uint8_t *some_hidden(struct t *t, enum mode mode)
{
	uint8_t *w;

	t_init(t, mode, NR);
	w = t_map(t, 0, NR);
	T_EQ(t_hide(t, 4, 4), 0);
	T_EQ(t_hide(t, 9, 1), 0);
	T_EQ(t_hide(t, 20, 6), 0);
	t_check_window(t, w, 0, NR);
	return w;
}

/* Both ways, everywhere, after whatever was done. */
static void convert_all(struct t *t, const uint8_t *w, uint64_t page, uint64_t nr)
{
	for (uint64_t i = 0; i < NR; i += 3)
		T_EQ(t_private(t, i) ? t_show(t, i, 1) : t_hide(t, i, 1), 0);
	t_check_window(t, w, page, nr);
	T_EQ(t_hide(t, 0, NR), 0);
	t_check_window(t, w, page, nr);
	T_EQ(t_show(t, 2, NR - 4), 0);
	t_check_window(t, w, page, nr);
}

static void a_window_unmapped_in_part(struct t *t, enum mode mode)
{
	uint8_t value, *w = some_hidden(t, mode);

	T_EQ(host_map_munmap(t->m, A(w) + 6 * PAGE, 5 * PAGE), 0);
	T_EQ(t_read(t, w + 6 * PAGE, &value).signo, SIGSEGV);
	T_EQ(t->pins, 2);
	t_check_window(t, w, 0, 6);
	t_check_window(t, w + 11 * PAGE, 11, NR - 11);
	convert_all(t, w, 0, 6);
	t_check_window(t, w + 11 * PAGE, 11, NR - 11);
	T_EQ(t_read(t, w + 7 * PAGE, &value).signo, SIGSEGV);
	T_EQ(host_map_munmap(t->m, A(w), NR * PAGE), 0);
	T_EQ(t->pins, 0);
	T_EQ(t->m->guard.nr_mappings, 0);
}

static void a_window_mapped_over(struct t *t, enum mode mode)
{
	uint8_t value, *w = some_hidden(t, mode);
	uint64_t at;

	T_EQ(host_map_replace(t->m, A(w) + 5 * PAGE, 3 * PAGE, RW,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
	     (long)(A(w) + 5 * PAGE));
	for (uint64_t i = 5; i < 8; i++) {
		T_EQ(t_read(t, w + i * PAGE, &value).signo, 0);
		T_EQ(value, 0);
	}
	t_check_window(t, w, 0, 5);
	T_EQ(t_show(t, 0, NR), 0);
	T_EQ(t_hide(t, 6, 1), 0);
	T_EQ(t_read(t, w + 6 * PAGE, &value).signo, 0);
	/* A window over a window, of other pages of the file, some of them private. */
	T_EQ(host_map_mmap(t->m, &t->f, &t->pins, A(w) + 10 * PAGE, 8 * PAGE, RW,
			   MAP_SHARED | MAP_FIXED, 2 * PAGE, &at),
	     0);
	T_EQ(at, A(w) + 10 * PAGE);
	t_check_window(t, w + 10 * PAGE, 2, 8);
	t_check_window(t, w + 18 * PAGE, 18, NR - 18);
	convert_all(t, w + 10 * PAGE, 2, 8);
	t_check_window(t, w + 18 * PAGE, 18, NR - 18);
}

/* ---- mremap ---------------------------------------------------------------------------------- */

static void a_window_grown_reveals_nothing(struct t *t, enum mode mode)
{
	uint8_t *w = some_hidden(t, mode), *v;
	long at;

	v = t_map(t, 0, 4);
	/* In place, where there is room. */
	T_EQ(host_map_munmap(t->m, A(w), NR * PAGE), 0);
	w = t_map(t, 0, NR);
	T_EQ(host_map_munmap(t->m, A(w) + 5 * PAGE, (NR - 5) * PAGE), 0);
	at = host_map_mremap(t->m, A(w), 5 * PAGE, 24 * PAGE, 0, 0);
	T_EQ(at, (long)A(w));
	t_check_window(t, w, 0, 24);
	/* Where there is none: moved. */
	T_EQ(host_map_munmap(t->m, A(v), 4 * PAGE), 0);
	at = host_map_mremap(t->m, A(w), 24 * PAGE, NR * PAGE, MREMAP_MAYMOVE, 0);
	T_OK(at > 0);
	w = P((uint64_t)at);
	t_check_window(t, w, 0, NR);
	T_EQ(t->pins, 1);
	convert_all(t, w, 0, NR);
}

/* Also when one part of it has marks and the other was made later. */
static void a_window_grown_is_one(struct t *t, enum mode mode)
{
	uint8_t *w;
	long at;

	t_init(t, mode, NR);
	w = t_map(t, 0, NR);
	T_EQ(host_map_munmap(t->m, A(w) + 5 * PAGE, (NR - 5) * PAGE), 0);
	T_EQ(t_hide(t, 2, 1), 0);
	T_EQ(host_map_mremap(t->m, A(w), 5 * PAGE, 10 * PAGE, 0, 0), (long)A(w));
	T_EQ(t->pins, 1);
	at = host_map_mremap(t->m, A(w), 10 * PAGE, NR * PAGE, MREMAP_MAYMOVE, 0);
	T_OK(at > 0);
	t_check_window(t, P((uint64_t)at), 0, NR);
	convert_all(t, P((uint64_t)at), 0, NR);
	/* Nor is a part that was protected for a while. */
	w = P((uint64_t)at);
	T_EQ(host_map_mprotect(t->m, A(w) + 8 * PAGE, 8 * PAGE, PROT_READ, -1), 0);
	T_EQ(t_hide(t, 9, 1), 0);
	T_EQ(host_map_mprotect(t->m, A(w) + 8 * PAGE, 8 * PAGE, RW, -1), 0);
	T_EQ(t->pins, 1);
	t_check_window(t, w, 0, NR);
	convert_all(t, w, 0, NR);
}

static void a_window_shrunk_and_moved(struct t *t, enum mode mode)
{
	uint8_t value, *w = some_hidden(t, mode);
	uint8_t *to = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *other = t_map(t, 8, 8);
	long at;

	T_EQ(host_map_mremap(t->m, A(w), NR * PAGE, 22 * PAGE, 0, 0), (long)A(w));
	T_EQ(t_read(t, w + 22 * PAGE, &value).signo, SIGSEGV);
	t_check_window(t, w, 0, 22);
	/* From its middle, and over another window. */
	at = host_map_mremap(t->m, A(w) + 3 * PAGE, 10 * PAGE, 10 * PAGE,
			     MREMAP_MAYMOVE | MREMAP_FIXED, A(to));
	T_EQ(at, (long)A(to));
	t_check_window(t, to, 3, 10);
	T_EQ(t_read(t, w + 3 * PAGE, &value).signo, SIGSEGV);
	T_EQ(t_read(t, to + 10 * PAGE, &value).signo, SIGSEGV);
	at = host_map_mremap(t->m, A(to), 10 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			     A(other) + 2 * PAGE);
	T_EQ(at, (long)(A(other) + 2 * PAGE));
	t_check_window(t, other, 8, 2);
	t_check_window(t, other + 2 * PAGE, 3, 6);
	convert_all(t, other + 2 * PAGE, 3, 6);
	t_check_window(t, w, 0, 3);
	t_check_window(t, w + 13 * PAGE, 13, 9);
}

static void a_window_duplicated(struct t *t, enum mode mode)
{
	uint8_t *w = some_hidden(t, mode), *v;
	long at = host_map_mremap(t->m, A(w) + 2 * PAGE, 0, 8 * PAGE, MREMAP_MAYMOVE, 0);

	T_OK(at > 0);
	v = P((uint64_t)at);
	t_check_window(t, v, 2, 8);
	t_check_window(t, w, 0, NR);
	at = host_map_mremap(t->m, A(w), NR * PAGE, NR * PAGE, MREMAP_MAYMOVE | 4 /* DONTUNMAP */,
			     0);
	T_OK(at > 0 && (uint64_t)at != A(w));
	t_check_window(t, P((uint64_t)at), 0, NR);
	t_check_window(t, w, 0, NR);
	T_EQ(t->pins, 3);
	convert_all(t, P((uint64_t)at), 0, NR);
	t_check_window(t, v, 2, 8);
	t_check_window(t, w, 0, NR);
}

static void a_refused_mremap_changes_nothing(struct t *t, enum mode mode)
{
	uint8_t *w = some_hidden(t, mode);
	uint64_t a = A(w), size = NR * PAGE;

	T_EQ(host_map_mremap(t->m, a, size, size, MREMAP_FIXED, a), -EINVAL);
	T_EQ(host_map_mremap(t->m, a, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, a + PAGE),
	     -EINVAL);
	T_EQ(host_map_mremap(t->m, a, size, 0, MREMAP_MAYMOVE, 0), -EINVAL);
	T_EQ(host_map_mremap(t->m, a, size, 2 * size, MREMAP_MAYMOVE | 4, 0), -EINVAL);
	T_EQ(host_map_mremap(t->m, a, 2 * size, 3 * size, MREMAP_MAYMOVE, 0), -EFAULT);
	T_EQ(host_map_mremap(t->m, a + 1, size, size, MREMAP_MAYMOVE, 0), -EINVAL);
	T_EQ(host_map_mremap(t->m, a, size, size, 64, 0), -EINVAL);
	t_check_window(t, w, 0, NR);
	T_EQ(t->pins, 1);
}

/* ---- protection ------------------------------------------------------------------------------ */

static void protection_is_kept_over_conversions(struct t *t, enum mode mode)
{
	uint8_t value, *w = some_hidden(t, mode);

	T_EQ(host_map_mprotect(t->m, A(w) + 6 * PAGE, 6 * PAGE, PROT_READ, -1), 0);
	T_EQ(host_map_mprotect(t->m, A(w) + 22 * PAGE, 2 * PAGE, PROT_NONE, -1), 0);
	for (int i = 0; i < 2; i++) {
		for (uint64_t p = 6; p < 12; p++)
			T_EQ(t_write(t, w + p * PAGE, 1).signo, SIGSEGV);
		T_EQ(t_read(t, w + 8 * PAGE, &value).signo, 0);
		T_EQ(t_read(t, w + 22 * PAGE, &value).signo, SIGSEGV);
		T_EQ(t_show(t, 0, NR), 0);
		T_EQ(t_hide(t, 12, 1), 0);
		T_EQ(t_read(t, w + 12 * PAGE, &value).signo, SIGBUS);
		T_EQ(t_show(t, 12, 1), 0);
		T_EQ(t_write(t, w + 12 * PAGE, t_stamp(12)).signo, 0);
	}
	T_EQ(host_map_mprotect(t->m, A(w), NR * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, -1),
	     -EACCES);
	T_EQ(host_map_mprotect(t->m, A(w), NR * PAGE, RW, -1), 0);
	T_EQ(t->pins, 1);
	convert_all(t, w, 0, NR);
}

/* A write to a hidden page that may only be read is what the kernel finds first. */
static void hidden_comes_after_protection(struct t *t, enum mode mode)
{
	uint8_t *w = some_hidden(t, mode);

	T_EQ(host_map_mprotect(t->m, A(w), NR * PAGE, PROT_READ, -1), 0);
	T_EQ(t_write(t, w + 4 * PAGE, 1).signo, SIGSEGV);
	T_EQ(t_hide(t, 0, 1), 0);
	T_EQ(t_write(t, w, 1).signo, SIGSEGV);
	t_check_window(t, w, 0, NR);
}

static void protection_across_other_mappings(struct t *t, enum mode mode)
{
	uint8_t value, *w = some_hidden(t, mode);
	uint8_t *anon;

	T_EQ(host_map_munmap(t->m, A(w), NR * PAGE), 0);
	anon = mmap(NULL, 3 * NR * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (uint64_t at = NR; at < 3 * NR; at += NR) {
		uint64_t got;

		T_EQ(host_map_mmap(t->m, &t->f, &t->pins, A(anon) + at * PAGE, (NR - 2) * PAGE, RW,
				   MAP_SHARED | MAP_FIXED, 0, &got),
		     0);
	}
	T_EQ(host_map_mprotect(t->m, A(anon), 3 * NR * PAGE, PROT_READ, -1), 0);
	T_EQ(t_write(t, anon, 1).signo, SIGSEGV);
	T_EQ(t_write(t, anon + NR * PAGE, 1).signo, SIGSEGV);
	T_EQ(t_write(t, anon + (3 * NR - 1) * PAGE, 1).signo, SIGSEGV);
	T_EQ(t_read(t, anon + NR * PAGE, &value).signo, 0);
	convert_all(t, anon + NR * PAGE, 0, NR - 2);
	t_check_window(t, anon + 2 * NR * PAGE, 0, NR - 2);
	/* Up to a hole, and no further. */
	T_EQ(munmap(anon + (2 * NR - 1) * PAGE, PAGE), 0);
	T_EQ(host_map_mprotect(t->m, A(anon), 3 * NR * PAGE, RW, -1), -ENOMEM);
	T_EQ(t_write(t, anon + (NR + 2) * PAGE, 1).signo, 0);
	T_EQ(t_write(t, anon + (2 * NR + 2) * PAGE, 1).signo, SIGSEGV);
	convert_all(t, anon + 2 * NR * PAGE, 0, NR - 2);
}

/* ---- mlock ----------------------------------------------------------------------------------- */

static uint64_t locked_kb(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	unsigned long kb = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "VmLck: %lu", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static void what_is_locked_stays_locked(struct t *t, enum mode mode)
{
	uint8_t *w = some_hidden(t, mode);
	uint64_t before = t_nr_mappings();

	/* A hidden page cannot be had; the rest is locked. */
	T_EQ(host_map_mlock(t->m, A(w), NR * PAGE, 0, true), -ENOMEM);
	T_EQ(locked_kb(), NR * 4);
	convert_all(t, w, 0, NR);
	T_EQ(locked_kb(), NR * 4);
	T_EQ(t_show(t, 0, NR), 0);
	T_EQ(locked_kb(), NR * 4);
	T_EQ(host_map_mlock(t->m, A(w), NR * PAGE, 0, true), 0);
	T_EQ(host_map_mlock(t->m, A(w) + PAGE, 8 * PAGE, 0, false), 0);
	T_EQ(locked_kb(), (NR - 8) * 4);
	convert_all(t, w, 0, NR);
	T_EQ(locked_kb(), (NR - 8) * 4);
	T_EQ(host_map_mlock(t->m, A(w), NR * PAGE, 0, false), 0);
	T_EQ(locked_kb(), 0);
	T_EQ(t_show(t, 0, NR), 0);
	T_OK(t_nr_mappings() <= before);
	T_EQ(host_map_mlock(t->m, A(w), 2 * PAGE, MLOCK_ONFAULT, true), 0);
	convert_all(t, w, 0, NR);
	T_EQ(locked_kb(), 8);
	T_EQ(t->m->guard.nr_mappings + GUARD_BALLAST + 1, t_nr_mappings());
}

static void the_limit_of_locked_memory_holds(struct t *t, enum mode mode)
{
	struct rlimit none = { 8 * PAGE, 8 * PAGE };
	uint8_t *w = some_hidden(t, mode);

	T_EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	if (geteuid() == 0 && setuid(65534))
		t_skip("cannot leave root");
	T_EQ(host_map_mlock(t->m, A(w), NR * PAGE, 0, true), -ENOMEM);
	T_EQ(locked_kb(), 0);
	T_EQ(host_map_mlock(t->m, A(w), 4 * PAGE, 0, true), 0);
	T_EQ(locked_kb(), 16);
	convert_all(t, w, 0, NR);
	t_check_window(t, w, 0, NR);
	T_EQ(locked_kb(), 16);
}

/* ---- madvise --------------------------------------------------------------------------------- */

static void no_advice_opens_a_page(struct t *t, enum mode mode)
{
	static const struct {
		int advice;
		long ret;
	} advices[] = {
		{ MADV_DONTNEED, 0 },
		{ DONTNEED_LOCKED, 0 },
		{ MADV_COLD, 0 },
		{ MADV_PAGEOUT, 0 },
		{ MADV_WILLNEED, 0 },
		{ MADV_FREE, -EINVAL },
		{ MADV_WIPEONFORK, -EINVAL },
		{ COLLAPSE, -EINVAL },
		{ GUARD_INSTALL, -EINVAL },
		{ GUARD_INSTALL + 1, -EINVAL },
		{ MADV_DOFORK, 0 },
		{ MADV_POPULATE_READ, -EFAULT },
		{ MADV_POPULATE_WRITE, -EFAULT },
		{ MADV_SEQUENTIAL, 0 },
		{ MADV_NORMAL, 0 },
		{ MADV_DONTDUMP, 0 },
		{ MADV_DODUMP, 0 },
	};
	uint8_t *w = some_hidden(t, mode);
	uint64_t before = t_nr_mappings();

	for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
		long ret = host_map_madvise(t->m, A(w), NR * PAGE, advices[i].advice);

		if (ret != advices[i].ret)
			t_fail(__FILE__, __LINE__, "madvise", advices[i].advice, ret);
		t_check_window(t, w, 0, NR);
	}
	T_EQ(t_nr_mappings(), before);
	convert_all(t, w, 0, NR);
	T_EQ(host_map_madvise(t->m, A(w) + 1, PAGE, MADV_DONTNEED), -EINVAL);
}

static void advice_that_stays_keeps_mappings_together(struct t *t, enum mode mode)
{
	uint8_t *w = some_hidden(t, mode);

	T_EQ(host_map_madvise(t->m, A(w) + 8 * PAGE, 16 * PAGE, MADV_DONTDUMP), 0);
	T_EQ(host_map_madvise(t->m, A(w) + 8 * PAGE, 4 * PAGE, MADV_RANDOM), 0);
	T_EQ(t->pins, 4);
	for (int i = 0; i < 3; i++) {
		convert_all(t, w, 0, NR);
		T_EQ(t->m->guard.nr_mappings + GUARD_BALLAST + 1, t_nr_mappings());
	}
	T_EQ(t_show(t, 0, NR), 0);
	T_EQ(t->m->guard.nr_mappings, 4);
	T_EQ(host_map_madvise(t->m, A(w), NR * PAGE, MADV_DODUMP), 0);
	T_EQ(host_map_madvise(t->m, A(w), NR * PAGE, MADV_NORMAL), 0);
	T_EQ(t->pins, 1);
	T_EQ(t_nr_mappings(), 1 + GUARD_BALLAST + 1);
}

/* ---- mmap's own flags ------------------------------------------------------------------------ */

static void flags_of_mmap(struct t *t, enum mode mode)
{
	uint8_t value, *w = some_hidden(t, mode);
	uint64_t at;

	T_EQ(host_map_mmap(t->m, &t->f, &t->pins, 0, NR * PAGE, RW, MAP_SHARED | MAP_POPULATE, 0,
			   &at),
	     0);
	t_check_window(t, P(at), 0, NR);
	T_EQ(host_map_mmap(t->m, &t->f, &t->pins, 0, NR * PAGE, RW, MAP_SHARED | MAP_LOCKED, 0,
			   &at),
	     0);
	t_check_window(t, P(at), 0, NR);
	T_EQ(locked_kb(), NR * 4);
	convert_all(t, P(at), 0, NR);
	T_EQ(locked_kb(), NR * 4);
	T_EQ(host_map_mmap(t->m, &t->f, &t->pins, A(w), NR * PAGE, RW,
			   MAP_SHARED | MAP_FIXED_NOREPLACE, 0, &at),
	     -EEXIST);
	T_EQ(host_map_mmap(t->m, &t->f, &t->pins, 0, NR * PAGE, PROT_READ, MAP_SHARED, 0, &at), 0);
	T_EQ(t_write(t, P(at) + 3 * PAGE, 1).signo, SIGSEGV);
	T_EQ(t_read(t, P(at) + 3 * PAGE, &value).signo, 0);
	convert_all(t, P(at), 0, NR);
	t_check_window(t, w, 0, NR);
}

const struct t_case t_calls[] = {
	{ "a window unmapped in part", a_window_unmapped_in_part },
	{ "a window mapped over", a_window_mapped_over },
	{ "a window grown reveals nothing", a_window_grown_reveals_nothing },
	{ "a window grown is one", a_window_grown_is_one },
	{ "a window shrunk and moved", a_window_shrunk_and_moved },
	{ "a window duplicated", a_window_duplicated },
	{ "a refused mremap changes nothing", a_refused_mremap_changes_nothing },
	{ "protection is kept over conversions", protection_is_kept_over_conversions },
	{ "hidden comes after protection", hidden_comes_after_protection },
	{ "protection across other mappings", protection_across_other_mappings },
	{ "what is locked stays locked", what_is_locked_stays_locked },
	{ "the limit of locked memory holds", the_limit_of_locked_memory_holds },
	{ "no advice opens a page", no_advice_opens_a_page },
	{ "advice that stays keeps mappings together", advice_that_stays_keeps_mappings_together },
	{ "flags of mmap", flags_of_mmap },
	{ 0 },
};
