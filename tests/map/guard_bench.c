/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What hiding and showing costs through the guard, beside the system calls it cannot do without, in one run:
 * medians in microseconds, and their ratio. Not a test.
 *
 *	guard_bench [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/attr_map.h"
#include "map/host_map_private.h"
#include "os/window.h"

#define PAGE ((uint64_t)4096)
#define GIB ((uint64_t)1 << 30)
#define HUGE_PAGE ((uint64_t)2 << 20)
#define MAX_ROUNDS 1001
#define DONTNEED_LOCKED 24
#define COLLAPSE 25

static struct host_map *m;
static struct host_file f;
static uint8_t *window, *raw, *store;
static int empty_fd, marks_fd = -1;
static bool marks;

enum touch { UNTOUCHED, TOUCHED, HUGE };

static void get(void *owner)
{
}

/* Where huge pages can be. */
static void *aligned(uint64_t size)
{
	uintptr_t at = (uintptr_t)mmap(NULL, size + HUGE_PAGE, PROT_NONE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return (void *)((at + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
}

static uint64_t map_window(void)
{
	uint64_t at;
	int err = host_map_mmap(m, &f, NULL, (uintptr_t)aligned(f.size), f.size,
				PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, 0, &at);

	if (err) {
		printf("mmap: %d\n", err);
		exit(1);
	}
	return at;
}

static void setup(uint64_t size)
{
	static const struct host_map_ops ops = { .get = get, .put = get };

	host_map_create(&ops, &m);
	f.map = m;
	f.size = size;
	f.flags = GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED | GMEM_FILE_IN_PLACE;
	if (gmem_file_create(size, f.flags, &f.file))
		exit(1);
	f.store_fd = store_fd(gmem_file_store(f.file));
	f.state = gmem_file_attributes(f.file);
	store = mmap(aligned(size), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		     f.store_fd, 0);
	window = (uint8_t *)(uintptr_t)map_window();
	raw = mmap(aligned(size), size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, f.store_fd,
		   0);
	madvise(raw, size, MADV_DONTFORK);
	empty_fd = m->guard.empty_fd;
	if (marks) {
		guard_set_limits(&m->guard, 0, 0);
		if (os_marks_open(&marks_fd) || os_marks_watch(marks_fd, (uintptr_t)raw, size)) {
			puts("no marks here");
			exit(0);
		}
	}
}

static void finish(void)
{
	munmap(store, f.size);
	munmap(raw, f.size);
	host_map_munmap(m, (uintptr_t)window, f.size);
	gmem_file_release(f.file);
	gmem_file_put(f.file);
	host_map_destroy(m);
	if (marks_fd >= 0)
		os_fd_close(marks_fd);
	marks_fd = -1;
	memset(&f, 0, sizeof(f));
}

/* ---- the bare calls -------------------------------------------------------------------------- */

static void raw_hide(uint64_t at, uint64_t size)
{
	uint64_t addr = (uintptr_t)raw + at, done;

	if (!marks) {
		os_window_map(addr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, empty_fd,
			      at);
		return;
	}
	os_window_advise(addr, size, DONTNEED_LOCKED);
	os_mark(marks_fd, addr, size, &done);
}

static void raw_show(uint64_t at, uint64_t size)
{
	uint64_t addr = (uintptr_t)raw + at;

	if (marks) {
		os_window_advise(addr, size, DONTNEED_LOCKED);
		return;
	}
	os_window_map(addr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, f.store_fd, at);
	os_window_advise(addr, size, MADV_DONTFORK);
}

static void guard_hide_range(uint64_t at, uint64_t size)
{
	if (host_map_hide(m, &f, at, size))
		exit(2);
}

static void guard_show_range(uint64_t at, uint64_t size)
{
	if (host_map_show(m, &f, at, size))
		exit(3);
}

/* ---- measuring ------------------------------------------------------------------------------- */

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *t, int nr)
{
	qsort(t, (size_t)nr, sizeof(*t), order);
	return t[nr / 2];
}

static void touch(volatile uint8_t *p, uint64_t at, uint64_t size, enum touch how)
{
	uint64_t step = how == HUGE ? HUGE_PAGE : PAGE;

	for (uint64_t i = at; how != UNTOUCHED && i < at + size; i += step)
		p[i] = 1;
}

static double timed(void (*fn)(uint64_t, uint64_t), uint64_t at, uint64_t size)
{
	uint64_t start = os_clock_ns();

	fn(at, size);
	return (double)(os_clock_ns() - start) / 1000;
}

static void report(const char *what, double *guard, double *bare, int rounds)
{
	double g = median(guard, rounds), b = median(bare, rounds);

	printf("%-28s %11.2f %11.2f %8.2f\n", what, g, b, g / b);
}

/* One after the other in every round, so that both see the same machine. */
static void compare(const char *name, uint64_t size, enum touch how, int rounds)
{
	static double t[4][MAX_ROUNDS];
	char line[64];
	uint64_t at = how == HUGE ? 0 : 16 * PAGE;

	for (int i = -2; i < rounds; i++) {
		int r = i < 0 ? 0 : i;

		touch(window, at, size, how);
		t[0][r] = timed(guard_hide_range, at, size);
		t[1][r] = timed(guard_show_range, at, size);
		touch(raw, at, size, how);
		t[2][r] = timed(raw_hide, at, size);
		t[3][r] = timed(raw_show, at, size);
	}
	snprintf(line, sizeof(line), "%s, to private", name);
	report(line, t[0], t[2], rounds);
	snprintf(line, sizeof(line), "%s, to shared", name);
	report(line, t[1], t[3], rounds);
}

static void alternate(void)
{
	uint64_t start = os_clock_ns(), middle;
	uint64_t mappings = 0;

	for (uint64_t at = 0; at < GIB; at += 2 * PAGE)
		guard_hide_range(at, PAGE);
	middle = os_clock_ns();
	mappings = m->guard.nr_mappings;
	for (uint64_t at = 0; at < GIB; at += 2 * PAGE)
		guard_show_range(at, PAGE);
	printf("1 GiB alternating, one call each: %.2f s to private, %.2f s to shared; %llu mappings\n",
	       (double)(middle - start) / 1e9, (double)(os_clock_ns() - middle) / 1e9,
	       (unsigned long long)mappings);
	guard_hide_range(0, GIB);
	start = os_clock_ns();
	for (uint64_t at = 0; at < GIB; at += 2 * PAGE)
		guard_show_range(at, PAGE);
	middle = os_clock_ns();
	mappings = m->guard.nr_mappings;
	for (uint64_t at = 0; at < GIB; at += 2 * PAGE)
		guard_hide_range(at, PAGE);
	printf("the same from all private:        %.2f s to private, %.2f s to shared; %llu mappings\n",
	       (double)(os_clock_ns() - middle) / 1e9, (double)(middle - start) / 1e9,
	       (unsigned long long)mappings);
}

static void run(bool with_marks, int rounds)
{
	int large = rounds < 7 ? rounds : 7;

	marks = with_marks;
	printf("%s, us %30s %11s %8s\n", marks ? "marked  " : "overlaid", "guard", "bare calls",
	       "ratio");
	setup(GIB + HUGE_PAGE);
	compare("1 page", PAGE, TOUCHED, rounds);
	compare("512 pages", 512 * PAGE, TOUCHED, rounds);
	compare("1 GiB untouched", GIB, UNTOUCHED, large);
	compare("1 GiB touched", GIB, TOUCHED, large);
	alternate();
	finish();
	setup(GIB);
	touch(store, 0, GIB, HUGE);
	if (madvise(store, GIB, COLLAPSE))
		puts("no huge pages here");
	else
		compare("1 GiB huge pages", GIB, HUGE, large);
	finish();
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 501;

	if (rounds < 1 || rounds > MAX_ROUNDS)
		return 1;
	run(false, rounds);
	run(true, rounds);
	return 0;
}
