/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * lib: libgmem.so and libgmem.a, include/gmem.h over map/ and core/. It checks arguments in the order that the
 * header promises, counts references, and knows which struct gmem a window belongs to; what a page is and who
 * may touch it is decided below.
 *
 *	struct gmem ── host_file (map/host_file.h): at home over a gmem_file, elsewhere over the home's share
 *	     ↑ counted by: who called gmem_create(), gmem_open(), gmem_get(); each window; each pin
 *
 * Locks, outermost first: lib_lock_windows() (the program's changes of windows, and fork) -> file invalidate
 * and what follows it below. The list of files has one of its own, a leaf.
 *
 * Of libc this layer uses pthread_atfork(), getenv() and pure functions.
 */
#ifndef GMEM_LIB_LIB_H
#define GMEM_LIB_LIB_H

#include <stddef.h>

#include "gmem.h"

#include "core/gmem_file.h"
#include "map/host_file.h"
#include "map/host_map.h"
#include "os/os.h"

struct gmem {
	_Atomic uint32_t refs;
	struct host_file *file;
	struct gmem_type_ops type; /* what core was given */
	/* Under lib_lock_files(): */
	struct gmem *next;
	char name[HOST_FILE_NAME_MAX]; /* of the handle; empty at home until somebody wants one */
	int handle_fd;		       /* of ours; -1: none yet */
};

/* Everything here that can fail is done by the first call that makes or opens a file. */
int lib_ready(void);
/* Of this process; NULL until lib_ready(). */
struct host_map *lib_host_map(void);

/* Around every call that can be interrupted (gmem_interrupt()). */
void lib_enter(void);
void lib_leave(void);

/*
 * What a thread may not do in callbacks of a file, and in a fault, would wait for itself. lib_go_inside(), with what
 * lib_come_out() wants to have back; -EDEADLK. Callbacks of a change that another process asks for are of no call of
 * ours: lib_mark() says where they are, and returns what was there before.
 */
int lib_go_inside(struct gmem *g, const void **before);
void lib_come_out(const void *before);
const void *lib_mark(const struct gmem *g);
bool lib_is_inside(const struct gmem *g);

/* A structure that begins with its size: copies what is known of it, the rest is zero. -EINVAL: shorter than any
 * version; -E2BIG: longer than ours, with something in it. least: the first version's size. */
int lib_args_in(void *dst, uint32_t size, uint32_t least, const void *args);
/* The other way; the size stays what the caller put there. */
int lib_args_out(void *args, const void *src, uint32_t size, uint32_t least);
/* The first version's size, by the field that was its last: never by sizeof, which grows with the structure. */
#define LIB_MIN_OF(type, last) ((uint32_t)(offsetof(type, last) + sizeof(((type *)0)->last)))

static inline bool lib_is_aligned(uint64_t x)
{
	return !(x & (OS_PAGE_SIZE - 1));
}

/* The last byte there can be of a file is at 2^63 - 1. */
#define LIB_OFFSET_MAX (UINT64_MAX >> 1)

/* store.c: what core calls, over a store of the program's. As gmem_create() says. */
int lib_store_create(const struct gmem_create_args *args, struct store **out);
/* It is the program's again, whose functions are not called any more; what is ours of it goes with store_destroy(). */
void lib_store_give_back(struct store *s);

/* Page aligned, size > 0, and no byte beyond LIB_OFFSET_MAX; -EINVAL. */
int lib_check_range(uint64_t offset, uint64_t size);
/* That, and inside the file. */
int lib_check_inside(const struct gmem *g, uint64_t offset, uint64_t size);

/* For saving and restoring: there is a file that can be, and no flags are set. */
int lib_check_snapshot(const struct gmem *g, uint32_t flags, uint32_t reserved);

/* restore_huge.c: contents for pages of a file of GMEM_FILE_HUGETLB whose home is elsewhere, and which nobody has closed. */
int lib_put_huge(struct host_file *f, uint64_t offset, uint64_t size, const void *data);

/* The file at its home; NULL elsewhere. */
static inline struct gmem_file *lib_home_file(const struct gmem *g)
{
	return g->file->file;
}

void lib_lock_files(void);
void lib_unlock_files(void);
/* All of this process, newest first; under lib_lock_files(). */
struct gmem *lib_first_file(void);
/* One reference, and nothing else in it yet; NULL: no memory. */
struct gmem *lib_make(void);
/* Complete: from here on others find it. Takes lib_lock_files(). */
void lib_enlist(struct gmem *g);
/* Only at home: gives it its name, if it has none. Under lib_lock_files(). */
int lib_give_name(struct gmem *g);

/* The file of that number that process pid is the home of, as `gmem map PID` lists them. -ENOENT: none; -EACCES,
 * -EAGAIN, -ENOSPC. */
int lib_open_listed(uint32_t pid, uint64_t id, struct gmem **out);

void lib_lock_windows(void);
void lib_unlock_windows(void);

#endif
