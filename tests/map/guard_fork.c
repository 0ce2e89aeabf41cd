/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A child has its windows, all hidden; one that we are not told of has nothing. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/attr_map.h"
#include "guard_t.h"

#define NR 16

static bool good(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && status == 0;
}

static pid_t told_fork(struct t *t)
{
	pid_t pid;

	host_map_before_fork(t->m);
	pid = fork();
	if (pid)
		host_map_after_fork_in_parent(t->m);
	else
		host_map_after_fork_in_child(t->m);
	return pid;
}

static void all_private(struct t *t)
{
	T_EQ(attr_map_reserve(t->f.state, 0, t->nr_pages), 0);
	attr_map_set(t->f.state, 0, t->nr_pages, ATTR_PRIVATE);
}

static void a_child_begins_hidden_and_is_a_host_of_its_own(struct t *t, enum mode mode)
{
	uint8_t *w, *v;
	pid_t pid;

	t_init(t, mode, NR);
	w = t_map(t, 0, NR);
	v = t_map(t, 2, 4);
	T_EQ(t_hide(t, 3, 2), 0);
	T_EQ(t_hide(t, 8, 1), 0);
	pid = told_fork(t);
	if (!pid) {
		all_private(t);
		t_check_window(t, w, 0, NR);
		t_check_window(t, v, 2, 4);
		T_EQ(t_show(t, 0, 6), 0);
		T_EQ(t_hide(t, 1, 1), 0);
		t_check_window(t, w, 0, NR);
		t_check_window(t, v, 2, 4);
		/* And its own child. */
		pid = told_fork(t);
		all_private(t);
		if (!pid) {
			t_check_window(t, w, 0, NR);
			_exit(0);
		}
		T_OK(good(pid));
		_exit(0);
	}
	T_OK(good(pid));
	t_check_window(t, w, 0, NR);
	t_check_window(t, v, 2, 4);
	T_EQ(t_show(t, 0, NR), 0);
	t_check_window(t, w, 0, NR);
}

/* Without a word to us: holes, or nothing behind what is there. */
static void a_raw_fork_finds_nothing(struct t *t, enum mode mode)
{
	uint8_t value, *w;
	pid_t pid;

	t_init(t, mode, NR);
	w = t_map(t, 0, NR);
	for (int i = 0; i < 2; i++) {
		T_EQ(t_hide(t, 3, 5), 0);
		T_EQ(t_show(t, 4, 1), 0);
		pid = (pid_t)syscall(SYS_fork);
		if (!pid) {
			for (uint64_t p = 0; p < NR; p++)
				T_OK(t_read(t, w + p * PAGE, &value).signo);
			_exit(0);
		}
		T_OK(good(pid));
		T_EQ(t_show(t, 0, NR), 0);
	}
}

static void the_program_s_own_wish_counts(struct t *t, enum mode mode)
{
	uint8_t value, *w;
	pid_t pid;

	t_init(t, mode, NR);
	w = t_map(t, 0, NR);
	T_EQ(t_hide(t, 3, 5), 0);
	T_EQ(host_map_madvise(t->m, (uintptr_t)w, NR * PAGE, MADV_DOFORK), 0);
	T_EQ(host_map_madvise(t->m, (uintptr_t)w + 4 * PAGE, 4 * PAGE, MADV_DONTFORK), 0);
	pid = told_fork(t);
	if (!pid) {
		all_private(t);
		t_check_window(t, w, 0, 4);
		for (uint64_t p = 4; p < 8; p++)
			T_EQ(t_read(t, w + p * PAGE, &value).signo, SIGSEGV);
		t_check_window(t, w + 8 * PAGE, 8, NR - 8);
		/* Not put in the fork itself, whose locks it may need. */
		T_EQ(t->pins, 3);
		T_EQ(host_map_munmap(t->m, (uintptr_t)w, PAGE), 0);
		T_EQ(t->pins, 2);
		_exit(0);
	}
	T_OK(good(pid));
	t_check_window(t, w, 0, NR);
	pid = (pid_t)syscall(SYS_fork);
	if (!pid) {
		for (uint64_t p = 0; p < NR; p++)
			T_OK(t_read(t, w + p * PAGE, &value).signo);
		_exit(0);
	}
	T_OK(good(pid));
}

static void what_cannot_be_converted_is_inherited(struct t *t, enum mode mode)
{
	static struct host_file shared, hidden;
	uint64_t at, dark;
	uint8_t value;
	pid_t pid;

	t_init(t, mode, NR);
	shared = t->f;
	shared.flags = GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED;
	hidden = t->f;
	hidden.flags = GMEM_FILE_MMAP;
	T_EQ(host_map_mmap(t->m, &shared, &t->pins, 0, NR * PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED, 0, &at),
	     0);
	T_EQ(host_map_mmap(t->m, &hidden, &t->pins, 0, NR * PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED, 0, &dark),
	     0);
	T_EQ(t->m->guard.nr_mappings, 0);
	pid = told_fork(t);
	T_EQ(t_read(t, (uint8_t *)(uintptr_t)at + PAGE, &value).signo, 0);
	T_EQ(value, t_stamp(1));
	T_EQ(t_read(t, (uint8_t *)(uintptr_t)dark + PAGE, &value).signo, SIGBUS);
	if (!pid)
		_exit(0);
	T_OK(good(pid));
}

const struct t_case t_fork[] = {
	{ "a child begins hidden and is a host of its own",
	  a_child_begins_hidden_and_is_a_host_of_its_own },
	{ "a raw fork finds nothing", a_raw_fork_finds_nothing },
	{ "the program's own wish counts", the_program_s_own_wish_counts },
	{ "what cannot be converted is inherited", what_cannot_be_converted_is_inherited },
	{ 0 },
};
