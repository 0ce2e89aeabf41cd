/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Consumers, what they are told, bindings, VM types and the guest's side. */
#include "t.h"

#define MAX_CALLS 32

enum call { PREPARE, BEGIN, END };

/* What a consumer was told, in order. */
struct told {
	struct gmem *g;
	int nr;
	enum call calls[MAX_CALLS];
	struct gmem_change_info infos[MAX_CALLS];
	uint32_t states[MAX_CALLS];	    /* of the first page, while it is told */
	struct gmem_range parts[MAX_CALLS]; /* the first that changes */
	int nr_parts[MAX_CALLS];
	/* What it answers. */
	int prepare_error, begin_error;
	struct gmem_range refuse[2];
	bool wants_every_part;
};

static void note(struct told *t, enum call call, const struct gmem_change *change)
{
	struct gmem_change_info *info = &t->infos[t->nr];
	uint64_t at = 0, offset, size;

	assert_in_range(t->nr, 0, MAX_CALLS - 1);
	info->args_size = sizeof(*info);
	assert_int_equal(gmem_change_describe(change, info), 0);
	t->calls[t->nr] = call;
	gmem_attributes(t->g, info->offset, &t->states[t->nr]);
	/* Asked in every kind, as who does not look would. */
	while ((call != END || info->aborted) &&
	       gmem_change_next_part(change, &at, &offset, &size)) {
		if (!t->nr_parts[t->nr]++)
			t->parts[t->nr] = (struct gmem_range){ offset, size };
	}
	t->nr++;
}

static void refuse(struct told *t, const struct gmem_change *change)
{
	t->wants_every_part = gmem_change_wants_every_part(change);
	for (int i = 0; i < 2 && t->refuse[i].size; i++)
		gmem_change_refuse_part(change, t->refuse[i].offset, t->refuse[i].size);
}

static int on_prepare(void *data, const struct gmem_change *change)
{
	struct told *t = data;

	note(t, PREPARE, change);
	if (t->prepare_error)
		refuse(t, change);
	return t->prepare_error;
}

static int on_begin(void *data, const struct gmem_change *change)
{
	struct told *t = data;

	note(t, BEGIN, change);
	if (t->begin_error)
		refuse(t, change);
	return t->begin_error;
}

static void on_end(void *data, const struct gmem_change *change)
{
	note(data, END, change);
}

static const struct gmem_consumer_callbacks callbacks = {
	.ops_size = sizeof(callbacks), .prepare = on_prepare, .begin = on_begin, .end = on_end
};

static struct gmem_consumer *add(struct told *t, struct gmem *g)
{
	struct gmem_consumer *c = NULL;

	memset(t, 0, sizeof(*t));
	t->g = g;
	assert_int_equal(gmem_consumer_add(g, &callbacks, t, &c), 0);
	return c;
}

static void the_bracket_is_told_in_order(void **state)
{
	struct gmem *g = t_create(16, BOTH);
	struct told t;
	struct gmem_consumer *c;

	t_private(g, 4, 1);
	c = add(&t, g);
	t_private(g, 2, 4);
	assert_int_equal(t.nr, 3);
	assert_int_equal(t.calls[0], PREPARE);
	assert_int_equal(t.calls[1], BEGIN);
	assert_int_equal(t.calls[2], END);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(t.infos[i].kind, GMEM_KIND_CONVERT);
		assert_int_equal(t.infos[i].offset, 2 * PAGE);
		assert_int_equal(t.infos[i].size, 4 * PAGE);
		assert_int_equal(t.infos[i].attributes, PRIVATE);
		assert_int_equal(t.infos[i].leaves, GMEM_LEAVES_SHARED);
		assert_int_equal(t.infos[i].aborted, 0);
		assert_int_equal(t.states[i], i == 2 ? PRIVATE : 0);
	}
	/* Page 4 is so already. */
	assert_int_equal(t.nr_parts[1], 2);
	assert_int_equal(t.parts[1].offset, 2 * PAGE);
	assert_int_equal(t.parts[1].size, 2 * PAGE);
	/* Nothing changes: nobody hears. */
	t_private(g, 2, 4);
	assert_int_equal(t.nr, 3);
	/* To shared nobody is asked. */
	t_shared(g, 2, 4);
	assert_int_equal(t.nr, 5);
	assert_int_equal(t.calls[3], BEGIN);
	assert_int_equal(t.infos[3].leaves, GMEM_LEAVES_PRIVATE);
	assert_int_equal(t.infos[0].generation, t.infos[1].generation);
	assert_true(t.infos[3].generation > t.infos[1].generation);
	gmem_consumer_remove(g, c);
	t_private(g, 0, 1);
	assert_int_equal(t.nr, 5);
	gmem_put(g);
}

static void a_consumer_may_refuse(void **state)
{
	struct gmem *g = t_create(16, BOTH);
	char *window = t_map(g, 0, 16);
	struct gmem_range refused[4];
	struct gmem_convert_args a = { .args_size = sizeof(a),
				       .size = 16 * PAGE,
				       .attributes = PRIVATE };
	struct told t;
	struct gmem_consumer *c = add(&t, g);

	t.prepare_error = -EAGAIN;
	t.refuse[0] = (struct gmem_range){ 5 * PAGE + 10, 20 };
	t.refuse[1] = (struct gmem_range){ 9 * PAGE, UINT64_MAX };
	assert_int_equal(gmem_convert(g, &a), -EAGAIN);
	assert_int_equal(a.error_offset, 5 * PAGE);
	assert_false(t.wants_every_part);
	assert_int_equal(t.nr, 1);
	a.refused = refused;
	a.max_refused = 4;
	assert_int_equal(gmem_convert(g, &a), -EAGAIN);
	assert_true(t.wants_every_part);
	assert_int_equal(a.nr_refused, 2);
	assert_int_equal(refused[0].offset, 5 * PAGE);
	assert_int_equal(refused[0].size, PAGE);
	assert_int_equal(refused[1].offset, 9 * PAGE);
	assert_int_equal(refused[1].size, 7 * PAGE);
	t_open(window + 5 * PAGE);
	gmem_consumer_remove(g, c);
	gmem_unmap(window, 16 * PAGE);
	gmem_put(g);
}

static void who_has_begun_is_told_of_the_abort(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	char *window = t_map(g, 0, 4);
	struct told good, bad;
	struct gmem_consumer *a = add(&bad, g), *b = add(&good, g);

	bad.begin_error = -ENOMEM;
	bad.refuse[0] = (struct gmem_range){ 0, PAGE };
	assert_int_equal(gmem_make_private(g, 0, PAGE, NULL), -ENOMEM);
	/* Whichever order they are told in: each has as many ends as it has begun. */
	assert_int_equal(bad.nr, 2);
	assert_int_equal(bad.calls[1], BEGIN);
	assert_true(good.nr == 1 || good.nr == 3);
	if (good.nr == 3) {
		assert_int_equal(good.calls[2], END);
		assert_int_equal(good.infos[2].aborted, 1);
		assert_int_equal(good.states[2], 0);
	}
	t_open(window);
	/* An error that is none of those that a conversion has. */
	bad.begin_error = -EPERM;
	assert_int_equal(gmem_make_private(g, 0, PAGE, NULL), -EAGAIN);
	/* A punch is not to be refused. */
	assert_int_equal(gmem_punch(g, 0, PAGE), 0);
	assert_int_equal(bad.infos[bad.nr - 1].kind, GMEM_KIND_DISCARD);
	assert_int_equal(bad.nr_parts[bad.nr - 1], 0);
	gmem_consumer_remove(g, a);
	gmem_consumer_remove(g, b);
	gmem_unmap(window, 4 * PAGE);
	gmem_put(g);
}

static void the_end_of_the_file_is_told(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	struct told t;
	struct gmem_consumer *c = add(&t, g);

	gmem_put(g);
	assert_int_equal(t.nr, 2);
	assert_int_equal(t.infos[0].kind, GMEM_KIND_RELEASE);
	assert_int_equal(t.calls[1], END);
	gmem_consumer_remove(NULL, c);
	gmem_consumer_remove(NULL, NULL);
}

static void a_consumer_needs_begin_and_end(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	struct gmem_consumer_callbacks c = callbacks;
	struct gmem_consumer *out;

	c.begin = NULL;
	assert_int_equal(gmem_consumer_add(g, &c, NULL, &out), -EINVAL);
	c = callbacks;
	c.end = NULL;
	assert_int_equal(gmem_consumer_add(g, &c, NULL, &out), -EINVAL);
	c = callbacks;
	c.ops_size = 8;
	assert_int_equal(gmem_consumer_add(g, &c, NULL, &out), -EINVAL);
	assert_int_equal(gmem_consumer_add(g, NULL, NULL, &out), -EINVAL);
	assert_int_equal(gmem_consumer_add(g, &callbacks, NULL, NULL), -EINVAL);
	assert_int_equal(gmem_consumer_add(NULL, &callbacks, NULL, &out), -EINVAL);
	assert_int_equal(gmem_change_describe(NULL, NULL), -EINVAL);
	gmem_put(g);
}

/* ---- bindings ------------------------------------------------------------------------------- */

struct found {
	int nr;
	void *owners[4];
	struct gmem_range ranges[4];
};

static void find(void *arg, void *owner, uint64_t offset, uint64_t size)
{
	struct found *f = arg;

	f->owners[f->nr] = owner;
	f->ranges[f->nr++] = (struct gmem_range){ offset, size };
}

static void a_page_has_one_owner(void **state)
{
	struct gmem *g = t_create(16, BOTH);
	struct gmem_binding *a, *b, *c;
	struct found f = { 0 };
	int one, two;

	assert_int_equal(gmem_bind(g, 0, 4 * PAGE, &one, &a), 0);
	assert_int_equal(gmem_bind(g, 8 * PAGE, 4 * PAGE, &two, &b), 0);
	assert_int_equal(gmem_bind(g, 3 * PAGE, 2 * PAGE, &two, &c), -EEXIST);
	assert_int_equal(gmem_bind(g, 15 * PAGE, 2 * PAGE, &two, &c), -EINVAL);
	assert_int_equal(gmem_bind(g, 0, 0, &two, &c), -EINVAL);
	assert_int_equal(gmem_fault_begin(g), 0);
	assert_int_equal(gmem_for_bindings(g, 2 * PAGE, 8 * PAGE, find, &f), 0);
	gmem_fault_end(g);
	assert_int_equal(f.nr, 2);
	assert_ptr_equal(f.owners[0], &one);
	assert_int_equal(f.ranges[0].offset, 2 * PAGE);
	assert_int_equal(f.ranges[0].size, 2 * PAGE);
	assert_ptr_equal(f.owners[1], &two);
	assert_int_equal(f.ranges[1].size, 2 * PAGE);
	gmem_unbind(g, a);
	assert_int_equal(gmem_bind(g, 3 * PAGE, 2 * PAGE, &two, &c), 0);
	gmem_unbind(g, b);
	gmem_unbind(g, c);
	gmem_unbind(g, NULL);
	assert_int_equal(gmem_for_bindings(g, 0, PAGE, NULL, NULL), -EINVAL);
	gmem_put(g);
}

/* ---- VM types ------------------------------------------------------------------------------- */

struct type {
	int nr_prepared, nr_private, nr_shared, nr_reclaimed, prepare_error;
	uint64_t last_offset, last_size;
};

static int type_prepare(void *data, uint64_t offset, uint64_t size)
{
	struct type *t = data;

	t->nr_prepared++;
	t->last_offset = offset;
	return t->prepare_error;
}

static void type_private(void *data, uint64_t offset, uint64_t size)
{
	struct type *t = data;

	t->nr_private++;
	t->last_offset = offset;
	t->last_size = size;
}

static void type_shared(void *data, uint64_t offset, uint64_t size)
{
	struct type *t = data;

	t->nr_shared++;
	t->last_offset = offset;
	t->last_size = size;
}

static void type_reclaim(void *data, uint64_t offset, uint64_t size)
{
	struct type *t = data;

	t->nr_reclaimed++;
	t->last_size = size;
}

static struct gmem *create_with_type(struct type *t)
{
	struct gmem_vm_type type = { .ops_size = sizeof(type),
				     .prepare = type_prepare,
				     .make_private = type_private,
				     .make_shared = type_shared,
				     .reclaim = type_reclaim };
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = BOTH,
					 .size = 16 * PAGE,
					 .type = &type,
					 .type_data = t };
	struct gmem *g;

	memset(t, 0, sizeof(*t));
	type.reserved = 1;
	assert_int_equal(gmem_create(&args, &g), -EINVAL);
	type.reserved = 0;
	assert_int_equal(gmem_create(&args, &g), 0);
	memset(&type, 0xff, sizeof(type)); /* it was copied */
	return g;
}

static void a_type_is_told_of_pages_that_are_there(void **state)
{
	struct gmem_stats before = { .args_size = sizeof(before) }, after = before;
	struct type t;
	struct gmem *g = create_with_type(&t);
	char *window = t_map(g, 0, 16);
	void *at;

	t_private(g, 0, 16);
	assert_int_equal(t.nr_private, 0);
	t_shared(g, 0, 16);
	window[5 * PAGE] = 1;
	t_private(g, 4, 4);
	assert_int_equal(t.nr_private, 1);
	assert_int_equal(t.last_offset, 5 * PAGE);
	assert_int_equal(t.last_size, PAGE);
	/* Once before it is handed out, and not again; what remembers that is counted. */
	assert_int_equal(gmem_get_stats(g, &before), 0);
	t_guest(g, 5);
	assert_int_equal(gmem_get_stats(g, &after), 0);
	assert_true(after.attribute_bytes > before.attribute_bytes);
	t_guest(g, 5);
	assert_int_equal(t.nr_prepared, 1);
	assert_int_equal(t.last_offset, 5 * PAGE);
	/* A shared page needs none. */
	t_guest(g, 1);
	assert_int_equal(t.nr_prepared, 1);
	t.prepare_error = -EIO;
	assert_int_equal(gmem_fault_begin(g), 0);
	assert_int_equal(gmem_page(g, 6 * PAGE, &at, NULL), -EIO);
	gmem_fault_end(g);
	t_shared(g, 5, 1);
	assert_int_equal(t.nr_shared, 1);
	t.nr_reclaimed = 0;
	assert_int_equal(gmem_punch(g, 5 * PAGE, PAGE), 0);
	assert_int_equal(t.nr_reclaimed, 1);
	assert_int_equal(t.last_size, PAGE);
	gmem_unmap(window, 16 * PAGE);
	gmem_put(g);
	assert_true(t.nr_reclaimed > 1);
}

/* ---- the guest's side ------------------------------------------------------------------------ */

static void a_translation_ends_with_the_file(void **state)
{
	struct gmem *g = t_create(5, BOTH);
	uint64_t size = 0;
	void *at;

	assert_int_equal(gmem_fault_begin(g), 0);
	assert_int_equal(gmem_page(g, 2 * PAGE, &at, &size), 0);
	gmem_fault_end(g);
	assert_in_range(size, PAGE, 3 * PAGE);
	gmem_put(g);
}

static void a_page_has_the_size_of_what_is_alike(void **state)
{
	struct gmem *g = t_create(1024 + 5, BOTH);
	uint64_t size;
	void *at;

	t_private(g, 600, 1);
	assert_int_equal(gmem_fault_begin(g), 0);
	assert_int_equal(gmem_page(g, 3 * PAGE + 7, &at, &size), 0);
	assert_int_equal((uintptr_t)at & (PAGE - 1), 7);
	assert_in_range(size, PAGE - 7, 512 * PAGE - 3 * PAGE - 7);
	/* A private page beside it: one page. */
	assert_int_equal(gmem_page(g, 601 * PAGE, &at, &size), 0);
	assert_int_equal(size, PAGE);
	assert_int_equal(gmem_page(g, 1028 * PAGE, &at, &size), 0);
	assert_int_equal(size, PAGE);
	assert_int_equal(gmem_page(g, 1029 * PAGE, &at, &size), -EINVAL);
	assert_int_equal(gmem_page(g, 0, NULL, &size), -EINVAL);
	assert_int_equal(gmem_page(NULL, 0, &at, &size), -EINVAL);
	gmem_fault_end(g);
	assert_int_equal(gmem_fault_begin(NULL), -EINVAL);
	gmem_put(g);
}

/* ---- what a callback may not call ---------------------------------------------------------------------------------- */

struct caller {
	struct gmem *g, *other;
	int results[16], nr, allowed;
};

static int agree(void *data, const struct gmem_change *change)
{
	return 0;
}

static void end_nothing(void *data, const struct gmem_change *change)
{
}

static int call_what_waits(struct gmem *g, int *results)
{
	struct gmem_consumer_callbacks ops = { .ops_size = sizeof(ops),
					       .begin = agree,
					       .end = end_nothing };
	struct gmem_map_args window = { .args_size = sizeof(window), .size = PAGE };
	struct gmem_populate_args populate = { .args_size = sizeof(populate), .size = PAGE };
	struct gmem_snapshot_args save = { .args_size = sizeof(save), .fd = -1 };
	struct gmem_restore_args restore = { .args_size = sizeof(restore), .fd = -1 };
	struct gmem_stats stats = { .args_size = sizeof(stats) };
	struct gmem_consumer *consumer;
	struct gmem_binding *binding;
	struct gmem_extent extent;
	struct gmem_pinned *pin;
	uint32_t nr;
	void *at;
	int i = 0;

	results[i++] = gmem_make_shared(g, 0, PAGE, NULL);
	results[i++] = gmem_punch(g, 0, PAGE);
	results[i++] = gmem_allocate(g, 0, PAGE);
	results[i++] = gmem_poison(g, 0, PAGE);
	results[i++] = gmem_populate(g, &populate);
	results[i++] = gmem_snapshot(g, &save);
	results[i++] = gmem_restore(g, &restore);
	results[i++] = gmem_query(g, 0, PAGE, &extent, 1, &nr);
	results[i++] = gmem_get_stats(g, &stats);
	results[i++] = gmem_bind(g, 0, PAGE, NULL, &binding);
	results[i++] = gmem_pin(g, PAGE, PAGE, &pin);
	results[i++] = gmem_map(g, &window, &at);
	results[i++] = gmem_consumer_add(g, &ops, NULL, &consumer);
	results[i++] = gmem_fault_begin(g);
	return i;
}

static int begin_and_call(void *data, const struct gmem_change *change)
{
	struct gmem_info info = { .args_size = sizeof(info) };
	struct caller *c = data;
	uint32_t attributes;

	c->nr = call_what_waits(c->g, c->results);
	c->allowed = gmem_attributes(c->g, 0, &attributes) || gmem_get_info(c->g, &info) ||
		     gmem_make_private(c->other, 0, PAGE, NULL);
	return 0;
}

static void assert_all_would_wait(const struct caller *c)
{
	assert_true(c->nr > 10);
	for (int i = 0; i < c->nr; i++)
		assert_int_equal(c->results[i], -EDEADLK);
	must_refuse("LIB_INSIDE");
}

static void what_would_wait_for_itself_is_refused(void **state)
{
	struct gmem_consumer_callbacks ops = { .ops_size = sizeof(ops),
					       .begin = begin_and_call,
					       .end = end_nothing };
	struct caller c = { .g = t_create(4, BOTH), .other = t_create(1, BOTH) };
	struct gmem_consumer *consumer;

	assert_int_equal(gmem_consumer_add(c.g, &ops, &c, &consumer), 0);
	t_private(c.g, 0, 1);
	assert_all_would_wait(&c);
	assert_int_equal(c.allowed, 0);
	assert_int_equal(t_state(c.other, 0), PRIVATE);
	gmem_consumer_remove(c.g, consumer);

	assert_int_equal(gmem_fault_begin(c.g), 0);
	c.nr = call_what_waits(c.g, c.results);
	gmem_fault_end(c.g);
	assert_all_would_wait(&c);
	t_shared(c.g, 0, 1);
	assert_int_equal(gmem_punch(c.g, 0, PAGE), 0);
	gmem_put(c.other);
	gmem_put(c.g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bracket_is_told_in_order),
		cmocka_unit_test(a_consumer_may_refuse),
		cmocka_unit_test(who_has_begun_is_told_of_the_abort),
		cmocka_unit_test(the_end_of_the_file_is_told),
		cmocka_unit_test(a_consumer_needs_begin_and_end),
		cmocka_unit_test(a_page_has_one_owner),
		cmocka_unit_test(a_type_is_told_of_pages_that_are_there),
		cmocka_unit_test(a_translation_ends_with_the_file),
		cmocka_unit_test(a_page_has_the_size_of_what_is_alike),
		cmocka_unit_test(what_would_wait_for_itself_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
