/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * path: names that are ours: /dev/kvm, /sys/module/kvm with its parameters, and the kernel's names
 * for descriptors of ours (/proc/self/fd/N). They answer whether or not the host has them.
 *
 * A name is compared by its text, after "//" and "/./" are folded; relative names are looked at
 * only when their last part can be ours, so that other calls pay a few byte compares. Another name
 * of the same device (a symlink) opens the host's and is taken over at the first ioctl
 * (calls_fd.c).
 */
#ifndef GMEM_SHIM_PATH_H
#define GMEM_SHIM_PATH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "shim/handle.h"

#define PATH_KVM_MAJOR 10
#define PATH_KVM_MINOR 232

enum path_kind {
	PATH_OTHER,
	PATH_KVM,	 /* /dev/kvm */
	PATH_MODULE,	 /* /sys/module/kvm or its parameters: a directory */
	PATH_PARAMETER,	 /* a file in there that exists */
	PATH_NOTHING,	 /* a name in there that does not */
	PATH_DESCRIPTOR, /* of ours */
};

struct path {
	enum path_kind kind;
	const char *text;      /* PATH_PARAMETER: its contents */
	struct handle *handle; /* PATH_DESCRIPTOR: counted; path_put() */
	int fd;
};

/* What (dirfd, name) is to us. Everything but PATH_OTHER has entered the shim: path_put() leaves.
 */
enum path_kind path_look_up(int dirfd, const char *name, struct path *p);
void path_put(struct path *p);

/* stat of what is not PATH_OTHER; -ENOENT for PATH_NOTHING. */
int path_stat(const struct path *p, struct stat *st);
void path_stat_device(struct stat *st);
/* A descriptor for what is not PATH_OTHER, or -errno. */
long path_open(const struct path *p, int flags);
int path_access(const struct path *p, int mode);
/* -EINVAL when it is no link. */
long path_readlink(const struct path *p, char *text, uint64_t size);

/* Makes number fd, which is open, a descriptor of /dev/kvm of ours. */
int path_open_kvm_at(int fd, bool cloexec);

#endif
