/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guest code of random bytes, in real mode, protected mode and long mode with paging. Half
 * of the VMs have their memory, slots and page attributes changed meanwhile. Whatever the guest
 * does may end only in guest exceptions, exits, SHUTDOWN, or a spent budget: KVM_RUN returns
 * one of a few errnos with an exit reason that goes with it, nothing else in the process changes,
 * and nothing hangs.
 */
#include "fuzz.h"

#include <pthread.h>
#include <time.h>

#define RAM (1UL << 20)
#define CODE 0x10000
#define TABLES 0x2000
#define IDT 0x8000
#define GDT 0x9000
#define GUARD (16 * PG)
#define UPPER 0x80000 /* RAM from here on may vanish under the guest at any time */

struct guest {
	int vm, vcpu;
	struct kvm_run *run;
	uint8_t *area, *ram;
	struct kvm_sregs reset;
	bool guarded;
	int gmem;
	pthread_t disturber;
	bool disturbed;
	volatile bool stop;
	struct rng noise;
};

static uint64_t outcomes[64], budget_spent, programs;

/* ---- the budget: a timer whose signal also asks KVM_RUN to leave ---- */

static struct kvm_run *volatile running;

static void on_alarm(int sig)
{
	struct kvm_run *r = running;

	(void)sig;
	if (r)
		r->immediate_exit = 1;
}

static void budget_start(struct kvm_run *run, unsigned int us)
{
	static timer_t timer;
	static bool made;
	struct itimerspec t = { .it_value = { 0, us * 1000L }, .it_interval = { 0, us * 1000L } };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct sigaction sa = { .sa_handler = on_alarm };

	if (!made) {
		sigaction(SIGALRM, &sa, NULL);
		if (timer_create(CLOCK_MONOTONIC, &ev, &timer))
			fail("timer_create: %s", strerror(errno));
		made = true;
	}
	if (run)
		run->immediate_exit = 0;
	running = run;
	if (!run)
		t = (struct itimerspec){ { 0, 0 }, { 0, 0 } };
	timer_settime(timer, 0, &t, NULL);
}

/* ---- one VM ---- */

/* The upper half of RAM is a slot of its own; protected VMs have a guest_memfd behind it. */
static int upper_slot(struct guest *g, bool there)
{
	struct kvm_userspace_memory_region2 s = {
		.slot = 1,
		.guest_phys_addr = UPPER,
		.memory_size = there ? RAM - UPPER : 0,
		.userspace_addr = (uintptr_t)g->ram + UPPER,
		.guest_memfd = (uint32_t)g->gmem,
		.flags = g->gmem >= 0 ? KVM_MEM_GUEST_MEMFD : 0,
	};

	return ioctl(g->vm, KVM_SET_USER_MEMORY_REGION2, &s);
}

static int make_gmem(struct guest *g)
{
	struct kvm_create_guest_memfd c = { .size = RAM - UPPER };

	return g->guarded ? ioctl(g->vm, KVM_CREATE_GUEST_MEMFD, &c) : -1;
}

static void make_vm(struct guest *g, struct rng *r)
{
	int dev = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int types = dev < 0 ? 0 : ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 256 * sizeof(c->entries[0]));
	struct kvm_userspace_memory_region s = { .memory_size = UPPER };
	struct kvm_enable_cap hypercalls = { .cap = KVM_CAP_EXIT_HYPERCALL,
					     .args = { 1 << KVM_HC_MAP_GPA_RANGE } };

	if (dev < 0)
		skip("no /dev/kvm");
	g->guarded = types & 2 && rng_one_in(r, 4);
	g->vm = ioctl(dev, KVM_CREATE_VM, g->guarded ? KVM_X86_SW_PROTECTED_VM : 0);
	g->gmem = make_gmem(g);
	g->area = mmap(NULL, RAM + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	g->ram = g->area + GUARD;
	mprotect(g->ram, RAM, PROT_READ | PROT_WRITE);
	s.userspace_addr = (uintptr_t)g->ram;
	if (g->vm < 0 || ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &s) || upper_slot(g, true))
		fail("a VM with memory: %s", strerror(errno));
	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	g->run = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	c->nent = 256;
	if (g->vcpu < 0 || g->run == MAP_FAILED || ioctl(dev, KVM_GET_SUPPORTED_CPUID, c) ||
	    ioctl(g->vcpu, KVM_SET_CPUID2, c) || ioctl(g->vcpu, KVM_GET_SREGS, &g->reset))
		fail("a vCPU: %s", strerror(errno));
	if (g->guarded) {
		struct kvm_memory_attributes a = { .address = 0x80000,
						   .size = 0x10000,
						   .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE };

		ioctl(g->vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
	}
	if (g->gmem >= 0 && rng_one_in(r, 2)) {
		close(g->gmem); /* now private pages of the slot have nothing behind them */
		g->gmem = -1;
	}
	ioctl(g->vm, KVM_ENABLE_CAP, &hypercalls);
	free(c);
	close(dev);
}

static void drop_vm(struct guest *g)
{
	if (g->gmem >= 0)
		close(g->gmem);
	munmap(g->run, 3 * PG);
	close(g->vcpu);
	close(g->vm);
	munmap(g->area, RAM + 2 * GUARD);
}

/* ---- what the program does to a guest's memory while the guest runs ---- */

static void convert(struct guest *g, uint64_t page, uint64_t nr)
{
	struct kvm_memory_attributes a = {
		.address = UPPER + page * PG,
		.size = nr * PG,
		.attributes = rng_one_in(&g->noise, 2) ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (ioctl(g->vm, KVM_SET_MEMORY_ATTRIBUTES, &a))
		fail("conversion: %s", strerror(errno));
	if (rng_one_in(&g->noise, 2))
		fallocate(g->gmem, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, (off_t)(page * PG),
			  (off_t)(nr * PG));
}

static void disturb_once(struct guest *g)
{
	uint64_t page = rng_below(&g->noise, (RAM - UPPER) / PG - 8);
	uint8_t *at = g->ram + UPPER + page * PG;

	switch (rng_below(&g->noise, 6)) {
	case 0:
		madvise(at, 4 * PG, MADV_DONTNEED);
		break;
	case 1:
		mprotect(at, PG, PROT_NONE);
		break;
	case 2:
		mprotect(g->ram + UPPER, RAM - UPPER, PROT_READ | PROT_WRITE);
		break;
	case 3:
		mmap(at, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		     0);
		break;
	case 4: /* code changes under the guest */
		*(volatile uint8_t *)(g->ram + CODE + rng_below(&g->noise, PG)) =
			(uint8_t)rng_next(&g->noise);
		break;
	default:
		if (g->guarded)
			convert(g, page, rng_below(&g->noise, 8) + 1);
		else if (upper_slot(g, false) || upper_slot(g, true))
			fail("delete and add a slot: %s", strerror(errno));
	}
}

static void *disturb(void *arg)
{
	struct guest *g = arg;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	while (!g->stop) {
		disturb_once(g);
		if (rng_one_in(&g->noise, 8))
			usleep(50);
	}
	return NULL;
}

static void disturber_start(struct guest *g, struct rng *r)
{
	g->stop = false;
	g->noise.state = rng_next(r);
	g->disturbed = rng_one_in(r, 2);
	if (g->disturbed && pthread_create(&g->disturber, NULL, disturb, g))
		fail("pthread_create: %s", strerror(errno));
}

static void disturber_stop(struct guest *g)
{
	g->stop = true;
	if (g->disturbed)
		pthread_join(g->disturber, NULL);
}

/* ---- programs ---- */

/* Bytes that begin something, so that random code goes deeper than its first byte. */
static const uint8_t starts[] = {
	0x0f, 0x66, 0xf2, 0xf3, 0xf0, 0x67, 0x2e, 0x36, 0x64, 0x65, 0x48, 0x4c, 0x41, 0x44, 0x8b,
	0x89, 0x88, 0x8a, 0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xae, 0xa6, 0x50, 0x58, 0xe8, 0xc3, 0xeb,
	0x75, 0xcd, 0xcf, 0xea, 0x9a, 0xcb, 0x8e, 0x8c, 0xe4, 0xe6, 0x6c, 0x6e, 0xfa, 0xfb, 0x9c,
	0x9d, 0xf7, 0xff, 0x80, 0x83, 0xc1, 0xd3, 0x69, 0xc8, 0xc9, 0x62, 0xc4, 0xc5, 0xd8, 0xdb,
};

static const uint8_t seconds[] = {
	0x01, 0x00, 0x05, 0x07, 0x20, 0x22, 0x30, 0x32, 0x31, 0xa2, 0xae, 0xb0, 0xb1, 0xc7, 0xba,
	0xab, 0xa3, 0xb6, 0xbe, 0x38, 0x3a, 0x10, 0x11, 0x28, 0x29, 0x6f, 0x7f, 0xe7, 0x34, 0x35,
};

static void make_code(struct rng *r, uint8_t *code, size_t len)
{
	rng_fill(r, code, len);
	for (size_t i = 0; i + 1 < len; i++) {
		if (rng_one_in(r, 4))
			code[i] = starts[rng_below(r, sizeof(starts))];
		if (code[i] == 0x0f && rng_one_in(r, 2))
			code[i + 1] = seconds[rng_below(r, sizeof(seconds))];
	}
}

static void put64(struct guest *g, unsigned int at, uint64_t value)
{
	memcpy(g->ram + at, &value, sizeof(value));
}

/* Long mode tables: 1 MiB of RAM where it is, by 4K pages, and 1 GiB of it and nothing above. */
static void make_tables(struct guest *g, struct rng *r)
{
	put64(g, TABLES, (TABLES + PG) | 7);
	put64(g, TABLES + PG, (TABLES + 2 * PG) | 7);
	put64(g, TABLES + 2 * PG, (TABLES + 3 * PG) | 7);
	for (unsigned int i = 1; i < 512; i++)
		put64(g, TABLES + 2 * PG + i * 8, ((uint64_t)i << 21) | 0x87);
	for (unsigned int i = 0; i < 512; i++)
		put64(g, TABLES + 3 * PG + i * 8, ((uint64_t)i << 12) | 7);
	if (rng_one_in(r, 3))
		put64(g, TABLES + 3 * PG + rng_below(r, 512) * 8, rng_next(r));
}

/* Gates and descriptors that are right often enough for handlers to run. */
static void make_descriptors(struct guest *g, struct rng *r, bool wide)
{
	for (unsigned int i = 0; i < 256; i++) {
		uint64_t handler = CODE + rng_below(r, PG);
		uint64_t gate =
			(handler & 0xffff) | 8 << 16 | 0x8e00ULL << 32 | (handler >> 16) << 48;

		put64(g, IDT + i * (wide ? 16 : 8), gate);
		if (wide)
			put64(g, IDT + i * 16 + 8, 0);
	}
	put64(g, GDT + 8, wide ? 0x00af9a000000ffff : 0x00cf9a000000ffff);
	put64(g, GDT + 16, 0x00cf92000000ffff);
	put64(g, GDT + 24, 0x00cffa000000ffff);
	put64(g, GDT + 32, 0x00cff2000000ffff);
	for (unsigned int i = 5; i < 16; i++)
		put64(g, GDT + i * 8, rng_next(r));
}

static struct kvm_segment segment(uint16_t selector, uint8_t type, bool wide)
{
	return (struct kvm_segment){
		.limit = 0xffffffff,
		.selector = selector,
		.type = type,
		.present = 1,
		.s = 1,
		.g = 1,
		.db = !(wide && type == 11),
		.l = wide && type == 11,
	};
}

static void set_mode(struct guest *g, struct rng *r, unsigned int mode)
{
	struct kvm_sregs s = g->reset;

	s.cs.base = 0;
	s.cs.selector = 0;
	if (mode == 0) {
		s.cs.base = CODE;
		s.cs.selector = CODE >> 4;
		s.idt.limit = 0x3ff;
	} else {
		bool wide = mode == 2;

		s.cs = segment(8, 11, wide);
		s.ds = s.es = s.fs = s.gs = s.ss = segment(16, 3, false);
		s.tr = (struct kvm_segment){
			.selector = 40, .limit = 0x67, .type = 11, .present = 1
		};
		s.cr0 = 0x60000031;
		s.gdt.base = GDT;
		s.gdt.limit = 0x7f;
		s.idt.base = IDT;
		s.idt.limit = rng_one_in(r, 3) ? 0 : (wide ? 0xfff : 0x7ff);
		make_descriptors(g, r, wide);
		if (wide) {
			make_tables(g, r);
			s.cr3 = TABLES;
			s.cr4 = 0x620;
			s.efer = 0xd00;
			s.cr0 |= 0x80000000;
		}
	}
	if (ioctl(g->vcpu, KVM_SET_SREGS, &s))
		fail("SET_SREGS for mode %u: %s", mode, strerror(errno));
}

static void set_regs(struct guest *g, struct rng *r, unsigned int mode)
{
	struct kvm_vcpu_events e = { .flags = 0 };
	struct kvm_regs k;
	uint64_t *words = (uint64_t *)(void *)&k;

	for (unsigned int i = 0; i < 16; i++)
		words[i] = rng_one_in(r, 3) ? rng_next(r) : rng_below(r, RAM);
	k.rsp = mode ? 0xf000 : 0x7000;
	k.rip = mode ? CODE : 0;
	k.rflags = 2 | (rng_one_in(r, 4) ? rng_next(r) & 0x244cd5 : 0);
	ioctl(g->vcpu, KVM_SET_VCPU_EVENTS, &e);
	if (ioctl(g->vcpu, KVM_SET_REGS, &k))
		fail("SET_REGS: %s", strerror(errno));
}

/* ---- running one ---- */

/* Whether this is one of the ways a guest may end or pause. */
static bool allowed(struct guest *g, int ret, int error)
{
	static const uint32_t good[] = {
		KVM_EXIT_IO,
		KVM_EXIT_HYPERCALL,
		KVM_EXIT_DEBUG,
		KVM_EXIT_HLT,
		KVM_EXIT_MMIO,
		KVM_EXIT_SHUTDOWN,
		KVM_EXIT_INTERNAL_ERROR,
		KVM_EXIT_IRQ_WINDOW_OPEN,
		KVM_EXIT_FAIL_ENTRY,
		KVM_EXIT_SYSTEM_EVENT,
		KVM_EXIT_SET_TPR,
	};

	if (ret < 0 && (error == EINTR || error == EAGAIN))
		return true;
	if (ret < 0)
		return error == EFAULT &&
		       (g->run->exit_reason == KVM_EXIT_UNKNOWN ||
			(g->guarded && g->run->exit_reason == KVM_EXIT_MEMORY_FAULT));
	for (size_t i = 0; i < COUNT(good); i++)
		if (good[i] == g->run->exit_reason)
			return true;
	return false;
}

static bool goes_on(struct guest *g, int ret)
{
	if (ret < 0)
		return false;
	switch (g->run->exit_reason) {
	case KVM_EXIT_IO:
	case KVM_EXIT_HLT:
	case KVM_EXIT_MMIO:
	case KVM_EXIT_HYPERCALL:
	case KVM_EXIT_DEBUG:
		return true;
	default:
		return false;
	}
}

static void answer(struct guest *g, struct rng *r)
{
	uint32_t reason = g->run->exit_reason;

	if (reason == KVM_EXIT_IO && g->run->io.direction == KVM_EXIT_IO_IN)
		rng_fill(r, (uint8_t *)g->run + PG, 64);
	if (reason == KVM_EXIT_IO && (g->run->io.data_offset != PG || g->run->io.size > 4 ||
				      g->run->io.count * g->run->io.size > PG))
		fail("an I/O exit that does not fit its page");
	if (reason == KVM_EXIT_MMIO && g->run->mmio.len > 8)
		fail("an MMIO exit of %u bytes", g->run->mmio.len);
	if (reason == KVM_EXIT_MMIO && !g->run->mmio.is_write)
		rng_fill(r, g->run->mmio.data, 8);
}

static void run_program(struct guest *g, struct rng *r)
{
	unsigned int mode = (unsigned int)rng_below(r, 3);
	struct kvm_regs k;
	int ret = 0;

	if (rng_one_in(r, 16))
		rng_fill(r, g->ram, UPPER);
	make_code(r, g->ram + CODE, PG);
	if (rng_one_in(r, 2))
		memset(g->ram + CODE + rng_below(r, 64) + 8, 0xf4, 32);
	set_mode(g, r, mode);
	set_regs(g, r, mode);
	budget_start(g->run, 3000);
	for (unsigned int exits = 0; exits < 100 && !g->run->immediate_exit; exits++) {
		ret = ioctl(g->vcpu, KVM_RUN, 0);
		if (!allowed(g, ret, errno))
			fail("mode %u: KVM_RUN gave %d (%s), exit reason %u", mode, ret,
			     ret < 0 ? strerror(errno) : "ok", g->run->exit_reason);
		outcomes[g->run->exit_reason & 63]++;
		if (!goes_on(g, ret))
			break;
		answer(g, r);
	}
	budget_spent += ret < 0 && errno == EINTR;
	budget_start(NULL, 0);
	g->run->immediate_exit = 1;
	for (int i = 0; i < 8 && ioctl(g->vcpu, KVM_RUN, 0) == 0; i++)
		;
	g->run->immediate_exit = 0;
	if (ioctl(g->vcpu, KVM_GET_REGS, &k) || !(k.rflags & 2))
		fail("registers after a program");
	programs++;
}

static void slice(uint64_t slice_seed, uint64_t until_ms)
{
	struct rng r = { slice_seed };
	unsigned int fds = 0;
	struct guest g;

	/* What the first guest_memfd of a process makes stays: the share. */
	for (int i = 0; i < 64; i++) {
		make_vm(&g, &r);
		drop_vm(&g);
		if (g.guarded)
			break;
	}
	while (now_ms() < until_ms) {
		make_vm(&g, &r);
		disturber_start(&g, &r);
		for (unsigned int i = 0; i < 200 && now_ms() < until_ms; i++)
			run_program(&g, &r);
		disturber_stop(&g);
		drop_vm(&g);
		if (!fds)
			fds = nr_fds();
		else if (nr_fds() != fds)
			fail("%u descriptors open, were %u", nr_fds(), fds);
	}
	printf("%llu programs, out of budget %llu; io %llu hlt %llu mmio %llu shutdown %llu "
	       "internal error %llu memory fault %llu hypercall %llu debug %llu\n",
	       (unsigned long long)programs, (unsigned long long)budget_spent,
	       (unsigned long long)outcomes[2], (unsigned long long)outcomes[5],
	       (unsigned long long)outcomes[6], (unsigned long long)outcomes[8],
	       (unsigned long long)outcomes[17], (unsigned long long)outcomes[39],
	       (unsigned long long)outcomes[3], (unsigned long long)outcomes[4]);
}

int main(void)
{
	return fuzz_main("guest", 10000, 20000, slice);
}
