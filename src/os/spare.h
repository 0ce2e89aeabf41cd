/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * spare: what a process needs later, made before it filters its own system calls (seccomp).
 *
 * A filter may kill whoever calls memfd_create, userfaultfd, socket or clone, and nobody can ask it first.
 * So from the moment that one is installed (the jail) none of ours calls them: memfds come from a pool
 * that was filled before, threads and the userfaultfd are there already.
 *
 *	os_jail_prepare()	the pool is filled anew		(shim, before the filter)
 *	os_jail_enter()		from here on			(no memfd or thread of ours is half made)
 *	... the filter is installed ...
 *	os_jail_leave()		if it was refused
 *
 * A child of a fork stays in the jail and has no pool: its memfds would be its parent's.
 * Whoever makes one of these by a system call of his own does it under os_jail_hold(), which says whether he may.
 */
#ifndef GMEM_OS_SPARE_H
#define GMEM_OS_SPARE_H

#include <stdbool.h>
#include <stdint.h>

#define OS_SPARE_NAME_MAX 96

/* True: the process is not in the jail and does not enter it before os_jail_let(). False: it is, and there is
 * nothing to let go. Not recursive. */
bool os_jail_hold(void);
void os_jail_let(void);
/* For a look, without the lock. */
bool os_jailed(void);

/* Empty memfds that can be sealed, to be taken by what is called name, or, NULL, by anything whose name
 * nobody reads: nr of them, or as many as the number of descriptors allows. name_of(i) names the i-th;
 * false: no more. */
typedef bool (*os_spare_name)(unsigned int i, char name[OS_SPARE_NAME_MAX]);
/* nr_named may be 0. What is left of an earlier pool goes. Returns how many there are now. */
unsigned int os_jail_prepare(os_spare_name name_of, unsigned int nr_named);
void os_jail_enter(void);
void os_jail_leave(void);

/* An empty memfd for the program, at its lowest free number. must_have_name: others know it by its name;
 * otherwise name is what it is called if there is a choice. -EMFILE: also when the pool is empty. */
int os_memfd_for_program(const char *name, bool must_have_name, bool cloexec, int *fd);
/* Nobody can change a byte of it, its size or its seals from here on. */
int os_memfd_seal(int fd);

/* For os_memfd_create(): the pool's turn. */
int os_spare_take(const char *name, int *fd);
/* How many are left, named or not. */
unsigned int os_spare_left(void);

#endif
