/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What came with SSE but works on general registers, memory order or caches: CRC32, MOVNTI, fences,
 * prefetches, CLFLUSH, PAUSE. None of these asks CR0 or CR4, but MASKMOVDQU does.
 */
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"
#include "cpu/soft/tlb.h"

static uint64_t crc32_source(struct soft *c, const struct insn *i)
{
	if (i->flags & INSN_MEM)
		return operand_load(c, i, i->aux);
	return reg_get(c, i->src, i->aux);
}

static void exec_crc32(struct soft *c, const struct insn *i)
{
	uint64_t v = crc32_source(c, i);
	uint64_t crc = reg_get(c, i->dst, 4);

	switch (i->aux) {
	case 1:
		__asm__("crc32b %b1, %k0" : "+r"(crc) : "q"(v));
		break;
	case 2:
		__asm__("crc32w %w1, %k0" : "+r"(crc) : "r"(v));
		break;
	case 4:
		__asm__("crc32l %k1, %k0" : "+r"(crc) : "r"(v));
		break;
	default:
		__asm__("crc32q %1, %0" : "+r"(crc) : "r"(v));
		break;
	}
	reg_set(c, i->dst, 4, crc);
}

static void exec_movnti(struct soft *c, const struct insn *i)
{
	sse_store_low(c, i, i->msize, reg_get(c, i->src, i->msize));
}

/*
 * Only the chosen bytes are written: another vCPU may own their neighbours. All of them can be, before
 * the first is.
 */
static void exec_maskmovdqu(struct soft *c, const struct insn *i)
{
	const union cpu_xmm *v = &c->state.xmm[i->dst & 15];
	unsigned int mask, first, last;
	uint64_t lin;

	sse_check(c);
	mask = (unsigned int)_mm_movemask_epi8(*sse_reg(c, i->src));
	if (!mask)
		return;
	first = (unsigned int)__builtin_ctz(mask);
	last = 31 - (unsigned int)__builtin_clz(mask);
	lin = soft_linear(c, i->seg, reg_get(c, CPU_RDI, i->asize), 16, ACCESS_WRITE);
	soft_probe_write(c, lin + first, last - first + 1);
	for (unsigned int n = first; n <= last; n++)
		if (mask >> n & 1)
			soft_store(c, lin + n, 1, v->u8[n]);
}

/* Faults where a load would. */
static void exec_clflush(struct soft *c, const struct insn *i)
{
	operand_load(c, i, 1);
}

static void exec_fence(struct soft *c, const struct insn *i)
{
	__asm__ volatile("mfence" : : : "memory");
}

static void exec_prefetch(struct soft *c, const struct insn *i)
{
}

static void exec_pause(struct soft *c, const struct insn *i)
{
	__asm__ volatile("pause");
}

static const struct sse_row rows[] = {
	SSE_ROW(CRC32, crc32, SSE_NEED_42, "RE"),
	SSE_ROW(MOVNTI, movnti, SSE_NEED_2, "MR"),
	SSE_ROW(MASKMOVDQU, maskmovdqu, SSE_NEED_2, "XX"),
	SSE_ROW(CLFLUSH, clflush, SSE_NEED_2, "M"),
	SSE_ROW(LFENCE, fence, SSE_NEED_2, ""),
	SSE_ROW(SFENCE, fence, SSE_NEED_2, ""),
	SSE_ROW(MFENCE, fence, SSE_NEED_2, ""),
	SSE_ROW(PREFETCHNTA, prefetch, SSE_NEED_2, "M"),
	SSE_ROW(PREFETCHT0, prefetch, SSE_NEED_2, "M"),
	SSE_ROW(PREFETCHT1, prefetch, SSE_NEED_2, "M"),
	SSE_ROW(PREFETCHT2, prefetch, SSE_NEED_2, "M"),
	SSE_ROW(PREFETCH, prefetch, SSE_NEED_2, "M"),
	SSE_ROW(PREFETCHW, prefetch, SSE_NEED_2, "M"),
	SSE_ROW(PREFETCHWT1, prefetch, SSE_NEED_2, "M"),
	SSE_ROW(PAUSE, pause, SSE_NEED_2, ""),
};

const struct sse_table sse_misc_table = SSE_TABLE(rows);
