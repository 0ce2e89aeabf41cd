/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file's pages come and go: fallocate, and with FALLOC_FL_PUNCH_HOLE. Nothing has it mapped. */
#include "bench/guest_file.h"
#include "bench/sets.h"

#define FILE_SIZE BENCH_1G

/* What comes and goes: so much at a time, at so many places, one after the other. */
struct shape {
	uint64_t size;
	bool punch; /* what is measured; else the allocation */
};

static int change_all(struct bench_run *r, uint64_t nr, bool punch)
{
	const struct guest_file *f = guest_file_of(r);
	const struct shape *s = r->bcase->data;
	int err = 0;

	for (uint64_t i = 0; !err && i < nr; i++)
		err = punch ? f->punch(i * s->size, s->size) : f->allocate(i * s->size, s->size);
	return err;
}

static int file_round(struct bench_run *r)
{
	const struct shape *s = r->bcase->data;
	uint64_t most = FILE_SIZE / s->size;
	int err;

	r->done = r->nr < most ? r->nr : most;
	err = change_all(r, r->done, !s->punch);
	if (err)
		return err;
	bench_start(r);
	err = change_all(r, r->done, s->punch);
	bench_stop(r);
	return err;
}

static int file_setup(struct bench_run *r)
{
	return guest_file_of(r)->open(r, FILE_SIZE);
}

static void file_teardown(struct bench_run *r)
{
	guest_file_of(r)->close();
}

static const struct bench_ops ops = { file_setup, file_round, file_teardown };

/* clang-format off */
/* What 1 GiB costs depends on which pages of the machine it gets. */
#define CASE(name_, what_, size_, punch_) { \
	.name = name_, .what = what_, .unit = BENCH_TIME, .per = "call", .passes = (size_) == BENCH_1G ? 6 : 0, .ways = GUEST_FILE_WAYS(&ops), \
	.goals = { { .beside = "memfd", .limit = 1.1 }, { .way = "library", .beside = "memfd", .limit = 1.1 } }, \
	.data = &(const struct shape){ size_, punch_ } }

#define HUGE_CASE(name_, what_, punch_) { \
	.name = name_, .what = what_, .unit = BENCH_TIME, .per = "call", \
	.ways = { { .name = "gmem", .ours = true, .ops = &ops, .data = &guest_file_kvm, .place = BENCH_UNDER_GMEM, .pages = "thp" }, \
		  { .name = "memfd", .ops = &ops, .data = &guest_file_memfd } }, \
	.data = &(const struct shape){ BENCH_1G, punch_ } }

const struct bench_case bench_file_cases[] = {
	CASE("file/punch/4K", "punch one page that is there", BENCH_PAGE, true),
	CASE("file/punch/2M", "punch 2 MiB that are there", BENCH_2M, true),
	CASE("file/punch/1G", "punch 1 GiB that is there", BENCH_1G, true),
	CASE("file/allocate/4K", "allocate one page", BENCH_PAGE, false),
	CASE("file/allocate/2M", "allocate 2 MiB", BENCH_2M, false),
	CASE("file/allocate/1G", "allocate 1 GiB", BENCH_1G, false),
	HUGE_CASE("file/allocate/1G/huge", "allocate 1 GiB, in huge pages with us (--pages thp)", false),
	HUGE_CASE("file/punch/1G/huge", "punch 1 GiB that is there, in huge pages with us", true),
	{ 0 },
};
/* clang-format on */
