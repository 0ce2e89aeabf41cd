/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest_memfd as the host has it, by the KVM interface: pages that come and go, the host's touches, conversion in
 * place. The names are those of the command's cases, which know more ways to have a file (guest_file.h).
 */
#include "bench/machine.h"
#include "bench/machine_sets.h"

#include <errno.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_SIZE BENCH_1G
#define MAX_PLACES 32u /* of a page, none beside another */
#define STRIDE (8 * BENCH_PAGE)
#define MAX_TOUCHED (64 * BENCH_2M)

enum action { PUNCH, ALLOCATE, TOUCH, TO_PRIVATE, TO_SHARED };

struct shape {
	enum action action;
	uint64_t size;	/* of an operation */
	bool is_there;	/* what is touched has its page already */
	bool is_mapped; /* what is punched or converted is in the host's page tables */
};

struct file {
	struct machine m;
	const struct uapi *u;
	int fd;
	char *at;
};

static const struct shape *shape_of(const struct bench_run *r)
{
	return r->bcase->data;
}

static bool converts(const struct shape *s)
{
	return s->action == TO_PRIVATE || s->action == TO_SHARED;
}

/* ---- a guest_memfd, a memfd ------------------------------------------------------------------- */

static int map(struct bench_run *r, struct file *f)
{
	void *at;
	int err = f->u->map(f->fd, 0, FILE_SIZE, &at);

	if (err)
		return bench_refuse(r, err, "mapping: %s", strerror(-err));
	f->at = at;
	return 0;
}

static int open_gmem(struct bench_run *r, struct file *f)
{
	/* By the VM's attributes a window would be hidden whatever the file says. */
	unsigned int type = converts(shape_of(r)) ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM;
	int err = machine_open(r, &f->m, type);

	f->u = f->m.u;
	if (!err)
		err = machine_add_slot(r, &f->m, 1, MACHINE_DATA, FILE_SIZE,
				       MACHINE_GMEM | MACHINE_MMAP | MACHINE_SHARED);
	f->fd = f->m.slots[1].gmem;
	if (!err)
		err = map(r, f);
	if (err)
		machine_close(&f->m);
	return err;
}

static int open_memfd(struct bench_run *r, struct file *f)
{
	int err;

	f->u = &uapi_libc;
	f->fd = memfd_create("bench", MFD_CLOEXEC);
	if (f->fd < 0)
		return -errno;
	err = ftruncate(f->fd, (off_t)FILE_SIZE) ? -errno : map(r, f);
	if (err)
		close(f->fd);
	return err;
}

static int file_setup(struct bench_run *r)
{
	struct file *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	r->own = f;
	err = r->way->data ? open_gmem(r, f) : open_memfd(r, f);
	if (err)
		free(f);
	return err;
}

static void file_teardown(struct bench_run *r)
{
	struct file *f = r->own;

	f->u->unmap(f->at, FILE_SIZE);
	if (r->way->data)
		machine_close(&f->m);
	else
		close(f->fd);
	free(f);
}

/* ---- what is done to it ----------------------------------------------------------------------- */

static int change(const struct file *f, bool punch, uint64_t offset, uint64_t size)
{
	int mode = FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE : 0);

	return f->u->fallocate(f->fd, mode, (int64_t)offset, (int64_t)size);
}

static int convert(const struct file *f, bool to_private, uint64_t offset, uint64_t size)
{
	struct kvm_memory_attributes2 args = {
		.offset = offset,
		.size = size,
		.attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};
	long ret = uapi_ioctl(f->u, f->fd, KVM_SET_MEMORY_ATTRIBUTES2, &args);

	return ret == -ENOTTY ? -EOPNOTSUPP : (int)ret;
}

static void touch(const struct file *f, uint64_t offset, uint64_t size)
{
	for (uint64_t at = offset; at < offset + size; at += BENCH_PAGE)
		*(volatile uint64_t *)(f->at + at) = at;
}

static uint64_t stride_of(const struct shape *s)
{
	return s->action == TOUCH ? BENCH_PAGE : s->size < STRIDE ? STRIDE : s->size;
}

/* How many places a round has. */
static uint64_t most(const struct shape *s)
{
	uint64_t nr = (s->action == TOUCH ? MAX_TOUCHED : FILE_SIZE) / stride_of(s);

	return s->action == TOUCH || nr < MAX_PLACES ? nr : MAX_PLACES;
}

static int operate(const struct file *f, enum action action, uint64_t offset, uint64_t size)
{
	switch (action) {
	case PUNCH:
	case ALLOCATE:
		return change(f, action == PUNCH, offset, size);
	case TO_PRIVATE:
	case TO_SHARED:
		return convert(f, action == TO_PRIVATE, offset, size);
	case TOUCH:
	default:
		touch(f, offset, size);
		return 0;
	}
}

static int for_all(const struct bench_run *r, enum action action)
{
	const struct shape *s = shape_of(r);
	int err = 0;

	for (uint64_t n = 0; !err && n < r->done; n++)
		err = operate(r->own, action, n * stride_of(s), s->size);
	return err;
}

/* The file as it is to be found. A window without page tables is a new one. */
static int prepare(struct bench_run *r)
{
	const struct shape *s = shape_of(r);
	struct file *f = r->own;
	int err = change(f, true, 0, FILE_SIZE);

	if (!err && (s->action == PUNCH || s->is_there))
		err = for_all(r, ALLOCATE);
	if (!err && s->is_mapped)
		err = for_all(r, TOUCH);
	if (!err && s->action == TO_SHARED)
		err = for_all(r, TO_PRIVATE);
	if (err || s->is_mapped || converts(s))
		return err;
	f->u->unmap(f->at, FILE_SIZE);
	return map(r, f);
}

static int file_round(struct bench_run *r)
{
	const struct shape *s = shape_of(r);
	int err;

	r->done = r->nr < most(s) ? r->nr : most(s);
	err = prepare(r);
	bench_start(r);
	if (!err)
		err = for_all(r, s->action);
	bench_stop(r);
	if (!err && s->action == TO_PRIVATE)
		err = for_all(r, TO_SHARED);
	/* The next way needs the memory. */
	return err ? err : change(r->own, true, 0, FILE_SIZE);
}

static const struct bench_ops file_ops = { file_setup, file_round, file_teardown };

/* ---- cases -------------------------------------------------------------------------------------- */

#define MEMFD                                     \
	{                                         \
		.name = "memfd", .ops = &file_ops \
	}
#define CASE(name_, what_, per_, ...)                                                        \
	{                                                                                    \
		.name = name_, .what = what_, .unit = BENCH_TIME, .per = per_, .slow = true, \
		.ways = { MACHINE_WAYS(file_ops), MEMFD },                                   \
		.data = &(const struct shape){ __VA_ARGS__ },                                \
	}
#define CONVERT_TO(name_, what_, ...)                                                       \
	{                                                                                   \
		.name = "convert/" name_, .what = what_, .unit = BENCH_TIME, .per = "call", \
		.slow = true,                                                               \
		.ways = { { .name = "gmem",                                                 \
			    .ours = true,                                                   \
			    .ops = &file_ops,                                               \
			    .data = &uapi_linked,                                           \
			    .profile = "in-place-v7" },                                     \
			  { .name = "kernel", .ops = &file_ops, .data = &uapi_libc } },     \
		.data = &(const struct shape){ __VA_ARGS__ },                               \
	}
#define CONVERT(name_, what_, ...)                                       \
	CONVERT_TO(name_ "/to-private", what_, TO_PRIVATE, __VA_ARGS__), \
		CONVERT_TO(name_ "/to-shared", what_, TO_SHARED, __VA_ARGS__)

/* clang-format off */
const struct bench_case bench_file_uapi_cases[] = {
	CASE("touch/first", "the host's first touch of a shared page that is not there", "page", TOUCH, BENCH_PAGE),
	CASE("touch/again", "the host's touch of a shared page that is there but not mapped", "page", TOUCH, BENCH_PAGE,
	     .is_there = true),
	CASE("file/punch/4K", "punch one page that is there", "call", PUNCH, BENCH_PAGE),
	CASE("file/punch/4K/mapped", "the same, and the host has mapped it", "call", PUNCH, BENCH_PAGE, .is_mapped = true),
	CASE("file/punch/2M", "punch 2 MiB that are there", "call", PUNCH, BENCH_2M),
	CASE("file/punch/2M/mapped", "the same, and the host has mapped it", "call", PUNCH, BENCH_2M, .is_mapped = true),
	CASE("file/punch/1G", "punch 1 GiB that is there", "call", PUNCH, BENCH_1G),
	CASE("file/allocate/4K", "allocate one page", "call", ALLOCATE, BENCH_PAGE),
	CASE("file/allocate/2M", "allocate 2 MiB", "call", ALLOCATE, BENCH_2M),
	CASE("file/allocate/1G", "allocate 1 GiB", "call", ALLOCATE, BENCH_1G),
	CONVERT("4K", "one page that the host has mapped", BENCH_PAGE, .is_mapped = true),
	CONVERT("2M", "2 MiB of pages that the host has mapped", BENCH_2M, .is_mapped = true),
	CONVERT("untouched", "1 GiB, nothing there", BENCH_1G),
	{ 0 },
};
/* clang-format on */
