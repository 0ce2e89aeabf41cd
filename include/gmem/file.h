/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * <gmem.h>: a guest memory as a file: making it, finding it, what its pages are, contents, accounting.
 *
 * FORK. A child has every struct gmem of its parent, with the references that the parent had, and
 * gives them back by gmem_put(). Its home is where it was: that process is asked, and none of the
 * functions of a gmem_vm_type or a gmem_store is called in the child.
 */
#ifndef GMEM_FILE_H
#define GMEM_FILE_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- making, finding, letting go ----------------------------------------------------------- */

#define GMEM_MMAP 1u /* gmem_map() is allowed; without it -ENODEV. GUEST_MEMFD_FLAG_MMAP, 6.18 */
#define GMEM_INIT_SHARED 2u /* every page is shared at first; without it private. 6.18 */
/*
 * What the memory is made of; at most one of them. gmem:
 * THP: where gmem_page() hands out the first page of 2 MiB, or gmem_allocate() backs all of them, the
 * system is asked for one huge page; where there is none, and without this flag, for pages of
 * 4 KiB. A page that was not touched itself may have memory then, is zero all the same, and is one
 * of those that a gmem_vm_type is told of.
 * HUGETLB: huge pages of the system's pool (vm.nr_hugepages), as many as the file is long, are set
 * aside. gmem_punch() zeroes a piece of one, and frees it when all of it has been punched.
 * With MMAP, since 0.3: windows of the library have pages of 4 KiB alone, so what is in huge pages is what is
 * private all through 2 MiB (1 GiB). The first page of it that becomes shared takes the rest along:
 * contents are copied into pages of 4 KiB, and back when the last is private again. Consumers hear
 * of that (GMEM_KIND_MOVE), and those who use the pages wait meanwhile. Where the pool has no page
 * left the memory stays small until the next time. What is left of size after the last whole huge
 * page is small, too.
 */
#define GMEM_THP 4u
#define GMEM_HUGETLB 8u
#define GMEM_HUGETLB_1G 16u /* with GMEM_HUGETLB: pages of 1 GiB instead of 2 MiB. 0.3 */

/*
 * What a kind of VM wants to be told about pages of its file, as hardware that guards pages
 * itself needs it; the series has these for SNP and TDX. Only of pages that have been touched,
 * cut to the range that changes. Called with the file's invalidate lock held: see "consumers" for
 * what that forbids. data is gmem_create_args.type_data.
 */
struct gmem_vm_type {
	uint32_t ops_size; /* sizeof(struct gmem_vm_type) */
	uint32_t reserved; /* 0 */
	/* A private page is about to be handed out (gmem_page()) for the first time since it is
	 * private or backed; again if there was no memory to remember it. A negative errno ends
	 * the fault with it; what is no errno is taken for -EIO. The lock is held shared; one call at a time. NULL: fine. */
	int (*prepare)(void *data, uint64_t offset, uint64_t size);
	/* When no translation is left, before the state changes. They cannot fail. NULL: nothing
	 * to do. */
	void (*make_private)(void *data, uint64_t offset, uint64_t size);
	void (*make_shared)(void *data, uint64_t offset, uint64_t size);
	/* The pages are about to be freed: a punch, or the end of the file. NULL: nothing to do. */
	void (*reclaim)(void *data, uint64_t offset, uint64_t size);
};

struct gmem_store;

struct gmem_create_args {
	uint32_t args_size; /* sizeof(struct gmem_create_args) */
	uint32_t flags; /* GMEM_MMAP, GMEM_INIT_SHARED, GMEM_THP, GMEM_HUGETLB, GMEM_HUGETLB_1G */
	uint64_t size;	/* bytes, whole pages, 1 page to 2^63 - 1 page; never changes (6.8) */
	const struct gmem_vm_type *type; /* NULL: none. Copied */
	void *type_data;		 /* to its functions */
	/* Bytes of memory that the file may have, huge pages in full; 0: as many as there are.
	 * gmem_page() and gmem_allocate() fail with -ENOMEM before they take more; what this or
	 * another process takes by a touch of its window counts and is not refused. Since 0.3. */
	uint64_t limit;
	const struct gmem_store *store; /* NULL: the library's own. Copied. 0.3; see store.h */
};

/*
 * Makes a guest memory. No page has memory yet; each is zero when it is first seen. This process
 * is its home. One reference is the caller's.
 *	-EINVAL	 size is 0, not a multiple of GMEM_PAGE_SIZE or too large (6.8); unknown flags, or
 *		 GMEM_HUGETLB with GMEM_THP, or where the system has no such pages;
 *		 GMEM_HUGETLB_1G without GMEM_HUGETLB; with store: GMEM_THP or GMEM_HUGETLB;
 *		 without a descriptor of it GMEM_MMAP or a limit; a descriptor that does not fit;
 *		 an operation that must be there is not, or one must not be that is
 *	-ENOMEM	 also: GMEM_HUGETLB, and not as many huge pages are free
 * The first call makes the library ready, which registers with pthread_atfork().
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_create(const struct gmem_create_args *args, struct gmem **out);

/*
 * A descriptor that stands for the file: send it (SCM_RIGHTS), or leave it open over exec(), and
 * gmem_open() it there. It is of a sealed, empty memfd with a name that says where the home is,
 * never of the contents: a process outside gmem that maps it gets SIGBUS everywhere, and cannot
 * read or write it. Close-on-exec. It is the caller's to close(), may be closed at once, and
 * keeps nothing alive: the file lives as long as its home has a reference, a window or a fault
 * open.
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_descriptor(struct gmem *g, int *fd);

/*
 * The file behind a descriptor of gmem_descriptor() (or, of a guest_memfd of a program under
 * `gmem run`) that this process received, inherited or opened. fd stays the caller's and may be
 * closed afterwards. A file this process has already is found again and counted once more. flags:
 * 0.
 *	-EBADF	 fd is not open
 *	-ENOENT	 it is not a descriptor of a guest memory
 *	-ESTALE	 the home, or the file at home, is gone
 *	-EACCES	 the home cannot be reached: another user's, or in another PID namespace or /proc
 *	-EAGAIN	 the home did not answer within the patience
 *	-ENOSPC	 the home serves as many processes as it can (256)
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_open(int fd, uint32_t flags, struct gmem **out);

/*
 * One more reference. Cannot fail. NULL is allowed.
 *	[any thread, callbacks too; since 0.2]
 */
GMEM_API void gmem_get(struct gmem *g);

/*
 * One less. When references and windows are gone, at home: consumers are told (GMEM_KIND_RELEASE)
 * and are no longer registered, bindings are void, and every byte is freed; other processes get
 * -EIO or -ESTALE from then on. Elsewhere this process takes no part any more. NULL is allowed.
 *	[any thread; may wait; since 0.2]
 */
GMEM_API void gmem_put(struct gmem *g);

struct gmem_info {
	uint32_t args_size; /* sizeof(struct gmem_info) */
	uint32_t flags;	    /* GMEM_MMAP and so on, as created */
	uint64_t size;	    /* bytes */
	uint64_t id;	    /* of the file in its home process: what `gmem map PID ID` takes */
	uint32_t is_home;   /* 1: this process is the home */
	uint32_t reserved;
};

/*
 * What does not change. args_size is read; as much as it has room for is filled in.
 *	[any thread, callbacks too; since 0.2]
 */
GMEM_API int gmem_get_info(struct gmem *g, struct gmem_info *info);

/* ---- what a page is ------------------------------------------------------------------------ */

/*
 * The attributes of the page that offset lies in, put into *attributes. At home it takes no lock
 * and never waits: a conversion that runs meanwhile is seen whole or not at all, and the answer is
 * exact between gmem_fault_begin() and gmem_fault_end(). Elsewhere it is what this process was last
 * told, and the first call asks the home: a page that is shared may be said to be private, never
 * the other way round. Callable in
 * callbacks (begin: the state before, end: the state after).
 *	-EINVAL	 offset is outside the file
 * gmem: the series has no way to ask.
 *	[any thread, callbacks too; may wait; since 0.2]
 */
GMEM_API int gmem_attributes(struct gmem *g, uint64_t offset, uint32_t *attributes);

struct gmem_extent {
	uint64_t offset, size; /* bytes */
	uint32_t attributes;
	uint32_t reserved;
};

/*
 * The runs of equal attributes in [offset, offset + size), in order, joined where they are equal
 * and cut to that range and to the file: at most max of them into extents, how many into *nr.
 * When *nr is max, ask again from the end of the last one. One call sees one moment at home;
 * elsewhere the home is asked, for 64 runs at a time, and each such part is of one moment. offset
 * and size: multiples of GMEM_PAGE_SIZE, size > 0; behind the end of the file there are none. gmem: as gmem_attributes().
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_query(struct gmem *g, uint64_t offset, uint64_t size, struct gmem_extent *extents,
			uint32_t max, uint32_t *nr);

/* ---- contents ------------------------------------------------------------------------------ */

/*
 * Frees the memory of the pages; they are zero when next seen, and as private or shared as
 * before. Cannot be refused: a pinned page is freed too, for who pinned it keeps the old one (as
 * KVM, 6.8). The range may reach past the end of the file. offset and size: multiples of
 * GMEM_PAGE_SIZE, size > 0. fallocate(2) with PUNCH_HOLE.
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_punch(struct gmem *g, uint64_t offset, uint64_t size);

/*
 * Backs the pages with memory now; what is in them stays, and so does what they are. fallocate(2)
 * with KEEP_SIZE.
 *	-EINVAL	 size 0, or past the end of the file (6.8)
 *	-ENOMEM, -ENOSPC, -EINTR  a part may stay allocated, as KVM
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_allocate(struct gmem *g, uint64_t offset, uint64_t size);

/*
 * From which NUMA nodes the memory of the pages comes when they get it: mode, nodes and max_node as of
 * mbind(2), whose constants are in linux/mempolicy.h. It belongs to the file, for all its windows, all
 * processes and a guest, whatever the pages are; pages that have memory stay where they are. A huge
 * page (GMEM_HUGETLB) has what was last set for any page of it.
 * mbind() of a window would meet what hides its private pages instead. offset and size: multiples of
 * GMEM_PAGE_SIZE, inside the file; size > 0. flags: 0.
 *	-EINVAL	 flags; offset or size; what mbind() refuses: a mode that it does not know, nodes that
 *		 do not go with it
 *	-EFAULT	 nodes cannot be read
 *	-EOPNOTSUPP  the pages are those of a store without a descriptor; elsewhere than at home -EIO,
 *		 and so for GMEM_HUGETLB without GMEM_MMAP
 *	-ENOSYS	 the system knows no nodes
 *	[any thread; may wait; since 0.3]
 */
GMEM_API int gmem_set_policy(struct gmem *g, uint64_t offset, uint64_t size, int mode,
			     const unsigned long *nodes, unsigned long max_node, uint32_t flags);

/*
 * The policy of the page that offset lies in, as get_mempolicy(2) with MPOL_F_ADDR tells it: *mode,
 * and the first max_node bits of nodes. NULL for either: not wanted. flags: 0.
 *	-EINVAL	 flags; offset is outside the file; nodes is not NULL, and has not as many bits as the
 *		 system may have nodes
 *	-EFAULT	 mode or nodes cannot be written
 *	-EOPNOTSUPP  as gmem_set_policy()
 *	-ENOSYS	 the system knows no nodes
 *	[any thread; may wait; since 0.3]
 */
GMEM_API int gmem_get_policy(struct gmem *g, uint64_t offset, int *mode, unsigned long *nodes,
			     unsigned long max_node, uint32_t flags);

/*
 * The memory of the pages has failed, as a machine check says it: what is in them is lost, consumers
 * are told (GMEM_KIND_DISCARD), and gmem_page() fails with -EHWPOISON, as does a conversion to shared,
 * until they are punched and others come in their place. A guest of a program's own finds out by
 * its fault, as KVM's, whose KVM_RUN ends with EHWPOISON and KVM_EXIT_MEMORY_FAULT (6.8).
 * Nothing happens to the host's memory.
 *	-EINVAL	 size 0, or past the end of the file
 *	-EOPNOTSUPP  the host can see a page: a shared one of a file with GMEM_MMAP
 *	[any thread; home only; may wait; since 0.3]
 */
GMEM_API int gmem_poison(struct gmem *g, uint64_t offset, uint64_t size);

/* ---- accounting ---------------------------------------------------------------------------- */

struct gmem_stats {
	uint32_t args_size; /* sizeof(struct gmem_stats) */
	uint32_t nr_pins;   /* held by this process on the file, pipes included */
	uint64_t size;	    /* bytes of the file */
	/* Bytes of memory that its pages have, huge pages in full; of a store of the program's
	 * without a descriptor 0 elsewhere than at home. */
	uint64_t backed_bytes;
	uint64_t private_bytes; /* bytes that are private; the rest is shared */
	/* Memory for the attributes (elsewhere: for this process's copy of them): at most a
	 * seventh of a byte for each page of the file, and 320 KiB; twice that at home with a VM
	 * type that prepares. */
	uint64_t attribute_bytes;
};

/*
 * args_size is read; as much as it has room for is filled in. Takes the invalidate lock shared.
 * gmem.
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_get_stats(struct gmem *g, struct gmem_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
