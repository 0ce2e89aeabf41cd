/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * sys: what the system side of the soft engine shares among its files: descriptors, stacks that are
 * not (yet) the current one, delivery, control registers, CPUID. Private to src/cpu/soft.
 *
 * Everything here runs on the vCPU's thread, inside an instruction or a delivery; whatever can
 * leave does so before anything that the guest can see has changed, apart from accessed and busy
 * bits in descriptors and stack memory below the stack pointer, which a repetition writes again.
 *
 *	descriptor	63..56 base 31..24   55 G   54 D/B   53 L   52 AVL   51..48 limit 19..16
 *			47 P   46..45 DPL   44 S   43..40 type   39..16 base 23..0   15..0 limit
 *	gate		63..48 offset 31..16   47 P   46..45 DPL   44 0   43..40 type
 *			36..32 parameters, or 34..32 IST   31..16 selector   15..0 offset
 */
#ifndef GMEM_CPU_SOFT_SYS_H
#define GMEM_CPU_SOFT_SYS_H

#include "cpu/soft/flags.h"
#include "cpu/soft/soft.h"

#define CR0_PE (1ull << 0)
#define CR0_MP (1ull << 1)
#define CR0_EM (1ull << 2)
#define CR0_TS (1ull << 3)
#define CR0_ET (1ull << 4)
#define CR0_NE (1ull << 5)
#define CR0_WP (1ull << 16)
#define CR0_AM (1ull << 18)
#define CR0_NW (1ull << 29)
#define CR0_CD (1ull << 30)
#define CR0_PG (1ull << 31)

#define CR4_VME (1ull << 0)
#define CR4_PVI (1ull << 1)
#define CR4_TSD (1ull << 2)
#define CR4_DE (1ull << 3)
#define CR4_PSE (1ull << 4)
#define CR4_PAE (1ull << 5)
#define CR4_MCE (1ull << 6)
#define CR4_PGE (1ull << 7)
#define CR4_PCE (1ull << 8)
#define CR4_OSFXSR (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_UMIP (1ull << 11)
#define CR4_LA57 (1ull << 12)
#define CR4_FSGSBASE (1ull << 16)
#define CR4_PCIDE (1ull << 17)
#define CR4_OSXSAVE (1ull << 18)
#define CR4_SMEP (1ull << 20)
#define CR4_SMAP (1ull << 21)

#define EFER_SCE (1ull << 0)
#define EFER_LME (1ull << 8)
#define EFER_LMA (1ull << 10)
#define EFER_NX (1ull << 11)

/* What code of any privilege can change. */
#define RFLAGS_ANY (RFLAGS_ARITH | RFLAGS_TF | RFLAGS_DF | RFLAGS_NT)

#define DR6_BD (1ull << 13)
#define DR6_BS (1ull << 14)
#define DR6_FIXED 0xffff0ff0ull
#define DR6_SETTABLE 0xe00full
#define DR7_FIXED 0x400ull
#define DR7_GD (1ull << 13)

/* Descriptor types: system (S = 0), and bits of code and data (S = 1). */
enum {
	DESC_TSS16 = 1,
	DESC_LDT = 2,
	DESC_TSS16_BUSY = 3,
	DESC_CALL16 = 4,
	DESC_TASK_GATE = 5,
	DESC_INT16 = 6,
	DESC_TRAP16 = 7,
	DESC_TSS32 = 9,
	DESC_TSS32_BUSY = 11,
	DESC_CALL32 = 12,
	DESC_INT32 = 14,
	DESC_TRAP32 = 15,
};
#define DESC_ACCESSED 1u
#define DESC_RW 2u	   /* data: writable; code: readable */
#define DESC_DOWN 4u	   /* data: expands down */
#define DESC_CONFORMING 4u /* code */
#define DESC_CODE 8u

struct desc {
	uint64_t lo;
	uint64_t hi;  /* of a 16-byte descriptor, else 0 */
	uint64_t lin; /* where it lies */
};

static inline unsigned int desc_type(const struct desc *d)
{
	return d->lo >> 40 & 15;
}
static inline bool desc_s(const struct desc *d)
{
	return d->lo >> 44 & 1;
}
static inline unsigned int desc_dpl(const struct desc *d)
{
	return d->lo >> 45 & 3;
}
static inline bool desc_p(const struct desc *d)
{
	return d->lo >> 47 & 1;
}
static inline bool desc_l(const struct desc *d)
{
	return d->lo >> 53 & 1;
}
static inline bool desc_db(const struct desc *d)
{
	return d->lo >> 54 & 1;
}
static inline bool desc_is_code(const struct desc *d)
{
	return desc_s(d) && (desc_type(d) & DESC_CODE);
}
static inline bool desc_is_conforming(const struct desc *d)
{
	return desc_is_code(d) && (desc_type(d) & DESC_CONFORMING);
}
static inline bool desc_is_writable_data(const struct desc *d)
{
	return desc_s(d) && (desc_type(d) & (DESC_CODE | DESC_RW)) == DESC_RW;
}
static inline uint16_t gate_selector(const struct desc *d)
{
	return d->lo >> 16;
}
static inline uint64_t gate_offset(const struct desc *d)
{
	return (d->lo & 0xffff) | (d->lo >> 32 & 0xffff0000) | d->hi << 32;
}

static inline bool sel_is_null(uint16_t sel)
{
	return !(sel & ~3u);
}
static inline uint32_t sel_error(uint16_t sel)
{
	return sel & ~3u;
}

static inline bool sys_protected(const struct soft *c)
{
	return c->state.cr0 & CR0_PE;
}
static inline bool sys_v86(const struct soft *c)
{
	return sys_protected(c) && !c->long_mode && (c->state.rflags & RFLAGS_VM);
}
/* Segments are loaded by shifting the selector. */
static inline bool sys_real_segments(const struct soft *c)
{
	return !sys_protected(c) || sys_v86(c);
}
static inline unsigned int sys_iopl(const struct soft *c)
{
	return c->state.rflags >> 12 & 3;
}

/* #GP(0) unless CPL is 0. */
void sys_need_cpl0(struct soft *c);
bool sys_canonical(const struct soft *c, uint64_t addr);

/* ---- segment.c ------------------------------------------------------------------------------- */

/* Reads the descriptor sel names; false when it lies outside its table. wide: 16 bytes. */
bool seg_read(struct soft *c, uint16_t sel, bool wide, struct desc *d);
void seg_from_desc(struct cpu_seg *seg, uint16_t sel, const struct desc *d);
void seg_set_accessed(struct soft *c, struct desc *d);
void seg_set_busy(struct soft *c, struct desc *d, bool busy);
void seg_set_null(struct cpu_seg *seg, uint16_t sel, unsigned int dpl);
void seg_set_flat_code(struct cpu_seg *seg, uint16_t sel, unsigned int dpl, bool l);
void seg_set_flat_data(struct cpu_seg *seg, uint16_t sel, unsigned int dpl);
/* As real and virtual-8086 mode load a selector. */
void seg_set_real(struct soft *c, struct cpu_seg *seg, uint16_t sel);
bool seg_in_limit(const struct cpu_seg *seg, uint64_t offset, unsigned int size);
/* A segment that a return to an outer privilege may not keep becomes null. */
void seg_drop_inner(struct cpu_seg *seg, unsigned int cpl);
/* SS for privilege cpl: the descriptor checked (#vec, not present: #SS), accessed. sel is not null.
 *  */
void seg_check_ss(struct soft *c, uint16_t sel, unsigned int cpl, uint8_t vec, struct cpu_seg *ss);
/* Loads the local descriptor table and the task register. */
void seg_load_ldt(struct soft *c, uint16_t sel);
void seg_load_tr(struct soft *c, uint16_t sel);

/* Stack pointer and SS of an inner privilege, from the task state segment. */
void tss_inner_stack(struct soft *c, unsigned int cpl, uint16_t *ss, uint32_t *esp);
/* Long mode: slot 0..2 are RSP0..2, 4..10 IST1..7. */
uint64_t tss_rsp(struct soft *c, unsigned int slot);

/* ---- stack.c: stacks that are about to be the current one ------------------------------------ */

struct stack {
	struct cpu_seg ss;
	uint64_t sp;
	uint8_t size;	/* of the stack pointer: 2, 4, 8 */
	uint8_t cpl;	/* it is accessed with */
	uint32_t error; /* of #SS when it is too small */
};

void stack_current(struct soft *c, struct stack *s);
void stack_new(struct soft *c, struct stack *s, const struct cpu_seg *ss, uint64_t sp,
	       unsigned int cpl);
/* Pushes nr values of size bytes, value[0] first, and moves s->sp. Leaves before the first store if
 * any of them cannot be done. */
void stack_push(struct soft *c, struct stack *s, const uint64_t *value, unsigned int nr,
		unsigned int size);
/* The nth value of size bytes from the top, not popped. */
uint64_t stack_peek(struct soft *c, struct stack *s, unsigned int n, unsigned int size);
void stack_drop(struct stack *s, uint64_t bytes);
/* s is the current stack from now on; the caller calls soft_mode_changed(). */
void stack_commit(struct soft *c, const struct stack *s);

/* ---- exception.c, deliver.c ------------------------------------------------------------------ */

enum {
	EVENT_EXTERNAL = 0,
	EVENT_NMI = 2,
	EVENT_EXCEPTION = 3,
	EVENT_INT_N = 4,
	EVENT_INT1 = 5,
	EVENT_INT3 = 6
};

struct delivery {
	uint8_t vector;
	bool software; /* the gate's DPL counts */
	bool has_error;
	uint32_t error;
	uint64_t rip;	/* to return to */
	uint64_t flags; /* to push */
};

/* Goes through the vector's gate: stack, SS, CS, flags. Returns the new RIP, which the caller sets.
 *  */
uint64_t deliver_event(struct soft *c, const struct delivery *d);
/* Between the two an exception is one of delivery. */
void delivery_begin(struct soft *c, struct cpu_event *event, uint8_t vector, unsigned int type);
void delivery_end(struct soft *c);

/* ---- task.c ---------------------------------------------------------------------------------- */

enum task_reason { TASK_JUMP, TASK_CALL, TASK_RETURN };
/* Switches to the task of the TSS sel names (in the GDT); returns the new RIP. */
uint64_t task_switch(struct soft *c, uint16_t sel, enum task_reason why, uint64_t rip,
		     bool has_error, uint32_t error);
/* It was left in its middle, and not by an exception of the new task: it has not begun. */
void task_undo(struct soft *c);

/* ---- mode.c ---------------------------------------------------------------------------------- */

/* Write as the instruction does: false for #GP, nothing changed. PAE directory pointers are loaded
 * (which may leave). */
bool mode_set_cr0(struct soft *c, uint64_t value);
bool mode_set_cr3(struct soft *c, uint64_t value);
bool mode_set_cr4(struct soft *c, uint64_t value);
bool mode_set_efer(struct soft *c, uint64_t value);

/* ---- cpuid.c --------------------------------------------------------------------------------- */

enum soft_feature {
	FEATURE_VME,
	FEATURE_PCID,
	FEATURE_XSAVE,
	FEATURE_FSGSBASE,
	FEATURE_SMEP,
	FEATURE_SMAP,
	FEATURE_INVPCID,
	FEATURE_UMIP,
	FEATURE_LA57,
	FEATURE_RDPID,
	FEATURE_RDTSCP,
	FEATURE_LM,
	FEATURE_NX,
	FEATURE_SYSCALL,
	FEATURE_SEP,
	FEATURE_PGE,
};
/* What the guest's CPUID says. */
bool soft_has(struct soft *c, enum soft_feature feature);
/* AMD or Hygon: for what the two kinds do differently. */
bool soft_vendor_is_amd(struct soft *c);

#endif
