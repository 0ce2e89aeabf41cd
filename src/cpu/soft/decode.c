/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cpu/soft/decode.h"

/* Names each mnemonic that nobody implements once; a race names it twice at the most. */
static void name_once(uint16_t mnemonic)
{
	static _Atomic uint64_t named[ZYDIS_MNEMONIC_MAX_VALUE / 64 + 1];
	uint64_t bit = 1ull << (mnemonic & 63);

	if (atomic_fetch_or(&named[mnemonic / 64], bit) & bit)
		return;
	os_log(OS_LOG_WARN, "#UD for an instruction of the guest that this CPU does not have: %s",
	       ZydisMnemonicGetString(mnemonic));
}

static void exec_undefined(struct soft *c, const struct insn *i)
{
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_INVALID:
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
		break;
	default:
		name_once(i->mnemonic);
	}
	soft_raise(c, VEC_UD);
}

static void make_undefined(struct insn *i)
{
	i->exec = exec_undefined;
	i->flags |= INSN_ENDS_BLOCK;
}

static uint8_t segment_number(ZydisRegister reg)
{
	switch (reg) {
	case ZYDIS_REGISTER_ES:
		return CPU_ES;
	case ZYDIS_REGISTER_CS:
		return CPU_CS;
	case ZYDIS_REGISTER_SS:
		return CPU_SS;
	case ZYDIS_REGISTER_FS:
		return CPU_FS;
	case ZYDIS_REGISTER_GS:
		return CPU_GS;
	default:
		return CPU_DS;
	}
}

static uint8_t register_number(ZydisRegister reg)
{
	switch (reg) {
	case ZYDIS_REGISTER_NONE:
		return REG_NONE;
	case ZYDIS_REGISTER_AH:
	case ZYDIS_REGISTER_CH:
	case ZYDIS_REGISTER_DH:
	case ZYDIS_REGISTER_BH:
		return REG_AH + (reg - ZYDIS_REGISTER_AH);
	case ZYDIS_REGISTER_SPL:
	case ZYDIS_REGISTER_BPL:
	case ZYDIS_REGISTER_SIL:
	case ZYDIS_REGISTER_DIL:
		return CPU_RSP + (reg - ZYDIS_REGISTER_SPL);
	case ZYDIS_REGISTER_RIP:
	case ZYDIS_REGISTER_EIP:
		return REG_RIP;
	default:
		break;
	}
	if (ZydisRegisterGetClass(reg) == ZYDIS_REGCLASS_SEGMENT)
		return segment_number(reg);
	if (reg >= ZYDIS_REGISTER_R8B && reg <= ZYDIS_REGISTER_R15B)
		return 8 + (reg - ZYDIS_REGISTER_R8B);
	return ZydisRegisterGetId(reg);
}

static uint8_t scale_shift(uint8_t scale)
{
	return scale == 8 ? 3 : scale >> 1;
}

static void fill_memory(const ZydisDecodedOperand *op, struct insn *i)
{
	i->flags |= INSN_MEM;
	i->seg = segment_number(op->mem.segment);
	i->base = register_number(op->mem.base);
	i->index = register_number(op->mem.index);
	i->scale = scale_shift(op->mem.scale);
	i->disp = op->mem.disp.value;
	if (op->mem.type != ZYDIS_MEMOP_TYPE_AGEN && op->size / 8 < 256)
		i->msize = op->size / 8;
}

static bool is_string(const ZydisDecodedInstruction *in)
{
	return in->meta.category == ZYDIS_CATEGORY_STRINGOP ||
	       in->meta.category == ZYDIS_CATEGORY_IOSTRINGOP;
}

/* Hidden memory operands: only the segment that a prefix can change matters. */
static void fill_hidden_memory(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op,
			       struct insn *i)
{
	for (unsigned int n = 0; n < in->operand_count; n++) {
		if (op[n].type != ZYDIS_OPERAND_TYPE_MEMORY ||
		    register_number(op[n].mem.base) == CPU_RSP)
			continue;
		i->msize = op[n].size / 8;
		if (is_string(in) && register_number(op[n].mem.base) == CPU_RDI)
			continue;
		i->seg = segment_number(op[n].mem.segment);
	}
}

static void fill_immediate(int64_t value, unsigned int nth, struct insn *i)
{
	if (nth == 0)
		i->imm = value;
	else
		i->imm2 = value;
}

static void fill_operands(struct soft_decoded *d, struct insn *i)
{
	uint8_t *place[3] = { &i->dst, &i->src, &i->src2 };
	unsigned int nr_imm = 0;

	for (unsigned int n = 0; n < d->nr; n++) {
		const ZydisDecodedOperand *op = &d->op[n];

		switch (op->type) {
		case ZYDIS_OPERAND_TYPE_REGISTER:
			if (n < 3)
				*place[n] = register_number(op->reg.value);
			break;
		case ZYDIS_OPERAND_TYPE_MEMORY:
			d->mem_op = n;
			fill_memory(op, i);
			break;
		case ZYDIS_OPERAND_TYPE_IMMEDIATE:
			fill_immediate(op->imm.value.s, nr_imm++, i);
			break;
		case ZYDIS_OPERAND_TYPE_POINTER:
			i->imm = op->ptr.offset;
			i->imm2 = op->ptr.segment;
			break;
		default:
			break;
		}
	}
}

static bool plain_size(unsigned int bits)
{
	return bits == 8 || bits == 16 || bits == 32 || bits == 64 || bits == 128;
}

static bool sizes_the_insn(const ZydisDecodedOperand *op)
{
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return plain_size(op->size);
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	switch (ZydisRegisterGetClass(op->reg.value)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_MMX:
		return true;
	default:
		return false;
	}
}

static uint8_t operand_size(const struct soft_decoded *d)
{
	if (d->in->mnemonic == ZYDIS_MNEMONIC_OUT)
		return d->op[1].size / 8;
	if (d->in->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || d->nr == 0 ||
	    !sizes_the_insn(&d->op[0]))
		return d->in->operand_width / 8;
	return d->op[0].size / 8;
}

static void fill_prefixes(const struct soft_decoded *d, struct insn *i)
{
	const ZydisDecodedInstruction *in = d->in;

	if (in->attributes & ZYDIS_ATTRIB_HAS_LOCK)
		i->flags |= INSN_LOCK;
	if (in->attributes & ZYDIS_ATTRIB_HAS_SEGMENT)
		i->flags |= INSN_SEG_OVERRIDE;
	/* The last of F2 and F3 counts. */
	for (unsigned int n = 0; n < in->raw.prefix_count; n++) {
		uint8_t prefix = in->raw.prefixes[n].value;

		if (prefix == 0xf2 || prefix == 0xf3) {
			i->flags &= ~(INSN_REP | INSN_REPNE);
			i->flags |= prefix == 0xf3 ? INSN_REP : INSN_REPNE;
		}
	}
}

static bool ends_block(const ZydisDecodedInstruction *in)
{
	if (in->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return true;
	switch (in->meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_SYSTEM:
	case ZYDIS_CATEGORY_SEGOP:
	case ZYDIS_CATEGORY_IO:
	case ZYDIS_CATEGORY_IOSTRINGOP:
		return true;
	default:
		return false;
	}
}

static void select_exec(struct soft_decoded *d, struct insn *i)
{
	if (soft_select_int(d, i) || soft_select_string(d, i) || soft_select_bits(d, i) ||
	    soft_select_sse(d, i) || soft_select_fxsave(d, i) || soft_select_system(d, i) ||
	    soft_select_far(d, i))
		return;
	make_undefined(i);
}

static void fill_insn(struct soft_decoded *d, struct insn *i)
{
	const ZydisDecodedInstruction *in = d->in;

	i->mnemonic = in->mnemonic;
	i->asize = in->address_width / 8;
	fill_prefixes(d, i);
	if (is_string(in)) {
		d->nr = 0;
		i->seg = CPU_DS;
	}
	fill_operands(d, i);
	/* The mask of BLENDV is hidden. */
	if (d->nr == 2 && in->operand_count > 2 && d->op[2].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    d->op[2].reg.value == ZYDIS_REGISTER_XMM0)
		i->src2 = 0;
	if (d->mem_op < 0)
		fill_hidden_memory(in, d->op, i);
	i->size = operand_size(d);
	if (is_string(in))
		i->size = i->msize;
	if (d->mode == 8 && i->asize == 8)
		i->flags |= INSN_EA64;
	if (ends_block(in))
		i->flags |= INSN_ENDS_BLOCK;
	/* VEX is for protected mode; nobody makes 16-bit code of that with it. */
	if (d->mode == 2 && in->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		make_undefined(i);
	else
		select_exec(d, i);
}

static void init_decoder(ZydisDecoder *decoder, uint8_t mode)
{
	static const ZydisMachineMode machine[] = {
		[2] = ZYDIS_MACHINE_MODE_LEGACY_16,
		[4] = ZYDIS_MACHINE_MODE_LEGACY_32,
		[8] = ZYDIS_MACHINE_MODE_LONG_64,
	};
	static const ZydisStackWidth stack[] = {
		[2] = ZYDIS_STACK_WIDTH_16,
		[4] = ZYDIS_STACK_WIDTH_32,
		[8] = ZYDIS_STACK_WIDTH_64,
	};

	ZydisDecoderInit(decoder, machine[mode], stack[mode]);
	/* Extensions that we don't have: their encodings are the old no-operations. */
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	ZydisDecoderEnableMode(decoder, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
}

enum decode_result decode_insn(const uint8_t *bytes, unsigned int nr, uint8_t mode, struct insn *i)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction in;
	ZydisDecoder decoder;
	ZyanStatus status;
	struct soft_decoded d = { .in = &in, .op = op, .bytes = bytes, .mem_op = -1, .mode = mode };

	*i = (struct insn){ .dst = REG_NONE,
			    .src = REG_NONE,
			    .src2 = REG_NONE,
			    .base = REG_NONE,
			    .index = REG_NONE,
			    .seg = CPU_DS,
			    .len = 1,
			    .opcode_mode = mode };
	init_decoder(&decoder, mode);
	status = ZydisDecoderDecodeFull(&decoder, bytes, nr < 15 ? nr : 15, &in, op);
	if (status == ZYDIS_STATUS_NO_MORE_DATA)
		return nr < 15 ? DECODE_MORE : DECODE_TOO_LONG;
	if (status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG)
		return DECODE_TOO_LONG;
	if (!ZYAN_SUCCESS(status)) {
		/* It is no instruction for all the bytes that were looked at. */
		i->len = nr < 15 ? nr : 15;
		make_undefined(i);
		return DECODE_OK;
	}
	i->len = in.length;
	d.nr = in.operand_count_visible;
	fill_insn(&d, i);
	return DECODE_OK;
}
