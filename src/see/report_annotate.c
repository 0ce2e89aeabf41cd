/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* "::warning file=vmm.c,line=12,title=gmem L3::what it is". */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "see/names.h"
#include "see/policy.h"
#include "see/report.h"

/* What would end the message or the property is written by its number. */
static void put(const char *text, bool in_property, FILE *to)
{
	for (; *text; text++) {
		if (strchr("%\r\n", *text) || (in_property && strchr(":,", *text)))
			fprintf(to, "%%%02X", (unsigned char)*text);
		else
			fputc(*text, to);
	}
}

static const char *below(const char *path, const char *root)
{
	size_t len = root ? strlen(root) : 0;

	if (len && !strncmp(path, root, len) && path[len] == '/')
		return path + len + 1;
	return path;
}

struct note {
	const char *level, *file, *title, *message;
	unsigned int line;
};

static void put_note(const struct note *n, const char *root, FILE *to)
{
	fprintf(to, "::%s ", n->level);
	if (n->file) {
		fputs("file=", to);
		put(below(n->file, root), true, to);
		fprintf(to, ",line=%u,", n->line);
	}
	fputs("title=", to);
	put(n->title, true, to);
	fputs("::", to);
	put(n->message, false, to);
	fputc('\n', to);
}

static void annotate_findings(const struct report *rep, const struct policy *p, const char *root,
			      FILE *to)
{
	char title[32], message[1000], where[700];

	for (size_t i = 0; i < rep->nr_findings; i++) {
		const struct report_finding *f = &rep->findings[i];
		struct note n = { .level = policy_forbids_code(p, f->code) ? "error" : "warning",
				  .file = f->file,
				  .line = f->line,
				  .title = title,
				  .message = message };

		if (f->suppressed)
			continue;
		report_finding_text(f, where, sizeof(where));
		snprintf(title, sizeof(title), "gmem %s", f->code);
		snprintf(message, sizeof(message), "%s (%s)", f->sentence, where);
		put_note(&n, root, to);
	}
}

/* Programs try what a kernel can do: only those that must not be are worth a note. */
static void annotate_refusals(const struct report *rep, const struct policy *p, const char *root,
			      FILE *to)
{
	char title[96], message[700], where[300];

	for (size_t i = 0; i < rep->nr_refusals; i++) {
		const struct report_refusal *r = &rep->refusals[i];
		const char *request = r->request ? see_request(r->request) : NULL;
		const char *rule = see_rule(r->rule), *error = see_errno(r->result);
		const char *sentence = see_rule_text(r->rule);
		struct note n = { .level = "error",
				  .file = r->where.file,
				  .line = r->where.line,
				  .title = title,
				  .message = message };

		if (!policy_forbids_rule(p, r->rule))
			continue;
		see_place_text(&r->where, where, sizeof(where));
		snprintf(title, sizeof(title), "gmem %s", rule ? rule : "refusal");
		snprintf(message, sizeof(message), "%s%s%s: %s (%s, %" PRIu64 " time%s)",
			 error ? error : "refused", request ? ": " : "", request ? request : "",
			 sentence ? sentence : "?", where, r->nr, r->nr == 1 ? "" : "s");
		put_note(&n, root, to);
	}
}

/* Those with no place. */
static void annotate_policies(const struct report *rep, const struct policy *p, FILE *to)
{
	char title[96], message[256];

	for (size_t i = 0; i < p->nr; i++) {
		const struct policy_item *item = &p->items[i];
		struct note n = { .level = "error", .title = title, .message = message };

		if ((item->kind != POLICY_LOST && item->kind != POLICY_TWICE) ||
		    !policy_is_broken(item, rep, message, sizeof(message)))
			continue;
		snprintf(title, sizeof(title), "gmem --fail-on %s", item->name);
		put_note(&n, NULL, to);
	}
}

void report_annotate(const struct report *rep, const struct policy *p, const char *root, FILE *to)
{
	annotate_findings(rep, p, root, to);
	annotate_refusals(rep, p, root, to);
	annotate_policies(rep, p, to);
}
