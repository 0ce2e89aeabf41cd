/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cpu/soft/exec.h"
bool select_muldiv(const struct soft_decoded *d, struct insn *i) { return false; }
bool select_shift(const struct soft_decoded *d, struct insn *i) { return false; }
bool select_atomic(const struct soft_decoded *d, struct insn *i) { return false; }
bool select_flags(const struct soft_decoded *d, struct insn *i) { return false; }
bool select_bcd(const struct soft_decoded *d, struct insn *i) { return false; }
bool soft_select_string(const struct soft_decoded *d, struct insn *i) { return select_io(d, i); }
bool soft_select_bits(const struct soft_decoded *d, struct insn *i) { return false; }
