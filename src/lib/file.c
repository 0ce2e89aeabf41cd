/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest memory's life: made or opened, passed on, let go. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "core/limit.h"
#include "lib/calls.h"
#include "lib/lib.h"
#include "obs/obs.h"
#include "os/peer.h"
#include "os/spare.h"
#include "os/sys.h"

static struct gmem *files; /* under lib_lock_files() */

struct gmem *lib_first_file(void)
{
	return files;
}

struct gmem *lib_make(void)
{
	struct gmem *g = os_alloc(sizeof(*g));

	if (!g)
		return NULL;
	atomic_init(&g->refs, 1);
	g->handle_fd = -1;
	return g;
}

static void enlist(struct gmem *g)
{
	g->next = files;
	files = g;
}

static void delist(struct gmem *g)
{
	struct gmem **p = &files;

	lib_lock_files();
	while (*p != g)
		p = &(*p)->next;
	*p = g->next;
	lib_unlock_files();
}

void lib_enlist(struct gmem *g)
{
	lib_lock_files();
	enlist(g);
	lib_unlock_files();
}

/* ---- create ------------------------------------------------------------------------------------ */

static int take_type(struct gmem *g, const struct gmem_vm_type *type)
{
	struct gmem_vm_type t;
	int err = lib_args_in(&t, sizeof(t), LIB_MIN_OF(struct gmem_vm_type, reclaim), type);

	if (err)
		return err;
	if (t.reserved)
		return obs_refuse(RULE_LIB_TYPE_RESERVED);
	g->type = (struct gmem_type_ops){ .prepare = t.prepare,
					  .make_private = t.make_private,
					  .make_shared = t.make_shared,
					  .reclaim = t.reclaim };
	return 0;
}

static int check_create(const struct gmem_create_args *args)
{
	if (args->flags &
	    ~(GMEM_MMAP | GMEM_INIT_SHARED | GMEM_THP | GMEM_HUGETLB | GMEM_HUGETLB_1G))
		return obs_refuse(RULE_LIB_CREATE_FLAGS);
	if (args->flags & GMEM_HUGETLB && args->flags & GMEM_THP)
		return obs_refuse(RULE_LIB_CREATE_HUGE);
	if (args->flags & GMEM_HUGETLB_1G && !(args->flags & GMEM_HUGETLB))
		return obs_refuse(RULE_LIB_CREATE_HUGE);
	if (!args->size || !lib_is_aligned(args->size) ||
	    args->size > LIB_OFFSET_MAX + 1 - OS_PAGE_SIZE)
		return obs_refuse(RULE_LIB_CREATE_SIZE);
	return 0;
}

static unsigned int core_flags(uint32_t flags)
{
	return GMEM_FILE_IN_PLACE | (flags & GMEM_MMAP ? GMEM_FILE_MMAP : 0) |
	       (flags & GMEM_INIT_SHARED ? GMEM_FILE_INIT_SHARED : 0) |
	       (flags & GMEM_THP ? GMEM_FILE_THP : 0) |
	       (flags & GMEM_HUGETLB ? GMEM_FILE_HUGETLB : 0) |
	       (flags & GMEM_HUGETLB_1G ? GMEM_FILE_HUGETLB_1G : 0);
}

static int set_limit(struct gmem_file *f, uint64_t bytes)
{
	struct gmem_limit *limit;

	if (gmem_limit_create(bytes, &limit))
		return obs_refuse(RULE_NO_MEMORY);
	gmem_file_set_limit(f, limit);
	gmem_limit_put(limit);
	return 0;
}

static int create_on(const struct gmem_create_args *args, struct gmem_file **out)
{
	struct store *store;
	int err = lib_store_create(args, &store);

	if (err)
		return err;
	err = gmem_file_create_on(store, core_flags(args->flags), out);
	if (err) {
		lib_store_give_back(store);
		store_destroy(store);
	}
	return err;
}

static int create_file(struct gmem *g, const struct gmem_create_args *args)
{
	struct gmem_file *f;
	int err;

	if (args->store)
		err = create_on(args, &f);
	else
		err = gmem_file_create(args->size, core_flags(args->flags), &f);
	if (err)
		return err;
	if (args->type)
		gmem_file_set_type(f, &g->type, args->type_data);
	err = args->limit ? set_limit(f, args->limit) : 0;
	if (!err)
		err = host_file_create(lib_host_map(), f, &g->file);
	if (err && args->store)
		lib_store_give_back(gmem_file_store(f));
	if (err)
		gmem_file_release(f);
	gmem_file_put(f);
	return err;
}

static int create(const struct gmem_create_args *args, struct gmem **out)
{
	struct gmem *g = lib_make();
	int err;

	if (!g)
		return obs_refuse(RULE_NO_MEMORY);
	err = args->type ? take_type(g, args->type) : 0;
	if (!err)
		err = lib_ready();
	if (!err)
		err = create_file(g, args);
	if (err) {
		os_free(g, sizeof(*g));
		return err;
	}
	lib_lock_files();
	enlist(g);
	/* Its share is what `gmem map` asks, too; who has no descriptors left for it may do without. */
	lib_give_name(g);
	lib_unlock_files();
	*out = g;
	return 0;
}

int lib_create(const struct gmem_create_args *args, struct gmem **out)
{
	struct gmem_create_args a;
	int err = lib_args_in(&a, sizeof(a), LIB_MIN_OF(struct gmem_create_args, type_data), args);

	if (err)
		return err;
	if (!out)
		return obs_refuse(RULE_LIB_NO_PLACE);
	err = check_create(&a);
	if (err)
		return err;
	lib_enter();
	err = create(&a, out);
	lib_leave();
	return err;
}

/* ---- references -------------------------------------------------------------------------------- */

void gmem_get(struct gmem *g)
{
	uint32_t refs;

	if (!g)
		return;
	refs = atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
	os_assert(refs && refs < UINT32_MAX);
}

/* For who found it in the list: the last count may just be going. */
static bool try_get(struct gmem *g)
{
	uint32_t refs = atomic_load(&g->refs);

	while (refs)
		if (atomic_compare_exchange_weak(&g->refs, &refs, refs + 1))
			return true;
	return false;
}

static void destroy(struct gmem *g)
{
	struct gmem_file *f = lib_home_file(g);

	delist(g);
	if (g->handle_fd >= 0)
		os_fd_close(g->handle_fd);
	if (f) {
		gmem_file_get(f);
		gmem_file_release(f);
	}
	host_file_put(g->file);
	if (f)
		gmem_file_put(f);
	os_free(g, sizeof(*g));
}

void lib_put(struct gmem *g)
{
	uint32_t refs;

	if (!g)
		return;
	refs = atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel);
	os_assert(refs);
	if (refs == 1)
		destroy(g);
}

/* ---- the descriptor that stands for it --------------------------------------------------------- */

int lib_give_name(struct gmem *g)
{
	int err = 0;

	if (!g->name[0])
		err = host_file_name(g->file, g->name);
	if (err)
		g->name[0] = '\0';
	return err;
}

static int make_handle(const char *name, int *fd)
{
	int err = os_memfd_for_program(name, true, true, fd);

	if (err)
		return err;
	err = os_memfd_seal(*fd);
	if (err) {
		os_sys1(SYS_close, *fd);
		return err;
	}
	return os_fd_adopt(fd);
}

static int handle_locked(struct gmem *g)
{
	int fd, err;

	if (g->handle_fd >= 0)
		return 0;
	err = lib_give_name(g);
	if (!err)
		err = make_handle(g->name, &fd);
	if (!err)
		g->handle_fd = fd;
	return err;
}

int lib_descriptor(struct gmem *g, int *fd)
{
	long ret;
	int err;

	if (!g || !fd)
		return obs_refuse(RULE_LIB_NO_FILE_OR_PLACE);
	lib_enter();
	lib_lock_files();
	err = handle_locked(g);
	lib_unlock_files();
	lib_leave();
	if (err)
		return err;
	ret = os_sys3(SYS_fcntl, g->handle_fd, F_DUPFD_CLOEXEC, 0);
	if (ret < 0)
		return (int)ret;
	*fd = (int)ret;
	return 0;
}

/* What stands behind a descriptor. */
#define LINK_MAX (HOST_FILE_NAME_MAX + 32)

static int read_link(int fd, char link[LINK_MAX])
{
	long size = fd < 0 ? -ENOENT : os_peer_link(0, fd, link, LINK_MAX);

	if (size == -ENOENT)
		return obs_refuse(RULE_LIB_FD_CLOSED);
	return size < 0 ? (int)size : 0;
}

/* "/memfd:NAME (deleted)". */
static bool is_called(const struct gmem *g, const char *link)
{
	static const char before[] = "/memfd:";
	size_t size = strlen(g->name);

	return size && !strncmp(link, before, sizeof(before) - 1) &&
	       !strncmp(link + sizeof(before) - 1, g->name, size) &&
	       (link[sizeof(before) - 1 + size] == ' ' || !link[sizeof(before) - 1 + size]);
}

static struct gmem *find(const char *link)
{
	for (struct gmem *g = files; g; g = g->next)
		if (is_called(g, link) && try_get(g))
			return g;
	return NULL;
}

static void keep_name(struct gmem *g, const char *link)
{
	const char *name = strchr(link, ':');
	size_t size = name ? strcspn(name + 1, " ") : 0;

	if (size && size < sizeof(g->name))
		memcpy(g->name, name + 1, size);
}

static int keep_handle(struct gmem *g, int fd)
{
	long ret = os_sys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
	int own = (int)ret;
	int err = ret < 0 ? (int)ret : os_fd_adopt(&own);

	if (!err)
		g->handle_fd = own;
	return err;
}

static int adopt(int fd, const char *link, struct gmem **out)
{
	struct gmem *g = lib_make();
	int err;

	if (!g)
		return obs_refuse(RULE_NO_MEMORY);
	keep_name(g, link);
	err = keep_handle(g, fd);
	if (!err)
		err = host_file_adopt(lib_host_map(), link, &g->file);
	if (err) {
		if (g->handle_fd >= 0)
			os_fd_close(g->handle_fd);
		os_free(g, sizeof(*g));
		return err;
	}
	*out = g;
	return 0;
}

/* Two threads may open one file at once: the second finds what the first has put into the list. */
static int open_link(int fd, const char *link, struct gmem **out)
{
	struct gmem *g = NULL, *found;
	int err;

	lib_lock_files();
	found = find(link);
	lib_unlock_files();
	if (found) {
		*out = found;
		return 0;
	}
	err = adopt(fd, link, &g);
	if (err)
		return err;
	lib_lock_files();
	found = find(link);
	enlist(g);
	lib_unlock_files();
	if (found)
		lib_put(g);
	*out = found ? found : g;
	return 0;
}

int lib_open(int fd, uint32_t flags, struct gmem **out)
{
	char link[LINK_MAX];
	int err;

	if (flags || !out)
		return obs_refuse(RULE_LIB_OPEN_ARGUMENTS);
	err = read_link(fd, link);
	if (err)
		return err;
	err = lib_ready();
	if (err)
		return err;
	lib_enter();
	err = open_link(fd, link, out);
	lib_leave();
	switch (err) {
	case -ENOENT:
		return obs_refuse(RULE_LIB_FD_OTHER);
	case -ESTALE:
		return obs_refuse(RULE_LIB_FILE_GONE);
	case -EACCES:
		return obs_refuse(RULE_LIB_HOME_CLOSED);
	case -EIO:
		return obs_refuse(RULE_GMEM_HOME_GONE);
	default:
		return err;
	}
}

/* ---- what does not change ---------------------------------------------------------------------- */

int lib_get_info(struct gmem *g, struct gmem_info *info)
{
	struct gmem_info i = { 0 };

	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	i.flags = (g->file->flags & GMEM_FILE_MMAP ? GMEM_MMAP : 0) |
		  (g->file->flags & GMEM_FILE_INIT_SHARED ? GMEM_INIT_SHARED : 0) |
		  (g->file->flags & GMEM_FILE_THP ? GMEM_THP : 0) |
		  (g->file->flags & GMEM_FILE_HUGETLB ? GMEM_HUGETLB : 0) |
		  (g->file->flags & GMEM_FILE_HUGETLB_1G ? GMEM_HUGETLB_1G : 0);
	i.size = g->file->size;
	i.id = g->file->id;
	i.is_home = !!lib_home_file(g);
	return lib_args_out(info, &i, sizeof(i), LIB_MIN_OF(struct gmem_info, reserved));
}
