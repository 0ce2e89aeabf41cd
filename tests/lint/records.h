/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * records: a run as lint sees it, told by hand: each function is a call that a VMM makes, or what its guest does, and
 * tells lint the records that gmem would tell of it. Nothing runs, so what two threads do can be in any order.
 *
 * A place is a number: where in the program the call was made.
 */
#ifndef GMEM_TESTS_LINT_RECORDS_H
#define GMEM_TESTS_LINT_RECORDS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/gmem_file.h"
#include "gmem/ioctl.h"
#include "gmem/uapi.h"
#include "obs/record.h"
#include "see/lint.h"

#define PAGE 4096ull
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define US 1000ull /* of the run's clock */

/* Where the guest's memory is when a test does not care. */
#define RAM (4 * MIB)
#define RAM_SIZE (8 * MIB)
#define HVA 0x7f0000000000ull

/* A new run of one process, the first, that is looked at closer; its first thread is the one that does things. */
int run_begin(void **state);
int run_end(void **state);
/* What follows is done by these, until they are changed again. */
void by_process(unsigned int place);
void by_thread(uint32_t thread);
void process_is(unsigned int place, bool closer);
/* The next thing happens so many ticks later; one thing takes one. */
void time_passes(uint64_t ticks);
void records_lost(uint64_t nr);

/* ---- the program ------------------------------------------------------------------------------------ */

void make_vcpu(uint16_t vm, uint32_t id, uint64_t place);
void make_file(uint16_t vm, uint16_t file, uint64_t flags, uint64_t place);
struct slot {
	uint32_t id;
	uint64_t gpa, size, hva, offset;
	uint16_t file;
};
void set_slot(uint16_t vm, const struct slot *s, uint64_t place);
void delete_slot(uint16_t vm, uint32_t id);
/* VM 1, vCPU 0, and slot 0: RAM, at HVA in the program and at 0 in the guest_memfd 1. */
void make_vm(void);
/* The same in place. */
void make_vm_in_place(void);

/* By gfn. */
void convert(uint16_t vm, uint64_t gpa, uint64_t size, bool is_private, uint64_t place);
void convert_fails(uint16_t vm, uint64_t gpa, uint64_t size, bool is_private, int err,
		   uint64_t place);
/* In place. */
void convert_file(uint16_t file, uint64_t offset, uint64_t size, bool is_private, uint64_t place);
void convert_file_fails(uint16_t file, uint64_t offset, uint64_t size, bool is_private, int err,
			uint64_t place);
void request(uint64_t nr, int err, uint64_t place);
void punch(uint16_t file, uint64_t offset, uint64_t size, uint64_t place);
void allocate(uint16_t file, uint64_t offset, uint64_t size, uint64_t place);
/* madvise, munmap. */
void discard(uint64_t address, uint64_t size, uint64_t place);
/* A hole in a file of the program's own. */
void punch_memfd(uint64_t offset, uint64_t size, uint64_t place);
void unpin(uint16_t file, uint64_t offset, uint64_t size);
void close_vm(uint16_t vm);
void close_vcpu(uint16_t vm, uint32_t id);
void close_file(uint16_t vm, uint16_t file);
void vm_gone(uint16_t vm);

/* ---- the guest ---------------------------------------------------------------------------------------- */

void enter(uint16_t vm, uint32_t vcpu);
/* With something else than 0 in hypercall.ret. */
void enter_refusing(uint16_t vm, uint32_t vcpu);
void enter_at_once_out(uint16_t vm, uint32_t vcpu); /* immediate_exit */
void leave(uint16_t vm, uint32_t vcpu, uint64_t reason);
void leave_fault(uint16_t vm, uint32_t vcpu, uint64_t gpa, bool is_private, uint64_t place);
/* KVM_HC_MAP_GPA_RANGE */
void leave_call(uint16_t vm, uint32_t vcpu, uint64_t gpa, uint64_t size, uint64_t flags);

/* gmem has looked, and pages have memory that their attribute does not look at. */
enum when { AT_ENTRY, AT_END };
void left(uint16_t vm, uint64_t gpa, uint64_t size, bool is_private, enum when when);

/* ---- what is said of it --------------------------------------------------------------------------------- */

/* The run is over: */
void assert_silent(void);
/* This alone was found, nr times, of so many bytes. */
void assert_only(unsigned int code, uint64_t place, uint64_t nr, uint64_t bytes);
void assert_found(unsigned int code, uint64_t place, uint64_t nr, uint64_t bytes);
void assert_nr_found(size_t nr);

#define TEST(f) cmocka_unit_test_setup_teardown(f, run_begin, run_end)

#endif
