/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/remote.h"

#include <errno.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/gmem_file.h"
#include "os/os.h"
#include "shim/shim.h"

struct request {
	uintptr_t handle; /* its address is the same at home: we were forked from there */
	uint64_t generation;
	int64_t offset, size;
	int32_t mode;
};

/* Room for one descriptor. */
union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* Ours: the home's end and the children's. Made at most once in the life of a process. */
static int home_end = -1, child_end = -1;

/* ---- at home ----------------------------------------------------------------------------- */

static long serve(const struct request *r)
{
	struct handle *h = handle_by_address(r->handle, r->generation);
	long ret;

	if (!h)
		return -EBADF;
	ret = kvm_gmem_fallocate(h->object, r->mode, r->offset, r->size);
	handle_put(h);
	return ret;
}

/* A request and the socket to answer on; false: there will be no more. */
static bool receive(struct request *r, int *answer_to)
{
	union control control;
	struct iovec iov = { .iov_base = r, .iov_len = sizeof(*r) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	long n;

	do
		n = os_sys3(SYS_recvmsg, home_end, &msg, MSG_CMSG_CLOEXEC);
	while (n == -EINTR);
	*answer_to = -1;
	if (n > 0 && msg.msg_controllen >= sizeof(control.head) &&
	    control.head.cmsg_type == SCM_RIGHTS)
		memcpy(answer_to, CMSG_DATA(&control.head), sizeof(int));
	return n > 0;
}

static void service(void *arg)
{
	struct request r;
	int answer_to;
	long ret;

	while (receive(&r, &answer_to)) {
		if (answer_to < 0)
			continue;
		shim_enter();
		ret = serve(&r);
		shim_leave();
		os_sys6(SYS_sendto, answer_to, &ret, sizeof(ret), MSG_NOSIGNAL, NULL, 0);
		os_sys1(SYS_close, answer_to);
	}
}

static int make_sockets(void)
{
	int pair[2];
	int ret = (int)os_sys4(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);

	if (ret)
		return ret;
	ret = os_fd_adopt(&pair[0]);
	if (ret) {
		os_sys1(SYS_close, pair[1]);
		return ret;
	}
	ret = os_fd_adopt(&pair[1]);
	if (ret) {
		os_fd_close(pair[0]);
		return ret;
	}
	home_end = pair[0];
	child_end = pair[1];
	return 0;
}

int remote_socket(void)
{
	struct os_thread *thread;

	if (child_end >= 0)
		return child_end;
	if (make_sockets() == 0 && os_thread_create(service, NULL, "gmem-remote", &thread) == 0)
		return child_end;
	os_log(OS_LOG_WARN, "a child cannot tell this process of what it does to a guest_memfd");
	return -1;
}

/* ---- in a child -------------------------------------------------------------------------- */

void remote_after_fork(void)
{
	/* Held by us it would look as if the home still lived. The other end stays, for asking. */
	if (home_end >= 0)
		os_fd_close(home_end);
	home_end = -1;
	child_end = -1;
}

static long send_request(int to, const struct request *r, int answer_end)
{
	union control control;
	struct iovec iov = { .iov_base = (void *)r, .iov_len = sizeof(*r) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	long ret;

	memset(&control, 0, sizeof(control));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &answer_end, sizeof(int));
	do
		ret = os_sys3(SYS_sendmsg, to, &msg, MSG_NOSIGNAL);
	while (ret == -EINTR);
	return ret;
}

/* False: there is nobody at home. */
static bool ask(int home, const struct request *r, long *answer)
{
	int pair[2];
	long n;

	if (home < 0 || os_sys4(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return false;
	n = send_request(home, r, pair[1]);
	os_sys1(SYS_close, pair[1]);
	while (n >= 0) {
		n = os_sys6(SYS_recvfrom, pair[0], answer, sizeof(*answer), 0, NULL, NULL);
		if (n != -EINTR)
			break;
		n = 0;
	}
	os_sys1(SYS_close, pair[0]);
	return n == (long)sizeof(*answer);
}

/* Nobody else holds anything of the file any more. */
static long on_the_store(struct kvm_object *o, const struct request *r)
{
	int fd = store_fd(gmem_file_store(kvm_gmem_file(o)));
	int ret = kvm_gmem_check_fallocate(o, r->mode, r->offset, r->size);

	if (ret)
		return ret;
	if (r->mode & FALLOC_FL_PUNCH_HOLE)
		return os_file_punch(fd, (uint64_t)r->offset, (uint64_t)r->size);
	return os_file_allocate(fd, (uint64_t)r->offset, (uint64_t)r->size);
}

long remote_fallocate(struct handle *h, int mode, int64_t offset, int64_t size)
{
	struct request r = { .handle = (uintptr_t)h,
			     .generation = h->generation,
			     .offset = offset,
			     .size = size,
			     .mode = mode };
	long answer;

	if (!h->inherited)
		return kvm_gmem_fallocate(h->object, mode, offset, size);
	if (ask(h->home_socket, &r, &answer) && answer != -EBADF)
		return answer;
	return on_the_store(h->object, &r);
}

long remote_punch(struct kvm_object *gmem, int64_t offset, int64_t size)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct handle *h = handle_inherited(gmem);

	return h ? remote_fallocate(h, mode, offset, size)
		 : kvm_gmem_fallocate(gmem, mode, offset, size);
}
