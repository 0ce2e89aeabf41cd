/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "sse_encodings.h"

#include <string.h>

#define MODRM_RSI 6

static bool isa_is_sse(ZydisISASet set)
{
	switch (set) {
	case ZYDIS_ISA_SET_SSE:
	case ZYDIS_ISA_SET_SSE2:
	case ZYDIS_ISA_SET_SSE2MMX:
	case ZYDIS_ISA_SET_SSE3:
	case ZYDIS_ISA_SET_SSSE3:
	case ZYDIS_ISA_SET_SSSE3MMX:
	case ZYDIS_ISA_SET_SSE4:
	case ZYDIS_ISA_SET_SSE42:
	case ZYDIS_ISA_SET_SSEMXCSR:
	case ZYDIS_ISA_SET_SSE_PREFETCH:
	case ZYDIS_ISA_SET_PAUSE:
	case ZYDIS_ISA_SET_CLFSH:
	case ZYDIS_ISA_SET_FXSAVE:
	case ZYDIS_ISA_SET_FXSAVE64:
	case ZYDIS_ISA_SET_XSAVE:
		return true;
	default:
		return false;
	}
}

static unsigned int put(const struct encoding *e, const struct choice *how, uint8_t bytes[16])
{
	unsigned int n = 0, rex = e->wide ? 0x48 : 0;

	if (how->rex_r)
		rex |= 0x44;
	if (how->rex_b && !e->memory)
		rex |= 0x41;
	for (unsigned int p = 0; p < 2; p++)
		if (e->prefix[p])
			bytes[n++] = e->prefix[p];
	if (rex)
		bytes[n++] = (uint8_t)rex;
	bytes[n++] = 0x0f;
	if (e->map)
		bytes[n++] = e->map == 1 ? 0x38 : 0x3a;
	bytes[n++] = e->opcode;
	bytes[n++] = (uint8_t)((e->memory ? 0x40 | MODRM_RSI : 0xc0 | how->rm) | e->reg << 3);
	if (e->memory)
		bytes[n++] = (uint8_t)how->disp;
	memset(bytes + n, 0, 16 - n);
	memcpy(bytes + n, how->tail, 16 - n < 8 ? 16 - n : 8);
	return n;
}

static bool decode(const uint8_t bytes[16], ZydisDecodedInstruction *in, ZydisDecodedOperand *op)
{
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	memset(op, 0, sizeof(*op) * ZYDIS_MAX_OPERAND_COUNT);
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, 15, in, op));
}

static bool uses_class(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op,
		       ZydisRegisterClass class)
{
	for (unsigned int n = 0; n < in->operand_count_visible; n++)
		if (op[n].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(op[n].reg.value) == class)
			return true;
	return false;
}

static bool uses_register(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op,
			  ZydisRegister reg)
{
	for (unsigned int n = 0; n < in->operand_count_visible; n++)
		if (op[n].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op[n].reg.value) ==
			    reg)
			return true;
	return false;
}

/* CVTPI2PS and CVTPI2PD read an MMX operand from memory too. */
static bool is_mmx(const ZydisDecodedInstruction *in, const ZydisDecodedOperand *op)
{
	return uses_class(in, op, ZYDIS_REGCLASS_MMX) || in->mnemonic == ZYDIS_MNEMONIC_CVTPI2PS ||
	       in->mnemonic == ZYDIS_MNEMONIC_CVTPI2PD;
}

static void try_encoding(struct encoding *e, void (*fn)(const struct encoding *e, void *arg),
			 void *arg)
{
	static const struct choice none;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction in;
	uint8_t bytes[16];

	if (e->map == 0 && (e->opcode == 0x38 || e->opcode == 0x3a))
		return; /* lead into the other maps */
	put(e, &none, bytes);
	if (!decode(bytes, &in, op) || !isa_is_sse(in.meta.isa_set) ||
	    in.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return;
	e->mnemonic = in.mnemonic;
	e->isa_set = in.meta.isa_set;
	e->mmx = is_mmx(&in, op);
	fn(e, arg);
}

void each_encoding(void (*fn)(const struct encoding *e, void *arg), void *arg)
{
	static const uint8_t prefixes[][2] = {
		{ 0, 0 }, { 0x66, 0 }, { 0xf3, 0 }, { 0xf2, 0 }, { 0x66, 0xf2 }
	};

	for (unsigned int n = 0; n < 5 * 3 * 256 * 8 * 4; n++) {
		unsigned int prefix = n / (3 * 256 * 8 * 4);
		struct encoding e = {
			.prefix = { prefixes[prefix][0], prefixes[prefix][1] },
			.map = (uint8_t)(n / (256 * 8 * 4) % 3),
			.opcode = (uint8_t)(n / (8 * 4)),
			.reg = n / 4 % 8,
			.wide = n / 2 % 2,
			.memory = n % 2,
		};

		try_encoding(&e, fn, arg);
	}
}

unsigned int encode(const struct encoding *e, const struct choice *how, uint8_t bytes[16])
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction in;

	put(e, how, bytes);
	if (!decode(bytes, &in, op) || in.mnemonic != e->mnemonic ||
	    uses_register(&in, op, ZYDIS_REGISTER_RSP))
		return 0;
	return in.length;
}

unsigned int encode_keeping_pointers(const struct encoding *e, const struct choice *how,
				     uint8_t bytes[16])
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecodedInstruction in;
	unsigned int len = encode(e, how, bytes);

	if (!len || !decode(bytes, &in, op) || uses_register(&in, op, ZYDIS_REGISTER_RSI) ||
	    uses_register(&in, op, ZYDIS_REGISTER_RDI))
		return 0;
	return len;
}
