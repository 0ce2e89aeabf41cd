/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a program under gmem pays for calls that have nothing to do with gmem. */
#include "bench/sets.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int pipe_ends[2];
static char *mapping;

static int foreign_setup(struct bench_run *r)
{
	mapping =
		mmap(NULL, BENCH_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapping == MAP_FAILED)
		return -errno;
	return pipe2(pipe_ends, O_CLOEXEC) ? -errno : 0;
}

static void foreign_teardown(struct bench_run *r)
{
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	munmap(mapping, BENCH_PAGE);
}

static int call_ioctl(void)
{
	int nr;

	return ioctl(pipe_ends[0], FIONREAD, &nr);
}

static int call_write_read(void)
{
	char letter = 'x';

	if (write(pipe_ends[1], &letter, 1) != 1)
		return -1;
	return read(pipe_ends[0], &letter, 1) == 1 ? 0 : -1;
}

static int call_map(void)
{
	void *at = mmap(NULL, BENCH_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? -1 : munmap(at, BENCH_PAGE);
}

static int call_advise(void)
{
	return madvise(mapping, BENCH_PAGE, MADV_DONTNEED);
}

static int call_dup(void)
{
	int fd = dup(pipe_ends[0]);

	return fd < 0 ? -1 : close(fd);
}

struct foreign {
	int (*call)(void);
};

static int foreign_round(struct bench_run *r)
{
	const struct foreign *f = r->bcase->data;
	int err = 0;

	bench_start(r);
	for (uint64_t i = 0; i < r->nr; i++)
		err |= f->call();
	bench_stop(r);
	return err ? -errno : 0;
}

static const struct bench_ops ops = { foreign_setup, foreign_round, foreign_teardown };

/* clang-format off */
#define WAYS { \
	{ .name = "gmem", .ours = true, .ops = &ops, .place = BENCH_UNDER_GMEM }, \
	{ .name = "plain", .ops = &ops }, \
}
#define CASE(name_, what_, call_, ...) { \
	.name = name_, .what = what_, .unit = BENCH_TIME, .per = "call", .ways = WAYS, \
	.data = &(const struct foreign){ call_ }, .goals = { __VA_ARGS__ } }

const struct bench_case bench_foreign_cases[] = {
	CASE("foreign/ioctl", "an ioctl on a pipe", call_ioctl, { .beside = "plain", .limit = 30, .difference = true }),
	CASE("foreign/write-read", "a byte through a pipe", call_write_read, { 0 }),
	CASE("foreign/mmap", "mmap and munmap of a page of nobody's", call_map, { 0 }),
	CASE("foreign/madvise", "MADV_DONTNEED of a page that is not gmem's", call_advise, { 0 }),
	CASE("foreign/dup", "dup and close of a pipe", call_dup, { 0 }),
	{ 0 },
};
/* clang-format on */
