/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What fails in the middle of hiding and showing (os/fail.h) opens nothing, and does not last. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guard_t.h"
#include "os/fail.h"

#define NR ((uint64_t)600)

static const uint32_t kinds[] = { 1u << OS_FAIL_MARK, 1u << OS_FAIL_MARK | 1u << OS_FAIL_MAP,
				  1u << OS_FAIL_WATCH, OS_FAIL_MAPPINGS, OS_FAIL_ALL };
#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Nothing of what is private can be read; what is shared can, if the call has worked. */
static void check(struct t *t, const uint8_t *w, bool worked)
{
	for (uint64_t i = 0; i < NR; i++) {
		uint8_t value;
		bool open = !t_read(t, w + i * PAGE, &value).signo;

		if (t_private(t, i))
			T_OK(!open);
		else if (worked)
			T_OK(open && value == t_stamp(i));
	}
}

/* With page 5 to be shown in the middle of what is hidden, and no mapping left for that. False: nothing failed. */
static bool show_in_the_middle(struct t *t, struct os_fail_plan *plan)
{
	uint8_t *w = t_map(t, 0, NR);
	struct os_fail_seen seen;
	int err;

	T_EQ(t_hide(t, 0, NR), 0);
	guard_set_limits(&t->m->guard, 0, 0);
	os_fail_arm(plan);
	err = t_show(t, 5, 1);
	os_fail_disarm(&seen);
	check(t, w, !err);
	T_EQ(t_private(t, 5), err != 0);
	guard_set_limits(&t->m->guard, 1000, 1000);
	T_EQ(host_map_munmap(t->m, (uintptr_t)w, NR * PAGE), 0);
	T_EQ(t_show(t, 0, NR), 0);
	return seen.nr_failed;
}

static void whatever_fails_when_a_chunk_is_made_again(struct t *t, enum mode mode)
{
	if (mode == MARKED)
		t_skip("begins with overlays");
	t_need_marks();
	t_init(t, mode, NR);
	for (size_t i = 0; i < NR_KINDS; i++) {
		struct os_fail_plan plan = { .points = kinds[i] };

		for (plan.nr = 1; plan.nr; plan.nr = plan.nr == 1 ? UINT64_MAX : 0)
			for (plan.first = 0; show_in_the_middle(t, &plan); plan.first++)
				T_OK(plan.first < 1000);
	}
}

/* False: nothing failed. */
static bool hide_some(struct t *t, uint8_t *w, struct os_fail_plan *plan)
{
	struct os_fail_seen seen;
	int err;

	/* Present, so that what is marked has to be dropped. */
	check(t, w, true);
	os_fail_arm(plan);
	err = t_hide(t, 10, 100);
	os_fail_disarm(&seen);
	T_EQ(t_private(t, 10), !err);
	check(t, w, plan->nr == 1);
	/* Who tries again must not take for hidden what is not. */
	T_EQ(t_hide(t, 10, 100), 0);
	check(t, w, true);
	T_EQ(t_show(t, 0, NR), 0);
	return seen.nr_failed;
}

static void whatever_fails_when_pages_are_hidden(struct t *t, enum mode mode)
{
	uint8_t *w;

	t_init(t, mode, NR);
	t->m->guard.marks_first = mode == MARKED;
	guard_set_limits(&t->m->guard, 1000, 1000);
	w = t_map(t, 0, NR);
	for (size_t i = 0; i < NR_KINDS; i++) {
		struct os_fail_plan plan = { .points = kinds[i] };

		for (plan.nr = 1; plan.nr; plan.nr = plan.nr == 1 ? UINT64_MAX : 0)
			for (plan.first = 0; hide_some(t, w, &plan); plan.first++)
				T_OK(plan.first < 1000);
	}
}

/* Pages that were shown before lie between those that are to be. False: nothing failed. */
static bool show_all(struct t *t, const uint8_t *w, struct os_fail_plan *plan)
{
	struct os_fail_seen seen;
	int err;

	T_EQ(t_hide(t, 10, 20), 0);
	T_EQ(t_hide(t, 40, 300), 0);
	os_fail_arm(plan);
	err = t_show(t, 0, NR);
	os_fail_disarm(&seen);
	T_EQ(t_private(t, 10), err != 0);
	check(t, w, true);
	return seen.nr_failed;
}

static void what_was_shown_is_when_more_cannot_be(struct t *t, enum mode mode)
{
	struct os_fail_plan plan = { .points = OS_FAIL_ALL, .nr = 1 };
	const uint8_t *w;

	t_init(t, mode, NR);
	t->m->guard.marks_first = mode == MARKED;
	guard_set_limits(&t->m->guard, 1000, 1000);
	w = t_map(t, 0, NR);
	for (; plan.variant < 3; plan.variant++)
		for (plan.first = 0; show_all(t, w, &plan); plan.first++)
			T_OK(plan.first < 1000);
}

static void a_window_that_cannot_be_moved_away_is_not_copied(struct t *t, enum mode mode)
{
	struct os_fail_plan plan = { .points = 1u << OS_FAIL_UNMAP, .nr = 1 };
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	uint64_t nr_mappings;
	uint8_t *w, *to;

	t_init(t, mode, NR);
	w = t_map(t, 0, NR);
	T_EQ(t_hide(t, 10, 100), 0);
	nr_mappings = t_nr_mappings();
	to = mmap(NULL, NR * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	os_fail_arm(&plan);
	T_EQ(host_map_mremap(t->m, (uintptr_t)w, NR * PAGE, NR * PAGE, flags, (uintptr_t)to),
	     -ENOMEM);
	T_EQ(t->pins, 1);
	T_EQ(t_nr_mappings(), nr_mappings);
	check(t, w, true);
	T_EQ(host_map_mremap(t->m, (uintptr_t)w, NR * PAGE, NR * PAGE, flags, (uintptr_t)to),
	     (long)(uintptr_t)to);
	os_fail_disarm(NULL);
	T_EQ(t->pins, 1);
	check(t, to, true);
}

const struct t_case t_failures[] = {
	{ "whatever fails when a chunk is made again", whatever_fails_when_a_chunk_is_made_again },
	{ "whatever fails when pages are hidden", whatever_fails_when_pages_are_hidden },
	{ "what was shown is when more cannot be", what_was_shown_is_when_more_cannot_be },
	{ "a window that cannot be moved away is not copied",
	  a_window_that_cannot_be_moved_away_is_not_copied },
	{ 0 },
};
