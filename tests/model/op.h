/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * op: one call of a program of the model's, and what came of it. A program is a list of calls; as text, a line
 * each, the call's name and the fields it has (the table in op.c), those that are 0 left out:
 *
 *	vm vm=0 type=1
 *	file file=2 size=0x4000 flags=0x3
 *	slot id=1 flags=0x4 gpa=0xc0000000 size=0x4000 area=1 at=0x1000 file=2
 *	attr gpa=0xc0000000 size=0x2000 attributes=0x8
 *	run fn=write gpa=0xc0000000 n=3 value=0x51
 *
 * What is after # is a comment. VMs, vCPUs, files, areas and pins are named by small numbers, so that any part of
 * a program is a program, too: a call on what does not exist is answered with -EBADF, by nobody.
 */
#ifndef GMEM_MODEL_OP_H
#define GMEM_MODEL_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096ull
#define WORD_AT(word) ((word) == 0 ? 0 : (word) == 1 ? PAGE - 8 : PAGE - 4)

enum op_kind {
	OP_VM, /* KVM_CREATE_VM with a little RAM and NR_VCPUS vCPUs; one of that number ends first. n not 0:
		* KVM_ENABLE_CAP with it, of conversion in place, before there is a vCPU */
	OP_END,	    /* its descriptors are closed */
	OP_FILE,    /* KVM_CREATE_GUEST_MEMFD; a file of that number is closed first */
	OP_CLOSE,   /* of a file */
	OP_DUP,	    /* number n is one more for a file; one of that number is closed first */
	OP_SLOT,    /* KVM_SET_USER_MEMORY_REGION2; n not 0: KVM_SET_USER_MEMORY_REGION */
	OP_ATTR,    /* KVM_SET_MEMORY_ATTRIBUTES */
	OP_CONVERT, /* KVM_SET_MEMORY_ATTRIBUTES2; n: the last reserved word */
	OP_FALLOC,  /* fallocate */
	OP_MAP,	    /* mmap, MAP_FIXED, n pages in an area: of a file, or (file NO_FILE) nobody's */
	OP_UNMAP,   /* of n pages in an area; PROT_NONE comes there, so that nobody else does */
	OP_DISCARD, /* MADV_DONTNEED */
	OP_MOVE,    /* mremap of n pages to another place, PROT_NONE where they were */
	OP_PEEK,    /* a word is read: word 0 is the first of a page, word 1 its last */
	OP_POKE,    /* written */
	OP_DIGEST,  /* n whole pages are read, by system calls */
	OP_RUN,	    /* KVM_RUN: the vCPU does fn on one word of each of n pages */
	OP_RESUME,  /* KVM_RUN again, with what the last one wanted to know */
	OP_PREFAULT, /* KVM_PRE_FAULT_MEMORY */
	OP_LOG,	     /* KVM_GET_DIRTY_LOG */
	OP_CLEAR, /* KVM_CLEAR_DIRTY_LOG of n pages from the offset-th on; value: each word of the bitmap */
	OP_ENABLE, /* KVM_ENABLE_CAP n, of a VM; value: its argument */
	OP_CAP,	   /* KVM_CHECK_EXTENSION n, of a VM */
	OP_PIN,	   /* n pages are put into a pipe; a pin of that number ends first */
	OP_UNPIN,
	NR_OPS,
};

enum op_fn {
	FN_READ,      /* adds up */
	FN_WRITE,     /* value, value + 1, ... */
	FN_ADD,	      /* reads, adds value, writes */
	FN_HYPERCALL, /* KVM_HC_MAP_GPA_RANGE of gpa, n pages, attributes value */
	FN_OUT,	      /* value to a port, n times */
	NR_FNS,
};

struct op {
	enum op_kind kind;
	uint64_t vm, vcpu, type, id, flags, gpa, size, area, at, file, offset, attributes, mode, fn,
		word, value, n, pin, to_area, to;
};

/* What differs from what the model says is a bug, in one or the other. */
struct answer {
	int64_t ret; /* what the call returned, -errno; a new descriptor is 0 */
	uint64_t
		exit; /* kvm_run.exit_reason after RUN, RESUME, and after a pre-fault that failed */
	uint64_t a, b, c; /* of that exit: gpa or port, size or page count, flags or is_write */
	uint64_t
		value; /* read, added up, digested; where a conversion failed; what is left of a pre-fault */
	uint64_t at; /* how far the guest or the pre-fault got */
};

/* Touching the memory of the program failed so. */
#define ANSWER_SIGBUS (-1007)
#define ANSWER_SIGSEGV (-1011)
/* The model says nothing of this call: it is not made. */
#define ANSWER_UNDEFINED INT64_MIN

struct program {
	struct op *ops;
	size_t nr, room;
};

void program_add(struct program *p, const struct op *op);
void program_free(struct program *p);
/* False, after a message on stderr. */
bool program_read(struct program *p, const char *path);
bool program_write(const struct program *p, const char *path, const char *head);

/* In text; room of OP_TEXT each. */
#define OP_TEXT 512
const char *op_text(const struct op *op, char *text);
const char *answer_text(const struct answer *a, char *text);
const char *op_name(enum op_kind kind);

/* The fields that a kind has, for who makes programs smaller: NULL at the end. */
uint64_t *op_field(struct op *op, unsigned int index);

#endif
