/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* KVM_HC_MAP_GPA_RANGE and KVM_PRE_FAULT_MEMORY: memory asked for from inside and from outside. */
#include "probe.h"

#define BASE 0xc0000000UL
#define PRIV KVM_MEMORY_ATTRIBUTE_PRIVATE

static void set_args(struct guest *g, uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	struct kvm_regs r;

	ioctl(g->vcpu, KVM_GET_REGS, &r);
	r.rax = nr;
	r.rbx = a;
	r.rcx = b;
	r.rdx = c;
	ioctl(g->vcpu, KVM_SET_REGS, &r);
}

/* vmmcall, then out 0x10 to have a second exit. */
static const char *call(struct guest *g, uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
	guest_load(g, 0x0f, 0x01, 0xd9, 0xe6, 0x10, 0xf4);
	set_args(g, nr, a, b, c);
	return guest_go(g);
}

static void map_gpa_range(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_LONG64);
	say("capability not enabled", "%s", call(&g, 12, BASE, 1, 16));
	say("rax then", "%ld", (long)guest_rax(&g));
	say_ok("enable", cap_enable(g.vm, KVM_CAP_EXIT_HYPERCALL, 1 << 12));
	say("one page", "%s", call(&g, 12, BASE, 1, 16));
	say("rip at it", "%#lx", guest_rip(&g));
	g.run->hypercall.ret = 0;
	say("answered 0", "%s", guest_go(&g));
	say("rax after it", "%ld", (long)guest_rax(&g));
	call(&g, 12, BASE, 1, 0);
	g.run->hypercall.ret = -22ULL;
	say("answered -22", "%s", guest_go(&g));
	say("rax after that", "%ld", (long)guest_rax(&g));
	call(&g, 12, BASE, 1, 0);
	g.run->hypercall.ret = 5;
	g.run->immediate_exit = 1;
	say("answered 5 with immediate_exit", "%s", guest_go(&g));
	g.run->immediate_exit = 0;
	say("rax then 5", "%ld", (long)guest_rax(&g));
	say("rip then", "%#lx", guest_rip(&g));
}

static void map_gpa_range_arguments(void)
{
	static const struct {
		const char *name;
		uint64_t gpa, pages, attrs;
	} rows[] = {
		{ "512 pages, 2M", BASE, 512, 17 },
		{ "size bits 15", BASE, 1, 15 },
		{ "all attribute bits", BASE, 1, ~0ULL },
		{ "gpa misaligned", BASE + 1, 1, 16 },
		{ "no pages", BASE, 0, 16 },
		{ "pages wrap", BASE, ~0ULL, 16 },
		{ "gpa at the top, one page", ~0ULL << 12, 1, 16 },
		{ "gpa at the top, two pages", ~0ULL << 12, 2, 16 },
		{ "gpa far above memory", 1ULL << 55, 1, 16 },
	};
	struct guest g;

	guest_make(&g, 0, GUEST_LONG64);
	cap_enable(g.vm, KVM_CAP_EXIT_HYPERCALL, 1 << 12);
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *res = call(&g, 12, rows[i].gpa, rows[i].pages, rows[i].attrs);

		say(rows[i].name, "%s", res);
		if (g.run->exit_reason == KVM_EXIT_IO)
			say(qf("%s: rax", rows[i].name), "%ld", (long)guest_rax(&g));
	}
}

static void other_calls(void)
{
	static const int nrs[] = { 0, 1, 5, 11, 13, 1000 };
	struct guest g;

	guest_make(&g, 0, GUEST_LONG64);
	for (size_t i = 0; i < COUNT(nrs); i++) {
		say(qf("hypercall %d", nrs[i]), "%s", call(&g, nrs[i], 0, 0, 0));
		say(qf("hypercall %d: rax", nrs[i]), "%ld", (long)guest_rax(&g));
	}
}

static void from_32_bits(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	cap_enable(g.vm, KVM_CAP_EXIT_HYPERCALL, 1 << 12);
	say("from 32-bit code", "%s", call(&g, 12, BASE, 1, 16));
	g.run->hypercall.ret = -1ULL;
	guest_go(&g);
	say("rax after -1 from 32-bit code", "%#lx", guest_rax(&g));
	guest_load(&g, 0x0f, 0x01, 0xc1, 0xe6, 0x10, 0xf4);
	set_args(&g, 12, BASE, 1, 16);
	say("by vmcall instead of vmmcall", "%s", guest_go(&g));
}

static void from_user_code(void)
{
	struct guest g;
	struct kvm_sregs s;

	guest_make(&g, 0, GUEST_FLAT32);
	cap_enable(g.vm, KVM_CAP_EXIT_HYPERCALL, 1 << 12);
	ioctl(g.vcpu, KVM_GET_SREGS, &s);
	s.cs.dpl = s.ss.dpl = s.ds.dpl = 3;
	s.cs.selector |= 3;
	s.ss.selector |= 3;
	s.ds.selector |= 3;
	ioctl(g.vcpu, KVM_SET_SREGS, &s);
	guest_load(&g, 0x0f, 0x01, 0xd9, 0xa2, 0, 0, 0, 0xc0);
	set_args(&g, 12, BASE, 1, 16);
	say("from CPL 3", "%s", guest_go(&g));
	say("eax then", "%#lx", guest_rax(&g) & 0xffffffff);
}

/* ---- pre-fault ---- */

static const char *prefault(struct guest *g, uint64_t gpa, uint64_t size, uint64_t flags)
{
	static char texts[4][80];
	static unsigned int next;
	char *t = texts[next++ % COUNT(texts)];
	struct kvm_pre_fault_memory p = { .gpa = gpa, .size = size, .flags = flags };
	int ret = ioctl(g->vcpu, KVM_PRE_FAULT_MEMORY, &p);

	snprintf(t, sizeof(texts[0]), "%s, gpa 0x%llx size 0x%llx left", err_str(ret),
		 (unsigned long long)p.gpa, (unsigned long long)p.size);
	return t;
}

static void prefault_arguments(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	slot_v1(g.vm, 1, 0, BASE, 4 * PG, anon_map(4 * PG));
	say("one page", "%s", prefault(&g, BASE, PG, 0));
	say("the same again", "%s", prefault(&g, BASE, PG, 0));
	say("whole slot", "%s", prefault(&g, BASE, 4 * PG, 0));
	say("flags 1", "%s", prefault(&g, BASE, PG, 1));
	say("size 0", "%s", prefault(&g, BASE, 0, 0));
	say("gpa misaligned", "%s", prefault(&g, BASE + 1, PG, 0));
	say("size misaligned", "%s", prefault(&g, BASE, 1, 0));
	say("wraps", "%s", prefault(&g, ~0ULL << 12, 2 * PG, 0));
	say("ends at 2 to the 64", "%s", prefault(&g, ~0ULL << 12, PG, 0));
	say("gpa 2 to the 60", "%s", prefault(&g, 1ULL << 60, PG, 0));
	say("no slot", "%s", prefault(&g, 1UL << 40, PG, 0));
	say("over the end of the slot", "%s", prefault(&g, BASE + 3 * PG, 2 * PG, 0));
	say("what was left of it", "%s", prefault(&g, BASE + 4 * PG, PG, 0));
	say_ok("NULL", ioctl(g.vcpu, KVM_PRE_FAULT_MEMORY, NULL));
}

static void prefault_bad_memory(void)
{
	struct guest g;
	uint8_t *mem = anon_map(4 * PG);

	guest_make(&g, 0, GUEST_FLAT32);
	slot_v1(g.vm, 1, 0, BASE, 4 * PG, mem);
	munmap(mem + PG, PG);
	say("over a hole in userspace_addr", "%s", prefault(&g, BASE, 4 * PG, 0));
	say("at the hole", "%s", prefault(&g, BASE + PG, PG, 0));
	slot_v1(g.vm, 2, KVM_MEM_READONLY, BASE + M2, PG, mem);
	say("read only slot", "%s", prefault(&g, BASE + M2, PG, 0));
	slot_v2(g.vm, 3, KVM_MEM_GUEST_MEMFD, BASE + 2 * M2, PG, mem, gmem_need(g.vm, PG, 3), 0);
	say("gmem with MMAP", "%s", prefault(&g, BASE + 2 * M2, PG, 0));
}

static void prefault_private(void)
{
	struct guest g;
	int f;

	guest_make(&g, 1, GUEST_FLAT32);
	f = gmem_need(g.vm, 4 * PG, 0);
	slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, 4 * PG, anon_map(4 * PG), f, 0);
	attr_set(g.vm, BASE, 2 * PG, PRIV);
	say("private and shared pages", "%s", prefault(&g, BASE, 4 * PG, 0));
	attr_set(g.vm, BASE + M2, PG, PRIV);
	say("private without a slot", "%s", prefault(&g, BASE + M2, PG, 0));
	attr_set(g.vm, 0x5000, PG, PRIV);
	g.run->exit_reason = 77;
	say("private without gmem", "%s", prefault(&g, 0x5000, PG, 0));
	say("exit_reason then", "%s", exit_name(g.run->exit_reason));
	say("from before it", "%s", prefault(&g, 0x4000, 2 * PG, 0));
	close(f);
	say("private, file closed", "%s", prefault(&g, BASE, PG, 0));
	say("shared, file closed", "%s", prefault(&g, BASE + 2 * PG, PG, 0));
}

static const struct probe_case list[] = {
	{ "hypercall", "map gpa range", map_gpa_range },
	{ "hypercall", "arguments", map_gpa_range_arguments },
	{ "hypercall", "other calls", other_calls },
	{ "hypercall", "from 32 bits", from_32_bits },
	{ "hypercall", "from user code", from_user_code },
	{ "prefault", "arguments", prefault_arguments },
	{ "prefault", "bad memory", prefault_bad_memory },
	{ "prefault", "private", prefault_private },
};

const struct probe_list cases_hypercall = { list, COUNT(list) };
