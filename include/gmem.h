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
 * environment each refusal names its rule on stderr; gmem_last_refusal() tells the program. What
 * has no result does nothing when it is handed a NULL. These
 * may come from any function and are not repeated below:
 *	-EINVAL	 a NULL that must not be one; an args_size that no version has; flag or attribute
 *		 bits that this version does not know; an offset or size that is not a multiple of
 *		 GMEM_PAGE_SIZE where that is asked; offset + size past 2^63
 *	-E2BIG	 an argument structure that is longer than this library's and not zero beyond it:
 *		 the program was built for a newer version and uses what this one does not have
 *	-ENOMEM	 no memory, no room for mappings (vm.max_map_count)
 *	-EMFILE	 no descriptor left (RLIMIT_NOFILE)
 *	-EDEADLK at the file's home: the call is from a callback of the file, or between
 *		 gmem_fault_begin() and gmem_fault_end(), and would wait for its own thread. Of what may
 *		 not be called there not all is noticed; gmem_consumer_remove() and gmem_unbind(),
 *		 which cannot say so, end the program
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
 * IN SHORT. What is said of functions ends with a line in brackets that sums it up:
 *	any thread	 at any time, from several at once; not from callbacks, nor in a fault, nor from
 *			 signal handlers, but for those that say "callbacks too" or "signal handlers too"
 *	callbacks only	 from those of a consumer, about the change that they are handed
 *	faults only	 between gmem_fault_begin() and gmem_fault_end() of the thread
 *	home only	 elsewhere -EREMOTE, or nothing where there is no result
 *	may wait	 for other threads' calls, callbacks, other processes or memory. What does not say
 *			 so takes a lock for some instructions at most
 *	since		 the version of the library that has it, and of its symbol (GMEM_0.2)
 *
 * SIGNALS. A signal handler may call what says so, and gmem_is_hidden() when it handles a SIGBUS
 * or SIGSEGV that an access of its own thread has raised (si_code > 0). Nothing else: the rest
 * takes locks that the interrupted thread may hold. No function is a cancellation point, and a
 * handler must not leave by siglongjmp() a call of the library that it interrupted. The library
 * installs no signal handler and changes no signal mask; its own threads have all signals blocked.
 *
 * MEMORY. The library never calls malloc(); it has mappings of its own. It may be opened by
 * dlopen(), and then stays: dlclose() leaves it there, since it has threads and handlers of fork.
 *
 * FORK. The process that created a file is its *home*: state, consumers, bindings and VM-type
 * hooks live there. No callback and no fault is open in the thread that calls fork(). fork() (not a raw clone()) is seen by handlers that the first gmem_create()
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
 * end only: set it to sizeof, and the rest to zero. Symbols have the version that
 * brought them (GMEM_0.2, GMEM_0.3). Nothing of either goes away or changes within a soname
 * (libgmem.so.0): what a program was linked with works with every later libgmem.so.0.
 */
#ifndef GMEM_H
#define GMEM_H

#include "gmem/base.h"
#include "gmem/consumer.h"
#include "gmem/convert.h"
#include "gmem/file.h"
#include "gmem/snapshot.h"
#include "gmem/store.h"
#include "gmem/window.h"

#endif
