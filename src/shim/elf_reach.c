/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/elf_reach.h"

#include "os/sys.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#ifndef GLIBC_LOADER
#define GLIBC_LOADER "/lib64/ld-linux-x86-64.so.2"
#endif

#define SCRIPT_DEPTH_MAX 5 /* as the kernel: a script may name a script, not for ever */
#define NR_PHDRS_MAX 64

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is the file at path the loader that our own library was linked for? */
static bool is_our_loader(const struct stat *st)
{
	struct stat ours;

	return os_sys2(SYS_stat, GLIBC_LOADER, &ours) == 0 && is_same_file(st, &ours);
}

/* Would the kernel set AT_SECURE? no_new_privs and nosuid mounts are not looked at: a program
 * that asks for privileges is refused also where it would not get them. */
static enum elf_reach_why judge_privileges(int fd, const struct stat *st)
{
	long uid = os_sys0(SYS_getuid);
	long euid = st->st_mode & S_ISUID ? (long)st->st_uid : os_sys0(SYS_geteuid);
	bool setgid = (st->st_mode & S_ISGID) && (st->st_mode & S_IXGRP);
	long egid = setgid ? (long)st->st_gid : os_sys0(SYS_getegid);

	if (euid != uid || egid != os_sys0(SYS_getgid))
		return ELF_REACH_SETID;
	/* Root has all capabilities already; a file cannot add to them. */
	if (uid != 0 && os_sys4(SYS_fgetxattr, fd, "security.capability", NULL, 0) >= 0)
		return ELF_REACH_CAPS;
	return ELF_REACH_OK;
}

static enum elf_reach_why judge_loader(int fd, const Elf64_Phdr *ph)
{
	char path[ELF_REACH_INTERP_MAX];
	struct stat st;
	long n;

	if (ph->p_filesz == 0 || ph->p_filesz > sizeof(path))
		return ELF_REACH_LOADER;
	n = os_sys4(SYS_pread64, fd, path, ph->p_filesz, ph->p_offset);
	if (n != (long)ph->p_filesz || path[n - 1] != '\0')
		return ELF_REACH_LOADER;
	if (os_sys2(SYS_stat, path, &st) != 0 || !is_our_loader(&st))
		return ELF_REACH_LOADER;
	return ELF_REACH_OK;
}

/* The Go linker marks what it made with a note whose owner is "Go". */
static bool is_go_note(int fd, const Elf64_Phdr *ph)
{
	struct {
		Elf64_Nhdr head;
		char owner[4];
	} note;

	if (ph->p_filesz < sizeof(note))
		return false;
	if (os_sys4(SYS_pread64, fd, &note, sizeof(note), ph->p_offset) != (long)sizeof(note))
		return false;
	return note.head.n_namesz == 4 && memcmp(note.owner, "Go\0", 4) == 0;
}

static enum elf_reach_why judge_phdrs(int fd, const struct stat *st, const Elf64_Ehdr *eh)
{
	enum elf_reach_why why = ELF_REACH_STATIC;
	Elf64_Phdr ph;

	for (unsigned int i = 0; i < eh->e_phnum && i < NR_PHDRS_MAX; i++) {
		uint64_t at = eh->e_phoff + (uint64_t)i * sizeof(ph);

		if (os_sys4(SYS_pread64, fd, &ph, sizeof(ph), at) != (long)sizeof(ph))
			break;
		if (ph.p_type == PT_INTERP)
			why = judge_loader(fd, &ph);
		if (ph.p_type == PT_NOTE && is_go_note(fd, &ph))
			return ELF_REACH_GO;
	}
	/* The loader itself, run as a program, preloads like any other time. */
	if (why == ELF_REACH_STATIC && is_our_loader(st))
		why = ELF_REACH_OK;
	return why;
}

static enum elf_reach_why judge_elf(int fd, const struct stat *st, const Elf64_Ehdr *eh)
{
	bool x86 = eh->e_machine == EM_X86_64 || eh->e_machine == EM_386;

	if (eh->e_ident[EI_DATA] != ELFDATA2LSB || !x86)
		return ELF_REACH_MACHINE;
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_machine != EM_X86_64)
		return ELF_REACH_32BIT;
	if (eh->e_phentsize != sizeof(Elf64_Phdr))
		return ELF_REACH_STATIC;
	return judge_phdrs(fd, st, eh);
}

/* From "#! /bin/sh -e\n" to "/bin/sh". False when there is no name, or not all of it. */
static bool parse_script(const char *line, size_t size, char *interp)
{
	size_t i = 2, n = 0;

	while (i < size && (line[i] == ' ' || line[i] == '\t'))
		i++;
	while (i < size && line[i] != ' ' && line[i] != '\t' && line[i] != '\n' && line[i] != '\0')
		interp[n++] = line[i++];
	interp[n] = '\0';
	return n > 0 && i < size;
}

union file_head {
	Elf64_Ehdr elf;
	char line[ELF_REACH_INTERP_MAX];
};

/* The first bytes of a file that may be run; the last byte of head->line stays zero. Gives how
 * many were read, or -errno. */
static long read_head(int fd, struct stat *st, union file_head *head)
{
	long n = os_sys2(SYS_fstat, fd, st);

	if (n < 0)
		return n;
	if (!S_ISREG(st->st_mode) || !(st->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
		return -EACCES;
	memset(head, 0, sizeof(*head));
	return os_sys4(SYS_pread64, fd, head, sizeof(*head) - 1, 0);
}

/* Looks at one file. *again: r->interp names a script's interpreter to look at next. */
static int judge_fd(int fd, struct elf_reach *r, bool *again)
{
	union file_head head;
	struct stat st;
	long n = read_head(fd, &st, &head);

	if (n < 0)
		return (int)n;
	if (n > 2 && head.line[0] == '#' && head.line[1] == '!') {
		*again = parse_script(head.line, sizeof(head.line) - 1, r->interp);
		return *again ? 0 : -ENOEXEC;
	}
	if (n < (long)sizeof(head.elf) || memcmp(head.elf.e_ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	r->why = judge_privileges(fd, &st);
	if (r->why == ELF_REACH_OK)
		r->why = judge_elf(fd, &st, &head.elf);
	return 0;
}

/* "/proc/self/fd/N", to read through a descriptor that was opened with O_PATH. */
static void name_fd(int fd, char *path)
{
	static const char prefix[] = "/proc/self/fd/";
	char digits[12];
	size_t n = 0, at = sizeof(prefix) - 1;

	memcpy(path, prefix, at);
	do
		digits[n++] = (char)('0' + fd % 10);
	while ((fd /= 10) > 0);
	while (n > 0)
		path[at++] = digits[--n];
	path[at] = '\0';
}

static long open_program(int dirfd, const char *path, int flags)
{
	int how = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
	char fd_path[32];

	if (flags & AT_SYMLINK_NOFOLLOW)
		how |= O_NOFOLLOW;
	if ((flags & AT_EMPTY_PATH) && path[0] == '\0' && dirfd != AT_FDCWD) {
		if (dirfd < 0)
			return -EBADF;
		name_fd(dirfd, fd_path);
		return os_sys4(SYS_openat, AT_FDCWD, fd_path, how, 0);
	}
	return os_sys4(SYS_openat, dirfd, path, how, 0);
}

/* open() failed for want of the right to read: to run it may still be allowed. */
static int judge_unreadable(int dirfd, const char *path, struct elf_reach *r)
{
	if (os_sys3(SYS_faccessat, dirfd, path, 1 /* X_OK */) != 0)
		return -EACCES;
	r->why = ELF_REACH_UNREADABLE;
	return 0;
}

static int judge_file(int dirfd, const char *path, int flags, struct elf_reach *r, bool *again)
{
	long fd = open_program(dirfd, path, flags);
	int ret;

	*again = false;
	if (fd == -EACCES)
		return judge_unreadable(dirfd, path, r);
	if (fd < 0)
		return (int)fd;
	ret = judge_fd((int)fd, r, again);
	os_sys1(SYS_close, fd);
	return ret;
}

int elf_reach_at(int dirfd, const char *path, int flags, const char *library, struct elf_reach *r)
{
	char interp[ELF_REACH_INTERP_MAX];
	bool again;
	int ret;

	r->why = ELF_REACH_OK;
	r->interp[0] = '\0';
	ret = judge_file(dirfd, path, flags, r, &again);
	for (int depth = 0; ret == 0 && again; depth++) {
		if (depth == SCRIPT_DEPTH_MAX)
			return -ELOOP;
		memcpy(interp, r->interp, sizeof(interp));
		ret = judge_file(AT_FDCWD, interp, 0, r, &again);
	}
	if (ret == 0 && r->why == ELF_REACH_OK &&
	    os_sys3(SYS_faccessat, AT_FDCWD, library, 4 /* R_OK */) != 0)
		r->why = ELF_REACH_LIBRARY;
	return ret;
}

int elf_reach_path(const char *path, const char *library, struct elf_reach *r)
{
	return elf_reach_at(AT_FDCWD, path, 0, library, r);
}

const char *elf_reach_text(enum elf_reach_why why)
{
	static const char *const text[] = {
		[ELF_REACH_OK] = "is in reach",
		[ELF_REACH_STATIC] = "is statically linked",
		[ELF_REACH_SETID] = "changes its user or group when run",
		[ELF_REACH_CAPS] = "has file capabilities",
		[ELF_REACH_32BIT] = "is a 32-bit program",
		[ELF_REACH_MACHINE] = "is for another processor",
		[ELF_REACH_LOADER] = "uses another C library's loader",
		[ELF_REACH_GO] = "is a Go program, which makes system calls past the C library",
		[ELF_REACH_UNREADABLE] = "cannot be read, so that nothing is known of it",
		[ELF_REACH_LIBRARY] = "runs where gmem's library is not found",
	};

	return text[why];
}
