/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/mapped.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/gmem_file.h"
#include "map/share.h"

#define NR_RUNS 64
#define PATIENCE_MS 5000

/* ---- growing lists ----------------------------------------------------------------------------- */

static struct mapped_file *add_file(struct mapped *m)
{
	struct mapped_file *more =
		realloc(m->files, (m->nr_files + 1) * sizeof(struct mapped_file));

	if (!more)
		return NULL;
	m->files = more;
	memset(&more[m->nr_files], 0, sizeof(more[0]));
	return &more[m->nr_files++];
}

static int add_run(struct mapped_file *f, const struct gmem_run *run)
{
	if (f->nr_runs == f->room) {
		size_t room = f->room ? 2 * f->room : NR_RUNS;
		struct gmem_extent *more = realloc(f->runs, room * sizeof(f->runs[0]));

		if (!more)
			return -ENOMEM;
		f->runs = more;
		f->room = room;
	}
	f->runs[f->nr_runs++] = (struct gmem_extent){ .offset = run->offset,
						      .size = run->size,
						      .attributes = run->attributes };
	return 0;
}

/* ---- one file ---------------------------------------------------------------------------------- */

/* The end of one answer and the beginning of the next may be one run. */
struct reading {
	struct mapped_file *file;
	struct gmem_run pending;
	bool with_runs;
};

static int flush(struct reading *r)
{
	struct mapped_total *t =
		r->pending.attributes & ATTR_PRIVATE ? &r->file->private : &r->file->shared;

	if (!r->pending.size)
		return 0;
	t->bytes += r->pending.size;
	t->nr_runs++;
	return r->with_runs ? add_run(r->file, &r->pending) : 0;
}

static int take(struct reading *r, const struct gmem_run *run)
{
	int err;

	if (r->pending.size && r->pending.attributes == run->attributes) {
		r->pending.size += run->size;
		return 0;
	}
	err = flush(r);
	r->pending = *run;
	return err;
}

static int read_runs(struct share_link *link, struct mapped_file *f, bool with_runs)
{
	struct reading reading = { .file = f, .with_runs = with_runs };
	uint64_t at = 0;

	while (at < f->size) {
		struct gmem_run runs[NR_RUNS];
		uint32_t nr;
		int err = share_list_query(link, f->id, at, f->size - at, runs, NR_RUNS, &nr);

		if (!err && !nr)
			err = -EIO;
		for (uint32_t i = 0; !err && i < nr; i++) {
			err = take(&reading, &runs[i]);
			at = runs[i].offset + runs[i].size;
		}
		if (err)
			return err;
	}
	return flush(&reading);
}

static int read_file(struct share_link *link, const struct share_listed *listed, bool with_runs,
		     struct mapped *m)
{
	struct mapped_file *f = add_file(m);
	int err;

	if (!f)
		return -ENOMEM;
	f->id = listed->id;
	f->size = listed->size;
	f->flags = (listed->flags & GMEM_FILE_MMAP ? GMEM_MMAP : 0) |
		   (listed->flags & GMEM_FILE_INIT_SHARED ? GMEM_INIT_SHARED : 0);
	f->converts = listed->flags & GMEM_FILE_IN_PLACE;
	err = read_runs(link, f, with_runs);
	if (err == -ESTALE) { /* it has just gone */
		free(f->runs);
		m->nr_files--;
		return 0;
	}
	return err;
}

/* ---- all of them ------------------------------------------------------------------------------- */

static int read_share(struct share_link *link, uint64_t id, bool with_runs, struct mapped *m)
{
	struct share_listed listed;
	uint64_t from = id;
	int err;

	for (;;) {
		err = share_list_next(link, from, &listed);
		if (err == -ENOENT || (!err && id && listed.id != id))
			return 0;
		if (!err)
			err = read_file(link, &listed, with_runs, m);
		if (err || id)
			return err;
		from = listed.id + 1;
	}
}

static int read_shares(int pid, uint64_t id, bool with_runs, struct mapped *m)
{
	struct share_link *link;
	bool any = false;
	int fd = 0;
	int err;

	while (!(err = share_list_open((uint32_t)pid, &fd, &link))) {
		any = true;
		err = read_share(link, id, with_runs, m);
		if (err)
			return err;
	}
	return err == -ENOENT && any ? 0 : err;
}

static void read_name(struct mapped *m)
{
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", m->pid);
	f = fopen(path, "r");
	if (!f)
		return;
	if (fgets(m->comm, sizeof(m->comm), f))
		m->comm[strcspn(m->comm, "\n")] = '\0';
	fclose(f);
}

/* Asking it would take as long as we have patience. */
static bool is_stopped(int pid)
{
	char path[32], line[256] = "";
	const char *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	end = strrchr(line, ')'); /* of the name */
	return end && (end[2] == 'T' || end[2] == 't');
}

int mapped_read(int pid, uint64_t id, bool with_runs, struct mapped *m)
{
	int err;

	memset(m, 0, sizeof(*m));
	m->pid = pid;
	if (kill(pid, 0) && errno == ESRCH)
		return -ESRCH;
	if (is_stopped(pid))
		return -EAGAIN;
	read_name(m);
	gmem_set_patience(PATIENCE_MS);
	err = read_shares(pid, id, with_runs, m);
	if (err)
		mapped_free(m);
	return err;
}

void mapped_free(struct mapped *m)
{
	for (size_t i = 0; i < m->nr_files; i++)
		free(m->files[i].runs);
	free(m->files);
	m->files = NULL;
	m->nr_files = 0;
}
