/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "peer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "os/sim/sim_private.h"

#define NAME "another process"

/* ---- how it finds its way home ------------------------------------------------------------------ */

/* Who adopts now. The name of a handle would say that it is our own. */
static struct peer *adopting;

int __real_share_find(const char *name, struct share_link **link, uint64_t *id);
int __wrap_share_find(const char *name, struct share_link **link, uint64_t *id);

int __wrap_share_find(const char *name, struct share_link **link, uint64_t *id)
{
	if (strcmp(name, NAME))
		return __real_share_find(name, link, id);
	*link = adopting->link;
	*id = peer_home_file()->id;
	return 0;
}

struct host_file *peer_home_file(void)
{
	struct kvm_object *o = kw_object(kw.gmem);
	struct host_file *f = kvm_gmem_host_file(o);

	kvm_object_put(o);
	return f;
}

static void no_owner(void *owner)
{
}

static const struct host_map_ops ops = { .get = no_owner, .put = no_owner };

static struct share_link *make_link(void)
{
	struct share_home h;
	struct share_link *l;
	int fd;

	sim_assert(!share_make(&h));
	sim_assert(!os_peer_open(0, h.fd, &fd));
	share_link_lock();
	l = share_link_new(h.share, fd);
	share_link_unlock();
	sim_assert(l);
	return l;
}

static void adopt(struct peer *p)
{
	*p = (struct peer){ .link = make_link() };
	sim_assert(!host_map_create(&ops, &p->map));
	adopting = p;
	sim_assert(!host_file_adopt(p->map, NAME, &p->file));
}

void peer_make(struct peer *p)
{
	adopt(p);
	p->window = peer_map(p);
}

/* ---- what it does ------------------------------------------------------------------------------- */

uint64_t peer_map(struct peer *p)
{
	uint64_t at;

	host_file_hold(p->file);
	sim_assert(!host_map_mmap(p->map, p->file, p->file, 0, NR_PAGES * PAGE,
				  PROT_READ | PROT_WRITE, MAP_SHARED, 0, &at));
	host_file_let(p->file);
	return at;
}

void peer_unmap(struct peer *p, uint64_t at)
{
	sim_assert(!host_map_munmap(p->map, at, NR_PAGES * PAGE));
}

int peer_convert(struct peer *p, uint64_t page, uint64_t nr, bool is_private)
{
	struct gmem_conversion c = { .offset = page * PAGE,
				     .size = nr * PAGE,
				     .attributes = is_private ? ATTR_PRIVATE : 0 };

	return host_file_convert(p->file, &c);
}

void peer_settle(struct peer *p)
{
	struct share_slot *s = share_link_slot(p->link);

	while (share_is_behind(s) || atomic_load(&s->done) != atomic_load(&s->next) ||
	       !host_file_is_loaded(p->file)) {
		share_load(p->file);
		if (!agent_try_work(p->link))
			os_yield();
	}
}

/* ---- its birth ---------------------------------------------------------------------------------- */

void peer_make_unborn(struct peer *child)
{
	struct share_link *l;

	adopt(child);
	l = child->link;
	share_set_live(l->share, l->slot, false);
	atomic_store(&l->has_slot, false);
	os_fd_close(l->fd);
	l->fd = -1;
}

static struct sim_fibre *forker; /* in the middle of it */
static struct peer *forking;

void __real_host_file_freeze(void);
void __real_host_file_thaw(void);
struct host_file *__real_host_file_first(void);
void __wrap_host_file_freeze(void);
void __wrap_host_file_thaw(void);
struct host_file *__wrap_host_file_first(void);

static bool forks_elsewhere(void)
{
	return forking && sim_self() == forker;
}

/* What is at home is not the peer's. */
void __wrap_host_file_freeze(void)
{
	if (!forks_elsewhere())
		__real_host_file_freeze();
}

void __wrap_host_file_thaw(void)
{
	if (!forks_elsewhere())
		__real_host_file_thaw();
}

struct host_file *__wrap_host_file_first(void)
{
	return forks_elsewhere() ? NULL : __real_host_file_first();
}

/* Where nobody is yet. */
static bool find_place(struct share *s, uint32_t *slot)
{
	for (*slot = 0; (*slot = share_next_live(s, *slot)) < SHARE_NR_SLOTS; ++*slot)
		if (!atomic_load(&s->slots[*slot].pid))
			return true;
	return false;
}

/* Whose description has the place's lock sees none. */
static int find_description(uint32_t slot)
{
	uint64_t size;
	int fd;

	for (fd = os_fd_next(0); fd >= 0; fd = os_fd_next(fd + 1))
		if (!os_peer_size(fd, &size) && size >= sizeof(struct share) &&
		    !os_peer_locked(fd, slot))
			return fd;
	return -1;
}

static void copy_state(struct host_file *from, struct host_file *to)
{
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		sim_assert(!attr_map_reserve(to->state, i, 1));
		attr_map_set(to->state, i, 1, attr_map_get(from->state, i));
	}
	atomic_store(&to->attached, true);
}

static void copy_process(struct host_file *file, struct peer *child)
{
	struct share_link *l = child->link;

	sim_alone_begin();
	sim_assert(find_place(l->share, &l->slot));
	l->fd = fcntl(find_description(l->slot), F_DUPFD_CLOEXEC, 0);
	sim_assert(!os_fd_adopt(&l->fd));
	copy_state(file, child->file);
	sim_alone_end();
}

void peer_fork(struct peer *parent, struct peer *child)
{
	struct host_map *map = parent ? parent->map : kvm_host_map();
	struct share_link *links = atomic_load(&share_links), *next;

	/* Only what is the process's own. */
	next = parent ? parent->link->next : NULL;
	if (parent)
		parent->link->next = NULL;
	atomic_store(&share_links, parent ? parent->link : NULL);
	forker = sim_self();
	forking = parent;
	share_before_fork(map);
	copy_process(parent ? parent->file : peer_home_file(), child);
	share_after_fork_in_parent(map);
	forking = NULL;
	if (parent)
		parent->link->next = next;
	atomic_store(&share_links, links);
}

/* As share_after_fork_in_child(). */
void peer_is_born(struct peer *child)
{
	struct share_link *l = child->link;

	os_mutex_lock(&l->apply);
	atomic_store(&share_link_slot(l)->pid_namespace, os_peer_namespace());
	atomic_store(&share_link_slot(l)->pid, os_peer_self());
	sim_assert(!agent_start(l));
	atomic_store(&l->has_slot, true);
	child->window = peer_map(child);
	os_mutex_unlock(&l->apply);
}

/* ---- its end ------------------------------------------------------------------------------------ */

static struct sim_fibre *agent_of(const struct peer *p)
{
	for (unsigned int i = 0; i < sim.nr_fibres; i++)
		if (sim.fibres[i].arg == p->link && !sim.fibres[i].done)
			return &sim.fibres[i];
	return NULL;
}

/* What it holds is its own process's, and nobody's at home. */
static bool may_die(void *arg)
{
	const struct peer *p = arg;
	const struct sim_fibre *agent = agent_of(p);

	for (unsigned int i = 0; agent && i < agent->nr_held; i++)
		if ((uintptr_t)agent->held[i].lock - (uintptr_t)p->link >= sizeof(*p->link))
			return false;
	return true;
}

/* Memory goes before descriptors. */
void peer_kill(struct peer *p)
{
	struct sim_fibre *agent;
	uint64_t window = p->window;

	sim_wait_for(may_die, p, "the agent lets go of what is not its own");
	agent = agent_of(p);
	p->dead = true;
	p->window = 0;
	if (agent)
		sim_kill(agent);
	munmap((void *)(uintptr_t)window, NR_PAGES * PAGE);
	sim_point();
	os_fd_close(p->link->fd);
	p->link->fd = -1;
}

void peer_unmake(struct peer *p)
{
	if (p->dead)
		return;
	if (p->window)
		peer_unmap(p, p->window);
	host_file_put(p->file);
	host_map_destroy(p->map);
}
