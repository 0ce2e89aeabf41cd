/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who this process is, and the eventfds it lends us. */
#include "os/format.h"
#include "os/os.h"
#include "os/process.h"
#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>

uint32_t os_fs_uid(void)
{
	return (uint32_t)os_sys1(SYS_setfsuid, -1);
}

uint32_t os_fs_gid(void)
{
	return (uint32_t)os_sys1(SYS_setfsgid, -1);
}

uint32_t os_nr_cpus(void)
{
	uint64_t mask[128] = { 0 };
	long size = os_sys3(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	uint32_t nr = 0;

	for (long i = 0; i < size / 8; i++)
		nr += (uint32_t)__builtin_popcountll(mask[i]);
	return nr ? nr : 1;
}

static bool has_capability(unsigned int nr)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !os_sys2(SYS_capget, &head, data) && data[nr / 32].effective >> nr % 32 & 1;
}

uint64_t os_memlock_limit(void)
{
	struct rlimit64 limit;

	if (has_capability(CAP_IPC_LOCK) || os_sys4(SYS_prlimit64, 0, RLIMIT_MEMLOCK, NULL, &limit))
		return UINT64_MAX;
	return limit.rlim_cur;
}

uint64_t os_file_limit(void)
{
	struct rlimit64 limit;

	if (os_sys4(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit))
		return UINT64_MAX;
	return limit.rlim_cur;
}

/* /proc names an eventfd by what it is; its inode is shared by all anonymous ones, so the key is the id
 * that its fdinfo tells. */
static bool is_eventfd(int fd)
{
	static const char want[] = "anon_inode:[eventfd]";
	char path[40], text[sizeof(want)];
	long n;

	os_format(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = os_sys4(SYS_readlinkat, AT_FDCWD, path, text, sizeof(text));
	return n == sizeof(want) - 1 && !__builtin_memcmp(text, want, sizeof(want) - 1);
}

static uint64_t eventfd_id(int fd)
{
	static const char name[] = "eventfd-id:";
	char path[40], text[256];
	uint64_t id = 0;
	long i, n;
	int info;

	os_format(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = (int)os_sys4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (info < 0)
		return 0;
	n = os_sys3(SYS_read, info, text, sizeof(text) - 1);
	os_sys1(SYS_close, info);
	for (i = 0; i + (long)sizeof(name) < n; i++) {
		if (__builtin_memcmp(text + i, name, sizeof(name) - 1))
			continue;
		for (i += sizeof(name) - 1; i < n && (text[i] == ' ' || text[i] == '\t'); i++)
			;
		for (; i < n && text[i] >= '0' && text[i] <= '9'; i++)
			id = id * 10 + (uint64_t)(text[i] - '0');
		break;
	}
	return id;
}

int os_eventfd_hold(int fd, int *own, uint64_t *key)
{
	if (os_sys2(SYS_fcntl, fd, F_GETFD) < 0)
		return -EBADF;
	if (!is_eventfd(fd))
		return -EINVAL;
	*key = eventfd_id(fd);
	*own = (int)os_sys3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
	return *own < 0 ? *own : os_fd_adopt(own);
}
