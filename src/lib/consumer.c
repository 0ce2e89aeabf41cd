/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Consumers of the program, what they may ask in their callbacks, and bindings. */
#include <errno.h>
#include <stddef.h>

#include "lib/calls.h"
#include "lib/lib.h"
#include "obs/obs.h"
#include "os/process.h"

struct consumer {
	struct gmem_consumer core; /* first: the program holds a pointer to it */
	struct gmem_consumer_callbacks ops;
	void *data;
	const struct gmem *g; /* in whose callbacks it is called */
	uint64_t home;	      /* of the process that added it */
	_Atomic bool released;
};

_Static_assert(GMEM_KIND_CONVERT == GMEM_CHANGE_CONVERT &&
		       GMEM_KIND_DISCARD == GMEM_CHANGE_DISCARD &&
		       GMEM_KIND_RELEASE == GMEM_CHANGE_RELEASE &&
		       GMEM_KIND_FREEZE == GMEM_CHANGE_FREEZE &&
		       GMEM_KIND_MOVE == GMEM_CHANGE_MOVE &&
		       GMEM_LEAVES_SHARED == GMEM_FILTER_SHARED &&
		       GMEM_LEAVES_PRIVATE == GMEM_FILTER_PRIVATE,
	       "the header's names are for core's numbers");

static struct consumer *consumer_of(struct gmem_consumer *c)
{
	return (struct consumer *)((char *)c - offsetof(struct consumer, core));
}

/* ---- core's calls ------------------------------------------------------------------------------ */

/* What a program returns is not trusted to be one of those that core knows. */
static int judge(int err)
{
	if (!err || err == -EAGAIN || err == -ENOMEM || err == -EINTR)
		return err;
	os_log(OS_LOG_WARN, "a consumer refuses with %d: taken for -EAGAIN", err);
	return -EAGAIN;
}

static int prepare(struct gmem_consumer *core, const struct gmem_change *ch)
{
	struct consumer *c = consumer_of(core);
	const void *before;
	int err;

	if (!c->ops.prepare)
		return 0;
	before = lib_mark(c->g);
	err = c->ops.prepare(c->data, ch);
	lib_come_out(before);
	return judge(err);
}

static int begin(struct gmem_consumer *core, const struct gmem_change *ch)
{
	struct consumer *c = consumer_of(core);
	const void *before = lib_mark(c->g);
	int err = c->ops.begin(c->data, ch);

	lib_come_out(before);
	return ch->kind == GMEM_CHANGE_CONVERT ? judge(err) : 0;
}

/* After the end of a release core does not know it any more, and the program may free it in end. */
static void end(struct gmem_consumer *core, const struct gmem_change *ch)
{
	struct consumer *c = consumer_of(core);
	const void *before = lib_mark(c->g);

	if (ch->kind == GMEM_CHANGE_RELEASE)
		atomic_store(&c->released, true);
	c->ops.end(c->data, ch);
	lib_come_out(before);
}

static const struct gmem_consumer_ops core_ops = {
	.prepare = prepare,
	.begin = begin,
	.end = end,
};

/* ---- the program's ----------------------------------------------------------------------------- */

static int take_callbacks(struct consumer *c, const struct gmem_consumer_callbacks *ops)
{
	int err = lib_args_in(&c->ops, sizeof(c->ops),
			      LIB_MIN_OF(struct gmem_consumer_callbacks, end), ops);

	if (err)
		return err;
	if (c->ops.reserved || !c->ops.begin || !c->ops.end)
		return obs_refuse(RULE_LIB_CONSUMER_SHAPE);
	return 0;
}

static int make(const struct gmem_consumer_file *at, const struct gmem_consumer_callbacks *ops,
		struct consumer **out)
{
	struct consumer *c;
	int err;

	if (!at->g)
		return obs_refuse(RULE_LIB_NO_FILE_OR_PLACE);
	if (at->flags || at->reserved)
		return obs_refuse(RULE_LIB_CONSUMER_FLAGS);
	if (!lib_home_file(at->g))
		return obs_refuse(RULE_LIB_CONSUMER_HOME);
	if (lib_is_inside(at->g))
		return obs_refuse(RULE_LIB_INSIDE);
	c = os_alloc(sizeof(*c));
	if (!c)
		return obs_refuse(RULE_NO_MEMORY);
	err = take_callbacks(c, ops);
	if (err) {
		os_free(c, sizeof(*c));
		return err;
	}
	c->core.ops = &core_ops;
	c->data = at->data;
	c->g = at->g;
	c->home = os_home_token();
	*out = c;
	return 0;
}

/* Nothing that can fail comes after the first is registered. */
int lib_consumer_add_several(const struct gmem_consumer_file *files, uint32_t nr,
			     const struct gmem_consumer_callbacks *ops, struct gmem_consumer **out)
{
	struct consumer *c;
	uint32_t made;
	int err = 0;

	if (!files || !nr || !out)
		return obs_refuse(RULE_LIB_CONSUMER_FILES);
	for (made = 0; made < nr; made++) {
		err = make(&files[made], ops, &c);
		if (err)
			break;
		out[made] = &c->core;
	}
	while (err && made--)
		os_free(consumer_of(out[made]), sizeof(*c));
	for (uint32_t i = 0; !err && i < nr; i++)
		gmem_file_add_consumer(lib_home_file(files[i].g), out[i]);
	return err;
}

int lib_consumer_add(struct gmem *g, const struct gmem_consumer_callbacks *ops, void *data,
		     struct gmem_consumer **out)
{
	struct gmem_consumer_file at = { .g = g, .data = data };

	if (!g || !out)
		return obs_refuse(RULE_LIB_NO_FILE_OR_PLACE);
	return lib_consumer_add_several(&at, 1, ops, out);
}

void gmem_consumer_remove(struct gmem *g, struct gmem_consumer *consumer)
{
	struct consumer *c;

	if (!consumer)
		return;
	c = consumer_of(consumer);
	if (c->home == os_home_token() && !atomic_load(&c->released)) {
		os_assert(g && !lib_is_inside(g));
		gmem_file_remove_consumer(lib_home_file(g), consumer);
	}
	os_free(c, sizeof(*c));
}

int gmem_change_describe(const struct gmem_change *change, struct gmem_change_info *info)
{
	struct gmem_change_info i = { 0 };

	if (!change)
		return obs_refuse(RULE_LIB_NO_CHANGE);
	i.kind = change->kind;
	i.offset = change->offset;
	i.size = change->size;
	i.attributes = change->attributes;
	i.leaves = change->filter;
	i.generation = change->generation;
	i.aborted = change->aborted;
	return lib_args_out(info, &i, sizeof(i), LIB_MIN_OF(struct gmem_change_info, reserved));
}

/* A consumer that does not look at the kind asks in a punch, too. */
static bool is_conversion(const struct gmem_change *change)
{
	return change && change->kind == GMEM_CHANGE_CONVERT;
}

bool gmem_change_next_part(const struct gmem_change *change, uint64_t *at, uint64_t *offset,
			   uint64_t *size)
{
	return is_conversion(change) && at && offset && size &&
	       gmem_change_next(change, at, offset, size);
}

void gmem_change_refuse_part(const struct gmem_change *change, uint64_t offset, uint64_t size)
{
	if (is_conversion(change))
		gmem_change_refuse(change, offset, size);
}

bool gmem_change_wants_every_part(const struct gmem_change *change)
{
	return is_conversion(change) && gmem_change_wants_all(change);
}

/* ---- bindings ---------------------------------------------------------------------------------- */

int lib_bind(struct gmem *g, uint64_t offset, uint64_t size, void *owner, struct gmem_binding **out)
{
	int err;

	if (!g || !out)
		return obs_refuse(RULE_LIB_NO_FILE_OR_PLACE);
	err = lib_check_inside(g, offset, size);
	if (err)
		return err;
	if (!lib_home_file(g))
		return obs_refuse(RULE_LIB_BIND_HOME);
	return gmem_file_bind(lib_home_file(g), offset, size, owner, out);
}

void lib_unbind(struct gmem *g, struct gmem_binding *binding)
{
	if (!g || !binding || !lib_home_file(g))
		return;
	os_assert(!lib_is_inside(g));
	gmem_file_unbind(lib_home_file(g), binding);
}

int lib_for_bindings(struct gmem *g, uint64_t offset, uint64_t size,
		     void (*fn)(void *arg, void *owner, uint64_t offset, uint64_t size), void *arg)
{
	if (!g || !fn)
		return obs_refuse(RULE_LIB_NO_FUNCTION);
	if (!lib_home_file(g))
		return obs_refuse(RULE_LIB_BIND_HOME);
	gmem_file_for_bindings(lib_home_file(g), offset, size, fn, arg);
	return 0;
}
