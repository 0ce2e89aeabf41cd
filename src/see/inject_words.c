/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What may stand in a rule, and for which points: the table at the end of this file. */
#include "see/inject_words.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"

#define ANY UINT32_MAX
#define AT(point) (1u << INJECT_##point)
#define PAGES (AT(FAULT) | AT(GUEST) | AT(POISON))
#define COUNTED (ANY & ~AT(POISON))

bool word_is(const struct word *w, const char *text)
{
	return strlen(text) == w->size && !memcmp(w->text, text, w->size);
}

int word_problem(const struct parse *p, const struct word *w, const char *fmt, ...)
{
	va_list ap;

	p->problem->line = w->line;
	p->problem->column = w->column;
	va_start(ap, fmt);
	vsnprintf(p->problem->text, sizeof(p->problem->text), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* ---- values -------------------------------------------------------------------------------------- */

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 16;
}

/* Digits, decimal or by 0x; how many characters, 0: there is no number, or one that is too large. */
static size_t scan(const struct word *w, size_t from, uint64_t *value)
{
	size_t i = from;
	uint64_t base = 10, n = 0;

	if (w->size - i > 2 && w->text[i] == '0' && (w->text[i + 1] | 32) == 'x') {
		base = 16;
		i += 2;
	}
	if (i == w->size || (uint64_t)digit_of(w->text[i]) >= base)
		return 0;
	for (; i < w->size && (uint64_t)digit_of(w->text[i]) < base; i++) {
		uint64_t digit = (uint64_t)digit_of(w->text[i]);

		if (n > (UINT64_MAX - digit) / base)
			return 0;
		n = n * base + digit;
	}
	*value = n;
	return i - from;
}

/* The same with K, M, G or T behind it. */
static size_t scan_bytes(const struct word *w, size_t from, uint64_t *value)
{
	static const char units[4] = { 'K', 'M', 'G', 'T' };
	size_t n = scan(w, from, value), at = from + n;
	const char *unit = n && at < w->size ? memchr(units, w->text[at], sizeof(units)) : NULL;
	unsigned int shift = unit ? 10 * (unsigned int)(unit - units + 1) : 0;

	if (!unit)
		return n;
	if (*value > UINT64_MAX >> shift)
		return 0;
	*value <<= shift;
	return n + 1;
}

static int number(struct parse *p, const struct word *w, uint64_t least, uint64_t most,
		  uint64_t *value)
{
	size_t n = scan(w, 0, value);

	if (n && n == w->size && *value >= least && *value <= most)
		return 0;
	if (most == UINT64_MAX)
		return word_problem(p, w, "expected a number from %llu on",
				    (unsigned long long)least);
	return word_problem(p, w, "expected a number from %llu to %llu", (unsigned long long)least,
			    (unsigned long long)most);
}

static int range(struct parse *p, const struct word *w, uint64_t *start, uint64_t *end)
{
	size_t n = scan_bytes(w, 0, start);
	bool is_length = n && n < w->size && w->text[n] == '+';
	size_t more;

	*end = *start + 1;
	if (n && n == w->size && *end)
		return 0;
	if (!n || n == w->size || (!is_length && w->text[n] != '-'))
		return word_problem(p, w, "expected ADDRESS, FIRST-END or FIRST+SIZE");
	more = scan_bytes(w, n + 1, end);
	if (is_length)
		*end += *start;
	if (more && n + 1 + more == w->size && *end > *start)
		return 0;
	return word_problem(p, w, "expected %s behind the %c",
			    is_length ? "a size" : "an end above the first address", w->text[n]);
}

static int is_of(struct parse *p, const struct word *w, uint16_t *kind)
{
	if (word_is(w, "shared"))
		*kind = INJECT_SHARED;
	else if (word_is(w, "private"))
		*kind = INJECT_PRIVATE;
	else
		return word_problem(p, w, "expected shared or private");
	return 0;
}

/* ---- words: what shall happen ------------------------------------------------------------------------ */

/* By what each can fail; all of it is 0 at the end. */
static const struct failure {
	const char *name;
	int err;
	uint32_t points;
} failures[] = {
	{ "EAGAIN", EAGAIN, AT(CONVERT) | AT(PREFAULT) },
	{ "EBUSY", EBUSY, AT(PUNCH) },
	{ "EFAULT", EFAULT, AT(FAULT) },
	{ "EINTR", EINTR, AT(CONVERT) | AT(PUNCH) | AT(ALLOCATE) | AT(RUN) | AT(PREFAULT) },
	{ "EIO", EIO, AT(PUNCH) | AT(FAULT) },
	{ "ENOMEM", ENOMEM, AT(CONVERT) | AT(PUNCH) | AT(ALLOCATE) | AT(FAULT) | AT(PREFAULT) },
	{ "ENOSPC", ENOSPC, AT(ALLOCATE) },
	{ NULL, 0, 0 },
};

static int fail(struct parse *p, const struct word *w)
{
	uint32_t point = 1u << p->rule->point;
	char list[64] = "";

	for (const struct failure *f = failures; f->name; f++) {
		if (!(f->points & point))
			continue;
		p->rule->action = INJECT_FAIL;
		p->rule->err = (int16_t)-f->err;
		if (word_is(w, f->name))
			return 0;
		strcat(strcat(list, *list ? ", " : ""), f->name);
	}
	return word_problem(p, w, "%s can fail by %s", see_inject_point(p->rule->point), list);
}

static int leave(struct parse *p, const struct word *w)
{
	if (word_is(w, "intr"))
		p->rule->action = INJECT_EXIT_INTR;
	else if (word_is(w, "memory-fault"))
		p->rule->action = INJECT_EXIT_MEMORY_FAULT;
	else if (word_is(w, "spurious"))
		p->rule->action = INJECT_EXIT_ANY;
	else
		return word_problem(p, w, "expected intr, memory-fault or spurious");
	return 0;
}

static int touch(struct parse *p, const struct word *w)
{
	uint16_t kind = INJECT_ANY_KIND;
	int err = is_of(p, w, &kind);

	if (!err)
		p->rule->action =
			kind == INJECT_PRIVATE ? INJECT_TOUCH_PRIVATE : INJECT_TOUCH_SHARED;
	return err;
}

static int delay(struct parse *p, const struct word *w)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
	uint64_t n;
	size_t used = scan(w, 0, &n);
	struct word unit = { .text = w->text + used, .size = w->size - used };

	for (size_t i = 0; used && i < sizeof(units) / sizeof(units[0]); i++) {
		if (!word_is(&unit, units[i].name) || n > 60000000000ull / units[i].ns)
			continue;
		p->rule->action = INJECT_DELAY;
		p->rule->value = n * units[i].ns;
		return 0;
	}
	return word_problem(p, w,
			    "expected a time with its unit, as 5ms: ns, us, ms or s, up to 60s");
}

static int fall_short(struct parse *p, const struct word *w)
{
	p->rule->action = INJECT_SHORT;
	return number(p, w, 1, UINT32_MAX, &p->rule->value);
}

static int error_offset(struct parse *p, const struct word *w)
{
	if (!w->size || scan_bytes(w, 0, &p->rule->value) != w->size)
		return word_problem(p, w, "expected an offset in the guest_memfd");
	return 0;
}

/* ---- words: of what ------------------------------------------------------------------------------------ */

static int small(struct parse *p, const struct word *w, uint64_t least, uint16_t *value)
{
	uint64_t n;
	int err = number(p, w, least, UINT16_MAX - 1, &n);

	if (!err)
		*value = (uint16_t)n;
	return err;
}

static int of_vm(struct parse *p, const struct word *w)
{
	return small(p, w, 1, &p->rule->vm);
}

static int of_file(struct parse *p, const struct word *w)
{
	return small(p, w, 1, &p->rule->file);
}

static int of_vcpu(struct parse *p, const struct word *w)
{
	uint16_t n = 0;
	int err = small(p, w, 0, &n);

	p->rule->vcpu = n;
	return err;
}

static int of_slot(struct parse *p, const struct word *w)
{
	uint16_t n = 0;
	int err = small(p, w, 0, &n);

	p->rule->slot = n;
	return err;
}

static int at_gpa(struct parse *p, const struct word *w)
{
	return range(p, w, &p->rule->gpa, &p->rule->gpa_end);
}

static int at_offset(struct parse *p, const struct word *w)
{
	return range(p, w, &p->rule->offset, &p->rule->offset_end);
}

static int of_kind(struct parse *p, const struct word *w)
{
	return is_of(p, w, &p->rule->kind);
}

static int of_profile(struct parse *p, const struct word *w)
{
	char pattern[64];

	if (!w->size || w->size >= sizeof(pattern))
		return word_problem(p, w, "expected the name of a profile, or a pattern of such");
	memcpy(pattern, w->text, w->size);
	pattern[w->size] = 0;
	p->is_left_out |= fnmatch(pattern, p->profile, 0) != 0;
	return 0;
}

/* ---- words: which of them -------------------------------------------------------------------------------- */

static int after(struct parse *p, const struct word *w)
{
	return number(p, w, 0, UINT64_MAX, &p->rule->after);
}

static int nth(struct parse *p, const struct word *w)
{
	return number(p, w, 1, UINT64_MAX, &p->rule->nth);
}

static int every(struct parse *p, const struct word *w)
{
	return number(p, w, 1, UINT64_MAX, &p->rule->every);
}

static int count(struct parse *p, const struct word *w)
{
	return number(p, w, 1, UINT64_MAX, &p->rule->count);
}

static int chance(struct parse *p, const struct word *w)
{
	struct inject_rule *r = p->rule;
	size_t n = scan(w, 0, &r->chance);

	if (n && n < w->size && w->text[n] == '/' &&
	    n + 1 + scan(w, n + 1, &r->chance_of) == w->size && r->chance_of && r->chance &&
	    r->chance <= r->chance_of)
		return 0;
	return word_problem(p, w, "expected a chance above 0 and up to 1, as 1/50");
}

/* ---- all of them -------------------------------------------------------------------------------------------- */

static const struct known {
	const char *name;
	uint32_t points;
	int (*apply)(struct parse *p, const struct word *value);
} known[] = {
	{ "fail", AT(CONVERT) | AT(PUNCH) | AT(ALLOCATE) | AT(RUN) | AT(FAULT) | AT(PREFAULT),
	  fail },
	{ "exit", AT(RUN), leave },
	{ "touch", AT(GUEST), touch },
	{ "delay", AT(SHOOTDOWN), delay },
	{ "short", AT(PREFAULT), fall_short },
#define NR_ACTIONS 5
	{ "error_offset", AT(CONVERT), error_offset },
	{ "vm", ANY, of_vm },
	{ "vcpu", PAGES | AT(RUN) | AT(HYPERCALL) | AT(PREFAULT), of_vcpu },
	{ "file", PAGES | AT(CONVERT) | AT(PUNCH) | AT(ALLOCATE), of_file },
	{ "slot", PAGES, of_slot },
	{ "gpa", PAGES | AT(CONVERT) | AT(HYPERCALL) | AT(PREFAULT), at_gpa },
	{ "offset", PAGES | AT(CONVERT) | AT(PUNCH) | AT(ALLOCATE), at_offset },
	{ "to", AT(CONVERT) | AT(HYPERCALL), of_kind },
	{ "page", AT(FAULT) | AT(POISON), of_kind },
	{ "profile", ANY, of_profile },
	{ "after", COUNTED, after },
	{ "nth", COUNTED, nth },
	{ "every", COUNTED, every },
	{ "count", COUNTED, count },
	{ "chance", ANY, chance },
	{ NULL, 0, NULL },
};

static void list_known(const struct parse *p, char *list, size_t size)
{
	size_t used = 0;

	for (const struct known *k = known; k->name; k++) {
		if (k->points >> p->rule->point & 1)
			used += (size_t)snprintf(list + used, size - used, "%s%s=", used ? " " : "",
						 k->name);
	}
}

int word_apply(struct parse *p, const struct word *name, const struct word *value, bool is_bare)
{
	const char *point = see_inject_point(p->rule->point);
	const struct known *k = known;
	uint64_t bit;
	char list[160];

	while (k->name && !word_is(name, k->name))
		k++;
	if (!k->name || !(k->points >> p->rule->point & 1)) {
		list_known(p, list, sizeof(list));
		return word_problem(p, name, "%s: expected one of %s", point, list);
	}
	if (is_bare)
		return word_problem(p, name, "expected %s=VALUE", k->name);
	bit = 1ull << (k - known);
	if (p->given & bit)
		return word_problem(p, name, "%s= is there already", k->name);
	p->given |= bit;
	return k->apply(p, value);
}

static bool is_given(const struct parse *p, const char *name)
{
	const struct known *k = known;

	while (strcmp(k->name, name) != 0)
		k++;
	return p->given >> (k - known) & 1;
}

/* The actions that a point knows; those of which there is only one need no word. */
static int finish_action(struct parse *p, const struct word *first)
{
	struct inject_rule *r = p->rule;
	uint64_t actions = p->given & ((1u << NR_ACTIONS) - 1);
	char list[64] = "";

	if (r->point == INJECT_HYPERCALL)
		r->action = INJECT_IMPLICIT;
	if (r->point == INJECT_POISON) {
		r->action = INJECT_FAIL;
		r->err = -EHWPOISON;
	}
	if (r->action != INJECT_NOTHING && !(actions & (actions - 1)))
		return 0;
	for (const struct known *k = known; k < known + NR_ACTIONS; k++) {
		if (k->points >> r->point & 1)
			strcat(strcat(strcat(list, *list ? " or " : ""), k->name), "=");
	}
	return word_problem(p, first, "%s: expected %s%s", see_inject_point(r->point),
			    actions ? "only one of " : "", list);
}

int word_finish(struct parse *p, const struct word *first)
{
	struct inject_rule *r = p->rule;
	int err = finish_action(p, first);

	if (err)
		return err;
	if (r->nth && r->every)
		return word_problem(p, first, "nth= and every= exclude each other");
	if (is_given(p, "error_offset") && r->err != -EAGAIN)
		return word_problem(p, first, "error_offset= goes with fail=EAGAIN");
	if (is_given(p, "gpa") && is_given(p, "offset") && r->point == INJECT_CONVERT)
		return word_problem(p, first, "a conversion has a gpa or an offset, never both");
	if (r->point == INJECT_CONVERT && !is_given(p, "error_offset"))
		r->value = is_given(p, "offset") ? r->offset : INJECT_NOWHERE;
	return 0;
}
