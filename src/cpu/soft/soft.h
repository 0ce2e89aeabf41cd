/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * soft: gmem's own x86-64. Private to src/cpu/soft.
 *
 * A basic block is decoded once (Zydis) into an array of struct insn, each with a handler; the run loop
 * calls handlers one after another. A block runs only if its bytes equal those in guest memory now:
 * code that was rewritten or remapped, by anybody, is never stale.
 *
 * That is all there is to an instruction's meaning. In 64-bit code the frequent ones have a fast handler
 * besides (fast.h), which does the same in fewer steps, for one instruction or a pair.
 *
 * How a handler works. c->cur is the instruction, RIP is derived from it. A handler reads its operands,
 * computes, writes memory, and only then changes registers and flags, so that whatever stops it on the
 * way (guest exception, nested fault, MMIO, a host mapping gone) leaves the state as before the
 * instruction. Stops do not return: soft_raise() and the memory helpers leave by os_catch_throw() to the
 * run loop, where a host SIGSEGV arrives too. Fall through to return for "next instruction".
 *
 *	operand read -> compute -> memory write (may leave) -> registers, flags (cannot leave)
 *
 * An instruction that must change several memory locations first obtains host pointers to all of them
 * (soft_ptr), which checks everything, then writes.
 *
 * MMIO is by re-execution: the helper finds gpa to be a device, looks into c->mmio for a piece already
 * done by the owner, and otherwise leaves with CPU_EXIT_MMIO; complete() records the piece and the
 * instruction runs again from its beginning.
 */
#ifndef GMEM_CPU_SOFT_SOFT_H
#define GMEM_CPU_SOFT_SOFT_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/cpu.h"
#include "os/fault.h"
#include "os/os.h"

struct soft;
struct insn;
struct block;

typedef void soft_exec(struct soft *c, const struct insn *i);
/* Executes i and what follows; returns the instruction that ended the block (fast.h). */
typedef struct insn *soft_fast(struct soft *c, struct insn *i);

/* Operand registers: 0..15 general or XMM; a byte operand AH, CH, DH, BH is 16..19. */
#define REG_AH 16
#define REG_NONE 0xff
#define REG_RIP 0x20 /* as a base */

enum {
	INSN_LOCK = 1u << 0,
	INSN_REP = 1u << 1,	   /* F3 */
	INSN_REPNE = 1u << 2,	   /* F2 */
	INSN_ENDS_BLOCK = 1u << 3, /* branches and whatever may change mode, CS or paging */
	INSN_MEM = 1u << 4,	   /* the r/m operand is in memory */
	INSN_SEG_OVERRIDE = 1u << 5,
	INSN_EA64 = 1u << 6,  /* 64-bit code and address size: the short way to an address */
	INSN_ALONE = 1u << 7, /* starts a block of its own: exact at events (STI, MOV SS, ...) */
};

struct insn {
	soft_fast *fast; /* first, for dispatch; set when the block is whole (fast.c) */
	soft_exec *exec;
	struct block *next; /* where it led last, when it ended its block */
	int64_t imm; /* immediate (sign-extended to the operand), branch displacement, far offset */
	int64_t disp; /* of the memory operand; a branch that has a fast handler: where it leads to */
	uint16_t offset;   /* from the block's start */
	uint16_t mnemonic; /* ZydisMnemonic */
	uint16_t imm2;	   /* second immediate (ENTER, far selector) */
	uint8_t nth;	   /* in its block, from 0 */
	uint8_t len;
	uint8_t flags;		    /* INSN_* */
	uint8_t size;		    /* operand size in bytes: 1 2 4 8, 16 for XMM */
	uint8_t asize;		    /* address size: 2 4 8 */
	uint8_t dst;		    /* first register operand (or the r/m register) */
	uint8_t src;		    /* second register operand */
	uint8_t src2;		    /* third (BMI VEX.vvvv) */
	uint8_t base, index, scale; /* scale: shift 0..3 */
	uint8_t seg;		    /* segment of the memory operand, CPU_ES.. */
	uint8_t msize;		    /* size in bytes of the memory operand */
	uint8_t aux;		    /* free for the selecting file: condition code, sub-operation */
	uint8_t opcode_mode;	    /* 2, 4, 8: code size the block was decoded for */
};

#define BLOCK_MAX_INSNS 32
#define BLOCK_MAX_BYTES 256

/* ---- lazy flags ---------------------------------------------------------------------------
 * The arithmetic flags of the last instruction are kept as operation, operands and result, and computed
 * when someone asks (flags.h). FLAGS_DONE: rflags has them.
 */

/* ---- translation cache --------------------------------------------------------------------
 * One entry per 4 KiB page of guest virtual addresses, per access. A hit needs no call: tag compare,
 * then host = (gva & 0xfff) + entry.host. Entries carry user/supervisor in the tag's low bits, so that a
 * change of CPL needs no flush. Dropped on CR3/CR0/CR4/EFER writes, INVLPG and MMU_REQ_FLUSH.
 */
#define CODE_LIN_NONE (1ull << 63) /* not canonical */
#define TLB_BITS 10
#define TLB_SIZE (1u << TLB_BITS)
struct tlb_entry {
	uint64_t tag;  /* gva page | user bit; ~0: empty */
	uint8_t *host; /* host address of the page */
};
enum soft_access { ACCESS_READ, ACCESS_WRITE, ACCESS_EXEC, ACCESS_NR };

struct soft_mmio_piece {
	uint64_t gpa;
	uint32_t len;
	bool is_write, done;
	uint8_t data[8];
};
#define MMIO_MAX_PIECES 64
#define MMIO_MAX_PAGES 8 /* more than one iteration of any instruction needs */

/* Values thrown to the run loop's catch. */
enum {
	LEAVE_EXCEPTION = 2, /* c->state.exception is filled: deliver it */
	LEAVE_EXIT,	     /* c->exit is filled: run() returns, RIP on the instruction */
	LEAVE_FAULT,   /* a guest fault is to be resolved outside: c->fault_gpa, c->fault_access */
	LEAVE_RESTART, /* instruction boundary: look at requests, fetch again from state.rip */
};

/* A task switch that is under way: what it was before, and what its stores have overwritten (task.c). */
#define TASK_MAX_STORES 20
struct task_undo {
	bool active;
	struct cpu_state state;
	const struct insn *cur;
	uint64_t block_rip, budget;
	unsigned int nr_stores;
	struct {
		uint64_t lin, old;
		uint8_t size;
	} store[TASK_MAX_STORES];
};

struct soft {
	struct cpu_state state; /* rip is exact between blocks only: soft_rip() */
	struct mmu *mmu;
	struct mmu_vcpu *vcpu;

	const struct insn *cur; /* the instruction that runs */
	/* The block stops before this one: soft_end_block(). Among fast handlers NULL until somebody says so. */
	const struct insn *end;
	uint64_t next_rip; /* where the block goes on; soft_jump() */
	bool attention;	   /* something is to be looked at before the next block: soft_attend() */
	bool stepping;	   /* REP stops after one iteration */
	bool debug_due;	   /* an instruction was stepped: CPU_EXIT_DEBUG at the boundary */
	bool exit_after;   /* c->exit is filled: run() returns at the next boundary */
	bool split_held;
	uint64_t block_rip;	  /* RIP of its block's first byte */
	const uint8_t *code_page; /* host page of the running block, for self-modification */
	/* What code_page is in 64-bit code for those who run now, or CODE_LIN_NONE: as the cache, dropped with it. */
	uint64_t code_lin;
	uint8_t cpl;
	uint8_t mode;	  /* code size: 2, 4, 8 */
	uint8_t user_bit; /* low bits of the tags that match now, see tlb.h */
	bool long_mode;	  /* EFER.LMA */

	/* lazy flags, see flags.h */
	uint8_t flag_op, flag_size;
	uint64_t flag_res, flag_a, flag_b;

	struct tlb_entry tlb[ACCESS_NR][TLB_SIZE];
	uint8_t tlb_shift; /* of the largest guest page that was walked since all was dropped; 0: none */
	struct soft_blocks *blocks;
	/* What os/paths.h leaves on. */
	bool use_tlb, use_blocks, use_chain, use_fast, use_pairs, use_flags, use_mxcsr;
	bool mxcsr_loaded; /* the processor has the guest's, see sse.h */
	uint32_t host_mxcsr;

	struct os_catch catch;
	struct cpu_exit *exit;
	uint64_t fault_gpa;
	uint32_t fault_access;
	uint64_t budget;
	bool want_irq_window;

	struct soft_mmio_piece mmio[MMIO_MAX_PIECES];
	unsigned int nr_mmio;
	uint8_t io_pending; /* what complete() finishes, see io.h: 0 none */
	uint64_t io_rip;    /* RIP the pending instruction was at */
	bool half_done;	    /* the owner has answered the one at io_rip: it ends before all else */
	uint8_t pio_data[1024]; /* of INS: what the owner gave and is not stored yet */
	uint32_t pio_pos, pio_size;
	uint32_t pio_count; /* elements asked for */

	bool debug_step, debug_sw, delivering;
	uint64_t debug_dr[4], debug_dr7;
	struct cpu_event *delivery_event; /* what is being delivered; NULL: by INT n and the like */
	uint32_t
		delivery_info; /* while delivering: vector, type, valid bit, for CPU_EXIT_DELIVERY */
	struct cpu_event nmi;  /* the one that is being delivered */
	struct task_undo task_undo;
	unsigned int mmio_next; /* pieces used so far by the instruction that runs again */
	uint64_t mmio_pages
		[MMIO_MAX_PAGES];   /* gpa pages mmu_fault() told to be devices, | MMU_READ.. */
	unsigned int nr_mmio_pages; /* told so far: the last MMIO_MAX_PAGES of them are kept */
	struct cpu_cpuid *cpuid;
	unsigned int nr_cpuid;
	uint8_t phys_bits; /* physical address width as CPUID has it */
};

/* ---- leaving an instruction (soft_leave: run.c; soft_raise*: exception.c) -------------------- */

_Noreturn void soft_raise(struct soft *c, uint8_t vector);
_Noreturn void soft_raise_error(struct soft *c, uint8_t vector, uint32_t error);
_Noreturn void soft_raise_page_fault(struct soft *c, uint64_t gva, uint32_t error);
/* Sets state.rip to the current instruction and throws. soft_raise*() fill state.exception (pending,
 * not injected; page fault: cr2 too) and call it. */
_Noreturn void soft_leave(struct soft *c, int why);
enum {
	VEC_DE,
	VEC_DB,
	VEC_NMI,
	VEC_BP,
	VEC_OF,
	VEC_BR,
	VEC_UD,
	VEC_NM,
	VEC_DF,
	VEC_TS = 10,
	VEC_NP,
	VEC_SS,
	VEC_GP,
	VEC_PF,
	VEC_MF = 16,
	VEC_AC,
	VEC_MC,
	VEC_XM
};

static inline uint64_t soft_rip(const struct soft *c)
{
	return c->block_rip + c->cur->offset;
}
static inline uint64_t soft_next_rip(const struct soft *c)
{
	return c->block_rip + c->cur->offset + c->cur->len;
}
/* The running block ends behind the current instruction, and everything is looked up again. Done for
 * INSN_ENDS_BLOCK at decoding already. */
static inline void soft_end_block(struct soft *c)
{
	c->end = c->cur + 1;
	c->next_rip = soft_next_rip(c);
}
/* At the next boundary the run loop looks at everything: events, IF, TF, RF, interrupt shadow, exits. To
 * be called after a change of any of these, by an instruction with INSN_ENDS_BLOCK. */
static inline void soft_attend(struct soft *c)
{
	c->attention = true;
}
/* The current instruction (INSN_ENDS_BLOCK) finishes; then run() returns with *c->exit, RIP behind it. For
 * an exit with RIP on the instruction: fill *c->exit and soft_leave(c, LEAVE_EXIT). */
static inline void soft_exit_after(struct soft *c, enum cpu_exit_reason reason)
{
	c->exit->reason = reason;
	c->exit_after = true;
	c->attention = true;
}
/* A branch: the block ends and goes on at rip (truncated to the code size, checked for canonicity and
 * the CS limit: #GP before anything changed). For handlers with INSN_ENDS_BLOCK, as their last act. */
void soft_jump(struct soft *c, uint64_t rip);
/* The check alone, for what must happen before a push; and the truncated target. */
uint64_t soft_branch_target(struct soft *c, uint64_t rip);

/* ---- memory by guest virtual address (memory.c, tlb.h) -------------------------------------- */

/* Address of i's memory operand: offset within the segment, then linear. soft_linear checks segment
 * limits, types and canonical form for an access of size bytes (#GP or #SS). */
uint64_t soft_ea(struct soft *c, const struct insn *i);
uint64_t soft_linear(struct soft *c, unsigned int seg, uint64_t ea, unsigned int size,
		     enum soft_access access);
/* i's operand: soft_linear(soft_ea()). */
uint64_t soft_mem(struct soft *c, const struct insn *i, unsigned int size, enum soft_access access);

/* By linear address. All leave on a fault with nothing changed; both pages of a crossing access are
 * checked first. *_sys: as the processor itself accesses descriptors (supervisor whatever CPL). */
uint64_t soft_load(struct soft *c, uint64_t lin, unsigned int size); /* 1 2 4 8 */
void soft_store(struct soft *c, uint64_t lin, unsigned int size, uint64_t value);
void soft_load_bytes(struct soft *c, uint64_t lin, void *dst, unsigned int size); /* <= 4096 */
void soft_store_bytes(struct soft *c, uint64_t lin, const void *src, unsigned int size);
uint64_t soft_load_sys(struct soft *c, uint64_t lin, unsigned int size);
void soft_store_sys(struct soft *c, uint64_t lin, unsigned int size, uint64_t value);
/* Checks that size bytes at lin can be written, so that the stores that follow cannot leave. */
void soft_probe_write(struct soft *c, uint64_t lin, unsigned int size);
void soft_probe_write_sys(struct soft *c, uint64_t lin, unsigned int size);
/* A host pointer for a read-modify-write of size bytes at lin, both reading and writing allowed, or NULL
 * when there is none (crossing a page, or a device): then use soft_load and soft_store, under
 * soft_split_lock() for LOCK forms. */
void *soft_rmw_ptr(struct soft *c, uint64_t lin, unsigned int size);
void soft_split_lock(struct soft *c);
void soft_split_unlock(struct soft *c);

/* The stack: linear address of rSP + delta with the width that SS gives it, checked for size bytes; and
 * adding delta to rSP. Push: store at (-size), then move by -size. */
uint64_t soft_stack_linear(struct soft *c, int64_t delta, unsigned int size,
			   enum soft_access access);
void soft_stack_move(struct soft *c, int64_t delta);

/* Guest page walk, permissions, accessed and dirty bits (paging.c); fills the TLB. */
void soft_tlb_flush(struct soft *c);
void soft_tlb_flush_page(struct soft *c, uint64_t gva);
/* After CR0, CR3, CR4, EFER, CS or CPL changed: derives mode, cpl, user_bit, flushes what must be. */
void soft_mode_changed(struct soft *c);
/* The part of it that CPL, CR4.SMAP, CR0.AM and RFLAGS.AC decide. */
void soft_user_bit_changed(struct soft *c);

/* ---- registers ------------------------------------------------------------------------------ */

static inline uint64_t reg_get(struct soft *c, unsigned int reg, unsigned int size)
{
	uint64_t v = c->state.gpr[reg & 15];

	switch (size) {
	case 1:
		return reg >= REG_AH ? (c->state.gpr[reg - REG_AH] >> 8) & 0xff : v & 0xff;
	case 2:
		return v & 0xffff;
	case 4:
		return v & 0xffffffff;
	default:
		return v;
	}
}

static inline void reg_set(struct soft *c, unsigned int reg, unsigned int size, uint64_t v)
{
	uint64_t *r = &c->state.gpr[reg & 15];

	switch (size) {
	case 1:
		if (reg >= REG_AH) {
			r = &c->state.gpr[reg - REG_AH];
			*r = (*r & ~0xff00ull) | (v & 0xff) << 8;
		} else {
			*r = (*r & ~0xffull) | (v & 0xff);
		}
		break;
	case 2:
		*r = (*r & ~0xffffull) | (v & 0xffff);
		break;
	case 4:
		*r = (uint32_t)v;
		break;
	default:
		*r = v;
	}
}

/* ---- decoding: who implements a mnemonic ----------------------------------------------------- */

struct soft_decoded; /* decode.h: the Zydis instruction and operands */

/* Fill i->exec (and aux etc.) and return true when this file implements the instruction; registers, memory
 * operand, sizes and immediates have been filled by decode.c. Asked in this order; none: #UD, logged once. */
bool soft_select_int(const struct soft_decoded *d, struct insn *i);
bool soft_select_string(const struct soft_decoded *d, struct insn *i);
bool soft_select_bits(const struct soft_decoded *d, struct insn *i);
bool soft_select_sse(const struct soft_decoded *d, struct insn *i);
bool soft_select_fxsave(const struct soft_decoded *d, struct insn *i);
bool soft_select_system(const struct soft_decoded *d, struct insn *i);
bool soft_select_far(const struct soft_decoded *d, struct insn *i);

/* ---- exceptions, modes (exception.c, segment.c, msr.c, system.c) ----------------------------- */

/* Delivers state.exception or an interrupt through the IVT or IDT of the mode; turns into double and
 * triple fault. Called by the run loop at a boundary; may itself leave (LEAVE_FAULT, LEAVE_EXIT).
 * False: triple fault. */
bool soft_deliver(struct soft *c, struct cpu_event *event, bool is_exception);
/* Loads a segment register as MOV or POP do, with all checks. */
void soft_load_segment(struct soft *c, unsigned int seg, uint16_t sel);
/* IOPL and the TSS bitmap allow size ports from port on (system.c). */
bool soft_io_allowed(struct soft *c, uint16_t port, unsigned int size);
/* rflags with the lazy part computed; and back. */
uint64_t soft_rflags(struct soft *c);
void soft_set_rflags(struct soft *c, uint64_t rflags);
void soft_reset(struct soft *c);
int soft_msr_get(struct soft *c, uint32_t index, uint64_t *value, bool by_guest);
int soft_msr_set(struct soft *c, uint32_t index, uint64_t value, bool by_guest);
void soft_cpuid(struct soft *c, uint32_t function, uint32_t index, uint32_t out[4]);

#endif
