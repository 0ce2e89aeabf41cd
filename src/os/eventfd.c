/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Eventfds of the program, that it lends us. */
#include <errno.h>
#include <fcntl.h>

#include "os/format.h"
#include "os/os.h"
#include "os/process.h"
#include "os/sys.h"

/* All of /proc/self/fdinfo/N, as far as it fits; ended by a zero. */
static int fdinfo_read(int fd, char *buf, size_t size)
{
	char path[48];
	long info, nr;

	os_format(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = os_sys4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (info < 0)
		return (int)info;
	nr = os_sys3(SYS_read, info, buf, size - 1);
	os_sys1(SYS_close, info);
	if (nr < 0)
		return (int)nr;
	buf[nr] = 0;
	return 0;
}

/* The number after a line's name; false when there is no such line. */
static bool find_number(const char *text, const char *name, uint64_t *value)
{
	size_t i;

	for (; *text; text++) {
		for (i = 0; name[i] && text[i] == name[i]; i++)
			;
		if (!name[i])
			break;
	}
	if (!*text)
		return false;
	for (text += i; *text == ' ' || *text == '\t'; text++)
		;
	for (*value = 0; *text >= '0' && *text <= '9'; text++)
		*value = *value * 10 + (uint64_t)(*text - '0');
	return true;
}

int os_eventfd_hold(int fd, int *own, uint64_t *key)
{
	char info[512];
	long copy = os_sys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);
	int err;

	if (copy < 0)
		return (int)copy;
	/* The copy is asked, not fd, which the program may close and open again meanwhile. All eventfds
	 * share one inode; the id tells them apart. */
	err = fdinfo_read((int)copy, info, sizeof(info));
	if (!err && !find_number(info, "eventfd-id:", key))
		err = -EINVAL;
	if (err) {
		os_sys1(SYS_close, copy);
		return err;
	}
	*own = (int)copy;
	return os_fd_adopt(own);
}
