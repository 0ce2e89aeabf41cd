/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Every KVM request on every descriptor with garbage, truncated, unmapped and hostile arguments,
 * from several threads, with closes, forks and mappings in between. Nothing may crash or hang,
 * and when a world is closed, its descriptors and memory are gone.
 *
 * The program only ever gives KVM memory it can spare: an arena for guest RAM and a buffer with
 * nothing but inaccessible pages behind it. What KVM writes elsewhere is a bug that shows.
 */
#include "ioctl_args.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>

#define THREADS 3
#define BEHIND (512UL << 20)
#define RSS_ROOM_KIB (96 * 1024)
#define RSS_ROOM_ASAN_KIB (768 * 1024) /* its shadow and what it keeps from reuse */
#define WARM_UP 5 /* worlds after which nothing is opened for the first time any more */

/* ---- memory that may be gone: a copy that a fault ends ---- */

void copy_or_not(void *to, const void *from, size_t len);
extern const char copy_at[], copy_out[];
__asm__(".text\n"
	".type copy_or_not, @function\n"
	"copy_or_not:\n"
	"	movq %rdx, %rcx\n"
	"copy_at:\n"
	"	rep movsb\n"
	"copy_out:\n"
	"	ret\n"
	".size copy_or_not, . - copy_or_not\n");

/* Goes on behind the copy, without a jump out of the handler. */
static void on_fault(int sig, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	(void)info;
	if (*rip == (greg_t)(uintptr_t)copy_at)
		*rip = (greg_t)(uintptr_t)copy_out;
	else
		signal(sig, SIG_DFL);
}

static void on_tick(int sig)
{
	(void)sig;
}

static void touch(struct thread *t, uint8_t *p)
{
	uint8_t byte = 1;

	if (rng_one_in(&t->r, 2))
		copy_or_not(p, &byte, 1);
	else
		copy_or_not(&byte, p, 1);
}

/* ---- one operation each ---- */

static void keep_fd(struct thread *t, int fd)
{
	int old;

	if (fd < 0)
		return;
	old = __atomic_exchange_n(&t->w->fds[rng_below(&t->r, NR_FDS)], fd, __ATOMIC_SEQ_CST);
	if (old >= 0)
		close(old);
}

static bool gives_fd(unsigned long req)
{
	return req == KVM_CREATE_VM || req == KVM_CREATE_VCPU || req == KVM_CREATE_GUEST_MEMFD ||
	       req == KVM_GET_STATS_FD;
}

static void do_ioctl(struct thread *t)
{
	unsigned long req = some_request(t), arg;
	int ret;

	arg = req == KVM_CREATE_VM ? rng_below(&t->r, 3) : argument(t, req);
	if (req == KVM_CREATE_VCPU && rng_one_in(&t->r, 2))
		arg = rng_below(&t->r, 8);
	ret = ioctl(some_fd(t), req, arg);
	t->good += ret >= 0;
	if (ret >= 0 && gives_fd(req))
		keep_fd(t, ret);
}

static void do_file(struct thread *t)
{
	int fd = some_fd(t);
	uint64_t page = rng_below(&t->r, 64) * PG;

	switch (rng_below(&t->r, 8)) {
	case 0:
		fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)page, (off_t)(4 * PG));
		break;
	case 1:
		fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, (off_t)page,
			  (off_t)rng_below(&t->r, 64 * PG));
		break;
	case 2:
		fallocate(fd, (int)rng_below(&t->r, 64), (off_t)number(t), (off_t)PG);
		break;
	case 3:
		lseek(fd, (off_t)number(t), (int)rng_below(&t->r, 5));
		break;
	case 4:
		if (fd != t->w->memfd && ftruncate(fd, (off_t)page) == 0)
			break;
		break;
	case 5:
		if (fd != t->w->event && read(fd, t->buffer, 64) < 0)
			break;
		break;
	case 6:
		if (fd != t->w->event && pwrite(fd, t->buffer, 64, (off_t)page) < 0)
			break;
		break;
	default:
		fcntl(fd, F_GETFL);
	}
}

static void do_map(struct thread *t)
{
	uint8_t **place = &t->maps[rng_below(&t->r, NR_MAPS)];
	int prot = PROT_READ | (rng_one_in(&t->r, 4) ? 0 : PROT_WRITE);
	int flags = rng_one_in(&t->r, 8) ? MAP_PRIVATE : MAP_SHARED;
	uint8_t *p = mmap(NULL, MAP, prot, flags, some_fd(t), (off_t)(rng_below(&t->r, 8) * PG));

	if (p == MAP_FAILED)
		return;
	if (*place)
		munmap(*place, MAP);
	*place = p;
}

static void do_memory(struct thread *t)
{
	static const int advice[] = { MADV_DONTNEED, MADV_REMOVE, MADV_DONTFORK, MADV_WILLNEED };
	uint8_t *map = t->maps[rng_below(&t->r, NR_MAPS)];
	uint8_t *ram = t->w->arena + rng_below(&t->r, ARENA / PG) * PG;

	switch (rng_below(&t->r, 5)) {
	case 0:
		if (map)
			touch(t, map + rng_below(&t->r, PG));
		break;
	case 1:
		if (map)
			madvise(map, PG, advice[rng_below(&t->r, COUNT(advice))]);
		break;
	case 2:
		mprotect(ram, PG, rng_one_in(&t->r, 3) ? PROT_NONE : PROT_READ | PROT_WRITE);
		break;
	case 3:
		madvise(ram, PG, MADV_DONTNEED);
		break;
	default:
		mmap(ram, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0);
		rng_fill(&t->r, t->buffer, 256);
		copy_or_not(ram, t->buffer, 256);
	}
}

static void scribble(struct thread *t, struct kvm_run *run)
{
	struct kvm_run *mine = (struct kvm_run *)(void *)t->buffer;

	copy_or_not(mine, run, sizeof(*mine));
	if (rng_one_in(&t->r, 2))
		rng_fill(&t->r, mine->padding, sizeof(mine->padding));
	if (rng_one_in(&t->r, 8)) {
		soup(t, (uint8_t *)&mine->s, sizeof(struct kvm_sync_regs));
		mine->kvm_dirty_regs = rng_below(&t->r, 16);
		mine->kvm_valid_regs = rng_below(&t->r, 16);
	}
	mine->request_interrupt_window = (uint8_t)rng_below(&t->r, 2);
	mine->immediate_exit = rng_one_in(&t->r, 4);
	copy_or_not(run, mine, sizeof(*mine));
}

/* A vCPU is run with whatever others made of it; ticks bring it back. */
static void do_run(struct thread *t)
{
	int fd = some_fd(t);
	struct kvm_run *run = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (run == MAP_FAILED)
		return;
	scribble(t, run);
	for (int i = 0; i < 4 && !t->w->ending; i++)
		if (ioctl(fd, KVM_RUN, 0))
			break;
	munmap(run, 3 * PG);
}

/* A VM with memory, two vCPUs and a guest_memfd, put into four places. */
static void populate(struct world *w, struct rng *r, int *place)
{
	struct kvm_create_guest_memfd c = { .size = 64 * PG, .flags = rng_below(r, 4) };
	struct kvm_userspace_memory_region m = { .memory_size = 64 * PG,
						 .userspace_addr = (uintptr_t)w->arena };
	int dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(dev, KVM_CREATE_VM, rng_below(r, 2));

	if (vm < 0)
		vm = ioctl(dev, KVM_CREATE_VM, 0);
	close(dev);
	ioctl(vm, KVM_SET_USER_MEMORY_REGION, &m);
	place[1] = ioctl(vm, KVM_CREATE_VCPU, 0);
	place[2] = ioctl(vm, KVM_CREATE_VCPU, 1);
	place[3] = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &c);
	place[0] = vm;
}

static void do_descriptors(struct thread *t)
{
	size_t i = rng_below(&t->r, NR_FDS);

	switch (rng_below(&t->r, 4)) {
	case 0:
		keep_fd(t, fcntl(t->w->fds[i], F_DUPFD_CLOEXEC, 3));
		break;
	case 1:
		keep_fd(t, open("/dev/kvm", O_RDWR | O_CLOEXEC));
		break;
	case 2: {
		int fresh[4];

		populate(t->w, &t->r, fresh);
		for (int k = 0; k < 4; k++)
			keep_fd(t, fresh[k]);
		break;
	}
	default: {
		int old = __atomic_exchange_n(&t->w->fds[i], -1, __ATOMIC_SEQ_CST);

		if (old >= 0)
			close(old);
	}
	}
}

/* The child has the descriptors but none of the threads; it is in and out. */
static void do_fork(struct thread *t)
{
	pid_t pid = fork();

	if (pid == 0) {
		for (int i = 0; i < 4; i++)
			fallocate(some_fd(t), 3, 0, (off_t)(2 * PG));
		for (int i = 0; i < 8; i++)
			ioctl(some_fd(t), some_request(t), 0);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;

	while (!t->w->ending) {
		uint64_t what = rng_below(&t->r, 1000);

		if (what < 700)
			do_ioctl(t);
		else if (what < 780)
			do_file(t);
		else if (what < 830)
			do_map(t);
		else if (what < 890)
			do_memory(t);
		else if (what < 960)
			do_run(t);
		else if (what < 997)
			do_descriptors(t);
		else
			do_fork(t);
		t->ops++;
	}
	t->done = true;
	return NULL;
}

/* ---- a world: made, used for a moment, closed ---- */

static void world_make(struct world *w, struct rng *r)
{
	memset(w->fds, 0xff, sizeof(w->fds));
	w->fds[0] = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (w->fds[0] < 0)
		skip("no /dev/kvm");
	w->event = eventfd(0, EFD_NONBLOCK);
	w->memfd = memfd_create("fuzz", 0);
	w->arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (w->arena == MAP_FAILED)
		fail("arena: %s", strerror(errno));
	rng_fill(r, w->arena, 64 * PG);
	for (int i = 1; i + 3 < NR_FDS / 2; i += 4)
		populate(w, r, &w->fds[i]);
}

static void world_close(struct world *w)
{
	for (size_t i = 0; i < NR_FDS; i++)
		if (w->fds[i] >= 0)
			close(w->fds[i]);
	munmap(w->arena, ARENA);
	close(w->event);
	close(w->memfd);
}

static bool all_done(const struct thread *threads)
{
	for (int i = 0; i < THREADS; i++)
		if (!threads[i].done)
			return false;
	return true;
}

/*
 * Signals every thread until all have ended: a KVM_RUN entered just after a tick needs the next,
 * and a thread may wait for the one that runs the vCPU it wants something of.
 */
static void world_run(struct world *w, struct thread *threads, uint64_t ms)
{
	uint64_t end = now_ms() + ms;

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i].id, NULL, thread_main, &threads[i]))
			fail("pthread_create: %s", strerror(errno));
	while (!all_done(threads)) {
		w->ending = now_ms() >= end;
		for (int i = 0; i < THREADS; i++)
			pthread_kill(threads[i].id, SIGUSR1);
		usleep(w->ending ? 1000 : 5000);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i].id, NULL);
		w->ops += threads[i].ops;
		w->good += threads[i].good;
		for (size_t j = 0; j < NR_MAPS; j++)
			if (threads[i].maps[j])
				munmap(threads[i].maps[j], MAP);
	}
}

static uint8_t *buffer_make(void)
{
	uint8_t *p = mmap(NULL, BUFFER + BEHIND, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED || mprotect(p, BUFFER, PROT_READ | PROT_WRITE))
		fail("buffer: %s", strerror(errno));
	return p;
}

static void one_world(struct world *w, struct rng *r, uint8_t **buffers, uint64_t ms)
{
	struct thread threads[THREADS] = { { 0 } };

	world_make(w, r);
	for (int i = 0; i < THREADS; i++) {
		threads[i].w = w;
		threads[i].r.state = rng_next(r);
		threads[i].buffer = buffers[i];
	}
	world_run(w, threads, ms);
	world_close(w);
}

/* Gives what the last close of a dead child's descriptor sets off a moment to be done. */
static unsigned int settled_fds(unsigned int limit)
{
	unsigned int n = nr_fds();

	for (int i = 0; i < 200 && n > limit; i++) {
		usleep(5000);
		n = nr_fds();
	}
	return n;
}

/* There when the address sanitizer is preloaded along with what is tested. */
extern void __asan_init(void) __attribute__((weak));

static void slice(uint64_t slice_seed, uint64_t until_ms)
{
	struct rng r = { slice_seed };
	struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO },
			 tick = { .sa_handler = on_tick };
	uint8_t *buffers[THREADS];
	unsigned int fds = 0, worlds = 0, open_now;
	uint64_t ops = 0, good = 0;
	long rss = 0, room = __asan_init ? RSS_ROOM_ASAN_KIB : RSS_ROOM_KIB;

	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGUSR1, &tick, NULL);
	for (int i = 0; i < THREADS; i++)
		buffers[i] = buffer_make();
	while (now_ms() < until_ms) {
		struct world w = { .ops = 0 };

		one_world(&w, &r, buffers, 300);
		ops += w.ops;
		good += w.good;
		if (worlds++ == 0)
			rss = rss_kib();
		open_now = settled_fds(fds);
		if (worlds <= WARM_UP && open_now > fds)
			fds = open_now;
		if (open_now > fds) {
			list_fds();
			fail("%u descriptors open after a world was closed, were %u", open_now,
			     fds);
		}
		if (rss_kib() > rss + room)
			fail("%ld KiB resident, were %ld", rss_kib(), rss);
	}
	printf("%u worlds, %llu operations, %llu requests granted, %ld KiB resident (first %ld), "
	       "%u descriptors\n",
	       worlds, (unsigned long long)ops, (unsigned long long)good, rss_kib(), rss, fds);
}

int main(void)
{
	return fuzz_main("ioctls", 6000, 20000, slice);
}
