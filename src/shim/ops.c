/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest_memfd's answers are recorded in tests/probe; those of /dev/kvm are a character device's,
 * those of a VM and a vCPU an anonymous inode's.
 */
#include "shim/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "gmem/uapi.h"
#include "obs/rules.h"
#include "os/fault.h"
#include "os/os.h"
#include "shim/observe.h"
#include "shim/ours.h"
#include "shim/path.h"
#include "shim/signal.h"
#include "shim/told.h"

#ifndef FIGETBSZ
#define FIGETBSZ 2
#endif

long op_data(struct handle *h, enum op_data what)
{
	int access = h->open_flags & O_ACCMODE;

	if (ours_type(h) == KVM_OBJECT_MEMFD)
		return kvm_memfd_data(h->object, what == OP_WRITE);
	if ((what == OP_READ && access == O_WRONLY) || (what == OP_WRITE && access == O_RDONLY))
		return obs_refuse(RULE_FILE_ACCESS);
	return obs_refuse(RULE_FILE_NO_DATA);
}

long op_data_at(struct handle *h, enum op_data what, int64_t offset)
{
	if (ours_type(h) == KVM_OBJECT_MEMFD)
		return kvm_memfd_data_at(h->object, what == OP_WRITE, offset);
	if (offset < 0)
		return obs_refuse(RULE_FILE_OFFSET);
	/* Anonymous files have no position; a device without read() has. */
	return ours_type(h) == KVM_OBJECT_SYSTEM ? op_data(h, what)
						 : obs_refuse(RULE_FILE_NO_POSITION);
}

long op_seek(struct handle *h, int64_t offset, int whence)
{
	if (whence < SEEK_SET || whence > SEEK_HOLE)
		return obs_refuse(RULE_FILE_WHENCE);
	if (ours_type(h) == KVM_OBJECT_MEMFD)
		return kvm_memfd_seek(h->object, offset, whence);
	if (kvm_gmem_takes_data(h->object))
		return kvm_gmem_seek(h->object, offset, whence);
	return ours_type(h) == KVM_OBJECT_GMEM ? obs_refuse(RULE_FILE_NO_POSITION) : 0;
}

long op_truncate(struct handle *h, int64_t size)
{
	uint64_t start;
	long r;

	if (ours_type(h) == KVM_OBJECT_MEMFD)
		return kvm_memfd_truncate(h->object, size);
	start = obs_start();
	r = obs_refuse(RULE_FILE_SIZE_FIXED);
	told_file_call(h->object, SYS_ftruncate, 0, start, r, 0, (uint64_t)size);
	return r;
}

long op_sync(struct handle *h)
{
	if (ours_type(h) == KVM_OBJECT_MEMFD)
		return kvm_memfd_sync(h->object);
	return obs_refuse(RULE_FILE_NO_SYNC);
}

static long fallocate_any(struct handle *h, int mode, int64_t offset, int64_t size)
{
	if (ours_type(h) == KVM_OBJECT_GMEM)
		return kvm_gmem_fallocate(h->object, mode, offset, size);
	if (ours_type(h) == KVM_OBJECT_MEMFD)
		return kvm_memfd_fallocate(h->object, mode, offset, size);
	if (offset < 0 || size <= 0)
		return obs_refuse(RULE_FALLOCATE_NEGATIVE);
	return obs_refuse((h->open_flags & O_ACCMODE) == O_RDONLY ? RULE_FILE_ACCESS
								  : RULE_FILE_NO_ALLOCATE);
}

long op_fallocate(struct handle *h, int mode, int64_t offset, int64_t size)
{
	enum obs_request before = obs_request_begin(REQ_fallocate);
	uint64_t start = obs_start();
	long r = obs_request_end(before, fallocate_any(h, mode, offset, size));

	told_file_call(h->object, SYS_fallocate, (uint32_t)mode, start, r, (uint64_t)offset,
		       (uint64_t)size);
	return r;
}

long op_setattr(struct handle *h)
{
	switch (ours_type(h)) {
	case KVM_OBJECT_GMEM:
		return obs_refuse(RULE_FILE_ATTRIBUTES_FIXED);
	case KVM_OBJECT_SYSTEM:
	case KVM_OBJECT_MEMFD:
		return 0;
	default:
		return obs_refuse(RULE_FILE_NO_ATTRIBUTES);
	}
}

long op_getxattr(struct handle *h)
{
	return obs_refuse(RULE_FILE_NO_XATTR);
}

/* ---- ioctl ------------------------------------------------------------------------------- */

/* What the kernel answers for any file before it asks the driver; the handle's memfd is one. */
static bool is_generic(unsigned int cmd)
{
	return cmd == FIOCLEX || cmd == FIONCLEX || cmd == FIONBIO || cmd == FIOASYNC ||
	       cmd == FIGETBSZ;
}

long op_run(struct handle *h, uint64_t arg)
{
	struct kvm_object *vcpu = h->object;
	long ret;

	observe_if_wanted();
	signal_set_running(vcpu);
	ret = kvm_ioctl(vcpu, KVM_RUN, arg);
	signal_set_running(NULL);
	return ret;
}

static long set_signal_mask(struct kvm_object *vcpu, uint64_t arg)
{
	long ret = kvm_ioctl(vcpu, KVM_SET_SIGNAL_MASK, arg);
	uint64_t blocked;

	if (ret == 0 && arg &&
	    !os_copy_in(&blocked, arg + offsetof(struct kvm_signal_mask, sigset), sizeof(blocked)))
		signal_cover(blocked);
	return ret;
}

long op_ioctl(struct handle *h, int fd, unsigned int cmd, uint64_t arg)
{
	struct kvm_object *o = h->object;

	observe_if_wanted();
	if (is_generic(cmd))
		return os_sys3(SYS_ioctl, fd, cmd, arg);
	if (o->type == KVM_OBJECT_VCPU && cmd == KVM_RUN)
		return op_run(h, arg);
	if (o->type == KVM_OBJECT_GMEM && cmd == FS_IOC_FIEMAP)
		return obs_refuse(RULE_FILE_NO_FIEMAP);
	if (o->type == KVM_OBJECT_VCPU && cmd == KVM_SET_SIGNAL_MASK)
		return set_signal_mask(o, arg);
	return kvm_ioctl(o, cmd, arg);
}

/* ---- fcntl ------------------------------------------------------------------------------- */

static long get_flags(struct handle *h, int fd)
{
	long flags = os_sys3(SYS_fcntl, fd, F_GETFL, 0);

	if (flags < 0)
		return flags;
	flags = (flags & ~O_ACCMODE) | (h->open_flags & O_ACCMODE);
	/* Only open() sets it of itself; the kernel's name for it is 0 in the C library. */
	if (ours_type(h) == KVM_OBJECT_VM || ours_type(h) == KVM_OBJECT_VCPU)
		flags &= ~0100000L;
	return flags;
}

static long seals(struct handle *h, bool add, uint64_t arg)
{
	if (ours_type(h) != KVM_OBJECT_MEMFD)
		return obs_refuse(RULE_FILE_NO_SEALS);
	return add ? kvm_memfd_add_seals(h->object, (unsigned int)arg)
		   : kvm_memfd_get_seals(h->object);
}

bool op_fcntl(struct handle *h, int fd, int cmd, uint64_t arg, long *ret)
{
	switch (cmd) {
	case F_GETFL:
		*ret = get_flags(h, fd);
		return true;
	case F_SETFL:
		*ret = arg & O_DIRECT ? obs_refuse(RULE_FILE_NO_DIRECT) : 0;
		return arg & O_DIRECT;
	case F_ADD_SEALS:
	case F_GET_SEALS:
		*ret = seals(h, cmd == F_ADD_SEALS, arg);
		return true;
	case F_SETLEASE:
		*ret = obs_refuse(RULE_FILE_NO_SEALS);
		return true;
	default:
		return false;
	}
}

/* ---- stat -------------------------------------------------------------------------------- */

static void set_time(struct timespec *t, int64_t ns)
{
	t->tv_sec = ns / 1000000000;
	t->tv_nsec = ns % 1000000000;
}

static void stat_file(struct handle *h, struct stat *st)
{
	bool memfd = ours_type(h) == KVM_OBJECT_MEMFD;
	struct kvm_gmem_stat g = { 0 };

	if (memfd)
		kvm_memfd_stat(h->object, &g);
	else
		kvm_gmem_stat(h->object, &g);
	memset(st, 0, sizeof(*st));
	st->st_dev = h->dev;
	st->st_ino = g.ino;
	st->st_mode = S_IFREG | (memfd ? 0777 : 0600);
	st->st_nlink = memfd ? 0 : 1;
	st->st_blocks = (blkcnt_t)(g.backed / 512);
	st->st_uid = g.uid;
	st->st_gid = g.gid;
	st->st_size = (off_t)g.size;
	st->st_blksize = 4096;
	set_time(&st->st_atim, g.atime_ns);
	set_time(&st->st_mtim, g.mtime_ns);
	set_time(&st->st_ctim, g.ctime_ns);
}

/* All anonymous files but guest_memfds share one inode: any of them shows it. */
static void stat_anonymous(struct stat *st)
{
	long fd = os_sys2(SYS_eventfd2, 0, EFD_CLOEXEC);

	memset(st, 0, sizeof(*st));
	if (fd < 0)
		return;
	os_sys2(SYS_fstat, fd, st);
	os_sys1(SYS_close, fd);
}

void op_stat(struct handle *h, struct stat *st)
{
	switch (ours_type(h)) {
	case KVM_OBJECT_GMEM:
	case KVM_OBJECT_MEMFD:
		stat_file(h, st);
		break;
	case KVM_OBJECT_SYSTEM:
		path_stat_device(st);
		break;
	default:
		stat_anonymous(st);
		break;
	}
}

uint64_t op_fs_type(struct handle *h)
{
	switch (ours_type(h)) {
	case KVM_OBJECT_GMEM:
		return kvm_gmem_fs_magic();
	case KVM_OBJECT_MEMFD:
		return kvm_memfd_fs_magic();
	case KVM_OBJECT_SYSTEM:
		return TMPFS_MAGIC; /* devtmpfs */
	default:
		return ANON_INODE_FS_MAGIC;
	}
}
