/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What rules mean, word by word, and what is said of those that mean nothing: line, column, what was expected. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "see/inject.h"

static struct inject_table table;

static void parse(const char *text)
{
	struct see_inject_problem problem;
	int err = see_inject_parse(text, strlen(text), "linux-7.2", &table, &problem);

	if (err)
		print_error("%s:%u:%u: %s\n", text, problem.line, problem.column, problem.text);
	assert_int_equal(err, 0);
}

static const struct inject_rule *one(const char *text)
{
	parse(text);
	assert_int_equal(table.nr, 1);
	return &table.rules[0];
}

static void wrong(const char *text, uint32_t line, uint32_t column, const char *part)
{
	struct see_inject_problem problem;
	struct inject_table before = table;

	assert_int_equal(see_inject_parse(text, strlen(text), "linux-7.2", &table, &problem),
			 -EINVAL);
	if (problem.line != line || problem.column != column || !strstr(problem.text, part))
		fail_msg("%s:%u:%u: %s", text, problem.line, problem.column, problem.text);
	assert_memory_equal(&before, &table, sizeof(table));
}

static void words_are_what_they_say(void **state)
{
	const struct inject_rule *r = one("convert vm=2 file=3 offset=16K-1M to=private after=4 "
					  "nth=5 count=6 chance=1/50 fail=EAGAIN error_offset=32K");

	assert_int_equal(r->point, INJECT_CONVERT);
	assert_int_equal(r->action, INJECT_FAIL);
	assert_int_equal(r->err, -EAGAIN);
	assert_true(r->vm == 2 && r->file == 3 && r->kind == INJECT_PRIVATE);
	assert_true(r->offset == 0x4000 && r->offset_end == 1 << 20);
	assert_true(r->gpa == r->gpa_end && r->slot == INJECT_ANY_SLOT &&
		    r->vcpu == INJECT_ANY_VCPU);
	assert_true(r->after == 4 && r->nth == 5 && !r->every && r->count == 6);
	assert_true(r->chance == 1 && r->chance_of == 50 && r->value == 32 << 10);

	r = one("guest touch=shared vcpu=0 slot=0 gpa=1G+2M every=10");
	assert_true(r->action == INJECT_TOUCH_SHARED && !r->vcpu && !r->slot && r->every == 10);
	assert_true(r->gpa == 1 << 30 && r->gpa_end == (1 << 30) + (2 << 20));

	assert_int_equal(one("poison gpa=0x1234")->err, -EHWPOISON);
	assert_true(table.rules[0].gpa_end == 0x1235);
	assert_int_equal(one("shootdown delay=5ms")->value, 5000000);
	assert_int_equal(one("shootdown delay=60s")->value, 60000000000);
	assert_int_equal(one("prefault short=7")->value, 7);
	assert_int_equal(one("hypercall")->action, INJECT_IMPLICIT);
	assert_int_equal(one("run exit=spurious")->action, INJECT_EXIT_ANY);
	/* Where it is not said, a refusal is where the rule begins to be about. */
	assert_true(one("convert fail=EAGAIN")->value == INJECT_NOWHERE);
	assert_true(one("convert fail=EAGAIN offset=0x3000")->value == 0x3000);
	assert_true(one("run fail=EINTR nth=18446744073709551615")->nth == UINT64_MAX);
}

static void lines_comments_and_semicolons(void **state)
{
	parse("");
	assert_int_equal(table.nr, 0);
	parse("# only words\n\n  ;\t;\r\n");
	assert_int_equal(table.nr, 0);
	parse("run fail=EINTR#at once\n\n\tpunch\tfail=EIO ; allocate fail=ENOSPC\r\n#\npoison");
	assert_int_equal(table.nr, 4);
	assert_int_equal(table.rules[0].line, 1);
	assert_int_equal(table.rules[1].line, 3);
	assert_int_equal(table.rules[2].line, 3);
	assert_int_equal(table.rules[3].line, 5);
}

static void other_profiles_are_left_out(void **state)
{
	parse("run fail=EINTR profile=linux-*\nrun fail=EINTR profile=in-place\npoison");
	assert_int_equal(table.nr, 2);
	assert_int_equal(table.rules[1].line, 3);
	wrong("run fail=E profile=in-place", 1, 10, "EINTR");
}

static void errors_say_where(void **state)
{
	wrong("conver fail=ENOMEM", 1, 1, "expected one of convert punch");
	wrong("run fail=EINTR\n  punch fail=EPERM", 2, 14,
	      "punch can fail by EBUSY, EINTR, EIO, ENOMEM");
	wrong("run fail=EINTR slot=1", 1, 16, "run: expected one of fail= exit= vm= vcpu=");
	wrong("run fail=EINTR; run nth", 1, 21, "expected nth=VALUE");
	wrong("run nth=0 fail=EINTR", 1, 9, "from 1 on");
	wrong("run nth=x fail=EINTR", 1, 9, "from 1 on");
	wrong("run nth=3x fail=EINTR", 1, 9, "from 1 on");
	wrong("run nth= fail=EINTR", 1, 9, "from 1 on");
	wrong("run nth=18446744073709551616 fail=EINTR", 1, 9, "from 1 on");
	wrong("run vm=65535 fail=EINTR", 1, 8, "from 1 to 65534");
	wrong("run nth=1 nth=2 fail=EINTR", 1, 11, "already");
	wrong("run nth=1 every=2 fail=EINTR", 1, 1, "exclude");
	wrong("run vm=1", 1, 1, "expected fail= or exit=");
	wrong("run exit=intr fail=EINTR", 1, 1, "only one of fail= or exit=");
	wrong("run exit=hlt", 1, 10, "intr, memory-fault or spurious");
	wrong("run fail=EINTR chance=2/1", 1, 23, "1/50");
	wrong("run fail=EINTR chance=1/0", 1, 23, "1/50");
	wrong("run fail=EINTR chance=1", 1, 23, "1/50");
	wrong("poison nth=1", 1, 8, "poison: expected one of");
	wrong("poison gpa=0x2000-0x1000", 1, 12, "an end above");
	wrong("poison gpa=0x2000+0", 1, 12, "a size");
	wrong("poison gpa=0x2000+", 1, 12, "a size");
	wrong("poison gpa=1-2-3", 1, 12, "an end above");
	wrong("poison gpa=0xffffffffffffffff", 1, 12, "ADDRESS");
	wrong("poison gpa=0x", 1, 12, "ADDRESS");
	wrong("poison gpa=99999999T", 1, 12, "ADDRESS");
	wrong("convert gpa=0 offset=0 fail=ENOMEM", 1, 1, "never both");
	wrong("convert fail=ENOMEM error_offset=0", 1, 1, "EAGAIN");
	wrong("convert to=both fail=ENOMEM", 1, 12, "shared or private");
	wrong("shootdown delay=5", 1, 17, "unit");
	wrong("shootdown delay=61s", 1, 17, "60s");
	wrong("shootdown delay=ms", 1, 17, "unit");
	wrong("prefault short=0", 1, 16, "from 1");
	wrong("poison profile=", 1, 16, "profile");
}

static void as_many_as_there_is_room_for(void **state)
{
	static char text[8 * (INJECT_MAX_RULES + 1) + 1];

	for (unsigned int i = 0; i < INJECT_MAX_RULES; i++)
		strcat(text, "poison\n");
	parse(text);
	assert_int_equal(table.nr, INJECT_MAX_RULES);
	strcat(text, "poison");
	wrong(text, INJECT_MAX_RULES + 1, 1, "no more than 256");
}

static void rules_and_names_of_files(void **state)
{
	static const char *const rules[] = { "run fail=EINTR", "  poison",
					     "hypercall",      "# nothing\n",
					     "runn fail;",     "runn fail=EINTR",
					     "poison;",	       "guest touch=private chance=1/2" };
	static const char *const files[] = { "rules.txt", "./run", "",	   "@run",
					     "@a b=c;d",  "a b",   "runn", "dir/poison" };

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		assert_int_equal(see_inject_source(rules[i]), SEE_INJECT_RULES);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		assert_int_equal(see_inject_source(files[i]), SEE_INJECT_FILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_what_they_say),
		cmocka_unit_test(lines_comments_and_semicolons),
		cmocka_unit_test(other_profiles_are_left_out),
		cmocka_unit_test(errors_say_where),
		cmocka_unit_test(as_many_as_there_is_room_for),
		cmocka_unit_test(rules_and_names_of_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
