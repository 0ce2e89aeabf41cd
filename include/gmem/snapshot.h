/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * <gmem.h>: contents as a whole: private pages are given their first, a file is saved and brought back.
 *
 * FORK. A child of the home may save a file and bring it back, by asking the home (but see -EREMOTE),
 * and may not populate. A call that runs in another thread of the parent goes on there alone.
 */
#ifndef GMEM_SNAPSHOT_H
#define GMEM_SNAPSHOT_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- populate ------------------------------------------------------------------------------ */

struct gmem_populate_args {
	uint32_t args_size;    /* sizeof(struct gmem_populate_args) */
	uint32_t flags;	       /* 0 */
	uint64_t offset, size; /* bytes, multiples of GMEM_PAGE_SIZE, inside the file; size > 0 */
	/* Where the contents are: size bytes of this process. NULL: what is in the pages stays, which
	 * is zero where nothing was. Not at an address of the range itself. */
	const void *source;
	uint64_t populated; /* out, with any result: bytes from offset on that are done */
};

/*
 * Puts contents into private pages, where no window reaches: a guest's first image. As
 * kvm_gmem_populate() of SNP and TDX (6.11), page by page: a page that is not private ends it. Each
 * page has memory then, and the VM type's prepare is told of it when its contents are there, unless
 * that was done. A failure leaves what populated counts done, and the rest as it was. Conversions,
 * punches and faults wait for a few pages at a time, not for all. Home only.
 *	-EINVAL	 flags; offset or size; a page is shared (6.11)
 *	-EFAULT	 source cannot be read
 *	-EINTR	 gmem_interrupt()
 *	or what gmem_vm_type.prepare says
 *	[any thread; home only; may wait; since 0.3]
 */
GMEM_API int gmem_populate(struct gmem *g, struct gmem_populate_args *args);

/* ---- snapshots ----------------------------------------------------------------------------- */

/* Pages that have failed (gmem_poison()) are left out: lost; restored, they are zero. */
#define GMEM_SNAPSHOT_LOST 1u
/* In gmem_snapshot_info.flags: of a guest_memfd that does not convert in place. 0.3 */
#define GMEM_SNAPSHOT_OF_VM 0x10000u

struct gmem_snapshot_args {
	uint32_t args_size; /* sizeof(struct gmem_snapshot_args) */
	uint32_t flags;	    /* GMEM_SNAPSHOT_LOST or 0 */
	int32_t fd;	    /* of an empty regular file, open to be read and written; stays open */
	uint32_t reserved;  /* 0 */
	/* out, when the result is 0: */
	uint64_t file_bytes; /* of the snapshot */
	uint64_t frozen_ns;  /* how long the file stood still */
	uint64_t lost_bytes; /* that are not in it, having failed */
	/* out, when it is -EHWPOISON: */
	uint64_t error_offset; /* the first page that has failed */
};

/*
 * Saves what the pages are and what is in them, private ones too, to a file: keep it from others as
 * you would the memory. See gmem-snapshot(5). It is of one moment: while it is copied the
 * file stands still. Consumers are told (GMEM_KIND_FREEZE), so guests cannot touch a page; conversions,
 * punches, faults and allocations wait, and those of other processes may fail with -EAGAIN. Windows
 * stay: what a process writes through one meanwhile into a shared page is in the snapshot or not, so
 * stop those that do. Pages that are zero take no
 * room. A page that has failed has no contents: nothing is saved and error_offset names the first, or
 * with GMEM_SNAPSHOT_LOST the snapshot says that they are lost.
 *
 * Of a guest_memfd that does not convert in place (of other profiles than in-place) all pages are
 * saved as what the file is: private, or with GMEM_INIT_SHARED shared. Which of them the guest uses so
 * is an attribute of the VM, and what is shared without GMEM_INIT_SHARED is memory of the program, at
 * the slots' userspace_addr: neither is the file's, changes under its lock or stands still with it. So
 * they are not in the snapshot, which says so (GMEM_SNAPSHOT_OF_VM): who restores the VM sets them.
 *
 * The last that is written, when all before is on the disk, says that it is whole: one that was
 * interrupted is never taken for a snapshot. Write beside the old one, and rename.
 *	-EBADF	 fd is not of a regular file that can be used
 *	-EEXIST	 the file is not empty
 *	-EHWPOISON a page has failed, without GMEM_SNAPSHOT_LOST
 *	-EREMOTE this process is not the home, and the store has no descriptor, or the home is
 *		 gone
 *	-EIO	 this process is not the home, and memory of it cannot be read
 *	-EINTR	 gmem_interrupt()
 *	-ETIMEDOUT not at home: 10 seconds passed in which too little could be written
 *	-ENOSPC, -EIO, -EFBIG, -EPERM  as writing says; with -EFBIG the thread gets SIGXFSZ, as of
 *		 write(2). What is there then is no snapshot
 *	[any thread; may wait; since 0.3]
 */
GMEM_API int gmem_snapshot(struct gmem *g, struct gmem_snapshot_args *args);

struct gmem_restore_args {
	uint32_t args_size; /* sizeof(struct gmem_restore_args) */
	uint32_t flags;	    /* GMEM_SNAPSHOT_LOST or 0 */
	int32_t fd;	    /* of a snapshot, open to be read; stays open */
	uint32_t reserved;  /* 0 */
};

/*
 * Makes the file what the snapshot says: every page's state and contents; what was in it is gone.
 * First the whole snapshot is verified, and until that is done nothing has changed. Then all pages
 * become private, as gmem_convert() would make them, then the contents are put in, then what was
 * shared becomes shared: no window ever shows a private page's contents. Pages that had failed when
 * it was saved fail here, too, as by gmem_poison(); with GMEM_SNAPSHOT_LOST they are zero. What fails
 * from there on (-ENOMEM, -EIO) leaves the file private as far as it had come. Other calls on the file
 * meanwhile are not refused: stop the guest first.
 *	-ERANGE	 the snapshot is of a file of another size
 *	-ENOEXEC, -EPROTONOSUPPORT, -ENODATA, -EBADMSG  as gmem_snapshot_check()
 *	-EAGAIN	 as gmem_convert(): a page is pinned, or a consumer or a process refuses
 *	-EREMOTE pages had failed, and this process is not the home
 *	-EOPNOTSUPP a page that had failed is shared, and the file has GMEM_MMAP; or one of
 *		 the two files converts in place and the other does not, or neither does and
 *		 they differ in GMEM_INIT_SHARED
 *	-EBADF, -EREMOTE  as gmem_snapshot()
 *	[any thread; may wait; since 0.3]
 */
GMEM_API int gmem_restore(struct gmem *g, const struct gmem_restore_args *args);

#define GMEM_CHECK_CONTENTS 1u /* also read all contents and compare their checksums */

struct gmem_snapshot_info {
	uint32_t args_size; /* sizeof(struct gmem_snapshot_info) */
	uint32_t version;   /* of the format */
	uint32_t flags; /* GMEM_MMAP and so on, of the file that was saved; GMEM_SNAPSHOT_OF_VM */
	uint32_t reserved;
	uint64_t size;		/* of that file, bytes */
	uint64_t data_bytes;	/* that are not zero, in pages */
	uint64_t private_bytes; /* the rest is shared */
	uint64_t nr_runs;	/* pieces of equal state that the snapshot is made of */
	uint64_t file_bytes;	/* of the snapshot */
	uint64_t lost_bytes;	/* that had failed, and have no contents in it */
};

/*
 * Whether the file of fd is a snapshot that gmem_restore() would take: begin, end and index always,
 * contents with GMEM_CHECK_CONTENTS. info: NULL, or args_size is read, and as much as it has room for
 * is filled in.
 *	-EBADF	 fd is not of a regular file that can be read
 *	-ENOEXEC it is no snapshot
 *	-EPROTONOSUPPORT it is of a version that this library does not know
 *	-ENODATA it was not written to its end, or is cut
 *	-EBADMSG it is damaged
 *	[any thread; may wait; since 0.3]
 */
GMEM_API int gmem_snapshot_check(int fd, uint32_t flags, struct gmem_snapshot_info *info);

#ifdef __cplusplus
}
#endif

#endif
