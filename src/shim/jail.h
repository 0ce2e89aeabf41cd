/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * jail: a program that filters its own system calls (seccomp) once its VM is there.
 *
 * Such a filter may kill whoever calls userfaultfd, memfd_create, socket or clone. A process that has, or
 * had, something of ours therefore makes ready for good before the first filter goes in: the threads that
 * answer other processes and see their last close run, the guard of private pages has what it works with,
 * and a pool of memfds is filled (os/spare.h) for the guest_memfds, VMs and vCPUs to come. A filter that is
 * installed by an instruction of the program's own, past the C library, is not seen.
 */
#ifndef GMEM_SHIM_JAIL_H
#define GMEM_SHIM_JAIL_H

#include <stdint.h>

/* Something of ours is, or was, in this process: /dev/kvm, a VM, a guest_memfd from elsewhere. */
void jail_note_object(void);

/* The system call with this number, prctl or seccomp, as the program makes it. */
long jail_call(long nr, const uint64_t args[5]);

#endif
