/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FIELDS 10
#define FIELD(name) offsetof(struct op, name)

static const struct {
	const char *name;
	size_t offset;
} fields[] = {
	{ "vm", FIELD(vm) },	       { "vcpu", FIELD(vcpu) },
	{ "type", FIELD(type) },       { "id", FIELD(id) },
	{ "flags", FIELD(flags) },     { "gpa", FIELD(gpa) },
	{ "size", FIELD(size) },       { "area", FIELD(area) },
	{ "at", FIELD(at) },	       { "file", FIELD(file) },
	{ "offset", FIELD(offset) },   { "attributes", FIELD(attributes) },
	{ "mode", FIELD(mode) },       { "fn", FIELD(fn) },
	{ "word", FIELD(word) },       { "n", FIELD(n) },
	{ "value", FIELD(value) },     { "pin", FIELD(pin) },
	{ "to_area", FIELD(to_area) }, { "to", FIELD(to) },
};
#define NR_FIELDS (sizeof(fields) / sizeof(fields[0]))

static const struct {
	const char *name, *fields;
} kinds[NR_OPS] = {
	[OP_VM] = { "vm", "vm type n" },
	[OP_END] = { "end", "vm" },
	[OP_FILE] = { "file", "file vm size flags" },
	[OP_CLOSE] = { "close", "file" },
	[OP_DUP] = { "dup", "file n" },
	[OP_SLOT] = { "slot", "vm id flags gpa size area at file offset n" },
	[OP_ATTR] = { "attr", "vm gpa size attributes flags" },
	[OP_CONVERT] = { "convert", "file offset size attributes flags n" },
	[OP_FALLOC] = { "falloc", "file mode offset size" },
	[OP_MAP] = { "map", "area at file offset n" },
	[OP_UNMAP] = { "unmap", "area at n" },
	[OP_DISCARD] = { "discard", "area at n" },
	[OP_MOVE] = { "move", "area at n to_area to" },
	[OP_PEEK] = { "peek", "area at word" },
	[OP_POKE] = { "poke", "area at word value" },
	[OP_DIGEST] = { "digest", "area at n" },
	[OP_RUN] = { "run", "vm vcpu fn gpa word n value" },
	[OP_RESUME] = { "resume", "vm vcpu" },
	[OP_PREFAULT] = { "prefault", "vm vcpu gpa size flags" },
	[OP_LOG] = { "log", "vm id" },
	[OP_CLEAR] = { "clear", "vm id offset n value" },
	[OP_ENABLE] = { "enable", "vm n value flags" },
	[OP_CAP] = { "cap", "vm n" },
	[OP_PIN] = { "pin", "pin area at n" },
	[OP_UNPIN] = { "unpin", "pin" },
};

static const char *const fns[NR_FNS] = { "read", "write", "add", "hypercall", "out" };

const char *op_name(enum op_kind kind)
{
	return kinds[kind].name;
}

/* ---- fields ------------------------------------------------------------------------------------ */

static size_t field_named(const char *name, size_t length)
{
	for (size_t i = 0; i < NR_FIELDS; i++) {
		if (strlen(fields[i].name) == length && !memcmp(fields[i].name, name, length))
			return i;
	}
	return NR_FIELDS;
}

/* The index-th field of a kind, or NR_FIELDS. */
static size_t field_of(enum op_kind kind, unsigned int index)
{
	const char *at = kinds[kind].fields;

	for (; *at; at += *at == ' ') {
		size_t length = strcspn(at, " ");

		if (!index--)
			return field_named(at, length);
		at += length;
	}
	return NR_FIELDS;
}

static uint64_t *place(struct op *op, size_t field)
{
	return (uint64_t *)((char *)op + fields[field].offset);
}

uint64_t *op_field(struct op *op, unsigned int index)
{
	size_t field = field_of(op->kind, index);

	return field == NR_FIELDS ? NULL : place(op, field);
}

/* ---- out --------------------------------------------------------------------------------------- */

const char *op_text(const struct op *op, char *text)
{
	struct op copy = *op;
	int n = snprintf(text, OP_TEXT, "%s", kinds[op->kind].name);
	size_t field;

	for (unsigned int i = 0; (field = field_of(op->kind, i)) < NR_FIELDS; i++) {
		uint64_t value = *place(&copy, field);

		if (value && fields[field].offset == FIELD(fn) && value < NR_FNS)
			n += snprintf(text + n, OP_TEXT - (size_t)n, " fn=%s", fns[value]);
		else if (value)
			n += snprintf(text + n, OP_TEXT - (size_t)n,
				      value < 10 ? " %s=%llu" : " %s=0x%llx", fields[field].name,
				      (unsigned long long)value);
	}
	return text;
}

static const char *result_text(int64_t ret)
{
	if (ret == ANSWER_SIGBUS)
		return "SIGBUS";
	if (ret == ANSWER_SIGSEGV)
		return "SIGSEGV";
	if (ret == ANSWER_UNDEFINED)
		return "not asked";
	return ret < 0 && ret > -4096 ? strerrorname_np((int)-ret) : NULL;
}

const char *answer_text(const struct answer *a, char *text)
{
	const struct {
		const char *name;
		uint64_t value;
	} words[] = {
		{ "exit", a->exit }, { "a", a->a },	    { "b", a->b },
		{ "c", a->c },	     { "value", a->value }, { "at", a->at },
	};
	const char *name = result_text(a->ret);
	int n = name ? snprintf(text, OP_TEXT, "%s", name)
		     : snprintf(text, OP_TEXT, "%lld", (long long)a->ret);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (words[i].value)
			n += snprintf(text + n, OP_TEXT - (size_t)n, " %s=0x%llx", words[i].name,
				      (unsigned long long)words[i].value);
	}
	return text;
}

bool program_write(const struct program *p, const char *path, const char *head)
{
	FILE *f = fopen(path, "w");
	char text[OP_TEXT];

	if (!f) {
		perror(path);
		return false;
	}
	fprintf(f, "%s", head);
	for (size_t i = 0; i < p->nr; i++)
		fprintf(f, "%s\n", op_text(&p->ops[i], text));
	return fclose(f) == 0;
}

/* ---- in ---------------------------------------------------------------------------------------- */

void program_add(struct program *p, const struct op *op)
{
	if (p->nr == p->room) {
		p->room = p->room ? 2 * p->room : 64;
		p->ops = realloc(p->ops, p->room * sizeof(*op));
		if (!p->ops)
			abort();
	}
	p->ops[p->nr++] = *op;
}

void program_free(struct program *p)
{
	free(p->ops);
	*p = (struct program){ 0 };
}

static bool read_value(struct op *op, size_t field, const char *text)
{
	char *end;

	if (fields[field].offset == FIELD(fn)) {
		for (unsigned int i = 0; i < NR_FNS; i++) {
			if (!strcmp(text, fns[i])) {
				op->fn = i;
				return true;
			}
		}
	}
	errno = 0;
	*place(op, field) = strtoull(text, &end, 0);
	return !errno && end != text && !*end;
}

static bool read_words(struct op *op, char *line)
{
	char *rest, *word = strtok_r(line, " \t\n", &rest);
	unsigned int kind;

	for (kind = 0; kind < NR_OPS && strcmp(word, kinds[kind].name); kind++)
		;
	if (kind == NR_OPS)
		return false;
	*op = (struct op){ .kind = (enum op_kind)kind };
	while ((word = strtok_r(NULL, " \t\n", &rest))) {
		size_t length = strcspn(word, "="), field = field_named(word, length);

		if (field == NR_FIELDS || !word[length] ||
		    !read_value(op, field, word + length + 1))
			return false;
	}
	return true;
}

static bool read_lines(struct program *p, FILE *f, const char *path)
{
	char line[OP_TEXT];
	struct op op;

	for (unsigned int nr = 1; fgets(line, sizeof(line), f); nr++) {
		line[strcspn(line, "#\n")] = 0;
		if (!line[strspn(line, " \t")])
			continue;
		if (!read_words(&op, line)) {
			fprintf(stderr, "%s:%u: no call of the model's\n", path, nr);
			return false;
		}
		program_add(p, &op);
	}
	return true;
}

bool program_read(struct program *p, const char *path)
{
	FILE *f = fopen(path, "r");
	bool ok;

	if (!f) {
		perror(path);
		return false;
	}
	ok = read_lines(p, f, path);
	fclose(f);
	return ok;
}
