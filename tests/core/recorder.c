/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "recorder.h"

#include <string.h>

#include "os/os.h"

static char text[256];

const char *diary(void)
{
	return text;
}

void diary_clear(void)
{
	text[0] = 0;
}

static void note(const struct recorder *r, char what)
{
	char entry[] = { ' ', r->name, what, 0 };

	strcat(text, text[0] ? entry : entry + 1);
}

static uint32_t value_of(const struct recorder *r, const struct gmem_change *ch)
{
	return attr_map_get(gmem_file_attributes(r->file), ch->offset / OS_PAGE_SIZE);
}

static uint8_t byte_of(const struct recorder *r, const struct gmem_change *ch)
{
	void *addr = NULL;

	/* A look would give the page back its memory. */
	if (ch->kind == GMEM_CHANGE_RELEASE)
		return 0;
	os_assert(!store_address(gmem_file_store(r->file), ch->offset, &addr));
	return *(volatile uint8_t *)addr;
}

static void refuse(const struct recorder *r, const struct gmem_change *ch)
{
	unsigned int i;

	for (i = 0; i < r->nr_refuse; i++)
		gmem_change_refuse(ch, r->refuse[i].offset, r->refuse[i].size);
}

static void note_parts(struct recorder *r, const struct gmem_change *ch)
{
	uint64_t at = 0, offset, size;

	r->nr_parts = 0;
	while (gmem_change_next(ch, &at, &offset, &size)) {
		if (r->nr_parts < RECORDER_PARTS)
			r->parts[r->nr_parts] = (struct gmem_refused){ offset, size };
		r->nr_parts++;
	}
}

static int prepare(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct recorder *r = (struct recorder *)c;

	note(r, 'p');
	r->last = *ch;
	note_parts(r, ch);
	if (r->refuse_prepare)
		refuse(r, ch);
	return r->refuse_prepare;
}

static int begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct recorder *r = (struct recorder *)c;

	note(r, 'b');
	r->last = *ch;
	r->value_at_begin = value_of(r, ch);
	r->byte_at_begin = byte_of(r, ch);
	note_parts(r, ch);
	if (r->refuse_begin)
		refuse(r, ch);
	return r->refuse_begin;
}

static void end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct recorder *r = (struct recorder *)c;

	note(r, ch->aborted ? 'x' : 'e');
	r->last = *ch;
	r->value_at_end = value_of(r, ch);
	r->byte_at_end = byte_of(r, ch);
	note_parts(r, ch);
}

static const struct gmem_consumer_ops ops = { prepare, begin, end };

void recorders_add(struct recorder *r, unsigned int n, struct gmem_file *f)
{
	memset(r, 0, n * sizeof(*r));
	/* The last one added is told first. */
	while (n--) {
		r[n].consumer.ops = &ops;
		r[n].file = f;
		r[n].name = (char)('a' + n);
		gmem_file_add_consumer(f, &r[n].consumer);
	}
	diary_clear();
}

void recorders_remove(struct recorder *r, unsigned int n)
{
	while (n--)
		gmem_file_remove_consumer(r[n].file, &r[n].consumer);
}
