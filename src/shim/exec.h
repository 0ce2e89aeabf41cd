/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * exec: a program that runs under gmem starts others under gmem, whatever environment it gives them.
 * One that a preloaded library cannot reach (elf_reach.h) is not started: it would find the host's
 * /dev/kvm without a word. Its exec fails with EACCES, and a line says why; a shell then exits with 126.
 */
#ifndef GMEM_SHIM_EXEC_H
#define GMEM_SHIM_EXEC_H

/* Remembers what the environment must say, before the program can change it. */
void exec_init(void);

#endif
