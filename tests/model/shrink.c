/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shrink.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TRIES 6000

struct search {
	const struct setting *s;
	struct program *p;
	struct difference *d;
	int *status;
	enum verdict wanted;
	enum op_kind kind; /* of the call that differs */
	unsigned int tries;
};

/* Does it still go wrong, and in the same call? */
static bool fails(struct search *x, const struct program *p)
{
	struct difference d;
	enum verdict v;
	int status;

	if (x->tries++ > MAX_TRIES)
		return false;
	v = compare_alone(x->s, p, &d, &status);
	if (v != x->wanted || (v == DIFFERS && d.kind != x->kind))
		return false;
	*x->d = d;
	*x->status = status;
	return true;
}

/* ---- fewer calls ------------------------------------------------------------------------------- */

static bool drop(struct search *x, size_t first, size_t nr)
{
	struct program *p = x->p, less = { 0 };

	for (size_t i = 0; i < p->nr; i++) {
		if (i < first || i >= first + nr)
			program_add(&less, &p->ops[i]);
	}
	if (!less.nr || !fails(x, &less)) {
		program_free(&less);
		return false;
	}
	program_free(p);
	*p = less;
	return true;
}

static bool drop_some(struct search *x, size_t nr)
{
	bool any = false;

	/* From the end: what a call needs comes before it. */
	for (size_t at = x->p->nr; at > 0;) {
		size_t first = at > nr ? at - nr : 0;

		any |= drop(x, first, at - first);
		at = first < x->p->nr ? first : x->p->nr;
	}
	return any;
}

/* ---- simpler calls ----------------------------------------------------------------------------- */

static bool try_value(struct search *x, uint64_t *field, uint64_t value)
{
	uint64_t was = *field;

	if (was == value)
		return false;
	*field = value;
	if (fails(x, x->p))
		return true;
	*field = was;
	return false;
}

static bool simplify_field(struct search *x, uint64_t *field)
{
	if (!*field)
		return false;
	return try_value(x, field, 0) || try_value(x, field, 1) ||
	       (*field > PAGE && try_value(x, field, PAGE)) ||
	       (*field > GUEST_BASE && try_value(x, field, GUEST_BASE)) ||
	       (*field > 3 && *field < GUEST_BASE &&
		try_value(x, field, *field < PAGE ? *field / 2 : *field / 2 / PAGE * PAGE));
}

static bool simplify(struct search *x)
{
	bool any = false;
	uint64_t *field;

	for (size_t i = 0; i < x->p->nr; i++) {
		for (unsigned int n = 0; (field = op_field(&x->p->ops[i], n)); n++)
			any |= simplify_field(x, field);
	}
	return any;
}

enum verdict shrink(const struct setting *s, struct program *p, struct difference *d, int *status)
{
	struct search x = { .s = s, .p = p, .d = d, .status = status };
	bool any = true;

	x.wanted = compare_alone(s, p, d, status);
	x.kind = d->kind;
	if (x.wanted == SAME || x.wanted == NO_PROGRAM || x.wanted == NO_ANSWER)
		return x.wanted;
	if (x.wanted == DIFFERS)
		p->nr = d->at + 1;
	for (unsigned int round = 0; any && round < 4; round++) {
		any = false;
		for (size_t nr = p->nr / 2; nr; nr /= 2)
			any |= drop_some(&x, nr);
		any |= simplify(&x);
	}
	return x.wanted;
}
