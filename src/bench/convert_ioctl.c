/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The KVM interface's way to convert. */
#include "bench/convert.h"

#include <errno.h>
#include <fcntl.h>
#include <gmem/uapi.h>
#include <gmem/uapi_nr.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOWHERE ((void *)((uintptr_t)1 << 45))

struct kvm_fds {
	int kvm, vm, gmem;
};

static struct kvm_fds fds;

static int create_gmem(uint64_t size, bool is_private)
{
	struct kvm_create_guest_memfd args = {
		.size = size,
		.flags = GUEST_MEMFD_FLAG_MMAP | (is_private ? 0 : GUEST_MEMFD_FLAG_INIT_SHARED)
	};

	fds.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fds.kvm < 0)
		return -errno;
	fds.vm = ioctl(fds.kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	if (fds.vm < 0)
		return -errno;
	fds.gmem = ioctl(fds.vm, KVM_CREATE_GUEST_MEMFD, &args);
	return fds.gmem < 0 ? -errno : 0;
}

static int ioctl_open(struct convert_way *w, const struct convert_row *row, uint64_t size)
{
	int err;

	fds = (struct kvm_fds){ -1, -1, -1 };
	err = create_gmem(size, row->moves);
	if (err)
		return row->moves ? -EOPNOTSUPP : err;
	w->size = size;
	/* Where gmem has huge pages, they are made when many pages are asked for at a time. */
	if ((row->huge || row->moves) && fallocate(fds.gmem, FALLOC_FL_KEEP_SIZE, 0, (off_t)size))
		return -errno;
	w->window = mmap(NOWHERE, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
			 fds.gmem, 0);
	return w->window == MAP_FAILED ? -errno : 0;
}

static int ioctl_convert(struct convert_way *w, uint64_t offset, uint64_t size, bool to_private)
{
	struct kvm_memory_attributes2 args = { .offset = offset,
					       .size = size,
					       .attributes = to_private
								     ? KVM_MEMORY_ATTRIBUTE_PRIVATE
								     : 0 };

	return ioctl(fds.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &args) ? -errno : 0;
}

static void ioctl_close(struct convert_way *w)
{
	munmap(w->window, w->size);
	close(fds.gmem);
	close(fds.vm);
	close(fds.kvm);
}

struct convert_way convert_ioctl = {
	.open = ioctl_open,
	.convert = ioctl_convert,
	.close = ioctl_close,
};
