/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * elf_reach: can a preloaded library reach this program?
 *
 * LD_PRELOAD is a request to the dynamic loader of glibc. A static program has no loader, a
 * set-user-ID program's loader ignores the request, a 32-bit program's or another libc's loader
 * cannot load our library, and a Go program makes its system calls past libc. Each of them would
 * find the host's own /dev/kvm without a word, so neither `gmem run` nor an exec() under gmem starts
 * one.
 *
 * Raw system calls, a few hundred bytes of stack, no allocation, errno untouched: good in a signal
 * handler and in the child of vfork().
 */
#ifndef GMEM_SHIM_ELF_REACH_H
#define GMEM_SHIM_ELF_REACH_H

enum elf_reach_why {
	ELF_REACH_OK,
	ELF_REACH_STATIC,     /* no program interpreter */
	ELF_REACH_SETID,      /* the loader would run in secure mode */
	ELF_REACH_CAPS,	      /* the same, by file capabilities */
	ELF_REACH_32BIT,      /* i386 or x32 */
	ELF_REACH_MACHINE,    /* another processor, by way of an emulator of the host */
	ELF_REACH_LOADER,     /* another libc's loader */
	ELF_REACH_GO,	      /* makes system calls without libc */
	ELF_REACH_UNREADABLE, /* may be run but not read, so it cannot be known */
	ELF_REACH_LIBRARY,    /* our library is not there in this root directory */
};

#define ELF_REACH_INTERP_MAX 256 /* the kernel reads no longer first line of a script */

struct elf_reach {
	enum elf_reach_why why;
	/* The file that is out of reach when it is not the program itself: the interpreter of a
	 * script. Else empty. */
	char interp[ELF_REACH_INTERP_MAX];
};

/*
 * Looks at the file execveat(dirfd, path, ..., flags) would run; flags are AT_EMPTY_PATH and
 * AT_SYMLINK_NOFOLLOW. library is the path that LD_PRELOAD will name.
 *
 * 0: found and judged, see r->why. -errno: the exec would fail with this, or (-ENOEXEC) the file is
 * in no format that we know: then it must not be handed to the kernel, which might have a handler
 * for it, but -ENOEXEC told to the caller, who may try a shell.
 */
int elf_reach_at(int dirfd, const char *path, int flags, const char *library, struct elf_reach *r);

/* The same for execve(path). */
int elf_reach_path(const char *path, const char *library, struct elf_reach *r);

/* "is statically linked" and the like, to stand after a name. */
const char *elf_reach_text(enum elf_reach_why why);

#endif
