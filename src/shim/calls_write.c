/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* write() and its like, by descriptor: few of ours take data. */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/uio.h>
#include <unistd.h>

#include "obs/rules.h"
#include "os/fault.h"
#include "shim/calls.h"
#include "shim/observe.h"
#include "shim/ours.h"
#include "shim/real.h"
#include "shim/told.h"

/* offset, of a call that has one: -1 is no position. */
static int64_t place(long nr, int64_t offset)
{
	if (nr == SYS_write || nr == SYS_writev || (nr == SYS_pwritev2 && offset == -1))
		return KVM_GMEM_POSITION;
	return offset == KVM_GMEM_POSITION ? -2 : offset;
}

static long refuse(struct handle *h, int64_t offset)
{
	return offset == KVM_GMEM_POSITION ? op_data(h, OP_WRITE) : op_data_at(h, OP_WRITE, offset);
}

/* done: what was written is the result, and told as how. */
static long told(struct handle *h, long nr, uint64_t start, long done, int64_t offset,
		 uint64_t size)
{
	told_file_call(h->object, nr, done > 0 ? (uint64_t)done : 0, start, done,
		       offset == KVM_GMEM_POSITION ? 0 : (uint64_t)offset, size);
	return done;
}

long calls_write(struct handle *h, long nr, uint64_t from, uint64_t size, int64_t offset)
{
	uint64_t start = obs_start();
	long ret;

	offset = place(nr, offset);
	if (kvm_gmem_takes_data(h->object))
		ret = kvm_gmem_write(h->object, from, size, &offset);
	else
		ret = refuse(h, offset);
	return told(h, nr, start, ret, offset, size);
}

/* Before anything is written, as the kernel looks at it: all that is asked for, or -errno. */
static int measure_vector(uint64_t iov, int n, uint64_t *size)
{
	struct iovec v;

	*size = 0;
	if (n < 0 || n > IOV_MAX)
		return obs_refuse(RULE_GMEM_WRITE_VECTOR);
	for (int i = 0; i < n; i++) {
		if (os_copy_in(&v, iov + (uint64_t)i * sizeof(v), sizeof(v)))
			return obs_refuse(RULE_GMEM_WRITE_SOURCE);
		if (v.iov_len > INT64_MAX - *size)
			return obs_refuse(RULE_GMEM_WRITE_VECTOR);
		*size += v.iov_len;
	}
	return 0;
}

/* One after the other; a part that is done counts. */
static long write_vector(struct handle *h, uint64_t iov, int n, int64_t *offset)
{
	bool at_position = *offset == KVM_GMEM_POSITION;
	long done = 0;

	for (int i = 0; i < n; i++) {
		struct iovec v;
		int64_t at = at_position ? KVM_GMEM_POSITION : *offset + done;
		long ret = os_copy_in(&v, iov + (uint64_t)i * sizeof(v), sizeof(v));

		if (!ret)
			ret = kvm_gmem_write(h->object, (uint64_t)(uintptr_t)v.iov_base, v.iov_len,
					     &at);
		if (!i)
			*offset = at;
		if (ret < 0)
			return done ? done : ret;
		done += ret;
		if ((uint64_t)ret < v.iov_len)
			break;
	}
	return done;
}

long calls_writev(struct handle *h, long nr, uint64_t iov, int n, int64_t offset)
{
	uint64_t start = obs_start(), size = 0;
	long ret;

	offset = place(nr, offset);
	ret = kvm_gmem_takes_data(h->object) ? measure_vector(iov, n, &size) : refuse(h, offset);
	if (!ret)
		ret = write_vector(h, iov, n, &offset);
	return told(h, nr, start, ret, offset, size);
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

#define ADDRESS(p) ((uint64_t)(uintptr_t)(p))
WRITE(write, (int fd, const void *buf, size_t size), (fd, buf, size),
      calls_write(h, SYS_write, ADDRESS(buf), size, 0))
WRITE(writev, (int fd, const struct iovec *iov, int n), (fd, iov, n),
      calls_writev(h, SYS_writev, ADDRESS(iov), n, 0))
WRITE(pwrite, (int fd, const void *buf, size_t size, off_t at), (fd, buf, size, at),
      calls_write(h, SYS_pwrite64, ADDRESS(buf), size, at))
WRITE(pwrite64, (int fd, const void *buf, size_t size, off64_t at), (fd, buf, size, at),
      calls_write(h, SYS_pwrite64, ADDRESS(buf), size, at))
WRITE(pwritev, (int fd, const struct iovec *iov, int n, off_t at), (fd, iov, n, at),
      calls_writev(h, SYS_pwritev, ADDRESS(iov), n, at))
WRITE(pwritev64, (int fd, const struct iovec *iov, int n, off64_t at), (fd, iov, n, at),
      calls_writev(h, SYS_pwritev, ADDRESS(iov), n, at))
WRITE(pwritev2, (int fd, const struct iovec *iov, int n, off_t at, int flags),
      (fd, iov, n, at, flags), calls_writev(h, SYS_pwritev2, ADDRESS(iov), n, at))
WRITE(pwritev64v2, (int fd, const struct iovec *iov, int n, off64_t at, int flags),
      (fd, iov, n, at, flags), calls_writev(h, SYS_pwritev2, ADDRESS(iov), n, at))
