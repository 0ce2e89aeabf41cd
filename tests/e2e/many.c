/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Many VMs of one process know nothing of each other, all at work at once: each has its own private and shared pages,
 * converts them, and sees its own bytes alone. A child that is forked in the midst of it has none of these VMs, has
 * their guest_memfds, and can make a VM of its own; to the parent's nothing happens.
 */
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_VMS 64
#define NR_PAGES 4

struct one {
	struct guest g;
	pthread_t thread;
	uint8_t number;
	int file;
	uint8_t *shared; /* the other side */
	int failed;	 /* the line */
};

static struct one all[NR_VMS];
static pthread_barrier_t gate;

static void make(struct one *o, uint8_t number)
{
	uint8_t code[] = { MOV_AL(number), STORE_AL, LOAD_AL, OUT_AL, LOAD_AL,
			   OUT_AL,	   LOAD_AL,  OUT_AL,  HLT };

	guest_make(&o->g, KVM_X86_SW_PROTECTED_VM);
	o->number = number;
	o->failed = 0;
	o->shared = guest_memory(NR_PAGES * PAGE);
	o->file = guest_gmem(&o->g, NR_PAGES * PAGE, 0);
	guest_set_gmem(&o->g, 1, DATA, NR_PAGES * PAGE, o->shared, o->file);
	guest_code(&o->g, code, sizeof(code));
}

static void end(struct one *o)
{
	guest_free(&o->g);
	assert_int_equal(close(o->file), 0);
	munmap(o->shared, NR_PAGES * PAGE);
}

/* What the guest says by its port. */
static bool says(struct one *o, uint8_t byte)
{
	struct kvm_run *run = o->g.run;

	return guest_run(&o->g) == 0 && run->exit_reason == KVM_EXIT_IO &&
	       ((uint8_t *)run)[run->io.data_offset] == byte;
}

static int converts(struct one *o, int is_private)
{
	return guest_set_private(&o->g, DATA, PAGE, is_private);
}

/* 0, or the line of what did not hold. A thread of no test: it cannot assert. */
static int live(struct one *o)
{
	uint8_t other = o->number ^ 0x80;
	bool begun = !converts(o, 1) && says(o, o->number);

	pthread_barrier_wait(&gate); /* all are in the midst of it */
	pthread_barrier_wait(&gate); /* a child has come and gone */
	if (!begun)
		return __LINE__;
	o->shared[0] = other;
	for (int i = 0; i < 50; i++)
		if (converts(o, i & 1))
			return __LINE__;
	if (converts(o, 0) || !says(o, other))
		return __LINE__;
	if (converts(o, 1) || !says(o, o->number))
		return __LINE__;
	if (guest_run(&o->g) || o->g.run->exit_reason != KVM_EXIT_HLT)
		return __LINE__;
	return o->shared[0] == other ? 0 : __LINE__;
}

static void *lives(void *arg)
{
	struct one *o = arg;

	o->failed = live(o);
	return NULL;
}

static int status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define MUST(cond)                \
	do {                      \
		if (!(cond))      \
			return 1; \
	} while (0)

static int child_has_files_and_no_vm(void)
{
	struct stat st;
	int kvm, vm;

	for (int i = 0; i < NR_VMS; i++) {
		MUST(ioctl(all[i].g.vcpu, KVM_RUN, 0) == -1 && errno == EIO);
		MUST(ioctl(all[i].g.vm, KVM_CREATE_VCPU, 1) == -1 && errno == EIO);
		MUST(converts(&all[i], 0) == -EIO);
		MUST(fstat(all[i].file, &st) == 0 && st.st_size == NR_PAGES * (off_t)PAGE);
	}
	MUST(fallocate(all[1].file, FALLOC_FL_KEEP_SIZE, 0, PAGE) == 0);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	MUST(kvm >= 0);
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	MUST(vm >= 0 && ioctl(vm, KVM_CREATE_VCPU, 0) >= 0);
	return 0;
}

static int nr_open(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = 0;

	assert_non_null(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

/* Twice: the second time nothing is left of the first. */
static void each_of_many_has_its_own(void **state)
{
	int before[2];
	pid_t pid;

	assert_int_equal(pthread_barrier_init(&gate, NULL, NR_VMS + 1), 0);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < NR_VMS; i++)
			make(&all[i], (uint8_t)i);
		for (int i = 0; i < NR_VMS; i++)
			assert_int_equal(pthread_create(&all[i].thread, NULL, lives, &all[i]), 0);
		pthread_barrier_wait(&gate);
		pid = fork();
		if (!pid)
			_exit(child_has_files_and_no_vm());
		assert_int_equal(status_of(pid), 0);
		pthread_barrier_wait(&gate);
		for (int i = 0; i < NR_VMS; i++) {
			assert_int_equal(pthread_join(all[i].thread, NULL), 0);
			assert_int_equal(all[i].failed, 0);
		}
		for (int i = 0; i < NR_VMS; i++)
			end(&all[i]);
		before[round] = nr_open();
	}
	assert_int_equal(before[1], before[0]);
	pthread_barrier_destroy(&gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(each_of_many_has_its_own) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
