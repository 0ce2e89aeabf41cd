/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest that runs in a thread of its own and reads a page all the time, while the page is converted, punched and
 * taken away: who changes something waits for it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

#define LOOP 0x1100
#define FLAG 0x2000

struct runner {
	pthread_t thread;
	struct kvm_run *run;
	bool runs;
	_Atomic bool stop;
	_Atomic uint64_t nr_runs;
};

static struct runner *runner(struct world *w)
{
	return w->own;
}

static struct world *make(void)
{
	struct world *w = world_make();

	w->own = calloc(1, sizeof(struct runner));
	if (!w->own)
		abort();
	return w;
}

/* Until it is told to stop: whatever ends a run, a memory fault or no memory, there is another. */
static void *run(void *arg)
{
	struct world *w = arg;

	while (!atomic_load(&runner(w)->stop)) {
		w->u->ioctl(w->vcpu2, KVM_RUN, 0);
		atomic_fetch_add(&runner(w)->nr_runs, 1);
	}
	return NULL;
}

static int stop(struct world *w)
{
	struct runner *r = runner(w);

	if (!r->runs)
		return 0;
	atomic_store(&r->stop, true);
	atomic_store((_Atomic uint8_t *)(w->ram + FLAG), 1);
	r->runs = false;
	return -pthread_join(r->thread, NULL);
}

static void unmake(struct world *w)
{
	stop(w);
	if (runner(w)->run)
		w->u->unmap(runner(w)->run, w->run_size);
	free(w->own);
	world_unmake(w);
}

static int start(struct world *w)
{
	static const uint8_t code[] = {
		0xa0, 0,    0,	     /* mov al, ds:[0] */
		0x2e, 0xa0, 0, 0x20, /* mov al, cs:[FLAG] */
		0x84, 0xc0,	     /* test al, al */
		0x74, 0xf5,	     /* jz LOOP */
		0xf4,		     /* hlt */
	};
	struct kvm_regs regs = { .rip = LOOP, .rflags = 2 };
	struct kvm_sregs s;
	long ret = uapi_ioctl(w->u, w->vcpu2, KVM_GET_SREGS, &s);

	if (ret)
		return (int)ret;
	memcpy(w->ram + LOOP, code, sizeof(code));
	s.cs.base = s.cs.selector = 0;
	s.ds.base = BASE + 2 * PAGE;
	ret = uapi_ioctl(w->u, w->vcpu2, KVM_SET_SREGS, &s);
	if (!ret)
		ret = uapi_ioctl(w->u, w->vcpu2, KVM_SET_REGS, &regs);
	if (!ret)
		ret = -pthread_create(&runner(w)->thread, NULL, run, w);
	runner(w)->runs = !ret;
	return (int)ret;
}

static int map_second_run(struct world *w)
{
	return w->u->map(w->vcpu2, 0, w->run_size, (void **)&runner(w)->run);
}

static int make_file(struct world *w)
{
	return world_file(w, 0);
}

static int bind(struct world *w)
{
	return world_slot(w, FILE_SLOT, KVM_MEM_GUEST_MEMFD, BASE, FILE_SIZE, w->behind);
}

static int to_private(struct world *w)
{
	return world_set_private(w, BASE, 64, true);
}

static int to_shared(struct world *w)
{
	return world_set_private(w, BASE + PAGE, 8, false);
}

static int write_private(struct world *w)
{
	return guest_write(w, BASE + 12 * PAGE, 0x12);
}

static int punch(struct world *w)
{
	return world_fallocate(w, true, 0, 12);
}

static int drop(struct world *w)
{
	return w->u->madvise(w->behind, 64 * PAGE, 4 /* MADV_DONTNEED */);
}

static int unbind(struct world *w)
{
	return world_slot(w, FILE_SLOT, 0, 0, 0, NULL);
}

static const struct step steps[] = {
	{ "open", step_open },
	{ "vm", step_vm },
	{ "vcpu", step_vcpu },
	{ "map run", step_map_run },
	{ "second vcpu", step_second_vcpu },
	{ "map second run", map_second_run },
	{ "ram", step_ram },
	{ "file", make_file },
	{ "bind", bind },
	{ "start", start },
	{ "to private", to_private },
	{ "guest writes private", write_private },
	{ "punch", punch },
	{ "to shared", to_shared },
	{ "drop", drop },
	{ "to private again", to_private },
	{ "unbind", unbind },
	{ "bind again", bind },
	{ "stop", stop },
	{ "close file", step_close_file },
};

const struct scenario busy = {
	.name = "busy",
	STEPS(steps),
	.make = make,
	.look = world_look,
	.unmake = unmake,
};
