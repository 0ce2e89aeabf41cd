/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* <gmem.h>: a store of the program's own: where the contents of a file's pages are. */
#ifndef GMEM_STORE_H
#define GMEM_STORE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A store has the contents of one file's pages, and knows nothing of what they are (private or
 * shared), of windows or of consumers. Who makes a file hands one over in gmem_create_args.store.
 * There are two kinds:
 *
 *	with a descriptor	its pages are those of a file of the host, which is mapped: by the
 *				library for its hidden view, and by windows (GMEM_MMAP), here and
 *				in other processes. Every operation but address() may be there or
 *				not: what is not, the file's own do
 *	without (fd is -1)	its pages are where address() says. Windows there are none: GMEM_MMAP
 *				is refused
 *
 * LIFE. gmem_create() that succeeds takes the store over: destroy() is called once, as the very
 * last, when references, windows and faults are gone, by the thread that let go. When gmem_create()
 * fails nothing of it was called, and the store is still the program's. release() comes before
 * destroy(), at the end of the file (GMEM_KIND_RELEASE): no page will be asked for again.
 *
 * LOCKS. All but destroy() are called with the invalidate lock of the file held:
 *
 *	shared		address, order, allocate, next_present, backed: several at once, of several
 *			threads, also of one page. The store has a lock of its own where it needs one
 *	exclusively	punch, release: nothing else of the store runs, and no consumer has a
 *			translation of the range. The others are called so as well
 *
 * From inside, call nothing of this library on the same file. An operation may wait (for a disk,
 * for a decompressor): who asked for the page waits with it, and changes of the same file do; other
 * files do not. It must not wait for a thread that may be in a call on the same file.
 *
 * ERRORS. 0 or a negative errno, which the caller of gmem_page(), gmem_allocate() or gmem_punch()
 * gets as it is; what is no errno is taken for -EIO. An allocate() that fails may have backed a
 * part; an address() that fails has given nothing; a punch() that fails may have freed a part.
 *
 * FORK. The store stays with the file's home: in a child no operation is called, not even
 * destroy(), and what the child asks for the parent's store does. Memory that a store keeps should
 * not be in children: MADV_DONTFORK.
 */
struct gmem_store_ops {
	uint32_t ops_size; /* sizeof(struct gmem_store_ops) */
	uint32_t reserved; /* 0 */
	/*
	 * *addr: where the page at offset is; it has memory from now on, and is zero if it was
	 * punched or never asked for. Good, and the same at each call, until punch() or release()
	 * of the page. The rest of the block that order() names lies around it in order. Needed
	 * without a descriptor; not with one.
	 */
	int (*address)(void *data, uint64_t offset, void **addr);
	/*
	 * The largest block around offset that one translation may reach: 0 (4 KiB), 9 (2 MiB) or
	 * 18 (1 GiB), inside the file; others are rounded down. Called before address(). Consumers
	 * touch all of it without asking for its other pages. NULL: 0 without a descriptor, and
	 * with one what the size of the file lets.
	 */
	uint32_t (*order)(void *data, uint64_t offset);
	/* Memory for these pages now; contents stay. NULL: without a descriptor nothing is done. */
	int (*allocate)(void *data, uint64_t offset, uint64_t size);
	/* These pages are zero when next asked for. Needed without a descriptor. */
	int (*punch)(void *data, uint64_t offset, uint64_t size);
	/*
	 * The first run at *offset or behind it, before end, of pages that have contents: *offset,
	 * *size, and 1; 0: there is none. For gmem_vm_type, which is told of such pages only. NULL:
	 * without a descriptor all have.
	 */
	int (*next_present)(void *data, uint64_t *offset, uint64_t end, uint64_t *size);
	/* Bytes of memory that the pages have: gmem_get_stats(). NULL: without a descriptor 0. */
	uint64_t (*backed)(void *data);
	/* NULL: all is punched. A store that keeps its contents beyond the file says so here. */
	void (*release)(void *data);
	/* NULL: nothing to do. */
	void (*destroy)(void *data);
};

struct gmem_store {
	uint32_t args_size; /* sizeof(struct gmem_store) */
	/*
	 * A file of the host, as long as the guest memory, open for reading and writing; -1: none.
	 * The library has a duplicate: this one may be closed at once. Whoever else has the file
	 * reaches all pages, private ones, too; and must not make it shorter. Its file position
	 * moves.
	 */
	int32_t fd;
	const struct gmem_store_ops *ops; /* copied; NULL with a descriptor: its own will do */
	void *data;			  /* to its functions */
};

/*
 * For a store without a descriptor that wants its pages elsewhere: compressed, swapped out, on another
 * node. All consumers drop their translations of the range (GMEM_KIND_MOVE) and make none while
 * move() runs, with the lock held exclusively and nothing else of the store running; from then on
 * address() may say another place. What is in the pages and what they are stays. arg is handed to
 * move(), whose result is the call's. offset and size: multiples of GMEM_PAGE_SIZE, inside the file;
 * size > 0.
 *	-EINVAL	 offset or size
 *	-EFAULT	 the file is released
 *	-EOPNOTSUPP the pages are not those of a store without a descriptor
 *	[any thread; home only; may wait; since 0.3]
 */
GMEM_API int gmem_move(struct gmem *g, uint64_t offset, uint64_t size,
		       int (*move)(void *arg, uint64_t offset, uint64_t size), void *arg);

#ifdef __cplusplus
}
#endif

#endif
