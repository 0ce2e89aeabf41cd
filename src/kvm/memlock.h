/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * memlock: what this process has allocated in files of guests counts against its RLIMIT_MEMLOCK, as the fifth version
 * of the series had it (kvm_early.memlock). Pages, not files, are counted, for whoever makes the call:
 *
 *	fallocate()	the pages it allocates are charged; above the limit, without CAP_IPC_LOCK, -ENOMEM and nothing
 *			is allocated
 *	PUNCH_HOLE	the whole range is returned
 *
 * Two things were wrong with it, and are here. A hole in what is punched is returned though nobody was charged for it:
 * punch twice, and there is room for more than the limit; the count even goes below 0. And it is the process that punches who gets
 * it back, whoever was charged (here a file's calls are made by the process that made it alone). So it was dropped in the version after.
 *
 * Any thread.
 */
#ifndef GMEM_KVM_MEMLOCK_H
#define GMEM_KVM_MEMLOCK_H

#include <stdint.h>

/* -ENOMEM, and nothing is charged. */
int memlock_charge(uint64_t nr_pages);
void memlock_return(uint64_t nr_pages);

#endif
