/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The rest of a vCPU's state: MSRs, FPU, events, debug registers, translation, injection. */
#include "probe.h"

/* struct kvm_msrs with room */
struct msrs {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry e[4];
};

static int msr_get(int v, struct msrs *m, uint32_t nr)
{
	m->nmsrs = nr;
	return ioctl(v, KVM_GET_MSRS, m);
}

static int msr_set(int v, uint32_t index, uint64_t data)
{
	struct msrs m = { .nmsrs = 1, .e = { { .index = index, .data = data } } };

	return ioctl(v, KVM_SET_MSRS, &m);
}

static void one_msr(int v, const char *name, uint32_t index, uint64_t data)
{
	struct msrs m = { .e = { { .index = index } } };

	say_ret(qf("SET_MSRS %s %#lx", name, data), msr_set(v, index, data));
	msr_get(v, &m, 1);
	say(qf("GET_MSRS %s after %#lx", name, data), "%#lx", (long)m.e[0].data);
}

static void msrs(void)
{
	struct guest g;
	struct msrs m = { .e = { { .index = 0x174 }, { .index = 0xdead }, { .index = 0x175 } } };
	int v;

	guest_make(&g, 0, GUEST_FLAT32);
	v = g.vcpu;
	say_ret("GET_MSRS: good, unknown, good", msr_get(v, &m, 3));
	say_ret("GET_MSRS of none", msr_get(v, &m, 0));
	say_ok("GET_MSRS of 256", msr_get(v, &m, 256));
	m.e[0].index = 0xdead;
	say_ret("GET_MSRS of an unknown one", msr_get(v, &m, 1));
	say_ret("SET_MSRS of an unknown one, 0", msr_set(v, 0xdead, 0));
	say_ret("SET_MSRS of an unknown one, 1", msr_set(v, 0xdead, 1));
	say_ok("GET_MSRS(NULL)", ioctl(v, KVM_GET_MSRS, NULL));
	say_ok("SET_MSRS(NULL)", ioctl(v, KVM_SET_MSRS, NULL));
	one_msr(v, "SYSENTER_CS", 0x174, 0x10);
	one_msr(v, "STAR", 0xc0000081, 0x23001000000000);
	one_msr(v, "LSTAR", 0xc0000082, 0xffffffff81000000);
	one_msr(v, "LSTAR", 0xc0000082, 1ULL << 62);
	one_msr(v, "FS_BASE", 0xc0000100, 0x7fff00001000);
	one_msr(v, "KERNEL_GS_BASE", 0xc0000102, 0x7fff00002000);
	one_msr(v, "KERNEL_GS_BASE", 0xc0000102, 1ULL << 60);
	one_msr(v, "TSC_AUX", 0xc0000103, 77);
	one_msr(v, "PAT", 0x277, 0x0007040600070406);
	one_msr(v, "PAT", 0x277, 0x0207040600070406);
	one_msr(v, "EFER", 0xc0000080, 0x901);
	one_msr(v, "EFER", 0xc0000080, 1ULL << 40);
	one_msr(v, "MTRR_DEFTYPE", 0x2ff, 0xc06);
	one_msr(v, "MISC_ENABLE", 0x1a0, 1);
	one_msr(v, "APIC_BASE", 0x1b, 0xfee00900);
}

static void msrs_in_guest(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	/* mov ecx, 0x174; mov eax, 0x33; xor edx, edx; wrmsr; xor eax, eax; rdmsr; out 0x10, eax */
	guest_load(&g, 0xb9, 0x74, 1, 0, 0, 0xb8, 0x33, 0, 0, 0, 0x31, 0xd2, 0x0f, 0x30, 0x31, 0xc0,
		   0x0f, 0x32, 0xe7, 0x10, 0xf4);
	say("wrmsr and rdmsr", "%s", guest_go(&g));
	guest_load(&g, 0xb9, 0xad, 0xde, 0, 0, 0x0f, 0x32, 0xf4);
	say("rdmsr of an unknown one, no IDT", "%s", guest_go(&g));
	guest_make(&g, 0, GUEST_FLAT32);
	/* rdtsc; mov ebx, eax; rdtsc; sub eax, ebx; setae al; movzx eax, al; out 0x10, eax */
	guest_load(&g, 0x0f, 0x31, 0x89, 0xc3, 0x0f, 0x31, 0x29, 0xd8, 0x0f, 0x93, 0xc0, 0x0f, 0xb6,
		   0xc0, 0xe7, 0x10, 0xf4);
	say("rdtsc does not go back", "%s", guest_go(&g));
}

static void fpu(void)
{
	struct guest g;
	struct kvm_fpu f, t;
	struct kvm_xsave *x = calloc(1, 16384);

	guest_make(&g, 0, GUEST_LONG64);
	ioctl(g.vcpu, KVM_GET_XSAVE, x);
	((uint64_t *)(void *)x)[64] |= 3;
	x->region[6] = 0x1f80;
	say_ok("SET_XSAVE with x87 and SSE in use", ioctl(g.vcpu, KVM_SET_XSAVE, x));
	ioctl(g.vcpu, KVM_GET_FPU, &f);
	memset(f.xmm[3], 0x3a, 16);
	f.fcw = 0x27f;
	say_ok("SET_FPU", ioctl(g.vcpu, KVM_SET_FPU, &f));
	ioctl(g.vcpu, KVM_GET_FPU, &t);
	say("xmm3 and fcw", "%#x %#x", t.xmm[3][15], t.fcw);
	say_ok("GET_XSAVE", ioctl(g.vcpu, KVM_GET_XSAVE, x));
	say("xmm3 in it", "%#x", ((uint8_t *)x)[160 + 48]);
	say("fcw in it", "%#x", *(uint16_t *)(void *)x);
	memset((uint8_t *)x + 160 + 48, 0x5b, 16);
	say_ok("SET_XSAVE", ioctl(g.vcpu, KVM_SET_XSAVE, x));
	ioctl(g.vcpu, KVM_GET_FPU, &t);
	say("xmm3 after SET_XSAVE", "%#x", t.xmm[3][15]);
	((uint64_t *)(void *)x)[64] = 1ULL << 62;
	say_ok("SET_XSAVE with an unknown feature", ioctl(g.vcpu, KVM_SET_XSAVE, x));
	ioctl(g.vcpu, KVM_GET_XSAVE, x);
	x->region[6] = 0xffffffff;
	say_ok("SET_XSAVE with a bad mxcsr", ioctl(g.vcpu, KVM_SET_XSAVE, x));
	/* movd eax, xmm3; out 0x10, eax */
	guest_load(&g, 0x66, 0x0f, 0x7e, 0xd8, 0xe7, 0x10, 0xf4);
	say("xmm3 in the guest", "%s", guest_go(&g));
	say_ok("SET_FPU(NULL)", ioctl(g.vcpu, KVM_SET_FPU, NULL));
}

static void xcrs(void)
{
	struct guest g;
	struct kvm_xcrs x;

	guest_make(&g, 0, GUEST_FLAT32);
	if (ioctl(g.vcpu, KVM_GET_XCRS, &x))
		cannot_ask();
	say_ok("SET_XCRS of the same", ioctl(g.vcpu, KVM_SET_XCRS, &x));
	x.nr_xcrs = 17;
	say_ok("SET_XCRS with 17 entries", ioctl(g.vcpu, KVM_SET_XCRS, &x));
	x.nr_xcrs = 1;
	x.flags = 1;
	say_ok("SET_XCRS with flags", ioctl(g.vcpu, KVM_SET_XCRS, &x));
	x.flags = 0;
	x.xcrs[0].value = 0;
	say_ok("SET_XCRS without x87", ioctl(g.vcpu, KVM_SET_XCRS, &x));
	x.xcrs[0].value = 5;
	say_ok("SET_XCRS with AVX and no SSE", ioctl(g.vcpu, KVM_SET_XCRS, &x));
	x.xcrs[0].value = 3;
	say_ok("SET_XCRS x87 and SSE", ioctl(g.vcpu, KVM_SET_XCRS, &x));
	x.xcrs[0].xcr = 3;
	x.xcrs[0].value = 0;
	say_ok("SET_XCRS of another register", ioctl(g.vcpu, KVM_SET_XCRS, &x));
	x.nr_xcrs = 0;
	say_ok("SET_XCRS of none", ioctl(g.vcpu, KVM_SET_XCRS, &x));
	say_ok("SET_XCRS(NULL)", ioctl(g.vcpu, KVM_SET_XCRS, NULL));
}

static void mp_state(void)
{
	struct guest g;
	struct kvm_mp_state s;

	guest_make(&g, 0, GUEST_FLAT32);
	for (uint32_t i = 0; i <= 10; i++) {
		s.mp_state = i;
		say_ok(qf("SET_MP_STATE %u", i), ioctl(g.vcpu, KVM_SET_MP_STATE, &s));
	}
	s.mp_state = 0;
	ioctl(g.vcpu, KVM_SET_MP_STATE, &s);
	guest_load(&g, 0xf4);
	guest_go(&g);
	ioctl(g.vcpu, KVM_GET_MP_STATE, &s);
	say("mp_state after a hlt exit", "%u", s.mp_state);
	say_ok("SET_MP_STATE(NULL)", ioctl(g.vcpu, KVM_SET_MP_STATE, NULL));
}

/* ---- events ---- */

static void events(void)
{
	struct guest g;
	struct kvm_vcpu_events e, t;

	guest_make(&g, 0, GUEST_FLAT32);
	ioctl(g.vcpu, KVM_GET_VCPU_EVENTS, &e);
	say_ok("SET_VCPU_EVENTS of the same", ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &e));
	t = e;
	t.flags = 1 << 10;
	say_ok("flag bit 10", ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &t));
	t = e;
	t.flags = KVM_VCPUEVENT_VALID_PAYLOAD;
	say_ok("PAYLOAD without the capability", ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &t));
	t = e;
	t.flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	say_ok("TRIPLE_FAULT without the capability", ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &t));
	t = e;
	t.exception.injected = 1;
	t.exception.nr = 32;
	say_ok("exception 32", ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &t));
	t.exception.nr = 2;
	say_ok("exception 2", ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &t));
	t.exception.nr = 13;
	t.exception.has_error_code = 1;
	t.exception.error_code = 0x18;
	say_ok("exception 13", ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, &t));
	ioctl(g.vcpu, KVM_GET_VCPU_EVENTS, &t);
	say("read back", "injected %u pending %u nr %u code %#x", t.exception.injected,
	    t.exception.pending, t.exception.nr, t.exception.error_code);
	guest_load(&g, 0xf4);
	say("the guest then, no IDT", "%s", guest_go(&g));
	say_ok("SET_VCPU_EVENTS(NULL)", ioctl(g.vcpu, KVM_SET_VCPU_EVENTS, NULL));
}

static void injection(void)
{
	struct guest g;
	struct kvm_interrupt i = { .irq = 0x41 };

	guest_make(&g, 0, GUEST_REAL);
	memcpy(g.mem + 0x41 * 4, "\x00\x65\x00\x00", 4);
	memcpy(g.mem + 2 * 4, "\x00\x66\x00\x00", 4);
	memcpy(g.mem + 0x6500, "\xe6\x41\xcf", 3);
	memcpy(g.mem + 0x6600, "\xe6\x02\xcf", 3);
	guest_load(&g, 0x90, 0xf4);
	say_ok("NMI", ioctl(g.vcpu, KVM_NMI, 0));
	say("the guest takes it", "%s", guest_go(&g));
	say("and ends", "%s", guest_go(&g));
	guest_load(&g, 0xfb, 0x90, 0x90, 0xf4);
	say_ok("INTERRUPT 0x41", ioctl(g.vcpu, KVM_INTERRUPT, &i));
	say_ok("INTERRUPT again before it is taken", ioctl(g.vcpu, KVM_INTERRUPT, &i));
	say("the guest takes that", "%s", guest_go(&g));
	say("and goes on", "%s", guest_go(&g));
	i.irq = 256;
	say_ok("INTERRUPT 256", ioctl(g.vcpu, KVM_INTERRUPT, &i));
	say_ok("INTERRUPT(NULL)", ioctl(g.vcpu, KVM_INTERRUPT, NULL));
}

static void interrupt_window(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_REAL);
	guest_load(&g, 0x90, 0xfb, 0x90, 0x90, 0xe6, 0x10, 0xf4);
	g.run->request_interrupt_window = 1;
	say("interrupt window asked for", "%s", guest_go(&g));
	say("rip there", "%#lx", guest_rip(&g));
	say("ready_for_interrupt_injection", "%u", g.run->ready_for_interrupt_injection);
	g.run->request_interrupt_window = 0;
	say("and on", "%s", guest_go(&g));
}

static void debugregs(void)
{
	struct guest g;
	struct kvm_debugregs d, t;

	guest_make(&g, 0, GUEST_FLAT32);
	ioctl(g.vcpu, KVM_GET_DEBUGREGS, &d);
	say_ok("SET_DEBUGREGS of the same", ioctl(g.vcpu, KVM_SET_DEBUGREGS, &d));
	t = d;
	t.flags = 1;
	say_ok("with flags", ioctl(g.vcpu, KVM_SET_DEBUGREGS, &t));
	t = d;
	t.dr7 = 1ULL << 40;
	say_ok("with a high bit in dr7", ioctl(g.vcpu, KVM_SET_DEBUGREGS, &t));
	t = d;
	t.dr6 = 1ULL << 40;
	say_ok("with a high bit in dr6", ioctl(g.vcpu, KVM_SET_DEBUGREGS, &t));
	t = d;
	t.db[1] = 0x123456;
	t.dr6 = 0xffff0ff1;
	say_ok("with db1 and dr6", ioctl(g.vcpu, KVM_SET_DEBUGREGS, &t));
	ioctl(g.vcpu, KVM_GET_DEBUGREGS, &t);
	say("read back", "%#llx %#llx", (unsigned long long)t.db[1], (unsigned long long)t.dr6);
}

static void translate(void)
{
	static const uint64_t addrs[] = { 0x1234,     0x40000010, 0x80000000,
					  0xc0000000, 1ULL << 40, 1ULL << 62 };
	struct guest g;

	guest_make(&g, 0, GUEST_LONG64);
	for (size_t i = 0; i < COUNT(addrs); i++) {
		struct kvm_translation t = { .linear_address = addrs[i] };

		say_ok(qf("TRANSLATE %#lx", addrs[i]), ioctl(g.vcpu, KVM_TRANSLATE, &t));
		say(qf("TRANSLATE %#lx: result", addrs[i]), "%#llx valid %u writeable %u user %u",
		    (unsigned long long)t.physical_address, t.valid, t.writeable, t.usermode);
	}
	say_ok("TRANSLATE(NULL)", ioctl(g.vcpu, KVM_TRANSLATE, NULL));
}

static void guest_debug(void)
{
	struct guest g;
	struct kvm_guest_debug d = { .control = 0x80000000 };

	guest_make(&g, 0, GUEST_FLAT32);
	guest_load(&g, 0x90, 0x90, 0xf4);
	say_ok("SET_GUEST_DEBUG with an unknown bit", ioctl(g.vcpu, KVM_SET_GUEST_DEBUG, &d));
	d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	say_ok("SET_GUEST_DEBUG single step", ioctl(g.vcpu, KVM_SET_GUEST_DEBUG, &d));
	say("a step", "%s", guest_go(&g));
	d.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP;
	say_ok("SET_GUEST_DEBUG software breakpoints", ioctl(g.vcpu, KVM_SET_GUEST_DEBUG, &d));
	d.control = 0;
	say_ok("SET_GUEST_DEBUG off", ioctl(g.vcpu, KVM_SET_GUEST_DEBUG, &d));
}

static const struct probe_case list[] = {
	{ "msrs", "msrs", msrs },
	{ "msrs", "in the guest", msrs_in_guest },
	{ "fpu", "fpu", fpu },
	{ "fpu", "xcrs", xcrs },
	{ "mp-state", "mp state", mp_state },
	{ "events", "events", events },
	{ "events", "injection", injection },
	{ "events", "interrupt window", interrupt_window },
	{ "debugregs", "debugregs", debugregs },
	{ "translate", "translate", translate },
	{ "guest-debug", "guest debug", guest_debug },
};

const struct probe_list cases_vcpu_more = { list, COUNT(list) };
