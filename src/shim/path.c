/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "obs/rules.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/spare.h"
#include "shim/fdname.h"
#include "shim/fdtable.h"
#include "shim/shim.h"

#define NAME_MAX_OURS 80
#define MODULE "/sys/module/kvm"
#define PARAMETERS MODULE "/parameters"

/* What a 7.2 kernel on a machine with two-dimensional paging says. */
static const struct {
	const char *name, *text;
} parameters[] = {
	{ "eager_page_split", "Y\n" },
	{ "enable_pmu", "N\n" },
	{ "enable_vmware_backdoor", "N\n" },
	{ "flush_on_reuse", "N\n" },
	{ "force_emulation_prefix", "0\n" },
	{ "halt_poll_ns", "200000\n" },
	{ "halt_poll_ns_grow", "2\n" },
	{ "halt_poll_ns_grow_start", "10000\n" },
	{ "halt_poll_ns_shrink", "0\n" },
	{ "ignore_msrs", "N\n" },
	{ "kvmclock_periodic_sync", "Y\n" },
	{ "min_timer_period_us", "200\n" },
	{ "mitigate_smt_rsb", "N\n" },
	{ "nx_huge_pages", "N\n" },
	{ "nx_huge_pages_recovery_period_ms", "0\n" },
	{ "nx_huge_pages_recovery_ratio", "60\n" },
	{ "pi_inject_timer", "0\n" },
	{ "report_ignored_msrs", "Y\n" },
	{ "tdp_mmu", "Y\n" },
	{ "tsc_tolerance_ppm", "250\n" },
	{ "vector_hashing", "Y\n" },
};

/* ---- names ------------------------------------------------------------------------------- */

/*
 * The program's name for a file, which may be anywhere, also in memory that it has no right to
 * touch: then the kernel shall say EFAULT. False for that, and for a name too long to be ours.
 */
static bool copy_name(const char *name, char out[NAME_MAX_OURS])
{
	uint64_t at = (uintptr_t)name;
	size_t n = 0;

	while (n < NAME_MAX_OURS) {
		/* The next page may not be there when the name ends before it. */
		size_t part = OS_PAGE_SIZE - (at + n) % OS_PAGE_SIZE;

		if (part > NAME_MAX_OURS - n)
			part = NAME_MAX_OURS - n;
		if (os_copy_in(out + n, at + n, part))
			return false;
		if (memchr(out + n, '\0', part))
			return true;
		n += part;
	}
	return false;
}

/* "//dev/./kvm" to "/dev/kvm". False when it is too long to be ours. ".." is left alone. */
static bool fold(const char *name, char *out)
{
	size_t n = 0;

	while (*name) {
		if (*name == '/' && name[1] == '/') {
			name++;
		} else if (*name == '/' && name[1] == '.' && (name[2] == '/' || !name[2])) {
			name += 2;
		} else {
			if (n + 1 >= NAME_MAX_OURS)
				return false;
			out[n++] = *name++;
		}
	}
	out[n] = '\0';
	return true;
}

/* Nearly every name ends here. */
static bool cannot_be_ours(const char *name)
{
	if (name[0] != '/')
		return !strstr(name, "kvm") && !strstr(name, "fd/");
	while (name[1] == '/')
		name++;
	return strncmp(name, "/dev", 4) && strncmp(name, "/sys", 4) && strncmp(name, "/proc", 5) &&
	       strncmp(name, "/./", 3);
}

/* The directory of a relative name, from the kernel. */
static bool make_absolute(int dirfd, const char *name, char *out)
{
	char link[FDNAME_MAX];
	size_t size = strlen(name);
	long n;

	if (dirfd == AT_FDCWD) {
		n = os_sys4(SYS_readlinkat, AT_FDCWD, "/proc/self/cwd", out, NAME_MAX_OURS);
	} else {
		fdname_of(dirfd, link);
		n = os_sys4(SYS_readlinkat, AT_FDCWD, link, out, NAME_MAX_OURS);
	}
	if (n <= 0 || (size_t)n + size + 2 > NAME_MAX_OURS)
		return false;
	out[n] = '/';
	memcpy(out + n + 1, name, size + 1);
	return true;
}

static enum path_kind look_up_parameter(const char *name, struct path *p)
{
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		if (strcmp(parameters[i].name, name))
			continue;
		p->text = parameters[i].text;
		return PATH_PARAMETER;
	}
	return PATH_NOTHING;
}

static enum path_kind look_up_module(const char *name, struct path *p)
{
	static const char prefix[] = PARAMETERS "/";

	if (strcmp(name, MODULE) == 0 || strcmp(name, PARAMETERS) == 0)
		return PATH_MODULE;
	if (strncmp(name, prefix, sizeof(prefix) - 1) == 0)
		return look_up_parameter(name + sizeof(prefix) - 1, p);
	/* The rest of the module's directory is the host's, if it has one. */
	return PATH_OTHER;
}

static enum path_kind look_up_descriptor(const char *name, struct path *p)
{
	p->fd = fdname_parse(name);
	if (p->fd < 0 || !fdtable_peek(p->fd))
		return PATH_OTHER;
	p->handle = fdtable_get_slow(p->fd);
	return p->handle ? PATH_DESCRIPTOR : PATH_OTHER;
}

static enum path_kind look_up_absolute(const char *name, struct path *p)
{
	if (strcmp(name, "/dev/kvm") == 0)
		return PATH_KVM;
	if (strncmp(name, MODULE, sizeof(MODULE) - 1) == 0)
		return look_up_module(name, p);
	if (strncmp(name, "/proc", 5) == 0 || strncmp(name, "/dev/fd", 7) == 0)
		return look_up_descriptor(name, p);
	return PATH_OTHER;
}

static enum path_kind look_up(int dirfd, const char *name, struct path *p)
{
	char absolute[2 * NAME_MAX_OURS], folded[NAME_MAX_OURS];

	if (name[0] != '/') {
		if (!make_absolute(dirfd, name, absolute))
			return PATH_OTHER;
		name = absolute;
	}
	return fold(name, folded) ? look_up_absolute(folded, p) : PATH_OTHER;
}

enum path_kind path_look_up(int dirfd, const char *name, struct path *p)
{
	char copy[NAME_MAX_OURS];

	p->kind = PATH_OTHER;
	p->handle = NULL;
	shim_enter();
	if (copy_name(name, copy) && !cannot_be_ours(copy))
		p->kind = look_up(dirfd, copy, p);
	if (p->kind == PATH_OTHER)
		shim_leave();
	return p->kind;
}

void path_put(struct path *p)
{
	if (p->kind == PATH_OTHER)
		return;
	if (p->handle)
		handle_put(p->handle);
	shim_leave();
}

/* ---- stat, access, readlink -------------------------------------------------------------- */

void path_stat_device(struct stat *st)
{
	struct stat dev = { 0 };

	os_sys2(SYS_stat, "/dev", &dev);
	memset(st, 0, sizeof(*st));
	st->st_dev = dev.st_dev;
	st->st_ino = PATH_KVM_MINOR;
	st->st_mode = S_IFCHR | 0666;
	st->st_nlink = 1;
	st->st_rdev = makedev(PATH_KVM_MAJOR, PATH_KVM_MINOR);
	st->st_blksize = 4096;
	st->st_atim = st->st_mtim = st->st_ctim = dev.st_ctim;
}

static void stat_sysfs(struct stat *st, bool directory)
{
	struct stat module = { 0 };

	os_sys2(SYS_stat, "/sys/module", &module);
	*st = module;
	st->st_ino = module.st_ino + 1;
	st->st_mode = directory ? S_IFDIR | 0755 : S_IFREG | 0444;
	st->st_nlink = directory ? 2 : 1;
	st->st_size = directory ? 0 : 4096;
}

/* Declared in ops.h, which needs this file's. */
void op_stat(struct handle *h, struct stat *st);

int path_stat(const struct path *p, struct stat *st)
{
	switch (p->kind) {
	case PATH_KVM:
		path_stat_device(st);
		return 0;
	case PATH_MODULE:
	case PATH_PARAMETER:
		stat_sysfs(st, p->kind == PATH_MODULE);
		return 0;
	case PATH_DESCRIPTOR:
		op_stat(p->handle, st);
		return 0;
	default:
		return -ENOENT;
	}
}

int path_access(const struct path *p, int mode)
{
	if (mode & ~(R_OK | W_OK | X_OK))
		return -EINVAL;
	switch (p->kind) {
	case PATH_NOTHING:
		return -ENOENT;
	case PATH_MODULE:
		return mode & W_OK && os_sys0(SYS_geteuid) ? -EACCES : 0;
	case PATH_PARAMETER:
		return mode & (W_OK | X_OK) ? -EACCES : 0;
	default:
		return mode & X_OK ? -EACCES : 0;
	}
}

long path_readlink(const struct path *p, char *text, uint64_t size)
{
	char link[64];
	size_t n;

	if (p->kind == PATH_NOTHING)
		return -ENOENT;
	if (p->kind != PATH_DESCRIPTOR || !size)
		return -EINVAL;
	kvm_object_link(p->handle->object, link, sizeof(link));
	n = strlen(link);
	n = n < size ? n : size;
	return os_copy_out((uintptr_t)text, link, n) ? -EFAULT : (long)n;
}

/* ---- open -------------------------------------------------------------------------------- */

/* A handle for /dev/kvm, open at a number. */
static int make_kvm(int flags, struct handle **out, int *fd)
{
	struct kvm_object *o;
	int ret = kvm_open(&o);

	if (ret)
		return ret;
	ret = handle_create(flags & O_CLOEXEC, NULL, out, fd);
	if (ret) {
		kvm_object_put(o);
		return ret;
	}
	(*out)->open_flags = flags & O_ACCMODE;
	(*out)->object = o;
	return 0;
}

static long open_kvm(int flags)
{
	int status = flags & (O_APPEND | O_NONBLOCK | O_NOATIME);
	struct handle *h;
	int fd, ret;

	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	ret = make_kvm(flags, &h, &fd);
	if (ret)
		return ret;
	if (status)
		os_sys3(SYS_fcntl, fd, F_SETFL, status);
	ret = fdtable_set(fd, h);
	if (ret == 0)
		return fd;
	os_sys1(SYS_close, fd);
	handle_abandon(h);
	return ret;
}

int path_open_kvm_at(int fd, bool cloexec)
{
	long mode = os_sys3(SYS_fcntl, fd, F_GETFL, 0);
	struct handle *h;
	int temporary, ret;
	long to;

	shim_enter();
	ret = make_kvm((int)(mode & O_ACCMODE) | (cloexec ? O_CLOEXEC : 0), &h, &temporary);
	if (ret == 0) {
		to = os_sys3(SYS_dup3, temporary, fd, cloexec ? O_CLOEXEC : 0);
		os_sys1(SYS_close, temporary);
		ret = to < 0 ? (int)to : fdtable_set(fd, h);
		if (ret)
			handle_abandon(h);
	}
	shim_leave();
	return ret;
}

/* A file in memory that can be read only. */
static long open_text(const char *text, int flags)
{
	int fd, err;

	if ((flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	err = os_memfd_for_program("kvm-parameter", false, flags & O_CLOEXEC, &fd);
	if (err)
		return err;
	os_sys4(SYS_pwrite64, fd, text, strlen(text), 0);
	os_memfd_seal(fd);
	fdtable_fresh(fd);
	return fd;
}

/* The host has the directory, or an empty one stands for it. */
static long open_directory(int flags)
{
	long fd = os_sys4(SYS_openat, AT_FDCWD, PARAMETERS, flags, 0);

	return fd == -ENOENT ? os_sys4(SYS_openat, AT_FDCWD, "/sys/module", flags, 0) : fd;
}

long path_open(const struct path *p, int flags)
{
	switch (p->kind) {
	case PATH_KVM:
		if (flags & O_PATH)
			return os_sys4(SYS_openat, AT_FDCWD, "/dev/null", flags, 0);
		return open_kvm(flags);
	case PATH_PARAMETER:
		return open_text(p->text, flags);
	case PATH_MODULE:
		return open_directory(flags);
	case PATH_DESCRIPTOR:
		/* A file without a way to be opened anew, or the device again. */
		if (flags & O_PATH)
			return os_sys1(SYS_dup, p->fd);
		if (((struct kvm_object *)p->handle->object)->type == KVM_OBJECT_SYSTEM)
			return open_kvm(flags);
		return obs_refuse(RULE_FILE_NO_REOPEN);
	default:
		return flags & O_CREAT ? -EACCES : -ENOENT;
	}
}
