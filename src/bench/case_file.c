/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file's pages come and go: fallocate, and with FALLOC_FL_PUNCH_HOLE. The library, and a plain memfd. */
#include "bench/sets.h"
#include "gmem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_SIZE BENCH_1G

/* What comes and goes: so much at a time, at so many places, one after the other. */
struct shape {
	uint64_t size;
	bool punch; /* what is measured; else the allocation */
};

/* A way to do it. */
struct file_ops {
	int (*open)(struct bench_run *r);
	int (*change)(struct bench_run *r, uint64_t offset, uint64_t size, bool punch);
	void (*close)(struct bench_run *r);
};

static const struct shape *shape_of(const struct bench_run *r)
{
	return r->bcase->data;
}

static int change_all(struct bench_run *r, uint64_t nr, bool punch)
{
	const struct file_ops *ops = r->way->data;
	uint64_t size = shape_of(r)->size;
	int err = 0;

	for (uint64_t i = 0; !err && i < nr; i++)
		err = ops->change(r, i * size, size, punch);
	return err;
}

static int file_round(struct bench_run *r)
{
	uint64_t most = FILE_SIZE / shape_of(r)->size;
	bool punch = shape_of(r)->punch;
	int err;

	r->done = r->nr < most ? r->nr : most;
	if (punch)
		err = change_all(r, r->done, false);
	else
		err = change_all(r, r->done, true);
	bench_start(r);
	if (!err)
		err = change_all(r, r->done, punch);
	bench_stop(r);
	return err;
}

/* ---- ways -------------------------------------------------------------------------------------- */

static int library_open(struct bench_run *r)
{
	struct gmem_create_args args = { .args_size = sizeof(args), .size = FILE_SIZE };
	struct gmem *g;
	int err = gmem_create(&args, &g);

	if (!err)
		r->own = g;
	return err;
}

static int library_change(struct bench_run *r, uint64_t offset, uint64_t size, bool punch)
{
	return punch ? gmem_punch(r->own, offset, size) : gmem_allocate(r->own, offset, size);
}

static void library_close(struct bench_run *r)
{
	gmem_put(r->own);
}

static int memfd_open(struct bench_run *r)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)FILE_SIZE))
		return -errno;
	r->own = (void *)(intptr_t)fd;
	return 0;
}

static int memfd_change(struct bench_run *r, uint64_t offset, uint64_t size, bool punch)
{
	int mode = punch ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_KEEP_SIZE;

	return fallocate((int)(intptr_t)r->own, mode, (off_t)offset, (off_t)size) ? -errno : 0;
}

static void memfd_close(struct bench_run *r)
{
	close((int)(intptr_t)r->own);
}

static const struct file_ops library = { library_open, library_change, library_close };
static const struct file_ops memfd = { memfd_open, memfd_change, memfd_close };

static int file_setup(struct bench_run *r)
{
	const struct file_ops *ops = r->way->data;

	return ops->open(r);
}

static void file_teardown(struct bench_run *r)
{
	const struct file_ops *ops = r->way->data;

	ops->close(r);
}

static const struct bench_ops file_ops = { file_setup, file_round, file_teardown };

#define WAYS                                                                             \
	{                                                                                \
		{ .name = "library", .ours = true, .ops = &file_ops, .data = &library }, \
			{ .name = "memfd", .ops = &file_ops, .data = &memfd },           \
	}
#define CASE(name_, what_, size_, punch_)                                        \
	{                                                                        \
		.name = name_, .what = what_, .unit = BENCH_TIME, .per = "call", \
		.goals = { { .beside = "memfd", .limit = 1.1 } }, .ways = WAYS,  \
		.data = &(const struct shape){ size_, punch_ },                  \
	}

const struct bench_case bench_file_cases[] = {
	CASE("file/punch/4K", "punch one page that is there", BENCH_PAGE, true),
	CASE("file/punch/2M", "punch 2 MiB that are there", BENCH_2M, true),
	CASE("file/punch/1G", "punch 1 GiB that is there", BENCH_1G, true),
	CASE("file/allocate/4K", "fallocate one page", BENCH_PAGE, false),
	CASE("file/allocate/2M", "fallocate 2 MiB", BENCH_2M, false),
	CASE("file/allocate/1G", "fallocate 1 GiB", BENCH_1G, false),
	{ 0 },
};
