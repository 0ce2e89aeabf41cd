/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A peer's thread: does what the home says, in order. A thread of this process that waits for the home, or that
 * has run into a page that may be just being shown, does the same work instead (agent_try_work).
 */
#include <errno.h>

#include "map/host_map.h"
#include "map/share_layout.h"
#include "os/signal.h"
#include "os/spare.h"

#define IDLE_NS 1000000000
#define LOOK_NS 1000000

static void note_pinned(void *arg, uint64_t offset, uint64_t size)
{
	struct share_command *c = arg;

	if (c->nr < SHARE_NR_RUNS)
		c->runs[c->nr++] = (struct gmem_refused){ offset, size };
}

static int look_at_pins(struct host_file *f, struct share_command *c, uint64_t offset,
			uint64_t size)
{
	c->nr = 0;
	return pins_check(f, offset, size, note_pinned, c) ? -EAGAIN : 0;
}

/* Once hidden no pin can come: what was pinned just before is seen now. */
static int hide(struct host_file *f, struct share_command *c)
{
	uint64_t offset = c->runs[0].offset, size = c->runs[0].size;
	int err = atomic_load(&f->pins.nr) ? look_at_pins(f, c, offset, size) : 0;

	/* Who holds a page finds it open all the time. */
	if (err)
		return err;
	err = host_map_hide(f->map, f, offset, size);
	/* A signal for the thread that happens to be at it is nothing to who converts. */
	if (err == -EINTR)
		return -EAGAIN;
	return err ? err : look_at_pins(f, c, offset, size);
}

static int show(struct host_file *f, struct share_command *c)
{
	for (uint32_t i = 0; i < c->nr && i < SHARE_NR_RUNS; i++)
		if (host_map_show(f->map, f, c->runs[i].offset, c->runs[i].size)) {
			os_log(OS_LOG_WARN, "no room to show a range: it stays hidden here");
			atomic_store(&f->lacking, true);
		}
	return 0;
}

static int obey(struct share_link *l, struct share_command *c)
{
	struct host_file *f = host_file_find(c->file, l);
	int ret = 0;

	/* What is not here can be touched by nobody here. */
	if (!f)
		return 0;
	if (c->kind == SHARE_HIDE)
		ret = hide(f, c);
	else if (c->kind == SHARE_SHOW)
		ret = show(f, c);
	else
		ret = look_at_pins(f, c, c->runs[0].offset, c->runs[0].size);
	host_file_put(f);
	return ret;
}

/* False: there is none. */
static bool next(struct share_link *l)
{
	struct share_slot *s = share_link_slot(l);
	struct share_command *c = &s->ring[atomic_load(&s->done) % SHARE_RING];
	uint32_t state = SHARE_POSTED;

	if (!atomic_compare_exchange_strong(&c->state, &state, SHARE_TAKEN) && state != SHARE_LEFT)
		return false;
	if (state == SHARE_POSTED)
		c->result = obey(l, c);
	/* Past it before it can be used again. */
	atomic_fetch_add(&s->done, 1);
	state = SHARE_TAKEN;
	if (!atomic_compare_exchange_strong(&c->state, &state, SHARE_DONE))
		atomic_store(&c->state, SHARE_FREE);
	share_ring(&l->share->answers);
	return true;
}

bool agent_work(struct share_link *l)
{
	bool any = false;

	while (next(l))
		any = true;
	return any;
}

bool agent_try_work(struct share_link *l)
{
	bool any;

	if (!os_mutex_trylock(&l->apply))
		return false;
	any = agent_work(l);
	os_mutex_unlock(&l->apply);
	return any;
}

static void ask_for_the_rest(struct share_link *l)
{
	struct share_slot *s = share_link_slot(l);

	if (!atomic_load(&s->behind))
		return;
	/* At any moment one of the two says that something is missing. */
	atomic_store(&s->catch_up, SHARE_TELL_ME);
	atomic_store(&s->behind, 0);
	share_ring(&l->share->doorbell);
}

/* Without a descriptor, that the program could miss for a moment; and a filter of system calls may not expect the
 * question of who only waits. */
static bool has_ended(struct share_link *l)
{
	return !os_jailed() && !os_peer_locked(l->fd, SHARE_HOME_BYTE) && share_is_gone(l);
}

static void agent(void *link)
{
	struct share_link *l = link;
	struct share_slot *s = share_link_slot(l);
	uint32_t seen;

	for (;;) {
		seen = atomic_load(&s->bell);
		os_signals_begin();
		os_mutex_lock(&l->apply);
		agent_work(l);
		os_mutex_unlock(&l->apply);
		ask_for_the_rest(l);
		os_signals_end();
		if (os_shared_wait(&s->bell, seen, IDLE_NS) == -ETIMEDOUT && has_ended(l))
			break;
	}
	share_link_end(l);
	os_thread_detach(l->agent);
}

int agent_start(struct share_link *l)
{
	return l->agent ? 0 : os_thread_create(agent, l, "gmem-agent", &l->agent);
}

/* ---- for who cannot wait for the agent ----------------------------------------------------------- */

static bool run(struct share_link *l)
{
	struct share_slot *s = share_link_slot(l);
	uint64_t end = os_clock_ns() + share_patience_ns();
	uint32_t caught = atomic_load(&s->caught), seen;
	bool any;

	os_mutex_lock(&l->apply);
	any = agent_work(l);
	os_mutex_unlock(&l->apply);
	ask_for_the_rest(l);
	while (share_is_behind(s) && atomic_load(&s->caught) == caught && os_clock_ns() < end &&
	       !share_is_gone(l)) {
		seen = atomic_load(&s->bell);
		if (!agent_try_work(l))
			os_shared_wait(&s->bell, seen, LOOK_NS);
	}
	/* A home that does not answer is not asked for ever. */
	return any || atomic_load(&s->caught) != caught;
}

struct unloaded {
	uint64_t id;
	const struct share_link *link;
};

static void find_unloaded(struct host_file *f, void *arg)
{
	struct unloaded *u = arg;

	if (!f->file && f->link && host_file_converts(f) && !host_file_is_loaded(f) &&
	    !atomic_load(&f->link->gone))
		*u = (struct unloaded){ f->id, f->link };
}

/* The home did not answer when this was first asked for, or not all of it could be shown. */
static bool load_one(void)
{
	struct unloaded u = { 0 };
	struct host_file *f;
	bool loaded;

	host_file_for_each(find_unloaded, &u);
	f = u.link ? host_file_find(u.id, u.link) : NULL;
	if (!f)
		return false;
	share_load(f);
	loaded = host_file_is_loaded(f);
	host_file_put(f);
	return loaded;
}

bool share_run_pending(void)
{
	bool any = load_one();

	for (struct share_link *l = atomic_load(&share_links); l; l = l->next)
		if (l->agent)
			any |= run(l);
	return any;
}

bool share_is_elsewhere(void)
{
	return atomic_load(&share_links) != NULL;
}
