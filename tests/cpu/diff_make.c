/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Makes streams: picks templates, operands and the state before. */
#include "diff.h"

#include <cpuid.h>
#include <string.h>

#include "cpu/soft/soft.h"

#define R_INDEX 14
#define R_DATA 15

/* One instruction that is being made. */
struct making {
	struct diff_stream *s;
	const struct diff_template *t;
	uint8_t size; /* operand size in bytes */
	bool memory;
	bool lock;
	bool aligned;
	uint8_t rex; /* bits R X B W */
	bool rex_needed, rex_forbidden;
	uint8_t seg, asize; /* prefixes or 0 */
	uint8_t vvvv;
	uint8_t body[16]; /* ModRM and what follows */
	unsigned int nr_body;
	bool rip_relative;
	unsigned int disp_at; /* in body */
	uint64_t target;
	int reg; /* the register operand, for preparations */
};

uint64_t diff_random(struct diff_stream *s)
{
	uint64_t x = s->random += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static unsigned int pick(struct diff_stream *s, unsigned int n)
{
	return diff_random(s) % n;
}

static void put(struct diff_stream *s, const void *bytes, unsigned int n)
{
	memcpy(s->code + s->nr, bytes, n);
	s->nr += n;
}
#define PUT(s, ...) \
	put(s, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void put_n(uint8_t *at, uint64_t v, unsigned int n)
{
	memcpy(at, &v, n);
}

/* Numbers at the edges are as likely as any. */
static uint64_t number(struct diff_stream *s)
{
	static const uint64_t edges[] = { 0,	      1,	  2,	  0x7f,	      0x80,
					  0xff,	      0x7fff,	  0x8000, 0xffff,     0x7fffffff,
					  1ull << 31, 0xffffffff, ~0ull,  1ull << 63, ~0ull >> 1 };

	switch (pick(s, 4)) {
	case 0:
		return edges[pick(s, sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return (int8_t)diff_random(s);
	default:
		return diff_random(s) >> pick(s, 64);
	}
}

/* A register that may be written. */
static unsigned int any_reg(struct diff_stream *s)
{
	unsigned int r = pick(s, 13);

	return r < CPU_RSP ? r : r + 1;
}

/* ---- operands -------------------------------------------------------------------------------------- */

static void choose_reg(struct making *m, bool xmm, unsigned int *low, uint8_t rex_bit)
{
	struct diff_stream *s = m->s;
	unsigned int r = xmm ? pick(s, 16) : any_reg(s);
	bool byte = (m->t->what & T_BYTE) && !(rex_bit == 4 && (m->t->what & T_WIDE_REG));

	if (!xmm && byte) {
		if (m->rex_forbidden || (!m->rex_needed && diff_chance(s, 30))) {
			/* AL CL DL BL AH CH DH BH */
			r = pick(s, 8);
			if (r >= 4)
				m->rex_forbidden = true;
		} else if (r >= 4) {
			m->rex_needed = true;
		}
	}
	if (r >= 8)
		m->rex |= rex_bit;
	*low = r & 7;
	m->reg = r;
}

/* Where a memory operand shall lie: mostly well inside, sometimes across pages, into the page that cannot
 * be written, into the one that is not there. */
static uint64_t choose_address(struct making *m)
{
	struct diff_stream *s = m->s;
	uint64_t at = DIFF_DATA + 0x700 + pick(s, 0x200);

	switch (pick(s, 24)) {
	case 0:
		at = DIFF_DATA + 0x1000 - pick(s, 17);
		break;
	case 1:
		at = DIFF_DATA + 0x2000 - pick(s, 17);
		break;
	case 2:
		at = DIFF_DATA + 0x2000 + pick(s, 0x1000);
		break;
	case 3:
		at = DIFF_DATA + 0x3000 - pick(s, 17);
		break;
	}
	if (m->aligned || diff_chance(s, 50))
		at &= ~15ull;
	return at;
}

static void put_sib(struct making *m, unsigned int mod, unsigned int reg, unsigned int base,
		    bool index, unsigned int scale)
{
	m->body[m->nr_body++] = mod << 6 | reg << 3 | 4;
	m->body[m->nr_body++] = scale << 6 | (index ? R_INDEX & 7 : 4) << 3 | (base & 7);
	if (index)
		m->rex |= 2;
}

static void choose_memory(struct making *m, unsigned int reg, uint64_t index_value)
{
	struct diff_stream *s = m->s;
	uint64_t at = choose_address(m);
	unsigned int scale = pick(s, 4);
	bool index = diff_chance(s, 40) && !m->aligned;
	int64_t disp = at - (DIFF_DATA + 0x800);

	m->target = at;
	switch (pick(s, 8)) {
	case 0: /* absolute */
		put_sib(m, 0, reg, 5, false, 0);
		put_n(m->body + m->nr_body, at, 4);
		m->nr_body += 4;
		return;
	case 1: /* to RIP */
		m->rip_relative = true;
		m->body[m->nr_body++] = reg << 3 | 5;
		m->disp_at = m->nr_body;
		m->nr_body += 4;
		return;
	case 2:
		m->asize = 0x67;
		break;
	case 3:
		m->seg = diff_chance(s, 50) ? 0x65 : 0x3e;
		break;
	}
	if (index)
		disp -= index_value << scale;
	m->rex |= 1;
	if (disp == (int8_t)disp && diff_chance(s, 80)) {
		put_sib(m, 1, reg, R_DATA, index, scale);
		m->body[m->nr_body++] = disp;
		return;
	}
	put_sib(m, 2, reg, R_DATA, index, scale);
	put_n(m->body + m->nr_body, disp, 4);
	m->nr_body += 4;
}

static void choose_modrm(struct making *m, uint64_t index_value)
{
	uint32_t what = m->t->what;
	unsigned int reg = m->t->digit, rm;

	if (!(what & T_DIGIT))
		choose_reg(m, what & T_XREG, &reg, 4);
	m->memory = (what & T_MEM) || (!(what & T_REG) && diff_chance(m->s, 60));
	m->lock = m->memory && (what & T_LOCK) && diff_chance(m->s, 25);
	m->aligned = (what & T_ALIGN) && diff_chance(m->s, 90);
	/* The host may stop the thread at a LOCK (XCHG has it always) across cache lines. */
	if (m->lock || (m->t->map == MAP_1 && (m->t->opcode | 1) == 0x87))
		m->aligned = true;
	if (m->memory) {
		choose_memory(m, reg, index_value);
		return;
	}
	choose_reg(m, what & T_XRM, &rm, 1);
	m->body[m->nr_body++] = 0xc0 | reg << 3 | rm;
}

static void choose_size(struct making *m)
{
	static const uint8_t sizes[] = { 2, 4, 4, 8, 8 };
	uint32_t what = m->t->what;

	if (what & T_BYTE)
		m->size = 1;
	else if (what & T_NOSIZE)
		m->size = 4;
	else if (what & T_D64)
		m->size = diff_chance(m->s, 25) ? 2 : 8;
	else
		m->size = sizes[pick(m->s, 5)];
	if ((what & (T_W | T_SHRD16)) && m->size == 2)
		m->size = 4;
}

static void choose_immediate(struct making *m)
{
	uint32_t what = m->t->what;
	unsigned int n = 0;

	if (what & T_IMM16) {
		put_n(m->body + m->nr_body, pick(m->s, 0x300), 2);
		m->nr_body += 2;
	}
	if (what & T_IMM8)
		n = 1;
	else if (what & T_IMMZ)
		n = m->size == 8 ? 4 : m->size;
	else if (what & T_IMMV)
		n = m->size;
	/* ENTER: of deeper levels the host leaves a part behind when it faults */
	put_n(m->body + m->nr_body, what & T_IMM16 ? pick(m->s, 2) : number(m->s), n);
	m->nr_body += n;
}

/* ---- writing it --------------------------------------------------------------------------------------- */

static void write_legacy(struct making *m)
{
	const struct diff_template *t = m->t;
	struct diff_stream *s = m->s;
	uint8_t rex = m->rex;

	if (m->lock)
		PUT(s, 0xf0);
	if (m->seg)
		PUT(s, m->seg);
	if (m->asize)
		PUT(s, m->asize);
	if (m->size == 2 && !(t->what & T_NOSIZE))
		PUT(s, 0x66);
	if ((t->what & T_REP) && diff_chance(s, 70))
		PUT(s, diff_chance(s, 70) ? 0xf3 : 0xf2);
	if (t->prefix)
		PUT(s, t->prefix);
	if (m->size == 8 && !(t->what & T_D64))
		rex |= 8;
	if (rex || m->rex_needed)
		PUT(s, 0x40 | rex);
	if (t->map != MAP_1)
		PUT(s, 0x0f);
	if (t->map == MAP_38)
		PUT(s, 0x38);
	if (t->map == MAP_3A)
		PUT(s, 0x3a);
}

static void write_vex(struct making *m)
{
	const struct diff_template *t = m->t;
	uint8_t pp = t->prefix == 0x66 ? 1 : t->prefix == 0xf3 ? 2 : t->prefix == 0xf2 ? 3 : 0;
	uint8_t vvvv = t->what & T_NDS ? m->vvvv : 0;

	if (m->seg)
		PUT(m->s, m->seg);
	if (m->asize)
		PUT(m->s, m->asize);
	PUT(m->s, 0xc4, (uint8_t)((~m->rex & 7) << 5 | t->map),
	    (uint8_t)((m->size == 8 ? 0x80 : 0) | (~vvvv & 15) << 3 | pp));
}

static void write_it(struct making *m)
{
	struct diff_stream *s = m->s;
	unsigned int body;

	/* LOCK where it is not allowed */
	if (!m->lock && !(m->t->what & T_LOCK) && diff_random(s) % 256 == 0)
		PUT(s, 0xf0);
	if (m->t->what & T_VEX)
		write_vex(m);
	else
		write_legacy(m);
	if (m->t->what & T_O)
		PUT(s, (uint8_t)(m->t->opcode | (m->reg & 7)));
	else
		PUT(s, m->t->opcode);
	body = s->nr;
	put(s, m->body, m->nr_body);
	if (m->rip_relative)
		put_n(s->code + body + m->disp_at, m->target - (DIFF_CODE + s->nr), 4);
}

/* ---- preparations -------------------------------------------------------------------------------------- */

/* lea reg, [r15 + disp32] */
static void put_lea(struct diff_stream *s, unsigned int reg, int32_t disp)
{
	PUT(s, 0x49, 0x8d, 0x87 | reg << 3);
	put(s, &disp, 4);
}

static void prepare_string(struct diff_stream *s)
{
	bool near_end = diff_chance(s, 15);
	unsigned int from = pick(s, 0x100), to = pick(s, 0x100), count = pick(s, 24);

	if (diff_chance(s, 30))
		to = from + pick(s, 16) - 8;
	if (near_end && diff_chance(s, 50))
		to = 0x2000 - 0x800 - pick(s, 64);
	else if (near_end)
		from = 0x3000 - 0x800 - pick(s, 64);
	if (diff_chance(s, 10))
		count = pick(s, 700);
	put_lea(s, CPU_RSI, from);
	put_lea(s, CPU_RDI, to);
	PUT(s, 0xb9, (uint8_t)count, (uint8_t)(count >> 8), 0, 0);
	if (diff_chance(s, 30))
		PUT(s, diff_chance(s, 50) ? 0xfd : 0xfc);
}

static void prepare(struct making *m)
{
	struct diff_stream *s = m->s;
	uint32_t what = m->t->what;

	if (what & T_STRING)
		prepare_string(s);
	/* rBP mostly well inside, sometimes next to the page that is not there */
	if (what & T_POINTERS) {
		put_lea(s, CPU_RBX, 0);
		put_lea(s, CPU_RBP, diff_chance(s, 90) ? pick(s, 0x1000) : 0x27f8 + pick(s, 16));
	}
	if ((what & T_DIVIDE) && diff_chance(s, 85)) {
		if (m->size == 1)
			PUT(s, 0x66, 0x98); /* cbw */
		else if (diff_chance(s, 50))
			PUT(s, 0x31, 0xd2); /* xor edx, edx */
		else
			PUT(s, 0x48, 0x99); /* cqo */
	}
	if (what & T_PUSH_FLAGS) {
		uint32_t flags = 2 | (diff_random(s) & (DIFF_FLAGS | 0x200));

		PUT(s, 0x68);
		put(s, &flags, 4);
	}
	/* lea rax, [rip + length of what follows]; push rax */
	if (what & T_PUSH_NEXT)
		PUT(s, 0x48, 0x8d, 0x05, m->nr_body + 2, 0, 0, 0, 0x50);
	/* lea reg, [rip + length of what follows] */
	if (what & T_NEXT)
		PUT(s, 0x48 | (m->reg >= 8 ? 4 : 0), 0x8d, 5 | (m->reg & 7) << 3, m->rex ? 3 : 2, 0,
		    0, 0);
	/* movzx reg, reg8: the bit number stays near */
	if ((what & T_BITS) && m->memory)
		PUT(s, 0x40 | (m->reg >= 8 ? 5 : 0), 0x0f, 0xb6,
		    0xc0 | (m->reg & 7) << 3 | (m->reg & 7));
}

/* ---- instructions and streams -------------------------------------------------------------------------------- */

static void make_insn(struct diff_stream *s, const struct diff_template *t, uint64_t index_value)
{
	struct making m = { .s = s, .t = t };

	choose_size(&m);
	if (m.size == 8 && !(t->what & T_D64))
		m.rex_needed = true;
	m.vvvv = any_reg(s);
	if (t->what & (T_RM | T_DIGIT)) {
		choose_modrm(&m, index_value);
	} else if (t->what & T_O) {
		unsigned int low;

		choose_reg(&m, false, &low, 1);
	}
	/* AH .. BH cannot be named beside a prefix that has come to be needed. */
	if (m.rex_forbidden && (m.rex || m.rex_needed))
		return;
	choose_immediate(&m);
	prepare(&m);
	write_it(&m);
	s->undefined = t->undefined;
	if (t->what & T_SHIFT)
		s->undefined = DF_OF | DF_AF | (m.size <= 2 ? DF_CF : 0);
}

/* Instructions younger than x86-64-v2, by name: those that the host has not are left out. */
static bool host_has(const struct diff_template *t)
{
	unsigned int a, b = 0, c = 0, d, lzcnt = 0, bmi;

	__get_cpuid(0x80000001, &a, &b, &lzcnt, &d);
	__get_cpuid_count(7, 0, &a, &b, &c, &d);
	bmi = b & 1u << 3 && b & 1u << 8;
	__get_cpuid(1, &a, &b, &c, &d);
	if ((t->what & T_VEX) || !strcmp(t->name, "tzcnt"))
		return bmi;
	if (!strcmp(t->name, "lzcnt"))
		return lzcnt & 1u << 5;
	return strcmp(t->name, "movbe") != 0 || (c & 1u << 22);
}

static const struct diff_template *any_template(struct diff_stream *s)
{
	static int8_t usable[1024]; /* 0: not asked yet */
	unsigned int n;

	do {
		n = pick(s, nr_templates_int + nr_templates_sse);
		if (!usable[n])
			usable[n] = n >= nr_templates_int || host_has(&templates_int[n]) ? 1 : -1;
	} while (usable[n] < 0);
	return n < nr_templates_int ? &templates_int[n] : &templates_sse[n - nr_templates_int];
}

/* Flags that are undefined must not get into what follows: CMP defines them all. */
static void define_flags(struct diff_stream *s)
{
	if (!s->undefined)
		return;
	PUT(s, 0x83, 0xf8 | any_reg(s) % 4, (uint8_t)number(s));
	s->undefined = 0;
}

static void make_code(struct diff_stream *s, uint64_t index_value)
{
	unsigned int want = 1 + pick(s, 8), skip = 0;

	while (want--) {
		const struct diff_template *t = any_template(s);
		unsigned int from = s->nr;

		define_flags(s);
		make_insn(s, t, index_value);
		if (skip) {
			s->code[skip - 1] = s->nr - skip;
			skip = 0;
			/* Whether it ran or not is not known here. */
			define_flags(s);
		}
		if ((t->what & T_SKIP) && s->nr > from && want)
			skip = s->nr;
		else if (t->what & T_SKIP && s->nr > from)
			s->code[s->nr - 1] = 0;
	}
	PUT(s, 0xf4);
}

static void make_state(struct diff_stream *s, struct diff_state *st)
{
	memset(st, 0, sizeof(*st));
	for (int n = 0; n < 16; n++) {
		st->gpr[n] = number(s);
		for (int k = 0; k < 2; k++)
			st->xmm[n].u64[k] = number(s);
	}
	st->gpr[CPU_RSP] = DIFF_DATA + 0x1800;
	st->gpr[R_INDEX] = pick(s, 256);
	st->gpr[R_DATA] = DIFF_DATA + 0x800;
	st->rflags = 0x202 | (diff_random(s) & (DF_CF | DF_PF | DF_AF | DF_ZF | DF_SF | DF_OF));
	st->mxcsr = 0x1f80 | (diff_chance(s, 30) ? pick(s, 4) << 13 : 0);
	if (diff_chance(s, 5))
		st->mxcsr = (st->mxcsr & 0xe000) | (diff_random(s) & 0x0380) | 0x1c00;
	st->rip = DIFF_CODE;
}

void diff_make(struct diff_stream *s, uint64_t seed, uint64_t nr, struct diff_state *before,
	       uint8_t *data)
{
	memset(s, 0, sizeof(*s));
	s->random = seed * 0x9e3779b97f4a7c15 + nr * 0xd1342543de82ef95;
	make_state(s, before);
	for (unsigned int n = 0; n < DIFF_DATA_SIZE; n += 8) {
		uint64_t v = n & 0x700 ? 0x0101010101010101ull * n : number(s);

		memcpy(data + n, &v, 8);
	}
	make_code(s, before->gpr[R_INDEX]);
}
