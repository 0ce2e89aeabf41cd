/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* MOV, MOVZX, MOVSX, LEA, CMOVcc, SETcc, PUSH, POP. */
#include "cpu/soft/fast.h"

/* ---- MOV ----------------------------------------------------------------------------------------- */

#define LOAD(at, size)                                 \
	const uint8_t *p = fast_read(c, i, at, size);  \
                                                       \
	if (unlikely(!p))                              \
		return fast_plain(c, i);               \
	fast_set(c, i->dst, size, host_load(p, size)); \
	NEXT(c, i, 1);
#define STORE(at, size, value)                   \
	uint8_t *p = fast_write(c, i, at, size); \
                                                 \
	if (unlikely(!p))                        \
		return fast_plain(c, i);         \
	host_store(p, size, value);              \
	NEXT(c, i, 1);

#define MOV_SIZE(size)                                           \
	FAST(mov##size##_rr)                                     \
	{                                                        \
		fast_set(c, i->dst, size, c->state.gpr[i->src]); \
		NEXT(c, i, 1);                                   \
	}                                                        \
	FAST(mov##size##_ri)                                     \
	{                                                        \
		fast_set(c, i->dst, size, i->imm);               \
		NEXT(c, i, 1);                                   \
	}                                                        \
	FAST_AT(load##size, LOAD, size)                          \
	FAST_AT(store##size, STORE, size, c->state.gpr[i->src])  \
	FAST_AT(store_imm##size, STORE, size, i->imm)
MOV_SIZE(1)
MOV_SIZE(4)
MOV_SIZE(8)

static soft_fast *const mov_rr[3] = { mov1_rr, mov4_rr, mov8_rr };
static soft_fast *const mov_ri[3] = { mov1_ri, mov4_ri, mov8_ri };
static soft_fast *const mov_load[3][AT_NR] = { FAST_ADDRESSES(load1), FAST_ADDRESSES(load4),
					       FAST_ADDRESSES(load8) };
static soft_fast *const mov_store[3][AT_NR] = { FAST_ADDRESSES(store1), FAST_ADDRESSES(store4),
						FAST_ADDRESSES(store8) };
static soft_fast *const mov_store_imm[3][AT_NR] = { FAST_ADDRESSES(store_imm1),
						    FAST_ADDRESSES(store_imm4),
						    FAST_ADDRESSES(store_imm8) };

soft_fast *fast_mov(const struct insn *i)
{
	unsigned int size = fast_size_index(i->size);

	if (!fast_operands(i) || !fast_size(i->size))
		return NULL;
	if (!(i->flags & INSN_MEM))
		return i->src == REG_NONE ? mov_ri[size] : mov_rr[size];
	if (i->dst != REG_NONE)
		return mov_load[size][fast_address(i)];
	return i->src == REG_NONE ? mov_store_imm[size][fast_address(i)]
				  : mov_store[size][fast_address(i)];
}

/* ---- extensions: from size to size; zeros: up to 64 bits always ---------------------------------- */

#define EXTEND_LOAD(at, type, from, to)                    \
	const uint8_t *p = fast_read(c, i, at, from);      \
                                                           \
	if (unlikely(!p))                                  \
		return fast_plain(c, i);                   \
	fast_set(c, i->dst, to, (type)host_load(p, from)); \
	NEXT(c, i, 1);
#define EXTEND(name, type, from, to)                                 \
	FAST(name##_rr)                                              \
	{                                                            \
		fast_set(c, i->dst, to, (type)c->state.gpr[i->src]); \
		NEXT(c, i, 1);                                       \
	}                                                            \
	FAST_AT(name, EXTEND_LOAD, type, from, to)
EXTEND(zero1, uint8_t, 1, 8)
EXTEND(zero2, uint16_t, 2, 8)
EXTEND(sign1_4, int8_t, 1, 4)
EXTEND(sign1_8, int8_t, 1, 8)
EXTEND(sign2_4, int16_t, 2, 4)
EXTEND(sign2_8, int16_t, 2, 8)
EXTEND(sign4_8, int32_t, 4, 8)

#define EXTEND_FORMS(name)                                       \
	{                                                        \
		name##_rr, name##_base, name##_index, name##_any \
	}

soft_fast *fast_extend(const struct insn *i, bool sign)
{
	static soft_fast *const zero[][4] = {
		[1] = EXTEND_FORMS(zero1), [2] = EXTEND_FORMS(zero2)
	};
	static soft_fast *const sign_4[][4] = {
		[1] = EXTEND_FORMS(sign1_4), [2] = EXTEND_FORMS(sign2_4)
	};
	static soft_fast *const sign_8[][4] = { [1] = EXTEND_FORMS(sign1_8),
						[2] = EXTEND_FORMS(sign2_8),
						[4] = EXTEND_FORMS(sign4_8) };
	unsigned int from = i->aux, form = 0;

	if (!fast_operands(i) || (i->size != 4 && i->size != 8))
		return NULL;
	if (i->flags & INSN_MEM)
		form = 1 + fast_address(i);
	else if (i->src >= 16)
		return NULL;
	if (!sign)
		return zero[from][form];
	if (i->size == 4)
		return from < 4 ? sign_4[from][form] : NULL;
	return sign_8[from][form];
}

/* ---- LEA ------------------------------------------------------------------------------------------- */

#define LEA(at, size)                                     \
	fast_set(c, i->dst, size, fast_linear(c, i, at)); \
	NEXT(c, i, 1);
FAST_AT(lea4, LEA, 4)
FAST_AT(lea8, LEA, 8)

soft_fast *fast_lea(const struct insn *i)
{
	static soft_fast *const table[2][AT_NR] = { FAST_ADDRESSES(lea4), FAST_ADDRESSES(lea8) };

	if (!fast_operands(i) || i->size < 4 || i->seg >= CPU_FS)
		return NULL;
	return table[i->size == 8][fast_address(i)];
}

/* ---- by condition: aux has it ------------------------------------------------------------------------ */

#define CONDITION(cc)                                                         \
	FAST(cmov4_##cc)                                                      \
	{                                                                     \
		unsigned int from = flags_condition(c, cc) ? i->src : i->dst; \
                                                                              \
		/* cleared above also when nothing is moved */                \
		fast_set(c, i->dst, 4, c->state.gpr[from]);                   \
		NEXT(c, i, 1);                                                \
	}                                                                     \
	FAST(cmov8_##cc)                                                      \
	{                                                                     \
		unsigned int from = flags_condition(c, cc) ? i->src : i->dst; \
                                                                              \
		fast_set(c, i->dst, 8, c->state.gpr[from]);                   \
		NEXT(c, i, 1);                                                \
	}                                                                     \
	FAST(set_##cc)                                                        \
	{                                                                     \
		fast_set(c, i->dst, 1, flags_condition(c, cc));               \
		NEXT(c, i, 1);                                                \
	}
CONDITION(2)
CONDITION(3)
CONDITION(4)
CONDITION(5)
CONDITION(6)
CONDITION(7)
CONDITION(8)
CONDITION(9)
CONDITION(12)
CONDITION(13)
CONDITION(14)
CONDITION(15)

#define CONDITIONS(name)                                                                   \
	{                                                                                  \
		NULL, NULL, name##2, name##3, name##4, name##5, name##6, name##7, name##8, \
			name##9, NULL, NULL, name##12, name##13, name##14, name##15        \
	}

soft_fast *fast_cmov(const struct insn *i)
{
	static soft_fast *const table[2][16] = { CONDITIONS(cmov4_), CONDITIONS(cmov8_) };

	return (i->flags & INSN_MEM) || i->size < 4 ? NULL : table[i->size == 8][i->aux];
}

soft_fast *fast_setcc(const struct insn *i)
{
	static soft_fast *const table[16] = CONDITIONS(set_);

	return (i->flags & INSN_MEM) || i->dst >= 16 ? NULL : table[i->aux];
}

/* ---- the stack ------------------------------------------------------------------------------------------ */

FAST(push_reg)
{
	uint64_t lin = c->state.gpr[CPU_RSP] - 8;
	uint8_t *p = fast_write_at(c, lin, 8);

	if (unlikely(!p))
		return fast_plain(c, i);
	c->cur = i;
	host_store(p, 8, c->state.gpr[i->dst]);
	c->state.gpr[CPU_RSP] = lin;
	NEXT(c, i, 1);
}

FAST(pop_reg)
{
	const uint8_t *p = tlb_lookup(c, ACCESS_READ, c->state.gpr[CPU_RSP], 8);
	uint64_t v;

	if (unlikely(!p))
		return fast_plain(c, i);
	c->cur = i;
	v = host_load(p, 8);
	c->state.gpr[CPU_RSP] += 8;
	c->state.gpr[i->dst] = v;
	NEXT(c, i, 1);
}

soft_fast *fast_push(const struct insn *i)
{
	return i->size == 8 ? push_reg : NULL;
}

soft_fast *fast_pop(const struct insn *i)
{
	return i->size == 8 ? pop_reg : NULL;
}

FAST(nop)
{
	NEXT(c, i, 1);
}

soft_fast *fast_nop(void)
{
	return nop;
}
