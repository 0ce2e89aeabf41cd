/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * host_map: the program's own mappings of guest_memfds in this process, and the guard that makes what the
 * host may not touch SIGBUS.
 *
 * A mapping of a file that cannot be converted is a plain one: of the store with INIT_SHARED, of an empty
 * file without (SIGBUS everywhere, EFAULT from system calls). A mapping of a file that converts in place is a
 * window: its shared pages are the store's, a present one costs no call to us, and its private pages are
 * hidden by guard.h. Windows are kept out of forks: a child has what host_map_after_fork_in_child() made.
 *
 * The registry knows every such range of this process. Every change the program makes to the address range
 * (munmap, mremap, MAP_FIXED, mprotect, mlock, madvise) over a window is made by a function here, which
 * holds the registry's lock over the system call: a conversion must not map over what another thread has just
 * put there. A call that fails changed nothing.
 *
 * Locks: the shim's mapping lock -> file invalidate (host_file_hold) -> host_map's own, a leaf but for the store's.
 * Owners are put without it.
 */
#ifndef GMEM_MAP_HOST_MAP_H
#define GMEM_MAP_HOST_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "map/host_file.h"

struct host_map;

/* put is called, without locks, each time a mapping that pinned owner goes away; get when one is made.
 * owner is whatever the upper layer counts (its guest_memfd object). */
struct host_map_ops {
	void (*get)(void *owner);
	void (*put)(void *owner);
};
int host_map_create(const struct host_map_ops *ops, struct host_map **out);
/* A registry that lives as long as the process; cannot fail. Called once. */
struct host_map *host_map_of_process(const struct host_map_ops *ops);
void host_map_destroy(struct host_map *m);
/* Before a filter may kill the process for making descriptors (userfaultfd, memfd_create): what will be
 * needed is opened now, and nothing later, nor in a child. An error: pages can be hidden by mappings only, or
 * (without the empty file) not at all. */
int host_map_get_ready(struct host_map *m);

/* ---- the program's calls ------------------------------------------------------------------- */

/* mmap(2) of f at offset, arguments checked by the caller (MAP_SHARED, page aligned, no overflow); flags as
 * given, MAP_FIXED and MAP_FIXED_NOREPLACE too: what is replaced is dropped from the registry. *at: where.
 * -ENOMEM (also: the guard has no room), or the kernel's. */
int host_map_mmap(struct host_map *m, struct host_file *f, void *owner, uint64_t addr,
		  uint64_t size, int prot, int flags, uint64_t offset, uint64_t *at);
/* Something else over [addr, addr + size), MAP_FIXED: mmap(2)'s result. */
long host_map_replace(struct host_map *m, uint64_t addr, uint64_t size, int prot, int flags, int fd,
		      uint64_t offset);
long host_map_munmap(struct host_map *m, uint64_t addr, uint64_t size);
long host_map_mremap(struct host_map *m, uint64_t addr, uint64_t old_size, uint64_t size, int flags,
		     uint64_t to);
/* pkey -1: mprotect. PROT_EXEC over a window: -EACCES. */
long host_map_mprotect(struct host_map *m, uint64_t addr, uint64_t size, int prot, int pkey);
/* mlock2's flags; lock false: munlock. */
long host_map_mlock(struct host_map *m, uint64_t addr, uint64_t size, int flags, bool lock);
/* Not MADV_REMOVE, which is a punch and the caller's. */
long host_map_madvise(struct host_map *m, uint64_t addr, uint64_t size, int advice);

struct host_map_range {
	uint64_t addr, size; /* of the whole mapping piece */
	struct host_file *file;
	void *owner;
	uint64_t offset; /* in the file, of addr */
};
/* The first piece that meets [addr, addr + size); false when none does. The owner is pinned (ops->get):
 * the caller puts it. */
bool host_map_find(struct host_map *m, uint64_t addr, uint64_t size, struct host_map_range *out);
/* Leaves of what was found for [addr, end) the part that lies in it. */
static inline void host_map_clip(struct host_map_range *r, uint64_t addr, uint64_t end)
{
	uint64_t stop = r->addr + r->size < end ? r->addr + r->size : end;

	if (r->addr < addr) {
		r->offset += addr - r->addr;
		r->addr = addr;
	}
	r->size = stop - r->addr;
}
/* Cheap test without the lock: false when no mapping exists at all. */
bool host_map_any(struct host_map *m);
/* Is addr a page of a window that is hidden now? For the handler of SIGBUS. */
bool host_map_is_hidden(struct host_map *m, uint64_t addr);
/* Is it a page of a window at all? A SIGBUS that a mark caused may be handled when the page has just been shown:
 * BUS_MCEERR_AR of a window is BUS_ADRERR all the same. Takes the lock. */
bool host_map_is_window(struct host_map *m, uint64_t addr);

/* Is it a page of a window that is bad on purpose (obs/inject.h)? Then BUS_MCEERR_AR is right. Takes the lock. */
bool host_map_is_bad(struct host_map *m, uint64_t addr);

/* ---- conversion ---------------------------------------------------------------------------- */

/*
 * Hides or shows [offset, offset + size) of f in every window of it; for a replica f->state is set in the same
 * hold of the lock. hide: when it returns 0 no access through a window of this process succeeds any more, CPU
 * or system call; -ENOMEM, -EINTR: nothing has changed. show: -ENOMEM: nothing has changed. A range that is so
 * in part already may be given. host_map_hide_again() undoes a show and cannot fail: it closes more than asked
 * when there is no room for less, and says so in the log.
 */
int host_map_hide(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t size);
int host_map_show(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t size);
/* At home, where the file's state never changed: opens what it says is shared, with what is held in reserve. */
void host_map_show_again(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t size);
void host_map_hide_again(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t size);

/* A block of f, 2 MiB or 1 GiB, that is shared all through: whether its windows can be of huge pages; close it, whoever touches it waits;
 * open it, where its store has it now or as it was. The registry's lock is held in between. close: -ENOMEM and others. */
bool host_map_takes_huge(struct host_map *m, struct host_file *f, uint64_t offset, uint64_t size);
int host_map_close(struct host_map *m, struct host_file *f, uint64_t offset);
void host_map_open(struct host_map *m, struct host_file *f, uint64_t offset);
void host_map_open_as_it_was(struct host_map *m, struct host_file *f, uint64_t offset);

/* ---- fork ---------------------------------------------------------------------------------- */

void host_map_before_fork(struct host_map *m);
void host_map_after_fork_in_parent(struct host_map *m);
/* Every window is there again, all of it hidden; share.c shows what is shared once the home has told. */
void host_map_after_fork_in_child(struct host_map *m);

#endif
