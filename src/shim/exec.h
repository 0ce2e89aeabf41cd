/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * exec: a program that runs under gmem starts others under gmem, whatever environment it gives
 * them. One that a preloaded library cannot reach (elf_reach.h) is not started: it would find the
 * host's /dev/kvm without a word. Its exec fails with EACCES, and a line says why; a shell then
 * exits with 126.
 *
 * Good in the child of vfork(): nothing but the stack is written.
 */
#ifndef GMEM_SHIM_EXEC_H
#define GMEM_SHIM_EXEC_H

#include <stddef.h>

/* Remembers what the environment must say, before the program can change it. */
void exec_init(void);

/* May the program be run? 0, -EACCES after a line on stderr, or the errno that exec would give. */
int exec_judge(int dirfd, const char *path, int flags);

/* How many pointers exec_environment() writes for this environment, and bytes of text. */
size_t exec_nr_pointers(char *const envp[]);
size_t exec_text_size(char *const envp[]);
/* The environment with what gmem needs in it: pointers into envp, into text and into our own
 * memory. */
void exec_environment(char *const envp[], char **pointers, char *text);

/* execveat(2) of a program that is judged and gets such an environment. -errno. */
long exec_run(int dirfd, const char *path, char *const argv[], char *const envp[], int flags);

#endif
