/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * x87: only its control instructions, which programs and kernels use without computing: FNINIT, FNSTCW,
 * FLDCW, FNSTSW, FNCLEX, FWAIT, FNSTENV, FLDENV, EMMS. Private to src/cpu/soft.
 */
#ifndef GMEM_CPU_SOFT_X87_H
#define GMEM_CPU_SOFT_X87_H

#include "cpu/fpu_image.h"
#include "cpu/soft/soft.h"

#define FSW_CLEARED_BY_FNCLEX 0x80ffu
#define FSW_TOP (7u << 11)

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

bool x87_select(const struct soft_decoded *d, struct insn *i);

#endif
