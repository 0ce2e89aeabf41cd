/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a program does with descriptors, mappings and other processes: dup, mremap, mprotect, fork, exec,
 * SCM_RIGHTS, vmsplice. Only where the C library's calls are gmem's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "helper.h"
#include "steps.h"

#define EARLY 0 /* started before there was a file */
#define FORKED 1
#define EXECUTED 2
#define NR_HELPERS 3
#define ANONYMOUS_PAGES 8

struct own {
	struct helper helpers[NR_HELPERS];
	bool maps[NR_HELPERS]; /* the helper has the file mapped */
	int pipe[2];
	uint8_t *anonymous;
};

static struct own *own(struct world *w)
{
	return w->own;
}

static struct world *make(void)
{
	struct world *w = world_make();

	w->own = calloc(1, sizeof(struct own));
	if (!w->own || pipe2(own(w)->pipe, O_CLOEXEC))
		abort();
	own(w)->anonymous = mmap(NULL, ANONYMOUS_PAGES * PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own(w)->anonymous == MAP_FAILED)
		abort();
	*own(w)->anonymous = 1;
	return w;
}

static void unmake(struct world *w)
{
	struct own *o = w->own;

	for (int i = 0; i < NR_HELPERS; i++)
		helper_end(&o->helpers[i]);
	if (o->anonymous)
		munmap(o->anonymous, ANONYMOUS_PAGES * PAGE);
	close(o->pipe[0]);
	close(o->pipe[1]);
	free(o);
	world_unmake(w);
}

static void look(struct world *w, struct text *t)
{
	world_look(w, t);
	for (int i = 0; i < NR_HELPERS; i++) {
		if (!own(w)->maps[i])
			continue;
		text_add(t, "\n  helper %d:", i);
		helper_look(&own(w)->helpers[i], t);
	}
}

/* ---- steps ------------------------------------------------------------------------------------- */

static int early_helper(struct world *w)
{
	return helper_fork(&own(w)->helpers[EARLY], -1, NULL);
}

static int map_part(struct world *w)
{
	return world_map(w, 1, 100, 100);
}

CONVERT(to_private, 10, 10, true)

static int copy(struct world *w)
{
	int fd = dup(w->file);

	if (fd < 0)
		return -errno;
	close(w->file);
	w->file = fd;
	return 0;
}

static int grow_window(struct world *w)
{
	void *at = mremap(w->window[1], 100 * PAGE, 300 * PAGE, MREMAP_MAYMOVE);

	if (at == MAP_FAILED)
		return -errno;
	w->window[1] = at;
	w->window_nr[1] = 300;
	return 0;
}

static int shrink_window(struct world *w)
{
	if (mremap(w->window[1], 300 * PAGE, 260 * PAGE, 0) == MAP_FAILED)
		return -errno;
	w->window_nr[1] = 260;
	return 0;
}

static int protect(struct world *w)
{
	return mprotect(w->window[0] + 4 * PAGE, 12 * PAGE, PROT_READ) ? -errno : 0;
}

static int protect_again(struct world *w)
{
	return mprotect(w->window[0], 64 * PAGE, PROT_READ | PROT_WRITE) ? -errno : 0;
}

static int advise(struct world *w)
{
	if (madvise(w->window[0], 64 * PAGE, MADV_DONTNEED))
		return -errno;
	return madvise(w->window[0] + 8 * PAGE, 64 * PAGE, MADV_DONTDUMP) ? -errno : 0;
}

static int lock(struct world *w)
{
	return mlock(w->window[0] + 5 * PAGE, 4 * PAGE) ? -errno : 0;
}

static int unlock(struct world *w)
{
	return munlock(w->window[0] + 5 * PAGE, 4 * PAGE) ? -errno : 0;
}

static int map_over(struct world *w)
{
	uint8_t *at = w->window[1] + 50 * PAGE;

	if (mmap(at, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return -errno;
	w->hole_first = 150;
	w->hole_nr = 10;
	return 0;
}

/* Memory of the program's own to the place of a part of the window. */
static int move_over(struct world *w)
{
	struct own *o = own(w);

	if (mremap(o->anonymous, ANONYMOUS_PAGES * PAGE, ANONYMOUS_PAGES * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, w->window[1] + 60 * PAGE) == MAP_FAILED)
		return -errno;
	o->anonymous = NULL;
	w->hole_nr += ANONYMOUS_PAGES;
	return w->window[1][60 * PAGE] == 1 ? 0 : -EBADMSG;
}

static int splice_page(struct world *w)
{
	struct iovec iov = { w->window[0] + 30 * PAGE, PAGE };

	return vmsplice(own(w)->pipe[1], &iov, 1, 0) == (ssize_t)PAGE ? 0 : -errno;
}

/* Refused is right: the pipe has the page. */
static int convert_spliced(struct world *w)
{
	int err = world_convert(w, 25, 10, true);

	return err == -EAGAIN ? 0 : err ? err : -EBADMSG;
}

static int drain(struct world *w)
{
	char page[PAGE];

	return read(own(w)->pipe[0], page, PAGE) == (ssize_t)PAGE ? 0 : -errno;
}

CONVERT(convert_drained, 25, 10, true)

/* A window that the child could not have it maps for itself. */
static int fork_helper(struct world *w)
{
	struct helper *h = &own(w)->helpers[FORKED];
	int err = helper_fork(h, w->file, w->window[0]);

	if (err)
		return err;
	if (helper_tell(h, ORDER_READ, 50, 1, -1) != 2)
		err = helper_tell(h, ORDER_MAP, 0, 0, -1);
	own(w)->maps[FORKED] = true;
	return err;
}

static int exec_helper(struct world *w)
{
	struct helper *h = &own(w)->helpers[EXECUTED];
	int fd = dup(w->file), err;

	if (fd < 0)
		return -errno;
	err = helper_exec(h, fd);
	close(fd);
	return err;
}

static int map_there(struct world *w)
{
	int err = helper_tell(&own(w)->helpers[EXECUTED], ORDER_MAP, 0, 0, -1);

	own(w)->maps[EXECUTED] = !err;
	return err;
}

static int send_file(struct world *w)
{
	int err = helper_tell(&own(w)->helpers[EARLY], ORDER_MAP, 0, 0, w->file);

	own(w)->maps[EARLY] = !err;
	return err;
}

CONVERT(all_to_private, 0, 320, true)

CONVERT(some_to_shared, 1, 60, false)

static int converted_by_child(struct world *w)
{
	return helper_tell(&own(w)->helpers[FORKED], ORDER_TO_PRIVATE, 50, 1, -1);
}

static int converted_by_receiver(struct world *w)
{
	return helper_tell(&own(w)->helpers[EARLY], ORDER_TO_SHARED, 100, 200, -1);
}

static int punched_by_executed(struct world *w)
{
	return helper_tell(&own(w)->helpers[EXECUTED], ORDER_PUNCH, 0, 10, -1);
}

static int unmapped_there(struct world *w)
{
	int err = helper_tell(&own(w)->helpers[EXECUTED], ORDER_UNMAP, 0, 0, -1);

	if (!err)
		own(w)->maps[EXECUTED] = false;
	return err;
}

static int end_child(struct world *w)
{
	own(w)->maps[FORKED] = false;
	helper_end(&own(w)->helpers[FORKED]);
	return 0;
}

CONVERT(all_to_shared, 0, NR_PAGES, false)

static const struct step steps[] = {
	{ "early helper", early_helper },
	{ "open", step_open },
	{ "vm", step_vm },
	{ "file", step_shared_file },
	{ "map all", step_map_all },
	{ "map part", map_part },
	{ "to private", to_private },
	{ "dup", copy },
	{ "grow window", grow_window },
	{ "shrink window", shrink_window },
	{ "protect", protect },
	{ "protect again", protect_again },
	{ "advise", advise },
	{ "lock", lock },
	{ "unlock", unlock },
	{ "map over", map_over },
	{ "move over", move_over },
	{ "splice", splice_page },
	{ "convert what is spliced", convert_spliced },
	{ "drain", drain },
	{ "convert what was spliced", convert_drained },
	{ "fork", fork_helper },
	{ "exec", exec_helper },
	{ "map there", map_there },
	{ "send", send_file },
	{ "all to private", all_to_private },
	{ "some to shared", some_to_shared },
	{ "child converts", converted_by_child },
	{ "receiver converts", converted_by_receiver },
	{ "executed punches", punched_by_executed },
	{ "executed unmaps", unmapped_there },
	{ "child ends", end_child },
	{ "all to shared", all_to_shared },
};

const struct scenario by_program = {
	.name = "program",
	.profile = "in-place",
	STEPS(steps),
	.make = make,
	.look = look,
	.unmake = unmake,
};
