/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * gmem.h: guest memory as a file whose pages are private or shared, in user space, as a library.
 *
 * A *guest memory* is what KVM calls a guest_memfd: a file of pages, each of them at any time
 * either
 *
 *	shared	 whoever has the file may map and touch it: VMM, device back-ends, other processes
 *	private	 the guest's alone: touching it through a host mapping is SIGBUS, a system call that
 *		 is handed such an address fails with EFAULT, in every process that uses gmem
 *
 * and a *conversion* changes which, in place: the contents stay where they are. No KVM is needed,
 * no root, no special kernel; nor is a guest a VM here: whoever holds translations to pages (a
 * software CPU, a device model, an emulator) takes part as a *consumer* and is told before a page
 * leaves its reach.
 *
 *	struct gmem *g;
 *	struct gmem_create_args make = { .args_size = sizeof(make), .size = 1 << 30,
 *					 .flags = GMEM_MMAP | GMEM_INIT_SHARED };
 *	struct gmem_map_args window = { .args_size = sizeof(window), .size = 1 << 30,
 *					.prot = PROT_READ | PROT_WRITE };
 *	uint64_t refused;
 *	void *at;
 *
 *	gmem_create(&make, &g);
 *	gmem_map(g, &window, &at);		 ... at can be touched ...
 *	gmem_make_private(g, 0, 4096, &refused);	... SIGBUS, here and everywhere ...
 *	gmem_make_shared(g, 0, 4096, &refused);	... what was there is there again ...
 *	gmem_unmap(at, 1 << 30);
 *	gmem_put(g);
 *
 * Link with -lgmem (pkg-config gmem). examples/two_processes.c shows all of it at work.
 *
 *
 * WHERE THE RULES COME FROM. guest_memfd is Linux 6.8's; GMEM_MMAP and GMEM_INIT_SHARED are
 * GUEST_MEMFD_FLAG_MMAP and GUEST_MEMFD_FLAG_INIT_SHARED (6.18); conversion in place is
 * that of the kernel series "guest_memfd: In-place conversion support" (v7, 2026-05; v8,
 * 2026-06), which no released kernel has. "as KVM" below means one of these; what the series
 * leaves open, and what is more than it offers (all refusals in one call, queries, statistics),
 * is marked "gmem".
 *
 * WHAT IT IS NOT. Pages are hidden from the mappings and system calls of processes that use gmem,
 * which catches every accident. It is no protection against hostile code inside such a process. A
 * process that does not use gmem and is handed the descriptor cannot reach any page: the
 * descriptor is of an empty file.
 *
 * UNITS. Offsets and sizes are bytes. Pages have 4096 of them (GMEM_PAGE_SIZE), whatever the
 * mapping. Attributes are a set of GMEM_ATTRIBUTE_* bits; 0 is shared. Addresses are of this
 * process.
 *
 * ERRORS. 0 (or a count where said) or a negative errno, as -EINVAL; errno itself is not touched.
 * A call that fails has changed nothing, unless it says otherwise. With GMEM_LOG=why in the
 * environment each refusal names its rule on stderr; gmem_last_refusal() tells the program. These may come from any function and are not
 * repeated below:
 *	-EINVAL	 a NULL that must not be one; an args_size that no version has; flag or attribute
 *		 bits that this version does not know; an offset or size that is not a multiple of
 *		 GMEM_PAGE_SIZE where that is asked; offset + size past 2^63
 *	-E2BIG	 an argument structure that is longer than this library's and not zero beyond it:
 *		 the program was built for a newer version and uses what this one does not have
 *	-ENOMEM	 no memory, no room for mappings (vm.max_map_count)
 *	-EMFILE	 no descriptor left (RLIMIT_NOFILE)
 * In a process that is not the file's home (below) also:
 *	-EIO	 the home is gone. What was private stays hidden for good, what was shared stays
 *		 usable
 *	-EAGAIN	 the home did not answer within the patience (gmem_set_patience())
 *	-ENOSPC	 the home serves as many processes as it can (256)
 *	-EINTR	 gmem_interrupt(), or a signal was caught while waiting; nothing was done
 *	-EREMOTE the call is possible at home only
 *
 * THREADS. Any function may be called from any thread at any time, but for callbacks: see
 * "consumers". References are counted; who holds one may use the object. No function but
 * gmem_put() may be given an object whose last reference another thread may be dropping.
 *
 * SIGNALS. A signal handler may call: gmem_is_hidden() when it handles a SIGBUS or SIGSEGV that
 * an access of its own thread has raised (si_code > 0), gmem_interrupt(), gmem_version(),
 * gmem_patience(). Nothing else: the rest takes locks that the interrupted thread may hold. No
 * function is a cancellation point, and a handler must not leave by siglongjmp() a call of the
 * library that it interrupted. The library installs no signal handler and changes no signal mask;
 * its own threads have all signals blocked.
 *
 * MEMORY. The library never calls malloc(); it has mappings of its own.
 *
 * FORK. The process that created a file is its *home*: state, consumers, bindings and VM-type
 * hooks live there. fork() (not a raw clone()) is seen by handlers that the first gmem_create()
 * or gmem_open() registers with pthread_atfork(). In the child every struct gmem stays valid and
 * is a file whose home is the parent. Its windows are at the same addresses, and what is private
 * is hidden in them: until fork() returns in the child, and if the home does not answer within
 * the patience, all of it is. Consumers, bindings, pins and open gmem_fault_begin()s of the
 * parent are not the child's: in the child, functions that take a consumer or a binding of the
 * parent free the child's copy and do nothing else. Windows are not in the child of a raw clone()
 * or vfork(). exec() takes everything away but descriptors that are not close-on-exec:
 * gmem_open() them again.
 *
 * UNDER gmem run. A program that is linked with this library may itself run under `gmem run`,
 * which preloads a second, separate copy of the same code for the KVM interface. The two share
 * nothing in the process: each knows its own files, windows, pins and consumers. That is safe by
 * the rule that holds anyway: change a window of gmem_map() by this library's functions only. A
 * file of one may be passed to the other by its descriptor (KVM's guest_memfd to gmem_open();
 * gmem_descriptor()'s, once it has come by SCM_RIGHTS or exec, to KVM's requests): then the
 * process takes part twice, and every conversion tells both. SIGBUS from a window of this library
 * reaches the program's handler as it would without.
 *
 * ABI. Structures are opaque, or begin with their own size (args_size, ops_size) and grow at the
 * end only: set it to sizeof, and the rest to zero. Symbols have versions (GMEM_0.2). Before 1.0
 * a minor version may break both.
 */
#ifndef GMEM_H
#define GMEM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GMEM_API __attribute__((visibility("default")))
#else
#define GMEM_API
#endif

#define GMEM_VERSION_MAJOR 0
#define GMEM_VERSION_MINOR 2

/*
 * The version of the library that runs: major << 16 | minor. GMEM_VERSION_* are those of this
 * header. Callable before anything else, async-signal-safe.
 */
GMEM_API uint32_t gmem_version(void);

#define GMEM_PAGE_SIZE 4096u

/* The page is the guest's alone. KVM_MEMORY_ATTRIBUTE_PRIVATE, the only bit there is (6.8). */
#define GMEM_ATTRIBUTE_PRIVATE 8u

/* One guest memory, as this process has it in hand. */
struct gmem;

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
 */
#define GMEM_THP 4u
#define GMEM_HUGETLB 8u /* not with GMEM_MMAP */

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
	 * the fault with it. The lock is held shared; one call at a time. NULL: fine. */
	int (*prepare)(void *data, uint64_t offset, uint64_t size);
	/* When no translation is left, before the state changes. They cannot fail. NULL: nothing
	 * to do. */
	void (*make_private)(void *data, uint64_t offset, uint64_t size);
	void (*make_shared)(void *data, uint64_t offset, uint64_t size);
	/* The pages are about to be freed: a punch, or the end of the file. NULL: nothing to do. */
	void (*reclaim)(void *data, uint64_t offset, uint64_t size);
};

struct gmem_create_args {
	uint32_t args_size; /* sizeof(struct gmem_create_args) */
	uint32_t flags;	    /* GMEM_MMAP, GMEM_INIT_SHARED, GMEM_THP, GMEM_HUGETLB */
	uint64_t size;	    /* bytes, whole pages, 1 page to 2^63 - 1 page; never changes (6.8) */
	const struct gmem_vm_type *type; /* NULL: none. Copied */
	void *type_data;		 /* to its functions */
};

/*
 * Makes a guest memory. No page has memory yet; each is zero when it is first seen. This process
 * is its home. One reference is the caller's.
 *	-EINVAL	 size is 0, not a multiple of GMEM_PAGE_SIZE or too large (6.8); unknown flags, or
 *		 GMEM_HUGETLB with GMEM_THP or GMEM_MMAP, or where the system has no such pages
 *	-ENOMEM	 also: GMEM_HUGETLB, and not as many huge pages are free
 * The first call makes the library ready, which registers with pthread_atfork().
 */
GMEM_API int gmem_create(const struct gmem_create_args *args, struct gmem **out);

/*
 * A descriptor that stands for the file: send it (SCM_RIGHTS), or leave it open over exec(), and
 * gmem_open() it there. It is of a sealed, empty memfd with a name that says where the home is,
 * never of the contents: a process outside gmem that maps it gets SIGBUS everywhere, and cannot
 * read or write it. Close-on-exec. It is the caller's to close(), may be closed at once, and
 * keeps nothing alive: the file lives as long as its home has a reference, a window or a fault
 * open.
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
 */
GMEM_API int gmem_open(int fd, uint32_t flags, struct gmem **out);

/* One more reference. Cannot fail. */
GMEM_API void gmem_get(struct gmem *g);

/*
 * One less. When references and windows are gone, at home: consumers are told (GMEM_KIND_RELEASE)
 * and are no longer registered, bindings are void, and every byte is freed; other processes get
 * -EIO or -ESTALE from then on. Elsewhere this process takes no part any more. NULL is allowed.
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

/* What does not change. args_size is read; as much as it has room for is filled in. */
GMEM_API int gmem_get_info(struct gmem *g, struct gmem_info *info);

/* ---- what a page is ------------------------------------------------------------------------ */

/*
 * The attributes of the page that offset lies in, put into *attributes. Takes no lock: a
 * conversion that runs meanwhile is seen whole or not at all at home, where the answer is exact
 * between gmem_fault_begin() and gmem_fault_end(). Elsewhere it is what this process was last
 * told: a page that is shared may be said to be private, never the other way round. Callable in
 * callbacks (begin: the state before, end: the state after).
 *	-EINVAL	 offset is outside the file
 * gmem: the series has no way to ask.
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
 * and size: multiples of GMEM_PAGE_SIZE. gmem: as gmem_attributes().
 */
GMEM_API int gmem_query(struct gmem *g, uint64_t offset, uint64_t size, struct gmem_extent *extents,
			uint32_t max, uint32_t *nr);

/* ---- conversion ---------------------------------------------------------------------------- */

struct gmem_range {
	uint64_t offset, size; /* bytes */
};

struct gmem_convert_args {
	uint32_t args_size;    /* sizeof(struct gmem_convert_args) */
	uint32_t flags;	       /* 0 */
	uint64_t offset, size; /* bytes, multiples of GMEM_PAGE_SIZE, inside the file; size > 0 */
	uint64_t attributes;   /* what the pages become: GMEM_ATTRIBUTE_PRIVATE or 0 */
	/* out. Filled in when the result is -EAGAIN, -ENOMEM, -EINTR or -EIO, else left alone:
	 * the lowest page that refused, else offset. As KVM (series v7): bytes from the start of
	 * the file. */
	uint64_t error_offset;
	/* NULL: the first refusal is enough. Else room for max_refused ranges: all that refuse
	 * are put here in order, joined where they touch, and nr_refused says how many there
	 * were, which may be more. gmem. */
	struct gmem_range *refused;
	uint32_t max_refused;
	uint32_t nr_refused; /* out, when refused is not NULL: 0 but for -EAGAIN */
};

/*
 * Conversion in place: every page of the range gets these attributes, or none does. What is in
 * the pages stays. It works on any file, with or without GMEM_MMAP, bound or not, before or after
 * its pages have memory. The state survives a punch, unbinding, and the process that asked.
 *
 * When it returns 0, to private: no CPU access and no system call through any window, in any
 * process that uses gmem, succeeds on the range any more, and consumers have let go of it. To
 * shared: consumers have let go of it, the windows of this process and those of every process
 * that answered within the patience have it; one that was late gets it when it runs again, and
 * SIGBUS until then.
 *
 * Pages that are so already are left alone, pinned or not, and are not told to anybody (gmem; the
 * series takes the whole range again). If all are: 0 at once.
 *	-EINVAL	 in this order, as KVM: flags; attributes; size 0, or offset + size wraps; offset or
 *		 size not a multiple of GMEM_PAGE_SIZE; past the end of the file
 *	-EAGAIN	 to private: a page is pinned (see "pins"), a consumer refuses, or another process
 *		 did not hide the range within the patience. Nothing has changed, and nothing was
 *		 unmapped before the pins were looked at. error_offset and refused say where
 *	-EINTR	 gmem_interrupt(): only where nothing has changed
 *	-ENOMEM	 as everywhere; error_offset is offset
 * Excludes faults, punches, allocations and other conversions of the file while it runs.
 */
GMEM_API int gmem_convert(struct gmem *g, struct gmem_convert_args *args);

/* The two conversions; *error_offset as above, NULL: not wanted. */
static inline int gmem_convert_simply(struct gmem *g, uint64_t offset, uint64_t size,
				      uint64_t attributes, uint64_t *error_offset)
{
	struct gmem_convert_args args;
	int err;

	args.args_size = (uint32_t)sizeof(args);
	args.flags = 0;
	args.offset = offset;
	args.size = size;
	args.attributes = attributes;
	args.error_offset = error_offset ? *error_offset : 0;
	args.refused = 0;
	args.max_refused = 0;
	args.nr_refused = 0;
	err = gmem_convert(g, &args);
	if (error_offset)
		*error_offset = args.error_offset;
	return err;
}

static inline int gmem_make_private(struct gmem *g, uint64_t offset, uint64_t size,
				    uint64_t *error_offset)
{
	return gmem_convert_simply(g, offset, size, GMEM_ATTRIBUTE_PRIVATE, error_offset);
}

static inline int gmem_make_shared(struct gmem *g, uint64_t offset, uint64_t size,
				   uint64_t *error_offset)
{
	return gmem_convert_simply(g, offset, size, 0, error_offset);
}

/*
 * Makes the library call that this thread is in, if it is in one that can be interrupted (a
 * conversion, anything that waits for another process), return -EINTR soon; for signal handlers.
 * Async-signal-safe. No effect outside of a call, or on one that is past the point where nothing
 * has changed.
 */
GMEM_API void gmem_interrupt(void);

/*
 * How long other processes may take to hide a range, and the home to answer, in milliseconds:
 * 1000 at first, 1 to 3600000; of this process, for all files. A process that is dead is never
 * waited for. gmem_patience() is async-signal-safe.
 *	-ERANGE	 outside 1 .. 3600000
 */
GMEM_API int gmem_set_patience(uint32_t milliseconds);
GMEM_API uint32_t gmem_patience(void);

/* ---- contents ------------------------------------------------------------------------------ */

/*
 * Frees the memory of the pages; they are zero when next seen, and as private or shared as
 * before. Cannot be refused: a pinned page is freed too, for who pinned it keeps the old one (as
 * KVM, 6.8). The range may reach past the end of the file. offset and size: multiples of
 * GMEM_PAGE_SIZE, size > 0. fallocate(2) with PUNCH_HOLE.
 */
GMEM_API int gmem_punch(struct gmem *g, uint64_t offset, uint64_t size);

/*
 * Backs the pages with memory now; what is in them stays, and so does what they are. fallocate(2)
 * with KEEP_SIZE.
 *	-EINVAL	 size 0, or past the end of the file (6.8)
 *	-ENOMEM, -ENOSPC, -EINTR  a part may stay allocated, as KVM
 */
GMEM_API int gmem_allocate(struct gmem *g, uint64_t offset, uint64_t size);

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
 */
GMEM_API int gmem_map(struct gmem *g, const struct gmem_map_args *args, void **addr);

/* munmap(2). Here and below addr is page aligned (-EINVAL) and size rounded up to pages. */
GMEM_API int gmem_unmap(void *addr, uint64_t size);

/*
 * mremap(2): grows, shrinks or moves a window; flags MREMAP_MAYMOVE, MREMAP_FIXED (to is the
 * place). *out: where it is now.
 *	-EFAULT	 no window is there
 */
GMEM_API int gmem_remap(void *addr, uint64_t old_size, uint64_t size, int flags, void *to,
			void **out);

/* mprotect(2); PROT_EXEC: -EACCES (as KVM). What is hidden stays so. */
GMEM_API int gmem_protect(void *addr, uint64_t size, int prot);

/* mlock2(2) with flags (0 or MLOCK_ONFAULT), and munlock(2). Private pages count as locked, and
 * are when they are shared. */
GMEM_API int gmem_lock(void *addr, uint64_t size, int flags);
GMEM_API int gmem_unlock(void *addr, uint64_t size);

/* madvise(2). MADV_REMOVE punches (gmem_punch()) where addr and size meet windows. MADV_DONTNEED
 * never opens what is hidden. -EINVAL for advice that a guest_memfd refuses (COLLAPSE, FREE,
 * WIPEONFORK). */
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
 */
GMEM_API bool gmem_is_hidden(const void *addr);

/* ---- pins ---------------------------------------------------------------------------------- */

/* Somebody who holds pages by other means than a translation: DMA, a request in flight. */
struct gmem_pinned;

/*
 * Pins [offset, offset + size): while it is held, conversion of any page of it to private fails
 * with -EAGAIN, from any process. Pins may overlap. A pin is of this process and ends with it. It
 * does not keep a page from being punched. It is counted before the state is looked at: a
 * conversion that runs finds the pin, or the pin finds the page private. What a pin stops is
 * converted a moment later: take it for as long as the work takes. offset and size: bytes, need
 * not be aligned, widened to pages; size > 0, inside the file.
 *	-EFAULT	 a page of the range is private, as get_user_pages() of it would say (series v7).
 *		 Nothing is pinned
 */
GMEM_API int gmem_pin(struct gmem *g, uint64_t offset, uint64_t size, struct gmem_pinned **out);

/* Only the first size bytes stay pinned: what a call that was to pin did not take. 0: none; then
 * it is gone, as by gmem_unpin(). */
GMEM_API void gmem_pin_trim(struct gmem_pinned *pin, uint64_t size);

/* NULL is allowed. */
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
 */
GMEM_API int gmem_count_references(void);

/* ---- bindings: whose guest memory it is ---------------------------------------------------- */

/* A range of the file that an owner (a memory slot) has for itself. */
struct gmem_binding;

/*
 * Binds [offset, offset + size) to owner, any pointer of the caller's, which is for
 * gmem_for_bindings() to translate offsets. A page is bound once at most; conversion does not ask
 * for bindings. Home only.
 *	-EINVAL	 size 0 or past the end of the file
 *	-EEXIST	 a page of the range is bound (6.8)
 */
GMEM_API int gmem_bind(struct gmem *g, uint64_t offset, uint64_t size, void *owner,
		       struct gmem_binding **out);

/* Not in a callback. Before the last gmem_put(). */
GMEM_API void gmem_unbind(struct gmem *g, struct gmem_binding *binding);

/*
 * Calls fn for each binding that meets [offset, offset + size), in order, with the part that
 * does. For callbacks of consumers and between gmem_fault_begin() and gmem_fault_end(); nowhere
 * else. fn may not bind or unbind. Home only.
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
 * Calls are made by the thread that asked for the change, with the invalidate lock of the file
 * held exclusively: they are never concurrent for one file. From inside, call nothing of this
 * library on the same file but gmem_attributes(), gmem_change_*(), gmem_for_bindings() and
 * gmem_get(); do not wait for a thread that may be in gmem_fault_begin(), gmem_convert(),
 * gmem_punch() or any other call on the file. The windows of all processes are told last of what
 * becomes shared: they see a page once no consumer does any more.
 */
struct gmem_consumer;
struct gmem_change;

#define GMEM_KIND_CONVERT 0u
#define GMEM_KIND_DISCARD 1u /* gmem_punch(): the pages go, their state stays */
#define GMEM_KIND_RELEASE 2u /* the end of the file: after end() no consumer is registered */

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
 */
GMEM_API int gmem_consumer_add(struct gmem *g, const struct gmem_consumer_callbacks *ops,
			       void *data, struct gmem_consumer **out);

/* When it returns no function of it runs, and none will. Not in a callback. Also needed after
 * GMEM_KIND_RELEASE, for the memory; then g is not looked at and may be NULL. */
GMEM_API void gmem_consumer_remove(struct gmem *g, struct gmem_consumer *consumer);

/* In a callback: what the change is. */
GMEM_API int gmem_change_describe(const struct gmem_change *change, struct gmem_change_info *info);

/*
 * In prepare and begin of a conversion (and in an aborted end): the parts of the range that do
 * not have the new attributes yet, in order. Start with *at = 0; false: there are no more (or it
 * is another kind of change). The others stay as they are and need not be dropped.
 */
GMEM_API bool gmem_change_next_part(const struct gmem_change *change, uint64_t *at,
				    uint64_t *offset, uint64_t *size);

/* In prepare and begin of a conversion: this part cannot be given up; return -EAGAIN then.
 * Rounded to pages, cut to the range. Tell all parts there are when
 * gmem_change_wants_every_part(), else the first will do. */
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
 */
GMEM_API int gmem_page(struct gmem *g, uint64_t offset, void **addr, uint64_t *size);

/* ---- why -------------------------------------------------------------------------------------- */

struct gmem_refusal {
	uint32_t args_size; /* sizeof(struct gmem_refusal) */
	int32_t error;	    /* the negative errno that the call returned */
	const char
		*rule; /* stable, for programs: "LIB_RANGE_PAST_END"; gmem explain RULE tells all */
	const char *reason; /* one sentence for people */
};

/*
 * Which rule refused the calling thread's last call that failed. args_size is read; as much as it has room for
 * is filled in; the texts are there for good. Calls that succeed leave it as it is: ask after one that failed,
 * and compare error. Takes no lock; a signal handler may call it. gmem.
 *	-ENOENT	 nothing was refused yet in this thread
 */
GMEM_API int gmem_last_refusal(struct gmem_refusal *refusal);

/* ---- accounting ---------------------------------------------------------------------------- */

struct gmem_stats {
	uint32_t args_size;	/* sizeof(struct gmem_stats) */
	uint32_t nr_pins;	/* held by this process on the file, pipes included */
	uint64_t size;		/* bytes of the file */
	uint64_t backed_bytes;	/* bytes of memory that its pages have, huge pages in full */
	uint64_t private_bytes; /* bytes that are private; the rest is shared */
	/* Memory for the attributes (elsewhere: for this process's copy of them): at most a
	 * seventh of a byte for each page of the file, and 320 KiB; twice that at home with a VM
	 * type that prepares. */
	uint64_t attribute_bytes;
};

/* args_size is read; as much as it has room for is filled in. Takes the invalidate lock shared.
 * gmem. */
GMEM_API int gmem_get_stats(struct gmem *g, struct gmem_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
