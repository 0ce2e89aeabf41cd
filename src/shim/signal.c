/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/signal.h"

#include <errno.h>
#include <signal.h>

#include "map/share.h"
#include "obs/attach.h"
#include "os/fault.h"
#include "os/os.h"
#include "shim/map_change.h"
#include "shim/observe.h"
#include "shim/shim.h"

#define NR_SIGNALS 64
#define SIG_BIT(signo) ((uint64_t)1 << ((signo)-1))
#define SA_RESTORER_FLAG 0x04000000ul

typedef void (*signal_handler)(int, siginfo_t *, void *);

static __thread struct kvm_object *volatile running __attribute__((tls_model("initial-exec")));

/* What the program asked for; right for a signal whose handler in the kernel is the trampoline.
 * Read by the trampoline without a lock: seq is odd while it changes. */
static struct {
	_Atomic uint32_t seq;
	struct signal_action action;
} wanted[NR_SIGNALS + 1];

static struct os_mutex lock = OS_MUTEX_INIT;

void signal_restorer(void);
/* Unwinders and debuggers know a signal frame by just these bytes. */
__asm__(".text\n"
	".hidden signal_restorer\n"
	".globl signal_restorer\n"
	".type signal_restorer, @function\n"
	"	nop\n"
	".align 16\n"
	"signal_restorer:\n"
	"	movq $15, %rax\n" /* rt_sigreturn */
	"	syscall\n"
	".size signal_restorer, . - signal_restorer\n");

void signal_set_running(struct kvm_object *vcpu)
{
	running = vcpu;
	atomic_signal_fence(memory_order_seq_cst);
	/* A signal that came before could not know whom to kick. */
	if (vcpu && os_signal_pending())
		kvm_kick(vcpu);
}

/* ---- the table --------------------------------------------------------------------------- */

static bool is_fault(int signo)
{
	return signo == SIGSEGV || signo == SIGBUS;
}

static bool is_function(const struct signal_action *a)
{
	return a->handler != SIG_DFL && a->handler != SIG_IGN;
}

static struct signal_action wanted_get(int signo)
{
	struct signal_action a;
	uint32_t seq;

	do {
		seq = atomic_load_explicit(&wanted[signo].seq, memory_order_acquire);
		a = *(volatile struct signal_action *)&wanted[signo].action;
		atomic_thread_fence(memory_order_acquire);
	} while (seq & 1 || seq != atomic_load_explicit(&wanted[signo].seq, memory_order_relaxed));
	return a;
}

/* With every signal of this thread blocked: the trampoline would wait for itself. */
static void wanted_set(int signo, const struct signal_action *a)
{
	uint64_t every = ~(uint64_t)0;
	uint64_t old;

	os_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &every, &old, sizeof(every));
	atomic_fetch_add_explicit(&wanted[signo].seq, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	wanted[signo].action = *a;
	atomic_fetch_add_explicit(&wanted[signo].seq, 1, memory_order_release);
	os_sys4(SYS_rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
}

static long kernel_action(int signo, const struct signal_action *a, struct signal_action *old)
{
	return os_sys4(SYS_rt_sigaction, signo, a, old, sizeof(a->mask));
}

static void die_of(int signo)
{
	struct signal_action dfl = { .handler = SIG_DFL };

	kernel_action(signo, &dfl, NULL);
}

/* ---- the trampoline ---------------------------------------------------------------------- */

/* Caused by the instruction that was interrupted: it cannot wait. */
static bool is_synchronous(int signo, const siginfo_t *info)
{
	if (info->si_code <= 0 || (signo == SIGBUS && info->si_code == BUS_MCEERR_AO))
		return false;
	return is_fault(signo) || signo == SIGILL || signo == SIGFPE || signo == SIGTRAP ||
	       signo == SIGSYS;
}

static bool take_once(int signo, struct signal_action *a)
{
	struct signal_action dfl = { .handler = SIG_DFL };

	if (!(a->flags & SA_RESETHAND) || !is_function(a))
		return true;
	shim_enter();
	os_mutex_lock(&lock);
	*a = wanted_get(signo);
	/* Another thread was first: then this one meets the default. */
	if (is_function(a)) {
		wanted_set(signo, &dfl);
		if (!is_fault(signo))
			die_of(signo);
	}
	os_mutex_unlock(&lock);
	shim_leave();
	return is_function(a);
}

/* The default or nothing is wanted, and the signal is here. */
static void without_handler(int signo, siginfo_t *info, const struct signal_action *a)
{
	uint64_t set = SIG_BIT(signo);

	/* The kernel lets nobody ignore a fault. */
	if (a->handler == SIG_IGN && !is_synchronous(signo, info))
		return;
	/* Blocked here, it dies when this handler has returned: with the registers of the fault in
	 * the core, and the siginfo. */
	os_sys4(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, sizeof(set));
	die_of(signo);
	os_signal_requeue(signo, info);
}

/* The page of the last access that was made again: a second fault there is the program's. */
static __thread uint64_t tried_again __attribute__((tls_model("initial-exec")));

/* In another process than the home the page may be shown already, and this process, or its agent, be late. */
static bool is_worth_another_try(uint64_t addr)
{
	bool again;

	if (host_map_is_hidden(kvm_host_map(), addr))
		return share_run_pending() || !host_map_is_hidden(kvm_host_map(), addr);
	again = share_is_elsewhere() && tried_again != addr;
	tried_again = again ? addr : 0;
	return again;
}

/*
 * A hidden page of a window is one of an empty file to the program, whatever hides it. True: the access is to
 * be made again.
 */
static bool fault_in_window(int signo, siginfo_t *info, const ucontext_t *uc)
{
	uint64_t addr = (uintptr_t)info->si_addr;
	bool again = false, is_bad;

	if (signo != SIGBUS || !change_map_any() || os_signals_begun())
		return false;
	if (info->si_code != BUS_ADRERR && info->si_code != BUS_MCEERR_AR)
		return false;
	shim_enter();
	if (host_map_is_window(kvm_host_map(), addr)) {
		again = is_worth_another_try(addr);
		is_bad = !again && host_map_is_bad(kvm_host_map(), addr);
		info->si_code = is_bad ? BUS_MCEERR_AR : BUS_ADRERR;
		info->si_addr_lsb = is_bad ? OS_PAGE_SHIFT : 0;
		if (!again && obs_watched())
			observe_host_fault(addr, info->si_code,
					   (uint64_t)uc->uc_mcontext.gregs[REG_RIP]);
	}
	shim_leave();
	return again;
}

/* Here nothing can be made: whoever is next to call gmem does it. */
static bool asks_to_be_observed(int signo, const siginfo_t *info)
{
	if (signo != SIGBUS || info->si_code != SI_QUEUE ||
	    (uint64_t)(uintptr_t)info->si_value.sival_ptr != ATTACH_VALUE)
		return false;
	atomic_store(&observe_is_wanted, true);
	return true;
}

/* Left by a jump when a fault was caught: the address sanitizer shall find no frame of it. */
__attribute__((no_sanitize_address)) static void trampoline(int signo, siginfo_t *info,
							    void *ucontext)
{
	struct signal_action a;
	uint32_t depth;

	if (is_fault(signo))
		os_fault_signal(signo, info, ucontext);
	if (asks_to_be_observed(signo, info))
		return;
	if (fault_in_window(signo, info, ucontext))
		return;
	if (os_signals_begun() && !is_synchronous(signo, info)) {
		os_signal_hold(signo, info, ucontext);
		if (running)
			kvm_kick(running);
		return;
	}
	os_signal_in_order(signo, info);
	a = wanted_get(signo);
	if (!is_function(&a) || !take_once(signo, &a)) {
		without_handler(signo, info, &a);
		return;
	}
	/* Its mask is another one, in the handler and, if it jumps out, behind it. */
	os_signal_mask_changed();
	depth = os_signals_suspend();
	((signal_handler)(uintptr_t)a.handler)(signo, info, ucontext);
	os_signals_resume(depth);
	os_signal_mask_changed();
}

/* ---- what the program asks for ----------------------------------------------------------- */

static bool is_ours(const struct signal_action *kernels)
{
	return (uintptr_t)kernels->handler == (uintptr_t)trampoline;
}

/* What the kernel shall have so that the program gets what it wants. */
static struct signal_action for_kernel(int signo, const struct signal_action *a)
{
	struct signal_action k = *a;

	if (is_function(a)) {
		k.flags &= ~(unsigned long)SA_RESETHAND;
	} else if (is_fault(signo)) {
		k.flags = SA_ONSTACK | SA_NODEFER | SA_RESTART;
		k.mask = 0;
	} else {
		return k;
	}
	k.handler = (void (*)(int))(uintptr_t)trampoline;
	k.flags |= SA_SIGINFO | SA_RESTORER_FLAG;
	k.restorer = signal_restorer;
	return k;
}

static int set_locked(int signo, const struct signal_action *action, struct signal_action *old)
{
	struct signal_action before, k;
	long ret = kernel_action(signo, NULL, &before);

	if (ret)
		return (int)ret;
	if (is_ours(&before))
		before = wanted_get(signo);
	if (old)
		*old = before;
	if (!action)
		return 0;
	k = for_kernel(signo, action);
	wanted_set(signo, action);
	return (int)kernel_action(signo, &k, NULL);
}

int signal_set_action(int signo, const struct signal_action *action, struct signal_action *old)
{
	int ret;

	if (signo < 1 || signo > NR_SIGNALS || (action && (signo == SIGKILL || signo == SIGSTOP)))
		return -EINVAL;
	/* Its dispositions are its own, but the table is its parent's. */
	if (action && shim_is_vfork_child())
		return (int)kernel_action(signo, action, old);
	shim_enter();
	os_mutex_lock(&lock);
	ret = set_locked(signo, action, old);
	os_mutex_unlock(&lock);
	shim_leave();
	return ret;
}

/* Terminates a program that does nothing about it. */
static bool is_deadly(int signo)
{
	switch (signo) {
	case SIGKILL:
	case SIGSTOP:
	case SIGCHLD:
	case SIGCONT:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGURG:
	case SIGWINCH:
		return false;
	default:
		/* 32 and 33 are the C library's own. */
		return signo < 32 || signo > 33;
	}
}

static void cover(int signo)
{
	struct signal_action dfl = { .handler = SIG_DFL }, k;

	if (kernel_action(signo, NULL, &k) || k.handler != SIG_DFL)
		return;
	k = (struct signal_action){ .handler = (void (*)(int))(uintptr_t)trampoline,
				    .flags = SA_SIGINFO | SA_RESTART | SA_RESTORER_FLAG,
				    .restorer = signal_restorer };
	wanted_set(signo, &dfl);
	kernel_action(signo, &k, NULL);
}

void signal_cover(uint64_t blocked)
{
	shim_enter();
	os_mutex_lock(&lock);
	for (int signo = 1; signo <= NR_SIGNALS; signo++)
		if (!(blocked & SIG_BIT(signo)) && is_deadly(signo))
			cover(signo);
	os_mutex_unlock(&lock);
	shim_leave();
}

static void take_over(int signo)
{
	struct signal_action a;

	if (kernel_action(signo, NULL, &a) || is_ours(&a))
		return;
	signal_set_action(signo, &a, NULL);
}

/* An ignored signal stays ignored in the next program, which sees what the kernel has. */
static void ignore_for_exec(int signo, bool ignore)
{
	struct signal_action a = wanted_get(signo), k;

	if (a.handler != SIG_IGN || kernel_action(signo, NULL, &k) || is_ours(&k) != ignore)
		return;
	k = ignore ? a : for_kernel(signo, &a);
	kernel_action(signo, &k, NULL);
}

void signal_before_exec(void)
{
	ignore_for_exec(SIGSEGV, true);
	ignore_for_exec(SIGBUS, true);
}

void signal_exec_failed(void)
{
	ignore_for_exec(SIGSEGV, false);
	ignore_for_exec(SIGBUS, false);
}

void signal_init(void)
{
	take_over(SIGSEGV);
	take_over(SIGBUS);
}

void signal_lock(void)
{
	os_mutex_lock(&lock);
}

void signal_unlock(void)
{
	os_mutex_unlock(&lock);
}
