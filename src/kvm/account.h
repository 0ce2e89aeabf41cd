/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * account: how much of the guests' memory is private, shared, backed, held twice; published for observers
 * (obs/account.h has what is meant, and the layout).
 *
 * A thread of gmem's own looks every 100 ms, and when it is asked to; only where the process is observed. A look holds
 * a VM's slots lock while it copies the table of slots, and no lock of a VM or file while it walks: attributes are
 * read without one, and so is what is backed. So it sees each page as it is at some moment of the walk, all of them
 * exactly when nothing changes meanwhile. It takes at most a twentieth of one processor: after a long look comes a
 * long pause.
 *
 * What the program's memory holds is not asked once a filter of system calls is on all threads, ours among them.
 *
 * Locks: account's own, before a VM's slots and all that follow it; the shim's mapping lock may be held before.
 */
#ifndef GMEM_KVM_ACCOUNT_H
#define GMEM_KVM_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "obs/account.h"

struct gmem_file;
struct vcpu;
struct vm;

/* Of a VM, in struct vm. */
struct account_vm_link {
	struct vm *next, **pprev; /* all of this process */
	uint32_t number;	  /* from 1 */
	struct vcpu *vcpus;
};

/* Of a vCPU, in struct vcpu. */
struct account_vcpu_link {
	struct vcpu *next, **pprev;		  /* of the VM */
	_Atomic uint64_t exits[ACCOUNT_NR_EXITS]; /* changed by who runs it */
};

/* The VM is complete; it is about to be destroyed, with nothing locked but the shim's mapping lock. */
void account_add(struct vm *vm);
void account_remove(struct vm *vm);

void account_add_vcpu(struct vcpu *vcpu);
void account_remove_vcpu(struct vcpu *vcpu);
/* KVM_RUN of a program that is observed returns r. The vCPU's lock. */
void account_exit(struct vcpu *vcpu, int r);

/* Pages were converted, punched or allocated: there is a look soon, if the last one is older than 10 ms. Any lock. */
void account_changed(void);
/* Around a punch of a guest_memfd. A look that it overtakes may find a page where it was, and then where it is: so much is
 * not believed to have been held twice. */
void account_punch_begin(uint64_t size);
void account_punch_end(uint64_t size);
/*
 * What is about to go is looked at before, however young the last look is, if a page of it can be held twice: waits for
 * that look. Without locks of VMs and files. file: that is released; NULL: the VM, or a slot of it.
 */
void account_before_end(struct vm *vm, const struct gmem_file *file);
/* The program unmaps its own memory: if all behind a slot goes. */
void account_before_unmap(uint64_t addr, uint64_t size);
/* The same for the end of the process. Does nothing where nobody looks. */
void account_last(void);
bool account_is_on(void);

/* All that needs system calls which a filter may forbid is made now. */
void account_get_ready(void);
/* Our thread is filtered, too. */
void account_set_blind(bool blind);

/* Around a fork, before locks of map/. In the child nothing is accounted that its parent made. */
void account_before_fork(void);
void account_after_fork_in_parent(void);
void account_after_fork_in_child(void);

/* ---- the walk (account_walk.c) ----------------------------------------------------------------- */

struct account_walker;

/* -ENOMEM. Without a view of the program's memory it says so in what it makes (ACCOUNT_NO_PROGRAM). */
int account_walker_create(struct account_walker **out);
void account_walker_destroy(struct account_walker *w);
/* Fills *to, all but its sequence, from the VMs of the list. before: the last one, whose peaks and rows of what is gone
 * go on; NULL. One thread at a time per walker; account's lock, or VMs that stay. */
void account_walk(struct account_walker *w, struct vm *vms, bool blind,
		  const struct account_snapshot *before, struct account_snapshot *to);

#endif
