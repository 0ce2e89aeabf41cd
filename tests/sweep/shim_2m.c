/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a program does to windows of huge pages of the pool where the C library's calls are gmem's: it goes on using them in
 * another thread while a page in a block is converted, holds a page in a pipe, protects a part, forks, sends the file away.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "helper.h"
#include "steps.h"
#include "windows_2m.h"

#define TOUCHED (20 * PAGE)

struct own {
	struct helper early, forked;
	struct helper *has_file; /* NULL: only this process */
};

static struct own *own(struct world *w)
{
	return w->own;
}

static struct world *make(void)
{
	struct world *w = world_make();

	w->own = calloc(1, sizeof(struct own));
	if (!w->own)
		abort();
	return w;
}

static void unmake(struct world *w)
{
	helper_end(&own(w)->early);
	helper_end(&own(w)->forked);
	free(w->own);
	world_unmake(w);
}

static void look(struct world *w, struct text *t)
{
	windows_2m_look(w, t);
	if (!own(w)->has_file)
		return;
	text_add(t, "\n  helper:");
	helper_look(own(w)->has_file, t);
}

/* ---- who goes on ------------------------------------------------------------------------------- */

struct toucher {
	uint64_t *word[2];
	int pipe[2];
	_Atomic bool stop;
	_Atomic uint64_t nr;
	uint64_t nr_lost, nr_refused;
};

static void touch_by_call(struct toucher *t, uint64_t nr)
{
	uint64_t value = 0;

	if (write(t->pipe[1], t->word[nr % 2], sizeof(value)) != sizeof(value)) {
		t->nr_refused++;
		return;
	}
	if (read(t->pipe[0], &value, sizeof(value)) != sizeof(value) || value != nr)
		t->nr_lost++;
}

static void *touch(void *arg)
{
	struct toucher *t = arg;

	while (!atomic_load(&t->stop)) {
		uint64_t nr = atomic_load(&t->nr);

		touch_by_call(t, nr);
		if (__atomic_fetch_add(t->word[nr % 2], 1, __ATOMIC_RELAXED) != nr)
			t->nr_lost++;
		atomic_fetch_add(&t->nr, 1);
	}
	return NULL;
}

static int convert_touched(struct world *w, bool to_private)
{
	struct toucher t = { .word = { (void *)(w->window[0] + TOUCHED),
				       (void *)(w->window[1] + TOUCHED) } };
	uint64_t was = *t.word[0];
	pthread_t thread;
	int err;

	*t.word[0] = 0;
	if (pipe(t.pipe) || pthread_create(&thread, NULL, touch, &t))
		abort();
	while (!atomic_load(&t.nr))
		sched_yield();
	err = world_convert(w, 3, 1, to_private);
	atomic_store(&t.stop, true);
	pthread_join(thread, NULL);
	close(t.pipe[0]);
	close(t.pipe[1]);
	if (t.nr_lost || *t.word[0] != t.nr || (t.nr_refused && !world_is_disturbed())) {
		fprintf(stderr, "%llu lost, %llu refused, of %llu\n", (unsigned long long)t.nr_lost,
			(unsigned long long)t.nr_refused, (unsigned long long)t.nr);
		exit(1);
	}
	*t.word[0] = was;
	return err;
}

static int private_while_touched(struct world *w)
{
	return convert_touched(w, true);
}

static int shared_while_touched(struct world *w)
{
	return convert_touched(w, false);
}

/* ---- steps ------------------------------------------------------------------------------------- */

CONVERT(all_to_private, 0, NR_PAGES, true)
CONVERT(all_to_shared, 0, NR_PAGES, false)
CONVERT(page_to_private, 300, 1, true)
CONVERT(page_to_shared, 300, 1, false)

static int early_helper(struct world *w)
{
	return helper_fork(&own(w)->early, -1, NULL);
}

static int protect(struct world *w)
{
	return mprotect(w->window[1] + 4 * PAGE, 12 * PAGE, PROT_READ) ? -errno : 0;
}

/* A window that the child could not have it maps for itself. */
static int fork_helper(struct world *w)
{
	struct helper *h = &own(w)->forked;
	int err = helper_fork(h, w->file, w->window[0]);

	if (err)
		return err;
	own(w)->has_file = h;
	if (helper_tell(h, ORDER_READ, 50, 1, -1) != 2)
		err = helper_tell(h, ORDER_MAP, 0, 0, -1);
	if (err) {
		own(w)->has_file = NULL;
		helper_end(h);
	}
	return err;
}

static int end_helper(struct world *w)
{
	own(w)->has_file = NULL;
	helper_end(&own(w)->forked);
	return 0;
}

static int send_file(struct world *w)
{
	int err = helper_tell(&own(w)->early, ORDER_MAP, 0, 0, w->file);

	own(w)->has_file = err ? NULL : &own(w)->early;
	return err;
}

static int converted_by_receiver(struct world *w)
{
	return helper_tell(&own(w)->early, ORDER_TO_SHARED, 300, 1, -1);
}

static int file_goes(struct world *w)
{
	own(w)->has_file = NULL;
	if (w->window[1] && windows_2m_unmap_again(w))
		return -ENOMEM;
	if (w->window[0] && windows_2m_unmap(w))
		return -ENOMEM;
	return step_close_file(w);
}

#define A_FILE                                                                                 \
	{ "file", step_shared_file, .calm = true }, { "map all", step_map_all, .calm = true }, \
		{ "map again", windows_2m_map_again, .calm = true },                           \
		{ "fill", windows_2m_fill, .calm = true },                                     \
		{ "all to private", all_to_private, .calm = true },                            \
	{                                                                                      \
		"all to shared", all_to_shared, .calm = true                                   \
	}

static const struct step steps[] = {
	{ "early helper", early_helper, .calm = true },
	{ "open", step_open, .calm = true },
	{ "vm", step_vm, .calm = true },
	A_FILE,
	{ "huge", windows_2m_huge },
	{ "page to private while it is used", private_while_touched },
	{ "small", windows_2m_small, .calm = true },
	{ "page to shared while it is used", shared_while_touched },
	{ "huge again", windows_2m_huge, .calm = true },
	{ "convert what is held", windows_2m_convert_held },
	{ "protect", protect },
	{ "small from here on", windows_2m_small, .calm = true },
	{ "file goes", file_goes, .calm = true },
	A_FILE,
	{ "fork", fork_helper },
	{ "small for two", windows_2m_small, .calm = true },
	{ "page to private", page_to_private },
	{ "page to shared", page_to_shared, .calm = true },
	{ "child ends", end_helper, .calm = true },
	{ "file goes", file_goes, .calm = true },
	A_FILE,
	{ "huge alone", windows_2m_huge, .calm = true },
	{ "send", send_file },
	{ "small for them", windows_2m_small, .calm = true },
	{ "page to private for them", page_to_private, .calm = true },
	{ "page to shared by them", converted_by_receiver },
};

const struct scenario by_program_2m = {
	.name = "program-2m",
	.profile = "in-place",
	.pages = "2m-shared",
	.lack = windows_2m_lack,
	STEPS(steps),
	.swept_from = 7,
	.make = make,
	.look = look,
	.unmake = unmake,
};
