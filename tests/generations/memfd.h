/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What several generations have in common. Each function closes the file, or the guest that it is given has it. */
#ifndef GMEM_TESTS_GENERATIONS_MEMFD_H
#define GMEM_TESTS_GENERATIONS_MEMFD_H

#include "gen.h"

#include <stdlib.h>

/* Converts guest addresses, in a slot whose file has what lies at gpa - DATA. */
typedef uint64_t convert_fn(struct guest *g, uint64_t gpa, uint64_t size, bool is_private);

/* Slot 1 + nr at DATA + gpa_page pages; the structure of v8 and v10. */
int memfd_set_slot(struct guest *g, uint32_t nr, uint32_t flags, unsigned int gpa_page,
		   uint64_t nr_pages, void *hva, int fd, uint64_t offset);

/* An empty file: ftruncate() once; fallocate() makes it longer all the same. */
void memfd_sizes(int fd);
/* A sized one: read, write, mmap, seals, lseek as the shim of v8 and v10 answers. */
void memfd_has_no_calls(int fd);
/* One of four pages. */
void memfd_allocates(int fd);
/* Two pages in two slots, the later page first. */
void memfd_two_slots(struct guest *g, int fd, convert_fn *convert);
/* Two pages: the first of one VM, the second of another. */
void memfd_two_vms(struct guest *g, int fd, convert_fn *convert);
/* One page, punched again and again while the guest runs. */
void memfd_punch_beside(struct guest *g, int fd, convert_fn *convert);
/* One page; the program asks for the guest's hypercall itself. */
void memfd_hypercall_exits(struct guest *g, uint32_t reason);
void memfd_overlap(struct guest *g, int fd);
/* Private and shared accesses of the guest to a page that is either; error: what KVM_RUN fails with, or 0. */
void memfd_fault_matrix(struct guest *g, uint32_t reason, int error, int fd, convert_fn *convert);
/* Two pages: a slot that logs, one that is read only. */
void memfd_log_and_read_only(struct guest *g, int fd, convert_fn *convert);
/* One page, which has failed (--inject poison). */
void memfd_bad_page(struct guest *g, uint32_t reason, int fd, convert_fn *convert);
/* Two pages, of which --limit lets one have memory. */
void memfd_no_room(struct guest *g, uint32_t reason, int fd, convert_fn *convert);
/* One page, whose last fault is told once more (--inject run exit=memory-fault). */
void memfd_late_fault(struct guest *g, uint32_t reason, int error, int fd, convert_fn *convert);
void memfd_slot_holds(struct guest *g, int fd, convert_fn *convert);

#endif
