/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest_memfd of NR pages that converts in place, and somebody who does not let go of pages of it. */
#ifndef GMEM_TESTS_KVM_CONVERSION_H
#define GMEM_TESTS_KVM_CONVERSION_H

#include "fixture.h"

#include <stdbool.h>

#include "core/gmem_file.h"
#include "map/host_file.h"

#define NR 8u
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE
#define POISON 0x5a5a5a5a5aull /* what error_offset holds before a call */

struct gmem_file *file_of(int gmem);
struct kvm_memory_attributes2 request(uint64_t offset, uint64_t size, uint64_t attributes);
/* What the request says; it must not have written error_offset. */
long convert(int gmem, uint64_t offset, uint64_t size, uint64_t attributes);
bool is_private(int gmem, unsigned int page);
/* The pages' states as a bit mask. */
unsigned int privates(int gmem);

/* Holds two ranges, and refuses to give them up. */
struct holder {
	struct gmem_consumer consumer;
	struct gmem_refused held[2];
	unsigned int asked;
	int err;
};

struct held_file {
	int vm, gmem;
	struct holder holder;
};

/* In profile in-place: a VM, a shared file; page first is held, and two from second on. */
void hold_pages(struct held_file *f, unsigned int first, unsigned int second);
void let_go(struct held_file *f);

#endif
