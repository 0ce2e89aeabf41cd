/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE
#define USER_END 0x7ffffffff000ull
#define USER_SLOTS 32764
#define IN_PAGE(x) ((x) & (PAGE - 1))
#define GUEST_FIRST (GUEST_BASE / PAGE)
#define UNDEFINED ANSWER_UNDEFINED

/* ---- rules ------------------------------------------------------------------------------------- */

#define BOTH_FLAGS (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define OF_ALL                                                                                \
	.vm_types = 3, .attributes = true, .prefault = true, .hypercalls = true, .spaces = 2, \
	.pins_outlive_punch = true
#define LINUX_7_2(flags_private)                                                       \
	OF_ALL, .gmem_any_vm = true, .gmem_flags = BOTH_FLAGS, .cap_gmem_flags = true, \
		.gmem_flags_private = (flags_private), .bind_overlap = -EEXIST
#define LINUX_6_18(since) \
	OF_ALL, .gmem_any_vm = (since), .cap_gmem_flags = (since), .bind_overlap = -EINVAL

static const struct rules all_rules[] = {
	{ .name = "linux-7.2", LINUX_7_2(GUEST_MEMFD_FLAG_MMAP) },
	{ .name = "linux-6.18",
	  LINUX_6_18(true),
	  .gmem_flags = BOTH_FLAGS,
	  .gmem_flags_private = GUEST_MEMFD_FLAG_MMAP },
	{ .name = "linux-6.12", LINUX_6_18(false) },
	{ .name = "in-place",
	  LINUX_7_2(BOTH_FLAGS),
	  .in_place = true,
	  .cap_in_place = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES },
	{ .name = "in-place-v7",
	  LINUX_7_2(BOTH_FLAGS),
	  .in_place = true,
	  .v7 = true,
	  .cap_in_place = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES_V7 },
};

const struct rules *rules_find(const char *name)
{
	for (size_t i = 0; i < sizeof(all_rules) / sizeof(all_rules[0]); i++) {
		if (!strcmp(all_rules[i].name, name))
			return &all_rules[i];
	}
	return NULL;
}

/* ---- the state --------------------------------------------------------------------------------- */

void model_init(struct model *m, const struct rules *rules)
{
	memset(m, 0, sizeof(*m));
	m->rules = *rules;
	for (int i = 0; i < NR_FILES; i++)
		m->numbers[i] = NONE;
}

static struct vm *vm_of(struct model *m, const struct op *op)
{
	return op->vm < NR_VMS && m->vms[op->vm].used ? &m->vms[op->vm] : NULL;
}

static struct object *file_of(struct model *m, uint64_t number)
{
	return number < NR_FILES && m->numbers[number] != NONE ? &m->files[m->numbers[number]]
							       : NULL;
}

struct slot *model_slot_at(struct vm *vm, uint64_t gfn)
{
	for (int i = 0; i < NR_SLOTS; i++) {
		struct slot *s = &vm->slots[i];

		if (s->used && s->id >> 16 == 0 && gfn - s->gfn < s->nr)
			return s;
	}
	return NULL;
}

uint64_t model_digest(uint64_t digest, const struct page *p)
{
	uint64_t word = p ? p->word[0] * 3 + p->word[1] : 0x4641554c54ull;

	return (digest ^ word) * 0x9e3779b97f4a7c15ull + 1;
}

/* ---- pages of files and of the program ----------------------------------------------------------- */

/* NULL and an errno in *err: EFAULT for nothing there, EACCES for what is private to the guest or behind the end. */
static struct page *host_page(struct model *m, uint64_t area, uint64_t index, int64_t *err)
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

/* The last descriptor and the last mapping are gone: the memory goes, the slots stay with nothing behind them. */
static void release_unheld(struct model *m)
{
	bool held[NR_OBJECTS] = { 0 };

	for (int i = 0; i < NR_AREAS * AREA_PAGES; i++) {
		if (m->areas[i / AREA_PAGES][i % AREA_PAGES].kind == OF_FILE)
			held[m->areas[i / AREA_PAGES][i % AREA_PAGES].file] = true;
	}
	for (int f = 0; f < NR_OBJECTS; f++) {
		if (!m->files[f].used || m->files[f].open || held[f])
			continue;
		memset(&m->files[f], 0, sizeof(m->files[f]));
		for (int i = 0; i < NR_VMS * NR_SLOTS; i++) {
			struct slot *s = &m->vms[i / NR_SLOTS].slots[i % NR_SLOTS];

			if (s->file == f)
				s->file = NONE;
		}
		for (int i = 0; i < NR_PINS; i++)
			m->pins[i].used &= m->pins[i].file != f;
	}
}

static int64_t close_file(struct model *m, uint64_t number)
{
	struct object *f = file_of(m, number);

	if (!f)
		return -EBADF;
	f->open = false;
	m->numbers[number] = NONE;
	release_unheld(m);
	return 0;
}

static int64_t create_file(struct model *m, const struct op *op)
{
	struct vm *vm = vm_of(m, op);
	struct object *f = m->files;

	while (f < m->files + NR_OBJECTS && f->used)
		f++;
	if (op->file >= NR_FILES || f == m->files + NR_OBJECTS)
		return UNDEFINED;
	close_file(m, op->file);
	if (!vm)
		return -EBADF;
	if (op->flags & ~(vm->has_private ? m->rules.gmem_flags_private : m->rules.gmem_flags))
		return -EINVAL;
	if ((int64_t)op->size <= 0 || IN_PAGE(op->size))
		return -EINVAL;
	*f = (struct object){ .used = true,
			      .open = true,
			      .vm = vm->serial,
			      .size = op->size,
			      .flags = op->flags,
			      .protected_vm = vm->has_private };
	memset(f->is_private, !(op->flags & GUEST_MEMFD_FLAG_INIT_SHARED), sizeof(f->is_private));
	m->numbers[op->file] = (int)(f - m->files);
	return 0;
}

static int64_t fallocate_file(struct model *m, const struct op *op)
{
	const uint64_t punch = FALLOC_FL_PUNCH_HOLE, keep = FALLOC_FL_KEEP_SIZE;
	struct object *f = file_of(m, op->file);

	if (!f)
		return -EBADF;
	if ((int64_t)op->offset < 0 || (int64_t)op->size <= 0)
		return -EINVAL;
	if (op->mode & ~0x7bull || ((op->mode & punch) && !(op->mode & keep)))
		return -EOPNOTSUPP;
	if (op->offset + op->size > INT64_MAX)
		return op->mode & ~(punch | keep) ? UNDEFINED : -EFBIG;
	if (!(op->mode & keep) || op->mode & ~(punch | keep))
		return -EOPNOTSUPP;
	if (IN_PAGE(op->offset | op->size))
		return -EINVAL;
	if (!(op->mode & punch)) {
		if (op->offset + op->size > f->size)
			return -EINVAL;
		/* What is there stays, what is not is zero already. */
		return op->offset + op->size > FILE_PAGES * PAGE ? UNDEFINED : 0;
	}
	for (uint64_t p = op->offset / PAGE; p < (op->offset + op->size) / PAGE && p < FILE_PAGES;
	     p++) {
		f->pages[p] = (struct page){ 0 };
		for (int i = 0; i < NR_PINS && !m->rules.pins_outlive_punch; i++)
			m->pins[i].used &= &m->files[m->pins[i].file] != f || m->pins[i].pgoff != p;
	}
	return 0;
}

/* ---- the program's own memory -------------------------------------------------------------------- */

static int64_t change_mapping(struct model *m, const struct op *op)
{
	struct object *f = op->kind == OP_MAP ? file_of(m, op->file) : NULL;
	uint64_t first = op->at / PAGE;

	if (op->area >= NR_AREAS || first >= AREA_PAGES || !op->n || op->n > AREA_PAGES - first ||
	    IN_PAGE(op->at | op->offset) || op->offset >> 62)
		return UNDEFINED;
	if (op->kind == OP_MAP && op->file != NO_FILE) {
		if (!f)
			return -EBADF;
		if (!(f->flags & GUEST_MEMFD_FLAG_MMAP))
			return -ENODEV;
	}
	for (uint64_t i = 0; i < op->n; i++) {
		struct host_page *h = &m->areas[op->area][first + i];

		if (op->kind == OP_DISCARD) {
			h->page = (struct page){ 0 };
			continue;
		}
		*h = (struct host_page){ .kind = op->kind == OP_UNMAP ? NOBODY
						 : f		      ? OF_FILE
								      : ANONYMOUS,
					 .file = f ? (int)(f - m->files) : NONE,
					 .pgoff = op->offset / PAGE + i };
	}
	release_unheld(m);
	return 0;
}

static void touch(struct model *m, const struct op *op, struct answer *a)
{
	int64_t err;
	struct page *p = host_page(m, op->area, op->at / PAGE, &err);

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
		a->value = model_digest(a->value, host_page(m, op->area, first + i, &err));
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
	if (!host_page(m, op->area, op->at / PAGE, &err))
		return err == UNDEFINED ? UNDEFINED : -EFAULT;
	m->pins[op->pin].used = h->kind == OF_FILE;
	m->pins[op->pin].file = h->file;
	m->pins[op->pin].pgoff = h->pgoff;
	return 0;
}

/* ---- slots --------------------------------------------------------------------------------------- */

static int64_t check_region(const struct model *m, const struct vm *vm, const struct op *op)
{
	uint64_t log = KVM_MEM_LOG_DIRTY_PAGES, read_only = KVM_MEM_READONLY,
		 gmem = KVM_MEM_GUEST_MEMFD;
	uint64_t legal = log | read_only | (vm->has_private || m->rules.gmem_any_vm ? gmem : 0);
	uint64_t hva_end = op->at + op->size;

	if (op->n && op->flags & ~(log | read_only))
		return -EINVAL;
	if ((op->id & 0xffff) >= USER_SLOTS)
		return -EINVAL;
	if (op->flags & ~(op->flags & legal & gmem ? gmem : legal))
		return -EINVAL;
	if (IN_PAGE(op->size) || IN_PAGE(op->gpa) || IN_PAGE(op->at))
		return -EINVAL;
	if (op->area == AREA_RAW && (hva_end < op->at || hva_end > USER_END))
		return -EINVAL;
	if (op->flags & gmem && (IN_PAGE(op->offset) || op->offset + op->size < op->offset))
		return -EINVAL;
	if (op->id >> 16 >= (vm->has_private ? 1 : m->rules.spaces))
		return -EINVAL;
	if (op->gpa + op->size < op->gpa || op->size / PAGE > (1ull << 31) - 1)
		return -EINVAL;
	return 0;
}

static bool slot_overlaps(struct vm *vm, const struct op *op)
{
	uint64_t first = op->gpa / PAGE, nr = op->size / PAGE;
	bool meets = op->id >> 16 == 0 && first < RAM_SIZE / PAGE; /* slot 0 */

	for (struct slot *s = vm->slots; s < vm->slots + NR_SLOTS; s++) {
		if (s->used && s->id != op->id && s->id >> 16 == op->id >> 16)
			meets |= first < s->gfn + s->nr && s->gfn < first + nr;
	}
	return meets;
}

static int64_t find_binding(struct model *m, struct vm *vm, const struct op *op)
{
	struct object *f = file_of(m, op->file);
	uint64_t end = op->offset + op->size;

	if (!f)
		return op->file == NO_FILE ? -EINVAL : -EBADF;
	if (f->vm != vm->serial)
		return -EINVAL;
	if (m->rules.offset_signed ? (int64_t)end > (int64_t)f->size : end > f->size)
		return -EINVAL;
	for (struct slot *s = vm->slots; s < vm->slots + NR_SLOTS; s++) {
		if (s->used && s->file == f - m->files && op->offset < s->offset + s->nr * PAGE &&
		    s->offset < end)
			return m->rules.bind_overlap;
	}
	return 0;
}

/* As far as anybody asks: all addresses from 2^52 on are too high, none below 2^36 is. */
static int64_t check_height(const struct op *op)
{
	if (op->gpa + op->size > 1ull << 52)
		return -EINVAL;
	return op->gpa + op->size > 1ull << 36 || op->size > 1ull << 32 ? UNDEFINED : 0;
}

static int64_t create_slot(struct model *m, struct vm *vm, struct slot *s, const struct op *op)
{
	bool gmem = op->flags & KVM_MEM_GUEST_MEMFD;
	int64_t err = slot_overlaps(vm, op) ? -EEXIST : gmem ? find_binding(m, vm, op) : 0;

	if (!err)
		err = check_height(op);
	if (err)
		return err;
	if (s == vm->slots + NR_SLOTS)
		return UNDEFINED;
	*s = (struct slot){ .used = true,
			    .id = op->id,
			    .flags = op->flags,
			    .gfn = op->gpa / PAGE,
			    .nr = op->size / PAGE,
			    .area = op->area,
			    .at = op->at,
			    .file = NONE };
	if (gmem) {
		s->file = m->numbers[op->file];
		s->offset = op->offset;
		s->gmem_only = m->files[s->file].flags & GUEST_MEMFD_FLAG_MMAP;
	}
	return 0;
}

static int64_t modify_slot(struct vm *vm, struct slot *s, const struct op *op)
{
	uint64_t fixed = KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD;
	int64_t err;

	if (op->flags & KVM_MEM_GUEST_MEMFD || op->area != s->area || op->at != s->at ||
	    op->size / PAGE != s->nr || (op->flags ^ s->flags) & fixed)
		return -EINVAL;
	if (op->gpa / PAGE != s->gfn) {
		err = slot_overlaps(vm, op) ? -EEXIST : check_height(op);
		if (err)
			return err;
	}
	s->gfn = op->gpa / PAGE;
	s->flags = op->flags;
	if (!(s->flags & KVM_MEM_LOG_DIRTY_PAGES))
		memset(s->dirty, 0, sizeof(s->dirty));
	return 0;
}

static int64_t set_region(struct model *m, const struct op *op)
{
	struct vm *vm = vm_of(m, op);
	struct slot *s, *empty;
	int64_t err;

	if (!vm)
		return -EBADF;
	if (!op->id || op->area > AREA_RAW || (op->area < AREA_RAW && op->at >> 32) ||
	    op->size >> 48)
		return UNDEFINED;
	err = check_region(m, vm, op);
	if (err)
		return err;
	for (s = vm->slots; s < vm->slots + NR_SLOTS && (!s->used || s->id != op->id); s++)
		;
	if (s < vm->slots + NR_SLOTS) {
		s->used = op->size;
		return op->size ? modify_slot(vm, s, op) : 0;
	}
	for (empty = vm->slots; empty < vm->slots + NR_SLOTS && empty->used; empty++)
		;
	return op->size ? create_slot(m, vm, empty, op) : -EINVAL;
}

static void dirty_log(struct model *m, const struct op *op, struct answer *a)
{
	struct vm *vm = vm_of(m, op);
	struct slot *s;

	a->ret = vm ? -ENOENT : -EBADF;
	if (!vm)
		return;
	if (!op->id)
		a->ret = UNDEFINED;
	if (op->id >> 16 >= (vm->has_private ? 1 : m->rules.spaces) ||
	    (op->id & 0xffff) >= USER_SLOTS)
		a->ret = -EINVAL;
	for (s = vm->slots; a->ret == -ENOENT && s < vm->slots + NR_SLOTS; s++) {
		if (!s->used || s->id != op->id || !(s->flags & KVM_MEM_LOG_DIRTY_PAGES))
			continue;
		a->ret = s->nr > GUEST_PAGES ? UNDEFINED : 0;
		for (uint64_t i = 0; !a->ret && i < s->nr; i++)
			a->value += s->dirty[i] * (i * i + 1);
		memset(s->dirty, 0, sizeof(s->dirty));
	}
}

/* ---- private and shared -------------------------------------------------------------------------- */

static int64_t set_attributes(struct model *m, const struct op *op)
{
	struct vm *vm = vm_of(m, op);
	uint64_t first = op->gpa / PAGE, end = (op->gpa + op->size) / PAGE;

	if (!vm)
		return -EBADF;
	if (!m->rules.attributes || (m->rules.in_place && m->rules.v7))
		return -ENOTTY;
	if (op->flags || op->attributes & ~(vm->has_private && !m->rules.in_place ? PRIVATE : 0))
		return -EINVAL;
	if (!op->size || op->gpa + op->size < op->gpa || IN_PAGE(op->gpa | op->size))
		return -EINVAL;
	if (op->attributes && op->gpa < RAM_SIZE)
		return UNDEFINED; /* the guest's own code */
	for (uint64_t i = 0; i < GUEST_PAGES; i++) {
		if (GUEST_FIRST + i >= first && GUEST_FIRST + i < end)
			vm->is_private[i] = op->attributes == PRIVATE;
	}
	return 0;
}

static int64_t check_convert(const struct model *m, const struct object *f, const struct op *op)
{
	if (!m->rules.in_place)
		return -ENOTTY;
	if (op->flags || op->n)
		return -EINVAL;
	if (!f->protected_vm && !m->rules.v7)
		return -EINVAL;
	if (op->attributes & ~(f->protected_vm ? PRIVATE : 0))
		return -EINVAL;
	if (!op->size || op->offset + op->size < op->offset || IN_PAGE(op->offset | op->size))
		return -EINVAL;
	return op->offset >= f->size || op->offset + op->size > f->size ? -EINVAL : 0;
}

/* All of the range or nothing: the lowest page that somebody holds is told. */
static void convert(struct model *m, const struct op *op, struct answer *a)
{
	struct object *f = file_of(m, op->file);
	uint64_t first = op->offset / PAGE, end = (op->offset + op->size) / PAGE, held = end;

	a->ret = f ? check_convert(m, f, op) : -EBADF;
	if (a->ret)
		return;
	end = end < FILE_PAGES ? end : FILE_PAGES;
	for (int i = 0; i < NR_PINS; i++) {
		if (m->pins[i].used && &m->files[m->pins[i].file] == f && op->attributes &&
		    m->pins[i].pgoff >= first && m->pins[i].pgoff < held)
			held = m->pins[i].pgoff;
	}
	if (held < end) {
		a->ret = -EAGAIN;
		a->value = held * PAGE;
		return;
	}
	for (uint64_t p = first; p < end; p++)
		f->is_private[p] = op->attributes == PRIVATE;
}

/* ---- guest accesses ------------------------------------------------------------------------------ */

struct access {
	enum { A_PAGE, AN_MMIO, A_MEMORY_FAULT, AN_ERROR, NOT_DEFINED } is;
	struct page *page;
	bool is_private;
};

static struct access guest_access(struct model *m, struct vm *vm, uint64_t gfn, bool write)
{
	struct slot *s = model_slot_at(vm, gfn);
	uint64_t in_slot = s ? gfn - s->gfn : 0, pgoff = s ? s->offset / PAGE + in_slot : 0;
	struct object *f = s && s->file != NONE ? &m->files[s->file] : NULL;
	struct access a = { .is = A_MEMORY_FAULT };
	int64_t err;

	if (gfn - GUEST_FIRST >= GUEST_PAGES || (f && pgoff >= FILE_PAGES))
		return (struct access){ .is = NOT_DEFINED };
	a.is_private =
		m->rules.in_place ? f && f->is_private[pgoff] : vm->is_private[gfn - GUEST_FIRST];
	if (!s) {
		a.is = a.is_private ? A_MEMORY_FAULT : AN_MMIO;
		return a;
	}
	if (a.is_private &&
	    !vm->has_private) { /* in place only: the access is none to private memory */
		a.is_private = false;
		return a;
	}
	if (a.is_private || (s->gmem_only)) {
		a.page = f ? &f->pages[pgoff] : NULL;
		a.is = f ? A_PAGE : A_MEMORY_FAULT;
	} else if (s->flags & KVM_MEM_READONLY && write) {
		a.is = AN_MMIO;
	} else {
		a.page = host_page(m, s->area, s->at / PAGE + in_slot, &err);
		a.is = a.page ? A_PAGE : err == UNDEFINED ? NOT_DEFINED : AN_ERROR;
	}
	if (a.is == A_PAGE && write && in_slot < GUEST_PAGES)
		s->dirty[in_slot] = s->flags & KVM_MEM_LOG_DIRTY_PAGES;
	return a;
}

static void say_memory_fault(struct answer *out, uint64_t gpa, bool is_private)
{
	out->exit = KVM_EXIT_MEMORY_FAULT;
	out->a = gpa & ~(PAGE - 1);
	out->b = PAGE;
	out->c = is_private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0;
}

/* ---- vCPUs --------------------------------------------------------------------------------------- */

static void step_on(struct vcpu *v)
{
	v->gpa += v->fn == FN_OUT ? 0 : PAGE;
	v->value += v->fn == FN_WRITE || v->fn == FN_OUT;
	v->left--;
}

static void mmio(struct vcpu *v, bool write, uint64_t data, struct answer *out)
{
	v->pending = write ? MMIO_WRITE : MMIO_READ;
	*out = (struct answer){ .exit = KVM_EXIT_MMIO,
				.a = v->gpa,
				.b = 8 | (uint64_t)write << 8,
				.c = write ? data : 0 };
}

/* One word of one page; false: the guest stands, and out says why. */
static bool touch_page(struct model *m, struct vm *vm, struct vcpu *v, struct answer *out)
{
	struct access a = guest_access(m, vm, v->gpa / PAGE, v->fn != FN_READ);
	uint64_t *word = a.page ? &a.page->word[IN_PAGE(v->gpa) != 0] : NULL;

	switch (a.is) {
	case AN_MMIO:
		mmio(v, v->fn == FN_WRITE, v->value, out);
		return false;
	case A_MEMORY_FAULT:
		out->ret = -EFAULT;
		say_memory_fault(out, v->gpa, a.is_private);
		return false;
	case AN_ERROR:
		out->ret = -EFAULT;
		return false;
	case NOT_DEFINED:
	case A_PAGE:
		break;
	}
	v->sum += v->fn == FN_READ ? *word : 0;
	if (v->fn != FN_READ)
		*word = v->fn == FN_ADD ? *word + v->value : v->value;
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
		mmio(v, true, MMIO_VALUE + v->value, out);
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
	for (uint64_t i = 0; v->fn <= FN_ADD && i < v->left; i++) {
		const struct slot *s = model_slot_at(vm, v->gpa / PAGE + i);

		if (guest_access(m, vm, v->gpa / PAGE + i, false).is == NOT_DEFINED ||
		    (v->fn == FN_ADD && s && s->flags & KVM_MEM_READONLY))
			return false;
	}
	return true;
}

static void run(struct model *m, const struct op *op, struct answer *out)
{
	struct vm *vm = vm_of(m, op);
	struct vcpu *v = vm && op->vcpu < NR_VCPUS ? &vm->vcpus[op->vcpu] : NULL, next;

	out->ret = v ? 0 : -EBADF;
	if (!v)
		return;
	if (op->kind == OP_RUN) {
		next = (struct vcpu){ .fn = op->fn,
				      .gpa = op->gpa + (op->word ? PAGE - 8 : 0),
				      .left = op->n,
				      .value = op->value };
		if (!op->n || op->n >> 16 || op->word > 1 || op->fn >= NR_FNS ||
		    (op->fn < FN_HYPERCALL && IN_PAGE(op->gpa)) ||
		    (op->fn == FN_HYPERCALL && !m->rules.hypercalls))
			next.pending = STANDS;
	} else {
		next = *v;
	}
	if (v->fn == FN_ADD && v->pending == MMIO_READ &&
	    guest_access(m, vm, v->gpa / PAGE, false).is != AN_MMIO)
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

/* As a guest that reads. That it made progress hides why it went no further. */
static void prefault(struct model *m, const struct op *op, struct answer *out)
{
	struct vm *vm = vm_of(m, op);
	uint64_t at = op->gpa, end = op->gpa + op->size;
	struct access a;

	out->ret = vm && op->vcpu < NR_VCPUS ? 0 : -EBADF;
	if (out->ret)
		return;
	if (!m->rules.prefault)
		out->ret = UNDEFINED;
	else if (op->flags || IN_PAGE(op->gpa | op->size) || end <= at)
		out->ret = -EINVAL;
	for (; !out->ret && at < end; at += out->ret ? 0 : PAGE) {
		a = guest_access(m, vm, at / PAGE, false);
		out->ret = a.is == A_PAGE	 ? 0
			   : a.is == NOT_DEFINED ? UNDEFINED
			   : a.is == AN_MMIO	 ? -ENOENT
						 : -EFAULT;
		if (a.is == A_MEMORY_FAULT)
			say_memory_fault(out, at, a.is_private);
	}
	if (out->ret != UNDEFINED && at != op->gpa)
		out->ret = 0;
	out->at = at;
	out->value = end - at;
}

/* ---- VMs ----------------------------------------------------------------------------------------- */

static int64_t end_vm(struct model *m, const struct op *op)
{
	struct vm *vm = vm_of(m, op);

	if (vm)
		vm->used = false; /* its files, if there are any, stay what they are */
	return vm ? 0 : -EBADF;
}

static int64_t create_vm(struct model *m, const struct op *op)
{
	struct vm *vm = &m->vms[op->vm];

	if (op->vm >= NR_VMS)
		return UNDEFINED;
	end_vm(m, op);
	if (op->type >= 32 || !(m->rules.vm_types >> op->type & 1))
		return -EINVAL;
	memset(vm, 0, sizeof(*vm));
	vm->used = true;
	vm->serial = ++m->serial;
	vm->has_private = op->type == KVM_X86_SW_PROTECTED_VM;
	for (int i = 0; i < NR_VCPUS; i++)
		vm->vcpus[i].pending = STANDS;
	return 0;
}

static int64_t capability(struct model *m, const struct op *op)
{
	const struct rules *r = &m->rules;
	struct vm *vm = vm_of(m, op);

	if (!vm)
		return -EBADF;
	if (r->cap_in_place && op->n == r->cap_in_place)
		return vm->has_private ? (int64_t)PRIVATE : 0;
	switch (op->n) {
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return vm->has_private && !r->in_place ? (int64_t)PRIVATE : 0;
	case KVM_CAP_GUEST_MEMFD:
		return vm->has_private || r->gmem_any_vm;
	case KVM_CAP_GUEST_MEMFD_FLAGS:
		return !r->cap_gmem_flags
			       ? 0
			       : (int64_t)(vm->has_private ? r->gmem_flags_private : r->gmem_flags);
	case KVM_CAP_VM_TYPES:
		return r->vm_types;
	case KVM_CAP_NR_MEMSLOTS:
		return USER_SLOTS;
	case KVM_CAP_MULTI_ADDRESS_SPACE:
		return vm->has_private ? 1 : r->spaces;
	default:
		return UNDEFINED;
	}
}

void model_step(struct model *m, const struct op *op, struct answer *a)
{
	*a = (struct answer){ 0 };
	switch (op->kind) {
	case OP_VM:
		a->ret = create_vm(m, op);
		break;
	case OP_END:
		a->ret = end_vm(m, op);
		break;
	case OP_FILE:
		a->ret = create_file(m, op);
		break;
	case OP_CLOSE:
		a->ret = close_file(m, op->file);
		break;
	case OP_SLOT:
		a->ret = set_region(m, op);
		break;
	case OP_ATTR:
		a->ret = set_attributes(m, op);
		break;
	case OP_CONVERT:
		convert(m, op, a);
		break;
	case OP_FALLOC:
		a->ret = fallocate_file(m, op);
		break;
	case OP_MAP:
	case OP_UNMAP:
	case OP_DISCARD:
		a->ret = change_mapping(m, op);
		break;
	case OP_PEEK:
	case OP_POKE:
		touch(m, op, a);
		break;
	case OP_DIGEST:
		digest(m, op, a);
		break;
	case OP_RUN:
	case OP_RESUME:
		run(m, op, a);
		break;
	case OP_PREFAULT:
		prefault(m, op, a);
		break;
	case OP_LOG:
		dirty_log(m, op, a);
		break;
	case OP_CAP:
		a->ret = capability(m, op);
		break;
	case OP_PIN:
	case OP_UNPIN:
		a->ret = pin(m, op);
		break;
	case NR_OPS:
		break;
	}
}
