/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* L8 and L9: calls that follow each other on a thread. */
#include <errno.h>
#include <string.h>

#include "see/lint_state.h"

/* From so many on it is a loop. */
#define LOOP_PAGES 8u
#define AGAIN_TIMES 8u
/* Who lets more time pass than this has waited. */
#define HOT_US 100u

/* ---- L8 ---------------------------------------------------------------------------------------------- */

void lint_loop_ends(struct lint *l, struct lint_thread *t)
{
	if (t->loop.nr >= LOOP_PAGES)
		lint_found(l, &(struct lint_finding){ .code = 8,
						      .process = t->process,
						      .caller = t->loop.caller,
						      .nr = 1,
						      .bytes = t->loop.nr * LINT_PAGE,
						      .gpa = t->loop.gpa,
						      .vm = t->loop.vm });
	memset(&t->loop, 0, sizeof(t->loop));
}

static uint64_t nr_asked(struct lint *l, const struct obs_record *r)
{
	struct lint_file *f = r->file ? lint_file(l, r->process, r->file) : NULL;
	uint16_t number = f ? f->vm : r->vm;
	struct lint_vm *vm = number ? lint_vm(l, r->process, number) : NULL;

	return vm ? vm->nr_asked : 0;
}

static bool goes_on(const struct lint_thread *t, const struct obs_record *r, uint64_t asked)
{
	return t->loop.nr && t->loop.caller == obs_record_caller(r) && t->loop.file == r->file &&
	       t->loop.vm == r->vm && t->loop.is_private == (r->c != 0) &&
	       t->loop.nr_asked == asked && (r->a == t->loop.up || r->a + r->b == t->loop.down);
}

/* Whoever was refused a larger range may look for the page that is the reason. */
void lint_loop_asked(struct lint *l, struct lint_thread *t, const struct obs_record *r)
{
	bool excused = t->loop.excused || (r->result && r->b > LINT_PAGE);
	uint64_t asked = nr_asked(l, r);

	if (r->result || r->b != LINT_PAGE || excused) {
		lint_loop_ends(l, t);
		t->loop.excused = excused;
		return;
	}
	if (!goes_on(t, r, asked)) {
		lint_loop_ends(l, t);
		t->loop.gpa = t->loop.down = r->a;
		t->loop.up = r->a + r->b;
	}
	t->loop.caller = obs_record_caller(r);
	t->loop.file = r->file;
	t->loop.vm = r->vm;
	t->loop.is_private = r->c;
	t->loop.nr_asked = asked;
	t->loop.up = r->a == t->loop.up ? r->a + r->b : t->loop.up;
	t->loop.down = r->a + r->b == t->loop.down ? r->a : t->loop.down;
	t->loop.nr++;
}

/* ---- L9 ---------------------------------------------------------------------------------------------- */

static bool is_hot(const struct lint *l, const struct lint_thread *t, const struct obs_record *r)
{
	uint64_t limit = l->tsc_khz * HOT_US / 1000;

	return t->again.nr && t->again.request == r->a && t->again.caller == obs_record_caller(r) &&
	       (int64_t)(r->time - t->again.end) <= (int64_t)limit;
}

void lint_again_calms(struct lint *l, const struct obs_record *r)
{
	struct lint_thread *t = lint_thread(l, r);

	if (t)
		t->again.nr = 0;
}

void lint_again_unpinned(struct lint *l, const struct obs_record *r)
{
	for (size_t i = 0; i < l->nr_threads; i++) {
		struct lint_thread *t = &l->threads[i];

		if (t->process == r->process && t->again.file == r->file)
			t->again.nr = 0;
	}
}

/* All requests of a thread but KVM_RUN. */
void lint_again(struct lint *l, struct lint_thread *t, const struct obs_record *r)
{
	if (r->result != -EAGAIN) {
		t->again.nr = 0;
		return;
	}
	t->again.nr = is_hot(l, t, r) ? t->again.nr + 1 : 1;
	t->again.request = r->a;
	t->again.file = r->file;
	t->again.caller = obs_record_caller(r);
	t->again.end = r->time + obs_record_ticks(r);
	if (t->again.nr == AGAIN_TIMES)
		lint_found(l, &(struct lint_finding){ .code = 9,
						      .process = r->process,
						      .caller = t->again.caller,
						      .nr = 1,
						      .vm = r->vm });
}
