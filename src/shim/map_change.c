/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/map_change.h"

#include <errno.h>
#include <string.h>

#include "os/os.h"
#include "shim/calls.h"
#include "shim/shim.h"

_Atomic bool change_any_mapping;

/* Taken before every other lock, and only when a guest_memfd is mapped. */
static struct os_mutex map_lock = OS_MUTEX_INIT;

void calls_map_lock(void)
{
	os_mutex_lock(&map_lock);
}

void calls_map_unlock(void)
{
	os_mutex_unlock(&map_lock);
}

static int owners_grow(struct change *c)
{
	unsigned int max = c->max_owners * 4;
	struct kvm_object **more = os_alloc(max * sizeof(struct kvm_object *));

	if (!more)
		return -ENOMEM;
	memcpy(more, c->owners, c->nr_owners * sizeof(struct kvm_object *));
	if (c->owners != c->few)
		os_free(c->owners, c->max_owners * sizeof(struct kvm_object *));
	c->owners = more;
	c->max_owners = max;
	return 0;
}

/* Keeps the count of an owner that is given, once for pieces that follow each other. */
static int owner_keep(struct change *c, struct kvm_object *owner)
{
	int err = 0;

	if (c->nr_owners && c->owners[c->nr_owners - 1] == owner) {
		kvm_object_put(owner);
		return 0;
	}
	if (c->nr_owners == c->max_owners)
		err = owners_grow(c);
	if (err)
		kvm_object_put(owner);
	else
		c->owners[c->nr_owners++] = owner;
	return err;
}

static int owners_keep(struct change *c)
{
	uint64_t at = c->addr, end = c->addr + c->size;
	struct host_map_range r;
	int err = 0;

	if (end < at)
		end = UINT64_MAX;
	while (!err && at < end && host_map_find(kvm_host_map(), at, end - at, &r)) {
		err = owner_keep(c, r.owner);
		at = r.addr + r.size;
	}
	c->meets = c->nr_owners;
	return err;
}

static void owners_put(struct change *c)
{
	for (unsigned int i = 0; i < c->nr_owners; i++)
		kvm_object_put(c->owners[i]);
	if (c->owners != c->few)
		os_free(c->owners, c->max_owners * sizeof(struct kvm_object *));
}

static int begin(struct change *c, uint64_t addr, uint64_t size, bool lock, bool tell)
{
	int err = 0;

	shim_enter();
	c->addr = addr;
	c->size = os_page_up(size);
	c->cookie = 0;
	c->meets = false;
	c->owners = c->few;
	c->nr_owners = 0;
	c->max_owners = CHANGE_OWNERS;
	c->locked = lock || change_map_any();
	if (c->locked) {
		calls_map_lock();
		err = owners_keep(c);
	}
	if (!err && tell && c->size)
		c->cookie = kvm_hva_change_begin(c->addr, c->size);
	return err;
}

int change_begin(struct change *c, uint64_t addr, uint64_t size, bool tell)
{
	return begin(c, addr, size, false, tell);
}

int change_begin_locked(struct change *c, uint64_t addr, uint64_t size)
{
	return begin(c, addr, size, true, true);
}

long change_end(struct change *c, long ret)
{
	if (c->cookie)
		kvm_hva_change_end(c->addr, c->size, c->cookie);
	if (c->locked)
		calls_map_unlock();
	/* Without the lock: the last of a VM may go here. */
	owners_put(c);
	shim_leave();
	return ret;
}
