/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Conversion of much memory, by the numbers:
 *
 *	scale [-m MIB] [-l SECONDS]
 *
 * 1. Every other 4 KiB page to private, one call each, and back, one call each.
 * 2. The whole range in one call each way: untouched, and with every page touched.
 *
 * Printed: seconds, memory of ours, mappings. It fails when a call fails, when a page that was looked at is
 * not as it should be, when mappings or memory grow beyond what is bounded, and beyond -l seconds a direction
 * (0: no limit).
 */
#include "world.h"

#include "../paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 4096u
#define MAX_VMAS 60000 /* vm.max_map_count is 65530 */
/* 16 bytes a page: what the worst known tree of a kernel takes (spec: a bitmap is 1/8 byte). Page tables of
 * the windows and of the guest are 8 bytes a page each. */
#define MAX_KB_PER_GIB (64 * 1024)

static double limit;

static uint64_t pattern(uint64_t page)
{
	return 0x5ca1e00000000000 | page;
}

static bool odd(uint64_t page)
{
	return page & 1;
}

/* One page is as it should be, for the host. */
static void look(const struct world *w, uint64_t page, bool is_private, bool written)
{
	uint64_t value = 0;
	enum touch r = host_load(w->host + page * PAGE, &value);

	if (r != (is_private ? TOUCH_BUS : TOUCHED))
		die("page %llu, %s: %d, %s", (unsigned long long)page,
		    is_private ? "private" : "shared", (int)r, trap_text());
	if (!is_private && value != (written ? pattern(page) : 0))
		die("page %llu holds 0x%llx", (unsigned long long)page, (unsigned long long)value);
}

static void look_at_samples(const struct world *w, uint64_t *seed, bool alternating,
			    bool is_private, bool written)
{
	uint64_t nr = w->size / PAGE, page;

	for (unsigned int i = 0; i < SAMPLES; i++) {
		page = rnd(seed) % nr;
		look(w, page, is_private && (!alternating || odd(page)), written);
	}
	look(w, 0, is_private && !alternating, written);
	look(w, nr - 1, is_private, written);
}

static void guest_looks(struct guest *g, const struct world *w, uint64_t *seed, bool written)
{
	uint64_t page, value;

	for (unsigned int i = 0; i < SAMPLES / 4; i++) {
		page = rnd(seed) % (w->size / PAGE);
		value = guest_load(g, page * PAGE);
		if (value != (written ? pattern(page) : 0))
			die("the guest finds 0x%llx in page %llu", (unsigned long long)value,
			    (unsigned long long)page);
	}
}

struct cost {
	double start, cpu;
	long kb, tables;
};

static double cpu_seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

static struct cost begin(void)
{
	return (struct cost){
		.start = now(),
		.cpu = cpu_seconds(),
		.kb = status_kb("RssAnon"),
		.tables = status_kb("VmPTE"),
	};
}

static void end(const struct world *w, const struct cost *c, const char *what)
{
	double wall = now() - c->start, cpu = cpu_seconds() - c->cpu;
	long kb = status_kb("RssAnon") - c->kb, tables = status_kb("VmPTE") - c->tables,
	     vmas = count_vmas();
	double gib = (double)w->size / (1ul << 30);

	printf("%-44s %8.3f s (%.3f s cpu), memory %+ld kB, page tables %+ld kB, %ld mappings\n",
	       what, wall, cpu, kb, tables, vmas);
	fflush(stdout);
	if (vmas > MAX_VMAS)
		die("%ld mappings", vmas);
	if ((double)kb > 1024 + gib * MAX_KB_PER_GIB)
		die("%ld kB more memory", kb);
	if (limit > 0 && cpu > limit)
		die("more than %.1f s", limit);
}

static void convert_odd(const struct world *w, bool to_private)
{
	for (uint64_t page = 1; page < w->size / PAGE; page += 2) {
		int r = convert(w->gmem, page * PAGE, PAGE, to_private, NULL);

		if (r)
			die("page %llu to %s: errno %d", (unsigned long long)page,
			    to_private ? "private" : "shared", -r);
	}
}

static void convert_all(const struct world *w, bool to_private)
{
	int r = convert(w->gmem, 0, w->size, to_private, NULL);

	if (r)
		die("all to %s: errno %d", to_private ? "private" : "shared", -r);
}

static void alternate(const struct world *w, struct guest *g, uint64_t *seed, bool written)
{
	struct cost c = begin();

	convert_odd(w, true);
	end(w, &c,
	    written ? "every other page to private, touched" : "every other page to private");
	look_at_samples(w, seed, true, true, written);
	guest_looks(g, w, seed, written);
	c = begin();
	convert_odd(w, false);
	end(w, &c, "and to shared");
	look_at_samples(w, seed, true, false, written);
}

static void bulk(const struct world *w, struct guest *g, uint64_t *seed, bool written)
{
	struct cost c = begin();

	convert_all(w, true);
	end(w, &c,
	    written ? "all to private in one call, touched"
		    : "all to private in one call, untouched");
	look_at_samples(w, seed, false, true, written);
	guest_looks(g, w, seed, written);
	c = begin();
	convert_all(w, false);
	end(w, &c, "and to shared");
	look_at_samples(w, seed, false, false, written);
}

/* A range whose pages are alternating already, in one call: mixed to private, mixed to shared. */
static void mixed(const struct world *w, uint64_t *seed)
{
	struct cost c;

	convert_odd(w, true);
	c = begin();
	convert_all(w, true);
	end(w, &c, "the other half to private in one call");
	look_at_samples(w, seed, false, true, true);
	convert_all(w, false);
	convert_odd(w, true);
	c = begin();
	convert_all(w, false);
	end(w, &c, "alternating pages to shared in one call");
	look_at_samples(w, seed, false, false, true);
}

static void touch_all(const struct world *w)
{
	struct cost c = begin();

	for (uint64_t page = 0; page < w->size / PAGE; page++)
		*(volatile uint64_t *)(w->host + page * PAGE) = pattern(page);
	end(w, &c, "every page written by the host");
}

int main(int argc, char **argv)
{
	uint64_t mib = 1024, seed = 1;
	struct world w;
	struct guest g;
	int c;

	skip_without_marks();
	while ((c = getopt(argc, argv, "m:l:")) != -1) {
		if (c == 'm')
			mib = strtoull(optarg, NULL, 0);
		else if (c == 'l')
			limit = atof(optarg);
		else
			die("usage: scale [-m MIB] [-l SECONDS]");
	}
	trap_install();
	world_make(&w, mib << 20, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	guest_make(&g, &w, 0);
	printf("%llu MiB\n", (unsigned long long)mib);
	bulk(&w, &g, &seed, false);
	alternate(&w, &g, &seed, false);
	touch_all(&w);
	alternate(&w, &g, &seed, true);
	mixed(&w, &seed);
	bulk(&w, &g, &seed, true);
	guest_free(&g);
	world_free(&w);
	return 0;
}
