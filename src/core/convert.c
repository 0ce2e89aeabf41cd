/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Conversion in place: the one spot where a page changes between shared and private.
 *
 *	invalidate lock, exclusively	no fault, punch, allocation or binding beside us
 *	already so?			done, nobody hears of it
 *	prepare (to private only)	a pinned page refuses here, with nothing touched
 *	reserve				the map's memory, the last thing that can fail by itself
 *	begin				every translation of the range is gone, none comes back
 *	the map changes			cannot fail
 *	end				new translations, of the new state
 *
 * Contents stay: only who may touch them changes.
 */
#include <errno.h>

#include "core/file_private.h"
#include "obs/obs.h"

static bool already_so(struct gmem_file *f, const struct gmem_change *ch)
{
	uint32_t value;

	return attr_map_uniform(f->attributes, ch->offset >> OS_PAGE_SHIFT,
				ch->size >> OS_PAGE_SHIFT, &value) &&
	       value == ch->attributes;
}

/* Everything that may refuse. */
static int get_ready(struct gmem_file *f, const struct gmem_change *ch, uint64_t *error_offset)
{
	int err = 0;

	if (ch->attributes & ATTR_PRIVATE)
		err = bracket_prepare(f, ch, error_offset);
	if (err)
		return obs_refuse(err,
				  "a user of the pages cannot give them up for a conversion to "
				  "private (pinned?)");
	err = attr_map_reserve(f->attributes, ch->offset >> OS_PAGE_SHIFT,
			       ch->size >> OS_PAGE_SHIFT);
	if (err)
		return obs_refuse(err, "no memory for the attributes of the range");
	return 0;
}

static int convert_locked(struct gmem_file *f, struct gmem_change *ch, uint64_t *error_offset)
{
	int err;

	if (already_so(f, ch))
		return 0;
	*error_offset = ch->offset;
	err = get_ready(f, ch, error_offset);
	if (err)
		return err;
	err = bracket_begin(f, ch);
	if (err)
		return obs_refuse(err, "a user of the pages could not drop its translations");

	os_assert(f->changing);
	attr_map_set(f->attributes, ch->offset >> OS_PAGE_SHIFT, ch->size >> OS_PAGE_SHIFT,
		     ch->attributes);

	bracket_end(f, ch);
	obs_count(OBS_CONVERT, ch->offset, ch->size, ch->attributes);
	return 0;
}

int gmem_file_convert(struct gmem_file *f, uint64_t offset, uint64_t size, uint32_t attributes,
		      uint64_t *error_offset)
{
	struct gmem_change ch = { .kind = GMEM_CHANGE_CONVERT,
				  .offset = offset,
				  .size = size,
				  .attributes = attributes };
	uint64_t where;
	int err;

	os_assert(size && !((offset | size) & (OS_PAGE_SIZE - 1)));
	os_assert(offset < f->size && size <= f->size - offset);
	os_rwlock_write_lock(&f->invalidate);
	err = convert_locked(f, &ch, &where);
	os_rwlock_write_unlock(&f->invalidate);
	if (err)
		*error_offset = where;
	return err;
}
