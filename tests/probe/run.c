/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* KVM_RUN itself: ports, immediate_exit, signals, what stays in kvm_run, synchronized registers. */
#include "probe.h"

#include <pthread.h>

#define BASE 0xc0000000UL

static void ports(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	guest_load(&g, 0xb8, 0x44, 0x33, 0x22, 0x11, 0xe6, 0x10, 0x66, 0xe7, 0x10, 0xe7, 0x10,
		   0xf4);
	say("out of 1", "%s", guest_go(&g));
	say("rip at it", "%#lx", guest_rip(&g));
	say("out of 2", "%s", guest_go(&g));
	say("out of 4", "%s", guest_go(&g));
	say("hlt", "%s", guest_go(&g));
	say("rip after hlt", "%#lx", guest_rip(&g));
	say("run again after hlt", "%s", guest_go(&g));
	/* mov dx, 0x1234; in al, dx; hlt */
	guest_load(&g, 0x66, 0xba, 0x34, 0x12, 0xec, 0xf4);
	guest_set_rax(&g, 0xffffffff);
	say("in of 1", "%s", guest_go(&g));
	say("rip at it again", "%#lx", guest_rip(&g));
	*((uint8_t *)g.run + g.run->io.data_offset) = 0x5e;
	guest_go(&g);
	say("eax after in of 1", "%#lx", guest_rax(&g));
	guest_load(&g, 0x66, 0xe5, 0x10, 0xf4);
	guest_set_rax(&g, 0xffffffff);
	guest_go(&g);
	memcpy((uint8_t *)g.run + g.run->io.data_offset, "\x01\x02", 2);
	guest_go(&g);
	say("eax after in of 2", "%#lx", guest_rax(&g));
	guest_load(&g, 0xe5, 0x10, 0xf4);
	guest_set_rax(&g, 0xffffffff);
	guest_go(&g);
	memcpy((uint8_t *)g.run + g.run->io.data_offset, "\x01\x02\x03\x04", 4);
	guest_go(&g);
	say("eax after in of 4", "%#lx", guest_rax(&g));
}

static void port_strings(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	memcpy(g.mem + 0x5000, "abcdef", 6);
	/* mov esi, 0x5000; mov ecx, 4; mov dx, 0x20; rep outsb; hlt */
	guest_load(&g, 0xbe, 0, 0x50, 0, 0, 0xb9, 4, 0, 0, 0, 0x66, 0xba, 0x20, 0, 0xf3, 0x6e,
		   0xf4);
	for (int i = 0; i < 5; i++) {
		say(qf("rep outsb of 4: exit %d", i + 1), "%s", guest_go(&g));
		if (g.run->exit_reason != KVM_EXIT_IO)
			break;
	}
	/* mov edi, 0x5000; mov ecx, 3; mov dx, 0x20; rep insb; hlt */
	guest_load(&g, 0xbf, 0, 0x50, 0, 0, 0xb9, 3, 0, 0, 0, 0x66, 0xba, 0x20, 0, 0xf3, 0x6c,
		   0xf4);
	for (int i = 0; i < 5; i++) {
		say(qf("rep insb of 3: exit %d", i + 1), "%s", guest_go(&g));
		if (g.run->exit_reason != KVM_EXIT_IO)
			break;
		memset((uint8_t *)g.run + g.run->io.data_offset, 'A' + i, g.run->io.count);
	}
	g.mem[0x5004] = 0;
	say("what rep insb stored", "%s", (char *)g.mem + 0x5000);
}

static void arguments(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	guest_load(&g, 0xf4);
	say_ok("KVM_RUN with an argument", ioctl(g.vcpu, KVM_RUN, 1));
	g.run->exit_reason = 77;
	g.run->immediate_exit = 1;
	say_ok("immediate_exit", ioctl(g.vcpu, KVM_RUN, 0));
	say("exit_reason then", "%u", g.run->exit_reason);
	say_ok("immediate_exit and an argument", ioctl(g.vcpu, KVM_RUN, 1));
	g.run->immediate_exit = 255;
	say_ok("immediate_exit 255", ioctl(g.vcpu, KVM_RUN, 0));
	g.run->immediate_exit = 0;
	say("then hlt", "%s", guest_go(&g));
	say("if_flag", "%u", g.run->if_flag);
	say("ready_for_interrupt_injection", "%u", g.run->ready_for_interrupt_injection);
	say("cr8", "%#lx", (long)g.run->cr8);
	say("apic_base", "%#lx", (long)g.run->apic_base);
	say("flags", "%#x", g.run->flags);
	guest_load(&g, 0xfb, 0x90, 0x90, 0xf4);
	say("sti and hlt", "%s", guest_go(&g));
	say("if_flag after sti", "%u", g.run->if_flag);
	say("ready_for_interrupt_injection after sti", "%u", g.run->ready_for_interrupt_injection);
}

static void completion(void)
{
	struct guest g;
	struct kvm_regs r = { .rflags = 2, .rsp = GUEST_STACK };

	guest_make(&g, 0, GUEST_FLAT32);
	guest_load(&g, 0xe4, 0x10, 0xe6, 0x11, 0xf4);
	guest_go(&g);
	*((uint8_t *)g.run + g.run->io.data_offset) = 0x77;
	g.run->immediate_exit = 1;
	say("immediate_exit on a pending in", "%s", guest_go(&g));
	say("rip after a completed in", "%#lx", guest_rip(&g));
	say("al then", "%#lx", guest_rax(&g) & 255);
	say("immediate_exit once more", "%s", guest_go(&g));
	g.run->immediate_exit = 0;
	say("the out after it", "%s", guest_go(&g));
	say("rip at the out", "%#lx", guest_rip(&g));
	guest_load(&g, 0xa1, 0, 0, 0, 0xc0, 0xf4);
	guest_go(&g);
	memcpy(g.run->mmio.data, "\x01\x02\x03\x04", 4);
	g.run->immediate_exit = 1;
	say("immediate_exit on a pending load", "%s", guest_go(&g));
	say("rip after a completed load", "%#lx", guest_rip(&g));
	say("eax then", "%#lx", guest_rax(&g));
	g.run->immediate_exit = 0;
	guest_load(&g, 0xe4, 0x10, 0xf4, 0xe6, 0x12, 0xf4);
	guest_go(&g);
	r.rip = GUEST_CODE + 3;
	ioctl(g.vcpu, KVM_SET_REGS, &r);
	*((uint8_t *)g.run + g.run->io.data_offset) = 0x77;
	say("rip changed under a pending in", "%s", guest_go(&g));
}

/* ---- signals ---- */

static void nothing(int sig)
{
	(void)sig;
}

static void *kick(void *arg)
{
	usleep(100000);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void signals(void)
{
	struct guest g;
	struct sigaction sa = { .sa_handler = nothing };
	pthread_t thread, self = pthread_self();

	guest_make(&g, 0, GUEST_FLAT32);
	sigaction(SIGUSR1, &sa, NULL);
	guest_load(&g, 0xeb, 0xfe);
	pthread_create(&thread, NULL, kick, &self);
	say("a signal while the guest spins", "%s", guest_go(&g));
	pthread_join(thread, NULL);
	say("rip after a signal", "%#lx", guest_rip(&g));
	sa.sa_flags = SA_RESTART;
	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&thread, NULL, kick, &self);
	say("a signal with SA_RESTART", "%s", guest_go(&g));
	pthread_join(thread, NULL);
}

static void signal_masks(void)
{
	struct guest g;
	struct {
		uint32_t len;
		uint64_t set;
	} __attribute__((packed)) mask = { .len = 8 };
	struct sigaction sa = { .sa_handler = nothing };
	sigset_t set;

	guest_make(&g, 0, GUEST_FLAT32);
	sigaction(SIGUSR1, &sa, NULL);
	guest_load(&g, 0xe6, 0x10, 0xf4);
	say_ok("SET_SIGNAL_MASK", ioctl(g.vcpu, KVM_SET_SIGNAL_MASK, &mask));
	mask.len = 4;
	say_ok("SET_SIGNAL_MASK of length 4", ioctl(g.vcpu, KVM_SET_SIGNAL_MASK, &mask));
	mask.len = 8;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	say("pending signal let in by the mask", "%s", guest_go(&g));
	mask.set = ~0UL;
	ioctl(g.vcpu, KVM_SET_SIGNAL_MASK, &mask);
	raise(SIGUSR1);
	say("pending signal kept out by the mask", "%s", guest_go(&g));
	say_ok("SET_SIGNAL_MASK(NULL)", ioctl(g.vcpu, KVM_SET_SIGNAL_MASK, NULL));
	say("pending blocked signal, no mask", "%s", guest_go(&g));
}

static void stale_fields(void)
{
	struct guest g;
	struct sigaction sa = { .sa_handler = nothing };
	pthread_t thread, self = pthread_self();

	guest_make(&g, 0, GUEST_FLAT32);
	sigaction(SIGUSR1, &sa, NULL);
	guest_load(&g, 0xeb, 0xfe);
	g.run->exit_reason = 77;
	memset(g.run->padding, 0x5a, sizeof(g.run->padding));
	pthread_create(&thread, NULL, kick, &self);
	say("a signal while the guest spins, exit_reason set before", "%s", guest_go(&g));
	pthread_join(thread, NULL);
	say("exit fields then", "%s", (uint8_t)g.run->padding[0] == 0x5a ? "kept" : "overwritten");
}

/* ---- synchronized registers ---- */

static void sync_regs(void)
{
	struct guest g;
	struct kvm_run *r;

	guest_make(&g, 0, GUEST_FLAT32);
	r = g.run;
	guest_load(&g, 0xb8, 0x21, 0, 0, 0, 0xe6, 0x10, 0xb8, 0x22, 0, 0, 0, 0xe6, 0x11, 0xe6, 0x12,
		   0xf4);
	r->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
	say("run with valid_regs", "%s", guest_go(&g));
	say("rax in kvm_run", "%#lx", (long)r->s.regs.regs.rax);
	say("cr0 in kvm_run", "%#lx", (long)r->s.regs.sregs.cr0);
	r->s.regs.regs.rbx = 0x1234;
	r->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	say("run with dirty_regs", "%s", guest_go(&g));
	say("dirty_regs after it", "%#lx", (long)r->kvm_dirty_regs);
	say("rbx after it", "%#lx", (long)r->s.regs.regs.rbx);
	r->kvm_valid_regs = 8;
	say("unknown bit in valid_regs", "%s", err_str(ioctl(g.vcpu, KVM_RUN, 0)));
	r->kvm_valid_regs = 0;
	r->kvm_dirty_regs = 8;
	say("unknown bit in dirty_regs", "%s", err_str(ioctl(g.vcpu, KVM_RUN, 0)));
	r->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	r->s.regs.sregs.cr4 = 1ULL << 40;
	say("bad cr4 in dirty sregs", "%s", err_str(ioctl(g.vcpu, KVM_RUN, 0)));
}

/* ---- ends of a guest ---- */

static void ends(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	guest_load(&g, 0x0f, 0x0b);
	say("ud2 without an IDT", "%s", guest_go(&g));
	guest_make(&g, 0, GUEST_FLAT32);
	guest_load(&g, 0xf1);
	say("int1 without an IDT", "%s", guest_go(&g));
	guest_make(&g, 0, GUEST_LONG64);
	guest_load(&g, 0x8a, 0x04, 0x25, 0, 0, 0, 0x80 | 0x70);
	say("page fault without an IDT", "%s", guest_go(&g));
	guest_make(&g, 0, GUEST_LONG64);
	guest_load(&g, 0x0f, 0x01, 0xc1, 0xf4);
	guest_set_rax(&g, 99);
	say("unknown hypercall", "%s", guest_go(&g));
	say("rax after it", "%ld", (long)guest_rax(&g));
}

static void table_nowhere(void)
{
	struct guest g;
	struct kvm_sregs s;

	guest_make(&g, 0, GUEST_FLAT32);
	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.idt.base = BASE;
	s.idt.limit = 0xfff;
	ioctl(g.vcpu, KVM_SET_SREGS, &s);
	guest_load(&g, 0x0f, 0x0b);
	say("ud2 with an IDT where no slot is", "%s", guest_go(&g));
	if (g.run->exit_reason != KVM_EXIT_INTERNAL_ERROR)
		return;
	say("its ndata and fourth word", "%u %#llx", g.run->internal.ndata,
	    (unsigned long long)g.run->internal.data[3]);
}

static void real_mode(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_REAL);
	/* mov ax, 0x1234; mov ds, ax; mov al, [0]; hlt */
	guest_load(&g, 0xb8, 0x34, 0x02, 0x8e, 0xd8, 0xa0, 0, 0, 0xf4);
	g.mem[0x2340] = 0x6a;
	say("load through ds", "%s", guest_go(&g));
	say("al", "%#lx", guest_rax(&g) & 255);
	/* int 0x21 through the table at 0 */
	memcpy(g.mem + 0x21 * 4, "\x00\x65\x00\x00", 4);
	memcpy(g.mem + 0x6500, "\xe6\x21\xcf", 3);
	guest_load(&g, 0xcd, 0x21, 0xe6, 0x22, 0xf4);
	say("int 0x21", "%s", guest_go(&g));
	say("iret", "%s", guest_go(&g));
	/* to protected mode by hand: ds = 0, lgdt, mov cr0, far jump */
	memcpy(g.mem + 0x5000, "\x1f\x00\x08\x50\x00\x00", 6);
	memcpy(g.mem + 0x5010, "\xff\xff\0\0\0\x9a\xcf\0\xff\xff\0\0\0\x92\xcf\0", 16);
	guest_load(&g, 0x31, 0xc0, 0x8e, 0xd8, 0x0f, 0x01, 0x16, 0x00, 0x50, 0x0f, 0x20, 0xc0, 0x0c,
		   0x01, 0x0f, 0x22, 0xc0, 0xea, 0x00, 0x66, 0x08, 0x00);
	memcpy(g.mem + 0x6600, "\xb8\x78\x56\x34\x12\xe7\x33\xf4", 8);
	say("into protected mode", "%s", guest_go(&g));
}

static void reset_vector(void)
{
	int vm = vm_new(0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	uint8_t *mem = anon_map(PG);
	struct guest g = { .vm = vm, .vcpu = vcpu };

	g.run = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	say("a fresh vCPU without memory", "%s", guest_go(&g));
	memcpy(mem + 0xff0, "\xe6\x55\xf4", 3);
	slot_v1(vm, 0, 0, 0xfffff000, PG, mem);
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 1);
	g.vcpu = vcpu;
	g.run = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	say("a fresh vCPU with code at the reset vector", "%s", guest_go(&g));
	say("rip there", "%#lx", guest_rip(&g));
}

static const struct probe_case list[] = {
	{ "pio", "ports", ports },
	{ "pio", "strings", port_strings },
	{ "run", "arguments", arguments },
	{ "run", "completion", completion },
	{ "run", "signals", signals },
	{ "run", "signal masks", signal_masks },
	{ "run", "stale fields", stale_fields },
	{ "run", "sync regs", sync_regs },
	{ "run", "ends", ends },
	{ "run", "table nowhere", table_nowhere },
	{ "run", "real mode", real_mode },
	{ "run", "reset vector", reset_vector },
};

const struct probe_list cases_run = { list, COUNT(list) };
