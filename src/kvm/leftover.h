/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * leftover: memory on the side of a page that its attribute does not look at: a private page's in the program's
 * mapping, a shared page's in the guest_memfd. Only for whoever looks closer (obs_looks_closer()).
 *
 * What was converted is noted, and looked at when the thread that did it enters a vCPU, or when the vCPU is entered
 * whose exit was about it, or at some entry when it is older than a second: others may be between two calls that belong
 * together. Everything is looked at before the VM, a file or the process ends. Each run of pages that is found is an event, OBS_LEFT, at most
 * LEFTOVER_MAX_RUNS of them in a look.
 *
 * Slots that have one memory alone (in place, or mapped guest_memfds) leave nothing. Once a thread has a filter of
 * system calls nothing is looked at: who looks are the program's threads.
 *
 * Locks: the VM's own for the notes; one of all for the look, taken before the VM's slots lock and after the vCPU's.
 */
#ifndef GMEM_KVM_LEFTOVER_H
#define GMEM_KVM_LEFTOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

struct gmem_file;
struct vcpu;
struct vm;

#define LEFTOVER_NR_NOTES 64u
#define LEFTOVER_MAX_RUNS 1024u

/* In struct vm. Where there are more notes than places, the last one becomes all that is between. */
struct leftover {
	struct os_mutex lock;
	_Atomic uint32_t nr;
	struct leftover_note {
		uint64_t start, end; /* gpa */
		uint64_t time_ns;    /* of the first */
		uint32_t thread;
	} notes[LEFTOVER_NR_NOTES];
};

/* Pages were converted. Without the VM's slots lock. */
void leftover_note(struct vm *vm, uint64_t gpa, uint64_t size);
/* A vCPU is about to be entered, and its guest to run. */
void leftover_look(struct vcpu *vcpu);
/* Of all slots, or those of a file: before it ends. */
void leftover_end(struct vm *vm, const struct gmem_file *file);

/* As account_get_ready() and the calls around a fork. */
void leftover_get_ready(void);
void leftover_before_fork(void);
void leftover_after_fork(bool in_child);

#endif
