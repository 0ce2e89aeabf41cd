/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The dirty log: which pages of a slot guests have written. */
#include "model.h"

#include <errno.h>

/* With nothing in it, or with all. */
void model_log_begin(const struct vm *vm, struct slot *s)
{
	for (int i = 0; i < GUEST_PAGES; i++)
		s->dirty[i] = vm->log_protect & KVM_DIRTY_LOG_INITIALLY_SET ? DIRTY : CLEAN;
}

void model_log_access(struct model *m, struct slot *s, uint64_t gfn, bool write)
{
	enum dirty *d = &s->dirty[gfn - s->gfn];

	if (!(s->flags & KVM_MEM_LOG_DIRTY_PAGES) || gfn - s->gfn >= GUEST_PAGES)
		return;
	if (write)
		*d = DIRTY;
	else if (*d == CLEAN && m->rules.log_has_reads)
		*d = MAYBE;
}

/* A write that has not come to be: whether it was in the log by then is the processor's matter. */
void model_log_doubt(struct model *m, struct slot *s, uint64_t gfn)
{
	if (s->flags & KVM_MEM_LOG_DIRTY_PAGES && gfn - s->gfn < GUEST_PAGES &&
	    m->rules.log_has_reads)
		s->dirty[gfn - s->gfn] = MAYBE;
}

/* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: reading a log leaves it as it is; and, a log begins with all. */
int64_t model_log_protect(struct vm *vm, uint64_t value)
{
	uint64_t all = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;

	if (value & ~all || value == KVM_DIRTY_LOG_INITIALLY_SET)
		return -EINVAL;
	vm->log_protect = value;
	return 0;
}

/* The slot whose log is asked for, or NULL and an errno. */
static struct slot *find_logged(struct model *m, struct vm *vm, const struct op *op, int64_t *err)
{
	*err = !vm ? -EBADF : !op->id ? UNDEFINED : -ENOENT;
	if (vm && (op->id >> 16 >= (vm->has_private ? 1 : m->rules.spaces) ||
		   (op->id & 0xffff) >= USER_SLOTS))
		*err = -EINVAL;
	for (int i = 0; *err == -ENOENT && i < NR_SLOTS; i++) {
		struct slot *s = &vm->slots[i];

		if (!s->used || s->id != op->id || !(s->flags & KVM_MEM_LOG_DIRTY_PAGES))
			continue;
		*err = s->nr > GUEST_PAGES ? UNDEFINED : 0;
		return *err ? NULL : s;
	}
	return NULL;
}

void model_log_get(struct model *m, const struct op *op, struct answer *a)
{
	struct vm *vm = model_vm(m, op);
	struct slot *s = find_logged(m, vm, op, &a->ret);

	for (uint64_t i = 0; s && i < s->nr; i++) {
		a->value += s->dirty[i] == DIRTY ? i * i + 1 : 0;
		m->maybe[i] = s->dirty[i] == MAYBE;
		s->dirty[i] = vm->log_protect ? s->dirty[i] : CLEAN;
	}
}

int64_t model_log_clear(struct model *m, const struct op *op)
{
	int64_t err;
	struct slot *s = find_logged(m, model_vm(m, op), op, &err);
	uint64_t room = s && op->offset <= s->nr ? s->nr - op->offset : 0;

	if (err == -ENOENT && op->offset & 63)
		return -EINVAL;
	if (!s || op->n >> 32)
		return s ? UNDEFINED : err;
	if (op->offset & 63 || op->offset > s->nr || op->n > room || (op->n < room && op->n & 63))
		return -EINVAL;
	for (uint64_t i = 0; i < op->n; i++)
		s->dirty[op->offset + i] =
			op->value >> (i & 63) & 1 ? CLEAN : s->dirty[op->offset + i];
	return 0;
}
