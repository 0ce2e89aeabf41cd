/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The host's side: all registers are loaded, the stream is entered, and a signal always ends it. */
#include "diff.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

static struct diff_state *running;
static sigjmp_buf back;

/* struct diff_state in rdi */
void diff_native_enter(const struct diff_state *st);
__asm__(".text\n"
	".type diff_native_enter, @function\n"
	"diff_native_enter:\n"
	"	ldmxcsr 400(%rdi)\n"
	"	movaps (%rdi), %xmm0\n"
	"	movaps 16(%rdi), %xmm1\n"
	"	movaps 32(%rdi), %xmm2\n"
	"	movaps 48(%rdi), %xmm3\n"
	"	movaps 64(%rdi), %xmm4\n"
	"	movaps 80(%rdi), %xmm5\n"
	"	movaps 96(%rdi), %xmm6\n"
	"	movaps 112(%rdi), %xmm7\n"
	"	movaps 128(%rdi), %xmm8\n"
	"	movaps 144(%rdi), %xmm9\n"
	"	movaps 160(%rdi), %xmm10\n"
	"	movaps 176(%rdi), %xmm11\n"
	"	movaps 192(%rdi), %xmm12\n"
	"	movaps 208(%rdi), %xmm13\n"
	"	movaps 224(%rdi), %xmm14\n"
	"	movaps 240(%rdi), %xmm15\n"
	"	push 384(%rdi)\n"
	"	popf\n"
	"	mov 256(%rdi), %rax\n"
	"	mov 264(%rdi), %rcx\n"
	"	mov 272(%rdi), %rdx\n"
	"	mov 280(%rdi), %rbx\n"
	"	mov 288(%rdi), %rsp\n"
	"	mov 296(%rdi), %rbp\n"
	"	mov 304(%rdi), %rsi\n"
	"	mov 320(%rdi), %r8\n"
	"	mov 328(%rdi), %r9\n"
	"	mov 336(%rdi), %r10\n"
	"	mov 344(%rdi), %r11\n"
	"	mov 352(%rdi), %r12\n"
	"	mov 360(%rdi), %r13\n"
	"	mov 368(%rdi), %r14\n"
	"	mov 376(%rdi), %r15\n"
	"	mov 312(%rdi), %rdi\n"
	"	jmp *0x20008000\n" /* DIFF_ENTRY */
	".size diff_native_enter, . - diff_native_enter\n");
_Static_assert(offsetof(struct diff_state, gpr) == 256, "layout");
_Static_assert(offsetof(struct diff_state, rflags) == 384, "layout");
_Static_assert(offsetof(struct diff_state, mxcsr) == 400, "layout");

static void on_signal(int signo, siginfo_t *info, void *context)
{
	static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				       REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
				       REG_R12, REG_R13, REG_R14, REG_R15 };
	mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;

	if (!running)
		_Exit(3);
	for (int n = 0; n < 16; n++)
		running->gpr[n] = m->gregs[order[n]];
	running->rip = m->gregs[REG_RIP];
	running->rflags = m->gregs[REG_EFL];
	running->vector = m->gregs[REG_TRAPNO];
	running->error = m->gregs[REG_ERR];
	running->cr2 = running->vector == 14 ? (uint64_t)m->gregs[REG_CR2] : 0;
	running->mxcsr = m->fpregs->mxcsr;
	memcpy(running->xmm, m->fpregs->_xmm, sizeof(running->xmm));
	siglongjmp(back, 1);
}

static void *at(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static void map(uint64_t address, size_t size, int prot)
{
	void *p = at(address);

	if (mmap(p, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != p) {
		perror("mmap");
		exit(2);
	}
}

void diff_native_init(void)
{
	static uint8_t stack[256 << 10];
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_sigaction = on_signal,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	map(DIFF_BASE, DIFF_SIZE + 0x1000, PROT_READ | PROT_WRITE | PROT_EXEC);
	memset(at(DIFF_BASE), 0xa5, DIFF_SIZE);
	*(uint64_t *)(uintptr_t)DIFF_ENTRY = DIFF_CODE;
	mprotect(at(DIFF_DATA), 0x2000, PROT_READ | PROT_WRITE);
	mprotect(at(DIFF_DATA - 0x2000), 0x2000, PROT_NONE);
	mprotect(at(DIFF_DATA + 0x2000), 0x1000, PROT_READ);
	mprotect(at(DIFF_DATA + 0x3000), 0x1000, PROT_NONE);
	sigaltstack(&alternate, NULL);
	for (size_t n = 0; n < sizeof(signals) / sizeof(signals[0]); n++)
		sigaction(signals[n], &action, NULL);
}

void diff_native_run(struct diff_state *st)
{
	if (sigsetjmp(back, 0) == 0) {
		running = st;
		diff_native_enter(st);
	}
	running = NULL;
}
