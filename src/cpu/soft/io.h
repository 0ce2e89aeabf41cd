/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * io: what complete() has to finish, and the state of devices in memory. Private to src/cpu/soft; all on
 * the vCPU's thread.
 */
#ifndef GMEM_CPU_SOFT_IO_H
#define GMEM_CPU_SOFT_IO_H

#include "cpu/soft/soft.h"

enum { IO_NONE, IO_MMIO, IO_IN, IO_OUT, IO_INS, IO_OUTS, IO_HYPERCALL };

/* mmio.c: mmu_fault() said device. */
void mmio_add_device(struct soft *c, uint64_t gpa, uint32_t access);
void mmio_instruction_over(struct soft *c);
void mmio_complete(struct soft *c, const void *data);

/* exec_io.c */
void io_complete(struct soft *c, uint8_t pending, const void *data);

/* run.c: complete() has finished the instruction: RIP, shadow, traps as after any other. */
void run_instruction_over(struct soft *c, uint64_t next_rip);

#endif
