/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "model.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE
#define USER_END 0x7ffffffff000ull

/* ---- the state --------------------------------------------------------------------------------- */

void model_init(struct model *m, const struct rules *rules)
{
	memset(m, 0, sizeof(*m));
	m->rules = *rules;
	for (int i = 0; i < NR_FILES; i++)
		m->numbers[i] = NONE;
}

struct vm *model_vm(struct model *m, const struct op *op)
{
	return op->vm < NR_VMS && m->vms[op->vm].used ? &m->vms[op->vm] : NULL;
}

struct object *model_file(struct model *m, uint64_t number)
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

/* ---- files ----------------------------------------------------------------------------------- */

/* The last descriptor and the last mapping are gone: the memory goes, the slots stay with nothing behind them. */
void model_release_unheld(struct model *m)
{
	bool held[NR_OBJECTS] = { 0 };

	for (int i = 0; i < NR_FILES; i++) {
		if (m->numbers[i] != NONE)
			held[m->numbers[i]] = true;
	}
	for (int i = 0; i < NR_AREAS * AREA_PAGES; i++) {
		if (m->areas[i / AREA_PAGES][i % AREA_PAGES].kind == OF_FILE)
			held[m->areas[i / AREA_PAGES][i % AREA_PAGES].file] = true;
	}
	for (int f = 0; f < NR_OBJECTS; f++) {
		if (!m->files[f].used || held[f])
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

static int64_t close_file(struct model *m, const struct op *op)
{
	if (!model_file(m, op->file))
		return -EBADF;
	m->numbers[op->file] = NONE;
	model_release_unheld(m);
	return 0;
}

static int64_t copy_number(struct model *m, const struct op *op)
{
	if (op->file >= NR_FILES)
		return UNDEFINED;
	if (!model_file(m, op->n))
		return -EBADF;
	m->numbers[op->file] = m->numbers[op->n];
	model_release_unheld(m);
	return 0;
}

uint64_t model_legal_flags(const struct model *m, const struct vm *vm)
{
	return vm->has_private && !vm->in_place ? m->rules.gmem_flags_private : m->rules.gmem_flags;
}

static int64_t create_file(struct model *m, const struct op *op)
{
	struct vm *vm = model_vm(m, op);
	struct object *f = m->files;

	while (f < m->files + NR_OBJECTS && f->used)
		f++;
	if (op->file >= NR_FILES || f == m->files + NR_OBJECTS)
		return UNDEFINED;
	close_file(m, op);
	if (!vm)
		return -EBADF;
	if (op->flags & ~model_legal_flags(m, vm))
		return -EINVAL;
	if ((int64_t)op->size <= 0 || IN_PAGE(op->size))
		return -EINVAL;
	*f = (struct object){ .used = true,
			      .vm = vm->serial,
			      .size = op->size,
			      .flags = op->flags,
			      .protected_vm = vm->has_private,
			      .in_place = vm->in_place };
	memset(f->is_private, !(op->flags & GUEST_MEMFD_FLAG_INIT_SHARED), sizeof(f->is_private));
	m->numbers[op->file] = (int)(f - m->files);
	return 0;
}

static int64_t fallocate_file(struct model *m, const struct op *op)
{
	const uint64_t punch = FALLOC_FL_PUNCH_HOLE, keep = FALLOC_FL_KEEP_SIZE;
	struct object *f = model_file(m, op->file);

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
			m->pins[i].used &= m->pins[i].file != f - m->files || m->pins[i].pgoff != p;
	}
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
	struct object *f = model_file(m, op->file);
	uint64_t end = op->offset + op->size;

	if (!f)
		return op->file == NO_FILE ? -EINVAL : -EBADF;
	if (f->vm != vm->serial)
		return -EINVAL;
	if (m->rules.offset_signed ? (int64_t)op->offset < 0 || (int64_t)end > (int64_t)f->size
				   : end > f->size)
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
	model_log_begin(vm, s);
	return 0;
}

static int64_t modify_slot(struct vm *vm, struct slot *s, const struct op *op)
{
	uint64_t fixed = KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD;
	int64_t err;

	if (op->flags & KVM_MEM_GUEST_MEMFD || op->area != s->area || op->at != s->at ||
	    op->size / PAGE != s->nr || (op->flags ^ s->flags) & fixed)
		return -EINVAL;
	if (op->gpa / PAGE == s->gfn && op->flags == s->flags)
		vm->changes--; /* it is none */
	if (op->gpa / PAGE != s->gfn) {
		err = slot_overlaps(vm, op) ? -EEXIST : check_height(op);
		if (err)
			return err;
	}
	s->gfn = op->gpa / PAGE;
	if (!(s->flags & KVM_MEM_LOG_DIRTY_PAGES))
		model_log_begin(vm, s);
	s->flags = op->flags;
	return 0;
}

static int64_t set_region(struct model *m, const struct op *op)
{
	struct vm *vm = model_vm(m, op);
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
	for (empty = vm->slots; empty < vm->slots + NR_SLOTS && empty->used; empty++)
		;
	if (s < vm->slots + NR_SLOTS && op->size)
		err = modify_slot(vm, s, op);
	else if (s < vm->slots + NR_SLOTS)
		s->used = false;
	else
		err = op->size ? create_slot(m, vm, empty, op) : -EINVAL;
	vm->changes += !err;
	return err;
}

/* ---- private and shared -------------------------------------------------------------------------- */

static int64_t set_attributes(struct model *m, const struct op *op)
{
	struct vm *vm = model_vm(m, op);
	uint64_t first = op->gpa / PAGE, end = (op->gpa + op->size) / PAGE;

	if (!vm)
		return -EBADF;
	if (!m->rules.attributes || m->rules.v7)
		return -ENOTTY;
	if (op->flags || op->attributes & ~(vm->has_private && !vm->in_place ? PRIVATE : 0))
		return -EINVAL;
	if (!op->size || op->gpa + op->size < op->gpa || IN_PAGE(op->gpa | op->size))
		return -EINVAL;
	if (op->attributes && op->gpa < RAM_SIZE)
		return UNDEFINED; /* the guest's own code */
	if (m->rules.range_pages && end - first > m->rules.range_pages)
		return UNDEFINED;
	for (uint64_t i = 0; i < GUEST_PAGES; i++) {
		if (GUEST_FIRST + i >= first && GUEST_FIRST + i < end)
			vm->is_private[i] = op->attributes == PRIVATE;
	}
	return 0;
}

static int64_t check_convert(const struct model *m, const struct object *f, const struct op *op)
{
	if (!f->in_place)
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
	struct object *f = model_file(m, op->file);
	uint64_t first = op->offset / PAGE, end = (op->offset + op->size) / PAGE, held = end;

	a->ret = f ? check_convert(m, f, op) : -EBADF;
	if (!a->ret && m->rules.range_pages && end - first > m->rules.range_pages)
		a->ret = UNDEFINED;
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

struct access model_access(struct model *m, struct vm *vm, uint64_t gfn, bool write)
{
	struct slot *s = model_slot_at(vm, gfn);
	uint64_t in_slot = s ? gfn - s->gfn : 0, pgoff = s ? s->offset / PAGE + in_slot : 0;
	struct object *f = s && s->file != NONE ? &m->files[s->file] : NULL;
	struct access a = { .is = A_MEMORY_FAULT };
	int64_t err;

	if (gfn - GUEST_FIRST >= GUEST_PAGES || (f && pgoff >= FILE_PAGES))
		return (struct access){ .is = NOT_DEFINED };
	a.is_private = vm->in_place ? f && f->is_private[pgoff] : vm->is_private[gfn - GUEST_FIRST];
	if (!s) {
		a.is = a.is_private ? A_MEMORY_FAULT : AN_MMIO;
		return a;
	}
	if (a.is_private &&
	    !vm->has_private) { /* in place only: the access is none to private memory */
		a.is_private = false;
		return a;
	}
	if (a.is_private || (s->gmem_only && !m->rules.emulated)) {
		a.page = f ? &f->pages[pgoff] : NULL;
		a.is = f ? A_PAGE : A_MEMORY_FAULT;
	} else if (s->flags & KVM_MEM_READONLY && write) {
		a.is = AN_MMIO;
	} else {
		a.page = model_host_page(m, s->area, s->at / PAGE + in_slot, &err);
		a.is = a.page		   ? A_PAGE
		       : err == UNDEFINED  ? NOT_DEFINED
		       : m->rules.emulated ? AN_MMIO
					   : AN_ERROR;
	}
	return a;
}

/* The same, and what stays of it. */
struct access model_touch(struct model *m, struct vm *vm, uint64_t gfn, bool write, bool runs)
{
	struct access a = model_access(m, vm, gfn, write);
	struct slot *s = model_slot_at(vm, gfn);
	uint64_t *lingers;

	if (a.is == NOT_DEFINED)
		return a;
	lingers = &vm->lingers[gfn - GUEST_FIRST];
	if (m->rules.mmio_lingers && *lingers && a.is_private && runs)
		return (struct access){ .is = *lingers == vm->changes ? AN_MMIO : A_MEMORY_FAULT };
	if (a.is == A_PAGE)
		model_log_access(m, s, gfn, write);
	if (a.is == A_PAGE || (a.is == AN_MMIO && !s))
		*lingers = s ? 0 : vm->changes;
	return a;
}

/* What the program is told of an access, of 8 bytes, that came to no page. */
void model_say_exit(const struct access *a, uint64_t gpa, bool write, uint64_t data,
		    struct answer *out)
{
	*out = (struct answer){ .ret = a->is == AN_MMIO ? 0 : -EFAULT };
	if (a->is == AN_MMIO) {
		out->exit = KVM_EXIT_MMIO;
		out->a = gpa;
		out->b = 8 | (uint64_t)write << 8;
		out->c = write ? data : 0;
	} else if (a->is == A_MEMORY_FAULT) {
		out->exit = KVM_EXIT_MEMORY_FAULT;
		out->a = gpa & ~(PAGE - 1);
		out->b = PAGE;
		out->c = a->is_private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0;
	}
}

/* As a guest that reads. That it made progress hides why it went no further. */
static void prefault(struct model *m, const struct op *op, struct answer *out)
{
	struct vm *vm = model_vm(m, op);
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
		a = model_touch(m, vm, at / PAGE, false, false);
		if (a.is == NOT_DEFINED || a.is == AN_MMIO)
			out->ret = a.is == AN_MMIO ? -ENOENT : UNDEFINED;
		else if (a.is != A_PAGE)
			model_say_exit(&a, at, false, 0, out);
	}
	if (out->ret != UNDEFINED && at != op->gpa)
		out->ret = 0;
	out->at = at;
	out->value = end - at;
}

/* ---- VMs ----------------------------------------------------------------------------------------- */

static int64_t end_vm(struct model *m, const struct op *op)
{
	struct vm *vm = model_vm(m, op);

	if (vm)
		vm->used = false; /* its files, if there are any, stay what they are */
	return vm ? 0 : -EBADF;
}

/* Before the first file, vCPU and attribute; and then for good. */
static int64_t enable_in_place(struct model *m, struct vm *vm, uint64_t value, bool is_new)
{
	if (!m->rules.asked || !vm->has_private || value != 1)
		return -EINVAL;
	vm->in_place |= is_new;
	return vm->in_place ? 0 : -EBUSY;
}

static int64_t enable(struct model *m, const struct op *op)
{
	struct vm *vm = model_vm(m, op);

	if (!vm)
		return -EBADF;
	if (op->flags)
		return -EINVAL;
	if (m->rules.cap_in_place && op->n == m->rules.cap_in_place)
		return enable_in_place(m, vm, op->value, false);
	return op->n == KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 ? model_log_protect(vm, op->value)
							  : UNDEFINED;
}

static void create_vm(struct model *m, const struct op *op, struct answer *a)
{
	struct vm *vm = &m->vms[op->vm];

	a->ret = op->vm >= NR_VMS ? UNDEFINED : 0;
	if (a->ret)
		return;
	end_vm(m, op);
	if (op->type >= 32 || !(m->rules.vm_types >> op->type & 1))
		a->ret = -EINVAL;
	if (a->ret)
		return;
	*vm = (struct vm){ .used = true,
			   .serial = ++m->serial,
			   .changes = 1,
			   .has_private = op->type == KVM_X86_SW_PROTECTED_VM,
			   .in_place = m->rules.in_place };
	for (int i = 0; i < NR_VCPUS; i++)
		vm->vcpus[i].pending = STANDS;
	a->value = op->n ? (uint64_t)enable_in_place(m, vm, op->n, true) : 0;
}

void model_step(struct model *m, const struct op *op, struct answer *a)
{
	static int64_t (*const steps[NR_OPS])(struct model *, const struct op *) = {
		[OP_END] = end_vm,
		[OP_FILE] = create_file,
		[OP_CLOSE] = close_file,
		[OP_DUP] = copy_number,
		[OP_SLOT] = set_region,
		[OP_ATTR] = set_attributes,
		[OP_FALLOC] = fallocate_file,
		[OP_CAP] = rules_capability,
		[OP_CLEAR] = model_log_clear,
		[OP_ENABLE] = enable,
	};
	static void (*const others[NR_OPS])(struct model *, const struct op *, struct answer *) = {
		[OP_VM] = create_vm,
		[OP_CONVERT] = convert,
		[OP_PREFAULT] = prefault,
		[OP_LOG] = model_log_get,
	};

	*a = (struct answer){ 0 };
	if (steps[op->kind])
		a->ret = steps[op->kind](m, op);
	else if (others[op->kind])
		others[op->kind](m, op, a);
	else
		model_step_around(m, op, a);
}
