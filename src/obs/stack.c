/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/stack.h"

#include "os/fault.h"
#include "os/os.h"

/* One of a signal handler, or of a stack that is gone, may end anywhere. */
static uint32_t copy(uint8_t *to, uint64_t from)
{
	uint64_t first = OS_PAGE_SIZE - (from & (OS_PAGE_SIZE - 1));
	uint64_t size = OBS_STACK_BYTES;

	if (first >= size)
		return os_copy_in(to, from, size) ? 0 : (uint32_t)size;
	if (os_copy_in(to, from, first))
		return 0;
	return (uint32_t)(os_copy_in(to + first, from + first, size - first) ? first : size);
}

/* A vCPU's runs are told once, and again after one that ended with a memory fault or failed. */
static bool wants_run(const struct obs_told *t, struct os_context *me)
{
	bool is_new = !me->run_is_told;

	if (t->kind == OBS_RUN_ENTER)
		me->run_is_told = 1;
	else if (t->result < 0 || t->a == OBS_EXIT_MEMORY_FAULT)
		me->run_is_told = 0;
	return is_new || !me->run_is_told;
}

bool obs_wants_stack(const struct obs_told *t, struct os_context *me)
{
	switch (t->kind) {
	case OBS_RUN_ENTER:
	case OBS_RUN_EXIT:
		return wants_run(t, me);
	case OBS_REQUEST:
		return t->result < 0 && !me->call_is_told;
	case OBS_CONVERT:
	case OBS_VM_CONVERT:
	case OBS_ASKED:
	case OBS_BIND:
	case OBS_SLOT:
	case OBS_SLOT_HOST:
	case OBS_VM_MADE:
	case OBS_VCPU_MADE:
	case OBS_FILE_MADE:
		return !me->call_is_told;
	case OBS_REFUSAL:
	case OBS_PUNCH:
	case OBS_ALLOCATE:
	case OBS_DISCARD:
		return true;
	default:
		return false;
	}
}

void obs_stack_put(struct obs_region *r, struct os_context *me, uint64_t n)
{
	struct obs_stack *s = obs_stack_at(r, atomic_fetch_add(&r->next_stack, 1));
	uint32_t state = OBS_STACK_FREE;

	if (!atomic_compare_exchange_strong(&s->state, &state, OBS_STACK_TAKEN)) {
		atomic_fetch_add_explicit(&r->stacks_lost, 1, memory_order_relaxed);
		return;
	}
	s->number = n;
	s->frame = me->frame;
	s->size = copy(s->bytes, me->frame);
	atomic_store_explicit(&s->state, OBS_STACK_FILLED, memory_order_release);
	me->call_is_told = 1;
}
