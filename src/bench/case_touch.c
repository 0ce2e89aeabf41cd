/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the host pays for a page that it may touch, by writing to it: for the first time, and when only the mapping lacks it. */
#include "bench/guest_file.h"
#include "bench/sets.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define FILE_SIZE ((uint64_t)64 << 20)

static char *at;

static void touch(uint64_t nr)
{
	for (uint64_t i = 0; i < nr; i++)
		*(volatile char *)(at + i * BENCH_PAGE) = 1;
}

static int touch_round(struct bench_run *r)
{
	const struct guest_file *f = guest_file_of(r);
	const bool *present = r->bcase->data;
	uint64_t most = FILE_SIZE / BENCH_PAGE, size;
	int err;

	r->done = r->nr < most ? r->nr : most;
	size = r->done * BENCH_PAGE;
	err = *present ? f->advise(at, size, MADV_DONTNEED) : f->punch(0, size);
	if (err)
		return err;
	bench_start(r);
	touch(r->done);
	bench_stop(r);
	return 0;
}

static int touch_setup(struct bench_run *r)
{
	const struct guest_file *f = guest_file_of(r);
	int err = f->open(r, FILE_SIZE);

	if (err)
		return err;
	err = f->map(FILE_SIZE, &at);
	if (err) {
		f->close();
		return bench_refuse(r, err, "mapping: %s", strerror(-err));
	}
	touch(FILE_SIZE / BENCH_PAGE);
	return 0;
}

static void touch_teardown(struct bench_run *r)
{
	guest_file_of(r)->unmap(at, FILE_SIZE);
	guest_file_of(r)->close();
}

static const struct bench_ops ops = { touch_setup, touch_round, touch_teardown };

/* clang-format off */
const struct bench_case bench_touch_cases[] = {
	{ .name = "touch/first", .what = "the host's first touch of a shared page that is not there",
	  .unit = BENCH_TIME, .per = "page", .ways = GUEST_FILE_WAYS(&ops), .data = &(const bool){ false },
	  .goals = { { .beside = "memfd", .limit = 1.05 }, { .beside = "host", .limit = 1 },
		     { .way = "library", .beside = "memfd", .limit = 1.05 } } },
	{ .name = "touch/again", .what = "the host's touch of a shared page that is there but not mapped",
	  .unit = BENCH_TIME, .per = "page", .ways = GUEST_FILE_WAYS(&ops), .data = &(const bool){ true } },
	{ 0 },
};
/* clang-format on */
