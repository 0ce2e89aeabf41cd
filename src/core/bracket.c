/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Telling the consumers: all of them, or none. */
#include <stddef.h>

#include "core/file_private.h"

int bracket_prepare(struct gmem_file *f, const struct gmem_change *ch, uint64_t *error_offset)
{
	struct gmem_consumer *c;

	os_assert(ch->kind == GMEM_CHANGE_CONVERT);
	for (c = f->consumers; c; c = c->next) {
		int err = c->ops->prepare ? c->ops->prepare(c, ch, error_offset) : 0;

		if (err)
			return err;
	}
	return 0;
}

static void end_began(struct gmem_file *f, const struct gmem_change *ch)
{
	struct gmem_consumer *c;

	for (c = f->consumers; c; c = c->next) {
		if (!c->began)
			continue;
		c->began = false;
		c->ops->end(c, ch);
	}
}

int bracket_begin(struct gmem_file *f, struct gmem_change *ch)
{
	struct gmem_consumer *c;

	os_assert(!f->changing);
	ch->generation = ++f->generation;
	for (c = f->consumers; c; c = c->next) {
		int err = c->ops->begin(c, ch);

		if (err) {
			/* A discard and a release go through, whoever would not like them. */
			os_assert(ch->kind == GMEM_CHANGE_CONVERT);
			ch->aborted = true;
			end_began(f, ch);
			return err;
		}
		c->began = true;
	}
	f->changing = true;
	return 0;
}

void bracket_end(struct gmem_file *f, struct gmem_change *ch)
{
	os_assert(f->changing);
	f->changing = false;
	end_began(f, ch);
}
