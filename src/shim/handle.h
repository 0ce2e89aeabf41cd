/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * handle: what stands behind a descriptor of ours.
 *
 *	number 5 ─┐
 *	number 9 ─┼─> open file description ─> empty sealed memfd   (the kernel's)
 *	child's 5 ┘        │ write lock
 *	                   ┆ told free when the last copy anywhere is closed
 *	                watch: a second description of the same memfd, our own
 *
 *	numbers 5, 9 ─> struct handle ─> struct kvm_object           (ours)
 *
 * The program holds a memfd of its own kind: empty, so that a process outside gmem which maps it
 * finds no byte (SIGBUS) and one that writes to it fails. It is never the store. What it is, is
 * known by device and inode, however it comes back to us (dup, SCM_RIGHTS, fork). Its description stands at a
 * random position of 61 bits, which the program, whose seeking we answer, neither sees nor moves: the kernel tells
 * a position in little more than half the time of an inode. Where it does not fit the inode decides.
 *
 * The last close. Numbers of this process are counted. As long as no copy can be elsewhere that
 * count is the truth. Before a copy goes elsewhere (fork, SCM_RIGHTS) the handle is armed: its
 * description takes a write lock of the OFD kind, which lives as long as the description does, and
 * we keep a second description of the memfd. When our count is zero and the second one can take
 * the lock, the last copy is gone; if not, a thread watches for it.
 *
 * Handles are never unmapped: a reader without a lock that finds one which was just let go sees
 * refs 0. Everything here takes a lock: between shim_enter() and shim_leave() only, but for the
 * inline ones.
 */
#ifndef GMEM_SHIM_HANDLE_H
#define GMEM_SHIM_HANDLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm/kvm.h"

struct handle {
	_Atomic uint32_t refs;	  /* one while a description is open anywhere, one per user */
	_Atomic uint32_t numbers; /* descriptors of this process */
	_Atomic bool open;	  /* that one reference is there */
	bool waited_for;	  /* the last copies are elsewhere; one more user; under the lock */
	bool elsewhere; /* what it stands for lives in another process: nobody waits for a last close */
	struct kvm_object *_Atomic object; /* NULL: reserved, not yet anybody's */
	uint64_t dev, ino;		   /* of the memfd */
	int64_t place;	     /* file position of its description; < 0: no mark of it */
	int watch_fd;	     /* -1: not armed */
	_Atomic int lock_fd; /* the program's locks; -1: it has asked for none */
	int open_flags;	     /* what open() was given for /dev/kvm; else O_RDWR */
	struct handle *next,
		**link_to; /* those with inodes like this one; link_to: what points here */
	struct handle *next_waiting;
	struct handle *next_unused;
};

/* What /proc says of a descriptor that other processes can know (host_file_name()) begins so. */
#define HANDLE_NAME "/memfd:gmem."

/* A new memfd at the lowest free number and a handle for it, not yet in the table. name: by which other
 * processes know it; NULL: they need not. */
int handle_create(bool cloexec, const char *name, struct handle **out, int *fd);
/* The thread that watches for last closes, for who must have it early; it stays once no other can be made
 * (os/spare.h). -EAGAIN: there is none. */
int handle_start_watcher(void);

/* One for a descriptor that came from another process and is a guest_memfd of its, not yet in the table, with
 * one more user.
 * -ENOENT: it is none. Others: it is one, and cannot be had. */
int handle_adopt(int fd, struct handle **out);
/* Is it the handle of any process under gmem? For names in /proc of other processes. */
bool handle_is_any(int fd);

/* One more user, unless the handle was let go. */
static inline bool handle_try_get(struct handle *h)
{
	uint32_t refs = atomic_load_explicit(&h->refs, memory_order_relaxed);

	while (refs)
		if (atomic_compare_exchange_weak(&h->refs, &refs, refs + 1))
			return true;
	return false;
}

void handle_put(struct handle *h);

/* Is this number (still) a descriptor of the handle's memfd? A system call. */
bool handle_is_behind(const struct handle *h, int fd);
/* The handle, with one more user, of which fd is a descriptor; NULL. For descriptors that came in
 * by another way than dup. */
struct handle *handle_find(int fd);

/* One that was made has got no number, and will not get any. */
void handle_abandon(struct handle *h);
/* This process has one more number for it. The caller is one more user: it may be a copy of the last one, which
 * is closed just now. */
void handle_number_new(struct handle *h);
/* A number of this process is gone: was it the last one anywhere? The caller is one more user. */
void handle_number_gone(struct handle *h);

/* A memfd of ours on which the program's own locks are taken, since its description has one of
 * ours. -1: there can be none. */
int handle_lock_fd(struct handle *h);

/* How many handles wait for a last close elsewhere, and a look whether it has happened: the watching
 * thread may be late, and who asks a VM after the child's death must find it dead. */
extern _Atomic uint32_t handle_nr_waiting;
void handle_look_again(void);

/* Copies may be elsewhere from now on. fd is one of its numbers. */
void handle_arm(struct handle *h, int fd);

/* Around a fork: nobody holds the lock of the list. */
void handle_lock_all(void);
void handle_unlock_all(void);
/* In a forked child: what there is belongs to the parent. */
void handle_inherit_all(void);

/* How many there are; racy, for a cheap test whether gmem has anything to do. */
extern _Atomic uint32_t handle_count;

#endif
