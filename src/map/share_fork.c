/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Forks. A process with windows claims a slot for its child before it forks, in every share that it knows, so
 * that no conversion passes the child by; the child has the state as of the fork and shows what is shared.
 */
#include "map/host_map.h"
#include "map/share_layout.h"
#include "os/spare.h"

static int own_child_fd = -1;
static uint32_t own_child_slot;

/* ---- before ------------------------------------------------------------------------------------ */

/* -1: the child gets none, and sees nothing until it asks itself. */
static int claim_for_child(struct share *s, int fd, uint32_t *slot)
{
	int own = -1;
	int err = os_peer_open(0, fd, &own);

	if (!err)
		err = share_claim(s, own, slot);
	if (!err)
		return own;
	if (own >= 0)
		os_fd_close(own);
	os_log(OS_LOG_WARN, "no place for a child (%d): what it maps of a guest_memfd is hidden",
	       err);
	return -1;
}

static void add_files(struct share_slot *child)
{
	for (struct host_file *f = host_file_first(); f; f = f->next)
		if (f->file && host_file_converts(f))
			share_slot_add(child, f->id);
}

static bool any_file(bool converts)
{
	for (struct host_file *f = host_file_first(); f; f = f->next)
		if (f->file && (!converts || host_file_converts(f)))
			return true;
	return false;
}

/* A library's files have a share only from here on. */
static void claim_at_home(bool windows)
{
	struct share_home h;

	if (!any_file(false) || share_make(&h) || !windows || !any_file(true))
		return;
	own_child_fd = claim_for_child(h.share, h.fd, &own_child_slot);
	if (own_child_fd < 0)
		return;
	add_files(&h.share->slots[own_child_slot]);
	share_set_live(h.share, own_child_slot, true);
}

/* What we were told and have not done yet the child would miss. */
static bool has_missed(struct share_slot *mine)
{
	return share_is_behind(mine) || atomic_load(&mine->done) != atomic_load(&mine->next);
}

static void claim_elsewhere(struct share_link *l)
{
	struct share_slot *mine, *child;

	if (!l->agent || atomic_load(&l->gone))
		return;
	l->child_fd = claim_for_child(l->share, l->fd, &l->child_slot);
	if (l->child_fd < 0)
		return;
	mine = share_link_slot(l);
	child = &l->share->slots[l->child_slot];
	for (unsigned int i = 0; i < SHARE_NR_FILES / 64; i++)
		atomic_store(&child->files[i], atomic_load(&mine->files[i]));
	share_set_live(l->share, l->child_slot, true);
	/* From here on the home tells the child itself what we miss. */
	if (has_missed(mine))
		atomic_store(&child->behind, 1);
}

void share_before_fork(struct host_map *m)
{
	/* In the jail the child can have no thread that hears of conversions: it starts without a slot and sees
	 * nothing of them, and they do not wait for it. */
	bool windows = host_map_any(m) && !os_jailed();

	if (host_map_any(m) && !windows)
		os_log(OS_LOG_WARN,
		       "a child of a process that has filtered its system calls: its windows "
		       "of guest_memfds stay hidden");
	/* An agent in the middle of a command may put the last count of a file: it is waited for first. */
	share_link_lock();
	for (struct share_link *l = atomic_load(&share_links); l; l = l->next)
		os_mutex_lock(&l->apply);
	host_file_freeze();
	own_child_fd = -1;
	claim_at_home(windows);
	for (struct share_link *l = atomic_load(&share_links); l; l = l->next) {
		l->child_fd = -1;
		if (windows)
			claim_elsewhere(l);
	}
	host_map_before_fork(m);
}

void share_after_fork_in_parent(struct host_map *m)
{
	host_map_after_fork_in_parent(m);
	if (own_child_fd >= 0)
		os_fd_close(own_child_fd);
	host_file_thaw();
	for (struct share_link *l = atomic_load(&share_links); l; l = l->next) {
		if (l->child_fd >= 0)
			os_fd_close(l->child_fd);
		os_mutex_unlock(&l->apply);
	}
	share_link_unlock();
}

/* ---- the child --------------------------------------------------------------------------------- */

/* A description of our own, and away with the parent's, which says that the parent lives. */
static int renew(int fd)
{
	int own = -1;

	if (fd >= 0 && os_peer_open(0, fd, &own))
		own = -1;
	if (fd >= 0)
		os_fd_close(fd);
	return own;
}

static void take_child_slot(struct share_link *l)
{
	struct share_slot *s;

	l->fd = l->child_fd;
	l->slot = l->child_slot;
	l->child_fd = -1;
	s = share_link_slot(l);
	atomic_store(&s->pid_namespace, os_peer_namespace());
	atomic_store(&s->pid, os_peer_self());
	if (!agent_start(l)) {
		atomic_store(&l->has_slot, true);
		return;
	}
	/* Nobody would hear what becomes private: nothing is shown, and nobody waits for us. */
	os_log(OS_LOG_WARN, "no thread in a child: what it maps of a guest_memfd stays hidden");
	l->fd = renew(l->fd);
}

/* The agent waits until the state is whole: apply is held. */
static void settle_link(struct share_link *l)
{
	int parent_fd = l->fd;

	os_mutex_init(&l->request);
	os_mutex_init(&l->apply);
	os_mutex_lock(&l->apply);
	l->agent = NULL;
	atomic_store(&l->has_slot, false);
	if (l->child_fd < 0) {
		l->fd = renew(parent_fd);
		return;
	}
	if (parent_fd >= 0)
		os_fd_close(parent_fd);
	take_child_slot(l);
}

/* What was our parent's own is elsewhere for us. */
static struct share_link *link_to_parent(void)
{
	struct share_link *l = share_take_own();

	if (!l)
		return NULL;
	l->child_fd = own_child_fd;
	l->child_slot = own_child_slot;
	own_child_fd = -1;
	return l;
}

static void show_run(struct host_file *f, uint64_t offset, uint64_t size)
{
	if (!host_map_show(f->map, f, offset, size))
		return;
	os_log(OS_LOG_WARN, "no room to show a range: it stays hidden here");
	atomic_store(&f->lacking, true);
}

/* But for what is held in huge pages of the parent, which we cannot map. */
static void show_small(struct host_file *f, struct store *s, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size, next;

	if (!s || !s->block) {
		show_run(f, offset, size);
		return;
	}
	for (; offset < end; offset = next) {
		bool huge = store_is_huge(s, offset);

		next = offset;
		do
			next = (next & ~(s->block - 1)) + s->block;
		while (next < end && store_is_huge(s, next) == huge);
		next = next < end ? next : end;
		if (huge)
			atomic_store(&f->lacking, true);
		else
			show_run(f, offset, next - offset);
	}
}

static void show_shared(struct host_file *f, struct store *s)
{
	struct gmem_run runs[SHARE_NR_RUNS];
	uint64_t at = 0;

	while (at < f->size) {
		uint32_t nr = host_file_runs(f, at, f->size - at, runs, SHARE_NR_RUNS);

		for (uint32_t i = 0; i < nr; i++)
			if (!(runs[i].attributes & ATTR_PRIVATE))
				show_small(f, s, runs[i].offset, runs[i].size);
		at = runs[nr - 1].offset + runs[nr - 1].size;
	}
}

/* Nothing is known: private. */
static void forget_state(struct host_file *f)
{
	uint64_t nr = f->size >> OS_PAGE_SHIFT;

	if (attr_map_reserve(f->state, 0, nr) == 0)
		attr_map_set(f->state, 0, nr, ATTR_PRIVATE);
	else
		atomic_store(&f->link->gone, true);
}

/* Of a file that the parent has not asked for, or not to the end, the child asks itself. */
static void settle_file(struct host_file *f, struct share_link *parent)
{
	struct store *s = f->file ? gmem_file_store(f->file) : NULL;
	bool known = f->file || atomic_load(&f->attached);

	if (f->file)
		f->link = parent;
	f->file = NULL;
	f->inherited = true;
	atomic_store(&f->attached, false);
	if (!host_file_converts(f) || !f->link)
		return;
	if (!known || !atomic_load(&f->link->has_slot)) {
		forget_state(f);
		return;
	}
	show_shared(f, s);
	atomic_store(&f->attached, true);
}

void share_after_fork_in_child(struct host_map *m)
{
	struct share_link *parent;

	/* First: what is mapped meanwhile may land where the windows were. */
	host_map_after_fork_in_child(m);
	parent = link_to_parent();
	host_file_after_fork();
	share_link_after_fork();
	share_home_after_fork();
	share_service_after_fork();
	for (struct share_link *l = atomic_load(&share_links); l; l = l->next)
		settle_link(l);
	for (struct host_file *f = host_file_first(); f; f = f->next)
		settle_file(f, parent);
	for (struct share_link *l = atomic_load(&share_links); l; l = l->next)
		os_mutex_unlock(&l->apply);
}
