/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Descriptors that travel in messages (SCM_RIGHTS): one of ours that leaves may outlive all our
 * own, and one that arrives may be one of ours that comes back.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "os/fault.h"
#include "os/os.h"
#include "os/peer.h"
#include "shim/calls.h"
#include "shim/ours.h"
#include "shim/real.h"

#define CMSG_PAD(n) (((n) + sizeof(size_t) - 1) & ~(sizeof(size_t) - 1))

/* ---- leaving: the message is the program's and not yet looked at by the kernel ----------- */

static void arm_if_ours(uint64_t where)
{
	struct handle *h;
	int fd;

	if (os_copy_in(&fd, where, sizeof(fd)))
		return;
	h = ours_begin(fd);
	if (!h)
		return;
	handle_arm(h, fd);
	ours_end_raw(h, 0);
}

static void arm_all_in(uint64_t control, uint64_t size)
{
	struct cmsghdr head;
	uint64_t at = 0;

	while (size - at >= sizeof(head) && size > at) {
		if (os_copy_in(&head, control + at, sizeof(head)) || head.cmsg_len < sizeof(head) ||
		    head.cmsg_len > size - at)
			return;
		if (head.cmsg_level == SOL_SOCKET && head.cmsg_type == SCM_RIGHTS)
			for (uint64_t i = sizeof(head); i + sizeof(int) <= head.cmsg_len;
			     i += sizeof(int))
				arm_if_ours(control + at + i);
		at += CMSG_PAD(head.cmsg_len);
	}
}

static bool anything_of_ours(void)
{
	return atomic_load_explicit(&handle_count, memory_order_relaxed) != 0;
}

void calls_before_sendmsg(uint64_t msg)
{
	struct msghdr m;

	if (!anything_of_ours())
		return;
	shim_enter();
	if (os_copy_in(&m, msg, sizeof(m)) == 0 && m.msg_control && m.msg_controllen)
		arm_all_in((uintptr_t)m.msg_control, m.msg_controllen);
	shim_leave();
}

SHIM_EXPORT ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	calls_before_sendmsg((uintptr_t)msg);
	return real()->sendmsg(fd, msg, flags);
}

SHIM_EXPORT int sendmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags)
{
	if (anything_of_ours())
		for (unsigned int i = 0; i < n; i++)
			calls_before_sendmsg((uintptr_t)&msgs[i].msg_hdr);
	return real()->sendmmsg(fd, msgs, n, flags);
}

/* ---- arriving: the kernel has written all this ------------------------------------------- */

/* A number that cannot be followed was never there. */
static int follow(int fd, struct handle *h, bool is_new)
{
	int err = fdtable_set(fd, h);

	if (err && is_new)
		handle_abandon(h);
	handle_put(h);
	return err;
}

/* One has come that could not be followed just then. Every mapping of a file looks at this: not for one that
 * never can be. */
static _Atomic bool has_missed;

static bool may_pass(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EAGAIN ||
	       err == -ENOSPC;
}

static void adopt(int fd)
{
	struct handle *h = anything_of_ours() ? handle_find(fd) : NULL;
	bool is_new = !h;
	int err = h ? 0 : handle_adopt(fd, &h);

	if (!err)
		err = follow(fd, h, is_new);
	if (!err || err == -ENOENT)
		return;
	os_log(OS_LOG_WARN, "descriptor %d, a guest_memfd, cannot be followed (%d)", fd, err);
	if (may_pass(err))
		atomic_store(&has_missed, true);
}

void calls_adopt(int fd)
{
	fdtable_fresh(fd);
	if (shim_is_vfork_child())
		return;
	shim_enter();
	adopt(fd);
	shim_leave();
}

void calls_adopt_inherited(void)
{
	char name[64];
	int fd;

	for (fd = 0; (fd = os_peer_find(0, fd, HANDLE_NAME, name, sizeof(name))) >= 0; fd++)
		calls_adopt(fd);
	if (may_pass(fd))
		atomic_store(&has_missed, true);
}

bool calls_adopt_late(int fd)
{
	if (!atomic_load_explicit(&has_missed, memory_order_relaxed) || shim_is_vfork_child())
		return false;
	shim_enter();
	/* Another thread may have been here: what it has put there stays. */
	if (!fdtable_peek(fd))
		adopt(fd);
	shim_leave();
	return fdtable_peek(fd);
}

static void adopt_all_in(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0);
		     at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			calls_adopt(fd);
		}
	}
}

void calls_after_recvmsg(struct msghdr *msg)
{
	if (msg->msg_controllen)
		adopt_all_in(msg);
}

SHIM_EXPORT ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	ssize_t ret = real()->recvmsg(fd, msg, flags);

	if (ret >= 0)
		calls_after_recvmsg(msg);
	return ret;
}

SHIM_EXPORT int recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags,
			 struct timespec *timeout)
{
	int ret = real()->recvmmsg(fd, msgs, n, flags, timeout);

	for (int i = 0; i < ret; i++)
		calls_after_recvmsg(&msgs[i].msg_hdr);
	return ret;
}
