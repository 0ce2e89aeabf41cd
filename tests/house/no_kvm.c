/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * `make check` promises that no test can use the host's KVM. This one asks the kernel itself, by
 * raw system calls and under no gmem, for every way to that device.
 */
#include "os/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static bool opens(const char *path, int flags)
{
	long fd = os_sys4(SYS_openat, AT_FDCWD, path, flags, 0);

	printf("openat(%s, 0x%x) = %ld\n", path, (unsigned int)flags, fd);
	if (fd < 0)
		return false;
	os_sys1(SYS_close, fd);
	return true;
}

int main(void)
{
	if (!getenv("GMEM_CHECK")) {
		puts("not run by `make check`, which is what hides /dev/kvm");
		return 77;
	}
	return opens("/dev/kvm", O_RDWR) || opens("/dev/kvm", O_RDONLY) ||
	       opens("/dev/kvm", O_WRONLY) || opens("/proc/self/root/dev/kvm", O_RDWR);
}
