/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What the tests of mmu share: a world of one mmu and one vCPU, memory of the program at an address of
 * known alignment, and an access as an engine makes it.
 */
#ifndef GMEM_TESTS_MMU_FIXTURE_H
#define GMEM_TESTS_MMU_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mmu/memslot.h"
#include "mmu/mmu.h"
#include "os/fault.h"
#include "os/os.h"

#define PAGE ((uint64_t)4096)
#define MB2 ((uint64_t)2 << 20)
#define GB ((uint64_t)1 << 30)

struct world {
	struct mmu *mmu;
	struct mmu_vcpu *v;
};

void world_make(struct world *w, bool has_private);
/* For tests of leaves larger than 4 KiB, which GMEM_DEBUG=slow turns off for others. */
void world_make_large(struct world *w, bool has_private);
/* Deletes all slots. */
void world_unmake(struct world *w);

/* Lazily backed memory whose address is aligned to GB plus skew. */
uint8_t *memory_make(uint64_t size, uint64_t skew);
void memory_unmake(uint8_t *memory, uint64_t size);

struct memslot *slot_make(struct world *w, uint32_t id, uint64_t gfn, uint64_t nr_pages,
			  const void *hva, uint32_t flags);
struct memslot *slot_make_file(struct world *w, uint32_t id, uint64_t gfn, uint64_t nr_pages,
			       const void *hva, struct gmem_file *file, uint64_t offset);
/* The end of a file that has been used: bindings forget it, the reference goes. */
void file_unmake(struct gmem_file *file);

/* gmem_file_convert() of a file that converts in place. */
int file_convert(struct gmem_file *file, uint64_t offset, uint64_t size, uint32_t attributes);

/* The nested walk alone. */
bool walk(struct mmu_vcpu *v, uint64_t gpa, uint32_t access, struct mmu_leaf *leaf);
/* The walk, and when that finds nothing a fault and the walk again. */
enum mmu_fault_result touch(struct mmu_vcpu *v, uint64_t gpa, uint32_t access,
			    struct mmu_leaf *leaf, struct mmu_fault_info *info);
/* Asserts that it can be accessed; where. */
uint8_t *touch_ok(struct mmu_vcpu *v, uint64_t gpa, uint32_t access);
uint8_t *file_address(struct gmem_file *file, uint64_t offset);

#endif
