/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A store of the program's own: core's operations over the program's. What the program has none for
 * is done by a store of ours over its descriptor:
 *
 *	core ── struct own ─┬─ the program's operations
 *			    └─ view: windows over its descriptor; NULL: it has none
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>

#include "core/store.h"
#include "lib/calls.h"
#include "lib/lib.h"
#include "obs/obs.h"
#include "os/peer.h"
#include "os/sys.h"

#define ERRNO_MAX 4095

struct own {
	struct store is; /* first */
	struct gmem_store_ops ops;
	void *data;
	struct store *view;
};

static struct own *own_of(struct store *s)
{
	return (struct own *)s;
}

/* ---- core's calls ------------------------------------------------------------------------------ */

/* What a program returns is not trusted to be an errno. */
static int judge(int err)
{
	if (err <= 0 && err >= -ERRNO_MAX)
		return err;
	os_log(OS_LOG_WARN, "a store refuses with %d: taken for -EIO", err);
	return -EIO;
}

static void destroy_ours(struct store *s)
{
	struct own *o = own_of(s);

	if (o->view)
		store_destroy(o->view);
	os_free(o, sizeof(*o));
}

static void destroy(struct store *s)
{
	struct own *o = own_of(s);

	if (o->ops.destroy)
		o->ops.destroy(o->data);
	destroy_ours(s);
}

static int address(struct store *s, uint64_t offset, void **addr)
{
	struct own *o = own_of(s);
	int err;

	if (o->view)
		return store_address(o->view, offset, addr);
	err = judge(o->ops.address(o->data, offset, addr));
	return err ? obs_refuse_as(RULE_LIB_STORE_PAGE, err) : 0;
}

static uint32_t order_of(int level)
{
	return (uint32_t)__builtin_ctzll(level_pages(level));
}

static int level(struct store *s, uint64_t offset)
{
	struct own *o = own_of(s);
	int most = store_level_by_size(s, offset);
	uint32_t order;

	if (!o->ops.order)
		return o->view ? most : LEVEL_4K;
	order = o->ops.order(o->data, offset);
	while (most > LEVEL_4K && order_of(most) > order)
		most--;
	return most;
}

static int allocate(struct store *s, uint64_t offset, uint64_t size)
{
	struct own *o = own_of(s);

	if (o->ops.allocate)
		return judge(o->ops.allocate(o->data, offset, size));
	return o->view ? store_allocate(o->view, offset, size) : 0;
}

static int punch(struct store *s, uint64_t offset, uint64_t size)
{
	struct own *o = own_of(s);

	return o->ops.punch ? judge(o->ops.punch(o->data, offset, size))
			    : store_punch(o->view, offset, size);
}

/* The file is gone for everybody: what the store cannot free it keeps until destroy(). */
static int release(struct store *s)
{
	struct own *o = own_of(s);
	int err = 0;

	if (o->ops.release)
		o->ops.release(o->data);
	else
		err = punch(s, 0, s->size);
	if (err)
		os_log(OS_LOG_WARN, "a store does not free its pages (%d)", err);
	return 0;
}

/* Nothing is taken from a store that says what cannot be. */
static bool next_present(struct store *s, uint64_t *offset, uint64_t end, uint64_t *size)
{
	struct own *o = own_of(s);
	uint64_t at = *offset, nr = end - at;

	if (!o->ops.next_present && o->view)
		return store_next_present(o->view, offset, end, size);
	if (o->ops.next_present && (!o->ops.next_present(o->data, &at, end, &nr) || at < *offset ||
				    at >= end || !nr || nr > end - at))
		return false;
	*offset = at;
	*size = nr;
	return true;
}

static uint64_t backed(struct store *s)
{
	struct own *o = own_of(s);

	if (o->ops.backed)
		return o->ops.backed(o->data);
	return o->view ? store_backed(o->view) : 0;
}

static const struct store_ops core_ops = {
	.destroy = destroy,
	.address = address,
	.level = level,
	.allocate = allocate,
	.punch = punch,
	.next_present = next_present,
	.backed = backed,
	.release = release,
};

/* ---- handed over ------------------------------------------------------------------------------- */

static int take_ops(struct own *o, const struct gmem_store *store)
{
	int err = 0;

	if (store->ops)
		err = lib_args_in(&o->ops, sizeof(o->ops),
				  LIB_MIN_OF(struct gmem_store_ops, destroy), store->ops);
	if (err)
		return err;
	if (o->ops.reserved || !o->ops.address != (store->fd >= 0) ||
	    (store->fd < 0 && !o->ops.punch))
		return obs_refuse(RULE_LIB_STORE_SHAPE);
	return 0;
}

static int check_fd(int fd, uint64_t size)
{
	long flags = os_sys2(SYS_fcntl, fd, F_GETFL);
	uint64_t has;
	int err = flags < 0 ? (int)flags : os_peer_size(fd, &has);

	if (err || (flags & O_ACCMODE) != O_RDWR || has != size)
		return obs_refuse(RULE_LIB_STORE_FD);
	return 0;
}

static int view_over(struct own *o, int fd)
{
	long copy = os_sys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
	int own = (int)copy;
	int err = copy < 0 ? (int)copy : os_fd_adopt(&own);

	if (err)
		return err;
	err = store_create_on(own, o->is.size, &o->view);
	if (err) {
		os_fd_close(own);
		return err;
	}
	o->is.fd = own;
	return 0;
}

static int fill_in(struct own *o, const struct gmem_store *store, uint64_t size)
{
	int err = take_ops(o, store);

	if (err)
		return err;
	o->is.ops = &core_ops;
	o->is.size = size;
	o->is.fd = -1;
	o->data = store->data;
	if (store->fd < 0)
		return 0;
	err = check_fd(store->fd, size);
	return err ? err : view_over(o, store->fd);
}

/* What of the file's other arguments does not go with it. */
static int check_with(const struct gmem_create_args *args, const struct gmem_store *store)
{
	if (args->flags & (GMEM_THP | GMEM_HUGETLB))
		return obs_refuse(RULE_LIB_STORE_FLAGS);
	if (store->fd < 0 && args->flags & GMEM_MMAP)
		return obs_refuse(RULE_LIB_STORE_WINDOWS);
	if (store->fd < 0 && args->limit)
		return obs_refuse(RULE_LIB_STORE_LIMIT);
	return 0;
}

int lib_store_create(const struct gmem_create_args *args, struct store **out)
{
	struct gmem_store store;
	struct own *o;
	int err = lib_args_in(&store, sizeof(store), LIB_MIN_OF(struct gmem_store, data),
			      args->store);

	if (!err)
		err = check_with(args, &store);
	if (err)
		return err;
	o = os_alloc(sizeof(*o));
	if (!o)
		return obs_refuse(RULE_NO_MEMORY);
	err = fill_in(o, &store, args->size);
	if (err)
		os_free(o, sizeof(*o));
	else
		*out = &o->is;
	return err;
}

static bool has_nothing(struct store *s, uint64_t *offset, uint64_t end, uint64_t *size)
{
	return false;
}

static int keep_all(struct store *s)
{
	return 0;
}

static const struct store_ops given_back_ops = {
	.destroy = destroy_ours,
	.next_present = has_nothing,
	.release = keep_all,
};

void lib_store_give_back(struct store *s)
{
	s->ops = &given_back_ops;
}

/* ---- moving ------------------------------------------------------------------------------------ */

int lib_move(struct gmem *g, uint64_t offset, uint64_t size,
	     int (*move)(void *arg, uint64_t offset, uint64_t size), void *arg)
{
	struct gmem_file *f;
	int err;

	if (!g || !move)
		return obs_refuse(RULE_LIB_NO_FUNCTION);
	err = lib_check_inside(g, offset, size);
	if (err)
		return err;
	f = lib_home_file(g);
	if (!f)
		return obs_refuse(RULE_LIB_STORE_HOME);
	if (gmem_file_store(f)->ops != &core_ops || g->file->store_fd >= 0)
		return obs_refuse(RULE_LIB_STORE_STAYS);
	err = judge(gmem_file_move(f, offset, size, move, arg));
	return err && err != -EFAULT ? obs_refuse_as(RULE_LIB_STORE_MOVE, err) : err;
}
