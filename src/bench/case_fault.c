/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The first touch of pages by a guest: a vCPU writes a word to one page after the other, a page is an operation. Beside it
 * the program that does the same to a plain memfd, and to memory of nobody's.
 */
#include "bench/machine.h"
#include "bench/machine_sets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE (32 * BENCH_2M)
#define MAX_PAGES (SIZE / BENCH_PAGE)

enum state {
	ABSENT,	   /* there is no page */
	ALLOCATED, /* there is one, by fallocate, and nobody has seen it */
	PRESENT,   /* there is one, which the host has written to by its own mapping */
	UNMAPPED,  /* there is one that the guest had, and lost by a change of attributes */
};

struct shape {
	enum state state;
	unsigned int backing;
	bool prefault; /* by KVM_PRE_FAULT_MEMORY, and not by the guest */
};

struct guest {
	struct machine m;
	void *window; /* the program's, of the guest_memfd; NULL: none */
};

static const struct shape *shape_of(const struct bench_run *r)
{
	return r->bcase->data;
}

static uint64_t clip(struct bench_run *r)
{
	r->done = r->nr < MAX_PAGES ? r->nr : MAX_PAGES;
	return r->done * BENCH_PAGE;
}

/* ---- a guest --------------------------------------------------------------------------------- */

static int make(struct bench_run *r, struct guest *g)
{
	const struct shape *s = shape_of(r);
	bool has_private = s->backing & MACHINE_GMEM && !(s->backing & MACHINE_MMAP);
	int err =
		machine_open(r, &g->m, has_private ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM);

	if (!err)
		err = machine_add_slot(r, &g->m, 1, MACHINE_DATA, SIZE, s->backing);
	if (!err)
		err = machine_add_vcpus(r, &g->m, 1);
	if (!err && has_private)
		err = machine_set_private(&g->m, MACHINE_DATA, SIZE, true);
	if (!err && s->backing & MACHINE_MMAP)
		err = g->m.u->map(g->m.slots[1].gmem, 0, SIZE, &g->window);
	return err;
}

static void guest_teardown(struct bench_run *r)
{
	struct guest *g = r->own;

	if (g->window)
		g->m.u->unmap(g->window, SIZE);
	machine_close(&g->m);
	free(g);
}

static int guest_setup(struct bench_run *r)
{
	struct guest *g = calloc(1, sizeof(*g));
	int err;

	if (!g)
		return -ENOMEM;
	r->own = g;
	err = make(r, g);
	if (err)
		guest_teardown(r);
	return err;
}

static void write_pages(char *at, uint64_t size)
{
	for (uint64_t i = 0; i < size; i += BENCH_PAGE)
		*(volatile uint64_t *)(at + i) = i;
}

/* No pages. */
static int empty(struct bench_run *r, uint64_t size)
{
	struct guest *g = r->own;

	if (shape_of(r)->backing & MACHINE_GMEM)
		return machine_punch(&g->m, 1, 0, size);
	return g->m.u->madvise(g->m.slots[1].hva, size, MADV_DONTNEED);
}

/* Mapped by the guest, and then no more. */
static int unmap(struct guest *g, uint64_t size)
{
	int err = machine_call(&g->m, 0, GUEST_WRITE, MACHINE_DATA, size / BENCH_PAGE, BENCH_PAGE);

	if (!err)
		err = machine_set_private(&g->m, MACHINE_DATA, size, false);
	return err ? err : machine_set_private(&g->m, MACHINE_DATA, size, true);
}

static int prepare(struct bench_run *r, uint64_t size)
{
	const struct shape *s = shape_of(r);
	struct guest *g = r->own;
	int err;

	if (s->state == UNMAPPED)
		return unmap(g, size);
	err = empty(r, size);
	if (!err && s->state == ALLOCATED)
		err = machine_allocate(&g->m, 1, 0, size);
	if (!err && s->state == PRESENT)
		write_pages(g->window, size);
	return err;
}

static int prefault(const struct machine *m, uint64_t size)
{
	struct kvm_pre_fault_memory args = { .gpa = MACHINE_DATA, .size = size };
	long ret;

	do
		ret = uapi_ioctl(m->u, m->vcpus[0].fd, KVM_PRE_FAULT_MEMORY, &args);
	while (args.size && (!ret || ret == -EINTR || ret == -EAGAIN));
	return (int)ret;
}

static int guest_round(struct bench_run *r)
{
	uint64_t size = clip(r);
	struct guest *g = r->own;
	int err = prepare(r, size);

	if (!err)
		err = machine_begin(&g->m, 0, GUEST_WRITE, MACHINE_DATA, size / BENCH_PAGE,
				    BENCH_PAGE);
	bench_start(r);
	if (!err)
		err = shape_of(r)->prefault ? prefault(&g->m, size) : machine_finish(&g->m, 0);
	bench_stop(r);
	return machine_say(r, &g->m, 0, err);
}

static const struct bench_ops guest_ops = { guest_setup, guest_round, guest_teardown };

/* ---- the program ------------------------------------------------------------------------------ */

struct plain {
	int fd; /* -1: nobody's memory */
	char *at;
};

static int plain_setup(struct bench_run *r)
{
	bool is_memfd = r->way->data;
	struct plain *p = malloc(sizeof(*p));
	int flags = is_memfd ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;

	if (!p)
		return -ENOMEM;
	r->own = p;
	p->at = MAP_FAILED;
	p->fd = is_memfd ? memfd_create("bench", MFD_CLOEXEC) : -1;
	if (!is_memfd || (p->fd >= 0 && !ftruncate(p->fd, (off_t)SIZE)))
		p->at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, p->fd, 0);
	if (p->at != MAP_FAILED)
		return 0;
	if (p->fd >= 0)
		close(p->fd);
	free(p);
	return -ENOMEM;
}

static void plain_teardown(struct bench_run *r)
{
	struct plain *p = r->own;

	munmap(p->at, SIZE);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

/* A memfd's pages are there for good once they were written. */
static int plain_prepare(struct bench_run *r, uint64_t size)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct plain *p = r->own;

	if (shape_of(r)->state == PRESENT)
		write_pages(p->at, size);
	if (madvise(p->at, size, MADV_DONTNEED))
		return -errno;
	if (p->fd < 0 || shape_of(r)->state == PRESENT)
		return 0;
	if (fallocate(p->fd, punch, 0, (off_t)size))
		return -errno;
	if (shape_of(r)->state == ALLOCATED && fallocate(p->fd, 0, 0, (off_t)size))
		return -errno;
	return 0;
}

static int plain_round(struct bench_run *r)
{
	struct plain *p = r->own;
	uint64_t size = clip(r);
	int err = plain_prepare(r, size);

	bench_start(r);
	write_pages(p->at, size);
	bench_stop(r);
	return err;
}

static const struct bench_ops plain_ops = { plain_setup, plain_round, plain_teardown };

/* ---- cases -------------------------------------------------------------------------------------- */

#define MEMFD                                                        \
	{                                                            \
		.name = "memfd", .ops = &plain_ops, .data = "a file" \
	}
#define NOBODYS                                    \
	{                                          \
		.name = "plain", .ops = &plain_ops \
	}
const struct bench_case bench_fault_cases[] = {
	{
		.name = "guest/touch/absent",
		.what = "private, and not there yet; a memfd's page is the store's own work",
		.unit = BENCH_TIME,
		.per = "page",
		.goals = { { .beside = "memfd", .limit = 1.3 } },
		.ways = { MACHINE_WAYS(guest_ops), MEMFD },
		.data = &(const struct shape){ ABSENT, MACHINE_GMEM },
	},
#ifndef BENCH_LINKED
	{
		.name = "guest/touch/absent/huge",
		.what = "private, and not there yet, in huge pages with us (--pages thp), a leaf each",
		.unit = BENCH_TIME,
		.per = "page",
		.ways = { { .name = "gmem",
			    .ours = true,
			    .ops = &guest_ops,
			    .data = &uapi_libc,
			    .place = BENCH_UNDER_GMEM,
			    .pages = "thp" } },
		.data = &(const struct shape){ ABSENT, MACHINE_GMEM },
	},
#endif
	{
		.name = "guest/touch/allocated",
		.what = "private and there (fallocate), but nobody has seen it",
		.unit = BENCH_TIME,
		.per = "page",
		.ways = { MACHINE_WAYS(guest_ops), MEMFD },
		.data = &(const struct shape){ ALLOCATED, MACHINE_GMEM },
	},
	{
		.name = "guest/touch/present",
		.what = "there, and written to by the host; a memfd's page that is there (minor fault)",
		.unit = BENCH_TIME,
		.per = "page",
		.goals = { { .beside = "memfd", .limit = 1.3 } },
		.ways = { MACHINE_WAYS(guest_ops), MEMFD },
		.data = &(const struct shape){ PRESENT,
					       MACHINE_GMEM | MACHINE_MMAP | MACHINE_SHARED },
	},
	{
		.name = "guest/touch/unmapped",
		.what = "private, had by the guest, and lost to it by a change of attributes",
		.unit = BENCH_TIME,
		.per = "page",
		.goals = { { .limit = 150 } },
		.ways = { MACHINE_WAYS(guest_ops) },
		.data = &(const struct shape){ UNMAPPED, MACHINE_GMEM },
	},
	{
		.name = "guest/touch/shared",
		.what = "of a guest_memfd that the program can map, too, and not there yet",
		.unit = BENCH_TIME,
		.per = "page",
		.ways = { MACHINE_WAYS(guest_ops), MEMFD },
		.data = &(const struct shape){ ABSENT,
					       MACHINE_GMEM | MACHINE_MMAP | MACHINE_SHARED },
	},
	{
		.name = "guest/touch/program",
		.what = "memory of the program, and not there yet",
		.unit = BENCH_TIME,
		.per = "page",
		.ways = { MACHINE_WAYS(guest_ops), NOBODYS },
		.data = &(const struct shape){ ABSENT, MACHINE_HVA },
	},
	{
		.name = "guest/prefault",
		.what = "KVM_PRE_FAULT_MEMORY of private pages that are not there yet",
		.unit = BENCH_TIME,
		.per = "page",
		.ways = { MACHINE_WAYS(guest_ops), MEMFD },
		.data = &(const struct shape){ ABSENT, MACHINE_GMEM, .prefault = true },
	},
	{ 0 },
};
