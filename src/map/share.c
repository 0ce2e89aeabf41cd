/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Making a share, finding another's, slots and who lives. */
#include <errno.h>

#include "map/share_layout.h"
#include "os/format.h"

static struct os_mutex own_lock = OS_MUTEX_INIT;
static struct share_home own = { .fd = -1 };
/* own.share, for a look without the lock: every conversion asks. */
static _Atomic(struct share *) published;
static struct os_thread *service;

/* ---- our own ----------------------------------------------------------------------------------- */

static void fill_in(struct share *s, int fd)
{
	s->magic = SHARE_MAGIC;
	s->version = SHARE_VERSION;
	s->token[0] = os_random();
	s->token[1] = os_random();
	s->home_pid = os_peer_self();
	s->home_fd = fd;
	s->home_namespace = os_peer_namespace();
}

static int map_share(int fd, struct share **out)
{
	void *map;
	int err = os_map_file(fd, 0, sizeof(struct share), 0, OS_MAP_READ | OS_MAP_WRITE, &map);

	if (!err)
		*out = map;
	return err;
}

void share_close(struct share *s, int fd)
{
	os_unmap(s, sizeof(*s));
	os_fd_close(fd);
}

static int make_file(struct share **s, int *fd)
{
	int err = os_memfd_create(SHARE_FILE_NAME, sizeof(**s), fd);

	if (err)
		return err;
	err = map_share(*fd, s);
	if (err)
		os_fd_close(*fd);
	return err;
}

static int make_share(struct share_link *for_child)
{
	struct share *s;
	int fd, err = make_file(&s, &fd);

	if (err)
		return err;
	fill_in(s, fd);
	err = os_peer_lock(fd, SHARE_HOME_BYTE);
	if (!err)
		err = os_thread_create(share_serve, s, SHARE_FILE_NAME, &service);
	if (err) {
		share_close(s, fd);
		return err;
	}
	own = (struct share_home){ .share = s, .fd = fd, .for_child = for_child };
	atomic_store_explicit(&published, s, memory_order_release);
	return 0;
}

static int make_locked(void)
{
	struct share_link *for_child = os_alloc(sizeof(*for_child));
	int err = for_child ? make_share(for_child) : -ENOMEM;

	if (err)
		os_free(for_child, sizeof(*for_child));
	return err;
}

int share_make(struct share_home *out)
{
	int err = 0;

	os_mutex_lock(&own_lock);
	if (!own.share)
		err = make_locked();
	*out = own;
	os_mutex_unlock(&own_lock);
	return err;
}

struct share *share_own(int *fd)
{
	struct share *s = atomic_load_explicit(&published, memory_order_acquire);

	if (fd)
		*fd = s ? own.fd : -1;
	return s;
}

struct share_link *share_take_own(void)
{
	struct share_home was = own;

	os_mutex_init(&own_lock);
	own = (struct share_home){ .fd = -1 };
	os_racy_store(&published, NULL);
	service = NULL;
	if (was.share)
		share_link_add(was.for_child, was.share, was.fd);
	return was.for_child;
}

int share_start(void)
{
	struct share_home h;

	return share_make(&h);
}

int share_name(uint64_t id, char name[HOST_FILE_NAME_MAX])
{
	struct share_home h;
	int err = share_make(&h);

	if (err)
		return err;
	os_format(name, HOST_FILE_NAME_MAX, "gmem.%u.%d.%016lx%016lx.%lu", h.share->home_pid, h.fd,
		  h.share->token[0], h.share->token[1], id);
	return 0;
}

/* ---- another's --------------------------------------------------------------------------------- */

int share_open(uint32_t pid, int home_fd, const uint64_t token[2], struct share **out, int *fd)
{
	struct share *s;
	uint64_t size;
	int err = os_peer_open(pid, home_fd, fd);

	if (err)
		return err == -ENOENT ? -ESTALE : err;
	err = os_peer_size(*fd, &size);
	if (!err && size < sizeof(*s))
		err = -ESTALE;
	if (!err)
		err = map_share(*fd, &s);
	if (err) {
		os_fd_close(*fd);
		return err;
	}
	if (s->magic == SHARE_MAGIC && s->version == SHARE_VERSION &&
	    (!token || (s->token[0] == token[0] && s->token[1] == token[1]))) {
		*out = s;
		return 0;
	}
	share_close(s, *fd);
	return -ESTALE;
}

/* ---- slots ------------------------------------------------------------------------------------- */

/* False: nobody has it in hands. */
static bool finish_command(struct share_command *c)
{
	uint32_t state = atomic_load(&c->state);

	while (state != SHARE_FREE && state != SHARE_DONE) {
		c->result = 0;
		if (atomic_compare_exchange_weak(&c->state, &state,
						 state == SHARE_LEFT ? SHARE_FREE : SHARE_DONE))
			return true;
	}
	return false;
}

/* What was sent to a dead owner is done: he can touch nothing any more. He may have gone past one without
 * saying that it is done; unless the ring is full, where that is the last one that waits. */
static void drain(struct share *s, struct share_slot *slot)
{
	uint32_t done = atomic_load(&slot->done);

	if (atomic_load(&slot->next) - done < SHARE_RING)
		finish_command(&slot->ring[(done - 1) % SHARE_RING]);
	while (finish_command(&slot->ring[atomic_load(&slot->done) % SHARE_RING]))
		atomic_fetch_add(&slot->done, 1);
	share_ring(&s->answers);
}

/* False: the home is at it. What it has not begun it never will. */
static bool drop_request(struct share_request *r)
{
	uint32_t state = atomic_load(&r->state);

	do {
		if (state == SHARE_TAKEN || state == SHARE_SURE || state == SHARE_LEFT)
			return false;
	} while (!atomic_compare_exchange_weak(&r->state, &state, SHARE_FREE));
	return true;
}

static void take_over(struct share *s, uint32_t nr)
{
	struct share_slot *slot = &s->slots[nr];

	share_set_live(s, nr, false);
	for (unsigned int i = 0; i < SHARE_NR_FILES / 64; i++)
		atomic_store(&slot->files[i], 0);
	/* Who waits for the one before looks again, at us. */
	atomic_fetch_add(&slot->owner, 1);
	drain(s, slot);
	atomic_store(&slot->pid, 0);
	atomic_store(&slot->pid_namespace, 0);
	atomic_store(&slot->nr_pins, 0);
	atomic_store(&slot->behind, 0);
	atomic_store(&slot->catch_up, SHARE_CAUGHT_UP);
}

int share_claim(struct share *s, int fd, uint32_t *slot)
{
	for (uint32_t i = 0; i < SHARE_NR_SLOTS; i++) {
		if (os_peer_lock(fd, i))
			continue;
		/* Of the one before. */
		if (!drop_request(&s->slots[i].request)) {
			os_peer_unlock(fd, i);
			continue;
		}
		take_over(s, i);
		*slot = i;
		return 0;
	}
	return -ENOSPC;
}

bool share_slot_lives(struct share *s, int fd, uint32_t slot)
{
	uint32_t pid = atomic_load(&s->slots[slot].pid);
	uint64_t space = atomic_load(&s->slots[slot].pid_namespace);

	if (!os_peer_locked(fd, slot))
		return false;
	return !pid || !space || space != s->home_namespace || os_peer_lives(pid);
}

bool share_home_lives(struct share *s, int fd)
{
	if (!os_peer_locked(fd, SHARE_HOME_BYTE))
		return false;
	return !s->home_namespace || s->home_namespace != os_peer_namespace() ||
	       os_peer_lives(s->home_pid);
}
