/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "generate.h"

#include <string.h>

/* How often a call is made beside the others; each program makes some of them more often, and some not at all. */
static const unsigned int usual[NR_OPS] = {
	[OP_VM] = 3,	     [OP_END] = 2,     [OP_FILE] = 60,	   [OP_CLOSE] = 30,
	[OP_SLOT] = 300,     [OP_ATTR] = 500,  [OP_CONVERT] = 500, [OP_FALLOC] = 250,
	[OP_MAP] = 100,	     [OP_UNMAP] = 40,  [OP_DISCARD] = 60,  [OP_PEEK] = 400,
	[OP_POKE] = 600,     [OP_DIGEST] = 80, [OP_RUN] = 2600,	   [OP_RESUME] = 600,
	[OP_PREFAULT] = 300, [OP_LOG] = 100,   [OP_CAP] = 10,	   [OP_PIN] = 100,
	[OP_UNPIN] = 100,    [OP_DUP] = 40,    [OP_MOVE] = 60,	   [OP_CLEAR] = 100,
	[OP_ENABLE] = 20,
};

/* ---- random numbers ---------------------------------------------------------------------------- */

static uint64_t next(struct generator *g)
{
	uint64_t z = (g->state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint64_t below(struct generator *g, uint64_t limit)
{
	return next(g) % limit;
}

static bool one_in(struct generator *g, uint64_t n)
{
	return below(g, n) == 0;
}

uint64_t generate_seed(uint64_t seed, uint64_t program)
{
	struct generator g = { .state = seed * 0x9e3779b97f4a7c15 + program };

	return next(&g);
}

static uint64_t strange(struct generator *g)
{
	static const uint64_t values[] = {
		1,
		0xfff,
		0x1001,
		1ull << 31,
		(1ull << 31) - PAGE,
		1ull << 32,
		(1ull << 32) - PAGE,
		1ull << 43,
		1ull << 52,
		1ull << 62,
		1ull << 63,
		(1ull << 63) - PAGE,
		-PAGE,
		-2 * PAGE,
		~0ull,
	};

	return values[below(g, sizeof(values) / sizeof(values[0]))];
}

/* Now and then a value that no sane program has. */
static void spoil(struct generator *g, uint64_t *value)
{
	if (one_in(g, 60))
		*value = one_in(g, 3) ? *value + strange(g) : strange(g);
}

/* A few mostly, now and then up to the most. */
static uint64_t some(struct generator *g, uint64_t most)
{
	uint64_t few = one_in(g, 3) ? 16 : 4;

	if (one_in(g, 24))
		few = one_in(g, 4) ? most : 600;
	return 1 + below(g, few < most ? few : most);
}

/* ---- places ------------------------------------------------------------------------------------ */

/* A guest page: in a slot, at an edge of one, at one of a large page, anywhere. */
static uint64_t guest_page(struct generator *g, struct vm *vm)
{
	const struct slot *s = &vm->slots[below(g, NR_SLOTS)];
	uint64_t first = GUEST_BASE / PAGE, gfn = first + below(g, GUEST_PAGES);

	for (unsigned int i = 0; i < NR_SLOTS && !s->used; i++)
		s = &vm->slots[(s - vm->slots + 1) % NR_SLOTS];
	if (s->used && !one_in(g, 6))
		gfn = s->gfn + (one_in(g, 3)   ? below(g, s->nr)
				: one_in(g, 4) ? s->nr - 2 + below(g, 4)
					       : below(g, 6));
	else if (one_in(g, 3))
		gfn = first + 512 * below(g, 3) + below(g, 4) - 2;
	return gfn < first || gfn >= first + GUEST_PAGES ? first + below(g, 32) : gfn;
}

/* How many pages from there on: not beyond the slot mostly. */
static uint64_t some_guest_pages(struct generator *g, struct vm *vm, uint64_t gfn)
{
	const struct slot *s = one_in(g, 4) ? NULL : model_slot_at(vm, gfn);
	uint64_t room = GUEST_BASE / PAGE + GUEST_PAGES - gfn;

	if (s && s->gfn + s->nr - gfn < room)
		room = s->gfn + s->nr - gfn;
	return some(g, room);
}

static uint64_t guest_room(uint64_t gfn)
{
	return GUEST_BASE / PAGE + GUEST_PAGES - gfn;
}

static unsigned int nr_slots(const struct vm *vm)
{
	unsigned int nr = 0;

	for (const struct slot *s = vm->slots; s < vm->slots + NR_SLOTS; s++)
		nr += s->used && vm->used;
	return nr;
}

static struct vm *pick_vm(struct generator *g, struct model *m, struct op *op)
{
	op->vm = below(g, NR_VMS);
	for (unsigned int i = 0; i < 2 && !nr_slots(&m->vms[op->vm]); i++)
		op->vm = below(g, NR_VMS);
	return &m->vms[op->vm];
}

static struct object *pick_file(struct generator *g, struct model *m, struct op *op)
{
	op->file = below(g, NR_FILES);
	for (unsigned int i = 0; i < 3 && m->numbers[op->file] == NONE; i++)
		op->file = below(g, NR_FILES);
	return m->numbers[op->file] == NONE ? NULL : &m->files[m->numbers[op->file]];
}

static uint64_t file_pages(const struct object *f)
{
	uint64_t nr = f ? f->size / PAGE : 1;

	return nr < FILE_PAGES ? nr : FILE_PAGES;
}

/* A range of a file, [offset, offset + size). */
static void pick_range(struct generator *g, const struct object *f, struct op *op)
{
	uint64_t nr = file_pages(f), at = below(g, nr < 8 || one_in(g, 2) ? nr : 8);
	uint64_t size = some(g, nr - at + (one_in(g, 30) ? 3 : 0));

	op->offset = at * PAGE;
	op->size = (one_in(g, 12) ? nr - at : size) * PAGE;
}

/* A page of an area that is mapped, if there is one. */
static void pick_touched(struct generator *g, struct model *m, struct op *op)
{
	for (unsigned int i = 0; i < 5; i++) {
		op->area = below(g, NR_AREAS);
		op->at = below(g, one_in(g, 3) ? AREA_PAGES : 24) * PAGE;
		if (m->areas[op->area][op->at / PAGE].kind != NOBODY)
			return;
	}
}

static uint64_t area_room(const struct op *op)
{
	return AREA_PAGES - op->at / PAGE;
}

/* ---- calls ------------------------------------------------------------------------------------- */

static void make_file(struct generator *g, struct model *m, struct op *op)
{
	static const uint64_t sizes[] = { 1, 2, 4, 16, 64, 512, 1024, 1024 };
	struct vm *vm = pick_vm(g, m, op);

	op->file = below(g, NR_FILES);
	op->size = sizes[below(g, 8)] * PAGE;
	op->flags = below(g, 4);
	if (vm->has_private && !vm->in_place)
		op->flags &= GUEST_MEMFD_FLAG_MMAP;
	if (vm->in_place && !one_in(g, 3))
		op->flags |= GUEST_MEMFD_FLAG_MMAP;
	if (one_in(g, 20))
		op->size = 1ull << (12 + below(g, 52));
	if (one_in(g, 20))
		op->flags ^= 1ull << below(g, 64);
	spoil(g, &op->size);
}

/* Memory of the program behind a slot: often a mapping of the file that is bound. */
static void pick_behind(struct generator *g, struct model *m, struct op *op)
{
	op->area = below(g, NR_AREAS);
	op->at = below(g, 16) * PAGE;
	if (one_in(g, 3))
		op->at = (op->gpa & ((2ull << 20) - 1)) % (AREA_PAGES * PAGE); /* large pages fit */
	if (op->flags & KVM_MEM_GUEST_MEMFD && one_in(g, 2))
		op->at = op->offset % (AREA_PAGES * PAGE);
	if (one_in(g, 40)) {
		op->area = AREA_RAW;
		op->at = one_in(g, 2) ? 0 : 0x7ffffffff000ull - below(g, 4) * PAGE;
	}
}

static void make_slot(struct generator *g, struct model *m, struct vm *vm, struct op *op)
{
	bool edge = one_in(g, 3);
	uint64_t gfn = GUEST_BASE / PAGE + (edge ? 512 * below(g, 3) : below(g, GUEST_PAGES));
	struct object *f = NULL;
	uint64_t nr = some(g, guest_room(gfn));

	if (edge && one_in(g, 2))
		nr = 512 * (1 + below(g, 2));
	else if (one_in(g, 2))
		nr = 8 + below(g, 120);
	op->gpa = gfn * PAGE;
	op->size = nr * PAGE;
	if (!one_in(g, 3))
		op->flags = KVM_MEM_GUEST_MEMFD;
	else if (one_in(g, 2))
		op->flags = below(g, 4);
	if (op->flags & KVM_MEM_GUEST_MEMFD) {
		for (unsigned int i = 0; i < 6 && (!f || f->vm != vm->serial); i++)
			f = pick_file(g, m, op);
		nr = nr < file_pages(f) ? nr : file_pages(f);
		op->size = nr * PAGE;
		op->offset = (one_in(g, 2) ? 0 : below(g, file_pages(f) - nr + 1)) * PAGE;
		if (one_in(g, 40))
			op->file = one_in(g, 2) ? NO_FILE : BAD_FILE;
	}
	pick_behind(g, m, op);
}

static void change_slot(struct generator *g, const struct slot *s, struct op *op)
{
	op->flags = s->flags;
	op->gpa = s->gfn * PAGE;
	op->size = s->nr * PAGE;
	op->area = s->area;
	op->at = s->at;
	if (s->flags & KVM_MEM_GUEST_MEMFD ? !one_in(g, 10) : one_in(g, 2)) {
		op->size = 0;
		return;
	}
	if (one_in(g, 2))
		op->gpa = (GUEST_BASE / PAGE + below(g, GUEST_PAGES)) * PAGE;
	if (one_in(g, 2))
		op->flags ^= one_in(g, 6) ? 1u << below(g, 3) : KVM_MEM_LOG_DIRTY_PAGES;
	if (one_in(g, 10))
		op->size += PAGE;
}

static void make_region(struct generator *g, struct model *m, struct op *op)
{
	static const uint32_t ids[] = { 1, 2, 3, 4, 5, 32763, 0x10001, 0x10007 };
	struct vm *vm = pick_vm(g, m, op);
	const struct slot *there = NULL;

	op->id = ids[below(g, one_in(g, 8) ? 8 : 6)];
	for (struct slot *s = vm->slots; s < vm->slots + NR_SLOTS; s++) {
		if (s->used && s->id == op->id)
			there = s;
	}
	if (there && one_in(g, 2))
		change_slot(g, there, op);
	else
		make_slot(g, m, vm, op);
	op->n = !(op->flags & KVM_MEM_GUEST_MEMFD) && one_in(g, 3);
	spoil(g, &op->id);
	spoil(g, &op->gpa);
	spoil(g, &op->offset);
	if (one_in(g, 40))
		op->size = strange(g);
	if (one_in(g, 40))
		op->flags |= 1u << below(g, 32);
	if (one_in(g, 60))
		op->at += 1 + below(g, PAGE);
	op->flags = (uint32_t)op->flags;
	op->id = (uint32_t)op->id;
}

static void make_attributes(struct generator *g, struct model *m, struct op *op)
{
	struct vm *vm = pick_vm(g, m, op);
	uint64_t gfn = guest_page(g, vm);

	op->gpa = gfn * PAGE;
	op->size = some(g, guest_room(gfn)) * PAGE;
	if (one_in(g, 20)) {
		op->gpa &= ~((2ull << 20) - 1);
		op->size = 2ull << 20;
	}
	if (vm->has_private || one_in(g, 10))
		op->attributes = below(g, 5) < 2 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	if (one_in(g, 60))
		op->attributes = 1ull << below(g, 64);
	op->flags = one_in(g, 60);
	spoil(g, &op->gpa);
	spoil(g, &op->size);
}

static void make_conversion(struct generator *g, struct model *m, struct op *op)
{
	const struct object *f = pick_file(g, m, op);

	if (f && !f->protected_vm)
		f = pick_file(g, m, op);
	pick_range(g, f, op);
	op->attributes = below(g, 2) ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	if (one_in(g, 60))
		op->attributes = 1ull << below(g, 64);
	op->flags = one_in(g, 60);
	op->n = one_in(g, 60);
	spoil(g, &op->offset);
	spoil(g, &op->size);
}

static void make_fallocate(struct generator *g, struct model *m, struct op *op)
{
	pick_range(g, pick_file(g, m, op), op);
	op->mode = below(g, 3) ? 3 : 1;
	if (one_in(g, 40))
		op->mode = below(g, 0x80);
	spoil(g, &op->offset);
	spoil(g, &op->size);
}

static void make_mapping(struct generator *g, struct model *m, struct op *op)
{
	const struct object *f = pick_file(g, m, op);

	op->area = below(g, NR_AREAS);
	op->at = (one_in(g, 2) ? 0 : below(g, 64)) * PAGE;
	if (one_in(g, 3) || (!one_in(g, 20) && (!f || !(f->flags & GUEST_MEMFD_FLAG_MMAP))))
		op->file = NO_FILE;
	else
		op->offset = (one_in(g, 2) ? 0 : below(g, file_pages(f))) * PAGE;
	op->n = one_in(g, 3) ? 64 : one_in(g, 2) ? AREA_PAGES : some(g, area_room(op));
	op->n = op->n < area_room(op) ? op->n : area_room(op);
}

static void make_run(struct generator *g, struct model *m, struct op *op)
{
	struct vm *vm = pick_vm(g, m, op);
	uint64_t gfn = guest_page(g, vm);

	op->vcpu = below(g, NR_VCPUS);
	op->fn = one_in(g, 20) ? FN_HYPERCALL + below(g, 2) : below(g, 3);
	op->gpa = gfn * PAGE;
	op->word = one_in(g, 3) ? 1 + below(g, 2) : 0;
	op->n = some_guest_pages(g, vm, gfn);
	op->value = next(g) >> (one_in(g, 2) ? 56 : 0);
	for (struct slot *s = vm->slots; op->fn == FN_ADD && s < vm->slots + NR_SLOTS; s++) {
		if (s->used && s->flags & KVM_MEM_READONLY)
			op->fn = FN_WRITE;
	}
	if (op->fn == FN_HYPERCALL) {
		op->word = 0;
		op->n = below(g, 8);
		op->gpa += one_in(g, 10);
	} else if (op->fn == FN_OUT) {
		op->n = 1 + below(g, 3);
		op->word = 0;
	}
	if (op->fn == FN_HYPERCALL && !m->rules.hypercalls)
		op->fn = FN_READ;
}

static void make_prefault(struct generator *g, struct model *m, struct op *op)
{
	struct vm *vm = pick_vm(g, m, op);
	uint64_t gfn = guest_page(g, vm);

	op->vcpu = below(g, NR_VCPUS);
	op->gpa = gfn * PAGE;
	op->size = some_guest_pages(g, vm, gfn) * PAGE;
	op->flags = one_in(g, 60);
	if (one_in(g, 60))
		op->gpa += strange(g);
	if (one_in(g, 60))
		op->size = one_in(g, 2) ? 0 : -PAGE;
}

static void make_touch(struct generator *g, struct model *m, struct op *op)
{
	pick_touched(g, m, op);
	op->word = one_in(g, 3);
	op->value = next(g) >> (one_in(g, 2) ? 56 : 0);
	if (op->kind == OP_DIGEST || op->kind == OP_DISCARD || op->kind == OP_UNMAP)
		op->n = some(g, area_room(op));
	if (op->kind == OP_PIN || op->kind == OP_UNPIN)
		op->pin = below(g, NR_PINS);
	if (op->kind == OP_PIN)
		op->n = 1;
}

/* A slot, mostly one with a log. */
static const struct slot *pick_logged(struct generator *g, struct model *m, struct op *op)
{
	const struct vm *vm = pick_vm(g, m, op);
	const struct slot *s = &vm->slots[below(g, NR_SLOTS)];
	unsigned int tries = one_in(g, 6) ? 0 : NR_SLOTS;

	while (tries-- && !(s->used && s->flags & KVM_MEM_LOG_DIRTY_PAGES))
		s = &vm->slots[(s - vm->slots + 1) % NR_SLOTS];
	return s;
}

static void make_log(struct generator *g, struct model *m, struct op *op)
{
	const struct slot *s = pick_logged(g, m, op);

	op->id = s->used ? s->id : 1 + below(g, 5);
	spoil(g, &op->id);
	op->id = (uint32_t)op->id;
}

/* Half of the bits mostly; the end of the slot now and then, in which only some of the last word count. */
static void make_clear(struct generator *g, struct model *m, struct op *op)
{
	const struct slot *s = pick_logged(g, m, op);
	uint64_t nr = s->used && s->nr <= GUEST_PAGES ? s->nr : 64;
	op->id = s->used ? s->id : 1 + below(g, 5);
	op->offset = one_in(g, 2) ? 0 : below(g, nr / 64 + 1) * 64;
	op->n = one_in(g, 2) ? nr - op->offset : below(g, nr / 64 + 1) * 64;
	op->value = one_in(g, 4) ? ~0ull : next(g);
	if (one_in(g, 20))
		op->n += 1 + below(g, 64);
	if (one_in(g, 20))
		op->offset += 1 + below(g, 130);
	spoil(g, &op->id);
	spoil(g, &op->offset);
	op->id = (uint32_t)op->id;
	op->n = (uint32_t)op->n;
}

static void make_enable(struct generator *g, struct model *m, struct op *op)
{
	bool in_place = m->rules.cap_in_place && one_in(g, 4);

	pick_vm(g, m, op);
	op->n = in_place ? m->rules.cap_in_place : KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
	op->value = in_place && !one_in(g, 4) ? 1 : below(g, 4);
	if (one_in(g, 20))
		op->value = strange(g);
	op->flags = one_in(g, 20);
}

static void make_vm(struct generator *g, struct model *m, struct op *op)
{
	op->type = one_in(g, 10) ? below(g, 40) : below(g, 2);
	if (m->rules.asked && !one_in(g, 3))
		op->n = one_in(g, 10) ? 2 : 1;
	else if (one_in(g, 20))
		op->n = 1;
}

static void make_copy(struct generator *g, struct model *m, struct op *op)
{
	pick_file(g, m, op);
	op->n = op->file;
	op->file = below(g, NR_FILES);
	if (one_in(g, 20))
		op->n = BAD_FILE;
}

/* As much as is one mapping, mostly. */
static void make_move(struct generator *g, struct model *m, struct op *op)
{
	const struct host_page *h;
	uint64_t most = 1;

	pick_touched(g, m, op);
	h = &m->areas[op->area][op->at / PAGE];
	while (most < area_room(op) && h[most].mapping == h->mapping)
		most++;
	op->n = one_in(g, 4) ? most : some(g, most);
	op->to_area = below(g, NR_AREAS);
	op->to = below(g, one_in(g, 2) ? AREA_PAGES - op->n + 1 : 1 + (AREA_PAGES - op->n) % 32) *
		 PAGE;
}

static void make_cap(struct generator *g, struct model *m, struct op *op)
{
	static const uint32_t caps[] = {
		KVM_CAP_MEMORY_ATTRIBUTES, KVM_CAP_GUEST_MEMFD, KVM_CAP_GUEST_MEMFD_FLAGS,
		KVM_CAP_VM_TYPES,	   KVM_CAP_NR_MEMSLOTS, KVM_CAP_MULTI_ADDRESS_SPACE,
	};

	pick_vm(g, m, op);
	op->n = m->rules.cap_in_place && one_in(g, 3) ? m->rules.cap_in_place : caps[below(g, 6)];
}

/* ---- programs ---------------------------------------------------------------------------------- */

void generate_begin(struct generator *g, const struct rules *r, uint64_t seed)
{
	*g = (struct generator){ .state = seed };
	for (unsigned int i = 0; i < NR_OPS; i++) {
		static const unsigned int times[] = { 0, 1, 1, 1, 4, 4 };

		g->weights[i] = usual[i] * times[below(g, 6)];
		if (usual[i] >= 300 && !g->weights[i])
			g->weights[i] = usual[i] / 8;
		/* Where it only fails, now and then is enough. */
		if (!r->asked && i == (r->in_place ? OP_ATTR : OP_CONVERT))
			g->weights[i] = g->weights[i] / 20 + 1;
		g->sum += g->weights[i];
	}
}

/* Each program begins with something to work on. */
static bool make_beginning(struct generator *g, struct model *m, struct op *op)
{
	if (g->nr < NR_VMS) {
		op->kind = OP_VM;
		op->vm = g->nr;
		op->type = g->nr ? below(g, 2) : m->rules.vm_types >> 1 & 1;
		op->n = m->rules.asked && below(g, 2);
		return true;
	}
	if (g->nr < 4) {
		op->kind = OP_FILE;
		make_file(g, m, op);
		op->vm = 0;
		op->file = g->nr - 2;
		return true;
	}
	if (g->nr < 6) {
		op->kind = OP_MAP;
		op->area = g->nr - 4;
		op->file = g->nr == 4 ? NO_FILE : 0;
		op->n = AREA_PAGES;
		return true;
	}
	return false;
}

/* What there is not enough of comes first. */
static enum op_kind pick_kind(struct generator *g, const struct model *m)
{
	uint64_t at = below(g, g->sum);
	unsigned int i = 0, vm = (unsigned int)below(g, NR_VMS);

	if (!m->vms[vm].used && one_in(g, 20))
		return OP_VM;
	if (nr_slots(&m->vms[vm]) < 3 && one_in(g, 6))
		return OP_SLOT;

	while (at >= g->weights[i])
		at -= g->weights[i++];
	return (enum op_kind)i;
}

static void make(struct generator *g, struct model *m, struct op *op)
{
	switch (op->kind) {
	case OP_VM:
		op->vm = below(g, NR_VMS);
		make_vm(g, m, op);
		break;
	case OP_DUP:
		make_copy(g, m, op);
		break;
	case OP_MOVE:
		make_move(g, m, op);
		break;
	case OP_CLEAR:
		make_clear(g, m, op);
		break;
	case OP_ENABLE:
		make_enable(g, m, op);
		break;
	case OP_FILE:
		make_file(g, m, op);
		break;
	case OP_CLOSE:
		pick_file(g, m, op);
		break;
	case OP_SLOT:
		make_region(g, m, op);
		break;
	case OP_ATTR:
		make_attributes(g, m, op);
		break;
	case OP_CONVERT:
		make_conversion(g, m, op);
		break;
	case OP_FALLOC:
		make_fallocate(g, m, op);
		break;
	case OP_MAP:
		make_mapping(g, m, op);
		break;
	case OP_RUN:
		make_run(g, m, op);
		break;
	case OP_PREFAULT:
		make_prefault(g, m, op);
		break;
	case OP_LOG:
		make_log(g, m, op);
		break;
	case OP_CAP:
		make_cap(g, m, op);
		break;
	case OP_END:
		pick_vm(g, m, op);
		break;
	case OP_RESUME:
		pick_vm(g, m, op);
		op->vcpu = below(g, NR_VCPUS);
		break;
	default:
		make_touch(g, m, op);
		break;
	}
}

void generate(struct generator *g, struct model *m, struct op *op)
{
	*op = (struct op){ 0 };
	if (!make_beginning(g, m, op)) {
		op->kind = pick_kind(g, m);
		make(g, m, op);
	}
	g->nr++;
}
