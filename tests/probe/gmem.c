/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The guest_memfd descriptor as a file: creation, file operations, fallocate, fstat. */
#include "probe.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/vfs.h>

static void creation(void)
{
	static const uint64_t sizes[] = { 0,
					  1,
					  4095,
					  4096,
					  4097,
					  M2,
					  1ULL << 40,
					  1ULL << 62,
					  0x7ffffffffffff000,
					  0x7fffffffffffffff,
					  1ULL << 63,
					  ~0ULL };
	int vm = vm_new(0), dev = dev_open();
	struct kvm_create_guest_memfd c = { .size = PG };

	for (size_t i = 0; i < COUNT(sizes); i++)
		say_fd(qf("size %#lx", sizes[i]), gmem_new(vm, sizes[i], 0));
	for (int bit = 0; bit < 64; bit++)
		if (bit < 5 || bit == 31 || bit == 32 || bit == 63)
			say_fd(qf("flag bit %d", bit), gmem_new(vm, PG, 1ULL << bit));
	say_fd("flags 3", gmem_new(vm, PG, 3));
	say_fd("bad flag and size 0", gmem_new(vm, 0, 4));
	say_ok("NULL", ioctl(vm, KVM_CREATE_GUEST_MEMFD, NULL));
	memset(c.reserved, 0xff, sizeof(c.reserved));
	say_fd("reserved words not zero", ioctl(vm, KVM_CREATE_GUEST_MEMFD, &c));
	say_fd("on /dev/kvm", gmem_new(dev, PG, 0));
	say_fd("on a vCPU", gmem_new(ioctl(vm, KVM_CREATE_VCPU, 0), PG, 0));
}

static void creation_guarded(void)
{
	int vm = vm_new(1);

	for (uint64_t flags = 0; flags < 5; flags++)
		say_fd(qf("protected VM: flags %lu", flags), gmem_new(vm, PG, flags));
}

/* With all the flags there are, so that as much as can be is allowed; older kernels have none. */
static int file_of(int vm)
{
	int f = gmem_new(vm, 4 * PG, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);

	return f < 0 ? gmem_need(vm, 4 * PG, 0) : f;
}

/* ---- reading and writing ---- */

static void plain_io(void)
{
	int f = file_of(vm_new(0)), m = memfd_create("m", 0), p[2];
	char buf[64] = "";
	struct iovec v = { buf, sizeof(buf) };
	off_t at = 0;
	loff_t from = 0, to = 0;

	if (ftruncate(m, 4 * PG) || pipe(p))
		_exit(1);
	say_ret("read", read(f, buf, 64));
	say_ret("read of 0 bytes", read(f, buf, 0));
	say_ret("write", write(f, buf, 64));
	say_ret("write of 0 bytes", write(f, buf, 0));
	say_ret("pread", pread(f, buf, 64, 0));
	say_ret("pread at -1", pread(f, buf, 64, -1));
	say_ret("pwrite", pwrite(f, buf, 64, 0));
	say_ret("pwrite past the end", pwrite(f, buf, 64, 8 * PG));
	say_ret("readv", readv(f, &v, 1));
	say_ret("writev", writev(f, &v, 1));
	say_ret("preadv", preadv(f, &v, 1, 0));
	say_ret("pwritev", pwritev(f, &v, 1, 0));
	say_ret("preadv2 at -1", preadv2(f, &v, 1, -1, 0));
	say_ret("pwritev2 at -1", pwritev2(f, &v, 1, -1, 0));
	say_ret("sendfile from it with an offset", sendfile(m, f, &at, 100));
	say_ret("sendfile from it", sendfile(m, f, NULL, 100));
	say_ret("sendfile to it", sendfile(f, m, NULL, 100));
	say_ret("splice from it", splice(f, NULL, p[1], NULL, 100, 0));
	say_ret("splice from it at an offset", splice(f, &from, p[1], NULL, 100, 0));
	if (write(p[1], buf, 64) != 64)
		_exit(1);
	say_ret("splice to it", splice(p[0], NULL, f, NULL, 64, 0));
	say_ret("copy_file_range within it", copy_file_range(f, &from, f, &to, 100, 0));
	say_ret("copy_file_range to a memfd", copy_file_range(f, &from, m, &to, 100, 0));
	say_ret("copy_file_range from a memfd", copy_file_range(m, &from, f, &to, 100, 0));
}

static void seeking(void)
{
	static const int whence[] = { SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE, 99 };
	int f = file_of(vm_new(0));

	for (size_t i = 0; i < COUNT(whence); i++)
		say_ret(qf("lseek 0 whence %d", whence[i]), lseek(f, 0, whence[i]));
	say_ret("lseek to -1", lseek(f, -1, SEEK_SET));
}

static void changing(void)
{
	int f = file_of(vm_new(0)), m = memfd_create("m", 0);
	char path[40];
	struct timespec t[2] = { { 1, 0 }, { 1, 0 } };

	snprintf(path, sizeof(path), "/proc/self/fd/%d", f);
	say_ok("ftruncate to 0", ftruncate(f, 0));
	say_ok("ftruncate to its size", ftruncate(f, 4 * PG));
	say_ok("ftruncate to more", ftruncate(f, 8 * PG));
	say_ok("ftruncate to -1", ftruncate(f, -1));
	say_ok("truncate through /proc", truncate(path, 0));
	say_ok("fchmod", fchmod(f, 0644));
	say_ok("fchown to itself", fchown(f, getuid(), getgid()));
	say_ok("fchown to nobody named", fchown(f, -1, -1));
	say_ok("futimens", futimens(f, t));
	say_ok("fsync", fsync(f));
	say_ok("fdatasync", fdatasync(f));
	say_ok("sync_file_range", sync_file_range(f, 0, PG, SYNC_FILE_RANGE_WRITE));
	say_ok("syncfs", syncfs(f));
	errno = posix_fadvise(f, 0, PG, POSIX_FADV_DONTNEED);
	say_ok("posix_fadvise", errno ? -1 : 0);
	say_ok("readahead", readahead(f, 0, PG));
	say_ok("flock", flock(f, LOCK_EX | LOCK_NB));
	say_ok("FICLONE", ioctl(m, FICLONE, f));
	say_ok("open again through /proc", open(path, O_RDWR));
	say_ok("open again through /proc with O_PATH", open(path, O_PATH));
	say_ok("stat through /proc", stat(path, &(struct stat){ 0 }));
}

static void control(void)
{
	int f = file_of(vm_new(0)), on = 1, ep = epoll_create1(0);
	struct pollfd p = { .fd = f, .events = POLLIN | POLLOUT };
	struct epoll_event ev = { .events = EPOLLIN };
	struct flock lk = { .l_type = F_WRLCK };
	long n = 0;
	int ret;

	say("F_GETFD", "%d", fcntl(f, F_GETFD));
	say("F_GETFL", "%o", fcntl(f, F_GETFL));
	say_ret("F_GET_SEALS", fcntl(f, F_GET_SEALS));
	say_ret("F_ADD_SEALS", fcntl(f, F_ADD_SEALS, F_SEAL_SHRINK));
	say_ok("F_SETFL O_APPEND", fcntl(f, F_SETFL, O_APPEND));
	say("F_GETFL after O_APPEND", "%o", fcntl(f, F_GETFL));
	say_ok("F_SETFL O_NONBLOCK", fcntl(f, F_SETFL, O_NONBLOCK));
	say_ok("F_SETFL O_DIRECT", fcntl(f, F_SETFL, O_DIRECT));
	say_ok("F_SETLK", fcntl(f, F_SETLK, &lk));
	say_ok("F_OFD_SETLK", fcntl(f, F_OFD_SETLK, &lk));
	say_ok("F_SETLEASE", fcntl(f, F_SETLEASE, F_RDLCK));
	ret = poll(&p, 1, 0);
	say("poll", "%d events %#x", ret, p.revents);
	say_ok("epoll_ctl ADD", epoll_ctl(ep, EPOLL_CTL_ADD, f, &ev));
	say_ok("FIONREAD", ioctl(f, FIONREAD, &n));
	say_ok("FIONBIO", ioctl(f, FIONBIO, &on));
	say_ok("FS_IOC_GETFLAGS", ioctl(f, FS_IOC_GETFLAGS, &n));
	say_ok("FS_IOC_FIEMAP", ioctl(f, FS_IOC_FIEMAP, &n));
	n = 0;
	say_ok("FIGETBSZ", ioctl(f, FIGETBSZ, &n));
	say("FIGETBSZ: value", "%d", (int)n);
}

static void stat_fields(const char *what, int f)
{
	struct stat s;

	if (fstat(f, &s)) {
		say_ok(qf("%s: fstat", what), -1);
		return;
	}
	say(qf("%s: st_mode", what), "%o", s.st_mode);
	say(qf("%s: st_size", what), "%ld", (long)s.st_size);
	say(qf("%s: st_blksize", what), "%ld", (long)s.st_blksize);
	say(qf("%s: st_blocks", what), "%ld", (long)s.st_blocks);
	say(qf("%s: st_nlink", what), "%ld", (long)s.st_nlink);
	say(qf("%s: st_rdev", what), "%ld", (long)s.st_rdev);
	say(qf("%s: owner", what), "%s",
	    s.st_uid == geteuid() && s.st_gid == getegid() ? "the caller" : "another");
}

static void times_say(const char *what, const struct stat *a, const struct stat *b)
{
	bool m = a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec;
	bool c = a->st_ctim.tv_sec != b->st_ctim.tv_sec || a->st_ctim.tv_nsec != b->st_ctim.tv_nsec;

	say(what, "mtime %s, ctime %s", m ? "changed" : "same", c ? "changed" : "same");
}

static void status(void)
{
	int vm = vm_new(0), f = file_of(vm), g = gmem_new(vm, M2, 0);
	struct stat a, b, c;
	struct statfs fs;
	char path[40], target[80] = "";

	stat_fields("fresh", f);
	fallocate(f, FALLOC_FL_KEEP_SIZE, 0, 2 * PG);
	stat_fields("two pages allocated", f);
	stat_fields("2 MiB, no flags", g);
	fstat(f, &a);
	fstat(g, &b);
	say("two files: st_ino", "%s", a.st_ino == b.st_ino ? "the same" : "differs");
	say("two files: st_dev", "%s", a.st_dev == b.st_dev ? "the same" : "differs");
	fstat(dup(f), &b);
	say("dup: st_ino", "%s", a.st_ino == b.st_ino ? "the same" : "differs");
	usleep(20000);
	fallocate(f, FALLOC_FL_KEEP_SIZE, 0, PG);
	fstat(f, &b);
	times_say("times after fallocate", &a, &b);
	usleep(20000);
	fallocate(f, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PG);
	fstat(f, &c);
	times_say("times after a punch", &b, &c);
	say_ok("fstatfs", fstatfs(f, &fs));
	say("fstatfs: f_type and f_bsize", "%#lx %ld", (long)fs.f_type, (long)fs.f_bsize);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", f);
	if (readlink(path, target, sizeof(target) - 1) < 0)
		target[0] = 0;
	say("link in /proc/self/fd", "%s", target);
}

/* ---- fallocate ---- */

#define KEEP FALLOC_FL_KEEP_SIZE
#define PUNCH (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)
#define SIZE (4 * PG)
#define LAST (INT64_MAX - (INT64_MAX % 4096))

static void fallocate_rows(void)
{
	static const struct {
		const char *name;
		int mode;
		int64_t offset, len;
	} rows[] = {
		{ "mode 0", 0, 0, PG },
		{ "mode 0 bad length", 0, 0, 0 },
		{ "KEEP whole", KEEP, 0, SIZE },
		{ "KEEP first page", KEEP, 0, PG },
		{ "KEEP last page", KEEP, 3 * PG, PG },
		{ "KEEP one page past the end", KEEP, 0, SIZE + PG },
		{ "KEEP from the end", KEEP, SIZE, PG },
		{ "KEEP far past the end", KEEP, 1LL << 40, PG },
		{ "KEEP offset 1", KEEP, 1, PG },
		{ "KEEP length 1", KEEP, 0, 1 },
		{ "KEEP length PG + 1", KEEP, 0, PG + 1 },
		{ "KEEP offset -1", KEEP, -1, PG },
		{ "KEEP offset -4096", KEEP, -4096, PG },
		{ "KEEP length 0", KEEP, 0, 0 },
		{ "KEEP length -1", KEEP, 0, -1 },
		{ "KEEP up to the last offset", KEEP, PG, LAST - PG },
		{ "KEEP past the last offset", KEEP, PG, INT64_MAX },
		{ "PUNCH whole", PUNCH, 0, SIZE },
		{ "PUNCH one page", PUNCH, PG, PG },
		{ "PUNCH over the end", PUNCH, 0, 2 * SIZE },
		{ "PUNCH from the end", PUNCH, SIZE, PG },
		{ "PUNCH far past the end", PUNCH, 1LL << 40, PG },
		{ "PUNCH to the last offset", PUNCH, 0, LAST },
		{ "PUNCH past the last offset", PUNCH, PG, INT64_MAX },
		{ "PUNCH offset 1", PUNCH, 1, PG },
		{ "PUNCH length 1", PUNCH, 0, 1 },
		{ "PUNCH length 0", PUNCH, 0, 0 },
		{ "PUNCH offset -4096", PUNCH, -4096, PG },
		{ "PUNCH without KEEP", FALLOC_FL_PUNCH_HOLE, 0, PG },
		{ "ZERO_RANGE", FALLOC_FL_ZERO_RANGE, 0, PG },
		{ "ZERO_RANGE and KEEP", FALLOC_FL_ZERO_RANGE | KEEP, 0, PG },
		{ "ZERO_RANGE offset 1", FALLOC_FL_ZERO_RANGE | KEEP, 1, PG },
		{ "COLLAPSE_RANGE", FALLOC_FL_COLLAPSE_RANGE, 0, PG },
		{ "COLLAPSE_RANGE and KEEP", FALLOC_FL_COLLAPSE_RANGE | KEEP, 0, PG },
		{ "INSERT_RANGE", FALLOC_FL_INSERT_RANGE, 0, PG },
		{ "UNSHARE_RANGE and KEEP", FALLOC_FL_UNSHARE_RANGE | KEEP, 0, PG },
		{ "NO_HIDE_STALE and KEEP", 4 | KEEP, 0, PG },
		{ "mode bit 20", 1 << 20, 0, PG },
		{ "mode bit 20, offset -1", 1 << 20, -1, PG },
	};
	int f = gmem_need(vm_new(0), SIZE, 0);

	for (size_t i = 0; i < COUNT(rows); i++)
		say_ok(rows[i].name, fallocate(f, rows[i].mode, rows[i].offset, rows[i].len));
	errno = posix_fallocate(f, 0, PG);
	say_ok("posix_fallocate", errno ? -1 : 0);
}

static void fallocate_after(void)
{
	int vm = vm_new(0), f = gmem_need(vm, SIZE, 0);

	close(vm);
	say_ok("KEEP with the VM descriptor closed", fallocate(f, KEEP, 0, SIZE));
	say_ok("PUNCH with the VM descriptor closed", fallocate(f, PUNCH, 0, SIZE));
	f = gmem_need(vm_new(0), 1ULL << 62, 0);
	say_ok("KEEP one page of 2 to the 62", fallocate(f, KEEP, 1LL << 61, PG));
	say_ok("PUNCH all of 2 to the 62", fallocate(f, PUNCH, 0, 1LL << 62));
}

static const struct probe_case list[] = {
	{ "gmem-create", "creation", creation },
	{ "gmem-create-protected", "creation on a protected VM", creation_guarded },
	{ "gmem-file", "plain io", plain_io },
	{ "gmem-file", "seeking", seeking },
	{ "gmem-file", "changing", changing },
	{ "gmem-file", "control", control },
	{ "gmem-file", "status", status },
	{ "gmem-fallocate", "rows", fallocate_rows },
	{ "gmem-fallocate", "after", fallocate_after },
};

const struct probe_list cases_gmem = { list, COUNT(list) };
