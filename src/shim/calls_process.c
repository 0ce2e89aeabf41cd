/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The ways to make a process, but for fork(), which calls our handlers (fork.c) itself. */
#include <sched.h>
#include <stdarg.h>
#include <unistd.h>

#include "os/os.h"
#include "shim/calls.h"
#include "shim/fork.h"
#include "shim/real.h"
#include "shim/shim.h"

static long after_fork(long pid)
{
	if (pid == 0)
		fork_in_child();
	else
		fork_in_parent();
	return pid;
}

SHIM_EXPORT pid_t _Fork(void)
{
	fork_before();
	return (pid_t)after_fork(real()->_Fork ? real()->_Fork() : (pid_t)os_sys0(SYS_fork));
}

long calls_raw_clone(unsigned long flags, const uint64_t args[5])
{
	if (flags & CLONE_VM || args[0])
		return os_sys5(SYS_clone, flags, args[0], args[1], args[2], args[3]);
	fork_before();
	return after_fork(os_sys5(SYS_clone, flags, args[0], args[1], args[2], args[3]));
}

/* What the child of a clone() without CLONE_VM starts with; it has a copy of the parent's stack. */
struct start {
	int (*fn)(void *);
	void *arg;
};

static int start_child(void *arg)
{
	struct start *s = arg;

	fork_in_child();
	return s->fn(s->arg);
}

SHIM_EXPORT int clone(int (*fn)(void *), void *stack, int flags, void *arg, ...)
{
	struct start s = { fn, arg };
	void *parent_tid, *tls, *child_tid;
	va_list args;
	int pid;

	va_start(args, arg);
	parent_tid = va_arg(args, void *);
	tls = va_arg(args, void *);
	child_tid = va_arg(args, void *);
	va_end(args);
	if (flags & CLONE_VM || !fn || !stack) {
		if (!(flags & CLONE_FILES))
			fork_before_vfork();
		return real()->clone(fn, stack, flags, arg, parent_tid, tls, child_tid);
	}
	fork_before();
	pid = real()->clone(start_child, stack, flags, &s, parent_tid, tls, child_tid);
	fork_in_parent();
	return pid;
}

/*
 * vfork() returns twice on one stack: nothing of ours may be on it. So the preparation is called,
 * and the real one jumped to.
 */
void *shim_vfork_target(void) __attribute__((visibility("hidden")));
void *shim_vfork_target(void)
{
	fork_before_vfork();
	return *(void **)&real()->vfork;
}

__asm__(".text\n"
	".globl __clone\n"
	".set __clone, clone\n"
	".globl vfork, __vfork\n"
	".type vfork, @function\n"
	".type __vfork, @function\n"
	"vfork:\n"
	"__vfork:\n"
	"	.cfi_startproc\n"
	"	subq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	call shim_vfork_target\n"
	"	addq $8, %rsp\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	jmp *%rax\n"
	"	.cfi_endproc\n"
	".size vfork, . - vfork\n"
	".size __vfork, . - __vfork\n");
