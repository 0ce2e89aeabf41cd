/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* MOV (general registers), MOVZX MOVSX MOVSXD, LEA, CMOVcc, SETcc, XCHG of registers, XLAT, sign extensions. */
#include "cpu/soft/exec.h"
#include "cpu/soft/fast.h"

#define MOV_SIZE(size)                                                   \
	static void mov##size##_rr(struct soft *c, const struct insn *i) \
	{                                                                \
		reg_set(c, i->dst, size, reg_get(c, i->src, size));      \
	}                                                                \
	static void mov##size##_ri(struct soft *c, const struct insn *i) \
	{                                                                \
		reg_set(c, i->dst, size, i->imm);                        \
	}                                                                \
	static void mov##size##_rm(struct soft *c, const struct insn *i) \
	{                                                                \
		reg_set(c, i->dst, size, operand_load(c, i, size));      \
	}                                                                \
	static void mov##size##_mr(struct soft *c, const struct insn *i) \
	{                                                                \
		operand_store(c, i, size, reg_get(c, i->src, size));     \
	}                                                                \
	static void mov##size##_mi(struct soft *c, const struct insn *i) \
	{                                                                \
		operand_store(c, i, size, i->imm);                       \
	}
MOV_SIZE(1)
MOV_SIZE(2)
MOV_SIZE(4)
MOV_SIZE(8)

#define MOV_FORMS(size)                                                                        \
	{                                                                                      \
		mov##size##_rr, mov##size##_ri, mov##size##_rm, mov##size##_mr, mov##size##_mi \
	}
static soft_exec *const mov_table[4][FORM_NR] = { MOV_FORMS(1), MOV_FORMS(2), MOV_FORMS(4),
						  MOV_FORMS(8) };

/* ---- extensions: aux is the source's size -------------------------------------------------------- */

static void movzx_rr(struct soft *c, const struct insn *i)
{
	reg_set(c, i->dst, i->size, reg_get(c, i->src, i->aux));
}

static void movzx1_rm(struct soft *c, const struct insn *i)
{
	reg_set(c, i->dst, i->size, operand_load(c, i, 1));
}

static void movzx2_rm(struct soft *c, const struct insn *i)
{
	reg_set(c, i->dst, i->size, operand_load(c, i, 2));
}

static void movsx(struct soft *c, const struct insn *i)
{
	uint64_t v = rm_load(c, i, i->src, i->aux);

	reg_set(c, i->dst, i->size, sign_extend(v, i->aux));
}

static void lea(struct soft *c, const struct insn *i)
{
	reg_set(c, i->dst, i->size, soft_ea(c, i));
}

static void lea64(struct soft *c, const struct insn *i)
{
	uint64_t ea = i->disp;

	if (i->base < 16)
		ea += c->state.gpr[i->base];
	else if (i->base == REG_RIP)
		ea += soft_next_rip(c);
	if (i->index != REG_NONE)
		ea += c->state.gpr[i->index & 15] << i->scale;
	c->state.gpr[i->dst & 15] = ea;
}

/* Each accumulator sign extension by operand size: AL->AX, AX->EAX, EAX->RAX, and into rDX. */
static void cbw(struct soft *c, const struct insn *i)
{
	unsigned int half = i->aux / 2;

	reg_set(c, CPU_RAX, i->aux, sign_extend(reg_get(c, CPU_RAX, half), half));
}

static void cwd(struct soft *c, const struct insn *i)
{
	int64_t v = sign_extend(reg_get(c, CPU_RAX, i->aux), i->aux);

	reg_set(c, CPU_RDX, i->aux, v >> 63);
}

static void xchg_rr(struct soft *c, const struct insn *i)
{
	uint64_t a = reg_get(c, i->dst, i->size), b = reg_get(c, i->src, i->size);

	reg_set(c, i->dst, i->size, b);
	reg_set(c, i->src, i->size, a);
}

static void xlat(struct soft *c, const struct insn *i)
{
	uint64_t ea = c->state.gpr[CPU_RBX] + reg_get(c, CPU_RAX, 1);

	ea &= size_mask(i->asize);
	reg_set(c, CPU_RAX, 1, soft_load(c, soft_linear(c, i->seg, ea, 1, ACCESS_READ), 1));
}

static void nop(struct soft *c, const struct insn *i)
{
}

static void bswap(struct soft *c, const struct insn *i)
{
	uint64_t v = reg_get(c, i->dst, i->size);

	if (i->size == 8)
		v = __builtin_bswap64(v);
	else
		v = i->size == 4 ? __builtin_bswap32(v)
				 : 0; /* 16 bits: undefined, zero in practice */
	reg_set(c, i->dst, i->size, v);
}

static void movbe(struct soft *c, const struct insn *i)
{
	bool load = i->dst != REG_NONE;
	uint64_t v = load ? operand_load(c, i, i->size) : reg_get(c, i->src, i->size);

	v = __builtin_bswap64(v) >> flags_shift(i->size);
	if (load)
		reg_set(c, i->dst, i->size, v);
	else
		operand_store(c, i, i->size, v);
}

/* ---- by condition ----------------------------------------------------------------------------------- */

#define CONDITION(cc)                                                               \
	static void cmov##cc(struct soft *c, const struct insn *i)                  \
	{                                                                           \
		uint64_t v = rm_load(c, i, i->src, i->size);                        \
                                                                                    \
		/* a 32-bit register is cleared above also when nothing is moved */ \
		if (!flags_condition(c, cc))                                        \
			v = reg_get(c, i->dst, i->size);                            \
		reg_set(c, i->dst, i->size, v);                                     \
	}                                                                           \
	static void set##cc(struct soft *c, const struct insn *i)                   \
	{                                                                           \
		rm_store(c, i, i->dst, 1, flags_condition(c, cc));                  \
	}
CONDITION(0)
CONDITION(1)
CONDITION(2)
CONDITION(3)
CONDITION(4)
CONDITION(5)
CONDITION(6)
CONDITION(7)
CONDITION(8)
CONDITION(9)
CONDITION(10)
CONDITION(11)
CONDITION(12)
CONDITION(13)
CONDITION(14)
CONDITION(15)

static soft_exec *const cmov_table[16] = { cmov0,  cmov1,  cmov2,  cmov3, cmov4,  cmov5,
					   cmov6,  cmov7,  cmov8,  cmov9, cmov10, cmov11,
					   cmov12, cmov13, cmov14, cmov15 };
static soft_exec *const set_table[16] = { set0, set1, set2,  set3,  set4,  set5,  set6,	 set7,
					  set8, set9, set10, set11, set12, set13, set14, set15 };

static bool select_general(const struct soft_decoded *d, struct insn *i)
{
	unsigned int form = operand_form(d);

	/* Segment, control and debug registers are others' business. */
	for (unsigned int n = 0; n < d->nr; n++) {
		ZydisRegisterClass class = decoded_class(d, n);

		if (class == ZYDIS_REGCLASS_SEGMENT || class == ZYDIS_REGCLASS_CONTROL ||
		    class == ZYDIS_REGCLASS_DEBUG || class == ZYDIS_REGCLASS_TEST)
			return false;
	}
	if (form == FORM_NR)
		return false;
	i->exec = mov_table[size_index(i->size)][form];
	i->fast = fast_mov(i);
	return true;
}

static bool select_extend(const struct soft_decoded *d, struct insn *i, bool sign)
{
	i->aux = d->op[1].size / 8;
	i->fast = fast_extend(i, sign);
	if (sign)
		i->exec = movsx;
	else if (!(i->flags & INSN_MEM))
		i->exec = movzx_rr;
	else
		i->exec = i->aux == 1 ? movzx1_rm : movzx2_rm;
	return true;
}

static bool select_accumulator(struct insn *i, soft_exec *exec, unsigned int size)
{
	i->exec = exec;
	i->aux = size;
	return true;
}

static bool take(struct insn *i, soft_exec *exec, soft_fast *fast)
{
	i->exec = exec;
	i->fast = fast;
	return true;
}

static bool select_condition(const struct soft_decoded *d, struct insn *i)
{
	i->aux = d->in->opcode & 15;
	if (d->in->meta.category == ZYDIS_CATEGORY_CMOV &&
	    d->in->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return take(i, cmov_table[i->aux], fast_cmov(i));
	if (d->in->meta.category == ZYDIS_CATEGORY_SETCC)
		return take(i, set_table[i->aux], fast_setcc(i));
	return false;
}

static bool select_plain(struct insn *i, soft_exec *exec)
{
	i->exec = exec;
	return true;
}

bool select_mov(const struct soft_decoded *d, struct insn *i)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return select_general(d, i);
	case ZYDIS_MNEMONIC_MOVZX:
		return select_extend(d, i, false);
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		return select_extend(d, i, true);
	case ZYDIS_MNEMONIC_LEA:
		return take(i, i->asize == 8 && i->size == 8 ? lea64 : lea, fast_lea(i));
	case ZYDIS_MNEMONIC_CBW:
		return select_accumulator(i, cbw, 2);
	case ZYDIS_MNEMONIC_CWDE:
		return select_accumulator(i, cbw, 4);
	case ZYDIS_MNEMONIC_CDQE:
		return select_accumulator(i, cbw, 8);
	case ZYDIS_MNEMONIC_CWD:
		return select_accumulator(i, cwd, 2);
	case ZYDIS_MNEMONIC_CDQ:
		return select_accumulator(i, cwd, 4);
	case ZYDIS_MNEMONIC_CQO:
		return select_accumulator(i, cwd, 8);
	case ZYDIS_MNEMONIC_XCHG:
		return !(i->flags & INSN_MEM) && select_plain(i, xchg_rr);
	case ZYDIS_MNEMONIC_XLAT:
		return select_plain(i, xlat);
	case ZYDIS_MNEMONIC_BSWAP:
		return select_plain(i, bswap);
	case ZYDIS_MNEMONIC_MOVBE:
		return select_plain(i, movbe);
	case ZYDIS_MNEMONIC_NOP:
		return take(i, nop, fast_nop());
	case ZYDIS_MNEMONIC_PAUSE:
	case ZYDIS_MNEMONIC_PREFETCH:
	case ZYDIS_MNEMONIC_PREFETCHNTA:
	case ZYDIS_MNEMONIC_PREFETCHT0:
	case ZYDIS_MNEMONIC_PREFETCHT1:
	case ZYDIS_MNEMONIC_PREFETCHT2:
	case ZYDIS_MNEMONIC_PREFETCHW:
		return select_plain(i, nop);
	default:
		return select_condition(d, i);
	}
}
