/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The cases as JUnit's XML and as TAP. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "see/policy.h"
#include "see/report.h"
#include "see/utf8.h"

struct output {
	const struct report *rep;
	FILE *to;
	unsigned int nr, nr_failed, nr_skipped;
};

static bool count(const struct report_case *c, void *arg)
{
	struct output *o = arg;

	o->nr++;
	o->nr_failed += c->verdict == REPORT_FAILED;
	o->nr_skipped += c->verdict == REPORT_SKIPPED;
	return true;
}

/* Calls for each finding that belongs to the case. */
static void each_finding(const struct report_case *c, struct output *o,
			 void (*put)(const char *text, FILE *to))
{
	char text[700];

	for (size_t i = 0; c->code && i < o->rep->nr_findings; i++) {
		const struct report_finding *f = &o->rep->findings[i];

		if (f->suppressed || strcmp(f->code, c->code))
			continue;
		report_finding_text(f, text, sizeof(text));
		put(text, o->to);
	}
}

/* ---- JUnit ------------------------------------------------------------------------------------------- */

/* XML has no way to write most control characters. */
static void put_escaped(const char *bytes, FILE *to)
{
	char *whole = bytes ? utf8_repair(bytes) : NULL;

	for (const char *text = whole; text && *text; text++) {
		if (*text == '&')
			fputs("&amp;", to);
		else if (*text == '<')
			fputs("&lt;", to);
		else if (*text == '>')
			fputs("&gt;", to);
		else if (*text == '"')
			fputs("&quot;", to);
		else
			fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
	}
	free(whole);
}

static void put_attribute(const char *name, const char *value, FILE *to)
{
	fprintf(to, " %s=\"", name);
	put_escaped(value, to);
	fputc('"', to);
}

static void put_property(const char *name, const char *value, FILE *to)
{
	fputs("      <property", to);
	put_attribute("name", name, to);
	put_attribute("value", value, to);
	fputs("/>\n", to);
}

static void put_properties(const struct report *rep, FILE *to)
{
	char number[24];

	fputs("    <properties>\n", to);
	put_property("simulated", "true", to);
	put_property("gmem", rep->run.gmem, to);
	put_property("profile", rep->run.profile, to);
	snprintf(number, sizeof(number), "%d", REPORT_SCHEMA);
	put_property("schema", number, to);
	for (char *const *word = rep->run.argv; word && *word; word++)
		put_property("program", *word, to);
	snprintf(number, sizeof(number), "%d", rep->status);
	put_property("status", number, to);
	snprintf(number, sizeof(number), "%" PRIu64, rep->nr_lost);
	put_property("lost", number, to);
	fputs("    </properties>\n", to);
}

static void put_xml_finding(const char *text, FILE *to)
{
	put_escaped(text, to);
	fputc('\n', to);
}

static bool put_test_case(const struct report_case *c, void *arg)
{
	struct output *o = arg;
	char class[32], name[300];

	snprintf(class, sizeof(class), "gmem.%s", c->suite);
	snprintf(name, sizeof(name), "%s: %s", c->name, c->what);
	fputs("    <testcase", o->to);
	put_attribute("classname", class, o->to);
	put_attribute("name", name, o->to);
	if (c->verdict == REPORT_PASSED) {
		fputs("/>\n", o->to);
		return true;
	}
	fprintf(o->to, ">\n      <%s", c->verdict == REPORT_FAILED ? "failure" : "skipped");
	put_attribute("message", c->message, o->to);
	if (c->verdict == REPORT_FAILED) {
		fputs(">", o->to);
		each_finding(c, o, put_xml_finding);
		fputs("</failure>", o->to);
	} else {
		fputs("/>", o->to);
	}
	fputs("\n    </testcase>\n", o->to);
	return true;
}

static void put_totals(const struct output *o, const char *element, const char *rest)
{
	fprintf(o->to,
		"<%s name=\"gmem\" tests=\"%u\" failures=\"%u\" errors=\"0\" skipped=\"%u\"%s>\n",
		element, o->nr, o->nr_failed, o->nr_skipped, rest);
}

void report_junit(const struct report *rep, const struct policy *p, FILE *to)
{
	struct output o = { .rep = rep, .to = to };
	double seconds = rep->end_ns > rep->clock.clock_ns
				 ? (double)(rep->end_ns - rep->clock.clock_ns) / 1e9
				 : 0;
	char time[40];

	report_cases(rep, p, count, &o);
	snprintf(time, sizeof(time), " time=\"%.3f\"", seconds);
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", to);
	put_totals(&o, "testsuites", time);
	fputs("  ", to);
	put_totals(&o, "testsuite", time);
	put_properties(rep, to);
	report_cases(rep, p, put_test_case, &o);
	fputs("  </testsuite>\n</testsuites>\n", to);
}

/* ---- TAP -------------------------------------------------------------------------------------------- */

/* In a description '#' begins a directive. */
static void put_plain(const char *text, FILE *to)
{
	for (; text && *text; text++) {
		if (*text == '#' || *text == '\\')
			fputc('\\', to);
		fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
	}
}

/* A YAML text in single quotes. */
static void put_quoted(const char *bytes, FILE *to)
{
	char *whole = utf8_repair(bytes);

	fputc('\'', to);
	for (const char *text = whole; text && *text; text++) {
		if (*text == '\'')
			fputc('\'', to);
		fputc((unsigned char)*text < ' ' ? ' ' : *text, to);
	}
	fputs("'\n", to);
	free(whole);
}

static void put_tap_finding(const char *text, FILE *to)
{
	fputs("    - ", to);
	put_quoted(text, to);
}

static bool put_test_point(const struct report_case *c, void *arg)
{
	struct output *o = arg;

	fprintf(o->to, "%sok %u - %s %s: ", c->verdict == REPORT_FAILED ? "not " : "", ++o->nr,
		c->suite, c->name);
	put_plain(c->what, o->to);
	if (c->verdict == REPORT_SKIPPED) {
		fputs(" # SKIP ", o->to);
		put_plain(c->message, o->to);
	}
	fputc('\n', o->to);
	if (c->verdict != REPORT_FAILED)
		return true;
	fputs("  ---\n  message: ", o->to);
	put_quoted(c->message, o->to);
	if (c->code) {
		fputs("  places:\n", o->to);
		each_finding(c, o, put_tap_finding);
	}
	fputs("  ...\n", o->to);
	return true;
}

void report_tap(const struct report *rep, const struct policy *p, FILE *to)
{
	struct output o = { .rep = rep, .to = to };

	report_cases(rep, p, count, &o);
	fprintf(to, "TAP version 14\n1..%u\n# simulated: true\n# gmem: %s, profile %s\n", o.nr,
		rep->run.gmem, rep->run.profile);
	o.nr = 0;
	report_cases(rep, p, put_test_point, &o);
}
