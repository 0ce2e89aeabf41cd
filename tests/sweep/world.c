/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define must(cond) ((cond) ? (void)0 : give_up(#cond, __LINE__))

static void give_up(const char *what, int line)
{
	fprintf(stderr, "the world is not as expected: %s (line %d)\n", what, line);
	exit(3);
}

struct world *world_make(void)
{
	struct world *w = calloc(1, sizeof(*w));

	must(w);
	w->u = world_uapi;
	w->kvm = w->vm = w->vcpu = w->vcpu2 = w->file = -1;
	must(!w->u->map(-1, 0, RAM_SIZE, (void **)&w->ram));
	must(!w->u->map(-1, 0, PLAIN_PAGES * PAGE, (void **)&w->plain));
	must(!w->u->map(-1, 0, FILE_SIZE, (void **)&w->behind));
	must(!pipe2(w->pipe, O_NONBLOCK | O_CLOEXEC));
	w->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	must(w->event >= 0);
	return w;
}

void world_close(struct world *w, int *fd)
{
	if (*fd >= 0)
		must(!w->u->close(*fd));
	*fd = -1;
}

/* What is refused, as any munmap() may be, has changed nothing and goes when it is asked for again. */
static void give_back(struct world *w, void *at, uint64_t size)
{
	must(!w->u->unmap(at, size) || !w->u->unmap(at, size));
}

void world_unmake(struct world *w)
{
	if (w->run)
		give_back(w, w->run, w->run_size);
	for (int i = 0; i < 2; i++)
		if (w->window[i])
			give_back(w, w->window[i], w->window_nr[i] * PAGE);
	world_close(w, &w->file);
	world_close(w, &w->vcpu2);
	world_close(w, &w->vcpu);
	world_close(w, &w->vm);
	world_close(w, &w->kvm);
	give_back(w, w->ram, RAM_SIZE);
	give_back(w, w->plain, PLAIN_PAGES * PAGE);
	give_back(w, w->behind, FILE_SIZE);
	close(w->pipe[0]);
	close(w->pipe[1]);
	close(w->event);
	free(w);
}

/* ---- calls --------------------------------------------------------------------------------------- */

int world_slot(struct world *w, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size,
	       void *hva)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd = flags & KVM_MEM_GUEST_MEMFD ? (uint32_t)w->file : 0,
	};
	unsigned int request = flags & KVM_MEM_GUEST_MEMFD ? KVM_SET_USER_MEMORY_REGION2
							   : KVM_SET_USER_MEMORY_REGION;
	long ret = uapi_ioctl(w->u, w->vm, request, &r);

	if (!ret)
		w->slot_gpa[slot] = size ? gpa : 0;
	return (int)ret;
}

int world_map(struct world *w, int window, uint64_t first, uint64_t nr)
{
	void *at;
	int err = w->u->map(w->file, first * PAGE, nr * PAGE, &at);

	if (err)
		return err;
	w->window[window] = at;
	w->window_first[window] = first;
	w->window_nr[window] = nr;
	return 0;
}

int world_fallocate(struct world *w, bool punch, uint64_t first, uint64_t nr)
{
	int mode = FALLOC_FL_KEEP_SIZE | (punch ? FALLOC_FL_PUNCH_HOLE : 0);

	return w->u->fallocate(w->file, mode, (int64_t)(first * PAGE), (int64_t)(nr * PAGE));
}

int world_convert(struct world *w, uint64_t first, uint64_t nr, bool to_private)
{
	struct kvm_memory_attributes2 a = {
		.offset = first * PAGE,
		.size = nr * PAGE,
		.attributes = to_private ? PRIVATE : 0,
		.error_offset = 1,
	};
	long ret = uapi_ioctl(w->u, w->file, KVM_SET_MEMORY_ATTRIBUTES2, &a);

	must(ret || a.error_offset == 1);
	return (int)ret;
}

int world_set_private(struct world *w, uint64_t gpa, uint64_t nr, bool to_private)
{
	struct kvm_memory_attributes a = {
		.address = gpa,
		.size = nr * PAGE,
		.attributes = to_private ? PRIVATE : 0,
	};

	return (int)uapi_ioctl(w->u, w->vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

/* ---- accesses ---------------------------------------------------------------------------------- */

static int set_up(struct world *w, uint64_t gpa, uint64_t rip, uint8_t al)
{
	struct kvm_regs regs = { .rip = rip, .rax = al, .rflags = 2 };
	struct kvm_sregs s;
	long ret = uapi_ioctl(w->u, w->vcpu, KVM_GET_SREGS, &s);

	if (ret)
		return (int)ret;
	s.cs.base = s.cs.selector = 0;
	s.ds.base = gpa;
	ret = uapi_ioctl(w->u, w->vcpu, KVM_SET_SREGS, &s);
	if (!ret)
		ret = uapi_ioctl(w->u, w->vcpu, KVM_SET_REGS, &regs);
	return (int)ret;
}

int guest_run(struct world *w, uint64_t gpa, uint64_t rip, uint8_t *al)
{
	struct kvm_regs regs;
	long ret = set_up(w, gpa, rip, *al);

	if (!ret)
		ret = w->u->ioctl(w->vcpu, KVM_RUN, 0);
	if (!ret && w->run->exit_reason != KVM_EXIT_HLT)
		ret = -EBADMSG;
	if (!ret)
		ret = uapi_ioctl(w->u, w->vcpu, KVM_GET_REGS, &regs);
	if (!ret)
		*al = (uint8_t)regs.rax;
	return (int)ret;
}

int guest_read(struct world *w, uint64_t gpa, uint8_t *value)
{
	return guest_run(w, gpa, CODE, value);
}

int guest_write(struct world *w, uint64_t gpa, uint8_t value)
{
	return guest_run(w, gpa, CODE + 4, &value);
}

int host_read(struct world *w, const uint8_t *at, uint8_t *value)
{
	if (write(w->pipe[1], at, 1) != 1)
		return -errno;
	must(read(w->pipe[0], value, 1) == 1);
	return 0;
}

/* ---- looking ----------------------------------------------------------------------------------- */

static const uint16_t seen[] = { 0,   1,   2,	3,   4,	  5,   6,   7,	 8,   12,  31,
				 32,  63,  64,	65,  66,  69,  70,  99,	 100, 101, 149,
				 150, 199, 200, 299, 300, 511, 512, 520, 521, 550, 599 };
#define NR_SEEN (sizeof(seen) / sizeof(seen[0]))

static void say(struct text *t, uint64_t page, int err, uint8_t value)
{
	if (err)
		text_add(t, " %llu:%s", (unsigned long long)page,
			 err == -EFAULT ? "no" : strerror(-err));
	else if (value)
		text_add(t, " %llu:%x", (unsigned long long)page, value);
}

/* Where any call may fail once, a look takes a second one. */
#define TRIES 3

static int look_by_read(struct world *w, uint64_t gpa, uint8_t *value)
{
	int err = 0;

	for (int i = 0; i < TRIES; i++) {
		err = guest_read(w, gpa, value);
		if (!err || (err == -EFAULT && w->run->exit_reason == KVM_EXIT_MEMORY_FAULT))
			return err;
	}
	return err ? -ENODATA : 0;
}

static void look_by_guest(struct world *w, struct text *t, uint64_t gpa, const char *what,
			  uint64_t limit)
{
	text_add(t, "\n  guest, %s:", what);
	for (size_t i = 0; i < NR_SEEN && seen[i] < limit; i++) {
		uint8_t value = 0;
		int err = look_by_read(w, gpa + seen[i] * PAGE, &value);

		say(t, seen[i], err, value);
	}
}

static void look_by_host(struct world *w, struct text *t, int window)
{
	text_add(t, "\n  host, window %d:", window);
	for (size_t i = 0; i < NR_SEEN; i++) {
		uint64_t page = seen[i] - w->window_first[window];
		uint8_t value = 0;
		int err;

		if (seen[i] < w->window_first[window] || page >= w->window_nr[window])
			continue;
		if (window && seen[i] >= w->hole_first && seen[i] < w->hole_first + w->hole_nr)
			continue;
		err = host_read(w, w->window[window] + page * PAGE, &value);
		say(t, seen[i], err, value);
	}
}

static void look_at_file(struct world *w, struct text *t)
{
	struct gmem_ioctl_run runs[32];
	struct gmem_ioctl_attributes q = {
		.size = FILE_SIZE,
		.runs = (uintptr_t)runs,
		.max_runs = 32,
	};

	for (int i = 1; uapi_ioctl(w->u, w->file, GMEM_GET_ATTRIBUTES, &q); i++)
		must(i < TRIES);
	text_add(t, "\n  file:");
	for (uint32_t i = 0; i < q.nr_runs; i++)
		text_add(t, " %llu+%llu:%s", (unsigned long long)(runs[i].offset / PAGE),
			 (unsigned long long)(runs[i].size / PAGE),
			 runs[i].attributes ? "private" : "shared");
}

void world_look(struct world *w, struct text *t)
{
	text_add(t, "kvm %d vm %d vcpu %d,%d file %d run %d log %llx", w->kvm >= 0, w->vm >= 0,
		 w->vcpu >= 0, w->vcpu2 >= 0, w->file >= 0, !!w->run, (unsigned long long)w->log);
	if (w->file >= 0)
		look_at_file(w, t);
	for (int i = 0; i < 2; i++)
		if (w->window[i])
			look_by_host(w, t, i);
	if (!w->run || !w->has_ram_slot || w->vcpu < 0)
		return;
	if (w->slot_gpa[FILE_SLOT])
		look_by_guest(w, t, w->slot_gpa[FILE_SLOT], "file", NR_PAGES);
	if (w->slot_gpa[PLAIN_SLOT])
		look_by_guest(w, t, w->slot_gpa[PLAIN_SLOT], "plain", PLAIN_PAGES);
}
