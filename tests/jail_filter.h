/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A program's filter of system calls that kills for each call that gmem must not make behind one (docs/design.md). */
#ifndef GMEM_TESTS_JAIL_FILTER_H
#define GMEM_TESTS_JAIL_FILTER_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#define JAIL_KILL_FOR(nr)                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static struct sock_filter jail_rules[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	JAIL_KILL_FOR(SYS_userfaultfd),
	JAIL_KILL_FOR(SYS_memfd_create),
	JAIL_KILL_FOR(SYS_socket),
	JAIL_KILL_FOR(SYS_socketpair),
	JAIL_KILL_FOR(SYS_clone),
	JAIL_KILL_FOR(SYS_clone3),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static const struct sock_fprog jail_program = {
	.len = sizeof(jail_rules) / sizeof(jail_rules[0]),
	.filter = jail_rules,
};

#endif
