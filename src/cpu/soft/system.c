/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Which file implements a system instruction; what they share. */
#include "cpu/soft/control.h"
#include "cpu/soft/decode.h"

void sys_need_umip(struct soft *c)
{
	if (c->cpl && (c->state.cr4 & CR4_UMIP))
		soft_raise_error(c, VEC_GP, 0);
}

void sys_store_word(struct soft *c, const struct insn *i, uint64_t value)
{
	if (i->flags & INSN_MEM)
		soft_store(c, soft_mem(c, i, 2, ACCESS_WRITE), 2, value & 0xffff);
	else
		reg_set(c, i->dst, i->size, value);
}

bool soft_select_system(const struct soft_decoded *d, struct insn *i)
{
	static soft_exec *(*const files[])(const struct soft_decoded *) = {
		control_select, table_select, segment_select, flag_select, processor_select,
	};
	unsigned int n;

	for (n = 0; n < sizeof(files) / sizeof(files[0]); n++) {
		soft_exec *exec = files[n](d);

		if (exec) {
			i->exec = exec;
			i->flags |= INSN_ENDS_BLOCK;
			return true;
		}
	}
	return false;
}
