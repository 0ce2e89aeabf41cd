/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A snapshot that somebody else wrote: the bytes themselves, or, since checksums would stop most, the pages that they say,
 * with checksums that are right. What is refused is refused by a rule; what is taken is a whole memory, run by run.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/snapshot.h"
#include "target.h"

#define MAX_FILE (64 * 4096)
#define BYTES 0 /* the first byte: what follows is the file */

struct file {
	uint8_t bytes[MAX_FILE];
	uint64_t used;
	uint64_t offset; /* of the guest memory: where the next run goes on */
	struct snapshot_header header;
	struct snapshot_footer footer;
};

/* One of these in 16 is something else. */
static uint64_t mostly(struct input *in, uint64_t value)
{
	return take8(in) % 16 == 15 ? take64(in) : value;
}

static bool put(struct file *f, const void *data, size_t size)
{
	if (f->used + SNAPSHOT_PAGE > sizeof(f->bytes))
		return false;
	memcpy(f->bytes + f->used, data, size);
	f->used += SNAPSHOT_PAGE;
	return true;
}

static void put_data(struct file *f, struct input *in)
{
	uint8_t page[SNAPSHOT_PAGE];

	memset(page, take8(in), sizeof(page));
	put(f, page, sizeof(page));
}

static void make_run(struct file *f, struct input *in, struct snapshot_run *run)
{
	uint8_t kind = take8(in);
	uint64_t pages = 1 + kind % 4;

	run->size = mostly(in, pages * SNAPSHOT_PAGE);
	run->offset = mostly(in, f->offset);
	run->attributes = kind & 0x10 ? GMEM_ATTRIBUTE_PRIVATE : kind & 0x20 ? take8(in) : 0;
	run->flags = kind & 0x40 ? take8(in) : 0;
	if (kind & 0x80) {
		run->data = mostly(in, (1 + take8(in)) * SNAPSHOT_PAGE);
		if (run->size < f->used && run->data < f->used - run->size)
			run->checksum = snapshot_checksum(f->bytes + run->data, run->size);
	}
	f->offset = run->offset + run->size;
}

static void put_index(struct file *f, struct input *in)
{
	struct snapshot_index i = { .magic = { 'g', 'm', 'e', 'm', 'i', 'n', 'd', 'x' } };
	uint64_t at = f->used;

	i.before = mostly(in, f->footer.last);
	i.before_checksum = mostly(in, f->footer.last_checksum);
	i.nr = take8(in) % 8;
	for (uint32_t n = 0; n < i.nr; n++) {
		make_run(f, in, &i.runs[n]);
		f->footer.nr_runs++;
		f->footer.data_bytes += i.runs[n].data ? i.runs[n].size : 0;
		f->footer.private_bytes += i.runs[n].attributes ? i.runs[n].size : 0;
	}
	i.nr = (uint32_t)mostly(in, i.nr);
	if (!put(f, &i, sizeof(i)))
		return;
	f->footer.last = at;
	f->footer.last_checksum = snapshot_checksum(&i, sizeof(i));
}

static void put_footer(struct file *f, struct input *in)
{
	struct snapshot_footer *o = &f->footer;

	memcpy(o->magic, "gmemdone", sizeof(o->magic));
	o->last = mostly(in, o->last);
	o->nr_runs = mostly(in, o->nr_runs);
	o->data_bytes = mostly(in, o->data_bytes);
	o->private_bytes = mostly(in, o->private_bytes);
	o->file_bytes = mostly(in, f->used + SNAPSHOT_PAGE);
	o->checksum = snapshot_checksum(o, offsetof(struct snapshot_footer, checksum));
	put(f, o, sizeof(*o));
}

/* The header says how large the memory is, which is known when all runs are. */
static void put_file(struct file *f, struct input *in)
{
	struct snapshot_header *h = &f->header;
	uint8_t parts = take8(in) % 32;

	f->used = SNAPSHOT_PAGE;
	while (parts--)
		if (take8(in) & 1)
			put_index(f, in);
		else
			put_data(f, in);
	put_footer(f, in);
	memcpy(h->magic, "gmemsnap", sizeof(h->magic));
	h->page_size = (uint32_t)SNAPSHOT_PAGE;
	h->size = mostly(in, f->offset);
	h->flags = take8(in) % 4 == 3 ? GMEM_SNAPSHOT_OF_VM : 0;
	h->version = snapshot_version_of(h->flags);
	h->checksum = snapshot_checksum(h, offsetof(struct snapshot_header, checksum));
	memcpy(f->bytes, h, sizeof(*h));
}

/* ---- what a reader may rely on ------------------------------------------------------------------- */

struct seen {
	uint64_t at, nr;
	bool with_data, of_vm;
};

static int look_at(void *arg, const struct snapshot_run *run, const void *data)
{
	struct seen *s = arg;

	must(run->size && run->offset + run->size == s->at);
	must(!((run->offset | run->size) % SNAPSHOT_PAGE));
	must(!(run->attributes & ~GMEM_ATTRIBUTE_PRIVATE));
	must(!s->of_vm || run->attributes == GMEM_ATTRIBUTE_PRIVATE);
	must(!(run->flags & ~SNAPSHOT_RUN_LOST) && !(run->flags && run->data));
	must(!data == !(s->with_data && run->data));
	if (data) {
		must(run->size <= SNAPSHOT_PIECE);
		must(snapshot_checksum(data, run->size) == run->checksum);
	}
	s->at = run->offset;
	s->nr++;
	return 0;
}

static bool is_known(int err)
{
	return err == -ENOEXEC || err == -EPROTONOSUPPORT || err == -ENODATA || err == -EBADMSG;
}

static int walk(struct snapshot_reader *r, bool with_data)
{
	const struct snapshot_header *h = &r->header;
	struct seen s = { .at = h->size,
			  .with_data = with_data,
			  .of_vm = h->flags & GMEM_SNAPSHOT_OF_VM &&
				   !(h->flags & GMEM_INIT_SHARED) };
	int err = snapshot_walk(r, with_data, look_at, &s);

	must(!err || is_known(err));
	must(err || (!s.at && s.nr == r->footer.nr_runs));
	return err;
}

static void read_all(const void *bytes, size_t size)
{
	int fd = memfd_create("snapshot", MFD_CLOEXEC), err, without, with;
	struct snapshot_reader r;

	must(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
	err = snapshot_open(&r, fd);
	must(!err || is_known(err));
	if (!err) {
		without = walk(&r, false);
		with = walk(&r, true);
		must(!without || with);
		must(gmem_snapshot_check(fd, GMEM_CHECK_CONTENTS, NULL) == with);
	}
	close(fd);
}

void target(const uint8_t *data, size_t size)
{
	struct input in = { .at = data, .left = size };
	struct file *f;

	if (!size)
		return;
	if (take8(&in) == BYTES) {
		read_all(in.at, in.left);
		return;
	}
	f = calloc(1, sizeof(*f));
	must(f);
	put_file(f, &in);
	read_all(f->bytes, f->used);
	free(f);
}
