/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "bench/guest_file.h"
#include "gmem.h"

#include <errno.h>
#include <fcntl.h>
#include <gmem/uapi.h>
#include <gmem/uapi_nr.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int fd = -1, kvm = -1, vm = -1;
static struct gmem *file;

static int map_descriptor(uint64_t size, char **out)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return -errno;
	*out = at;
	return 0;
}

static int unmap_plainly(char *at, uint64_t size)
{
	return munmap(at, size) ? -errno : 0;
}

static int advise_plainly(char *at, uint64_t size, int advice)
{
	return madvise(at, size, advice) ? -errno : 0;
}

static int punch_descriptor(uint64_t offset, uint64_t size)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return fallocate(fd, mode, (off_t)offset, (off_t)size) ? -errno : 0;
}

static int allocate_descriptor(uint64_t offset, uint64_t size)
{
	return fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) ? -errno : 0;
}

/* ---- a plain memfd ---- */

static int memfd_open(struct bench_run *r, uint64_t size)
{
	fd = memfd_create("bench", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size))
		return bench_refuse(r, -errno, "memfd: %s", strerror(errno));
	return 0;
}

static void memfd_close(void)
{
	close(fd);
}

const struct guest_file guest_file_memfd = {
	.open = memfd_open,
	.close = memfd_close,
	.punch = punch_descriptor,
	.allocate = allocate_descriptor,
	.map = map_descriptor,
	.unmap = unmap_plainly,
	.advise = advise_plainly,
};

/* ---- a guest_memfd ---- */

static void kvm_close(void)
{
	int *const fds[] = { &fd, &vm, &kvm };

	for (int i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static int refuse(struct bench_run *r, const char *what)
{
	bench_refuse(r, 0, "%s: %s", what, strerror(errno));
	kvm_close();
	return -EOPNOTSUPP;
}

/* What every VM type may have, and the host may map. */
static int kvm_open(struct bench_run *r, uint64_t size)
{
	struct kvm_create_guest_memfd args = {
		.size = size, .flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED
	};

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return refuse(r, "/dev/kvm");
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (vm < 0)
		return refuse(r, "KVM_CREATE_VM");
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
	if (fd < 0)
		return refuse(r, "a guest_memfd that can be mapped");
	return 0;
}

const struct guest_file guest_file_kvm = {
	.open = kvm_open,
	.close = kvm_close,
	.punch = punch_descriptor,
	.allocate = allocate_descriptor,
	.map = map_descriptor,
	.unmap = unmap_plainly,
	.advise = advise_plainly,
};

/* ---- the library ---- */

static int library_open(struct bench_run *r, uint64_t size)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = GMEM_MMAP | GMEM_INIT_SHARED,
					 .size = size };
	int err = gmem_create(&args, &file);

	return err ? bench_refuse(r, err, "gmem_create(): %s", strerror(-err)) : 0;
}

static void library_close(void)
{
	gmem_put(file);
}

static int library_punch(uint64_t offset, uint64_t size)
{
	return gmem_punch(file, offset, size);
}

static int library_allocate(uint64_t offset, uint64_t size)
{
	return gmem_allocate(file, offset, size);
}

static int library_map(uint64_t size, char **out)
{
	struct gmem_map_args args = { .args_size = sizeof(args),
				      .prot = PROT_READ | PROT_WRITE,
				      .size = size };
	void *at;
	int err = gmem_map(file, &args, &at);

	if (!err)
		*out = at;
	return err;
}

static int library_unmap(char *at, uint64_t size)
{
	return gmem_unmap(at, size);
}

static int library_advise(char *at, uint64_t size, int advice)
{
	return gmem_advise(at, size, advice);
}

const struct guest_file guest_file_library = {
	.open = library_open,
	.close = library_close,
	.punch = library_punch,
	.allocate = library_allocate,
	.map = library_map,
	.unmap = library_unmap,
	.advise = library_advise,
};
