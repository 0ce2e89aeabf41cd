/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What lint keeps of the VMs, vCPUs, threads and files of a run. Between lint's own files. */
#ifndef GMEM_SEE_LINT_STATE_H
#define GMEM_SEE_LINT_STATE_H

#include "obs/region.h"
#include "see/lint.h"
#include "see/page_set.h"
#include "see/ranges.h"

#define LINT_PAGE 4096ull
#define LINT_NR_CALLS \
	256u /* conversions, discards and allocations that are remembered, of each VM */

struct lint_span {
	uint64_t start, end;
};

static inline bool lint_meets(struct lint_span a, struct lint_span b)
{
	return a.start < b.end && b.start < a.end;
}
struct lint_span lint_both(struct lint_span a, struct lint_span b);
/* Of a record; one that goes beyond all addresses ends there. */
struct lint_span lint_span_of(uint64_t start, uint64_t size);

enum lint_side { LINT_IN_FILE, LINT_IN_PROGRAM };

/* A call of the program, in gpa. */
struct lint_call {
	struct lint_span span;
	uint64_t at; /* how many records there were before */
	uint64_t caller;
	uint32_t thread;
	uint16_t file;	     /* allocation */
	bool is_private;     /* conversion */
	enum lint_side side; /* discard */
	bool anywhere;	     /* discard: which pages is not known */
};

/* The last ones, in a ring, which is made for the first. */
struct lint_calls {
	struct lint_call *calls;
	uint64_t nr;
};
void lint_calls_add(struct lint_calls *c, const struct lint_call *call);
/* The i-th, the last one first; NULL: there are no more. */
const struct lint_call *lint_calls_at(const struct lint_calls *c, uint64_t i);

struct lint_slot {
	uint32_t id; /* with its address space */
	struct lint_span span;
	uint64_t hva, offset, caller;
	uint16_t file; /* 0: none */
};

enum lint_wants { LINT_NOTHING, LINT_FAULT, LINT_CALL };

struct lint_vcpu {
	uint32_t id;
	uint64_t made_by;
	bool closed, is_out;
	/* What the last exit was about. */
	enum lint_wants wants;
	struct lint_span span;
	uint64_t flags; /* of the memory fault, or of the guest's call */
	uint64_t run_by;
	/* Since then: */
	bool was_tried;	      /* a conversion of some of it was asked for, or the slot changed */
	bool was_refused;     /* a conversion of some of it failed */
	struct ranges failed; /* what is left of those */
	uint64_t failed_by;   /* the last one that did */
	struct ranges done;   /* what was converted of it */
	uint64_t done_by, cut_by; /* the last call; one that cut a page of the size asked for */
	/* The memory fault before that one, when it was not answered. */
	bool was_ignored;
};

struct lint_vm {
	unsigned int process;
	uint16_t number;
	bool closed, gone;
	uint64_t nr_asked;   /* exits that ask for a conversion */
	uint64_t last_enter; /* how many records there were before; 0: it never ran */
	struct lint_slot *slots;
	size_t nr_slots, max_slots;
	struct lint_vcpu *vcpus;
	size_t nr_vcpus, max_vcpus;
	struct lint_calls conversions, discards, allocations;
	struct page_set is_private;
	struct page_set
		held; /* allocated, and no hole punched since; where there are two memories */
	struct page_set told[2]; /* by lint_side: pages left behind that were told already */
};

struct lint_file {
	unsigned int process;
	uint16_t number, vm;
	bool closed;
	bool is_private; /* all of it, since it is so at first and nothing was converted yet */
	bool is_all; /* there is no other memory beside it: in place, or mapped by the program */
	uint64_t made_by;
};

struct lint_thread {
	unsigned int process;
	uint32_t number;
	uint64_t last_enter, last_exit; /* of vCPUs: how many records there were before; 0: none */
	bool at_once_out;		/* its last call of KVM_RUN did not run the guest */
	/* L8: pages that follow each other. */
	struct {
		uint64_t caller, nr, up, down, nr_asked;
		uint16_t vm, file;
		bool is_private, excused;
		uint64_t gpa;
	} loop;
	/* L9 */
	struct {
		uint64_t request, caller, nr, end;
		uint16_t file;
	} again;
};

struct lint {
	uint64_t tsc_khz;
	uint64_t nr; /* records */
	uint64_t nr_lost, nr_left_out;
	bool saw_little;
	uint32_t gaps;			/* 1 << enum lint_gap */
	bool closer[OBS_MAX_PROCESSES]; /* by process: it was looked at closer */
	struct lint_vm **vms;
	size_t nr_vms, max_vms;
	struct lint_file *files;
	size_t nr_files, max_files;
	struct lint_thread *threads;
	size_t nr_threads, max_threads, last_thread;
	struct lint_finding *findings;
	size_t nr_findings, max_findings;
};

/* Those that are not there are made; NULL: no memory. */
struct lint_vm *lint_vm(struct lint *l, unsigned int process, uint16_t number);
struct lint_vcpu *lint_vcpu(struct lint_vm *vm, uint32_t id);
struct lint_file *lint_file(struct lint *l, unsigned int process, uint16_t number);
struct lint_thread *lint_thread(struct lint *l, const struct obs_record *r);
void lint_slot_set(struct lint_vm *vm, const struct lint_slot *slot);
void lint_slot_delete(struct lint_vm *vm, uint32_t id);
/* It is gone: what was kept of its memory is not needed any more. */
void lint_vm_forget(struct lint_vm *vm);
struct lint_slot *lint_slot_by_id(struct lint_vm *vm, uint32_t id);
void lint_state_forget(struct lint *l);
void lint_state_free(struct lint *l);

/* fn for each part of [start, start + size) that is in slots of the process's VMs, in gpa: of file's offsets, or of
 * addresses of the program (file 0). */
struct lint_part {
	struct lint_vm *vm;
	struct lint_slot *slot;
	struct lint_span span;
};
void lint_each_part(struct lint *l, unsigned int process, uint16_t file, uint64_t start,
		    uint64_t size, void (*fn)(struct lint *l, const struct lint_part *p, void *arg),
		    void *arg);

/* nr more of this, there. */
void lint_found(struct lint *l, const struct lint_finding *f);

/* ---- who judges what -------------------------------------------------------------------------------- */

/* A conversion was asked for, in gpa of one VM; those of files once for each slot that it meets. */
struct lint_asked {
	struct lint_vm *vm;
	struct lint_span span;
	const struct obs_record *r;
};

/* lint_calls.c: L8, L9. What the thread has waited for may be so now; by an unpin, what any thread has waited for. */
void lint_loop_asked(struct lint *l, struct lint_thread *t, const struct obs_record *r);
void lint_loop_ends(struct lint *l, struct lint_thread *t);
void lint_again(struct lint *l, struct lint_thread *t, const struct obs_record *r);
void lint_again_calms(struct lint *l, const struct obs_record *r);
void lint_again_unpinned(struct lint *l, const struct obs_record *r);
/* lint_exits.c: L4, L5, L6, L10 */
void lint_exits_asked(struct lint *l, const struct lint_asked *a);
void lint_exits_exit(struct lint *l, struct lint_vm *vm, const struct obs_record *r);
void lint_exits_guest(struct lint_vm *vm, const struct obs_record *r);
void lint_exits_slot(struct lint_vm *vm, struct lint_span span);
void lint_exits_enter(struct lint *l, struct lint_vm *vm, const struct obs_record *r);
/* lint_memory.c: L1, L2, L3, L5 */
void lint_memory_asked(struct lint *l, const struct lint_asked *a);
void lint_memory_discard(struct lint *l, const struct obs_record *r);
void lint_memory_punch(struct lint *l, const struct obs_record *r);
void lint_memory_allocate(struct lint *l, const struct obs_record *r);
void lint_memory_left(struct lint *l, const struct obs_record *r);
/* A slot with memory of its own is there now. */
void lint_memory_slot(struct lint *l, const struct lint_part *p);
/* The VM, or this file of it, is about to end; 0: all. */
void lint_memory_ends(struct lint *l, struct lint_vm *vm, uint16_t file);

#endif
