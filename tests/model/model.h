/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * model: what the memory side of KVM with guest_memfd is, in arrays. Each call of a program (op.h) is one step from
 * one state to the next, at once and alone; model_step() says what the caller sees of it. There is no tree, no lock,
 * no cache and no call of the system in it: what an implementation has of these must not be seen from outside.
 * docs/model.md walks through it.
 *
 * The world is small: guest pages from GUEST_BASE on, a 1 GiB border among them; the first FILE_PAGES pages of a file;
 * some areas of the program's addresses. A page is its first and its last word, the rest of it is always zero.
 */
#ifndef GMEM_MODEL_MODEL_H
#define GMEM_MODEL_MODEL_H

#include <gmem/uapi.h>

#include "model_around.h"
#include "op.h"
#include "rules.h"

#define NR_VMS 2
#define NR_VCPUS 2
#define NR_SLOTS 12
#define NR_FILES 4    /* numbers that a program may give */
#define NO_FILE 15    /* in a call: no descriptor of a guest_memfd, but one that is open */
#define BAD_FILE 14   /* no open descriptor */
#define NR_OBJECTS 10 /* files that exist, also those that only mappings hold */
#define FILE_PAGES 1024
#define AREA_RAW 3 /* in a call: no area, "at" is the address */
#define GUEST_BASE 0xbfe00000ull
#define GUEST_PAGES 1536
#define RAM_SIZE 0x10000ull /* slot 0 of each VM, at 0: the guest's code; no business of programs */

struct slot {
	bool used;
	uint64_t id; /* with the address space in bits 16 and up */
	uint64_t flags, gfn, nr, area, at, offset;
	int file;	/* an object; NONE: none, or it is closed */
	bool gmem_only; /* shared pages are the file's, too: it can be mapped */
	enum dirty { CLEAN, DIRTY, MAYBE } dirty[GUEST_PAGES];
};

struct object { /* a guest_memfd */
	bool used;
	uint64_t vm; /* serial number of its VM */
	bool protected_vm, in_place;
	uint64_t size, flags;
	uint8_t is_private[FILE_PAGES]; /* to the host always; to the guest, in place */
	struct page pages[FILE_PAGES];
};

struct vm {
	bool used, has_private, in_place;
	uint64_t serial;
	uint64_t log_protect; /* the argument of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
	uint64_t changes;     /* of slots */
	uint64_t lingers
		[GUEST_PAGES]; /* changes when the guest found nothing there last; 0: something since */
	struct slot slots[NR_SLOTS];
	uint8_t is_private[GUEST_PAGES];
	struct vcpu vcpus[NR_VCPUS];
};

struct model {
	struct rules rules;
	uint64_t serial;
	struct vm vms[NR_VMS];
	struct object files[NR_OBJECTS];
	int numbers[NR_FILES]; /* objects */
	struct pin pins[NR_PINS];
	struct host_page areas[NR_AREAS][AREA_PAGES];
	uint64_t mappings;	 /* so many were made */
	bool maybe[GUEST_PAGES]; /* in the log that was told last: either is right */
};

#define NONE (-1)

/* What an access of a guest comes to. */
struct access {
	enum { A_PAGE, AN_MMIO, A_MEMORY_FAULT, AN_ERROR, NOT_DEFINED } is;
	struct page *page;
	bool is_private;
};

void model_init(struct model *m, const struct rules *rules);
/* ANSWER_UNDEFINED: the state is to be thrown away, the program is none. */
void model_step(struct model *m, const struct op *op, struct answer *a);

/* For who makes programs. */
struct slot *model_slot_at(struct vm *vm, uint64_t gfn);

/* ---- between the files of the model ------------------------------------------------------------- */

#define IN_PAGE(x) ((x) & (PAGE - 1))
#define GUEST_FIRST (GUEST_BASE / PAGE)
#define UNDEFINED ANSWER_UNDEFINED
#define USER_SLOTS 32764

struct vm *model_vm(struct model *m, const struct op *op); /* NULL: there is none */
struct object *model_file(struct model *m, uint64_t number);
void model_release_unheld(struct model *m);
struct access model_access(struct model *m, struct vm *vm, uint64_t gfn, bool write);
struct access model_touch(struct model *m, struct vm *vm, uint64_t gfn, bool write, bool runs);
void model_say_exit(const struct access *a, uint64_t gpa, bool write, uint64_t data,
		    struct answer *out);
uint64_t model_legal_flags(const struct model *m, const struct vm *vm);
void model_step_around(struct model *m, const struct op *op, struct answer *a); /* model_around.c */
/* model_around.c */
struct page *model_host_page(struct model *m, uint64_t area, uint64_t index, int64_t *err);
uint64_t model_digest(uint64_t digest, const struct page *p); /* NULL: cannot be read */
void model_step_around(struct model *m, const struct op *op, struct answer *a);
/* model_log.c */
void model_log_begin(const struct vm *vm, struct slot *s);
void model_log_access(struct model *m, struct slot *s, uint64_t gfn, bool write);
void model_log_doubt(struct model *m, struct slot *s, uint64_t gfn);
int64_t model_log_protect(struct vm *vm, uint64_t value);
void model_log_get(struct model *m, const struct op *op, struct answer *a);
int64_t model_log_clear(struct model *m, const struct op *op);
int64_t rules_capability(struct model *m, const struct op *op); /* rules.c */

#endif
