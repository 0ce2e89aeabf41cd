/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "os/fail.h"
#include "os/os.h"
#include "os/sys.h"

int os_disk_size(int fd, bool to_write, uint64_t *size)
{
	long mode = os_sys3(SYS_fcntl, fd, F_GETFL, 0) & O_ACCMODE;
	struct stat st;

	*size = 0;
	if (os_sys2(SYS_fstat, fd, &st) || !S_ISREG(st.st_mode))
		return -EBADF;
	if (mode != O_RDWR && (to_write || mode != O_RDONLY))
		return -EBADF;
	*size = (uint64_t)st.st_size;
	return 0;
}

int os_disk_read(int fd, uint64_t offset, void *data, uint64_t size)
{
	int err = os_fail(OS_FAIL_DISK);

	if (err)
		return err;
	for (uint64_t done = 0; done < size;) {
		long ret =
			os_sys4(SYS_pread64, fd, (char *)data + done, size - done, offset + done);

		if (ret == -EINTR)
			continue;
		if (ret <= 0)
			return ret ? (int)ret : -ENODATA;
		done += (uint64_t)ret;
	}
	return 0;
}

int os_disk_write(int fd, uint64_t offset, const void *data, uint64_t size)
{
	int err = os_fail(OS_FAIL_DISK);

	if (err)
		return err;
	for (uint64_t done = 0; done < size;) {
		long ret = os_sys4(SYS_pwrite64, fd, (const char *)data + done, size - done,
				   offset + done);

		if (ret == -EINTR)
			continue;
		if (ret <= 0)
			return ret ? (int)ret : -EIO;
		done += (uint64_t)ret;
	}
	return 0;
}

int os_disk_sync(int fd)
{
	int err = os_fail(OS_FAIL_DISK);

	return err ? err : (int)os_sys1(SYS_fsync, fd);
}
