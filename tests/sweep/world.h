/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A world of the KVM interface: /dev/kvm, a VM, vCPUs, memory of the program, one guest_memfd with windows, and
 * what the guest and the host find in some of its pages.
 */
#ifndef GMEM_TESTS_SWEEP_WORLD_H
#define GMEM_TESTS_SWEEP_WORLD_H

#include "scenario.h"

#include <gmem/ioctl.h>
#include <gmem/uapi.h>

#include "bench/uapi.h"

#define PAGE 4096ull
#define NR_PAGES 600u /* of the file: more than a leaf of an attribute map has */
#define FILE_SIZE (NR_PAGES * PAGE)
#define RAM_SIZE (16 * PAGE)
#define PLAIN_PAGES 40u
#define CODE 0x1000u	  /* in RAM: reads a byte; at CODE + 4 writes it */
#define BASE (1ull << 30) /* of the file's slot */
#define PLAIN (2ull << 30)
#define MOVED (3ull << 30)
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE

enum { RAM_SLOT, FILE_SLOT, PLAIN_SLOT, NR_SLOTS };

struct world {
	const struct uapi *u;
	int kvm, vm, vcpu, vcpu2, file; /* -1: not there */
	struct kvm_run *run;
	uint64_t run_size;
	uint8_t *ram, *plain, *behind; /* behind: the slot of a file that the host cannot map */
	uint8_t *window[2];	       /* NULL: not there */
	uint64_t window_first[2], window_nr[2];
	uint64_t hole_first, hole_nr; /* of window 1, in pages of the file */
	uint64_t slot_gpa[NR_SLOTS];  /* 0 and no RAM_SLOT: not there */
	bool has_ram_slot;
	uint64_t log; /* what the dirty log said last */
	int pipe[2], event;
	void *own; /* the scenario's */
};

/* By uapi_linked or uapi_libc, whichever the program has. */
extern const struct uapi *const world_uapi;

struct world *world_make(void);
void world_look(struct world *w, struct text *t);
void world_unmake(struct world *w);

/* *fd, if it is there; it is -1 then. */
void world_close(struct world *w, int *fd);
int world_slot(struct world *w, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size,
	       void *hva);
int world_map(struct world *w, int window, uint64_t first, uint64_t nr);
int world_fallocate(struct world *w, bool punch, uint64_t first, uint64_t nr);
/* By file page, in place; by gfn otherwise. */
int world_convert(struct world *w, uint64_t first, uint64_t nr, bool to_private);
int world_set_private(struct world *w, uint64_t gpa, uint64_t nr, bool to_private);
/* Until HLT, with ds at gpa, al as it is told; then what al is. -EBADMSG: another exit. */
int guest_run(struct world *w, uint64_t gpa, uint64_t rip, uint8_t *al);
/* One access of the guest. -EFAULT: a memory fault. */
int guest_read(struct world *w, uint64_t gpa, uint8_t *value);
int guest_write(struct world *w, uint64_t gpa, uint8_t value);
/* A read by a system call; -EFAULT: hidden. */
int host_read(struct world *w, const uint8_t *at, uint8_t *value);

#endif
