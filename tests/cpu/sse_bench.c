/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "sse_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/fpu_image.h"
#include "cpu/soft/sys.h"
#include "cpu/soft/tlb.h"

struct bench bench;
static jmp_buf leave;

void bench_reset(void)
{
	struct soft *c = &bench.c;

	memset(&bench, 0, sizeof(bench));
	memset(c->tlb, 0xff, sizeof(c->tlb));
	c->state.cr0 = CR0_PE | CR0_NE;
	c->state.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
	c->state.xcr0 = XCR0_SUPPORTED;
	c->state.mxcsr = 0x1f80;
	c->state.rflags = RFLAGS_ONE;
	c->mode = 8;
	fxsave_init_x87(&c->state);
}

bool bench_decode(const uint8_t *bytes, unsigned int len)
{
	bench.claimed = true;
	return decode_insn(bytes, len, bench.c.mode, &bench.insn) == DECODE_OK && bench.claimed;
}

void bench_exec(void)
{
	bench.vector = NO_VECTOR;
	bench.error = 0;
	bench.c.cur = &bench.insn;
	if (!setjmp(leave))
		bench.insn.exec(&bench.c, &bench.insn);
}

/* ---- what the handlers ask of the rest of the engine ------------------------------------------- */

void soft_raise_error(struct soft *c, uint8_t vector, uint32_t error)
{
	bench.vector = vector;
	bench.error = error;
	longjmp(leave, 1);
}

void soft_raise(struct soft *c, uint8_t vector)
{
	soft_raise_error(c, vector, 0);
}

static void touch(struct soft *c, uint64_t lin, unsigned int size)
{
	if (lin < bench.bad_to && lin + size > bench.bad_from)
		soft_raise_error(c, VEC_PF, 0);
}

uint64_t soft_linear(struct soft *c, unsigned int seg, uint64_t ea, unsigned int size,
		     enum soft_access access)
{
	return ea;
}

uint64_t soft_mem(struct soft *c, const struct insn *i, unsigned int size, enum soft_access access)
{
	return operand_ea64(c, i);
}

void soft_load_bytes(struct soft *c, uint64_t lin, void *dst, unsigned int size)
{
	touch(c, lin, size);
	memcpy(dst, (const void *)(uintptr_t)lin, size);
}

void soft_store_bytes(struct soft *c, uint64_t lin, const void *src, unsigned int size)
{
	touch(c, lin, size);
	memcpy((void *)(uintptr_t)lin, src, size);
}

uint64_t soft_load(struct soft *c, uint64_t lin, unsigned int size)
{
	uint64_t v = 0;

	soft_load_bytes(c, lin, &v, size);
	return v;
}

void soft_store(struct soft *c, uint64_t lin, unsigned int size, uint64_t value)
{
	soft_store_bytes(c, lin, &value, size);
}

void soft_probe_write(struct soft *c, uint64_t lin, unsigned int size)
{
	touch(c, lin, size);
}

void *soft_rmw_ptr(struct soft *c, uint64_t lin, unsigned int size)
{
	return NULL;
}

void soft_user_bit_changed(struct soft *c)
{
}

/* ---- nobody else implements anything ------------------------------------------------------------ */

bool soft_select_int(const struct soft_decoded *d, struct insn *i)
{
	return false;
}

bool soft_select_string(const struct soft_decoded *d, struct insn *i)
{
	return false;
}

bool soft_select_bits(const struct soft_decoded *d, struct insn *i)
{
	return false;
}

bool soft_select_system(const struct soft_decoded *d, struct insn *i)
{
	return false;
}

bool soft_select_far(const struct soft_decoded *d, struct insn *i)
{
	bench.claimed = false;
	return false;
}

bool os_log_enabled(enum os_log_level level)
{
	return false;
}

void os_log(enum os_log_level level, const char *fmt, ...)
{
}

void os_panic(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}
