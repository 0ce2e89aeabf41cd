/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* VMs and guest_memfds that do nothing: what it costs to make one, and to have one. */
#include "bench/machine.h"
#include "bench/machine_sets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- made ------------------------------------------------------------------------------------- */

#define MAX_MADE 64

static int make_setup(struct bench_run *r)
{
	struct machine *m = malloc(sizeof(*m));
	int err;

	if (!m)
		return -ENOMEM;
	r->own = m;
	err = machine_open(r, m, KVM_X86_DEFAULT_VM);
	if (!err)
		return 0;
	machine_teardown(r);
	return err;
}

static long make_one(const struct bench_run *r)
{
	struct kvm_create_guest_memfd args = { .size = BENCH_1G };
	const struct machine *m = r->own;

	if (*(const bool *)r->bcase->data)
		return m->u->ioctl(m->kvm, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);
	return uapi_ioctl(m->u, m->vm, KVM_CREATE_GUEST_MEMFD, &args);
}

static int make_round(struct bench_run *r)
{
	const struct machine *m = r->own;
	long fds[MAX_MADE];
	uint64_t made = 0;

	r->done = r->nr < MAX_MADE ? r->nr : MAX_MADE;
	bench_start(r);
	do
		fds[made] = make_one(r);
	while (fds[made] >= 0 && ++made < r->done);
	bench_stop(r);
	for (uint64_t i = 0; i < made; i++)
		m->u->close((int)fds[i]);
	return made == r->done ? 0 : (int)fds[made];
}

static const struct bench_ops make_ops = { make_setup, make_round, machine_teardown };

static int make_memfd(void)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	return fd < 0 || ftruncate(fd, (off_t)BENCH_1G) ? -errno : fd;
}

static int memfd_round(struct bench_run *r)
{
	int fds[MAX_MADE];
	uint64_t made = 0;

	r->done = r->nr < MAX_MADE ? r->nr : MAX_MADE;
	bench_start(r);
	do
		fds[made] = make_memfd();
	while (fds[made] >= 0 && ++made < r->done);
	bench_stop(r);
	for (uint64_t i = 0; i < made; i++)
		close(fds[i]);
	return made == r->done ? 0 : fds[made];
}

static const struct bench_ops memfd_ops = { NULL, memfd_round, NULL };

/* ---- kept -------------------------------------------------------------------------------------- */

struct idle {
	struct machine m;
	uint64_t bytes;
};

/* "Rss:   1234 kB" of a file of /proc, in bytes. */
static uint64_t read_field(const char *file, const char *field)
{
	char text[8192], *at;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	at = strstr(text, field);
	return at ? strtoull(at + strlen(field), NULL, 10) * 1024 : 0;
}

/* What this process has in memory, its page tables too. */
static uint64_t memory_of_process(void)
{
	return read_field("/proc/self/smaps_rollup", "\nRss:") +
	       read_field("/proc/self/status", "\nVmPTE:");
}

static int idle_make(struct bench_run *r, struct idle *i)
{
	bool has_vcpu = *(const bool *)r->bcase->data;
	int err = machine_open(r, &i->m, KVM_X86_SW_PROTECTED_VM);

	if (!err)
		err = machine_add_slot(r, &i->m, 1, 1024 * BENCH_1G, 1024 * BENCH_1G, MACHINE_GMEM);
	if (!err)
		err = machine_set_private(&i->m, 1024 * BENCH_1G, 1024 * BENCH_1G, true);
	if (!err && has_vcpu)
		err = machine_add_vcpus(r, &i->m, 1);
	return err || !has_vcpu ? err : machine_call(&i->m, 0, GUEST_EXIT, 0, 0, 0);
}

/* Once: what is kept for the next VM when this one goes is of the first. */
static int idle_setup(struct bench_run *r)
{
	struct idle *i = calloc(1, sizeof(*i));
	uint64_t before;
	int err;

	if (!i)
		return -ENOMEM;
	r->own = i;
	memory_of_process();
	before = memory_of_process();
	err = idle_make(r, i);
	i->bytes = memory_of_process() - before;
	if (!err)
		return 0;
	machine_close(&i->m);
	free(i);
	return err;
}

static void idle_teardown(struct bench_run *r)
{
	struct idle *i = r->own;

	machine_close(&i->m);
	free(i);
}

static int idle_round(struct bench_run *r)
{
	const struct idle *i = r->own;

	bench_start(r);
	bench_value(r, (double)i->bytes);
	bench_stop(r);
	return 0;
}

static const struct bench_ops idle_ops = { idle_setup, idle_round, idle_teardown };

#define IDLE(name_, what_, limit_, has_vcpu_)                                                    \
	{                                                                                        \
		.name = "idle/" name_, .what = what_, .unit = BENCH_BYTES, .per = "VM", .nr = 1, \
		.goals = { { .limit = limit_ } }, .ways = { MACHINE_OURS(idle_ops) },            \
		.data = &(const bool){ has_vcpu_ },                                              \
	}

const struct bench_case bench_life_cases[] = {
	IDLE("1T", "a VM with a guest_memfd of 1 TiB", 1 << 20, false),
	IDLE("1T/vcpu", "the same with a vCPU that has run, and its RAM", 0, true),
	{
		.name = "make/gmem",
		.what = "a guest_memfd of 1 GiB; a memfd and its size",
		.unit = BENCH_TIME,
		.per = "call",
		.ways = { MACHINE_WAYS(make_ops), { .name = "memfd", .ops = &memfd_ops } },
		.data = &(const bool){ false },
	},
	{
		.name = "make/vm",
		.what = "a VM",
		.unit = BENCH_TIME,
		.per = "call",
		.ways = { MACHINE_WAYS(make_ops) },
		.data = &(const bool){ true },
	},
	{ 0 },
};
