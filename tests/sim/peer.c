/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "peer.h"

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

void peer_make(struct peer *p)
{
	*p = (struct peer){ .link = make_link() };
	sim_assert(!host_map_create(&ops, &p->map));
	adopting = p;
	sim_assert(!host_file_adopt(p->map, NAME, &p->file));
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
