/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Instructions on the host: all registers from struct native, the instructions, all of them back. */
#include "native.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { VECTOR_UD = 6, VECTOR_GP = 13, VECTOR_XM = 19 };

#define RET_AT 2048 /* for instructions that fail */

/* What the assembly below works on. */
struct native native_state __attribute__((used));
uint8_t *native_code __attribute__((used));
void native_enter(void);

_Static_assert(offsetof(struct native, gpr) == 256, "known to the assembly");
_Static_assert(offsetof(struct native, rflags) == 384, "known to the assembly");
_Static_assert(offsetof(struct native, mxcsr) == 392, "known to the assembly");
_Static_assert(offsetof(struct native, host_mxcsr) == 396, "known to the assembly");

/* No formatter knows assembly that is made of macros. */
/* clang-format off */
#define EACH_XMM(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
#define EACH_GPR(X) \
	X(0, rax) X(1, rcx) X(2, rdx) X(3, rbx) X(5, rbp) X(6, rsi) X(7, rdi) X(8, r8) X(9, r9) \
	X(10, r10) X(11, r11) X(12, r12) X(13, r13) X(14, r14) X(15, r15)
#define LOAD_XMM(n) "movups native_state + 16 * " #n "(%rip), %xmm" #n "\n"
#define SAVE_XMM(n) "movups %xmm" #n ", native_state + 16 * " #n "(%rip)\n"
#define LOAD_GPR(n, r) "mov native_state + 256 + 8 * " #n "(%rip), %" #r "\n"
#define SAVE_GPR(n, r) "mov %" #r ", native_state + 256 + 8 * " #n "(%rip)\n"
#define CALLEE(op, a, b, c, d, e, f) \
	#op " %" #a "\n" #op " %" #b "\n" #op " %" #c "\n" \
	#op " %" #d "\n" #op " %" #e "\n" #op " %" #f "\n"

__asm__(".pushsection .text\n"
	".globl native_enter\n"
	".hidden native_state, native_code\n"
	".type native_enter, @function\n"
	"native_enter:\n"
	CALLEE(push, rbx, rbp, r12, r13, r14, r15)
	"stmxcsr native_state + 396(%rip)\n"
	EACH_XMM(LOAD_XMM)
	"ldmxcsr native_state + 392(%rip)\n"
	"push native_state + 384(%rip)\n"
	"popfq\n"
	EACH_GPR(LOAD_GPR)
	"call *native_code(%rip)\n"
	EACH_GPR(SAVE_GPR)
	"pushfq\n"
	"pop native_state + 384(%rip)\n"
	"cld\n"
	"stmxcsr native_state + 392(%rip)\n"
	"ldmxcsr native_state + 396(%rip)\n"
	EACH_XMM(SAVE_XMM)
	CALLEE(pop, r15, r14, r13, r12, rbp, rbx)
	"ret\n"
	".popsection\n");
/* clang-format on */

/* An instruction failed: leave by a RET. MXCSR has the flags that it set. */
static void on_signal(int signo, siginfo_t *info, void *context)
{
	ucontext_t *u = context;

	(void)info;
	native_state.vector = signo == SIGFPE	 ? VECTOR_XM
			      : signo == SIGSEGV ? VECTOR_GP
						 : VECTOR_UD;
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)(native_code + RET_AT);
}

void native_init(void)
{
	static const int signals[] = { SIGFPE, SIGSEGV, SIGBUS, SIGILL };
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	if (native_code)
		return;
	native_code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	native_code[RET_AT] = 0xc3;
	for (unsigned int n = 0; n < sizeof(signals) / sizeof(signals[0]); n++)
		sigaction(signals[n], &sa, NULL);
}

void native_run(struct native *n, const uint8_t *bytes, unsigned int len)
{
	memcpy(native_code, bytes, len);
	native_code[len] = 0xc3;
	native_state = *n;
	native_state.vector = -1;
	native_enter();
	*n = native_state;
}
