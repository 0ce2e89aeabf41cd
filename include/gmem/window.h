/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * <gmem.h>: what the host has of a file: windows, and pins.
 *
 * FORK. A child has the windows at the same addresses, with what is private hidden; of a raw clone()
 * or vfork() none. Pins are the parent's: they hold as long as it lives, whatever the child does, and
 * gmem_unpin() in the child frees its copy and does nothing else.
 */
#ifndef GMEM_WINDOW_H
#define GMEM_WINDOW_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- windows: mappings of the host --------------------------------------------------------- */

struct gmem_map_args {
	uint32_t args_size; /* sizeof(struct gmem_map_args) */
	/* Of <sys/mman.h>: MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_POPULATE, MAP_LOCKED,
	 * MAP_NORESERVE. MAP_SHARED is meant and may be said. */
	int32_t flags;
	int32_t prot; /* PROT_READ, PROT_WRITE, or PROT_NONE */
	uint32_t reserved;
	uint64_t addr;	 /* a hint, or with MAP_FIXED* the place; 0: anywhere */
	uint64_t size;	 /* bytes, rounded up to pages; > 0 */
	uint64_t offset; /* in the file, page aligned; past its end: SIGBUS there */
};

/*
 * A window: a mapping of the file. Its shared pages are the file's own memory, touched at full
 * speed; its private pages raise SIGBUS (BUS_ADRERR, si_addr exact) and make system calls fail
 * with EFAULT, until they are shared. As many windows as wanted, of any part. Each keeps the file
 * alive.
 *
 * A window is changed by the functions here alone, never by munmap(), mremap(), mprotect(),
 * mlock() or madvise() directly, nor by mapping anything over it: a conversion would then map
 * over what is none of its business. Any part of one, or several, may be given to them. Not
 * inherited by raw clone(); see FORK.
 *	-ENODEV	 the file has no GMEM_MMAP (as KVM, 6.18)
 *	-EPERM	 PROT_EXEC (as KVM)
 *	-EINVAL	 MAP_PRIVATE (as KVM), MAP_ANONYMOUS or any other flag not named above
 *	-EEXIST	 MAP_FIXED_NOREPLACE, and something is there
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_map(struct gmem *g, const struct gmem_map_args *args, void **addr);

/*
 * munmap(2). Here and below addr is page aligned (-EINVAL) and size rounded up to pages.
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_unmap(void *addr, uint64_t size);

/*
 * mremap(2): grows, shrinks or moves a window; flags MREMAP_MAYMOVE, MREMAP_FIXED (to is the
 * place). *out: where it is now.
 *	-EFAULT	 no window is there
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_remap(void *addr, uint64_t old_size, uint64_t size, int flags, void *to,
			void **out);

/*
 * mprotect(2); PROT_EXEC: -EACCES (as KVM). What is hidden stays so.
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_protect(void *addr, uint64_t size, int prot);

/*
 * mlock2(2) with flags (0 or MLOCK_ONFAULT), and munlock(2). Private pages count as locked, and
 * are when they are shared.
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_lock(void *addr, uint64_t size, int flags);
GMEM_API int gmem_unlock(void *addr, uint64_t size);

/*
 * madvise(2). MADV_REMOVE punches (gmem_punch()) where addr and size meet windows. MADV_DONTNEED
 * never opens what is hidden. -EINVAL for advice that a guest_memfd refuses (COLLAPSE, FREE,
 * WIPEONFORK).
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_advise(void *addr, uint64_t size, int advice);

/*
 * Is addr in a window of this process and hidden now? For a handler of SIGBUS that wants to know
 * whose fault it was. The conversion may be undone between the fault and the question: then
 * false, and the access may be tried again.
 *
 * si_code: a kernel built with CONFIG_MEMORY_FAILURE reports some hidden pages, those of windows
 * with many small private runs, as BUS_MCEERR_AR and not as BUS_ADRERR, with the same si_addr:
 * such a page is hidden by a marker (UFFDIO_POISON, Linux 6.6) for which that kernel has no other
 * word. A handler that treats BUS_MCEERR_AR as broken memory asks here first. Async-signal-safe
 * as said under SIGNALS.
 *	[any thread; since 0.2]
 */
GMEM_API bool gmem_is_hidden(const void *addr);

/* ---- pins ---------------------------------------------------------------------------------- */

/* Somebody who holds pages by other means than a translation: DMA, a request in flight. */
struct gmem_pinned;

/*
 * Pins [offset, offset + size): while it is held, conversion of any page of it to private fails
 * with -EAGAIN, from any process. Pins may overlap. A pin is of this process and ends with it;
 * it holds a reference to the file until gmem_unpin(). It does not keep a page from being punched.
 * It is counted before the state is looked at: a
 * conversion that runs finds the pin, or the pin finds the page private. What a pin stops is
 * converted a moment later: take it for as long as the work takes. offset and size: bytes, need
 * not be aligned, widened to pages; size > 0, inside the file.
 *	-EFAULT	 a page of the range is private, as get_user_pages() of it would say (series v7).
 *		 Nothing is pinned
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_pin(struct gmem *g, uint64_t offset, uint64_t size, struct gmem_pinned **out);

/*
 * Only the first size bytes stay pinned: what a call that was to pin did not take. 0: none; then
 * it is gone, as by gmem_unpin().
 *	[any thread; may wait; since 0.2]
 */
GMEM_API void gmem_pin_trim(struct gmem_pinned *pin, uint64_t size);

/*
 * NULL is allowed.
 *	[any thread; may wait; since 0.2]
 */
GMEM_API void gmem_unpin(struct gmem_pinned *pin);

/*
 * From now on, whoever converts a page of a file of this process to private, here or in another
 * process, this one asks the kernel who references it, and refuses with -EAGAIN what anybody
 * holds without telling: pipes (vmsplice), O_DIRECT, AIO, io_uring, zero-copy sends. Without it
 * the library knows of pins that gmem_pin() was told of and of no others: put one around a
 * vmsplice() until the pipe is drained, and around I/O until it is done. For the life of the
 * process, for all of its files; a conversion of touched pages takes longer.
 *	-EPERM	 the process may not look (CAP_BPF and CAP_PERFMON, or root), or this kernel does
 *		 not let it: as before, nothing but gmem_pin() is known
 *	[any thread; may wait; since 0.2]
 */
GMEM_API int gmem_count_references(void);

#ifdef __cplusplus
}
#endif

#endif
