/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What each page of each slot is: four answers (attribute, file, program, pins), each in runs, are laid over one
 * another. */
#include "kvm/account.h"

#include <errno.h>

#include "kvm/account_rows.h"
#include "kvm/early.h"
#include "kvm/vm.h"
#include "map/share.h"
#include "os/resident.h"

#define NR_PINS 4096u

struct span {
	uint64_t start, end;
};

/* A guest_memfd while a look lasts. */
struct walked_file {
	struct host_file *host; /* counted, and with it the file */
	struct account_bytes bound;
	uint32_t first_pin, nr_pins;
};

/* A slot as it was when the table was read. */
struct walked_slot {
	struct account_slot is;
	struct gmem_file *file; /* counted; NULL: none */
	struct attr_map *attributes;
	uint64_t first; /* index in attributes of the first page; attributes NULL: all shared */
};

struct account_walker {
	struct os_resident *resident; /* NULL: not to be had */
	bool look_at_program;	      /* this time */
	bool blind;
	struct account_rows rows;
	struct walked_file files[ACCOUNT_NR_FILES];
	uint32_t nr_files, left_files;
	struct span pins[NR_PINS];
	uint32_t nr_pins;
	struct walked_slot *slots; /* of one VM */
	uint64_t nr_slots, max_slots;
	struct vm *vm;
	uint64_t punched; /* how much was, when this walk began */
};

/* Bytes of all punches: what begun has at the end of a walk and ended had not at its begin was punched in it. */
static struct {
	_Atomic uint64_t begun, ended;
} punches;

void account_punch_begin(uint64_t size)
{
	atomic_fetch_add(&punches.begun, size);
}

void account_punch_end(uint64_t size)
{
	atomic_fetch_add(&punches.ended, size);
}

int account_walker_create(struct account_walker **out)
{
	struct account_walker *w = os_alloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	if (os_resident_open(&w->resident))
		w->resident = NULL;
	*out = w;
	return 0;
}

static void free_slots(struct account_walker *w)
{
	if (w->slots)
		os_free(w->slots, w->max_slots * sizeof(*w->slots));
	w->slots = NULL;
	w->max_slots = 0;
}

void account_walker_destroy(struct account_walker *w)
{
	if (w->resident)
		os_resident_close(w->resident);
	free_slots(w);
	os_free(w, sizeof(*w));
}

/* ---- files ------------------------------------------------------------------------------------- */

struct next_file {
	uint64_t from, id;
};

static void find_next(struct host_file *f, void *arg)
{
	struct next_file *n = arg;

	if (f->file && f->id >= n->from && f->id < n->id)
		n->id = f->id;
}

static void note_pin(void *arg, uint64_t offset, uint64_t size)
{
	struct account_walker *w = arg;

	if (w->nr_pins < NR_PINS)
		w->pins[w->nr_pins++] = (struct span){ offset, offset + size };
}

static void add_file(struct account_walker *w, struct host_file *host)
{
	struct walked_file *f = &w->files[w->nr_files++];

	*f = (struct walked_file){ .host = host, .first_pin = w->nr_pins };
	if (!w->blind)
		pins_told(host, note_pin, w);
	f->nr_pins = w->nr_pins - f->first_pin;
}

/* In order of their numbers. */
static void hold_files(struct account_walker *w)
{
	struct next_file n = { 0, UINT64_MAX };

	w->nr_files = w->left_files = w->nr_pins = 0;
	for (;; n.from = n.id + 1, n.id = UINT64_MAX) {
		struct host_file *f;

		host_file_for_each(find_next, &n);
		if (n.id == UINT64_MAX)
			return;
		f = host_file_find(n.id, NULL);
		if (f && w->nr_files < ACCOUNT_NR_FILES) {
			add_file(w, f);
		} else if (f) {
			w->left_files++;
			host_file_put(f);
		}
	}
}

static void let_files(struct account_walker *w)
{
	while (w->nr_files)
		host_file_put(w->files[--w->nr_files].host);
}

static struct walked_file *file_of(struct account_walker *w, const struct gmem_file *file)
{
	for (uint32_t i = 0; file && i < w->nr_files; i++)
		if (w->files[i].host->file == file)
			return &w->files[i];
	return NULL;
}

/* ---- the table of slots ------------------------------------------------------------------------ */

static void count_slot(void *arg, struct memslot *slot)
{
	++*(uint64_t *)arg;
}

/* Where a page's attribute is found: in the file, in the VM, nowhere. */
static void find_attributes(struct account_walker *w, struct walked_slot *s, bool in_place)
{
	s->attributes = NULL;
	if (in_place) {
		s->attributes = gmem_file_attributes(s->file);
		s->first = s->is.file_offset >> OS_PAGE_SHIFT;
	} else if (w->vm->has_private && !vm_in_place(w->vm) &&
		   (s->file || !early_private_with_file())) {
		s->attributes = mmu_attributes(w->vm->mmu);
		s->first = s->is.gpa >> OS_PAGE_SHIFT;
	}
}

static void copy_slot(void *arg, struct memslot *slot)
{
	struct account_walker *w = arg;
	struct walked_slot *s = &w->slots[w->nr_slots++];
	bool in_place = slot->file && gmem_file_flags(slot->file) & GMEM_FILE_IN_PLACE;

	*s = (struct walked_slot){
		.is = { .vm = w->vm->account.number,
			.id = slot->id,
			.as_id = slot->as_id,
			.flags = slot->gmem_only ? ACCOUNT_ALL_IN_FILE : 0,
			.gpa = slot->gfn << OS_PAGE_SHIFT,
			.size = slot->nr_pages << OS_PAGE_SHIFT,
			.hva = slot->hva,
			.file_offset = slot->file_offset },
		.file = slot->file,
	};
	if (s->file)
		gmem_file_get(s->file);
	find_attributes(w, s, in_place);
}

static bool make_room(struct account_walker *w, uint64_t nr)
{
	if (nr <= w->max_slots)
		return true;
	free_slots(w);
	w->slots = os_alloc(nr * sizeof(*w->slots));
	w->max_slots = w->slots ? nr : 0;
	return w->slots;
}

/* Without memory there are no slots this time. */
static void hold_slots(struct account_walker *w)
{
	uint64_t nr = 0;

	w->nr_slots = 0;
	os_mutex_lock(&w->vm->slots_lock);
	memslot_for_each(w->vm->mmu, count_slot, &nr);
	if (make_room(w, nr))
		memslot_for_each(w->vm->mmu, copy_slot, w);
	os_mutex_unlock(&w->vm->slots_lock);
}

static void let_slots(struct account_walker *w)
{
	while (w->nr_slots)
		if (w->slots[--w->nr_slots].file)
			gmem_file_put(w->slots[w->nr_slots].file);
}

/* ---- the four answers: what is so at pos of the slot, and up to where --------------------------- */

struct layer {
	uint64_t until;
	bool is_so;
};

struct layers {
	struct account_walker *w;
	const struct walked_slot *slot;
	const struct walked_file *file;
	uint64_t size;
	struct layer attribute, in_file, in_program, pinned;
};

static void ask_attribute(struct layers *l, uint64_t pos)
{
	const struct walked_slot *s = l->slot;
	uint32_t value = 0;
	uint64_t nr = (l->size - pos) >> OS_PAGE_SHIFT;

	if (s->attributes)
		nr = attr_map_run(s->attributes, s->first + (pos >> OS_PAGE_SHIFT), nr, &value);
	l->attribute.is_so = value & ATTR_PRIVATE;
	l->attribute.until = pos + (nr << OS_PAGE_SHIFT);
}

/* The first run from there on is [start, start + size). */
static void set_run(struct layer *layer, uint64_t pos, uint64_t start, uint64_t size)
{
	layer->is_so = start == pos;
	layer->until = layer->is_so ? pos + size : start;
}

static void ask_file(struct layers *l, uint64_t pos)
{
	const struct walked_slot *s = l->slot;
	uint64_t offset = s->is.file_offset + pos, size;

	set_run(&l->in_file, pos, l->size, 0);
	if (s->file && !l->w->blind &&
	    store_next_present(gmem_file_store(s->file), &offset, s->is.file_offset + l->size,
			       &size))
		set_run(&l->in_file, pos, offset - s->is.file_offset, size);
}

static void ask_program(struct layers *l, uint64_t pos)
{
	const struct walked_slot *s = l->slot;
	uint64_t addr = s->is.hva + pos, size;

	set_run(&l->in_program, pos, l->size, 0);
	if (!(s->is.flags & ACCOUNT_ALL_IN_FILE) && l->w->look_at_program &&
	    os_resident_next(l->w->resident, &addr, s->is.hva + l->size, &size))
		set_run(&l->in_program, pos, addr - s->is.hva, size);
}

static void ask_pins(struct layers *l, uint64_t pos)
{
	uint64_t at = l->slot->is.file_offset + pos;

	set_run(&l->pinned, pos, l->size, 0);
	for (uint32_t i = 0; l->file && i < l->file->nr_pins; i++) {
		const struct span *p = &l->w->pins[l->file->first_pin + i];

		if (p->end <= at)
			continue;
		if (p->start <= at)
			set_run(&l->pinned, pos, pos, p->end - at);
		else if (p->start - at < l->size - pos)
			set_run(&l->pinned, pos, pos + p->start - at, 0);
		return;
	}
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t next_change(struct layers *l, uint64_t pos)
{
	if (l->attribute.until <= pos)
		ask_attribute(l, pos);
	if (l->in_file.until <= pos)
		ask_file(l, pos);
	if (l->in_program.until <= pos)
		ask_program(l, pos);
	if (l->pinned.until <= pos)
		ask_pins(l, pos);
	return least(least(l->size, l->pinned.until),
		     least(l->attribute.until, least(l->in_file.until, l->in_program.until)));
}

static uint32_t state_of(const struct layers *l)
{
	return (l->attribute.is_so ? ACCOUNT_PRIVATE : 0) |
	       (l->in_file.is_so ? ACCOUNT_IN_FILE : 0) |
	       (l->in_program.is_so ? ACCOUNT_IN_PROGRAM : 0);
}

static void walk_slot(struct account_walker *w, struct walked_slot *s)
{
	struct walked_file *file = file_of(w, s->file);
	struct layers l = { .w = w, .slot = s, .file = file, .size = s->is.size };
	uint32_t row;
	uint64_t end;

	s->is.file = file ? gmem_file_number(file->host->file) : 0;
	row = account_rows_slot(&w->rows, &s->is);
	for (uint64_t pos = 0; pos < l.size; pos = end) {
		uint32_t state;

		end = next_change(&l, pos);
		state = state_of(&l);
		s->is.now.by_state[state] += end - pos;
		s->is.now.pinned += l.pinned.is_so ? end - pos : 0;
		account_rows_run(&w->rows, row, s->is.gpa + pos, (end - pos) >> OS_PAGE_SHIFT,
				 1u << state | (l.pinned.is_so ? ACCOUNT_PINNED : 0));
	}
	w->rows.in_doubt = atomic_load(&punches.begun) - w->punched;
	account_rows_slot_done(&w->rows, row, &s->is);
	if (file)
		account_bytes_add(&file->bound, &s->is.now);
}

static void walk_vcpus(struct account_walker *w, struct vm *vm)
{
	for (struct vcpu *v = vm->account.vcpus; v; v = v->account.next) {
		struct account_vcpu is = { .vm = vm->account.number, .id = v->id };

		for (uint32_t i = 0; i < ACCOUNT_NR_EXITS; i++)
			is.exits[i] = os_racy_load(&v->account.exits[i]);
		account_rows_vcpu(&w->rows, &is);
	}
}

static void walk_vm(struct account_walker *w, struct vm *vm)
{
	struct account_vm is = { .number = vm->account.number };

	w->vm = vm;
	hold_slots(w);
	is.nr_slots = w->nr_slots;
	for (uint64_t i = 0; i < w->nr_slots; i++) {
		walk_slot(w, &w->slots[i]);
		account_bytes_add(&is.now, &w->slots[i].is.now);
	}
	let_slots(w);
	walk_vcpus(w, vm);
	w->rows.in_doubt = atomic_load(&punches.begun) - w->punched;
	account_rows_vm(&w->rows, &is);
}

/* ---- files, once more -------------------------------------------------------------------------- */

static uint64_t count_present(struct gmem_file *f)
{
	uint64_t offset = 0, size, sum = 0, end = gmem_file_size(f);

	while (offset < end && store_next_present(gmem_file_store(f), &offset, end, &size)) {
		sum += size;
		offset += size;
	}
	return sum;
}

static uint64_t count_private(struct gmem_file *f)
{
	uint64_t nr = gmem_file_size(f) >> OS_PAGE_SHIFT, sum = 0;
	uint32_t value;

	for (uint64_t at = 0, run; at < nr; at += run) {
		run = attr_map_run(gmem_file_attributes(f), at, nr - at, &value);
		sum += value & ATTR_PRIVATE ? run << OS_PAGE_SHIFT : 0;
	}
	return sum;
}

static void tell_file(struct account_walker *w, const struct walked_file *f)
{
	struct gmem_file *file = f->host->file;
	struct account_file is = { .number = gmem_file_number(file), .size = gmem_file_size(file) };

	is.flags = (host_file_converts(f->host) ? ACCOUNT_CONVERTS : 0) |
		   (f->host->flags & GMEM_FILE_MMAP ? ACCOUNT_MAPPABLE : 0);
	is.private_bytes = account_private(&f->bound);
	is.shared_bytes = account_shared(&f->bound);
	is.bound = is.private_bytes + is.shared_bytes;
	if (host_file_converts(f->host)) {
		is.private_bytes = count_private(file);
		is.shared_bytes = is.size - is.private_bytes;
	}
	if (!w->blind) {
		is.backed = count_present(file);
		is.allocated = store_backed(gmem_file_store(file));
	}
	for (uint32_t i = 0; i < f->nr_pins; i++)
		is.pinned += w->pins[f->first_pin + i].end - w->pins[f->first_pin + i].start;
	account_rows_file(&w->rows, &is);
}

void account_walk(struct account_walker *w, struct vm *vms, bool blind,
		  const struct account_snapshot *before, struct account_snapshot *to)
{
	w->blind = blind;
	w->punched = atomic_load(&punches.ended);
	w->look_at_program = !blind && w->resident && !os_resident_refresh(w->resident);
	account_rows_begin(&w->rows, before, to);
	to->flags = (blind ? ACCOUNT_BLIND : 0) | (w->look_at_program ? 0 : ACCOUNT_NO_PROGRAM);
	hold_files(w);
	to->left_files = w->left_files;
	for (struct vm *vm = vms; vm; vm = vm->account.next)
		walk_vm(w, vm);
	if (w->look_at_program && os_resident_was_cut(w->resident))
		to->flags |= ACCOUNT_SHARED_CUT;
	for (uint32_t i = 0; i < w->nr_files; i++)
		tell_file(w, &w->files[i]);
	let_files(w);
	account_rows_end(&w->rows);
}
