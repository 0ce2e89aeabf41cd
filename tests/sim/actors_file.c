/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Actors that use a file by its descriptor: each of their calls holds it. */
#include "actors.h"

#include <errno.h>
#include <string.h>

/* ---- conversion in place ----------------------------------------------------------------------- */

static void look(const struct gmem_file *file, uint32_t value[NR_PAGES])
{
	for (unsigned int i = 0; i < NR_PAGES && i < gmem_file_size(file) / PAGE; i++)
		value[i] = attr_map_get(gmem_file_attributes(file), i);
}

/* By who alone converts: what it made of the pages. */
static void check_converted(const struct gmem_file *file, const struct gmem_conversion *c, int err,
			    const uint32_t before[NR_PAGES])
{
	uint32_t after[NR_PAGES] = { 0 };

	look(file, after);
	for (unsigned int i = 0; i < NR_PAGES; i++) {
		bool inside = i * PAGE >= c->offset && i * PAGE < c->offset + c->size;
		uint32_t wanted = inside && !err ? c->attributes : before[i];

		if (after[i] != wanted)
			sim_fail("conversion: page %u is %s after error %d", i,
				 after[i] ? "private" : "shared", err);
	}
}

static void convert(const struct actor *a, unsigned int first, unsigned int nr, uint32_t attributes)
{
	struct gmem_conversion c = { .offset = first * PAGE,
				     .size = nr * PAGE,
				     .attributes = attributes };
	uint32_t before[NR_PAGES] = { 0 };
	int err;

	if (a->sole)
		look(a->file->file, before);
	sim_note("pages %u+%u become %s", first, nr, attributes ? "private" : "shared");
	err = gmem_file_convert(a->file->file, &c);
	sim_note("%d", err);
	sim_assert(!err || err == -EAGAIN || err == -ENOMEM);
	sim_assert(err != -EAGAIN || (attributes & ATTR_PRIVATE));
	if (err)
		sim_assert(c.error_offset >= c.offset && c.error_offset < c.offset + c.size);
	if (a->sole)
		check_converted(a->file->file, &c, err, before);
}

static void convert_some(const struct actor *a, bool is_first_way)
{
	unsigned int skip = a->whole || a->nr == 1 ? 0 : sim_choose(a->nr);
	unsigned int nr = a->whole || a->nr == 1 ? a->nr : 1 + sim_choose(a->nr - skip);
	bool began_shared;

	if (!world_hold(a->file))
		return;
	began_shared = gmem_file_flags(a->file->file) & GMEM_FILE_INIT_SHARED;
	convert(a, a->first + skip, nr, began_shared == is_first_way ? ATTR_PRIVATE : 0);
	world_let(a->file);
}

void converter(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++)
		convert_some(a, i % 2 == 0);
}

void observer(void *arg)
{
	struct actor *a = arg;
	uint64_t first = a->file ? a->first : BASE + a->first;
	struct attr_map *map;
	uint32_t value;

	if (a->file && !world_hold(a->file))
		return;
	map = a->file ? gmem_file_attributes(a->file->file) : mmu_attributes(world.mmu);
	for (unsigned int i = 0; i < a->turns; i++) {
		if (!attr_map_uniform(map, first, a->nr, &value))
			sim_fail("observer: a conversion is seen in part");
		if (attr_map_run(map, first, a->nr, &value) != a->nr)
			sim_fail("observer: a run ends inside of a conversion");
	}
	if (a->file)
		world_let(a->file);
}

/* ---- contents ---------------------------------------------------------------------------------- */

void puncher(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++) {
		unsigned int skip = a->whole || a->nr == 1 ? 0 : sim_choose(a->nr);

		if (!world_hold(a->file))
			return;
		sim_note("punch %u+%u", a->first + skip, a->nr - skip);
		sim_assert(!gmem_file_punch(a->file->file, (a->first + skip) * PAGE,
					    (a->nr - skip) * PAGE));
		world_let(a->file);
	}
}

void allocator(void *arg)
{
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++) {
		if (!world_hold(a->file))
			return;
		sim_assert(!gmem_file_allocate(a->file->file, a->first * PAGE, a->nr * PAGE));
		world_let(a->file);
	}
}

/* ---- life -------------------------------------------------------------------------------------- */

void closer(void *arg)
{
	struct actor *a = arg;

	sim_point();
	world_let(a->file);
}

struct visit {
	struct gmem_consumer consumer; /* first */
	bool began;
	unsigned int nr;
};

static int visit_begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct visit *v = (struct visit *)c;

	if (v->began)
		sim_fail("bracket: a visitor hears begin twice");
	v->began = true;
	v->nr++;
	sim_point();
	return 0;
}

static void visit_end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct visit *v = (struct visit *)c;

	if (!v->began)
		sim_fail("bracket: a visitor hears end without begin");
	v->began = false;
}

/* The host begins last: when it has, everybody has who was there. */
static void look_around(const struct world_file *f, const struct visit *v)
{
	if (f->host.open && !v->began)
		sim_fail("bracket: a visitor has come inside of it");
}

void visitor(void *arg)
{
	static const struct gmem_consumer_ops ops = { .begin = visit_begin, .end = visit_end };
	struct actor *a = arg;

	for (unsigned int i = 0; i < a->turns; i++) {
		struct visit v = { .consumer.ops = &ops };
		struct gmem_file *file = a->file->file;

		if (!world_hold(a->file))
			return;
		gmem_file_add_consumer(file, &v.consumer);
		look_around(a->file, &v);
		sim_point();
		look_around(a->file, &v);
		gmem_file_remove_consumer(file, &v.consumer);
		if (v.began)
			sim_fail("bracket: a visitor leaves inside of it");
		sim_note("heard of %u changes", v.nr);
		world_let(a->file);
	}
}

/* ---- hosts ------------------------------------------------------------------------------------- */

void host_runs(void *arg)
{
	struct actor *a = arg;

	if (!world_hold(a->file))
		return;
	for (unsigned int i = 0; i < a->turns; i++) {
		unsigned int page = a->first + (a->nr == 1 ? 0 : sim_choose(a->nr));

		if (!host_access(&a->file->host, page, !sim_choose(2)))
			sim_note("SIGBUS at page %u", page);
	}
	world_let(a->file);
}

void pinner(void *arg)
{
	struct actor *a = arg;
	struct host *h = &a->file->host;

	if (!world_hold(a->file))
		return;
	for (unsigned int i = 0; i < a->turns; i++) {
		unsigned int page = a->first + (a->nr == 1 ? 0 : sim_choose(a->nr));

		struct host_pin pin;

		if (!host_pin(h, page, &pin))
			continue;
		sim_note("page %u is pinned", page);
		host_access_pinned(h, &pin, true);
		host_access_pinned(h, &pin, false);
		host_unpin(h, &pin);
	}
	world_let(a->file);
}
