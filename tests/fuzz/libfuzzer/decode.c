/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The decoder of the software CPU, in each code size. Zydis, asked directly, finds the same length or no instruction
 * either; what is decoded from the bytes of the instruction alone is the same, and from less it is "more"; and all
 * that the handlers use as an index is in range.
 */
#include <sys/mman.h>

#include "cpu/soft/decode.h"
#include "target.h"

#define PAGE 4096u

/* The bytes, at the end of a page behind which nothing may be read. */
static const uint8_t *at_the_edge(const uint8_t *bytes, unsigned int nr)
{
	static uint8_t *page;

	if (!page) {
		page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
		must(page != MAP_FAILED && mprotect(page + PAGE, PAGE, PROT_NONE) == 0);
	}
	memcpy(page + PAGE - nr, bytes, nr);
	return page + PAGE - nr;
}

static ZydisDecoder decoder_of(uint8_t mode)
{
	const ZydisMachineMode machine = mode == 8   ? ZYDIS_MACHINE_MODE_LONG_64
					 : mode == 4 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32
						     : ZYDIS_MACHINE_MODE_LONG_COMPAT_16;
	const ZydisStackWidth stack = mode == 8	  ? ZYDIS_STACK_WIDTH_64
				      : mode == 4 ? ZYDIS_STACK_WIDTH_32
						  : ZYDIS_STACK_WIDTH_16;
	ZydisDecoder d;

	must(ZYAN_SUCCESS(ZydisDecoderInit(&d, machine, stack)));
	/* No part of the guest's processor. */
	ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
	ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
	ZydisDecoderEnableMode(&d, ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
	return d;
}

static bool is_size(unsigned int size)
{
	return size == 1 || size == 2 || size == 4 || size == 8 || size == 16;
}

static bool is_reg(uint8_t reg)
{
	return reg < 32 || reg == REG_NONE;
}

static void check_fields(const struct insn *i, uint8_t mode)
{
	must(i->exec);
	must(i->len >= 1 && i->len <= 15);
	must(i->opcode_mode == mode);
	must(is_reg(i->dst) && is_reg(i->src) && is_reg(i->src2));
	must(i->seg < CPU_NR_SEGS);
	must(i->scale <= 3);
	if (!(i->flags & INSN_MEM))
		return;
	must(i->base < 16 || i->base == REG_RIP || i->base == REG_NONE);
	must(i->index < 16 || i->index == REG_NONE);
	must(i->asize == 2 || i->asize == 4 || i->asize == 8);
	must(is_size(i->size));
}

static bool same(const struct insn *a, const struct insn *b)
{
	return a->exec == b->exec && a->imm == b->imm && a->disp == b->disp &&
	       a->mnemonic == b->mnemonic && a->imm2 == b->imm2 && a->len == b->len &&
	       a->flags == b->flags && a->size == b->size && a->asize == b->asize &&
	       a->dst == b->dst && a->src == b->src && a->src2 == b->src2 && a->base == b->base &&
	       a->index == b->index && a->scale == b->scale && a->seg == b->seg &&
	       a->msize == b->msize && a->aux == b->aux;
}

static void check_zydis(const uint8_t *bytes, unsigned int nr, uint8_t mode, const struct insn *i)
{
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecoder d = decoder_of(mode);
	ZydisDecodedInstruction in;

	if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, bytes, nr < 15 ? nr : 15, &in, op)))
		must(i->len == in.length);
	else
		must(i->flags & INSN_ENDS_BLOCK);
}

static void check_mode(const uint8_t *data, unsigned int nr, uint8_t mode)
{
	struct insn i, again;

	if (decode_insn(at_the_edge(data, nr), nr, mode, &i) != DECODE_OK)
		return;
	check_fields(&i, mode);
	check_zydis(data, nr, mode, &i);
	must(i.len <= nr);
	must(decode_insn(at_the_edge(data, i.len), i.len, mode, &again) == DECODE_OK);
	must(same(&i, &again));
	/* What is no instruction may be known to be none from its beginning. */
	if (i.len > 1 && i.mnemonic)
		must(decode_insn(at_the_edge(data, i.len - 1u), i.len - 1u, mode, &again) ==
		     DECODE_MORE);
}

void target(const uint8_t *data, size_t size)
{
	unsigned int nr = size < 32 ? (unsigned int)size : 32;

	for (uint8_t mode = 2; nr && mode <= 8; mode = (uint8_t)(2 * mode))
		check_mode(data, nr, mode);
}
