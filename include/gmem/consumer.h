/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * <gmem.h>: who takes part in changes of a file: bindings, consumers, and a guest of the program's own.
 *
 * FORK. All of it stays with the parent, as do gmem_fault_begin()s that are open: no callback is made
 * in a child, where gmem_consumer_remove() and gmem_unbind() free the child's copy and do nothing
 * else. Others are home only.
 */
#ifndef GMEM_CONSUMER_H
#define GMEM_CONSUMER_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- bindings: whose guest memory it is ---------------------------------------------------- */

/* A range of the file that an owner (a memory slot) has for itself. */
struct gmem_binding;

/*
 * Binds [offset, offset + size) to owner, any pointer of the caller's, which is for
 * gmem_for_bindings() to translate offsets. A page is bound once at most; conversion does not ask
 * for bindings. Home only.
 *	-EINVAL	 size 0 or past the end of the file
 *	-EEXIST	 a page of the range is bound (6.8)
 *	[any thread; home only; may wait; since 0.2]
 */
GMEM_API int gmem_bind(struct gmem *g, uint64_t offset, uint64_t size, void *owner,
		       struct gmem_binding **out);

/*
 * Not in a callback. Before the last gmem_put().
 *	[any thread; home only; may wait; since 0.2]
 */
GMEM_API void gmem_unbind(struct gmem *g, struct gmem_binding *binding);

/*
 * Calls fn for each binding that meets [offset, offset + size), in order, with the part that
 * does. For callbacks of consumers and between gmem_fault_begin() and gmem_fault_end(); nowhere
 * else. fn may not bind or unbind. Home only.
 *	[callbacks and faults only; home only; since 0.2]
 */
GMEM_API int gmem_for_bindings(struct gmem *g, uint64_t offset, uint64_t size,
			       void (*fn)(void *arg, void *owner, uint64_t offset, uint64_t size),
			       void *arg);

/* ---- consumers: who holds translations ----------------------------------------------------- */

/*
 * A consumer is whoever keeps a way to pages of the file: the shadow page tables of a software
 * CPU, a TLB, a table of host addresses of a device. It is told of every change of the range it
 * may have translations in:
 *
 *	prepare	 conversion to private only: may it be? Nothing was touched
 *	begin	 drop every translation of the range, and make none until end
 *	   the change happens, when all have begun
 *	end	 translations may be made again, of the new state; aborted: of the old one
 *
 * Calls are made by the thread that asked for the change; when another process did, by one of the
 * library's, which has 512 KiB of stack and all signals blocked. The invalidate lock of the file is
 * held exclusively: they are never concurrent for one file. From inside, call nothing of this
 * library on the same file but gmem_attributes(), gmem_change_*(), gmem_for_bindings(), gmem_get()
 * and gmem_get_info() (-EDEADLK, where it is noticed); do not wait for a thread that may be in gmem_fault_begin(), gmem_convert(),
 * gmem_punch() or any other call on the file. The windows of all processes are told last of what
 * becomes shared: they see a page once no consumer does any more. A callback returns: no longjmp()
 * and no exception passes through the library. The same holds for gmem_vm_type.
 *
 * BALANCE. Each begin() that returned 0 is followed by exactly one end(), whatever happens
 * between, also at the end of the file; one that returned an error by none. Who is registered while
 * a change runs waits for its end and hears of the next; who is removed while one runs, too: a
 * consumer never sees half of one. So a count that begin() raises and end() lowers is 0 or 1 while
 * the consumer is registered, and 0 when gmem_consumer_remove() returns.
 *
 * LOCKS. What the callbacks share with the threads that use translations has a lock of the
 * consumer's own. It is taken inside the file's: in callbacks, and between gmem_fault_begin() and
 * gmem_fault_end(). While it is held no function of the library is called that may wait.
 */
struct gmem_consumer;
struct gmem_change;

/* More may come: a kind that a consumer does not know is one of which it drops all translations. */
#define GMEM_KIND_CONVERT 0u
#define GMEM_KIND_DISCARD 1u /* gmem_punch(): the pages go, their state stays */
#define GMEM_KIND_RELEASE 2u /* the end of the file: after end() no consumer is registered */
#define GMEM_KIND_FREEZE 3u  /* nothing changes: the file stands still for gmem_snapshot(). 0.3 */
/* The same pages, at other addresses: gmem_move(); before and after a conversion GMEM_HUGETLB with
 * GMEM_MMAP, of whole huge pages. 0.3 */
#define GMEM_KIND_MOVE 4u

#define GMEM_LEAVES_SHARED 1u
#define GMEM_LEAVES_PRIVATE 2u

struct gmem_change_info {
	uint32_t args_size; /* sizeof(struct gmem_change_info) */
	uint32_t kind;	    /* GMEM_KIND_* */
	/* Bytes, page aligned; of a conversion from the first to the last page that changes. */
	uint64_t offset, size;
	uint32_t attributes; /* what the pages become; conversion only */
	uint32_t leaves;     /* GMEM_LEAVES_*: translations of pages in these states go */
	uint64_t generation; /* counts the changes that began; in prepare what it will be */
	uint32_t aborted;    /* in end: 1, the change did not happen */
	uint32_t reserved;
};

struct gmem_consumer_callbacks {
	uint32_t ops_size; /* sizeof(struct gmem_consumer_callbacks) */
	uint32_t reserved; /* 0 */
	/* NULL: always agrees. 0, or -EAGAIN after gmem_change_refuse_part(), or -ENOMEM. Nothing
	 * follows when another refuses: what it has reserved must be good for the next time. */
	int (*prepare)(void *data, const struct gmem_change *change);
	/* 0; for a conversion also -EAGAIN (after gmem_change_refuse_part()), -ENOMEM or -EINTR:
	 * then those that have begun get end, aborted. What it returns for the other kinds is not
	 * looked at. */
	int (*begin)(void *data, const struct gmem_change *change);
	void (*end)(void *data, const struct gmem_change *change);
};

/*
 * Registers a consumer; ops is copied, data handed to its functions. begin and end must be there.
 * It is called from the moment this returns (or a little before). Home only. It keeps no
 * reference: remove it, or be told of the release.
 *	[any thread; home only; may wait; since 0.2]
 */
GMEM_API int gmem_consumer_add(struct gmem *g, const struct gmem_consumer_callbacks *ops,
			       void *data, struct gmem_consumer **out);

/* One place of several where a consumer registers. */
struct gmem_consumer_file {
	struct gmem *g;
	void *data;	   /* to the functions, of changes of this file: how they know it */
	uint32_t flags;	   /* 0 */
	uint32_t reserved; /* 0 */
};

/*
 * The same on several files: an IOMMU or an emulator whose guest has its memory in more than one.
 * On all of them, or on none. out has room for nr, in the order of files, each removed with its own
 * file, in any order and at any time: files come and go one by one. A file may be named twice.
 * Changes of one file are in order; those of two files may be told by two threads at once, so what
 * the functions share has a lock of the consumer's: taken in them, and between gmem_fault_begin()
 * and gmem_fault_end(), but never around a call of the library that may wait.
 * When it fails, what is in out means nothing.
 *	-EINVAL	 nr is 0; flags or reserved of a file is not
 *	[any thread; home only; may wait; since 0.3]
 */
GMEM_API int gmem_consumer_add_several(const struct gmem_consumer_file *files, uint32_t nr,
				       const struct gmem_consumer_callbacks *ops,
				       struct gmem_consumer **out);

/*
 * When it returns no function of it runs, and none will. Not in a callback. Also needed after
 * GMEM_KIND_RELEASE, for the memory; then g is not looked at and may be NULL.
 *	[any thread; home only; may wait; since 0.2]
 */
GMEM_API void gmem_consumer_remove(struct gmem *g, struct gmem_consumer *consumer);

/*
 * In a callback: what the change is.
 *	[callbacks only; since 0.2]
 */
GMEM_API int gmem_change_describe(const struct gmem_change *change, struct gmem_change_info *info);

/*
 * In prepare and begin of a conversion (and in an aborted end): the parts of the range that do
 * not have the new attributes yet, in order. Start with *at = 0; false: there are no more (or it
 * is another kind of change). The others stay as they are and need not be dropped.
 *	[callbacks only; since 0.2]
 */
GMEM_API bool gmem_change_next_part(const struct gmem_change *change, uint64_t *at,
				    uint64_t *offset, uint64_t *size);

/*
 * In prepare and begin of a conversion: this part cannot be given up; return -EAGAIN then.
 * Rounded to pages, cut to the range. Tell all parts there are when
 * gmem_change_wants_every_part(), else the first will do.
 *	[callbacks only; since 0.2]
 */
GMEM_API void gmem_change_refuse_part(const struct gmem_change *change, uint64_t offset,
				      uint64_t size);
GMEM_API bool gmem_change_wants_every_part(const struct gmem_change *change);

/* ---- playing the guest --------------------------------------------------------------------- */

/*
 * The lookup that ends with a translation, for a consumer:
 *
 *	gmem_fault_begin(g);
 *	gmem_attributes(g, offset, &attributes);    is it what the guest takes it for?
 *	gmem_page(g, offset, &addr, &size);
 *	... the translation is stored where begin() finds it, under a lock of the consumer's ...
 *	gmem_fault_end(g);
 *
 * Between the two no change begins or is under way: the lock is held shared. Many threads may be
 * between them; a thread only once at a time, and calls nothing else of the library on the file
 * there but what is named here and gmem_for_bindings(). The translation is good until a begin()
 * of the consumer that covers it returns. Home only: -EREMOTE, and then gmem_fault_end() must not
 * be called.
 *	[any thread; home only; may wait; since 0.2]
 */
GMEM_API int gmem_fault_begin(struct gmem *g);
GMEM_API void gmem_fault_end(struct gmem *g);

/*
 * *addr: where the page that offset lies in is in the library's own hidden view, which reaches
 * private and shared pages alike and is in no window, fork or core dump. *size: how many bytes
 * from *addr on are of this file and in order, as far as one translation may reach: 4096, 2 MiB
 * or 1 GiB around offset (*addr and offset are congruent). Touching it backs the page with
 * memory. NULL for size: not wanted.
 *	-EINVAL	 offset is outside the file
 *	-EFAULT	 the file is released
 *	-ENOMEM	 also: no huge page is left for one that was punched (GMEM_HUGETLB)
 *	or what gmem_vm_type.prepare says
 *	[faults only; home only; may wait; since 0.2]
 */
GMEM_API int gmem_page(struct gmem *g, uint64_t offset, void **addr, uint64_t *size);

struct gmem_block {
	uint32_t args_size;  /* sizeof(struct gmem_block) */
	uint32_t order;	     /* 0, 9 or 18: it has GMEM_PAGE_SIZE << order bytes */
	uint64_t offset;     /* where it begins, a multiple of its size */
	void *addr;	     /* of its first byte, in the hidden view */
	uint32_t attributes; /* of all its pages */
	uint32_t reserved;
};

/*
 * The same for who has tables with leaves: the largest block around offset that one leaf may map.
 * All of it is in order at addr and of one state, and all of it may be touched. args_size is read;
 * as much as it has room for is filled in. Errors as gmem_page().
 *	[faults only; home only; may wait; since 0.3]
 */
GMEM_API int gmem_find_block(struct gmem *g, uint64_t offset, struct gmem_block *block);

#ifdef __cplusplus
}
#endif

#endif
