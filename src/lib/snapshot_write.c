/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define XXH_INLINE_ALL
#define XXH_NO_STREAM
#include <xxhash.h>

#include "lib/snapshot.h"
#include "obs/obs.h"
#include "os/disk.h"

_Static_assert(sizeof(struct snapshot_index) == SNAPSHOT_PAGE, "an index is a page");

/* What is in memory is what is in the file. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "fields would have to be turned round");

uint64_t snapshot_checksum(const void *data, uint64_t size)
{
	return XXH3_64bits(data, size);
}

static int write_at(struct snapshot_writer *w, uint64_t at, const void *data, uint64_t size)
{
	int err = os_disk_write(w->fd, at, data, size);

	return err ? obs_refuse_as(RULE_SNAPSHOT_WRITE, err) : 0;
}

/* A page that begins with it. */
static int write_page(struct snapshot_writer *w, const void *what, size_t size)
{
	char page[SNAPSHOT_PAGE] = { 0 };
	int err;

	memcpy(page, what, size);
	err = write_at(w, w->at, page, sizeof(page));
	if (!err)
		w->at += sizeof(page);
	return err;
}

int snapshot_begin(struct snapshot_writer *w, int fd, uint64_t size, uint32_t flags)
{
	struct snapshot_header *h = &w->header;

	memset(w, 0, sizeof(*w));
	w->fd = fd;
	memcpy(h->magic, "gmemsnap", sizeof(h->magic));
	h->version = snapshot_version_of(flags);
	h->page_size = (uint32_t)SNAPSHOT_PAGE;
	h->flags = flags;
	h->size = size;
	h->id[0] = os_random();
	h->id[1] = os_random();
	h->checksum = snapshot_checksum(h, offsetof(struct snapshot_header, checksum));
	return write_page(w, h, sizeof(*h));
}

static int write_index(struct snapshot_writer *w)
{
	struct snapshot_index *i = &w->index;
	uint64_t at = w->at;
	int err;

	memcpy(i->magic, "gmemindx", sizeof(i->magic));
	i->before = w->footer.last;
	i->before_checksum = w->footer.last_checksum;
	err = write_page(w, i, sizeof(*i));
	if (err)
		return err;
	w->footer.last = at;
	w->footer.last_checksum = snapshot_checksum(i, sizeof(*i));
	memset(i, 0, sizeof(*i));
	return 0;
}

static int add_run(struct snapshot_writer *w, const struct snapshot_run *run)
{
	w->index.runs[w->index.nr++] = *run;
	w->footer.nr_runs++;
	if (run->attributes)
		w->footer.private_bytes += run->size;
	return w->index.nr == SNAPSHOT_RUNS ? write_index(w) : 0;
}

static int end_zeros(struct snapshot_writer *w)
{
	struct snapshot_run run = w->zeros;

	w->zeros.size = 0;
	return run.size ? add_run(w, &run) : 0;
}

static int add_data(struct snapshot_writer *w, struct snapshot_run *run, const void *data)
{
	int err;

	os_assert(run->size <= SNAPSHOT_PIECE);
	run->data = w->at;
	run->checksum = snapshot_checksum(data, run->size);
	err = write_at(w, w->at, data, run->size);
	if (err)
		return err;
	w->at += run->size;
	w->footer.data_bytes += run->size;
	return add_run(w, run);
}

static bool goes_on(const struct snapshot_run *zeros, const struct snapshot_run *run)
{
	return zeros->size && zeros->attributes == run->attributes && zeros->flags == run->flags;
}

int snapshot_add(struct snapshot_writer *w, const struct snapshot_run *run, const void *data)
{
	struct snapshot_run next = *run;
	int err;

	if (!data && goes_on(&w->zeros, run)) {
		w->zeros.size += run->size;
		return 0;
	}
	err = end_zeros(w);
	if (err)
		return err;
	if (data)
		return add_data(w, &next, data);
	w->zeros = next;
	return 0;
}

/* Nothing that says the snapshot is whole may come to the disk before the rest. */
int snapshot_end(struct snapshot_writer *w)
{
	struct snapshot_footer *f = &w->footer;
	int err = end_zeros(w);

	if (!err && w->index.nr)
		err = write_index(w);
	if (!err)
		err = os_disk_sync(w->fd);
	if (err)
		return obs_refuse_as(RULE_SNAPSHOT_WRITE, err);
	memcpy(f->magic, "gmemdone", sizeof(f->magic));
	f->id[0] = w->header.id[0];
	f->id[1] = w->header.id[1];
	f->file_bytes = w->at + SNAPSHOT_PAGE;
	f->checksum = snapshot_checksum(f, offsetof(struct snapshot_footer, checksum));
	err = write_page(w, f, sizeof(*f));
	if (!err)
		err = os_disk_sync(w->fd);
	return err ? obs_refuse_as(RULE_SNAPSHOT_WRITE, err) : 0;
}
