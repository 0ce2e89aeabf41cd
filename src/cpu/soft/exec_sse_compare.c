/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* SSE floating-point comparisons: to masks (CMPxx) and to flags (COMIxx, UCOMIxx). */
#include "cpu/soft/decode.h"
#include "cpu/soft/sse.h"

#define PREDICATES(op) SSE_CASES4(op, 0) SSE_CASES4(op, 4)

SSE_FLOAT_IMM(cmpps, sse_src, 7, PREDICATES(cmpps), SSE_NO_UNDERFLOW)
SSE_FLOAT_IMM(cmppd, sse_src, 7, PREDICATES(cmppd), SSE_NO_UNDERFLOW)
SSE_FLOAT_IMM(cmpss, sse_src4, 7, PREDICATES(cmpss), SSE_NO_UNDERFLOW)
SSE_FLOAT_IMM(cmpsd, sse_src8, 7, PREDICATES(cmpsd), SSE_NO_UNDERFLOW)

#define TO_FLAGS(op, source)                                                         \
	static void exec_##op(struct soft *c, const struct insn *i)                  \
	{                                                                            \
		bool zero, parity, carry;                                            \
		struct sse_fp fp;                                                    \
		__m128i b;                                                           \
                                                                                     \
		sse_check(c);                                                        \
		b = source(c, i);                                                    \
		sse_fp_begin(c, &fp);                                                \
		__asm__ volatile(#op " %4, %3"                                       \
				 : "=@ccz"(zero), "=@ccp"(parity), "=@ccc"(carry)    \
				 : "x"(*sse_reg(c, i->dst)), "x"(b));                \
		sse_fp_end(c, &fp, b, SSE_NO_UNDERFLOW);                             \
		sse_set_flags(c, (zero ? RFLAGS_ZF : 0) | (parity ? RFLAGS_PF : 0) | \
					 (carry ? RFLAGS_CF : 0));                   \
	}

TO_FLAGS(comiss, sse_src4)
TO_FLAGS(comisd, sse_src8)
TO_FLAGS(ucomiss, sse_src4)
TO_FLAGS(ucomisd, sse_src8)

static const struct sse_row rows[] = {
	SSE_ROW(CMPPS, cmpps, SSE_NEED_2, "XVI"),    SSE_ROW(CMPPD, cmppd, SSE_NEED_2, "XVI"),
	SSE_ROW(CMPSS, cmpss, SSE_NEED_2, "XVI"),    SSE_ROW(CMPSD, cmpsd, SSE_NEED_2, "XVI"),
	SSE_ROW(COMISS, comiss, SSE_NEED_2, "XV"),   SSE_ROW(COMISD, comisd, SSE_NEED_2, "XV"),
	SSE_ROW(UCOMISS, ucomiss, SSE_NEED_2, "XV"), SSE_ROW(UCOMISD, ucomisd, SSE_NEED_2, "XV"),
};

const struct sse_table sse_compare_table = SSE_TABLE(rows);
