/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Calls that put pages of the program into pipes, and move them from one to another: map/pipes.h follows
 * the guest_memfds' among them. Each may wait, so it is made outside gmem, between two short visits. A
 * thread that is cancelled in it leaves a call of which nobody knows how far it got.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "map/pins.h"
#include "map/pipes.h"
#include "os/fault.h"
#include "os/os.h"
#include "shim/calls.h"
#include "shim/map_change.h"
#include "shim/observe.h"
#include "shim/ours.h"
#include "shim/real.h"

/* The kernel moves less in one call. */
#define MOST_BYTES ((uint64_t)1 << 31)
#define SPLICE_FLAGS (SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

/* ---- which pages ------------------------------------------------------------------------- */

struct pieces {
	struct pipe_piece *piece;
	struct kvm_object **owner; /* counted as long as pieces name their files */
	uint32_t nr, max, nr_files;
	uint64_t bytes;
};

static bool grow(struct pieces *p)
{
	uint32_t max = p->max ? 2 * p->max : 16;
	struct pipe_piece *piece = os_alloc(max * sizeof(*piece));
	struct kvm_object **owner = os_alloc(max * sizeof(*owner));

	if (!piece || !owner) {
		os_free(piece, max * sizeof(*piece));
		os_free(owner, max * sizeof(*owner));
		return false;
	}
	for (uint32_t i = 0; i < p->nr; i++) {
		piece[i] = p->piece[i];
		owner[i] = p->owner[i];
	}
	os_free(p->piece, p->max * sizeof(*piece));
	os_free(p->owner, p->max * sizeof(*owner));
	p->piece = piece;
	p->owner = owner;
	p->max = max;
	return true;
}

static void let_go(struct pieces *p)
{
	for (uint32_t i = 0; i < p->nr; i++)
		if (p->owner[i])
			kvm_object_put(p->owner[i]);
	os_free(p->piece, p->max * sizeof(*p->piece));
	os_free(p->owner, p->max * sizeof(*p->owner));
}

/* Takes the count of r's owner over; r NULL: other memory. */
static bool add_piece(struct pieces *p, const struct host_map_range *r, uint64_t size)
{
	bool converts = r && host_file_converts(r->file);

	if (p->nr == p->max && !grow(p)) {
		if (r)
			kvm_object_put(r->owner);
		return false;
	}
	p->piece[p->nr] = (struct pipe_piece){ converts ? r->file : NULL, r ? r->offset : 0, size };
	p->owner[p->nr++] = r ? r->owner : NULL;
	p->nr_files += converts;
	p->bytes += size;
	return true;
}

/* Memory of the program as it is mapped now. */
static bool add_range(struct pieces *p, uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size;

	while (addr < end) {
		struct host_map_range r;

		if (!host_map_find(kvm_host_map(), addr, end - addr, &r))
			return add_piece(p, NULL, end - addr);
		host_map_clip(&r, addr, end);
		if (r.addr > addr && !add_piece(p, NULL, r.addr - addr)) {
			kvm_object_put(r.owner);
			return false;
		}
		if (!add_piece(p, &r, r.size))
			return false;
		addr = r.addr + r.size;
	}
	return true;
}

static bool add_ranges(struct pieces *p, const struct iovec *iov, uint32_t nr)
{
	for (uint32_t i = 0; i < nr && p->bytes < MOST_BYTES; i++) {
		uint64_t size = iov[i].iov_len;

		if (size > MOST_BYTES - p->bytes)
			size = MOST_BYTES - p->bytes;
		if (!add_range(p, (uintptr_t)iov[i].iov_base, size))
			return false;
	}
	return true;
}

/* ---- vmsplice ---------------------------------------------------------------------------- */

struct vmsplice {
	struct pipe_push *push; /* NULL: not followed */
	struct iovec *copy;	/* the kernel is to take the same that we have looked at */
	const struct iovec *iov;
	size_t nr;
};

static bool is_input(int fd)
{
	long flags = os_sys3(SYS_fcntl, fd, F_GETFL, 0);

	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

static int copy_vector(struct vmsplice *v)
{
	size_t size = v->nr * sizeof(*v->iov);

	v->copy = os_alloc(size);
	if (!v->copy)
		return -ENOMEM;
	if (os_copy_in(v->copy, (uintptr_t)v->iov, size))
		return -EFAULT;
	for (size_t i = 0; i < v->nr; i++)
		if (v->copy[i].iov_len > SSIZE_MAX)
			return -EINVAL;
	return 0;
}

static int look_up(int fd, struct vmsplice *v)
{
	struct pieces p = { 0 };
	int ret = 0;

	if (!add_ranges(&p, v->copy, (uint32_t)v->nr))
		ret = -ENOMEM;
	if (!ret && (p.nr_files || pipes_any()))
		ret = pipe_push_begin(fd, p.piece, p.nr, &v->push);
	let_go(&p);
	return ret;
}

/* Only what the kernel would refuse before it looks at the vector goes to it unseen. */
static int vmsplice_begin(int fd, struct vmsplice *v, unsigned int flags)
{
	int ret;

	if (!change_map_any() && !pipes_any())
		return 0;
	if (!v->nr || v->nr > IOV_MAX || flags & ~SPLICE_FLAGS || !is_input(fd) ||
	    shim_is_vfork_child())
		return 0;
	shim_enter();
	ret = copy_vector(v);
	if (!ret)
		ret = look_up(fd, v);
	if (ret && v->copy)
		os_free(v->copy, v->nr * sizeof(*v->copy));
	else
		v->iov = v->copy;
	shim_leave();
	return ret;
}

static void vmsplice_end(struct vmsplice *v, long ret)
{
	if (!v->copy)
		return;
	shim_enter();
	pipe_push_end(v->push, ret);
	os_free(v->copy, v->nr * sizeof(*v->copy));
	shim_leave();
}

static void vmsplice_cancelled(void *v)
{
	vmsplice_end(v, PIPE_RESULT_LOST);
}

long calls_vmsplice(int fd, uint64_t iov, uint64_t nr, unsigned int flags)
{
	struct vmsplice v = { .iov = (const struct iovec *)(uintptr_t)iov, .nr = nr };
	long ret = vmsplice_begin(fd, &v, flags);

	if (ret)
		return ret;
	ret = os_sys4(SYS_vmsplice, fd, v.iov, v.nr, flags);
	vmsplice_end(&v, ret);
	return ret;
}

SHIM_EXPORT ssize_t vmsplice(int fd, const struct iovec *iov, size_t nr, unsigned int flags)
{
	struct vmsplice v = { .iov = iov, .nr = nr };
	long ret;

	observe_call();
	ret = vmsplice_begin(fd, &v, flags);
	if (ret)
		return shim_return(ret);
	if (!v.copy)
		return real()->vmsplice(fd, iov, nr, flags);
	pthread_cleanup_push(vmsplice_cancelled, &v);
	ret = real()->vmsplice(fd, v.iov, v.nr, flags);
	ret = ret < 0 ? -errno : ret;
	pthread_cleanup_pop(0);
	vmsplice_end(&v, ret);
	return shim_return(ret);
}

/* ---- splice, tee ------------------------------------------------------------------------- */

static bool is_our(int fd)
{
	struct handle *h = ours_begin(fd);

	if (h)
		ours_end_raw(h, 0);
	return h;
}

static int pass_begin(int in, int out, struct pipe_pass **pass)
{
	int ret;

	*pass = NULL;
	if ((!change_map_any() && !pipes_any()) || shim_is_vfork_child())
		return 0;
	shim_enter();
	ret = pipe_pass_begin(in, out, pass);
	shim_leave();
	return ret;
}

static void pass_end(struct pipe_pass *pass, long ret)
{
	if (!pass)
		return;
	shim_enter();
	pipe_pass_end(pass, ret);
	shim_leave();
}

static void pass_cancelled(void *pass)
{
	pass_end(pass, PIPE_RESULT_LOST);
}

long calls_splice(int in, uint64_t in_at, int out, uint64_t out_at, uint64_t size,
		  unsigned int flags)
{
	struct pipe_pass *pass;
	long ret;

	if (is_our(in) || is_our(out))
		return -EINVAL;
	ret = pass_begin(in, out, &pass);
	if (ret)
		return ret;
	ret = os_sys6(SYS_splice, in, in_at, out, out_at, size, flags);
	pass_end(pass, ret);
	return ret;
}

long calls_tee(int in, int out, uint64_t size, unsigned int flags)
{
	struct pipe_pass *pass;
	long ret = pass_begin(in, out, &pass);

	if (ret)
		return ret;
	ret = os_sys4(SYS_tee, in, out, size, flags);
	pass_end(pass, ret);
	return ret;
}

SHIM_EXPORT ssize_t splice(int in, off64_t *in_at, int out, off64_t *out_at, size_t size,
			   unsigned int flags)
{
	struct pipe_pass *pass;
	long ret;

	if (is_our(in) || is_our(out))
		return shim_return(-EINVAL);
	ret = pass_begin(in, out, &pass);
	if (ret)
		return shim_return(ret);
	if (!pass)
		return real()->splice(in, in_at, out, out_at, size, flags);
	pthread_cleanup_push(pass_cancelled, pass);
	ret = real()->splice(in, in_at, out, out_at, size, flags);
	ret = ret < 0 ? -errno : ret;
	pthread_cleanup_pop(0);
	pass_end(pass, ret);
	return shim_return(ret);
}

SHIM_EXPORT ssize_t tee(int in, int out, size_t size, unsigned int flags)
{
	struct pipe_pass *pass;
	long ret = pass_begin(in, out, &pass);

	if (ret)
		return shim_return(ret);
	if (!pass)
		return real()->tee(in, out, size, flags);
	pthread_cleanup_push(pass_cancelled, pass);
	ret = real()->tee(in, out, size, flags);
	ret = ret < 0 ? -errno : ret;
	pthread_cleanup_pop(0);
	pass_end(pass, ret);
	return shim_return(ret);
}

/* ---- what pins without our seeing it ------------------------------------------------------- */

void calls_note_flags(int flags)
{
	if (__builtin_expect(flags & O_DIRECT, 0))
		pins_say_unseen();
}

void calls_note_zerocopy(int level, int option)
{
	if (level == SOL_SOCKET && option == SO_ZEROCOPY)
		pins_say_unseen();
}

SHIM_EXPORT int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	calls_note_zerocopy(level, option);
	return (int)shim_return(os_sys5(SYS_setsockopt, fd, level, option, value, size));
}
