/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/process.h"

#include "os/sys.h"

/* An id that is not valid changes nothing; the answer is always the old one. */
uint32_t os_fs_uid(void)
{
	return (uint32_t)os_sys1(SYS_setfsuid, -1);
}

uint32_t os_fs_gid(void)
{
	return (uint32_t)os_sys1(SYS_setfsgid, -1);
}
