/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Consumers of several files, of one file side by side, and of files that change while they come and go. */
#include "t.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#define NR_PAGES 16
#define NR_FILES 3

/* What one place of a consumer was told. */
struct place {
	int nr_prepare, nr_begin, nr_end, nr_aborted, nr_release;
	int in_progress; /* under no lock: the file's changes come one after the other */
	int refuses;
	/* Where not NULL: begin() says that it is there, and waits. */
	sem_t *arrived, *go_on;
};

static int on_prepare(void *data, const struct gmem_change *change)
{
	struct place *p = data;
	uint64_t at = 0, offset, size;

	p->nr_prepare++;
	if (p->refuses && gmem_change_next_part(change, &at, &offset, &size))
		gmem_change_refuse_part(change, offset, size);
	return p->refuses;
}

static int on_begin(void *data, const struct gmem_change *change)
{
	struct place *p = data;

	assert_int_equal(p->in_progress, 0);
	p->in_progress++;
	p->nr_begin++;
	if (p->arrived) {
		sem_post(p->arrived);
		sem_wait(p->go_on);
	}
	return 0;
}

static void on_end(void *data, const struct gmem_change *change)
{
	struct gmem_change_info info = { .args_size = sizeof(info) };
	struct place *p = data;

	assert_int_equal(gmem_change_describe(change, &info), 0);
	assert_int_equal(p->in_progress, 1);
	p->in_progress--;
	p->nr_end++;
	p->nr_aborted += info.aborted != 0;
	p->nr_release += info.kind == GMEM_KIND_RELEASE;
}

static const struct gmem_consumer_callbacks callbacks = {
	.ops_size = sizeof(callbacks), .prepare = on_prepare, .begin = on_begin, .end = on_end
};

static void add(struct gmem *g, struct place *p, struct gmem_consumer **out)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(gmem_consumer_add(g, &callbacks, p, out), 0);
}

/* ---- several files ----------------------------------------------------------------------------- */

static void one_consumer_hears_of_several_files(void **state)
{
	struct place places[NR_FILES] = { 0 };
	struct gmem_consumer_file files[NR_FILES];
	struct gmem_consumer *consumers[NR_FILES];

	for (int i = 0; i < NR_FILES; i++)
		files[i] = (struct gmem_consumer_file){ .g = t_create(NR_PAGES, BOTH),
							.data = &places[i] };
	assert_int_equal(gmem_consumer_add_several(files, NR_FILES, &callbacks, consumers), 0);
	t_private(files[1].g, 0, 1);
	assert_int_equal(places[0].nr_begin, 0);
	assert_int_equal(places[1].nr_begin, 1);
	assert_int_equal(places[1].nr_end, 1);
	/* A file goes, the others stay. */
	gmem_put(files[1].g);
	assert_int_equal(places[1].nr_release, 1);
	t_private(files[2].g, 0, 1);
	assert_int_equal(places[2].nr_end, 1);
	gmem_consumer_remove(files[0].g, consumers[0]);
	t_private(files[0].g, 0, 1);
	assert_int_equal(places[0].nr_begin, 0);
	gmem_consumer_remove(NULL, consumers[1]);
	gmem_consumer_remove(files[2].g, consumers[2]);
	gmem_put(files[0].g);
	gmem_put(files[2].g);
	assert_int_equal(places[2].nr_release, 0);
}

static void on_all_files_or_on_none(void **state)
{
	struct place places[2] = { 0 };
	struct gmem *g = t_create(NR_PAGES, BOTH);
	struct gmem_consumer_file files[2] = { { .g = g, .data = &places[0] },
					       { .data = &places[1] } };
	struct gmem_consumer_callbacks shapeless = callbacks;
	struct gmem_consumer *consumers[2];

	assert_int_equal(gmem_consumer_add_several(files, 2, &callbacks, consumers), -EINVAL);
	must_refuse("LIB_NO_FILE_OR_PLACE");
	assert_int_equal(gmem_consumer_add_several(files, 0, &callbacks, consumers), -EINVAL);
	must_refuse("LIB_CONSUMER_FILES");
	assert_int_equal(gmem_consumer_add_several(NULL, 1, &callbacks, consumers), -EINVAL);
	assert_int_equal(gmem_consumer_add_several(files, 1, &callbacks, NULL), -EINVAL);
	shapeless.end = NULL;
	assert_int_equal(gmem_consumer_add_several(files, 1, &shapeless, consumers), -EINVAL);
	must_refuse("LIB_CONSUMER_SHAPE");
	files[1] = (struct gmem_consumer_file){ .g = g, .data = &places[1], .flags = 1 };
	assert_int_equal(gmem_consumer_add_several(files, 2, &callbacks, consumers), -EINVAL);
	must_refuse("LIB_CONSUMER_FLAGS");
	files[1] = (struct gmem_consumer_file){ .g = g, .data = &places[1], .reserved = 1 };
	assert_int_equal(gmem_consumer_add_several(files, 2, &callbacks, consumers), -EINVAL);
	t_private(g, 0, 1);
	assert_int_equal(places[0].nr_begin, 0);
	/* One file twice is two places. */
	files[1].reserved = 0;
	assert_int_equal(gmem_consumer_add_several(files, 2, &callbacks, consumers), 0);
	t_shared(g, 0, 1);
	assert_int_equal(places[0].nr_end, 1);
	assert_int_equal(places[1].nr_end, 1);
	gmem_consumer_remove(g, consumers[0]);
	gmem_consumer_remove(g, consumers[1]);
	gmem_put(g);
}

static void who_refuses_leaves_nothing_done_in_any(void **state)
{
	struct gmem *g = t_create(NR_PAGES, BOTH);
	struct gmem_consumer *consumers[3];
	struct place places[3];
	uint64_t refused = 0;

	for (int i = 0; i < 3; i++)
		add(g, &places[i], &consumers[i]);
	places[1].refuses = -EAGAIN;
	assert_int_equal(gmem_make_private(g, 2 * PAGE, 4 * PAGE, &refused), -EAGAIN);
	assert_int_equal(refused, 2 * PAGE);
	for (int i = 0; i < 3; i++) {
		/* All were asked, and none was told to drop anything. */
		assert_int_equal(places[i].nr_prepare, 1);
		assert_int_equal(places[i].nr_begin, 0);
		assert_int_equal(places[i].nr_end, 0);
	}
	assert_int_equal(t_state(g, 2), 0);
	places[1].refuses = 0;
	t_private(g, 2, 4);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(places[i].nr_begin, 1);
		gmem_consumer_remove(g, consumers[i]);
	}
	gmem_put(g);
}

/* ---- coming and going -------------------------------------------------------------------------- */

static void *convert_first(void *arg)
{
	t_private(arg, 0, 1);
	return NULL;
}

struct removal {
	struct gmem *g;
	struct gmem_consumer *c;
	struct place *p;
	_Atomic bool done;
};

static void *remove_it(void *arg)
{
	struct removal *r = arg;

	gmem_consumer_remove(r->g, r->c);
	/* No function of it runs from here on: its memory may go. */
	assert_int_equal(r->p->in_progress, 0);
	assert_int_equal(r->p->nr_begin, r->p->nr_end);
	memset(r->p, 0xff, sizeof(*r->p));
	r->done = true;
	return NULL;
}

static void a_removal_waits_for_the_change_that_runs(void **state)
{
	struct gmem *g = t_create(NR_PAGES, BOTH);
	struct place p, other;
	struct removal r = { .g = g, .p = &p };
	struct gmem_consumer *still;
	pthread_t converter, remover;
	sem_t arrived, go_on;

	sem_init(&arrived, 0, 0);
	sem_init(&go_on, 0, 0);
	add(g, &p, &r.c);
	add(g, &other, &still);
	p.arrived = &arrived;
	p.go_on = &go_on;
	assert_int_equal(pthread_create(&converter, NULL, convert_first, g), 0);
	sem_wait(&arrived);
	assert_int_equal(pthread_create(&remover, NULL, remove_it, &r), 0);
	assert_false(r.done);
	assert_int_equal(p.in_progress, 1);
	sem_post(&go_on);
	pthread_join(converter, NULL);
	pthread_join(remover, NULL);
	assert_true(r.done);
	assert_int_equal(other.nr_begin, 1);
	assert_int_equal(other.nr_end, 1);
	gmem_consumer_remove(g, still);
	gmem_put(g);
	sem_destroy(&arrived);
	sem_destroy(&go_on);
}

static _Atomic bool enough;

static void *change_all_the_time(void *arg)
{
	for (unsigned int i = 0; !enough; i++) {
		t_private(arg, i % NR_PAGES, 1);
		assert_int_equal(gmem_punch(arg, i % NR_PAGES * PAGE, PAGE), 0);
		t_shared(arg, i % NR_PAGES, 1);
	}
	return NULL;
}

static void begins_and_ends_balance_for_who_comes_and_goes(void **state)
{
	struct gmem_consumer_file files[2];
	struct gmem_consumer *consumers[2];
	struct place places[2] = { 0 };
	pthread_t threads[2];
	int nr_told = 0;

	enough = false;
	for (int i = 0; i < 2; i++) {
		files[i] = (struct gmem_consumer_file){ .g = t_create(NR_PAGES, BOTH),
							.data = &places[i] };
		assert_int_equal(pthread_create(&threads[i], NULL, change_all_the_time, files[i].g),
				 0);
	}
	for (int round = 0; round < 500 || (!nr_told && round < 100000); round++) {
		assert_int_equal(gmem_consumer_add_several(files, 2, &callbacks, consumers), 0);
		for (int i = 1; i >= 0; i--) {
			gmem_consumer_remove(files[i].g, consumers[i]);
			assert_int_equal(places[i].in_progress, 0);
			assert_int_equal(places[i].nr_begin, places[i].nr_end);
			nr_told += places[i].nr_begin;
			memset(&places[i], 0, sizeof(places[i]));
		}
	}
	enough = true;
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		gmem_put(files[i].g);
	}
	assert_true(nr_told);
}

static void the_end_of_a_file_balances_too(void **state)
{
	struct gmem *g = t_create(NR_PAGES, BOTH);
	struct gmem_consumer *c;
	struct place p;

	add(g, &p, &c);
	p.refuses = -EAGAIN; /* nobody is asked */
	gmem_put(g);
	assert_int_equal(p.nr_prepare, 0);
	assert_int_equal(p.nr_begin, 1);
	assert_int_equal(p.nr_release, 1);
	assert_int_equal(p.in_progress, 0);
	gmem_consumer_remove(NULL, c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_consumer_hears_of_several_files),
		cmocka_unit_test(on_all_files_or_on_none),
		cmocka_unit_test(who_refuses_leaves_nothing_done_in_any),
		cmocka_unit_test(a_removal_waits_for_the_change_that_runs),
		cmocka_unit_test(begins_and_ends_balance_for_who_comes_and_goes),
		cmocka_unit_test(the_end_of_a_file_balances_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
