/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/inject.h"

#include "obs/obs.h"
#include "obs/region.h"
#include "os/format.h"

_Static_assert(sizeof(struct inject_table) <= OBS_INJECT_SIZE, "the table has its place");
_Static_assert(INJECT_NR_POINTS <= 32, "a bit for each");

_Atomic uint32_t obs_injected_points;
static _Atomic(struct inject_table *) injected;

/* ---- does it fit? ----------------------------------------------------------------------------- */

static bool meets(uint64_t first, uint64_t end, uint64_t at, uint64_t size)
{
	uint64_t last = at + (size ? size - 1 : 0);

	return at < end && (last < at || last >= first);
}

static bool is_about(const struct inject_rule *r, const struct inject_key *key)
{
	const struct os_context *me = os_context();

	if (r->vm && r->vm != me->vm)
		return false;
	if (r->vcpu != INJECT_ANY_VCPU && r->vcpu + 1 != me->vcpu)
		return false;
	if (r->file && r->file != (key->file ? key->file : me->file))
		return false;
	return r->kind == INJECT_ANY_KIND || r->kind == key->kind;
}

static bool is_there(const struct inject_rule *r, const struct inject_key *key)
{
	if (r->slot != INJECT_ANY_SLOT && !(key->has_slot && key->slot == (uint32_t)r->slot))
		return false;
	if (r->gpa != r->gpa_end &&
	    !(key->has_gpa && meets(r->gpa, r->gpa_end, key->gpa, key->size)))
		return false;
	return r->offset == r->offset_end ||
	       (key->has_offset && meets(r->offset, r->offset_end, key->offset, key->size));
}

/* A touch of the kind that the page has already is nothing. */
static bool would_change(const struct inject_rule *r, const struct inject_key *key)
{
	if (r->action == INJECT_TOUCH_SHARED)
		return key->kind == INJECT_PRIVATE;
	return r->action != INJECT_TOUCH_PRIVATE || key->kind == INJECT_SHARED;
}

static bool fits(const struct inject_rule *r, const struct inject_key *key)
{
	return r->point == key->point && is_about(r, key) && is_there(r, key) &&
	       would_change(r, key);
}

/* ---- is it one of those? ------------------------------------------------------------------------ */

/* splitmix64: every bit of the result depends on every bit of the input. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

static uint64_t draw(const struct inject_table *t, const struct inject_rule *r, uint64_t n)
{
	return mix(mix(t->seed ^ mix((uint64_t)(r - t->rules) + 7)) ^ n);
}

static bool is_drawn(const struct inject_table *t, const struct inject_rule *r, uint64_t n)
{
	return !r->chance_of || draw(t, r, n) % r->chance_of < r->chance;
}

/* Counts what is made; false when that were too many. */
static bool may_make(struct inject_rule *r)
{
	uint64_t made = os_racy_load(&r->made);

	do {
		if (r->count && made >= r->count)
			return false;
	} while (!atomic_compare_exchange_weak(&r->made, &made, made + 1));
	return true;
}

/* The event's number, from 1, or 0: it is none of those that the rule is about. */
static uint64_t pick(const struct inject_table *t, struct inject_rule *r)
{
	uint64_t n = atomic_fetch_add_explicit(&r->met, 1, memory_order_relaxed) + 1;

	if (n <= r->after)
		return 0;
	n -= r->after;
	if ((r->nth && n != r->nth) || (r->every && n % r->every))
		return 0;
	return is_drawn(t, r, n) && may_make(r) ? n : 0;
}

/* ---- it is made ---------------------------------------------------------------------------------- */

static void tell_why(const struct inject_table *t, const struct inject_rule *r, int err)
{
	char text[192];

	os_format(text, sizeof(text), "made to fail by %s:%u", t->source, r->line);
	os_log_refusal(err, obs_request_name(os_context()->request), text, "INJECTED");
}

static void tell(const struct inject_table *t, const struct inject_rule *r,
		 const struct inject_key *key, int err)
{
	uint64_t at = key->has_gpa ? key->gpa : key->offset;

	obs_span_file(OBS_INJECT, key->file, 0, err, key->point, r->line, at);
	if (!err) {
		os_log(OS_LOG_INFO, "made on purpose by %s:%u", t->source, r->line);
		return;
	}
	if (os_log_why())
		tell_why(t, r, err);
	obs_refused(err, RULE_INJECTED);
}

/* Two exits may be possible: which is drawn, beside whether. A memory fault needs a page to tell. */
static enum inject_action what_to_do(const struct inject_table *t, const struct inject_rule *r,
				     const struct inject_key *key, uint64_t n)
{
	if (r->action < INJECT_EXIT_INTR || r->action > INJECT_EXIT_ANY)
		return r->action;
	if (!key->has_gpa || (r->action == INJECT_EXIT_ANY && draw(t, r, ~n) & 1))
		return INJECT_EXIT_INTR;
	return r->action == INJECT_EXIT_INTR ? INJECT_EXIT_INTR : INJECT_EXIT_MEMORY_FAULT;
}

/* -errno that the call ends with; 0: it may well succeed. */
static int error_of(const struct inject_rule *r, enum inject_action action)
{
	switch (action) {
	case INJECT_FAIL:
		return r->err;
	case INJECT_EXIT_INTR:
		return -EINTR;
	case INJECT_EXIT_MEMORY_FAULT:
	case INJECT_TOUCH_SHARED:
	case INJECT_TOUCH_PRIVATE:
		return -EFAULT;
	default:
		return 0;
	}
}

static struct inject_table *table(uint32_t *nr)
{
	struct inject_table *t = atomic_load_explicit(&injected, memory_order_acquire);

	*nr = !t ? 0 : t->nr < INJECT_MAX_RULES ? t->nr : INJECT_MAX_RULES;
	return t;
}

bool obs_inject(const struct inject_key *key, struct inject *what)
{
	uint32_t nr;
	struct inject_table *t = table(&nr);

	for (struct inject_rule *r = t ? t->rules : NULL; nr; nr--, r++) {
		uint64_t n = fits(r, key) ? pick(t, r) : 0;

		if (!n)
			continue;
		what->action = what_to_do(t, r, key, n);
		what->err = error_of(r, what->action);
		what->value = r->value;
		tell(t, r, key, what->err);
		return true;
	}
	return false;
}

int obs_inject_error(const struct inject_key *key)
{
	struct inject what;

	return obs_inject(key, &what) ? what.err : 0;
}

bool obs_inject_poison(const struct inject_key *key, bool wanted)
{
	uint32_t nr;
	struct inject_table *t = table(&nr);
	uint64_t page = (key->has_offset ? key->offset : key->gpa) >> OS_PAGE_SHIFT;

	for (struct inject_rule *r = t ? t->rules : NULL; nr; nr--, r++) {
		if (!fits(r, key) || !is_drawn(t, r, page))
			continue;
		if (wanted) {
			atomic_fetch_add_explicit(&r->met, 1, memory_order_relaxed);
			atomic_fetch_add_explicit(&r->made, 1, memory_order_relaxed);
			tell(t, r, key, r->err);
		}
		return true;
	}
	return false;
}

/* ---- a process begins and ends ---------------------------------------------------------------------- */

void obs_inject_begin(struct obs_region *region)
{
	struct inject_table *t = obs_region_at(region, OBS_AT_INJECTION);
	uint32_t points = 0;

	if (!region->injects)
		return;
	for (uint32_t i = 0; i < t->nr && i < INJECT_MAX_RULES; i++) {
		if (t->rules[i].point < INJECT_NR_POINTS)
			points |= 1u << t->rules[i].point;
	}
	atomic_store_explicit(&injected, t, memory_order_release);
	atomic_store(&obs_injected_points, points);
}

void obs_inject_end(void)
{
	atomic_store(&obs_injected_points, 0);
	atomic_store(&injected, NULL);
}
