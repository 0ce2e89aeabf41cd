/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A program whose ioctls go through wrappers in another file. */
#ifndef WRAPPED_H
#define WRAPPED_H

int vm_ioctl(int fd, unsigned long request, void *arg);
int our_own_call(int fd, unsigned long request, void *arg);

#endif
