/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A vCPU's registers: the reset state, round trips, and what is refused. */
#include "probe.h"

static int vcpu_new(int vm)
{
	return ioctl(vm, KVM_CREATE_VCPU, 0);
}

static void say_segment(const char *name, const struct kvm_segment *s)
{
	say(qf("reset %s", name),
	    "base %#llx limit %#x sel %#x type %u p%u dpl%u db%u s%u l%u g%u avl%u u%u",
	    (unsigned long long)s->base, s->limit, s->selector, s->type, s->present, s->dpl, s->db,
	    s->s, s->l, s->g, s->avl, s->unusable);
}

static void reset_state(void)
{
	int v = vcpu_new(vm_new(0));
	struct kvm_regs r;
	struct kvm_sregs s;
	struct kvm_mp_state mp;

	ioctl(v, KVM_GET_REGS, &r);
	ioctl(v, KVM_GET_SREGS, &s);
	ioctl(v, KVM_GET_MP_STATE, &mp);
	say("reset rip", "%#lx", (long)r.rip);
	say("reset rflags", "%#lx", (long)r.rflags);
	say("reset rax rbx rcx rdx", "%#lx %#lx %#lx %#lx", (long)r.rax, (long)r.rbx, (long)r.rcx,
	    (long)r.rdx);
	say("reset rsp", "%#lx", (long)r.rsp);
	say_segment("cs", &s.cs);
	say_segment("ds", &s.ds);
	say_segment("es", &s.es);
	say_segment("fs", &s.fs);
	say_segment("gs", &s.gs);
	say_segment("ss", &s.ss);
	say_segment("tr", &s.tr);
	say_segment("ldt", &s.ldt);
	say("reset gdt", "base %#llx limit %#x", (unsigned long long)s.gdt.base, s.gdt.limit);
	say("reset idt", "base %#llx limit %#x", (unsigned long long)s.idt.base, s.idt.limit);
	say("reset cr0 cr2 cr3 cr4 cr8", "%#llx %#llx %#llx %#llx %#llx", (unsigned long long)s.cr0,
	    (unsigned long long)s.cr2, (unsigned long long)s.cr3, (unsigned long long)s.cr4,
	    (unsigned long long)s.cr8);
	say("reset efer", "%#llx", (unsigned long long)s.efer);
	say("reset apic_base", "%#llx", (unsigned long long)s.apic_base);
	say("reset mp_state", "%u", mp.mp_state);
}

static void reset_more(void)
{
	int v = vcpu_new(vm_new(0));
	struct kvm_fpu f;
	struct kvm_debugregs d;
	struct kvm_vcpu_events e;
	struct kvm_xcrs x;

	ioctl(v, KVM_GET_FPU, &f);
	say("reset fcw fsw mxcsr", "%#x %#x %#x", f.fcw, f.fsw, f.mxcsr);
	ioctl(v, KVM_GET_DEBUGREGS, &d);
	say("reset dr6 dr7 flags", "%#llx %#llx %#llx", (unsigned long long)d.dr6,
	    (unsigned long long)d.dr7, (unsigned long long)d.flags);
	say("reset db0-3", "%#llx %#llx %#llx %#llx", (unsigned long long)d.db[0],
	    (unsigned long long)d.db[1], (unsigned long long)d.db[2], (unsigned long long)d.db[3]);
	ioctl(v, KVM_GET_VCPU_EVENTS, &e);
	say("reset events: flags", "%#x", e.flags);
	say("reset events: exception", "injected %u nr %u error %u pending %u",
	    e.exception.injected, e.exception.nr, e.exception.has_error_code, e.exception.pending);
	say("reset events: interrupt, nmi", "%u %u %u %u, %u %u %u", e.interrupt.injected,
	    e.interrupt.nr, e.interrupt.soft, e.interrupt.shadow, e.nmi.injected, e.nmi.pending,
	    e.nmi.masked);
	say("reset events: sipi, smm", "%u, %u", e.sipi_vector, e.smi.smm);
	if (ioctl(v, KVM_GET_XCRS, &x))
		return;
	say("reset xcrs", "%u flags %u xcr %u value %#llx", x.nr_xcrs, x.flags, x.xcrs[0].xcr,
	    (unsigned long long)x.xcrs[0].value);
}

static void regs(void)
{
	int v = vcpu_new(vm_new(0));
	struct kvm_regs r, t;

	memset(&r, 0x11, sizeof(r));
	r.rflags = ~0ULL;
	r.rip = 0x123456789abcULL;
	say_ok("SET_REGS", ioctl(v, KVM_SET_REGS, &r));
	ioctl(v, KVM_GET_REGS, &t);
	say("rax after it", "%#lx", (long)t.rax);
	say("r15 after it", "%#lx", (long)t.r15);
	say("rip after it", "%#lx", (long)t.rip);
	say("rflags all ones", "%#lx", (long)t.rflags);
	r.rflags = 0;
	ioctl(v, KVM_SET_REGS, &r);
	ioctl(v, KVM_GET_REGS, &t);
	say("rflags 0", "%#lx", (long)t.rflags);
	r.rip = 1ULL << 62;
	say_ok("SET_REGS with a rip that is not canonical", ioctl(v, KVM_SET_REGS, &r));
	say_ok("SET_REGS(NULL)", ioctl(v, KVM_SET_REGS, NULL));
	say_ok("GET_REGS(NULL)", ioctl(v, KVM_GET_REGS, NULL));
}

/* ---- SET_SREGS ---- */

static void sregs_row(int v, const char *name, uint64_t cr0, uint64_t cr4, uint64_t efer,
		      uint64_t cr3)
{
	struct kvm_sregs s, before;

	ioctl(v, KVM_GET_SREGS, &before);
	s = before;
	s.cr0 = cr0;
	s.cr4 = cr4;
	s.efer = efer;
	s.cr3 = cr3;
	say_ok(qf("SET_SREGS %s", name), ioctl(v, KVM_SET_SREGS, &s));
	ioctl(v, KVM_GET_SREGS, &s);
	say(qf("SET_SREGS %s: then", name), "cr0 %#llx cr4 %#llx efer %#llx",
	    (unsigned long long)s.cr0, (unsigned long long)s.cr4, (unsigned long long)s.efer);
	ioctl(v, KVM_SET_SREGS, &before);
}

static void sregs(void)
{
	struct guest g;
	int v;

	guest_make(&g, 0, GUEST_REAL);
	v = g.vcpu;
	sregs_row(v, "PE", 0x11, 0, 0, 0);
	sregs_row(v, "PG without PE", 0x80000010, 0, 0, 0);
	sregs_row(v, "NW without CD", 0x20000011, 0, 0, 0);
	sregs_row(v, "cr0 bit 40", 0x11 | 1ULL << 40, 0, 0, 0);
	sregs_row(v, "cr0 reserved bit 7", 0x91, 0, 0, 0);
	sregs_row(v, "cr4 bit 40", 0x11, 1ULL << 40, 0, 0);
	sregs_row(v, "cr4 bit 15", 0x11, 1 << 15, 0, 0);
	sregs_row(v, "LME and PG without PAE", 0x80000011, 0, 0x100, 0);
	sregs_row(v, "LMA without PG", 0x11, 0x20, 0x500, 0);
	sregs_row(v, "LME, PG, PAE, LMA in 16-bit code", 0x80000011, 0x20, 0x500, 0);
	sregs_row(v, "LME, PG, PAE without LMA", 0x80000011, 0x20, 0x100, 0);
	sregs_row(v, "long mode with cr3 bit 62", 0x80000011, 0x20, 0x500, 1ULL << 62);
	sregs_row(v, "PAE paging", 0x80000011, 0x20, 0, 0x3000);
	sregs_row(v, "efer bit 40", 0x11, 0, 1ULL << 40, 0);
	sregs_row(v, "efer NX", 0x11, 0, 0x800, 0);
	say_ok("SET_SREGS(NULL)", ioctl(v, KVM_SET_SREGS, NULL));
	say_ok("GET_SREGS(NULL)", ioctl(v, KVM_GET_SREGS, NULL));
}

static void sregs_fields(void)
{
	struct guest g;
	struct kvm_sregs s, t;

	guest_make(&g, 0, GUEST_REAL);
	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.cr2 = 0x1234567812345678;
	s.cr8 = 5;
	s.gs.base = 0xffff888012345000;
	s.fs.limit = 0xfffff;
	s.idt.limit = 0x3ff;
	s.es.selector = 0x77;
	s.es.unusable = 1;
	say_ok("SET_SREGS of many fields", ioctl(g.vcpu, KVM_SET_SREGS, &s));
	ioctl(g.vcpu, KVM_GET_SREGS, &t);
	say("cr2", "%#llx", (unsigned long long)t.cr2);
	say("cr8", "%#llx", (unsigned long long)t.cr8);
	say("gs.base", "%#llx", (unsigned long long)t.gs.base);
	say("fs.limit", "%#x", t.fs.limit);
	say("idt.limit", "%#x", t.idt.limit);
	say("es.selector unusable", "%#x %u", t.es.selector, t.es.unusable);
	s.cr8 = 16;
	say_ok("cr8 16", ioctl(g.vcpu, KVM_SET_SREGS, &s));
	s.cr8 = 0;
	s.apic_base = 0xfee00d00;
	say_ok("apic_base x2apic", ioctl(g.vcpu, KVM_SET_SREGS, &s));
	s.apic_base = 0xfee00100;
	say_ok("apic_base disabled", ioctl(g.vcpu, KVM_SET_SREGS, &s));
	ioctl(g.vcpu, KVM_GET_SREGS, &t);
	say("apic_base after it", "%#llx", (unsigned long long)t.apic_base);
	s.apic_base = 0xfee00900 | 1;
	say_ok("apic_base reserved bit", ioctl(g.vcpu, KVM_SET_SREGS, &s));
}

static void sregs_bitmap(void)
{
	struct guest g;
	struct kvm_sregs s, t;

	guest_make(&g, 0, GUEST_REAL);
	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.interrupt_bitmap[1] = 4;
	say_ok("SET_SREGS with interrupt 66", ioctl(g.vcpu, KVM_SET_SREGS, &s));
	ioctl(g.vcpu, KVM_GET_SREGS, &t);
	say("interrupt_bitmap then", "%#llx %#llx", (unsigned long long)t.interrupt_bitmap[0],
	    (unsigned long long)t.interrupt_bitmap[1]);
}

static void sregs2(void)
{
	struct guest g;
	struct kvm_sregs2 s, t;
	uint64_t pdpte = 0x4001;

	guest_make(&g, 0, GUEST_FLAT32);
	say_ok("GET_SREGS2", ioctl(g.vcpu, KVM_GET_SREGS2, &s));
	say("flags", "%#llx", (unsigned long long)s.flags);
	say_ok("SET_SREGS2 of the same", ioctl(g.vcpu, KVM_SET_SREGS2, &s));
	s.flags = 2;
	say_ok("SET_SREGS2 with flag 2", ioctl(g.vcpu, KVM_SET_SREGS2, &s));
	s.flags = 1;
	say_ok("SET_SREGS2 with PDPTRS and no PAE", ioctl(g.vcpu, KVM_SET_SREGS2, &s));
	memcpy(g.mem + 0x3000, &pdpte, 8);
	s.flags = 0;
	s.cr0 |= 0x80000000;
	s.cr4 |= 0x20;
	s.cr3 = 0x3000;
	say_ok("SET_SREGS2 to PAE paging", ioctl(g.vcpu, KVM_SET_SREGS2, &s));
	ioctl(g.vcpu, KVM_GET_SREGS2, &t);
	say("flags in PAE paging", "%#llx", (unsigned long long)t.flags);
	say("pdptr 0 in PAE paging", "%#llx", (unsigned long long)t.pdptrs[0]);
	say_ok("SET_SREGS2(NULL)", ioctl(g.vcpu, KVM_SET_SREGS2, NULL));
}

/* ---- CPUID ---- */

static void cpuid(void)
{
	int v = vcpu_new(vm_new(0));
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 300 * sizeof(c->entries[0]));

	c->nent = 2;
	c->entries[0] = (struct kvm_cpuid_entry2){ .function = 0, .eax = 1, .ebx = 0x11 };
	c->entries[1] = (struct kvm_cpuid_entry2){ .function = 1, .eax = 0x600 };
	say_ok("SET_CPUID2 of two entries", ioctl(v, KVM_SET_CPUID2, c));
	c->nent = 0;
	say_ok("GET_CPUID2 without room", ioctl(v, KVM_GET_CPUID2, c));
	say("nent then", "%u", c->nent);
	c->nent = 100;
	say_ok("GET_CPUID2", ioctl(v, KVM_GET_CPUID2, c));
	say("nent", "%u", c->nent);
	say("entry 0", "eax %#x ebx %#x", c->entries[0].eax, c->entries[0].ebx);
	c->nent = 257;
	say_ok("SET_CPUID2 of 257", ioctl(v, KVM_SET_CPUID2, c));
	c->nent = 0;
	say_ok("SET_CPUID2 of none", ioctl(v, KVM_SET_CPUID2, c));
	say_ok("SET_CPUID2(NULL)", ioctl(v, KVM_SET_CPUID2, NULL));
	say_ok("GET_CPUID2(NULL)", ioctl(v, KVM_GET_CPUID2, NULL));
}

static void cpuid_after_run(void)
{
	struct guest g;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 300 * sizeof(c->entries[0]));

	guest_make(&g, 0, GUEST_FLAT32);
	guest_load(&g, 0xf4);
	guest_go(&g);
	c->nent = 256;
	ioctl(g.vcpu, KVM_GET_CPUID2, c);
	say_ok("SET_CPUID2 of the same after a run", ioctl(g.vcpu, KVM_SET_CPUID2, c));
	c->entries[0].eax++;
	say_ok("SET_CPUID2 of another after a run", ioctl(g.vcpu, KVM_SET_CPUID2, c));
	c->nent = 1;
	say_ok("SET_CPUID2 of fewer after a run", ioctl(g.vcpu, KVM_SET_CPUID2, c));
}

static void cpuid_in_guest(void)
{
	struct guest g;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 4 * sizeof(c->entries[0]));

	guest_make(&g, 0, GUEST_FLAT32);
	c->nent = 3;
	c->entries[0] = (struct kvm_cpuid_entry2){ .function = 0, .eax = 7 };
	c->entries[1] = (struct kvm_cpuid_entry2){
		.function = 7, .index = 0, .flags = 1, .eax = 1, .ebx = 0x700
	};
	c->entries[2] =
		(struct kvm_cpuid_entry2){ .function = 7, .index = 1, .flags = 1, .eax = 0x71 };
	say_ok("SET_CPUID2", ioctl(g.vcpu, KVM_SET_CPUID2, c));
	/* mov eax, 7; mov ecx, 1; cpuid; out 0x10, eax; mov eax, 7; mov ecx, 9; cpuid; out; hlt */
	guest_load(&g, 0xb8, 7, 0, 0, 0, 0xb9, 1, 0, 0, 0, 0x0f, 0xa2, 0xe7, 0x10, 0xb8, 7, 0, 0, 0,
		   0xb9, 9, 0, 0, 0, 0x0f, 0xa2, 0xe7, 0x10, 0xf4);
	say("cpuid 7.1 in the guest", "%s", guest_go(&g));
	say("cpuid 7.9 in the guest", "%s", guest_go(&g));
}

static const struct probe_case list[] = {
	{ "reset", "state", reset_state },
	{ "reset", "more", reset_more },
	{ "regs", "regs", regs },
	{ "sregs", "sregs", sregs },
	{ "sregs", "fields", sregs_fields },
	{ "sregs", "bitmap", sregs_bitmap },
	{ "sregs", "sregs2", sregs2 },
	{ "cpuid", "cpuid", cpuid },
	{ "cpuid", "after run", cpuid_after_run },
	{ "cpuid", "in the guest", cpuid_in_guest },
};

const struct probe_list cases_vcpu = { list, COUNT(list) };
