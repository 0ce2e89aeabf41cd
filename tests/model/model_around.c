/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What is around KVM in a program of the model: the program's own mappings and its touching of them, and what a guest
 * does until it needs the program. Every page that is touched here is asked of model.c.
 */
#include "model.h"

#include <errno.h>

/* ---- the program's own memory -------------------------------------------------------------------- */

/* NULL and an errno in *err: EFAULT for nothing there, EACCES for what is private to the guest or behind the end. */
struct page *model_host_page(struct model *m, uint64_t area, uint64_t index, int64_t *err)
{
	struct host_page *h = index < AREA_PAGES && area < NR_AREAS ? &m->areas[area][index] : NULL;
	struct object *f;

	*err = EFAULT;
	if (!h || h->kind == NOBODY)
		return NULL;
	if (h->kind == ANONYMOUS)
		return &h->page;
	f = &m->files[h->file];
	*err = EACCES;
	if (h->pgoff >= f->size / PAGE)
		return NULL;
	if (h->pgoff >= FILE_PAGES) {
		*err = UNDEFINED;
		return NULL;
	}
	return f->is_private[h->pgoff] ? NULL : &f->pages[h->pgoff];
}

static int64_t change_mapping(struct model *m, const struct op *op)
{
	struct object *f = op->kind == OP_MAP ? model_file(m, op->file) : NULL;
	uint64_t first = op->at / PAGE;
	int64_t err = 0;

	if (op->area >= NR_AREAS || first >= AREA_PAGES || !op->n || op->n > AREA_PAGES - first ||
	    IN_PAGE(op->at | op->offset) || op->offset >> 62)
		return UNDEFINED;
	if (op->kind == OP_MAP && op->file != NO_FILE && !f)
		return -EBADF;
	if (f && !(f->flags & GUEST_MEMFD_FLAG_MMAP))
		err = -ENODEV; /* what was there is gone all the same */
	m->mappings++;
	for (struct host_page *h = &m->areas[op->area][first];
	     h < &m->areas[op->area][first + op->n]; h++) {
		uint64_t pgoff = op->offset / PAGE + (uint64_t)(h - &m->areas[op->area][first]);

		if (op->kind == OP_DISCARD)
			h->page = (struct page){ 0 };
		else if (op->kind == OP_UNMAP || err)
			*h = (struct host_page){ .kind = NOBODY };
		else
			*h = (struct host_page){ f ? OF_FILE : ANONYMOUS,
						 f ? (int)(f - m->files) : NONE, pgoff,
						 m->mappings };
	}
	model_release_unheld(m);
	return err;
}

/* A piece of one mapping: what makes two of them one is the system's own matter. */
static bool is_one_mapping(const struct host_page *h, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (h[i].kind == NOBODY || h[i].mapping != h->mapping)
			return false;
	}
	return true;
}

static int64_t move_mapping(struct model *m, const struct op *op)
{
	uint64_t from = op->at / PAGE, to = op->to / PAGE;
	struct host_page *f, *t;

	if (op->area >= NR_AREAS || op->to_area >= NR_AREAS || IN_PAGE(op->at | op->to) || !op->n ||
	    op->n > AREA_PAGES || from > AREA_PAGES - op->n || to > AREA_PAGES - op->n)
		return UNDEFINED;
	f = &m->areas[op->area][from];
	t = &m->areas[op->to_area][to];
	if (!is_one_mapping(f, op->n))
		return UNDEFINED;
	if (op->area == op->to_area && from < to + op->n && to < from + op->n)
		return -EINVAL;
	m->mappings++;
	for (uint64_t i = 0; i < op->n; i++) {
		t[i] = f[i];
		t[i].mapping = m->mappings;
		f[i] = (struct host_page){ .kind = NOBODY };
	}
	model_release_unheld(m);
	return 0;
}

static void touch(struct model *m, const struct op *op, struct answer *a)
{
	int64_t err;
	struct page *p = model_host_page(m, op->area, op->at / PAGE, &err);

	if (op->area >= NR_AREAS || op->at / PAGE >= AREA_PAGES || op->word > 1 || IN_PAGE(op->at))
		err = UNDEFINED;
	if (err == UNDEFINED || !p) {
		a->ret = err == UNDEFINED ? UNDEFINED
			 : err == EACCES  ? ANSWER_SIGBUS
					  : ANSWER_SIGSEGV;
		return;
	}
	if (op->kind == OP_POKE)
		p->word[op->word] = op->value;
	a->value = p->word[op->word];
}

static void digest(struct model *m, const struct op *op, struct answer *a)
{
	uint64_t first = op->at / PAGE;
	int64_t err;

	if (op->area >= NR_AREAS || first >= AREA_PAGES || op->n > AREA_PAGES - first ||
	    IN_PAGE(op->at))
		a->ret = UNDEFINED;
	for (uint64_t i = 0; a->ret != UNDEFINED && i < op->n; i++) {
		a->value = model_digest(a->value, model_host_page(m, op->area, first + i, &err));
		a->ret = err == UNDEFINED ? UNDEFINED : 0;
	}
}

/* vmsplice: a page that the program cannot read cannot go into a pipe. */
static int64_t pin(struct model *m, const struct op *op)
{
	struct host_page *h;
	int64_t err;

	if (op->pin >= NR_PINS || op->area >= NR_AREAS || op->at / PAGE >= AREA_PAGES ||
	    IN_PAGE(op->at))
		return UNDEFINED;
	m->pins[op->pin].used = false;
	if (op->kind == OP_UNPIN)
		return 0;
	h = &m->areas[op->area][op->at / PAGE];
	if (!model_host_page(m, op->area, op->at / PAGE, &err))
		return err == UNDEFINED ? UNDEFINED : -EFAULT;
	m->pins[op->pin].used = h->kind == OF_FILE;
	m->pins[op->pin].file = h->file;
	m->pins[op->pin].pgoff = h->pgoff;
	return 0;
}

uint64_t model_digest(uint64_t digest, const struct page *p)
{
	uint64_t word = p ? p->word[0] * 3 + p->word[1] : 0x4641554c54ull;

	return (digest ^ word) * 0x9e3779b97f4a7c15ull + 1;
}

/* ---- vCPUs --------------------------------------------------------------------------------------- */

static void step_on(struct vcpu *v)
{
	v->gpa += v->fn == FN_OUT ? 0 : PAGE;
	v->value += v->fn == FN_WRITE || v->fn == FN_OUT;
	v->left--;
}

/* A memory fault is forgotten: the access is done again. */
static void stand(struct vcpu *v, const struct access *a, uint64_t gpa, bool write, uint64_t data,
		  struct answer *out)
{
	if (a->is == AN_MMIO)
		v->pending = write ? MMIO_WRITE : MMIO_READ;
	model_say_exit(a, gpa, write, data, out);
}

/* The word at an access of a guest: word 2 is half of the last of a page, half of the first of the next. */
static void do_word(struct vcpu *v, struct page *p, struct page *behind)
{
	bool crosses = IN_PAGE(v->gpa) == WORD_AT(2);
	uint64_t *word = &p->word[IN_PAGE(v->gpa) != 0], *next = &behind->word[0];
	uint64_t old = crosses ? *word >> 32 | *next << 32 : *word;
	uint64_t new = v->fn == FN_ADD ? old + v->value : v->value;

	v->sum += v->fn == FN_READ ? old : 0;
	if (v->fn == FN_READ)
		return;
	*word = crosses ? (uint32_t)*word | new << 32 : new;
	if (crosses)
		*next = *next >> 32 << 32 | new >> 32;
}

/* One word of one page, or of two: nothing is done to one without the other. False: the guest stands, and out says why. */
static bool touch_page(struct model *m, struct vm *vm, struct vcpu *v, struct answer *out)
{
	bool write = v->fn != FN_READ;
	struct access a = model_touch(m, vm, v->gpa / PAGE, write, true), first = a;
	uint64_t gpa = v->gpa;

	if (a.is == A_PAGE && IN_PAGE(gpa) == WORD_AT(2)) {
		gpa += PAGE;
		a = model_touch(m, vm, gpa / PAGE, write, true);
	}
	if (a.is != A_PAGE && first.is == A_PAGE)
		model_log_doubt(m, model_slot_at(vm, gpa / PAGE - 1), gpa / PAGE - 1);
	if (a.is != A_PAGE) {
		stand(v, &a, gpa, v->fn == FN_WRITE, v->value, out);
		return false;
	}
	do_word(v, first.page, a.page);
	return true;
}

/* Until the guest is done, or needs the program. */
static void run_on(struct model *m, struct vm *vm, struct vcpu *v, struct answer *out)
{
	for (; v->left; step_on(v)) {
		if (v->fn == FN_OUT) {
			v->pending = PORT_WRITE;
			*out = (struct answer){
				.exit = KVM_EXIT_IO, .a = PORT, .b = 1, .c = v->value & 0xff
			};
			return;
		}
		if (!touch_page(m, vm, v, out))
			return;
	}
	v->pending = STANDS;
	out->exit = KVM_EXIT_HLT;
}

/* KVM_HC_MAP_GPA_RANGE changes nothing by itself: the program may, or may not. */
static void run_hypercall(struct model *m, struct vcpu *v, struct answer *out)
{
	uint64_t gfn = v->gpa / PAGE;

	if (IN_PAGE(v->gpa) || gfn + v->left <= gfn) {
		v->sum = (uint64_t)-EINVAL;
		v->pending = STANDS;
		out->exit = KVM_EXIT_HLT;
		return;
	}
	v->sum = KVM_HC_MAP_GPA_RANGE;
	v->pending = HYPERCALL;
	*out = (struct answer){
		.exit = KVM_EXIT_HYPERCALL, .a = v->gpa, .b = v->left, .c = v->value
	};
}

static void resume(struct model *m, struct vm *vm, struct vcpu *v, struct answer *out)
{
	int was = v->pending;

	v->pending = NOTHING;
	if (was == MMIO_READ && v->fn == FN_ADD) {
		stand(v, &(struct access){ .is = AN_MMIO }, v->gpa, true, MMIO_VALUE + v->value,
		      out);
		return;
	}
	if (was == MMIO_READ)
		v->sum += MMIO_VALUE;
	if (was == MMIO_READ || was == MMIO_WRITE || was == PORT_WRITE)
		step_on(v);
	if (was == HYPERCALL) {
		v->sum = 0;
		v->pending = STANDS;
		out->exit = KVM_EXIT_HLT;
		return;
	}
	run_on(m, vm, v, out);
}

/* Pages that the model knows all about; and nothing is added to memory that can only be read. */
static bool is_defined(struct model *m, struct vm *vm, const struct vcpu *v)
{
	bool crosses = IN_PAGE(v->gpa) == WORD_AT(2) && v->fn <= FN_ADD;

	for (uint64_t i = 0; v->fn <= FN_ADD && i < v->left + crosses; i++) {
		struct access a = model_access(m, vm, v->gpa / PAGE + i, v->fn != FN_READ);
		const struct slot *s = model_slot_at(vm, v->gpa / PAGE + i);

		/* Half of it a device's: not looked into. */
		if (crosses && m->rules.mmio_lingers && a.is_private && a.is != NOT_DEFINED &&
		    vm->lingers[v->gpa / PAGE + i - GUEST_FIRST])
			return false;
		if (a.is == NOT_DEFINED || (crosses && a.is == AN_MMIO) ||
		    (v->fn == FN_ADD && s && s->flags & KVM_MEM_READONLY))
			return false;
	}
	return true;
}

static void run(struct model *m, const struct op *op, struct answer *out)
{
	struct vm *vm = model_vm(m, op);
	struct vcpu *v = vm && op->vcpu < NR_VCPUS ? &vm->vcpus[op->vcpu] : NULL, next;

	out->ret = v ? 0 : -EBADF;
	if (!v)
		return;
	if (op->kind == OP_RUN) {
		next = (struct vcpu){ .fn = op->fn,
				      .gpa = op->gpa + WORD_AT(op->word),
				      .left = op->n,
				      .value = op->value };
		if (!op->n || op->n >> 16 || op->word > 2 || op->fn >= NR_FNS ||
		    (op->fn < FN_HYPERCALL && IN_PAGE(op->gpa)) ||
		    (op->fn == FN_HYPERCALL && !m->rules.hypercalls))
			next.pending = STANDS;
	} else {
		next = *v;
	}
	if (v->fn == FN_ADD && v->pending == MMIO_READ &&
	    model_access(m, vm, v->gpa / PAGE, false).is != AN_MMIO)
		next.pending =
			STANDS; /* the instruction's second half is completed in any case, and is memory's now */
	if (next.pending == STANDS || !is_defined(m, vm, &next)) {
		out->ret = UNDEFINED;
		return;
	}
	*v = next;
	if (op->kind == OP_RESUME)
		resume(m, vm, v, out);
	else if (op->fn == FN_HYPERCALL)
		run_hypercall(m, v, out);
	else
		run_on(m, vm, v, out);
	out->at = v->gpa | v->left << 48;
	out->value = v->sum;
}

void model_step_around(struct model *m, const struct op *op, struct answer *a)
{
	switch (op->kind) {
	case OP_MAP:
	case OP_UNMAP:
	case OP_DISCARD:
		a->ret = change_mapping(m, op);
		break;
	case OP_MOVE:
		a->ret = move_mapping(m, op);
		break;
	case OP_PEEK:
	case OP_POKE:
		touch(m, op, a);
		break;
	case OP_DIGEST:
		digest(m, op, a);
		break;
	case OP_PIN:
	case OP_UNPIN:
		a->ret = pin(m, op);
		break;
	default:
		run(m, op, a);
		break;
	}
}
