/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * MOVS STOS LODS CMPS SCAS with REP, REPE, REPNE. Every iteration leaves the exact state, so that whatever
 * stops one resumes there. A long repetition goes back to the run loop now and then, RIP still on it, to
 * look at requests. MOVS and STOS forwards are done by whole pieces of pages. A repetition that stores to the
 * page it runs from is fetched again after each iteration: what stops it in between must make no difference.
 */
#include "cpu/soft/exec.h"

#define ITERATIONS_PER_TURN 1024u
#define BYTES_PER_TURN (64u << 10)

typedef void string_step(struct soft *c, const struct insn *i);

static inline int64_t step_of(const struct soft *c, const struct insn *i)
{
	return c->state.rflags & RFLAGS_DF ? -(int64_t)i->size : i->size;
}

static inline void advance(struct soft *c, const struct insn *i, unsigned int reg, int64_t by)
{
	reg_set(c, reg, i->asize, c->state.gpr[reg] + by);
}

static inline uint64_t source(struct soft *c, const struct insn *i, unsigned int size)
{
	return soft_linear(c, i->seg, reg_get(c, CPU_RSI, i->asize), size, ACCESS_READ);
}

static inline uint64_t destination(struct soft *c, const struct insn *i, enum soft_access access)
{
	return soft_linear(c, CPU_ES, reg_get(c, CPU_RDI, i->asize), i->size, access);
}

/* ---- one iteration ---------------------------------------------------------------------------------- */

static void movs_step(struct soft *c, const struct insn *i)
{
	uint64_t v = soft_load(c, source(c, i, i->size), i->size);

	soft_store(c, destination(c, i, ACCESS_WRITE), i->size, v);
	advance(c, i, CPU_RSI, step_of(c, i));
	advance(c, i, CPU_RDI, step_of(c, i));
}

static void stos_step(struct soft *c, const struct insn *i)
{
	uint64_t v = reg_get(c, CPU_RAX, i->size);

	soft_store(c, destination(c, i, ACCESS_WRITE), i->size, v);
	advance(c, i, CPU_RDI, step_of(c, i));
}

static void lods_step(struct soft *c, const struct insn *i)
{
	uint64_t v = soft_load(c, source(c, i, i->size), i->size);

	reg_set(c, CPU_RAX, i->size, v);
	advance(c, i, CPU_RSI, step_of(c, i));
}

static void compare(struct soft *c, const struct insn *i, uint64_t a, uint64_t b)
{
	unsigned int shift = flags_shift(i->size);

	flags_set_lazy(c, FLAGS_SUB, i->size, a << shift, b << shift, (a - b) << shift);
}

static void cmps_step(struct soft *c, const struct insn *i)
{
	/* in the order in which processors meet their faults */
	uint64_t b = soft_load(c, destination(c, i, ACCESS_READ), i->size);
	uint64_t a = soft_load(c, source(c, i, i->size), i->size);

	compare(c, i, a, b);
	advance(c, i, CPU_RSI, step_of(c, i));
	advance(c, i, CPU_RDI, step_of(c, i));
}

static void scas_step(struct soft *c, const struct insn *i)
{
	uint64_t b = soft_load(c, destination(c, i, ACCESS_READ), i->size);

	compare(c, i, reg_get(c, CPU_RAX, i->size), b);
	advance(c, i, CPU_RDI, step_of(c, i));
}

/* ---- repetition --------------------------------------------------------------------------------------- */

/* Not over: the block ends here, and the instruction goes on after a look at the requests. */
static void come_back(struct soft *c)
{
	soft_end_block(c);
	c->next_rip = soft_rip(c);
}

/* One iteration; true: it has written to the page that runs. */
static inline bool step_writes_code(struct soft *c, const struct insn *i, string_step *step)
{
	const struct insn *end = c->end;

	c->end = NULL;
	step(c, i);
	if (unlikely(c->end))
		return true;
	c->end = end;
	return false;
}

static inline void repeat(struct soft *c, const struct insn *i, string_step *step)
{
	uint64_t count = reg_get(c, CPU_RCX, i->asize);
	bool written;

	if (!(i->flags & (INSN_REP | INSN_REPNE))) {
		step(c, i);
		return;
	}
	for (unsigned int n = 0; count; n++) {
		if (n == ITERATIONS_PER_TURN || (n && c->stepping)) {
			come_back(c);
			return;
		}
		written = step_writes_code(c, i, step);
		reg_set(c, CPU_RCX, i->asize, --count);
		mmio_forget(c);
		if (unlikely(written) && count) {
			come_back(c);
			return;
		}
	}
}

struct lazy_flags {
	uint64_t a, b, res;
	uint8_t op, size;
};

static inline struct lazy_flags flags_save(const struct soft *c)
{
	return (struct lazy_flags){ c->flag_a, c->flag_b, c->flag_res, c->flag_op, c->flag_size };
}

static inline void flags_restore(struct soft *c, const struct lazy_flags *f)
{
	flags_set_lazy(c, f->op, f->size, f->a, f->b, f->res);
}

/* CMPS and SCAS: until the end the flags are those before the instruction, so that a fault finds them. */
static inline void repeat_compare(struct soft *c, const struct insn *i, string_step *step)
{
	uint64_t count = reg_get(c, CPU_RCX, i->asize);
	struct lazy_flags before = flags_save(c);

	if (!(i->flags & (INSN_REP | INSN_REPNE))) {
		step(c, i);
		return;
	}
	for (unsigned int n = 0; count; n++) {
		if (n == ITERATIONS_PER_TURN || (n && c->stepping)) {
			come_back(c);
			return;
		}
		step(c, i);
		reg_set(c, CPU_RCX, i->asize, --count);
		mmio_forget(c);
		if (!count || flags_zero(c) != !!(i->flags & INSN_REP))
			return;
		flags_restore(c, &before);
	}
}

/* ---- whole pieces ---------------------------------------------------------------------------------------- */

/* How many elements from ea on lie in one page and within what the address size can count. */
static uint64_t elements(const struct insn *i, uint64_t ea, uint64_t lin)
{
	uint64_t bytes = 4096 - (lin & 0xfff), room = size_mask(i->asize) - ea;

	if (bytes > room)
		bytes = room;
	return bytes / i->size;
}

static bool in_segment(struct soft *c, unsigned int seg, uint64_t ea, uint64_t bytes)
{
	const struct cpu_seg *s = &c->state.seg[seg];

	if (c->mode == 8)
		return true;
	/* only upwards segments: others go one by one */
	return !(s->type & 4) && ea + bytes - 1 <= s->limit;
}

static bool is_running_code(const struct soft *c, const uint8_t *host)
{
	return ((uintptr_t)host & ~(uintptr_t)0xfff) == (uintptr_t)c->code_page;
}

/* Host pointer to n elements at seg:ea; *n gets smaller; NULL: not by whole pieces. */
static uint8_t *piece(struct soft *c, const struct insn *i, unsigned int seg, uint64_t ea,
		      enum soft_access access, uint64_t *n)
{
	uint64_t lin = soft_linear(c, seg, ea, i->size, access);
	uint64_t here = elements(i, ea, lin);
	uint8_t *host;

	if (here < *n)
		*n = here;
	if (!*n || !in_segment(c, seg, ea, *n * i->size) || (c->user_bit & TLB_ALIGN))
		return NULL;
	host = place_find(c, lin, access, c->user_bit).host;
	return access == ACCESS_WRITE && is_running_code(c, host) ? NULL : host;
}

static void fill(uint8_t *p, unsigned int size, uint64_t value, uint64_t n)
{
	if (size == 1) {
		memset(p, value, n);
		return;
	}
	for (; n; n--, p += size)
		host_store(p, size, value);
}

/* Forwards, element by element in effect: where the destination begins inside the source, what is copied
 * is copied again. */
static void copy(uint8_t *to, const uint8_t *from, unsigned int size, uint64_t n)
{
	uint64_t bytes = n * size;

	if ((uintptr_t)to - (uintptr_t)from >= bytes) {
		memmove(to, from, bytes);
		return;
	}
	for (; n; n--, to += size, from += size)
		host_store(to, size, host_load(from, size));
}

/* Copies or fills as much as lies in one page on each side; returns the elements done, 0: one by one. */
static uint64_t piece_movs(struct soft *c, const struct insn *i, uint64_t n)
{
	uint64_t si = reg_get(c, CPU_RSI, i->asize), di = reg_get(c, CPU_RDI, i->asize);
	const uint8_t *from = piece(c, i, i->seg, si, ACCESS_READ, &n);
	uint8_t *to = from ? piece(c, i, CPU_ES, di, ACCESS_WRITE, &n) : NULL;

	if (!to)
		return 0;
	copy(to, from, i->size, n);
	advance(c, i, CPU_RSI, n * i->size);
	advance(c, i, CPU_RDI, n * i->size);
	return n;
}

static uint64_t piece_stos(struct soft *c, const struct insn *i, uint64_t n)
{
	uint64_t di = reg_get(c, CPU_RDI, i->asize);
	uint8_t *to = piece(c, i, CPU_ES, di, ACCESS_WRITE, &n);

	if (!to)
		return 0;
	fill(to, i->size, reg_get(c, CPU_RAX, i->size), n);
	advance(c, i, CPU_RDI, n * i->size);
	return n;
}

static inline void repeat_pieces(struct soft *c, const struct insn *i, string_step *step,
				 uint64_t (*by_piece)(struct soft *, const struct insn *, uint64_t))
{
	uint64_t count = reg_get(c, CPU_RCX, i->asize), bytes = 0;

	if (!(i->flags & (INSN_REP | INSN_REPNE)) || (c->state.rflags & RFLAGS_DF) || c->stepping) {
		repeat(c, i, step);
		return;
	}
	while (count) {
		uint64_t n = by_piece(c, i, count);
		bool written = false;

		if (!n) {
			written = step_writes_code(c, i, step);
			n = 1;
		}
		count -= n;
		bytes += n * i->size;
		reg_set(c, CPU_RCX, i->asize, count);
		mmio_forget(c);
		if (count && (written || bytes >= BYTES_PER_TURN || mmu_vcpu_requests(c->vcpu))) {
			come_back(c);
			return;
		}
	}
}

/* ---- handlers ----------------------------------------------------------------------------------------------- */

static void movs(struct soft *c, const struct insn *i)
{
	repeat_pieces(c, i, movs_step, piece_movs);
}

static void stos(struct soft *c, const struct insn *i)
{
	repeat_pieces(c, i, stos_step, piece_stos);
}

static void lods(struct soft *c, const struct insn *i)
{
	repeat(c, i, lods_step);
}

static void cmps(struct soft *c, const struct insn *i)
{
	repeat_compare(c, i, cmps_step);
}

static void scas(struct soft *c, const struct insn *i)
{
	repeat_compare(c, i, scas_step);
}

static bool take(struct insn *i, soft_exec *exec)
{
	i->exec = exec;
	return true;
}

bool soft_select_string(const struct soft_decoded *d, struct insn *i)
{
	if (d->in->meta.category == ZYDIS_CATEGORY_STRINGOP) {
		switch (d->in->mnemonic) {
		case ZYDIS_MNEMONIC_MOVSB:
		case ZYDIS_MNEMONIC_MOVSW:
		case ZYDIS_MNEMONIC_MOVSD:
		case ZYDIS_MNEMONIC_MOVSQ:
			return take(i, movs);
		case ZYDIS_MNEMONIC_STOSB:
		case ZYDIS_MNEMONIC_STOSW:
		case ZYDIS_MNEMONIC_STOSD:
		case ZYDIS_MNEMONIC_STOSQ:
			return take(i, stos);
		case ZYDIS_MNEMONIC_LODSB:
		case ZYDIS_MNEMONIC_LODSW:
		case ZYDIS_MNEMONIC_LODSD:
		case ZYDIS_MNEMONIC_LODSQ:
			return take(i, lods);
		case ZYDIS_MNEMONIC_CMPSB:
		case ZYDIS_MNEMONIC_CMPSW:
		case ZYDIS_MNEMONIC_CMPSD:
		case ZYDIS_MNEMONIC_CMPSQ:
			return take(i, cmps);
		case ZYDIS_MNEMONIC_SCASB:
		case ZYDIS_MNEMONIC_SCASW:
		case ZYDIS_MNEMONIC_SCASD:
		case ZYDIS_MNEMONIC_SCASQ:
			return take(i, scas);
		default:
			return false;
		}
	}
	return select_io(d, i);
}
