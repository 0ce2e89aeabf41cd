/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * x87: only its control instructions, which programs and kernels use without computing: FNINIT, FNSTCW,
 * FLDCW, FNSTSW, FNCLEX, FWAIT, FNSTENV, FLDENV, EMMS. Private to src/cpu/soft.
 */
#ifndef GMEM_CPU_SOFT_X87_H
#define GMEM_CPU_SOFT_X87_H

#include "cpu/soft/soft.h"

#define FCW_LEGAL 0x1f7fu
#define FCW_ALWAYS 0x40u
#define FOP_LEGAL 0x7ffu
#define FSW_FLAGS 0x3fu
#define FSW_CLEARED_BY_FNCLEX 0x80ffu
#define FSW_ES (1u << 7)
#define FSW_TOP (7u << 11)
#define FSW_BUSY (1u << 15)

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

bool x87_select(const struct soft_decoded *d, struct insn *i);

#endif
