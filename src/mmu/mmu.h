/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * mmu: the secondary MMU of one VM: nested page tables, guest faults, shootdown.
 *
 * Nested tables have the real x86 form (four levels of 512 eight-byte entries, 4 KiB, 2 MiB and 1 GiB
 * leaves, P W U A D PS NX); the address in a leaf is a host virtual address of this process: the
 * program's own memory for a slot with userspace_addr, the store's hidden window for a guest_memfd.
 *
 * Who runs where:
 *   - a vCPU is INSIDE between mmu_vcpu_enter() and mmu_vcpu_leave(). Inside it may walk the tables
 *     and use the host pointers it finds, without a lock. It takes no lock and does not block.
 *     It polls mmu_vcpu_requests() at every block of guest code.
 *   - everything else (faults, ioctls) runs outside.
 *   - mmu_invalidate_begin() returns when no vCPU that was inside can still use a translation of the
 *     range: it zaps the leaves, raises the flush generation, requests a flush from every vCPU and
 *     waits for those inside only. Table pages are freed after that wait, never before.
 *
 * A guest fault: snapshot the sequence; look up slot and attribute (the VM's, or the file's of a slot
 * whose file converts in place); get the page; take the mmu lock; re-check the sequence and the window
 * of running invalidations; install the leaf. A lost race is retried here and never reaches the VMM.
 *
 * Lock order: vcpu -> slots -> file invalidate -> mmu -> store.
 */
#ifndef GMEM_MMU_MMU_H
#define GMEM_MMU_MMU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/attr_map.h"
#include "core/gmem_file.h"
#include "obs/inject.h"

struct mmu;
struct mmu_vcpu;
struct memslot;

/* ---- the VM's memory ---------------------------------------------------------------------- */

struct mmu_config {
	/* The VM type has private memory: attributes decide. A slot whose file has GMEM_FILE_IN_PLACE takes the
	 * file's instead, whatever is here; without private memory its private pages are memory faults. */
	bool has_private;
	bool starts_private; /* every guest address, until its attribute is set */
	/* A page without a slot that has a file is shared, whatever its attribute. */
	bool private_with_file;
	/* The guest can say what it takes pages for (mmu_set_guest_kind()), which are mapped one by one then. */
	bool guest_says;
	uint8_t gpa_bits; /* guest physical address width; above it nothing can be mapped */
	bool retry_invalid_slot; /* a prefault that meets a slot on its way out: true loops, false -EAGAIN */
};

int mmu_create(const struct mmu_config *config, struct mmu **out);
/* No vCPU and no slot is left. */
void mmu_destroy(struct mmu *mmu);

/* The per-VM attribute map, by gfn. It stays empty in a VM whose files convert in place. */
struct attr_map *mmu_attributes(struct mmu *mmu);

/* The bracket by gfn, for what has no file: per-VM attributes, slot delete and move, changes of the
 * program's own mappings. Caller holds the VM's slots lock (hva changes: none). begin .. end may
 * nest between threads; gfn_end is exclusive. */
void mmu_invalidate_begin(struct mmu *mmu, uint64_t gfn, uint64_t gfn_end);
void mmu_invalidate_end(struct mmu *mmu, uint64_t gfn, uint64_t gfn_end);

/* The program unmapped, remapped, protected or discarded [hva, hva + size): every slot of the VM that
 * lies there is invalidated, in one bracket around the change. Returns whether any was hit. */
bool mmu_hva_invalidate_begin(struct mmu *mmu, uint64_t hva, uint64_t size);
void mmu_hva_invalidate_end(struct mmu *mmu, uint64_t hva, uint64_t size);

/* KVM_SET_MEMORY_ATTRIBUTES, arguments checked by the caller, who holds slots: nothing when the range
 * already is so, else reserve, begin, set, end. -ENOMEM with nothing changed. */
int mmu_set_attributes(struct mmu *mmu, uint64_t gfn, uint64_t nr, uint32_t attributes);

/* ---- vCPUs --------------------------------------------------------------------------------- */

#define MMU_REQ_FLUSH 1u /* drop every cached translation, then mmu_vcpu_ack() */
#define MMU_REQ_KICK 2u	 /* leave the guest: a signal or another thread wants the vCPU */
#define MMU_REQ_EVENT 4u /* an interrupt or the like is to be looked at */

struct mmu_vcpu_head { /* first member of struct mmu_vcpu, for inlining the poll */
	_Atomic uint32_t requests;
	_Atomic uint32_t inside;
};

int mmu_vcpu_create(struct mmu *mmu, struct mmu_vcpu **out);
void mmu_vcpu_destroy(struct mmu_vcpu *v);

/* After enter the engine looks at the requests before it uses any cached translation. */
void mmu_vcpu_enter(struct mmu_vcpu *v);
void mmu_vcpu_leave(struct mmu_vcpu *v);
static inline uint32_t mmu_vcpu_requests(struct mmu_vcpu *v)
{
	return atomic_load_explicit(&((struct mmu_vcpu_head *)v)->requests, memory_order_relaxed);
}
/* Any thread, also from a signal handler. */
void mmu_vcpu_request(struct mmu_vcpu *v, uint32_t requests);
/* The vCPU's own thread. clear is for KICK and EVENT; FLUSH is: mmu_vcpu_flush_begin(), drop all cached
 * translations, mmu_vcpu_flush_end(). */
void mmu_vcpu_clear(struct mmu_vcpu *v, uint32_t requests);
void mmu_vcpu_flush_begin(struct mmu_vcpu *v);
void mmu_vcpu_flush_end(struct mmu_vcpu *v);

/* ---- translation --------------------------------------------------------------------------- */

#define MMU_READ 1u
#define MMU_WRITE 2u
#define MMU_EXEC 4u

struct mmu_leaf {
	uint8_t *host; /* host address of the 4 KiB page that holds gpa */
	bool writable; /* writes need no further fault (dirty log, read-only slots) */
	int level;     /* of the leaf */
};
/* Inside only, lock-free. True when the nested tables map gpa for the access. */
bool mmu_walk(struct mmu_vcpu *v, uint64_t gpa, uint32_t access, struct mmu_leaf *leaf);

enum mmu_fault_result {
	MMU_FAULT_OK,	  /* mapped now (or by somebody else): look the page up again */
	MMU_FAULT_MMIO,	  /* no slot, or a write to a read-only slot: emulate as a device access */
	MMU_FAULT_MEMORY, /* memory-fault exit: info says which; error -EFAULT or -EHWPOISON */
	MMU_FAULT_ERROR,  /* error alone (-EFAULT, -ENOMEM, -EINTR), no exit reason */
	MMU_FAULT_AGAIN,  /* prefault only: the slot is on its way out */
};
struct mmu_fault_info {
	int error;     /* -errno */
	uint64_t gpa;  /* page aligned */
	uint64_t size; /* 4096 */
	bool is_private;
	uint64_t mapped_end; /* OK: first gpa behind the leaf, for KVM_PRE_FAULT_MEMORY */
};
/* Outside only; takes locks, may block. prefault: for KVM_PRE_FAULT_MEMORY (backs the page too). */
enum mmu_fault_result mmu_fault(struct mmu_vcpu *v, uint64_t gpa, uint32_t access, bool prefault,
				struct mmu_fault_info *info);

/* For failures on purpose (obs/inject.h), and config.guest_says. */
/* The guest takes the range to be that, and its program is not told: the guest's touches will tell. False: there
 * is no room to keep that in mind. INJECT_ANY_KIND: the program is told this time. Slots lock. */
bool mmu_set_guest_kind(struct mmu *mmu, uint64_t gfn, uint64_t nr, enum inject_kind kind);
/* A page of a file that this vCPU has faulted in and that is still there, and what it is. The vCPU's thread. */
bool mmu_last_fault(struct mmu_vcpu *v, struct mmu_fault_info *info);

/* Walks the tables, asserts form and that every leaf agrees with slots, attributes and levels.
 * Caller holds slots and no vCPU runs. */
void mmu_check(struct mmu *mmu);
/* Under the slots lock: the level gpa is mapped at now, -1 when it is not. For tests and maps. */
int mmu_mapped_level(struct mmu *mmu, uint64_t gpa);

#endif
