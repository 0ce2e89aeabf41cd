/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a conversion does when mappings, address space, descriptors, locked memory, processes or memfds have run
 * out: a clean errno, nothing changed, nothing open that should not be, and all is well again afterwards. As
 * root, if that is who runs it, and as an ordinary user.
 *
 *	exhaust [SCENARIO...]
 */
#include "exhaust.h"

#include "../paths.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534u
#define FILL_PAGES 80000ul

static void limit(int what, rlim_t soft)
{
	struct rlimit r;

	if (getrlimit(what, &r))
		die("getrlimit: errno %d", errno);
	r.rlim_cur = soft == RLIM_INFINITY ? r.rlim_max : soft;
	if (setrlimit(what, &r))
		die("setrlimit: errno %d", errno);
}

/* ---- mappings ---- */

static uint8_t *fill_mappings(void)
{
	uint8_t *p = mmap(NULL, FILL_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("the filling: errno %d", errno);
	for (uint64_t i = 1; i < FILL_PAGES; i += 2) {
		if (mprotect(p + i * PAGE, PAGE, PROT_READ))
			return p;
	}
	die("vm.max_map_count is not reached");
}

/* The last few, which two at a time leave over. */
static void take_the_last(void)
{
	while (mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		;
}

static void scenario_no_mappings(void)
{
	static struct bench b;
	uint8_t *fill;

	bench_make(&b);
	bench_try(&b, 3, 1, true);
	bench_try(&b, 10, 10, true);
	fill = fill_mappings();
	take_the_last();
	bench_look(&b, b.w.host, true);
	bench_try_much(&b);
	bench_try_window(&b);
	bench_try_fork(&b);
	printf("  at the limit: %u done, %u refused\n", b.nr_done, b.nr_refused);
	munmap(fill, FILL_PAGES * PAGE);
	bench_relieved(&b);
}

/* The limit is reached before the first file is there. */
static void scenario_no_mappings_at_first(void)
{
	static struct bench b;
	struct world w;
	uint8_t *fill;
	int fd;

	world_make_vm(&w, KVM_X86_SW_PROTECTED_VM);
	fill = fill_mappings();
	take_the_last();
	fd = world_gmem(&w, 16 * PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	if (fd < 0 && fd != -ENOMEM)
		die("a guest_memfd without mappings: errno %d", -fd);
	if (fd >= 0)
		close(fd);
	munmap(fill, FILL_PAGES * PAGE);
	bench_make(&b);
	bench_relieved(&b);
}

/* ---- address space ---- */

static void scenario_no_address_space(void)
{
	static struct bench b;
	int fd;

	bench_make(&b);
	bench_try(&b, 3, 1, true);
	limit(RLIMIT_AS, (rlim_t)status_kb("VmSize") * 1024);
	bench_try_much(&b);
	bench_try_window(&b);
	bench_try_fork(&b);
	fd = world_gmem(&b.w, 1ul << 30, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	if (fd < 0 && fd != -ENOMEM)
		die("a guest_memfd without address space: errno %d", -fd);
	if (fd >= 0 &&
	    (mmap(NULL, 1ul << 30, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED || errno != ENOMEM))
		die("a window of 1 GiB without address space");
	if (fd >= 0)
		close(fd);
	printf("  at the limit: %u done, %u refused\n", b.nr_done, b.nr_refused);
	limit(RLIMIT_AS, RLIM_INFINITY);
	bench_relieved(&b);
}

/* ---- descriptors ---- */

static int highest(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void clean_refusal(int r, const char *what)
{
	if (r >= 0 || (r != -EMFILE && r != -ENOMEM && r != -ENFILE))
		die("%s without descriptors: %d", what, r);
}

static void scenario_no_descriptors(void)
{
	static struct bench b;
	int r;

	bench_make(&b);
	bench_try(&b, 3, 1, true);
	limit(RLIMIT_NOFILE, (rlim_t)highest());
	bench_try_much(&b);
	bench_try_window(&b);
	clean_refusal(world_gmem(&b.w, PAGE, 0), "a guest_memfd");
	r = ioctl(b.w.vm, KVM_CREATE_VCPU, 1);
	clean_refusal(r < 0 ? -errno : r, "a vCPU");
	r = ioctl(b.w.kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	clean_refusal(r < 0 ? -errno : r, "a VM");
	bench_try_fork(&b);
	if (b.nr_refused)
		die("a conversion needs a descriptor");
	limit(RLIMIT_NOFILE, 0);
	bench_try_much(&b);
	bench_look(&b, b.w.host, true);
	limit(RLIMIT_NOFILE, RLIM_INFINITY);
	bench_relieved(&b);
}

/* Just so many left: everything is made, or cleanly refused and nothing stays behind. */
static void with_so_many_left(unsigned int left)
{
	int before = highest(), kvm, vm, fd = -1;
	struct kvm_create_guest_memfd c = { .size = PAGE, .flags = 3 };

	limit(RLIMIT_NOFILE, (rlim_t)before + left);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0 && errno != EMFILE)
		die("/dev/kvm with %u descriptors left: errno %d", left, errno);
	vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	if (kvm >= 0 && vm < 0 && errno != EMFILE && errno != ENOMEM)
		die("a VM with %u descriptors left: errno %d", left, errno);
	if (vm >= 0)
		fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &c);
	if (vm >= 0 && fd < 0 && errno != EMFILE && errno != ENOMEM)
		die("a guest_memfd with %u descriptors left: errno %d", left, errno);
	for (int i = 0; i < 3; i++) {
		int f = (int[]){ fd, vm, kvm }[i];

		if (f >= 0)
			close(f);
	}
	limit(RLIMIT_NOFILE, RLIM_INFINITY);
	if (highest() != before)
		die("a descriptor stays behind, with %u left", left);
}

static void scenario_few_descriptors(void)
{
	static struct bench b;

	for (unsigned int left = 0; left < 12; left++)
		with_so_many_left(left);
	bench_make(&b);
	bench_relieved(&b);
}

/* ---- locked memory ---- */

static void scenario_no_locked_memory(void)
{
	static struct bench b;
	uint64_t size = BENCH_PAGES * PAGE;

	bench_make(&b);
	limit(RLIMIT_MEMLOCK, size);
	if (mlock(b.w.host, size))
		die("mlock of a window: errno %d", errno);
	bench_try_much(&b);
	limit(RLIMIT_MEMLOCK, 0);
	bench_try_much(&b);
	bench_try_window(&b);
	bench_try_fork(&b);
	printf("  at the limit: %u done, %u refused\n", b.nr_done, b.nr_refused);
	if (munlock(b.w.host, size))
		die("munlock of a window: errno %d", errno);
	limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
	bench_relieved(&b);
}

/* ---- processes and threads ---- */

static void scenario_no_threads(void)
{
	static struct bench b;
	static struct bench early;

	bench_make(&early);
	limit(RLIMIT_NPROC, 0);
	bench_try_much(&early);
	bench_try_window(&early);
	bench_try_fork(&early);
	/* The first file of a process that can have no thread. */
	b.w.gmem = world_gmem(&early.w, PAGE, 3);
	if (b.w.gmem < 0 && b.w.gmem != -ENOMEM && b.w.gmem != -EAGAIN)
		die("a guest_memfd without threads: errno %d", -b.w.gmem);
	limit(RLIMIT_NPROC, RLIM_INFINITY);
	bench_relieved(&early);
}

/* ---- all of them ---- */

static const struct scenario {
	const char *name;
	void (*run)(void);
} scenarios[] = {
	{ "no-mappings", scenario_no_mappings },
	{ "no-mappings-at-first", scenario_no_mappings_at_first },
	{ "no-address-space", scenario_no_address_space },
	{ "no-descriptors", scenario_no_descriptors },
	{ "few-descriptors", scenario_few_descriptors },
	{ "no-locked-memory", scenario_no_locked_memory },
	{ "no-threads", scenario_no_threads },
	{ "many-runs", scenario_many_runs },
	{ "no-userfaultfd", scenario_no_userfaultfd },
	{ "no-memfd-later", scenario_no_memfd_later },
	{ "no-memfd-at-all", scenario_no_memfd_at_all },
	{ "jail", scenario_jail },
};

static void become_nobody(void)
{
	if (getuid())
		return;
	if (setgid(NOBODY) || setuid(NOBODY) || prctl(PR_SET_DUMPABLE, 1))
		die("an ordinary user: errno %d", errno);
}

static bool ends_well(const struct scenario *s, bool ordinary)
{
	int status = -1, pid;

	printf("%s, as %s\n", s->name, ordinary || getuid() ? "an ordinary user" : "root");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork: errno %d", errno);
	if (!pid) {
		alarm(120);
		if (ordinary)
			become_nobody();
		s->run();
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid: errno %d", errno);
	if (status)
		printf("  FAILED, status 0x%x\n", (unsigned int)status);
	return !status;
}

static bool is_wanted(const char *name, char **names)
{
	bool any = *names;

	while (*names) {
		if (strcmp(*names++, name) == 0)
			return true;
	}
	return !any;
}

int main(int argc, char **argv)
{
	unsigned int failed = 0;

	skip_without_marks();
	for (unsigned int i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
		if (!is_wanted(scenarios[i].name, argv + 1))
			continue;
		if (!getuid())
			failed += !ends_well(&scenarios[i], false);
		failed += !ends_well(&scenarios[i], true);
	}
	printf("%u failed\n", failed);
	return failed != 0;
}
