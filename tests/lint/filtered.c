/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A VMM whose only thread filters its own system calls, not those of all threads: what gmem would ask the kernel to see
 * better (of files, page tables, processes) kills. What it leaves in memory is therefore not looked for.
 */
#include "vmm.h"

#include <linux/falloc.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define KILL_FOR(nr)                                     \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

static const uint8_t code[] = { WRITE(0), WRITE(PAGE), ASK(MEMORY, 2, ASK_PRIVATE), WRITE(0), HLT };

static void filter(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		KILL_FOR(SYS_pread64),
		KILL_FOR(SYS_lseek),
		KILL_FOR(SYS_mincore),
		KILL_FOR(SYS_getppid),
		KILL_FOR(SYS_gettid),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(rules) / sizeof(rules[0]), .filter = rules };

	must("PR_SET_NO_NEW_PRIVS", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must("PR_SET_SECCOMP", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0));
}

static void punch(const struct vmm *v)
{
	must("punch",
	     fallocate(v->memory.memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB / 2, PAGE));
}

static void make_child(void)
{
	int status, pid = must("fork", fork());

	if (!pid)
		_exit(0);
	must("waitpid", waitpid(pid, &status, 0));
	must("the child", status ? -1 : 0);
}

int main(void)
{
	struct vmm v;

	vmm_make(&v, code, sizeof(code));
	vmm_plain_memory(&v, MIB);
	filter();
	while (vmm_run(&v) == KVM_EXIT_HYPERCALL) {
		struct asked a = vmm_asked(&v);

		must("convert", CONVERT(&v, &v.memory, a.gpa, a.size, PRIVATE));
		madvise(v.memory.host + (a.gpa - v.memory.gpa), a.size, MADV_DONTNEED);
		v.run->hypercall.ret = 0;
	}
	punch(&v);
	make_child();
	vmm_free(&v);
	return 0;
}
