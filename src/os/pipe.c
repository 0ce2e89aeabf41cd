/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "os/fail.h"
#include "os/format.h"
#include "os/os.h"
#include "os/sys.h"

#define PATH_SIZE 40

static long open_again(int fd, int flags)
{
	char path[PATH_SIZE];
	int err = os_fail(OS_FAIL_FD);

	if (err)
		return err;
	os_format(path, sizeof(path), "/proc/self/fd/%d", fd);
	return os_sys4(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, 0);
}

int os_pipe_id(int fd, struct os_pipe_id *id)
{
	struct stat st;
	long ret = os_sys2(SYS_fstat, fd, &st);

	if (ret)
		return (int)ret;
	if (!S_ISFIFO(st.st_mode))
		return -EINVAL;
	id->dev = st.st_dev;
	id->ino = st.st_ino;
	return 0;
}

int os_pipe_hold(int fd, int *own)
{
	long ret = open_again(fd, O_PATH);

	if (ret < 0)
		return (int)ret;
	*own = (int)ret;
	return os_fd_adopt(own);
}

int os_pipe_left(int own, uint64_t *bytes)
{
	long fd = open_again(own, O_RDONLY | O_NONBLOCK);
	int left = 0;
	long ret;

	if (fd < 0)
		return (int)fd;
	ret = os_sys3(SYS_ioctl, fd, FIONREAD, &left);
	os_sys1(SYS_close, fd);
	if (ret == 0)
		*bytes = (uint64_t)left;
	return (int)ret;
}

bool os_splice_copies(int fd)
{
	struct stat st;

	return os_sys2(SYS_fstat, fd, &st) == 0 && S_ISREG(st.st_mode);
}
