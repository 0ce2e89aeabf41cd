/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/explain.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kvm/profile.h"

/* ---- lists in text ------------------------------------------------------------------------------ */

/* The next word of a list, between spaces and commas; NULL at its end. */
static const char *next_word(const char **at, size_t *len)
{
	const char *word = *at + strspn(*at, " ,");

	*len = strcspn(word, " ,");
	*at = word + *len;
	return *len ? word : NULL;
}

static bool is_word(const char *word, size_t len, const char *text)
{
	return strlen(text) == len && !memcmp(word, text, len);
}

static bool has_word(const char *list, const char *wanted)
{
	const char *word;
	size_t len;

	while ((word = next_word(&list, &len)))
		if (is_word(word, len, wanted))
			return true;
	return false;
}

/* ---- names -------------------------------------------------------------------------------------- */

const struct explain_request *explain_find_request(const char *name)
{
	for (size_t i = 0; i < explain_nr_requests; i++)
		if (!strcasecmp(explain_requests[i].name, name))
			return &explain_requests[i];
	return NULL;
}

const struct explain_entry *explain_find(const char *id)
{
	for (const struct explain_table *const *t = explain_tables; *t; t++)
		for (size_t i = 0; i < (*t)->nr; i++)
			if (!strcasecmp((*t)->entries[i].id, id))
				return &(*t)->entries[i];
	return NULL;
}

/* ---- kernels ------------------------------------------------------------------------------------ */

/* 6.18: 6018. Profiles that convert in place are made from the newest. */
static unsigned int version_of(const char *text)
{
	char *end;
	unsigned long major = strtoul(text, &end, 10);

	return (unsigned int)(major * 1000 + (*end == '.' ? strtoul(end + 1, NULL, 10) : 0));
}

static unsigned int profile_version(const struct kvm_profile *p)
{
	if (p->kernel)
		return version_of(p->kernel);
	return strncmp(p->name, "linux-", 6) ? UINT32_MAX : version_of(p->name + 6);
}

bool explain_holds(const struct explain_entry *e, const struct kvm_profile *p)
{
	if (!p || !e->since || !strcmp(e->since, "any") || !strcmp(e->since, "gmem"))
		return true;
	if (!strncmp(e->since, "in ", 3))
		return has_word(e->since + 3, p->name);
	/* "6.8 restrictedmem-v10": and in profiles of its own. */
	return version_of(e->since) <= profile_version(p) ||
	       has_word(e->since + strcspn(e->since, " "), p->name);
}

/* One part of "EEXIST, EINVAL in linux-6.12 linux-6.18": its errno, and where it ends. */
struct part {
	const char *error, *end;
	size_t len;
	bool some; /* of some profiles alone: the list before end */
	const char *profiles;
};

static bool next_part(const char **at, struct part *part)
{
	const char *p = *at + strspn(*at, " ,");

	part->error = p;
	part->len = strcspn(p, " ,");
	if (!part->len)
		return false;
	part->end = p + strcspn(p, ",");
	part->profiles = p + part->len;
	part->some = !strncmp(part->profiles, " in ", 4);
	*at = part->end;
	return true;
}

static bool part_names(const struct part *part, const struct kvm_profile *p)
{
	const char *at = part->profiles + 4, *word;
	size_t len;

	if (!part->some)
		return false;
	while (at < part->end && (word = next_word(&at, &len)) && word < part->end)
		if (is_word(word, len, p->name))
			return true;
	return false;
}

static bool is_special(const char *errors, const struct kvm_profile *p)
{
	struct part part;

	while (next_part(&errors, &part))
		if (part_names(&part, p))
			return true;
	return false;
}

/* Where some part names the profile, that one holds; else those that name none. */
static bool part_holds(const struct part *part, const char *errors, const struct kvm_profile *p)
{
	if (!p)
		return true;
	return is_special(errors, p) ? part_names(part, p) : !part->some;
}

bool explain_gives(const struct explain_entry *e, const char *error, const struct kvm_profile *p)
{
	const char *at = e->errors;
	struct part part;

	while (at && next_part(&at, &part))
		if (strlen(error) == part.len && !strncasecmp(error, part.error, part.len) &&
		    part_holds(&part, e->errors, p))
			return true;
	return false;
}

void explain_errors(const struct explain_entry *e, const struct kvm_profile *p, char *text,
		    size_t size)
{
	const char *at = e->errors;
	struct part part;
	size_t used = 0;

	text[0] = '\0';
	while (at && next_part(&at, &part)) {
		/* Without a profile, the profiles are told, too. */
		size_t len = p ? part.len : (size_t)(part.end - part.error);

		if (!part_holds(&part, e->errors, p) || used + len + 3 > size)
			continue;
		if (used) {
			memcpy(text + used, ", ", 2);
			used += 2;
		}
		memcpy(text + used, part.error, len);
		used += len;
		text[used] = '\0';
	}
}

bool explain_is_error(const char *name)
{
	for (const struct explain_table *const *t = explain_tables; *t; t++)
		for (size_t i = 0; i < (*t)->nr; i++)
			if (explain_gives(&(*t)->entries[i], name, NULL))
				return true;
	return false;
}

/* ---- requests ----------------------------------------------------------------------------------- */

static bool set_has(const char *set, size_t len, const struct explain_request *r)
{
	char of[16];

	if (is_word(set, len, "*IN"))
		return r->copy == EXPLAIN_IN || r->copy == EXPLAIN_INOUT;
	/* Those of guest_memfds and others that copy by themselves are named. */
	if (is_word(set, len, "*OUT"))
		return r->copy == EXPLAIN_OUT || r->copy == EXPLAIN_INOUT;
	if (len >= sizeof(of))
		return false;
	memcpy(of, set + 1, len - 1);
	of[len - 1] = '\0';
	return has_word(r->of, of);
}

bool explain_belongs(const struct explain_entry *e, const struct explain_request *r)
{
	const char *at = e->requests, *word;
	size_t len;

	while (at && (word = next_word(&at, &len)))
		if (*word == '*' ? set_has(word, len, r) : is_word(word, len, r->name))
			return true;
	return false;
}

/* ---- names that are nearly right ---------------------------------------------------------------- */

#define NAME_MAX_LEN 48

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static char upper(char c)
{
	return (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
}

/* How many letters must be put in, left out or changed. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_LEN + 1], len = least(strlen(b), NAME_MAX_LEN);

	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; *a; a++, i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			size_t changed = diagonal + (upper(*a) != upper(b[j - 1]));

			diagonal = row[j];
			row[j] = least(least(row[j], row[j - 1]) + 1, changed);
		}
	}
	return row[len];
}

struct nearest {
	const char **names;
	size_t *how_far;
	size_t nr, max;
};

static void consider(struct nearest *n, const char *wanted, const char *name)
{
	/* One that has it in it is near, whatever its length. */
	size_t far = strcasestr(name, wanted) ? 1 : distance(wanted, name), i;

	if (far > 2 + strlen(wanted) / 4)
		return;
	if (n->nr == n->max && n->how_far[n->max - 1] <= far)
		return;
	if (n->nr < n->max)
		n->nr++;
	for (i = n->nr - 1; i > 0 && n->how_far[i - 1] > far; i--) {
		n->names[i] = n->names[i - 1];
		n->how_far[i] = n->how_far[i - 1];
	}
	n->names[i] = name;
	n->how_far[i] = far;
}

size_t explain_near(const char *name, const char **near, size_t max)
{
	size_t how_far[8] = { 0 };
	struct nearest n = { near, how_far, 0, least(max, 8) };

	if (strlen(name) < 2)
		return 0;
	for (size_t i = 0; i < explain_nr_requests; i++)
		consider(&n, name, explain_requests[i].name);
	for (const struct explain_table *const *t = explain_tables; *t; t++)
		for (size_t i = 0; i < (*t)->nr; i++)
			consider(&n, name, (*t)->entries[i].id);
	return n.nr;
}
