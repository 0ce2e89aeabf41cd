/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * IN OUT INS OUTS, and what complete() does for them. IN and OUT end in complete(). INS gets its data there
 * and runs again to store them: first everything it will store is checked to be writable. Elements of INS
 * come in batches that lie in one page, those of OUTS singly, as KVM has it.
 */
#include "cpu/soft/exec.h"
#include "cpu/soft/io.h"
#include "cpu/soft/sys.h"

_Noreturn static void leave_for_io(struct soft *c, uint8_t pending)
{
	c->exit->reason = CPU_EXIT_IO;
	c->io_pending = pending;
	c->io_rip = soft_rip(c);
	soft_leave(c, LEAVE_EXIT);
}

static void fill_io(struct soft *c, const struct insn *i, bool in, uint16_t port, uint32_t count)
{
	struct cpu_exit *e = c->exit;

	if (!soft_io_allowed(c, port, i->size))
		soft_raise_error(c, VEC_GP, 0);
	e->io.in = in;
	e->io.size = i->size;
	e->io.port = port;
	e->io.count = count;
}

static uint16_t port_of(struct soft *c, const struct insn *i)
{
	return i->aux ? (uint8_t)i->imm : reg_get(c, CPU_RDX, 2);
}

static void exec_in(struct soft *c, const struct insn *i)
{
	fill_io(c, i, true, port_of(c, i), 1);
	leave_for_io(c, IO_IN);
}

static void exec_out(struct soft *c, const struct insn *i)
{
	uint32_t v = reg_get(c, CPU_RAX, i->size);

	fill_io(c, i, false, port_of(c, i), 1);
	memcpy(c->exit->io.data, &v, i->size);
	leave_for_io(c, IO_OUT);
}

/* ---- strings --------------------------------------------------------------------------------------- */

static bool repeats(const struct insn *i)
{
	return i->flags & (INSN_REP | INSN_REPNE);
}

/* One element is done: the pointer moves, and the count when there is one. True when none is left. */
static bool element_over(struct soft *c, const struct insn *i, unsigned int pointer)
{
	int64_t step = c->state.rflags & RFLAGS_DF ? -(int64_t)i->size : i->size;
	uint64_t count;

	reg_set(c, pointer, i->asize, reg_get(c, pointer, i->asize) + step);
	if (!repeats(i))
		return true;
	count = reg_get(c, CPU_RCX, i->asize) - 1;
	reg_set(c, CPU_RCX, i->asize, count);
	return !(count & size_mask(i->asize));
}

static void exec_outs(struct soft *c, const struct insn *i)
{
	uint64_t lin;
	uint32_t v;

	if (repeats(i) && !reg_get(c, CPU_RCX, i->asize))
		return;
	fill_io(c, i, false, reg_get(c, CPU_RDX, 2), 1);
	lin = soft_linear(c, i->seg, reg_get(c, CPU_RSI, i->asize), i->size, ACCESS_READ);
	v = soft_load(c, lin, i->size);
	fill_io(c, i, false, reg_get(c, CPU_RDX, 2), 1);
	memcpy(c->exit->io.data, &v, i->size);
	leave_for_io(c, IO_OUTS);
}

/* How many elements the next batch has. */
static uint32_t batch(struct soft *c, const struct insn *i, uint64_t lin)
{
	uint64_t count = repeats(i) ? reg_get(c, CPU_RCX, i->asize) : 1;
	uint64_t in_page = lin & 0xfff, n;

	in_page = c->state.rflags & RFLAGS_DF ? in_page : 4096 - in_page;
	n = in_page / i->size;
	if (n > sizeof(c->pio_data) / i->size)
		n = sizeof(c->pio_data) / i->size;
	if (n > count)
		n = count;
	return n ? n : 1;
}

static uint64_t ins_address(struct soft *c, const struct insn *i)
{
	return soft_linear(c, CPU_ES, reg_get(c, CPU_RDI, i->asize), i->size, ACCESS_WRITE);
}

static void request_ins(struct soft *c, const struct insn *i)
{
	uint64_t lin;

	if (!soft_io_allowed(c, reg_get(c, CPU_RDX, 2), i->size))
		soft_raise_error(c, VEC_GP, 0);
	lin = ins_address(c, i);
	c->pio_count = batch(c, i, lin);
	soft_probe_write(c, lin, i->size);
	fill_io(c, i, true, reg_get(c, CPU_RDX, 2), c->pio_count);
	leave_for_io(c, IO_INS);
}

static void exec_ins(struct soft *c, const struct insn *i)
{
	bool over = false;

	if (repeats(i) && !reg_get(c, CPU_RCX, i->asize))
		return;
	if (c->pio_pos == c->pio_size || c->io_rip != soft_rip(c)) {
		c->pio_pos = c->pio_size = 0;
		request_ins(c, i);
	}
	/* The owner may have lowered the count meanwhile. */
	while (c->pio_pos < c->pio_size && !over) {
		uint32_t v = 0;

		memcpy(&v, c->pio_data + c->pio_pos, i->size);
		soft_store(c, ins_address(c, i), i->size, v);
		mmio_forget(c);
		c->pio_pos += i->size;
		over = element_over(c, i, CPU_RDI);
	}
	if (!over)
		c->next_rip = soft_rip(c);
	c->pio_pos = c->pio_size = 0;
}

/* ---- the owner's answers ------------------------------------------------------------------------------ */

static void outs_complete(struct soft *c, const struct insn *i)
{
	bool over = element_over(c, i, CPU_RSI);

	run_instruction_over(c, over ? soft_next_rip(c) : soft_rip(c));
}

static void ins_complete(struct soft *c, const struct insn *i, const void *data)
{
	c->pio_pos = 0;
	c->pio_size = c->pio_count * i->size;
	if (data)
		memcpy(c->pio_data, data, c->pio_size);
	else
		memset(c->pio_data, 0, c->pio_size);
}

void io_complete(struct soft *c, uint8_t pending, const void *data)
{
	const struct insn *i = c->cur;
	uint64_t v = 0;

	switch (pending) {
	case IO_IN:
		if (data)
			memcpy(&v, data, i->size);
		reg_set(c, CPU_RAX, i->size, v);
		run_instruction_over(c, soft_next_rip(c));
		break;
	case IO_INS:
		ins_complete(c, i, data);
		break;
	case IO_OUTS:
		outs_complete(c, i);
		break;
	case IO_HYPERCALL:
		if (data)
			memcpy(&v, data, 8);
		reg_set(c, CPU_RAX, c->mode == 8 ? 8 : 4, v);
		run_instruction_over(c, soft_next_rip(c));
		break;
	default:
		run_instruction_over(c, soft_next_rip(c));
		break;
	}
}

static bool take(struct insn *i, soft_exec *exec, bool immediate)
{
	i->exec = exec;
	i->aux = immediate;
	i->flags |= INSN_ENDS_BLOCK;
	return true;
}

bool select_io(const struct soft_decoded *d, struct insn *i)
{
	switch (d->in->mnemonic) {
	case ZYDIS_MNEMONIC_IN:
		return take(i, exec_in, decoded_is_imm(d, 1));
	case ZYDIS_MNEMONIC_OUT:
		return take(i, exec_out, decoded_is_imm(d, 0));
	case ZYDIS_MNEMONIC_INSB:
	case ZYDIS_MNEMONIC_INSW:
	case ZYDIS_MNEMONIC_INSD:
		return take(i, exec_ins, false);
	case ZYDIS_MNEMONIC_OUTSB:
	case ZYDIS_MNEMONIC_OUTSW:
	case ZYDIS_MNEMONIC_OUTSD:
		return take(i, exec_outs, false);
	default:
		return false;
	}
}
