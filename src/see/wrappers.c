/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/wrappers.h"

#include <errno.h>
#include <fnmatch.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MAX_ADDED 32

/* QEMU, kvm_util.h, kvmtool, rust-vmm, crosvm; and libraries that are between a program and us. */
static const char *const known[] = {
	"ioctl",     "xioctl",	    "__ioctl",	    "kvm_ioctl",	"__kvm_ioctl",
	"vm_ioctl",  "__vm_ioctl",  "_vm_ioctl",    "kvm_vm_ioctl",	"vcpu_ioctl",
	"fd_ioctl",  "__fd_ioctl",  "__vcpu_ioctl", "_vcpu_ioctl",	"kvm_vcpu_ioctl",
	"ioctl_raw", "ioctl_retry", "ioctl_with_*", "kvm_device_ioctl",
};

static const char *added[MAX_ADDED];
static size_t nr_added;

int see_wrappers_add(const char *pattern)
{
	if (nr_added == MAX_ADDED)
		return -ENOSPC;
	added[nr_added++] = pattern;
	return 0;
}

/* Of "crate::of<T::U>::function<V>" the last name. */
static const char *without_scope(const char *function)
{
	const char *last = function;
	int depth = 0;

	for (const char *at = function; *at; at++) {
		depth += (*at == '<') - (*at == '>');
		if (!depth && at[0] == ':' && at[1] == ':')
			last = at + 2;
	}
	return last;
}

/* The compiler's copies have a dot, Rust's and C++'s kinds of one function a bracket. */
static bool matches_name(const char *pattern, const char *function)
{
	char name[256];

	snprintf(name, sizeof(name), "%s", function);
	if (name[0] != '.' && name[0] != '<')
		name[strcspn(name, ".<")] = 0;
	return fnmatch(pattern, name, 0) == 0;
}

static bool matches_function(const char *pattern, const char *function)
{
	return function &&
	       (matches_name(pattern, function) || matches_name(pattern, without_scope(function)));
}

static bool matches_file(const char *pattern, const char *file)
{
	for (const char *at = file; at; at = strchr(at, '/')) {
		at += *at == '/';
		if (fnmatch(pattern, at, FNM_PATHNAME) == 0)
			return true;
	}
	return file && fnmatch(pattern, file, FNM_PATHNAME) == 0;
}

bool see_is_wrapper(const char *function, const char *file)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (matches_function(known[i], function))
			return true;
	}
	for (size_t i = 0; i < nr_added; i++) {
		if (matches_function(added[i], function) || matches_file(added[i], file))
			return true;
	}
	return false;
}
