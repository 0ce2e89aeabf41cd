/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The C library's ways to say what shall happen on a signal, and to change the mask. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "os/fault.h"
#include "shim/real.h"
#include "shim/shim.h"
#include "shim/signal.h"

#define SA_RESTORER_FLAG 0x04000000ul
#define SIG_BIT(signo) ((uint64_t)1 << ((signo)-1))
/* The C library keeps two for itself. */
#define IS_LIBC_SIGNAL(signo) ((signo) == 32 || (signo) == 33)

void signal_restorer(void) __attribute__((visibility("hidden")));

/* siginterrupt(): these make calls fail with EINTR, when set by signal(). */
static _Atomic uint64_t interrupting;

static void from_libc(const struct sigaction *act, struct signal_action *a)
{
	a->handler = act->sa_handler;
	a->flags = (unsigned int)act->sa_flags | SA_RESTORER_FLAG;
	a->restorer = signal_restorer;
	memcpy(&a->mask, &act->sa_mask, sizeof(a->mask));
}

static void to_libc(const struct signal_action *a, struct sigaction *act)
{
	act->sa_handler = a->handler;
	act->sa_flags = (int)(a->flags & ~SA_RESTORER_FLAG);
	act->sa_restorer = NULL;
	memset(&act->sa_mask, 0, sizeof(act->sa_mask));
	memcpy(&act->sa_mask, &a->mask, sizeof(a->mask));
}

SHIM_EXPORT int sigaction(int signo, const struct sigaction *act, struct sigaction *old)
{
	struct signal_action new_action, old_action;
	int ret;

	if (IS_LIBC_SIGNAL(signo))
		return (int)shim_return(-EINVAL);
	if (act)
		from_libc(act, &new_action);
	ret = signal_set_action(signo, act ? &new_action : NULL, old ? &old_action : NULL);
	if (ret == 0 && old)
		to_libc(&old_action, old);
	return (int)shim_return(ret);
}

/* Sets handler, flags and mask at once and gives the handler before. */
static void (*set_handler(int signo, void (*handler)(int), unsigned long flags, uint64_t mask))(int)
{
	struct signal_action a = {
		.handler = handler,
		.flags = flags | SA_RESTORER_FLAG,
		.restorer = signal_restorer,
		.mask = mask,
	};
	struct signal_action old;
	int ret = handler == SIG_ERR || IS_LIBC_SIGNAL(signo) ? -EINVAL : 0;

	if (ret == 0)
		ret = signal_set_action(signo, &a, &old);
	return shim_return(ret) ? SIG_ERR : old.handler;
}

SHIM_EXPORT void (*signal(int signo, void (*handler)(int)))(int)
{
	unsigned long flags = SA_RESTART;

	if (signo < 1 || signo > 64) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (atomic_load(&interrupting) & SIG_BIT(signo))
		flags = 0;
	return set_handler(signo, handler, flags, SIG_BIT(signo));
}

void (*bsd_signal(int signo, void (*handler)(int)))(int);
SHIM_EXPORT void (*bsd_signal(int signo, void (*handler)(int)))(int)
{
	return signal(signo, handler);
}

SHIM_EXPORT void (*ssignal(int signo, void (*handler)(int)))(int)
{
	return signal(signo, handler);
}

SHIM_EXPORT void (*sysv_signal(int signo, void (*handler)(int)))(int)
{
	return set_handler(signo, handler, SA_RESETHAND | SA_NODEFER, 0);
}

SHIM_EXPORT void (*__sysv_signal(int signo, void (*handler)(int)))(int)
{
	return set_handler(signo, handler, SA_RESETHAND | SA_NODEFER, 0);
}

int __sigaction(int signo, const struct sigaction *act, struct sigaction *old);
SHIM_EXPORT int __sigaction(int signo, const struct sigaction *act, struct sigaction *old)
{
	return sigaction(signo, act, old);
}

SHIM_EXPORT int sigignore(int signo)
{
	return set_handler(signo, SIG_IGN, 0, 0) == SIG_ERR ? -1 : 0;
}

SHIM_EXPORT int siginterrupt(int signo, int interrupts)
{
	struct signal_action a;
	int ret = IS_LIBC_SIGNAL(signo) ? -EINVAL : signal_set_action(signo, NULL, &a);

	if (ret)
		return (int)shim_return(ret);
	if (interrupts) {
		atomic_fetch_or(&interrupting, SIG_BIT(signo));
		a.flags &= ~(unsigned long)SA_RESTART;
	} else {
		atomic_fetch_and(&interrupting, ~SIG_BIT(signo));
		a.flags |= SA_RESTART;
	}
	return (int)shim_return(signal_set_action(signo, &a, NULL));
}

static int block_one(int signo, int how, uint64_t *old)
{
	uint64_t set = SIG_BIT(signo);
	int ret = (int)os_sys4(SYS_rt_sigprocmask, how, &set, old, sizeof(set));

	os_signal_mask_changed();
	return ret;
}

/* X/Open: SIG_HOLD blocks the signal; anything else sets the handler and unblocks it. */
SHIM_EXPORT void (*sigset(int signo, void (*handler)(int)))(int)
{
	void (*before)(int);
	uint64_t mask = 0;
	int how = handler == SIG_HOLD ? SIG_BLOCK : SIG_UNBLOCK;
	struct signal_action old;
	int ret = signo < 1 || signo > 64 || handler == SIG_ERR || IS_LIBC_SIGNAL(signo) ? -EINVAL
											 : 0;

	if (ret == 0)
		ret = signal_set_action(signo, NULL, &old);
	if (shim_return(ret))
		return SIG_ERR;
	before = old.handler;
	if (handler != SIG_HOLD && set_handler(signo, handler, 0, 0) == SIG_ERR)
		return SIG_ERR;
	block_one(signo, how, &mask);
	return mask & SIG_BIT(signo) ? SIG_HOLD : before;
}

/* ---- the mask: os keeps in mind whether SIGSEGV and SIGBUS are in it --------------------- */

SHIM_EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	int ret = real()->sigprocmask(how, set, old);

	os_signal_mask_changed();
	return ret;
}

SHIM_EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	int ret = real()->pthread_sigmask(how, set, old);

	os_signal_mask_changed();
	return ret;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
SHIM_EXPORT int sigblock(int mask)
{
	int ret = real()->sigblock(mask);

	os_signal_mask_changed();
	return ret;
}

SHIM_EXPORT int sigsetmask(int mask)
{
	int ret = real()->sigsetmask(mask);

	os_signal_mask_changed();
	return ret;
}

SHIM_EXPORT int sighold(int signo)
{
	int ret = real()->sighold(signo);

	os_signal_mask_changed();
	return ret;
}

SHIM_EXPORT int sigrelse(int signo)
{
	int ret = real()->sigrelse(signo);

	os_signal_mask_changed();
	return ret;
}
#pragma GCC diagnostic pop

SHIM_EXPORT void siglongjmp(sigjmp_buf env, int value)
{
	os_signal_mask_changed();
	real()->siglongjmp(env, value);
	__builtin_unreachable();
}

SHIM_EXPORT void longjmp(jmp_buf env, int value)
{
	os_signal_mask_changed();
	real()->longjmp(env, value);
	__builtin_unreachable();
}

SHIM_EXPORT void _longjmp(jmp_buf env, int value)
{
	os_signal_mask_changed();
	real()->_longjmp(env, value);
	__builtin_unreachable();
}

_Noreturn void __longjmp_chk(jmp_buf env, int value);
SHIM_EXPORT void __longjmp_chk(jmp_buf env, int value)
{
	os_signal_mask_changed();
	real()->__longjmp_chk(env, value);
	__builtin_unreachable();
}

SHIM_EXPORT int setcontext(const ucontext_t *context)
{
	os_signal_mask_changed();
	return real()->setcontext(context);
}

SHIM_EXPORT int swapcontext(ucontext_t *restrict from, const ucontext_t *restrict to)
{
	int ret;

	os_signal_mask_changed();
	ret = real()->swapcontext(from, to);
	/* Somebody has swapped back to here. */
	os_signal_mask_changed();
	return ret;
}
