/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* LOCK forms of the arithmetic operations; XCHG with memory, XADD, CMPXCHG, CMPXCHG8B and 16B. */
#include "cpu/soft/alu.h"
#include "cpu/soft/atomic.h"
#include "cpu/soft/exec.h"

/* ---- LOCK ADD .. XOR, INC .. NEG: aux is the operation -------------------------------------------- */

static void lock_alu(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	uint64_t lin = soft_mem(c, i, size, ACCESS_WRITE);
	uint64_t b = i->src == REG_NONE ? (uint64_t)i->imm : reg_get(c, i->src, size);
	bool carry = op_carry(c, i->aux);
	struct atomic_rmw a;
	uint64_t old = atomic_begin(c, &a, lin, size);

	while (!atomic_try(c, &a, &old, op_result(i->aux, old, b, carry)))
		;
	atomic_end(c, &a);
	op_flags(c, i->aux, size, old, b, op_result(i->aux, old, b, carry), carry);
}

static void lock_unary(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	uint64_t lin = soft_mem(c, i, size, ACCESS_WRITE);
	bool carry = flags_carry(c);
	struct atomic_rmw a;
	uint64_t old = atomic_begin(c, &a, lin, size);

	while (!atomic_try(c, &a, &old, unary_result(i->aux, old)))
		;
	atomic_end(c, &a);
	unary_flags(c, i->aux, size, old, unary_result(i->aux, old), carry);
}

/* ---- exchanges ------------------------------------------------------------------------------------------ */

/* The register may be either operand of the encoding. */
static void xchg_mem(struct soft *c, const struct insn *i)
{
	unsigned int reg = i->src == REG_NONE ? i->dst : i->src, size = i->size;
	uint64_t lin = soft_mem(c, i, size, ACCESS_WRITE), value = reg_get(c, reg, size);
	struct atomic_rmw a;
	uint64_t old = atomic_begin(c, &a, lin, size);

	while (!atomic_try(c, &a, &old, value))
		;
	atomic_end(c, &a);
	reg_set(c, reg, size, old);
}

static void xadd(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	uint64_t b = reg_get(c, i->src, size), old, lin;
	struct atomic_rmw a;

	if (i->flags & INSN_MEM) {
		lin = soft_mem(c, i, size, ACCESS_WRITE);
		old = atomic_begin(c, &a, lin, size);
		while (!atomic_try(c, &a, &old, old + b))
			;
		atomic_end(c, &a);
		reg_set(c, i->src, size, old);
	} else {
		old = reg_get(c, i->dst, size);
		reg_set(c, i->src, size, old);
		reg_set(c, i->dst, size, old + b);
	}
	op_flags(c, OP_ADD, size, old, b, old + b, false);
}

static uint64_t compare_exchange(struct soft *c, const struct insn *i, uint64_t expected,
				 uint64_t value)
{
	unsigned int size = i->size;
	uint64_t lin = soft_mem(c, i, size, ACCESS_WRITE);
	struct atomic_rmw a;
	uint64_t old = atomic_begin(c, &a, lin, size);

	/* What differs is written back: the access is a write in any case. */
	while (!atomic_try(c, &a, &old, old == expected ? value : old))
		;
	atomic_end(c, &a);
	return old;
}

static void cmpxchg(struct soft *c, const struct insn *i)
{
	unsigned int size = i->size;
	uint64_t expected = reg_get(c, CPU_RAX, size), value = reg_get(c, i->src, size), old;

	if (i->flags & INSN_MEM) {
		old = compare_exchange(c, i, expected, value);
	} else {
		old = reg_get(c, i->dst, size);
		/* a register that differs is not written, not even cleared above 32 bits */
		if (old == expected)
			reg_set(c, i->dst, size, value);
	}
	if (old != expected)
		reg_set(c, CPU_RAX, size, old);
	op_flags(c, OP_CMP, size, expected, old, expected - old, false);
}

static void cmpxchg8b(struct soft *c, const struct insn *i)
{
	uint64_t *r = c->state.gpr;
	uint64_t expected = r[CPU_RDX] << 32 | (uint32_t)r[CPU_RAX];
	uint64_t value = r[CPU_RCX] << 32 | (uint32_t)r[CPU_RBX];
	uint64_t old = compare_exchange(c, i, expected, value);

	if (old != expected) {
		r[CPU_RAX] = (uint32_t)old;
		r[CPU_RDX] = old >> 32;
	}
	flags_replace(c, RFLAGS_ZF, old == expected ? RFLAGS_ZF : 0);
}

/* True when the 16 bytes at p were low:high. */
static bool host_cmpxchg16(uint8_t *p, uint64_t *low, uint64_t *high, uint64_t new_low,
			   uint64_t new_high)
{
	bool done;

	__asm__ volatile("lock cmpxchg16b %1"
			 : "=@ccz"(done), "+m"(*(union cpu_xmm *)p), "+a"(*low), "+d"(*high)
			 : "b"(new_low), "c"(new_high)
			 : "memory");
	return done;
}

/* A device, in two pieces of eight bytes. */
static bool device_cmpxchg16(struct soft *c, uint64_t lin, uint64_t *low, uint64_t *high,
			     uint64_t new_low, uint64_t new_high)
{
	uint64_t old[2];
	bool same;

	soft_load_bytes(c, lin, old, 16);
	same = old[0] == *low && old[1] == *high;
	if (same) {
		old[0] = new_low;
		old[1] = new_high;
	}
	soft_store_bytes(c, lin, old, 16);
	if (!same) {
		*low = old[0];
		*high = old[1];
	}
	return same;
}

static void cmpxchg16b(struct soft *c, const struct insn *i)
{
	uint64_t *r = c->state.gpr, low = r[CPU_RAX], high = r[CPU_RDX];
	uint64_t lin = soft_mem(c, i, 16, ACCESS_WRITE);
	uint8_t *p;
	bool same;

	if (lin & 15)
		soft_raise_error(c, VEC_GP, 0);
	p = soft_rmw_ptr(c, lin, 16);
	if (p)
		same = host_cmpxchg16(p, &low, &high, r[CPU_RBX], r[CPU_RCX]);
	else
		same = device_cmpxchg16(c, lin, &low, &high, r[CPU_RBX], r[CPU_RCX]);
	r[CPU_RAX] = low;
	r[CPU_RDX] = high;
	flags_replace(c, RFLAGS_ZF, same ? RFLAGS_ZF : 0);
}

static bool take(struct insn *i, soft_exec *exec, int aux)
{
	i->exec = exec;
	i->aux = aux;
	return true;
}

bool select_atomic(const struct soft_decoded *d, struct insn *i)
{
	bool lock = i->flags & INSN_LOCK;

	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_XCHG:
		return (i->flags & INSN_MEM) && take(i, xchg_mem, 0);
	case ZYDIS_MNEMONIC_XADD:
		return take(i, xadd, 0);
	case ZYDIS_MNEMONIC_CMPXCHG:
		return take(i, cmpxchg, 0);
	case ZYDIS_MNEMONIC_CMPXCHG8B:
		return take(i, cmpxchg8b, 0);
	case ZYDIS_MNEMONIC_CMPXCHG16B:
		return take(i, cmpxchg16b, 0);
	default:
		break;
	}
	if (!lock)
		return false;
	if (alu_op(d->in->mnemonic) >= 0)
		return take(i, lock_alu, alu_op(d->in->mnemonic));
	return unary_op(d->in->mnemonic) >= 0 && take(i, lock_unary, unary_op(d->in->mnemonic));
}
