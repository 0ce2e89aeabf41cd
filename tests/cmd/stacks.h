/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A wrapper of ioctl() in a library that has no debug information. */
#ifndef STACKS_H
#define STACKS_H

__attribute__((visibility("default"))) int library_ioctl(int fd, unsigned long request, void *arg);

#endif
