/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The names that are answered, in all their forms, and the ones beside them that are not. */
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "t.h"

/* The simulated one offers private memory, which the host's has on hardware of a few kinds only. */
static bool opens_kvm(int fd)
{
	bool is = fd >= 0 && ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES) == 8;

	if (fd >= 0)
		close(fd);
	return is;
}

static void every_way_to_open(void)
{
	int dev = open("/dev", O_RDONLY | O_DIRECTORY);
	FILE *stream;
	char name[64];

	CHECK(opens_kvm(open("/dev/kvm", O_RDONLY)));
	CHECK(opens_kvm(open64("/dev/kvm", O_RDWR)));
	CHECK(opens_kvm(open("//dev/./kvm", O_RDWR)));
	CHECK(opens_kvm(openat(AT_FDCWD, "/dev/kvm", O_RDWR)));
	CHECK(opens_kvm(openat(dev, "kvm", O_RDWR)));
	CHECK(opens_kvm(openat64(dev, "./kvm", O_RDWR)));
	CHECK(chdir("/dev") == 0);
	CHECK(opens_kvm(open("kvm", O_RDWR)));
	CHECK(chdir("/") == 0);
	CHECK(opens_kvm(open("dev/kvm", O_RDWR)));
	stream = fopen("/dev/kvm", "r+");
	CHECK(stream && ioctl(fileno(stream), KVM_GET_API_VERSION, 0) == 12);
	fclose(stream);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", open_kvm());
	CHECK(opens_kvm(open(name, O_RDWR)));
	FAILS(open("/dev/kvm", O_RDWR | O_DIRECTORY), ENOTDIR);
	FAILS(open("/dev/kvm", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
	FAILS(open("/dev/kvmm", O_RDWR), ENOENT);
	FAILS(open("/dev/kvm/x", O_RDWR), errno == ENOTDIR ? ENOTDIR : ENOENT);
	close(dev);
}

/* Another name of the host's device, where it has one, is ours at the first request. */
static void another_name_is_ours_too(void)
{
	int fd;

	unlink("/tmp/gmem-test-kvm");
	CHECK(symlink("/dev/kvm", "/tmp/gmem-test-kvm") == 0);
	fd = open("/tmp/gmem-test-kvm", O_RDWR);
	unlink("/tmp/gmem-test-kvm");
	CHECK(fd < 0 || opens_kvm(fd));
}

static void stat_and_access(void)
{
	struct stat st, fst;
	struct statx x;
	int kvm = open_kvm();

	CHECK(stat("/dev/kvm", &st) == 0);
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == makedev(10, 232));
	CHECK(lstat("/dev/kvm", &st) == 0);
	CHECK(fstatat(AT_FDCWD, "/dev/kvm", &st, 0) == 0);
	CHECK(fstat(kvm, &fst) == 0);
	CHECK(fst.st_ino == st.st_ino && fst.st_dev == st.st_dev && fst.st_rdev == st.st_rdev);
	CHECK(statx(AT_FDCWD, "/dev/kvm", 0, STATX_BASIC_STATS, &x) == 0);
	CHECK(x.stx_rdev_major == 10 && x.stx_rdev_minor == 232);
	CHECK(statx(kvm, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x) == 0 && x.stx_ino == st.st_ino);
	CHECK(access("/dev/kvm", R_OK | W_OK) == 0);
	CHECK(faccessat(AT_FDCWD, "/dev/kvm", R_OK | W_OK, AT_EACCESS) == 0);
	CHECK(euidaccess("/dev/kvm", R_OK | W_OK) == 0);
	FAILS(access("/dev/kvm", X_OK), EACCES);
	FAILS(stat("/dev/kvm", (struct stat *)16), EFAULT);
	close(kvm);
}

static void module_parameters(void)
{
	static const char name[] = "/sys/module/kvm/parameters/force_emulation_prefix";
	char text[18];
	struct stat st;
	FILE *stream;
	int fd = open(name, O_RDONLY);

	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text)) == 2 && memcmp(text, "0\n", 2) == 0);
	CHECK(read(fd, text, sizeof(text)) == 0);
	CHECK(write(fd, "1", 1) == -1);
	close(fd);
	stream = fopen(name, "r");
	CHECK(stream && fgets(text, sizeof(text), stream) && strcmp(text, "0\n") == 0);
	fclose(stream);
	CHECK(stat(name, &st) == 0 && S_ISREG(st.st_mode));
	CHECK(stat("/sys/module/kvm", &st) == 0 && S_ISDIR(st.st_mode));
	CHECK(access("/sys/module/kvm/parameters", R_OK | X_OK) == 0);
	FAILS(open("/sys/module/kvm/parameters/no_such", O_RDONLY), ENOENT);
	FAILS(stat("/sys/module/kvm/parameters/no_such", &st), ENOENT);
	FAILS(open(name, O_RDWR), EACCES);
}

static void links_of_descriptors(void)
{
	int vm = make_vm(0), gmem = make_gmem(vm, PAGE, 3), vcpu = ioctl(vm, KVM_CREATE_VCPU, 3);
	char name[64], text[64] = "";
	struct stat a, b;
	struct statfs fs;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", vcpu);
	CHECK(readlink(name, text, sizeof(text)) == 21);
	CHECK(memcmp(text, "anon_inode:kvm-vcpu:3", 21) == 0);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", vm);
	CHECK(readlink(name, text, 5) == 5 && memcmp(text, "anon_", 5) == 0);
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", getpid(), gmem);
	CHECK(readlink(name, text, sizeof(text)) == 21);
	CHECK(memcmp(text, "/[kvm-gmem] (deleted)", 21) == 0);
	CHECK(stat(name, &a) == 0 && fstat(gmem, &b) == 0 && a.st_ino == b.st_ino);
	CHECK(a.st_size == (long)PAGE && a.st_mode == (S_IFREG | 0600));
	FAILS(open(name, O_RDWR), ENXIO);
	FAILS(truncate(name, 0), EINVAL);
	CHECK(fstatfs(gmem, &fs) == 0 && fs.f_type == 0x474d454d);
	CHECK(fs.f_flags & 0x20); /* f_flags mean something */
	close(vcpu);
	close(gmem);
	close(vm);
}

int main(void)
{
	every_way_to_open();
	another_name_is_ours_too();
	stat_and_access();
	module_parameters();
	links_of_descriptors();
	return 0;
}
