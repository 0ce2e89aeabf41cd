/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Programs that a filter keeps from system calls which would help. */
#include "exhaust.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MANY_RUNS 40000ul
#define MIN_RUNS 4000ul /* even by overlays a process gets that far */

void filter_calls(const int *calls, unsigned int nr, int error)
{
	uint32_t refuse = error ? SECCOMP_RET_ERRNO | (uint32_t)error : SECCOMP_RET_KILL_PROCESS;
	struct sock_filter code[2 * MAX_FILTERED + 2];
	struct sock_fprog prog = { .filter = code };

	code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
	for (unsigned int i = 0; i < nr && i < MAX_FILTERED; i++) {
		code[prog.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
								(uint32_t)calls[i], 0, 1);
		code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, refuse);
	}
	code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
		die("a filter: errno %d", errno);
}

/* Odd pages to private until it is refused or enough; how many are private. */
static uint64_t alternate(const struct world *w, int *error)
{
	uint64_t page, at;

	*error = 0;
	for (page = 1; page < w->size / PAGE; page += 2) {
		at = 1;
		*error = convert(w->gmem, page * PAGE, PAGE, true, &at);
		if (*error && at != page * PAGE && *error == -ENOMEM)
			die("ENOMEM with error_offset 0x%llx", (unsigned long long)at);
		if (*error)
			break;
	}
	return page / 2;
}

/* Runs of one private page; after nr of them all is shared. */
static void look_at_runs(const struct world *w, uint64_t nr)
{
	uint64_t value;

	for (uint64_t page = 0; page < w->size / PAGE; page++) {
		bool is_private = (page & 1) && page / 2 < nr;
		enum touch r;

		if (page % 16 > 3 && page / 2 + 4 < nr)
			continue;
		if (page / 2 > nr + 16)
			return;
		r = host_load(w->host + page * PAGE, &value);
		if (r != (is_private ? TOUCH_BUS : TOUCHED))
			die("page %llu, %s: %d, %s", (unsigned long long)page,
			    is_private ? "private" : "shared", (int)r, trap_text());
	}
}

static void *nothing(void *arg)
{
	return arg;
}

static void must_have_room(void)
{
	pthread_t thread;
	char *p = malloc(64ul << 20);

	if (!p)
		die("malloc() of 64 MiB fails");
	memset(p, 1, 1 << 20);
	errno = pthread_create(&thread, NULL, nothing, NULL);
	if (errno)
		die("pthread_create: errno %d", errno);
	pthread_join(thread, NULL);
	free(p);
}

static void all_to(const struct world *w, bool to_private)
{
	uint64_t value;
	int r = convert(w->gmem, 0, w->size, to_private, NULL);

	if (r)
		die("all to %s: errno %d", to_private ? "private" : "shared", -r);
	for (uint64_t page = 0; page < w->size / PAGE; page += 97) {
		if (host_load(w->host + page * PAGE, &value) != (to_private ? TOUCH_BUS : TOUCHED))
			die("page %llu is not %s", (unsigned long long)page,
			    to_private ? "shut" : "open");
	}
}

/* With a userfaultfd there are as many runs as one likes, with or without privilege. */
void scenario_many_runs(void)
{
	struct world w;
	uint64_t nr;
	int r;

	trap_install();
	world_make(&w, 2 * MANY_RUNS * PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	nr = alternate(&w, &r);
	if (r)
		die("run %llu: errno %d", (unsigned long long)nr, -r);
	printf("  %llu runs, %ld mappings\n", (unsigned long long)nr, count_vmas());
	must_have_room();
	look_at_runs(&w, nr);
	all_to(&w, false);
	all_to(&w, true);
}

/* Without one there is an end, and it comes before the program has no mapping left. */
static void must_end_cleanly(struct world *w)
{
	uint64_t nr, again;
	int r;

	nr = alternate(w, &r);
	printf("  %llu runs, then errno %d, %ld mappings\n", (unsigned long long)nr, -r,
	       count_vmas());
	if (r != -ENOMEM || nr < MIN_RUNS)
		die("the end is not clean");
	must_have_room();
	look_at_runs(w, nr);
	/* What is given back can be had again. */
	for (uint64_t i = 0; i < 100; i++) {
		r = convert(w->gmem, (2 * i + 1) * PAGE, PAGE, false, NULL);
		if (r)
			die("a page to shared at the end: errno %d", -r);
	}
	for (uint64_t i = 0; i < 100; i++) {
		r = convert(w->gmem, (2 * i + 1) * PAGE, PAGE, true, NULL);
		if (r)
			die("a page to private at the end: errno %d", -r);
	}
	look_at_runs(w, nr);
	all_to(w, true);
	all_to(w, false);
	again = alternate(w, &r);
	if (r != -ENOMEM || again + 16 < nr)
		die("%llu runs the second time, errno %d", (unsigned long long)again, -r);
	all_to(w, false);
	must_have_room();
}

void scenario_no_userfaultfd(void)
{
	static const int calls[] = { SYS_userfaultfd };
	struct world w;

	filter_calls(calls, 1, EPERM);
	trap_install();
	world_make(&w, 2 * MANY_RUNS * PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	must_end_cleanly(&w);
}

void scenario_no_memfd_later(void)
{
	static const int calls[] = { SYS_memfd_create };
	static struct bench b;
	int fds[600];
	unsigned int nr = 0;

	bench_make(&b);
	filter_calls(calls, 1, EMFILE);
	bench_try_much(&b);
	bench_try_window(&b);
	while (nr < 600 && (fds[nr] = world_gmem(&b.w, PAGE, 3)) >= 0)
		nr++;
	printf("  %u guest_memfds more\n", nr);
	if (nr < 600 && fds[nr] != -EMFILE && fds[nr] != -ENOMEM)
		die("a guest_memfd without memfds: errno %d", -fds[nr]);
	while (nr)
		close(fds[--nr]);
	bench_relieved(&b);
}

void scenario_no_memfd_at_all(void)
{
	static const int calls[] = { SYS_memfd_create };
	struct world w = { .gmem = -1 };
	int kvm, fd;

	filter_calls(calls, 1, ENOSYS);
	kvm = open("/dev/kvm", O_RDWR);
	if (kvm < 0)
		return;
	w.vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	if (w.vm < 0)
		return;
	fd = world_gmem(&w, PAGE, 3);
	if (fd >= 0)
		die("a guest_memfd came from nowhere");
}

/* What a careful monitor forbids itself once it has its VM; it never knew that we need any of it. */
void scenario_jail(void)
{
	static const int calls[] = { SYS_userfaultfd, SYS_memfd_create, SYS_socket,
				     SYS_socketpair,  SYS_clone,	SYS_clone3 };
	struct world w, more;
	static struct bench b;
	uint64_t nr;
	int r;

	bench_make(&b);
	world_make(&w, 2 * MANY_RUNS * PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	filter_calls(calls, sizeof(calls) / sizeof(calls[0]), 0);
	bench_try_much(&b);
	bench_try_window(&b);
	nr = alternate(&w, &r);
	if (r)
		die("run %llu in jail: errno %d", (unsigned long long)nr, -r);
	look_at_runs(&w, nr);
	more = b.w;
	more.gmem = world_gmem(&b.w, 16 * PAGE, 3);
	if (more.gmem < 0)
		die("a guest_memfd in jail: errno %d", -more.gmem);
	r = convert(more.gmem, 0, 16 * PAGE, true, NULL);
	if (r)
		die("a conversion in jail: errno %d", -r);
	b.nr_refused = 0;
	all_to(&w, false);
}
