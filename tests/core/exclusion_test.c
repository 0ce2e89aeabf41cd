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
	void (*act)(struct scene *s);
	struct os_thread *thread;
	_Atomic uint32_t done;
	bool waited;
	uint64_t at_end; /* what the page is when the bracket closes */
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
	atomic_store(&s->done, 0);
	assert_int_equal(os_thread_create(run, s, "second", &s->thread), 0);
}

/* ---- in the middle of a change ------------------------------------------------------------------ */

static int begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct scene *s = (struct scene *)c;

	if (s->act) {
		start(s);
		s->waited = keeps_waiting(s);
	}
	return 0;
}

static void end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct scene *s = (struct scene *)c;

	/* Up to here, not only when it begins. */
	if (s->act)
		s->waited &= keeps_waiting(s);
	if (ch->kind == GMEM_CHANGE_CONVERT)
		s->at_end = gmem_file_is_private(s->f, ch->offset) ? P : 0;
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

/* change: runs act in the middle of it. */
static void expect_all_wait(void (*change)(struct scene *s))
{
	struct scene s;

	scene_make(&s);
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		void (*act)(struct scene * s) = acts[i];

		s.act = act;
		change(&s);
		os_thread_join(s.thread);
		if (!s.waited)
			print_message("the %zuth did not wait\n", i);
		assert_true(s.waited);
		s.act = NULL;
		convert(s.f, 0, SIZE, 0);
	}
	scene_unmake(&s);
}

/* The second thread's own change must not start a third. */
static void once(struct gmem_consumer *c)
{
	struct scene *s = (struct scene *)c;

	s->act = NULL;
}

static void convert_first(struct scene *s)
{
	assert_int_equal(convert(s->f, 0, PAGE, P), 0);
}

static void punch_first(struct scene *s)
{
	assert_int_equal(gmem_file_punch(s->f, 0, PAGE), 0);
}
