/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Who waits for whom at a file: a change keeps everybody out from its begin to its end, a fault keeps changes out and
 * nobody else. Done from inside: a second thread is started where the first is in the middle, given time, and must
 * not have got through; or must, before the first goes on.
 */
#include "test.h"

#include <errno.h>

#include "fixture.h"

#define SIZE (16 * PAGE)
#define GIVEN_NS 20000000ull

struct scene {
	struct gmem_consumer consumer, other;
	struct gmem_file *f;
	struct gmem_binding *bound;
	void (*next)(struct scene *s); /* what the second thread will do */
	void (*act)(struct scene *s);  /* what it does */
	struct os_thread *thread;
	_Atomic uint32_t done;
	bool waited;
};

static void run(void *arg)
{
	struct scene *s = arg;

	s->act(s);
	atomic_store(&s->done, 1);
	os_wake_all(&s->done);
}

/* True: it is not through. */
static bool keeps_waiting(struct scene *s)
{
	uint64_t end = os_clock_ns() + GIVEN_NS;

	while (!atomic_load(&s->done) && os_clock_ns() < end)
		os_wait(&s->done, 0, 1000000);
	return !atomic_load(&s->done);
}

static void start(struct scene *s)
{
	s->act = s->next;
	atomic_store(&s->done, 0);
	assert_int_equal(os_thread_create(run, s, "second", &s->thread), 0);
}

/* ---- in the middle of a change ------------------------------------------------------------------ */

static int begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct scene *s = (struct scene *)c;

	/* A change that the second thread makes is none of ours. */
	if (s->next)
		start(s);
	return 0;
}

static void end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct scene *s = (struct scene *)c;

	if (s->next)
		s->waited = keeps_waiting(s);
	s->next = NULL;
}

static const struct gmem_consumer_ops ops = { .begin = begin, .end = end };

static int nothing_begins(struct gmem_consumer *c, const struct gmem_change *ch)
{
	return 0;
}

static void nothing_ends(struct gmem_consumer *c, const struct gmem_change *ch)
{
}

static const struct gmem_consumer_ops other_ops = { .begin = nothing_begins, .end = nothing_ends };

static void bind(struct scene *s)
{
	assert_int_equal(gmem_file_bind(s->f, 8 * PAGE, PAGE, s, &s->bound), 0);
}

static void unbind(struct scene *s)
{
	gmem_file_unbind(s->f, s->bound);
	s->bound = NULL;
}

static void add_consumer(struct scene *s)
{
	gmem_file_add_consumer(s->f, &s->other);
}

static void remove_consumer(struct scene *s)
{
	gmem_file_remove_consumer(s->f, &s->other);
}

static void fault(struct scene *s)
{
	gmem_file_fault_begin(s->f);
	gmem_file_fault_end(s->f);
}

static void allocate(struct scene *s)
{
	assert_int_equal(gmem_file_allocate(s->f, 0, PAGE), 0);
}

static void punch(struct scene *s)
{
	assert_int_equal(gmem_file_punch(s->f, 3 * PAGE, PAGE), 0);
}

static void convert_page(struct scene *s)
{
	struct gmem_conversion c = { .offset = 5 * PAGE, .size = PAGE, .attributes = P };

	assert_int_equal(gmem_file_convert(s->f, &c), 0);
}

/* In the order in which they undo each other. */
static void (*const acts[])(struct scene *s) = {
	bind, unbind, add_consumer, remove_consumer, fault, allocate, punch, convert_page,
};

static void scene_make(struct scene *s)
{
	*s = (struct scene){ .consumer = { .ops = &ops }, .other = { .ops = &other_ops } };
	s->f = file_of(SIZE, GMEM_FILE_INIT_SHARED);
	gmem_file_add_consumer(s->f, &s->consumer);
}

static void scene_unmake(struct scene *s)
{
	gmem_file_remove_consumer(s->f, &s->consumer);
	close_file(s->f);
}

static void expect_all_wait(void (*change)(struct scene *s))
{
	struct scene s;

	scene_make(&s);
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		s.next = acts[i];
		change(&s);
		os_thread_join(s.thread);
		if (!s.waited)
			print_message("number %zu did not wait\n", i);
		assert_true(s.waited);
		convert(s.f, 0, SIZE, 0);
	}
	scene_unmake(&s);
}

static void convert_first(struct scene *s)
{
	struct gmem_conversion c = { .size = PAGE, .attributes = P };

	assert_int_equal(gmem_file_convert(s->f, &c), 0);
}

static void punch_first(struct scene *s)
{
	assert_int_equal(gmem_file_punch(s->f, 0, PAGE), 0);
}

static void nobody_gets_into_a_conversion(void **state)
{
	expect_all_wait(convert_first);
}

static void nobody_gets_into_a_punch(void **state)
{
	expect_all_wait(punch_first);
}

static void release(struct scene *s)
{
	gmem_file_release(s->f);
}

static void a_release_waits_for_a_change(void **state)
{
	struct scene s;

	scene_make(&s);
	s.next = release;
	convert_first(&s);
	os_thread_join(s.thread);
	assert_true(s.waited);
	scene_unmake(&s);
}

/* ---- in the middle of a fault --------------------------------------------------------------------- */

static bool waits_for_a_fault(struct scene *s, void (*act)(struct scene *s))
{
	bool waited;

	s->next = act;
	gmem_file_fault_begin(s->f);
	start(s);
	s->next = NULL;
	waited = keeps_waiting(s);
	gmem_file_fault_end(s->f);
	os_thread_join(s->thread);
	return waited;
}

static void a_fault_keeps_changes_out(void **state)
{
	struct scene s;

	scene_make(&s);
	assert_true(waits_for_a_fault(&s, convert_page));
	assert_true(waits_for_a_fault(&s, punch));
	assert_true(waits_for_a_fault(&s, bind));
	assert_true(waits_for_a_fault(&s, unbind));
	assert_true(waits_for_a_fault(&s, release));
	scene_unmake(&s);
}

/* For as long as it takes: that they get through is what is asked. */
static void faults_and_allocations_go_on_beside_a_fault(void **state)
{
	struct scene s;

	scene_make(&s);
	gmem_file_fault_begin(s.f);
	s.next = fault;
	start(&s);
	os_thread_join(s.thread);
	s.next = allocate;
	start(&s);
	os_thread_join(s.thread);
	s.next = NULL;
	gmem_file_fault_end(s.f);
	scene_unmake(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_gets_into_a_conversion),
		cmocka_unit_test(nobody_gets_into_a_punch),
		cmocka_unit_test(a_release_waits_for_a_change),
		cmocka_unit_test(a_fault_keeps_changes_out),
		cmocka_unit_test(faults_and_allocations_go_on_beside_a_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
