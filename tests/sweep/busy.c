/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest that runs in a thread of its own and reads a page all the time, while the page is converted, punched and
 * taken away: who changes something waits for it. In the second scenario it stands still until somebody sleeps for
 * it: a signal has come to its thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"
#include "steps.h"

#define LOOP 0x1100
#define FLAG 0x2000
#define PATIENCE_NS 3000000 /* of processor time: who does not sleep by then will not */

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

SET_PRIVATE(to_private, 0, 64, true)
SET_PRIVATE(to_shared, 1, 8, false)
GUEST_WRITES(write_private, 12, 0x12)
PUNCH(punch, 0, 12)

static int drop(struct world *w)
{
	return w->u->madvise(w->behind, 64 * PAGE, 4 /* MADV_DONTNEED */);
}

static const struct step steps[] = {
	STEPS_TO_RUN,
	{ "second vcpu", step_second_vcpu },
	{ "map second run", map_second_run },
	{ "file", step_file },
	{ "bind", step_bind },
	{ "start", start },
	{ "to private", to_private },
	{ "guest writes private", write_private },
	{ "punch", punch },
	{ "to shared", to_shared },
	{ "drop", drop },
	{ "to private again", to_private },
	{ "unbind", step_unbind },
	{ "bind again", step_bind },
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

/* ---- a guest that stands still ----------------------------------------------------------------- */

struct waiter {
	pthread_t self, other;
	pid_t tid;
	_Atomic bool ready, begun;
	int vcpu; /* -1: it is the guest's thread that goes on */
};

static _Atomic bool is_held, stands;

static void stand_still(int signo)
{
	atomic_store(&stands, true);
	while (atomic_load(&is_held))
		os_yield();
	atomic_store(&stands, false);
}

/* The one that stands may do so within malloc(): nothing is allocated here. */
static bool sleeps(pid_t tid)
{
	char path[48], stat[256];
	const char *name_end;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	len = fd < 0 ? 0 : read(fd, stat, sizeof(stat) - 1);
	if (fd >= 0)
		close(fd);
	stat[len > 0 ? len : 0] = 0;
	name_end = strrchr(stat, ')');
	return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

static uint64_t spent_ns(pthread_t thread)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (!pthread_getcpuclockid(thread, &clock))
		clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* When the other sleeps, or cannot. */
static void *let_go(void *arg)
{
	struct waiter *wait = arg;
	uint64_t begin;

	atomic_store(&wait->ready, true);
	while (!atomic_load(&wait->begun))
		os_yield();
	begin = spent_ns(wait->self);
	while (!sleeps(wait->tid) && spent_ns(wait->self) - begin < PATIENCE_NS)
		os_yield();
	atomic_store(&is_held, false);
	if (wait->vcpu >= 0)
		pthread_kill(wait->self, SIGUSR2);
	return NULL;
}

/* Before anybody is held: a thread that starts allocates. */
static void get_ready(struct waiter *wait, int vcpu)
{
	*wait = (struct waiter){ .self = pthread_self(), .tid = gettid(), .vcpu = vcpu };
	if (pthread_create(&wait->other, NULL, let_go, wait))
		abort();
	while (!atomic_load(&wait->ready))
		os_yield();
}

/* fn(w, vcpu) */
static int while_waited_for(struct waiter *wait, struct world *w,
			    int (*fn)(struct world *w, int vcpu))
{
	int ret;

	atomic_store(&wait->begun, true);
	ret = fn(w, wait->vcpu);
	pthread_join(wait->other, NULL);
	return ret;
}

static int beside(struct world *w, int (*change)(struct world *w, int vcpu))
{
	uint64_t end = os_clock_ns() + 1000000000;
	struct waiter wait;

	get_ready(&wait, -1);
	atomic_store(&is_held, true);
	pthread_kill(runner(w)->thread, SIGUSR1);
	while (!atomic_load(&stands) && os_clock_ns() < end)
		os_yield();
	return while_waited_for(&wait, w, change);
}

static int start_held(struct world *w)
{
	struct sigaction sa = { .sa_handler = stand_still, .sa_flags = SA_RESTART };

	sigaction(SIGUSR1, &sa, NULL);
	return start(w);
}

#define BESIDE(name)                                      \
	static int call_##name(struct world *w, int vcpu) \
	{                                                 \
		return name(w);                           \
	}                                                 \
	static int name##_beside(struct world *w)         \
	{                                                 \
		return beside(w, call_##name);            \
	}
BESIDE(to_private)
BESIDE(punch)
BESIDE(to_shared)
BESIDE(drop)
BESIDE(step_unbind)

/* A vCPU that has halted sleeps until there is something for it: here a signal. */
struct sleeper {
	int vm, vcpu;
};

static int make_sleeper(struct world *w, struct sleeper *s)
{
	struct kvm_userspace_memory_region2 r = { .memory_size = RAM_SIZE,
						  .userspace_addr = (uintptr_t)w->ram };
	struct kvm_mp_state halted = { .mp_state = KVM_MP_STATE_HALTED };
	long ret = w->u->ioctl(w->kvm, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);

	if (ret < 0)
		return (int)ret;
	s->vm = (int)ret;
	ret = w->u->ioctl(s->vm, KVM_CREATE_IRQCHIP, 0);
	if (!ret)
		ret = uapi_ioctl(w->u, s->vm, KVM_SET_USER_MEMORY_REGION2, &r);
	if (!ret)
		ret = w->u->ioctl(s->vm, KVM_CREATE_VCPU, 0);
	if (ret < 0)
		return (int)ret;
	s->vcpu = (int)ret;
	return (int)uapi_ioctl(w->u, s->vcpu, KVM_SET_MP_STATE, &halted);
}

static void interrupt(int signo)
{
	os_signal_set_pending(true);
}

static int run_sleeper(struct world *w, int vcpu)
{
	struct sigaction sa = { .sa_handler = interrupt };
	long ret;

	sigaction(SIGUSR2, &sa, NULL);
	ret = w->u->ioctl(vcpu, KVM_RUN, 0);
	return ret == -EINTR ? 0 : ret ? (int)ret : -EBADMSG;
}

static int halted_until_signal(struct world *w)
{
	struct sleeper s = { -1, -1 };
	int err = make_sleeper(w, &s);
	struct waiter wait;

	if (!err) {
		get_ready(&wait, s.vcpu);
		err = while_waited_for(&wait, w, run_sleeper);
	}
	os_signal_set_pending(false);
	world_close(w, &s.vcpu);
	world_close(w, &s.vm);
	return err;
}

static const struct step held_steps[] = {
	STEPS_TO_RUN,
	{ "second vcpu", step_second_vcpu },
	{ "map second run", map_second_run },
	{ "file", step_file },
	{ "bind", step_bind },
	{ "start", start_held },
	{ "to private", to_private_beside },
	{ "guest writes private", write_private },
	{ "punch", punch_beside },
	{ "to shared", to_shared_beside },
	{ "drop", drop_beside },
	{ "unbind", step_unbind_beside },
	{ "halted", halted_until_signal },
	{ "stop", stop },
	{ "close file", step_close_file },
};

const struct scenario held = {
	.name = "held",
	STEPS(held_steps),
	.swept_from = 10,
	.make = make,
	.look = world_look,
	.unmake = unmake,
};
