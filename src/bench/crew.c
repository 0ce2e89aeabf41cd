/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "bench/crew.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct member {
	struct crew *crew;
	pthread_t thread;
	unsigned int index;
	int err;
};

struct crew {
	int (*work)(void *arg, unsigned int index);
	void *arg;
	pthread_barrier_t go, done;
	bool over;
	unsigned int nr;
	struct member members[];
};

static void *live(void *arg)
{
	struct member *m = arg;
	struct crew *c = m->crew;

	for (;;) {
		pthread_barrier_wait(&c->go);
		if (c->over)
			return NULL;
		m->err = c->work(c->arg, m->index);
		pthread_barrier_wait(&c->done);
	}
}

/* One that does not start leaves the others behind their barrier: the process is at its end anyway. */
static int start(struct crew *c)
{
	int err = 0;

	for (unsigned int i = 0; !err && i < c->nr; i++) {
		c->members[i] = (struct member){ .crew = c, .index = i };
		err = pthread_create(&c->members[i].thread, NULL, live, &c->members[i]);
	}
	return -err;
}

int crew_make(unsigned int nr, int (*work)(void *arg, unsigned int index), void *arg,
	      struct crew **out)
{
	struct crew *c = calloc(1, sizeof(*c) + nr * sizeof(c->members[0]));
	int err;

	if (!c)
		return -ENOMEM;
	c->work = work;
	c->arg = arg;
	c->nr = nr;
	pthread_barrier_init(&c->go, NULL, nr + 1);
	pthread_barrier_init(&c->done, NULL, nr + 1);
	err = start(c);
	if (!err)
		*out = c;
	return err;
}

void crew_go(struct crew *c)
{
	pthread_barrier_wait(&c->go);
}

int crew_wait(struct crew *c)
{
	pthread_barrier_wait(&c->done);
	for (unsigned int i = 0; i < c->nr; i++)
		if (c->members[i].err)
			return c->members[i].err;
	return 0;
}

void crew_unmake(struct crew *c)
{
	c->over = true;
	crew_go(c);
	for (unsigned int i = 0; i < c->nr; i++)
		pthread_join(c->members[i].thread, NULL);
	pthread_barrier_destroy(&c->go);
	pthread_barrier_destroy(&c->done);
	free(c);
}
