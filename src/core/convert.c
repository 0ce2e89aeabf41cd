/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Conversion in place: the one spot where a page changes between shared and private.
 *
 *	invalidate lock, exclusively	no fault, punch, allocation or binding beside us
 *	already so?			done, nobody hears of it
 *	trim				to the first and last page that change
 *	prepare (to private only)	a pinned page refuses here, with nothing touched
 *	reserve				the map's memory
 *	apart				huge pages that will not be of one kind are copied into small ones (blocks.c); the
 *					last thing that can fail by itself
 *	begin				every translation of the range is gone, none comes back
 *	the VM type is told
 *	the map changes			cannot fail
 *	end				new translations, of the new state
 *	together			what is of one kind now is copied into huge pages, if it can be
 *
 * Contents stay: only who may touch them changes.
 */
#include <errno.h>

#include "core/file_private.h"
#include "core/range.h"
#include "obs/inject.h"
#include "obs/obs.h"

/* From here on a conversion is long enough to look for signals. */
#define LONG_CONVERSION ((uint64_t)1 << 30)

static bool is_all(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value)
{
	uint32_t found;

	return attr_map_uniform(map, first, nr, &found) && found == value;
}

/* How many pages at the end of the range have the value; the first page has another one. */
static uint64_t equal_tail(struct attr_map *map, uint64_t first, uint64_t nr, uint32_t value)
{
	uint64_t end = first + nr;
	uint64_t known = 0;
	uint64_t step = 1;

	/* Shorter tails are equal, too: double until one is not, then halve. */
	for (; known + step < nr && is_all(map, end - known - step, step, value); step *= 2)
		known += step;
	while (step /= 2) {
		if (known + step < nr && is_all(map, end - known - step, step, value))
			known += step;
	}
	return known;
}

/* False when nothing is left to change. */
static bool trim(struct gmem_file *f, struct gmem_change *ch)
{
	uint64_t first = ch->offset >> OS_PAGE_SHIFT;
	uint64_t nr = ch->size >> OS_PAGE_SHIFT;
	uint32_t value;
	uint64_t run = attr_map_run(f->attributes, first, nr, &value);

	if (value == ch->attributes) {
		first += run;
		nr -= run;
	}
	if (!nr)
		return false;
	if (value == ch->attributes || run < nr)
		nr -= equal_tail(f->attributes, first, nr, ch->attributes);
	ch->offset = first << OS_PAGE_SHIFT;
	ch->size = nr << OS_PAGE_SHIFT;
	return true;
}

/* As if a consumer refused. */
static int fail_on_purpose(struct gmem_file *f, const struct gmem_change *ch)
{
	struct inject_key key = {
		.point = INJECT_CONVERT,
		.kind = ch->attributes & ATTR_PRIVATE ? INJECT_PRIVATE : INJECT_SHARED,
		.file = f->number,
		.has_offset = true,
		.offset = ch->offset,
		.size = ch->size,
	};
	struct inject what;

	if (!obs_inject(&key, &what))
		return 0;
	if (what.value - ch->offset >= ch->size)
		what.value = ch->offset;
	if (what.err == -EAGAIN)
		gmem_change_refuse(ch, what.value, OS_PAGE_SIZE);
	return what.err;
}

/* Everything that may refuse before anything is touched. */
static int get_ready(struct gmem_file *f, struct gmem_change *ch)
{
	int err = obs_injects(INJECT_CONVERT) ? fail_on_purpose(f, ch) : 0;
	uint32_t told = obs_refusals();

	if (err)
		return err;
	if (!(ch->attributes & ATTR_PRIVATE) && poison_meets(f, ch->offset, ch->size))
		return obs_refuse(RULE_CONVERT_POISONED);
	if (ch->attributes & ATTR_PRIVATE)
		err = bracket_prepare(f, ch);
	if (err)
		return obs_refuse_unless_told(RULE_CONVERT_PINNED, err, told);
	err = attr_map_reserve(f->attributes, ch->offset >> OS_PAGE_SHIFT,
			       ch->size >> OS_PAGE_SHIFT);
	if (err)
		return obs_refuse_as(RULE_CONVERT_NO_MEMORY, err);
	if (ch->size >= LONG_CONVERSION && os_signal_pending())
		return obs_refuse(RULE_CONVERT_SIGNAL);
	return 0;
}

static int convert_trimmed(struct gmem_file *f, struct gmem_change *ch)
{
	uint64_t start = obs_start();
	int err = get_ready(f, ch);
	uint32_t told = obs_refusals();

	if (!err)
		err = blocks_apart(f, ch);
	if (err)
		return err;
	err = bracket_begin(f, ch);
	if (err) {
		blocks_together(f, ch->offset, ch->size);
		return obs_refuse_unless_told(RULE_CONVERT_CONSUMER, err, told);
	}

	os_assert(f->changing);
	type_convert(f, ch);
	attr_map_set(f->attributes, ch->offset >> OS_PAGE_SHIFT, ch->size >> OS_PAGE_SHIFT,
		     ch->attributes);

	bracket_end(f, ch);
	blocks_together(f, ch->offset, ch->size);
	obs_span_file(OBS_CONVERT, f->number, start, 0, ch->offset, ch->size, ch->attributes);
	return 0;
}

static int convert_locked(struct gmem_file *f, struct gmem_change *ch)
{
	int err;

	refusals_begin(f);
	/* Consumers and VM type are gone; who asks has kept a reference. */
	if (f->released)
		err = obs_refuse(RULE_GMEM_RELEASED);
	else
		err = trim(f, ch) ? convert_trimmed(f, ch) : 0;
	return refusals_end(f, ch->conversion, err);
}

int gmem_file_convert(struct gmem_file *f, struct gmem_conversion *c)
{
	bool to_private = c->attributes & ATTR_PRIVATE;
	struct gmem_change ch = {
		.kind = GMEM_CHANGE_CONVERT,
		.offset = c->offset,
		.size = c->size,
		.attributes = c->attributes,
		.filter = to_private ? GMEM_FILTER_SHARED : GMEM_FILTER_PRIVATE,
		.file = f,
		.conversion = c,
	};
	int err;

	os_assert(f->flags & GMEM_FILE_IN_PLACE);
	os_assert(c->size && !((c->offset | c->size) & (OS_PAGE_SIZE - 1)));
	os_assert(range_inside(c->offset, c->size, f->size));
	c->nr_refused = 0;
	os_rwlock_write_lock(&f->invalidate);
	err = convert_locked(f, &ch);
	os_rwlock_write_unlock(&f->invalidate);
	return err;
}
