/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* write() and its like, by descriptor: few of ours take data. */
#include <errno.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/fault.h"
#include "shim/calls.h"
#include "shim/observe.h"
#include "shim/ours.h"
#include "shim/real.h"

long calls_write(struct handle *h, uint64_t from, uint64_t size, int64_t offset)
{
	if (kvm_gmem_takes_data(h->object))
		return kvm_gmem_write(h->object, from, size, offset);
	return offset == KVM_GMEM_POSITION ? op_data(h, OP_WRITE) : op_data_at(h, OP_WRITE, offset);
}

/* One after the other; a part that is done counts. */
static long write_vector(struct handle *h, uint64_t iov, int n, int64_t offset)
{
	long done = 0;

	for (int i = 0; i < n; i++) {
		struct iovec v;
		int64_t at = offset == KVM_GMEM_POSITION ? offset : offset + done;
		long ret = os_copy_in(&v, iov + (uint64_t)i * sizeof(v), sizeof(v));

		if (!ret)
			ret = calls_write(h, (uint64_t)(uintptr_t)v.iov_base, v.iov_len, at);
		if (ret < 0)
			return done ? done : ret;
		done += ret;
		if ((uint64_t)ret < v.iov_len)
			break;
	}
	return done;
}

long calls_writev(struct handle *h, uint64_t iov, int n, int64_t offset)
{
	if (!kvm_gmem_takes_data(h->object))
		return calls_write(h, 0, 0, offset);
	if (n < 0 || n > IOV_MAX)
		return -EINVAL;
	return write_vector(h, iov, n, offset);
}

#define WRITE(name, params, args, answer)            \
	SHIM_EXPORT ssize_t name params              \
	{                                            \
		struct handle *h = ours_begin(fd);   \
                                                     \
		if (!h)                              \
			return real()->name args;    \
		observe_call();                      \
		return (ssize_t)ours_end(h, answer); \
	}

/* A negative offset is refused before the file is asked; -1 is no position here. */
static int64_t place(int64_t at)
{
	return at == KVM_GMEM_POSITION ? -2 : at;
}

#define ADDRESS(p) ((uint64_t)(uintptr_t)(p))
WRITE(write, (int fd, const void *buf, size_t size), (fd, buf, size),
      calls_write(h, ADDRESS(buf), size, KVM_GMEM_POSITION))
WRITE(writev, (int fd, const struct iovec *iov, int n), (fd, iov, n),
      calls_writev(h, ADDRESS(iov), n, KVM_GMEM_POSITION))
WRITE(pwrite, (int fd, const void *buf, size_t size, off_t at), (fd, buf, size, at),
      calls_write(h, ADDRESS(buf), size, place(at)))
WRITE(pwrite64, (int fd, const void *buf, size_t size, off64_t at), (fd, buf, size, at),
      calls_write(h, ADDRESS(buf), size, place(at)))
WRITE(pwritev, (int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at),
      calls_writev(h, ADDRESS(iov), n, place(at)))
WRITE(pwritev64, (int fd, const struct iovec *iov, int n, off64_t at), (fd, iov, n, at),
      calls_writev(h, ADDRESS(iov), n, place(at)))
WRITE(pwritev2, (int fd, const struct iovec *iov, int n, off_t at, int flags),
      (fd, iov, n, at, flags), calls_writev(h, ADDRESS(iov), n, at))
WRITE(pwritev64v2, (int fd, const struct iovec *iov, int n, off64_t at, int flags),
      (fd, iov, n, at, flags), calls_writev(h, ADDRESS(iov), n, at))
