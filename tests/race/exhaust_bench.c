/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "exhaust.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t bench_value(unsigned int page)
{
	return 0xbe9c000000000000 | page;
}

static void must_guest_see(struct bench *b)
{
	for (unsigned int i = 0; i < BENCH_PAGES; i++) {
		uint64_t value = guest_load(&b->g, i * PAGE);

		if (value != bench_value(i))
			die("the guest finds 0x%llx in page %u", (unsigned long long)value, i);
	}
}

void bench_make(struct bench *b)
{
	*b = (struct bench){ .nr_done = 0 };
	trap_install();
	world_make(&b->w, BENCH_PAGES * PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	guest_make(&b->g, &b->w, 0);
	for (unsigned int i = 0; i < BENCH_PAGES; i++) {
		if (host_store(b->w.host + i * PAGE, bench_value(i)) != TOUCHED)
			die("page %u at first: %s", i, trap_text());
	}
	must_guest_see(b);
}

void bench_look(const struct bench *b, uint8_t *window, bool strict)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < BENCH_PAGES; i++) {
		enum touch r = host_load(window + i * PAGE, &value);

		if (r == TOUCH_OTHER)
			die("page %u: %s", i, trap_text());
		if (b->is_private[i] && r == TOUCHED)
			die("page %u is private and open", i);
		if (!b->is_private[i] && strict && r != TOUCHED)
			die("page %u is shared and shut", i);
		if (r == TOUCHED && value != bench_value(i))
			die("page %u holds 0x%llx", i, (unsigned long long)value);
	}
}

void bench_try(struct bench *b, unsigned int first, unsigned int nr, bool to_private)
{
	uint64_t at = 1;
	int r = convert(b->w.gmem, first * PAGE, nr * PAGE, to_private, &at);

	if (r == 0) {
		b->nr_done++;
		for (unsigned int i = first; i < first + nr; i++)
			b->is_private[i] = to_private;
	} else if (r == -ENOMEM) {
		b->nr_refused++;
		if (at != first * PAGE)
			die("ENOMEM with error_offset 0x%llx, not 0x%lx", (unsigned long long)at,
			    first * PAGE);
	} else {
		die("pages %u to %u to %s: errno %d", first, first + nr - 1,
		    to_private ? "private" : "shared", -r);
	}
	bench_look(b, b->w.host, true);
}

void bench_try_much(struct bench *b)
{
	unsigned int i;

	for (i = 1; i < BENCH_PAGES; i += 2)
		bench_try(b, i, 1, true);
	bench_try(b, 8, 8, true);
	bench_try(b, 4, 24, true);
	for (i = 0; i < BENCH_PAGES; i += 3)
		bench_try(b, i, 1, false);
	bench_try(b, 0, BENCH_PAGES, true);
	bench_try(b, 20, 20, false);
	bench_try(b, 0, BENCH_PAGES, false);
	for (i = 0; i < BENCH_PAGES; i += 2)
		bench_try(b, i, 1, true);
}

void bench_try_window(struct bench *b)
{
	void *p = mmap(NULL, BENCH_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, b->w.gmem, 0);

	if (p == MAP_FAILED) {
		if (errno != ENOMEM)
			die("mmap of a window: errno %d", errno);
		return;
	}
	bench_look(b, p, true);
	/* A hole in it needs a mapping more. */
	if (munmap((uint8_t *)p + 5 * PAGE, PAGE) && errno != ENOMEM)
		die("munmap in a window: errno %d", errno);
	if (munmap(p, BENCH_PAGES * PAGE))
		die("munmap of a window: errno %d", errno);
}

void bench_try_fork(struct bench *b)
{
	int status = -1, pid = fork();

	if (pid < 0) {
		if (errno != ENOMEM && errno != EAGAIN)
			die("fork: errno %d", errno);
		return;
	}
	if (!pid) {
		bench_look(b, b->w.host, false);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		die("the child ended with status 0x%x", (unsigned int)status);
}

void bench_relieved(struct bench *b)
{
	unsigned int refused = b->nr_refused;

	bench_look(b, b->w.host, true);
	must_guest_see(b);
	bench_try_much(b);
	bench_try_window(b);
	bench_try_fork(b);
	if (b->nr_refused != refused)
		die("conversions are still refused, with everything there again");
	bench_try(b, 0, BENCH_PAGES, true);
	bench_try(b, 0, BENCH_PAGES, false);
	must_guest_see(b);
}
