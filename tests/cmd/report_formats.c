/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What is written of findings and refusals, with texts that mean something to a format; and which policies they break. */
#include "see/policy.h"
#include "see/report.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "obs/account.h"
#include "obs/rules.h"

static struct see_region region;
static struct report rep;
static char *program[] = { (char *)"./vmm", (char *)"<&\">'", NULL };

static const struct report_finding leak = { .code = "L7",
					    .sentence = "left, open: 100%",
					    .place = "vmm.c:7 <end>",
					    .file = "/src/a,b/vmm.c",
					    .line = 7,
					    .nr = 2 };
static const struct report_finding wanted = { .code = "L1",
					      .sentence = "twice",
					      .suppressed = "it is so",
					      .place = "vmm.c:9",
					      .nr = 1,
					      .bytes = 8192 };

static struct obs_record refusal(enum obs_rule rule, int result, uint32_t thread)
{
	return (struct obs_record){ .kind = OBS_REFUSAL,
				    .rule = (uint16_t)rule,
				    .result = (int16_t)result,
				    .thread = thread,
				    .caller_low = 0x1234 };
}

static int setup(void **state)
{
	const struct report_run run = {
		.gmem = "1.2", .profile = "linux-7.2", .argv = program, .has_lint = true
	};

	assert_int_equal(see_region_make(1024, true, &region), 0);
	assert_int_equal(report_begin(region.r, &run, &rep), 0);
	return 0;
}

static int teardown(void **state)
{
	report_end(&rep);
	see_region_close(&region);
	return 0;
}

static void take(const struct obs_record *records, size_t nr)
{
	assert_int_equal(rep.sink.records(&rep, region.r, records, nr), 0);
}

static void finish(int status)
{
	assert_int_equal(rep.sink.end(&rep, region.r, status), 0);
	report_finish(&rep);
}

static const char *written(const struct policy *p, enum report_format format)
{
	static char text[65536];
	FILE *f = fmemopen(text, sizeof(text), "w");

	report_write(&rep, p, format, f);
	fclose(f);
	return text;
}

static const char *annotated(const struct policy *p, const char *root)
{
	static char text[8192];
	FILE *f = fmemopen(text, sizeof(text), "w");

	memset(text, 0, sizeof(text));
	report_annotate(&rep, p, root, f);
	fclose(f);
	return text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no %s in:\n%s", part, text);
}

static bool broken(const char *list)
{
	struct policy p = { 0 };

	assert_null(policy_parse(&p, list));
	return policy_any_broken(&p, &rep);
}

/* ---- tests -------------------------------------------------------------------------------------------- */

static void test_texts_are_escaped(void **state)
{
	const struct policy none = { 0 };
	const char *text;

	report_add_finding(&rep, &leak);
	report_add_finding(&rep, &wanted);
	finish(0);
	text = written(&none, REPORT_JUNIT);
	has(text, "<property name=\"program\" value=\"&lt;&amp;&quot;&gt;'\"/>");
	has(text, "<failure message=\"1 place, 2 times\">vmm.c:7 &lt;end&gt;, 2 times\n</failure>");
	has(text, "failures=\"1\"");
	text = written(&none, REPORT_TAP);
	has(text, "- lint L7: ");
	has(text,
	    "  message: '1 place, 2 times'\n  places:\n    - 'vmm.c:7 <end>, 2 times'\n  ...\n");
	has(text, "\nok 6 - lint L1: ");
	text = written(&none, REPORT_JSON);
	has(text, "\"suppressed\": \"it is so\"");
	has(text, "\"<&\\\">'\"");
}

static void test_annotations(void **state)
{
	struct policy p = { 0 };

	report_add_finding(&rep, &leak);
	report_add_finding(&rep, &wanted);
	finish(0);
	assert_string_equal(annotated(&p, "/src"),
			    "::warning file=a%2Cb/vmm.c,line=7,title=gmem L7::left, open: 100%25 "
			    "(vmm.c:7 <end>, 2 times)\n");
	assert_null(policy_parse(&p, "leak"));
	has(annotated(&p, "/sr"), "::error file=/src/a%2Cb/vmm.c,line=7,");
}

static void test_policies_of_findings(void **state)
{
	report_add_finding(&rep, &leak);
	report_add_finding(&rep, &wanted);
	finish(0);
	assert_true(broken("lint"));
	assert_true(broken("leak"));
	assert_true(broken("lost,l7"));
	/* Suppressed. */
	assert_false(broken("L1"));
	assert_false(broken("refused,lost,twice"));
}

static void leave_account(uint32_t flags)
{
	struct account_area *area = obs_account_take(region.r, 0);
	struct account_snapshot *before, *s = obs_account_begin(area, &before);

	s->flags = flags;
	obs_account_finish(area, s);
}

/* Whose memory nobody has seen may hold anything twice. */
static void test_what_is_not_known_is_not_right(void **state)
{
	finish(0);
	assert_false(broken("twice"));
	atomic_store(&region.r->accounts_lost, 1);
	assert_true(broken("twice:1G"));
	atomic_store(&region.r->accounts_lost, 0);
	atomic_store(&region.r->nr_processes, 1);
	leave_account(0);
	assert_false(broken("twice"));
	leave_account(ACCOUNT_BLIND);
	assert_true(broken("twice:1G"));
}

/* One that a loop commits 2048 times is one. */
static void test_findings_count_by_place(void **state)
{
	struct report_finding loop = leak, other = leak;
	struct policy p = { 0 };
	char said[256];

	loop.nr = 2048;
	other.place = "vmm.c:8";
	other.line = 8;
	report_add_finding(&rep, &loop);
	report_add_finding(&rep, &other);
	report_add_finding(&rep, &wanted);
	finish(0);
	assert_true(broken("lint:1"));
	assert_false(broken("lint:2"));
	assert_true(broken("L7:1"));
	assert_false(broken("l7:2,leak:2,L1:0"));
	assert_non_null(policy_parse(&p, "refused:1"));
	assert_non_null(policy_parse(&p, "MEMSLOT_FLAGS:1"));
	assert_non_null(policy_parse(&p, "lint:"));
	p.nr = 0;
	assert_null(policy_parse(&p, "lint:1"));
	assert_true(policy_is_broken(&p.items[0], &rep, said, sizeof(said)));
	assert_string_equal(said, "found at 2 places, 2050 times in all");
}

/* Nor is what lint could not judge; what it could stays as it is. */
static void test_codes_that_are_not_judged(void **state)
{
	struct policy none = { 0 };
	const char *text;

	rep.run.why_not[2] = "nobody looked";
	finish(0);
	text = written(&none, REPORT_TAP);
	has(text, "- lint L3: attribute changed, the other side never discarded before the next "
		  "entry # SKIP not judged: nobody looked");
	assert_true(broken("lint"));
	assert_true(broken("L3"));
	assert_false(broken("L4,leak"));
	text = written(&none, REPORT_JSON);
	has(text, "\"lint_not_judged\": [\n    \"L3\"\n  ]");
	has(text, "\"memory_of_ended\": 0");
}

/* When there is no other room that of an ended process is taken; what is known of its worst is kept apart. */
static void test_the_room_of_the_ended(void **state)
{
	const struct account_area *first = obs_account_take(region.r, 0);

	for (uint32_t i = 1; i < ACCOUNT_NR_AREAS; i++)
		assert_non_null(obs_account_take(region.r, i));
	assert_null(obs_account_take(region.r, ACCOUNT_NR_AREAS));
	atomic_store(&obs_process_at(region.r, 0)->state, OBS_STATE_GONE);
	assert_ptr_equal(obs_account_take(region.r, ACCOUNT_NR_AREAS), first);
	assert_null(obs_account_find(region.r, 0));
	assert_ptr_equal(obs_account_find(region.r, ACCOUNT_NR_AREAS), first);
	assert_int_equal(atomic_load(&region.r->accounts_left_out), 1);
	finish(0);
	assert_false(broken("twice"));
	atomic_store(&region.r->most_twice, 4096);
	assert_true(broken("twice"));
}

/* What is not known of one that made room is not forgotten. */
static void test_the_room_of_one_that_nobody_saw(void **state)
{
	leave_account(ACCOUNT_BLIND);
	for (uint32_t i = 1; i < ACCOUNT_NR_AREAS; i++)
		obs_account_take(region.r, i);
	atomic_store(&obs_process_at(region.r, 0)->state, OBS_STATE_GONE);
	assert_non_null(obs_account_take(region.r, ACCOUNT_NR_AREAS));
	finish(0);
	assert_true(broken("twice:1G"));
}

static void test_refusals(void **state)
{
	const struct obs_record records[] = {
		refusal(RULE_MEMSLOT_FLAGS, -EINVAL, 1),
		refusal(RULE_MEMSLOT_FLAGS, -EINVAL, 2),
		refusal(RULE_MEMSLOT_OVERLAP, -EEXIST, 1),
	};

	take(records, 3);
	finish(0);
	assert_int_equal(rep.nr_refusals, 2);
	assert_int_equal(rep.refusals[0].nr, 2);
	assert_int_equal(rep.refusals[0].rule, RULE_MEMSLOT_FLAGS);
	assert_true(broken("refused"));
	assert_true(broken("memslot_overlap"));
	assert_false(broken("MEMSLOT_ID,lint"));
}

/* A request belongs to the refusal of its own thread. */
static void test_requests_of_threads(void **state)
{
	struct obs_record records[] = {
		refusal(RULE_MEMSLOT_FLAGS, -EINVAL, 1),
		refusal(RULE_MEMSLOT_OVERLAP, -EEXIST, 2),
		refusal(RULE_NONE, -EINVAL, 1 + REPORT_NR_LAST),
		refusal(RULE_NONE, -EEXIST, 2),
		refusal(RULE_NONE, -EINVAL, 1),
		refusal(RULE_NONE, -EINVAL, 1),
	};

	for (int i = 2; i < 6; i++) {
		records[i].kind = OBS_REQUEST;
		records[i].a = (uint64_t)i;
	}
	take(records, 6);
	finish(0);
	assert_int_equal(rep.nr_refusals, 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(rep.refusals[i].request,
				 rep.refusals[i].rule == RULE_MEMSLOT_FLAGS ? 4 : 3);
}

static void test_more_refusals_than_there_is_room_for(void **state)
{
	for (uint32_t i = 0; i < REPORT_MAX_REFUSALS; i++) {
		struct obs_record r = refusal(RULE_MEMSLOT_FLAGS, -EINVAL, 1);

		r.caller_low = i + 1;
		take(&r, 1);
	}
	assert_int_equal(rep.nr_refusals + rep.refusals_left, REPORT_MAX_REFUSALS);
	assert_true(rep.refusals_left);
	finish(0);
	assert_int_equal(report_nr_refused(&rep, 0), REPORT_MAX_REFUSALS);
}

static void test_lost(void **state)
{
	assert_false(broken("lost"));
	assert_int_equal(rep.sink.lost(&rep, region.r, 3), 0);
	finish(0);
	assert_true(broken("lost"));
	has(written(&(struct policy){ 0 }, REPORT_JSON), "\"lost\": 3");
}

static void test_lists(void **state)
{
	static const char *const wrong[] = {
		"",	    "lint,",	 ",lint",    "nonsense",	   "lost:1", "twice:",
		"twice:1X", "twice:1GG", "twice:-1", "twice:99999999999T", "L11"
	};
	struct policy p = { 0 };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		p.nr = 0;
		if (!policy_parse(&p, wrong[i]))
			fail_msg("'%s' is taken", wrong[i]);
	}
	p.nr = 0;
	assert_null(policy_parse(&p, "twice:16M,lint,L3,MEMSLOT_FLAGS"));
	assert_int_equal(p.nr, 4);
	assert_int_equal(p.items[0].limit, 16 << 20);
	assert_int_equal(p.items[2].kind, POLICY_CODE);
	assert_int_equal(p.items[3].rule, RULE_MEMSLOT_FLAGS);
	for (unsigned int i = 0; i < POLICY_MAX; i++)
		policy_parse(&p, "lint");
	assert_int_equal(p.nr, POLICY_MAX);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_texts_are_escaped),
		TEST(test_annotations),
		TEST(test_policies_of_findings),
		TEST(test_findings_count_by_place),
		TEST(test_what_is_not_known_is_not_right),
		TEST(test_codes_that_are_not_judged),
		TEST(test_the_room_of_the_ended),
		TEST(test_the_room_of_one_that_nobody_saw),
		TEST(test_refusals),
		TEST(test_requests_of_threads),
		TEST(test_more_refusals_than_there_is_room_for),
		TEST(test_lost),
		TEST(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
