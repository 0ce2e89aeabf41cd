/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* fdname: "/proc/self/fd/N", the name under which the kernel shows a descriptor. Pure functions. */
#ifndef GMEM_SHIM_FDNAME_H
#define GMEM_SHIM_FDNAME_H

#define FDNAME_MAX 32

void fdname_of(int fd, char name[FDNAME_MAX]);
/* The N of a name of this process' descriptor, however written ("/proc/self/fd/N",
 * "/proc/<our pid>/fd/N", "/dev/fd/N"); -1: another name. */
int fdname_parse(const char *name);

#endif
