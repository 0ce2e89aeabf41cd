/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "map/host_file.h"
#include "obs/obs.h"
#include "os/os.h"
#include "os/paths.h"
#include "os/peer.h"
#include "os/spare.h"
#include "shim/jail.h"
#include "shim/shim.h"

_Atomic uint32_t handle_count;
_Atomic uint32_t handle_nr_waiting;

/* By inode: a memfd's is the one before plus one. */
#define NR_LISTS 256
static struct os_mutex list_lock = OS_MUTEX_INIT;
static struct handle *lists[NR_LISTS], *waiting, *unused;

/*
 * Handles whose last copies are elsewhere are watched by one thread, made when the first copy may get
 * there and not when the last number here goes: that may be in a signal handler. It looks every few
 * milliseconds; who makes a request meanwhile looks himself.
 */
#define WATCH_NS 10000000
#define WATCH_IDLE_NS 1000000000
#define RELEASE_NS 1000000
static struct os_thread *watcher;
static bool watcher_runs;
static _Atomic uint32_t nr_releasing; /* found closed, not yet let go */

/* ---- making and letting go --------------------------------------------------------------- */

static struct handle *structure_get(void)
{
	struct handle *h;

	os_mutex_lock(&list_lock);
	h = unused;
	if (h)
		unused = h->next_unused;
	os_mutex_unlock(&list_lock);
	return h ? h : os_alloc(sizeof(*h));
}

static void structure_put(struct handle *h)
{
	os_mutex_lock(&list_lock);
	h->next_unused = unused;
	unused = h;
	os_mutex_unlock(&list_lock);
}

static void enlist(struct handle *h)
{
	struct handle **list = &lists[h->ino % NR_LISTS];

	os_mutex_lock(&list_lock);
	h->next = *list;
	h->link_to = list;
	if (*list)
		(*list)->link_to = &h->next;
	*list = h;
	os_mutex_unlock(&list_lock);
}

static void delist(struct handle *h)
{
	os_mutex_lock(&list_lock);
	*h->link_to = h->next;
	if (h->next)
		h->next->link_to = h->link_to;
	os_mutex_unlock(&list_lock);
}

/* Nobody can put a byte into it. */
static long make_memfd(bool cloexec, const char *name, struct stat *st)
{
	int fd;
	long ret = os_memfd_for_program(name ? name : "gmem", name, cloexec, &fd);

	if (ret)
		return ret;
	ret = os_memfd_seal(fd);
	if (!ret)
		ret = os_sys2(SYS_fstat, fd, st);
	if (!ret)
		return fd;
	os_sys1(SYS_close, fd);
	return ret;
}

/* Files of programs are not there. */
#define PLACE_MIN ((int64_t)1 << 61)
#define NO_PLACE INT64_MIN

/* The kernel is asked for a random number once a process. */
static _Atomic uint64_t last_random;

static int64_t place_new(int fd)
{
	int64_t place;

	if (!atomic_load(&last_random))
		atomic_store(&last_random, os_random());
	place = (int64_t)(atomic_fetch_add(&last_random, 0x9e3779b97f4a7c15) >> 3) | PLACE_MIN;
	return os_sys3(SYS_lseek, fd, place, SEEK_SET) == place ? place : NO_PLACE;
}

/* Where another process under gmem has put it. */
static int64_t place_found(int fd)
{
	int64_t place = os_sys3(SYS_lseek, fd, 0, SEEK_CUR);

	return place >= PLACE_MIN ? place : NO_PLACE;
}

/* Filters of system calls that let us see an inode may not know of this. */
static bool may_seek(void)
{
	return !os_path_off(OS_PATH_FDS) && !os_jailed();
}

static bool is_in_place(const struct handle *h, int fd)
{
	return h->place >= 0 && !os_jailed() && os_sys3(SYS_lseek, fd, 0, SEEK_CUR) == h->place;
}

static void start(struct handle *h, const struct stat *st)
{
	h->object = NULL;
	h->dev = st->st_dev;
	h->ino = st->st_ino;
	h->place = NO_PLACE;
	h->elsewhere = false;
	h->watch_fd = -1;
	atomic_store(&h->lock_fd, -1);
	h->open_flags = O_RDWR;
	atomic_store(&h->numbers, 0);
	atomic_store(&h->open, true);
	h->waited_for = false;
	atomic_fetch_add(&handle_count, 1);
	jail_note_object();
	atomic_store_explicit(&h->refs, 1, memory_order_release);
	enlist(h);
}

int handle_create(bool cloexec, const char *name, struct handle **out, int *fd)
{
	struct stat st;
	struct handle *h;
	long ret;

	h = structure_get();
	if (!h)
		return -ENOMEM;
	ret = make_memfd(cloexec, name, &st);
	if (ret < 0) {
		structure_put(h);
		return (int)ret;
	}
	start(h, &st);
	if (may_seek())
		h->place = place_new((int)ret);
	*out = h;
	*fd = (int)ret;
	return 0;
}

void handle_put(struct handle *h)
{
	struct kvm_object *o;

	if (atomic_fetch_sub(&h->refs, 1) > 1)
		return;
	shim_enter();
	o = h->object;
	if (o)
		kvm_object_put(o);
	if (h->watch_fd >= 0)
		os_fd_close(h->watch_fd);
	if (h->lock_fd >= 0)
		os_fd_close(h->lock_fd);
	atomic_fetch_sub(&handle_count, 1);
	delist(h);
	structure_put(h);
	shim_leave();
}

/* ---- which one --------------------------------------------------------------------------- */

bool handle_is_behind(const struct handle *h, int fd)
{
	struct stat st;

	if (is_in_place(h, fd))
		return true;
	return os_sys2(SYS_fstat, fd, &st) == 0 && st.st_ino == h->ino && st.st_dev == h->dev;
}

struct handle *handle_find(int fd)
{
	struct handle *h;
	struct stat st;

	if (!atomic_load(&handle_count) || os_sys2(SYS_fstat, fd, &st) || !S_ISREG(st.st_mode))
		return NULL;
	os_mutex_lock(&list_lock);
	for (h = lists[st.st_ino % NR_LISTS]; h; h = h->next)
		if (h->ino == st.st_ino && h->dev == st.st_dev && handle_try_get(h))
			break;
	os_mutex_unlock(&list_lock);
	return h;
}

/* ---- from another process ----------------------------------------------------------------- */

static bool has_handle_name(int fd, char *name, size_t size)
{
	return os_peer_link(0, fd, name, size) > 0 &&
	       memcmp(name, HANDLE_NAME, sizeof(HANDLE_NAME) - 1) == 0;
}

bool handle_is_any(int fd)
{
	char name[2 * HOST_FILE_NAME_MAX];

	return has_handle_name(fd, name, sizeof(name));
}

static int adopt_object(const char *name, struct kvm_object **out)
{
	struct host_file *f;
	int err = host_file_adopt(kvm_host_map(), name, &f);

	if (err)
		return err;
	err = kvm_gmem_adopt(f, out);
	if (err)
		host_file_put(f);
	return err;
}

int handle_adopt(int fd, struct handle **out)
{
	char name[2 * HOST_FILE_NAME_MAX];
	struct kvm_object *o;
	struct handle *h;
	struct stat st;
	int err;

	if (os_sys2(SYS_fstat, fd, &st) || !S_ISREG(st.st_mode) || st.st_size || st.st_nlink ||
	    !has_handle_name(fd, name, sizeof(name)))
		return -ENOENT;
	err = adopt_object(name, &o);
	if (err)
		return err;
	h = structure_get();
	if (!h) {
		kvm_object_put(o);
		return -ENOMEM;
	}
	start(h, &st);
	if (may_seek())
		h->place = place_found(fd);
	h->elsewhere = true;
	h->object = o;
	atomic_fetch_add(&h->refs, 1);
	*out = h;
	return 0;
}

/* ---- the last close ---------------------------------------------------------------------- */

static long write_lock(int fd, int how)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return os_sys3(SYS_fcntl, fd, how, &lock);
}

/* Unless a copy has been made of the last number while it was closed. */
static void closed_everywhere(struct handle *h)
{
	bool was_open;

	os_mutex_lock(&list_lock);
	was_open = !atomic_load(&h->numbers) && atomic_exchange(&h->open, false);
	os_mutex_unlock(&list_lock);
	if (was_open)
		handle_put(h);
}

/* One more user, so that the watch stays open until the last close is found. Counted before anybody can find it. */
static void wait_for_last_close(struct handle *h)
{
	bool is_first;

	os_mutex_lock(&list_lock);
	is_first = !h->waited_for;
	if (is_first) {
		h->waited_for = true;
		h->next_waiting = waiting;
		waiting = h;
		atomic_fetch_add(&h->refs, 1);
		atomic_fetch_add(&handle_nr_waiting, 1);
	}
	os_mutex_unlock(&list_lock);
	if (is_first)
		os_wake_all(&handle_nr_waiting);
}

/* One that has been closed for good: ours to let go from here on. One that has come back has a number, which the
 * table may still hold when it is closed. */
static struct handle *find_closed(void)
{
	struct handle **at, *h;

	os_mutex_lock(&list_lock);
	for (at = &waiting; (h = *at); at = &h->next_waiting) {
		if (atomic_load(&h->numbers) || write_lock(h->watch_fd, F_OFD_SETLK))
			continue;
		*at = h->next_waiting;
		h->waited_for = false;
		atomic_fetch_add(&nr_releasing, 1);
		break;
	}
	os_mutex_unlock(&list_lock);
	return h;
}

/* Others see it as waiting until it is gone. */
static void let_go(struct handle *h)
{
	closed_everywhere(h);
	handle_put(h);
	atomic_fetch_sub(&handle_nr_waiting, 1);
	atomic_fetch_sub(&nr_releasing, 1);
	os_wake_all(&nr_releasing);
}

void handle_look_again(void)
{
	struct handle *h;
	uint32_t others;

	shim_enter();
	while ((h = find_closed()))
		let_go(h);
	while ((others = atomic_load(&nr_releasing)))
		os_wait(&nr_releasing, others, RELEASE_NS);
	shim_leave();
}

static bool watcher_may_end(void)
{
	bool end;

	os_mutex_lock(&list_lock);
	end = !atomic_load(&handle_count) && !os_jailed();
	watcher_runs = !end;
	os_mutex_unlock(&list_lock);
	return end;
}

static void watch(void *nothing)
{
	uint32_t nr;

	do {
		nr = atomic_load(&handle_nr_waiting);
		os_wait(&handle_nr_waiting, nr, nr ? WATCH_NS : WATCH_IDLE_NS);
		if (atomic_load(&handle_nr_waiting))
			handle_look_again();
	} while (!watcher_may_end());
}

/* The list is locked. */
static void start_watcher(void)
{
	if (watcher_runs)
		return;
	if (watcher)
		os_thread_join(watcher);
	watcher_runs = !os_thread_create(watch, NULL, "gmem-close", &watcher);
	if (watcher_runs)
		return;
	watcher = NULL;
	os_log(OS_LOG_WARN,
	       "no thread to watch for last closes: they are seen with the next request");
}

int handle_start_watcher(void)
{
	bool runs;

	os_mutex_lock(&list_lock);
	start_watcher();
	runs = watcher_runs;
	os_mutex_unlock(&list_lock);
	return runs ? 0 : -EAGAIN;
}

void handle_abandon(struct handle *h)
{
	closed_everywhere(h);
}

void handle_number_new(struct handle *h)
{
	atomic_fetch_add(&h->numbers, 1);
	os_mutex_lock(&list_lock);
	if (!atomic_exchange(&h->open, true))
		atomic_fetch_add(&h->refs, 1);
	os_mutex_unlock(&list_lock);
}

void handle_number_gone(struct handle *h)
{
	if (atomic_fetch_sub(&h->numbers, 1) > 1)
		return;
	if (h->object && obs_looks_closer())
		kvm_tell_closed(h->object);
	if (h->elsewhere || h->watch_fd < 0)
		closed_everywhere(h);
	else if (write_lock(h->watch_fd, F_OFD_SETLK) == 0)
		closed_everywhere(h);
	else
		wait_for_last_close(h);
}

int handle_lock_fd(struct handle *h)
{
	int none = -1, fd;

	if (atomic_load(&h->lock_fd) >= 0)
		return atomic_load(&h->lock_fd);
	if (os_memfd_create("gmem-locks", 0, &fd))
		return -1;
	if (atomic_compare_exchange_strong(&h->lock_fd, &none, fd))
		return fd;
	os_fd_close(fd);
	return none;
}

static void arm(struct handle *h, int fd)
{
	int watch;
	/* A second description of the same memfd, ours. */
	int err = os_peer_open(0, fd, &watch);

	/* The number may be another file's by now. */
	if (!err && handle_is_behind(h, watch) && write_lock(fd, F_OFD_SETLK) == 0) {
		h->watch_fd = watch;
		start_watcher();
		return;
	}
	if (!err)
		os_fd_close(watch);
	os_log(OS_LOG_INFO, "a close of descriptor %d in another process will not be noticed", fd);
}

void handle_arm(struct handle *h, int fd)
{
	struct kvm_object *o = h->object;

	if (h->elsewhere || !o || o->type == KVM_OBJECT_SYSTEM)
		return;
	os_mutex_lock(&list_lock);
	if (h->watch_fd < 0)
		arm(h, fd);
	os_mutex_unlock(&list_lock);
}

/* ---- fork -------------------------------------------------------------------------------- */

void handle_lock_all(void)
{
	os_mutex_lock(&list_lock);
}

void handle_unlock_all(void)
{
	os_mutex_unlock(&list_lock);
}

void handle_inherit_all(void)
{
	for (unsigned int i = 0; i < NR_LISTS; i++)
		for (struct handle *h = lists[i]; h; h = h->next) {
			h->elsewhere = true;
			h->waited_for = false;
		}
	waiting = NULL;
	atomic_store(&last_random, 0);
	/* Threads are not inherited. */
	watcher = NULL;
	watcher_runs = false;
	atomic_store(&handle_nr_waiting, 0);
	atomic_store(&nr_releasing, 0);
	os_mutex_init(&list_lock);
}
