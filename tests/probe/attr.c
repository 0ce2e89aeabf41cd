/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* KVM_SET_MEMORY_ATTRIBUTES: arguments, order of checks, and which gfns it reaches. */
#include "probe.h"

#define PRIV KVM_MEMORY_ATTRIBUTE_PRIVATE
#define END64 (~0ULL)

static const struct {
	const char *name;
	uint64_t address, size, attributes, flags;
} rows[] = {
	{ "PRIVATE, one page", 0, PG, PRIV, 0 },
	{ "nothing, one page", 0, PG, 0, 0 },
	{ "READ", 0, PG, 1, 0 },
	{ "WRITE", 0, PG, 2, 0 },
	{ "EXECUTE", 0, PG, 4, 0 },
	{ "PRIVATE and READ", 0, PG, PRIV | 1, 0 },
	{ "bit 4", 0, PG, 16, 0 },
	{ "bit 63", 0, PG, 1ULL << 63, 0 },
	{ "flags 1", 0, PG, PRIV, 1 },
	{ "flags bit 63", 0, PG, PRIV, 1ULL << 63 },
	{ "flags 1 and bit 4", 0, PG, 16, 1 },
	{ "size 0", 0, 0, PRIV, 0 },
	{ "size 0 and bit 4", 0, 0, 16, 0 },
	{ "size 1", 0, 1, PRIV, 0 },
	{ "address 1", 1, PG, PRIV, 0 },
	{ "wraps", END64 - PG + 1, 2 * PG, PRIV, 0 },
	{ "wraps and misaligned", END64 - 5, 2 * PG, PRIV, 0 },
	{ "ends at 2 to the 64", END64 - PG + 1, PG, PRIV, 0 },
	{ "last page but one", END64 - 2 * PG + 1, PG, PRIV, 0 },
	{ "gpa 2 to the 52", 1ULL << 52, PG, PRIV, 0 },
	{ "1 GiB in one call", 1ULL << 30, 1ULL << 30, PRIV, 0 },
	{ "1 GiB again", 1ULL << 30, 1ULL << 30, PRIV, 0 },
};

static void ask_rows(const char *what, int vm)
{
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct kvm_memory_attributes a = {
			rows[i].address,
			rows[i].size,
			rows[i].attributes,
			rows[i].flags,
		};

		say_ok(qf("%s: %s", what, rows[i].name), ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &a));
	}
	say_ok(qf("%s: NULL", what), ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, NULL));
}

static void on_default(void)
{
	ask_rows("default VM", vm_new(0));
}

static void on_protected(void)
{
	ask_rows("protected VM", vm_new(1));
}

/* ---- what the guest finds; gpa 3 GiB: 4 pages with both kinds of memory ---- */

#define BASE 0xc0000000UL

static void both_make(struct guest *g, uint8_t **shared, int *f)
{
	guest_make(g, KVM_X86_SW_PROTECTED_VM, GUEST_FLAT32);
	*shared = anon_map(4 * PG);
	*f = gmem_need(g->vm, 4 * PG, 0);
	if (slot_v2(g->vm, 1, KVM_MEM_GUEST_MEMFD, BASE, 4 * PG, *shared, *f, 0))
		_exit(1);
}

/* The byte the guest reads there, or why not. */
static const char *guest_reads(struct guest *g, uint32_t gpa)
{
	static char text[2][80];
	static unsigned int next;
	char *t = text[next++ % 2];
	const char *res;

	/* mov al, [gpa]; out 0x10, al; hlt */
	guest_load(g, 0xa0, gpa & 255, gpa >> 8 & 255, gpa >> 16 & 255, gpa >> 24, 0xe6, 0x10,
		   0xf4);
	res = guest_go(g);
	if (g->run->exit_reason != KVM_EXIT_IO)
		return res;
	snprintf(t, sizeof(text[0]), "0x%02x", *((uint8_t *)g->run + g->run->io.data_offset));
	return t;
}

static const char *guest_writes(struct guest *g, uint32_t gpa, uint8_t value)
{
	/* mov al, value; mov [gpa], al; hlt */
	guest_load(g, 0xb0, value, 0xa2, gpa & 255, gpa >> 8 & 255, gpa >> 16 & 255, gpa >> 24,
		   0xf4);
	return guest_go(g);
}

static void conversion(void)
{
	struct guest g;
	uint8_t *shared;
	int f;

	both_make(&g, &shared, &f);
	say("guest writes a shared page", "%s", guest_writes(&g, BASE, 0x51));
	say("host finds it", "%s", peek(shared));
	say_ok("make it private", attr_set(g.vm, BASE, PG, PRIV));
	say("guest finds the private page", "%s", guest_reads(&g, BASE));
	say("guest writes the private page", "%s", guest_writes(&g, BASE, 0x52));
	say("host still finds", "%s", peek(shared));
	shared[0] = 0x53;
	say("guest finds its own, not the host's", "%s", guest_reads(&g, BASE));
	say_ok("make it shared", attr_set(g.vm, BASE, PG, 0));
	say("guest finds the host's", "%s", guest_reads(&g, BASE));
	say_ok("make it private again", attr_set(g.vm, BASE, PG, PRIV));
	say("guest finds its own again", "%s", guest_reads(&g, BASE));
	fallocate(f, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PG);
	say("guest after a punch", "%s", guest_reads(&g, BASE));
	say("page beside it is shared", "%s", guest_writes(&g, BASE + PG, 0x54));
	say("host finds that", "%s", peek(shared + PG));
	madvise(shared, PG, MADV_DONTNEED);
	say("guest after the shared copy was discarded", "%s", guest_reads(&g, BASE));
}

static void over_slots(void)
{
	struct guest g;
	uint8_t *shared;
	int f;

	both_make(&g, &shared, &f);
	attr_set(g.vm, BASE, PG, PRIV);
	guest_writes(&g, BASE, 0x61);
	say_ok("delete the slot", slot_v1(g.vm, 1, 0, 0, 0, NULL));
	say("private gfn without a slot", "%s", guest_reads(&g, BASE));
	say("shared gfn without a slot", "%s", guest_reads(&g, BASE + PG));
	say_ok("bind it again one page further",
	       slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE + PG, 3 * PG, shared, f, 0));
	say("the attribute stayed where it was", "%s", guest_reads(&g, BASE));
	attr_set(g.vm, BASE + PG, PG, PRIV);
	say("contents went with the file", "%s", guest_reads(&g, BASE + PG));
	say("the same asked again", "%s", guest_reads(&g, BASE + PG));
	say_ok("attributes of gfns without a slot", attr_set(g.vm, 1UL << 40, M2, PRIV));
	say_ok("private gfn covered by no gmem", attr_set(g.vm, 0x5000, PG, PRIV));
	say("guest reads it", "%s", guest_reads(&g, 0x5000));
	say("guest writes it", "%s", guest_writes(&g, 0x5000, 1));
}

/* As above, with no access of the guest to a gfn that had no slot yet. */
static void rebound(void)
{
	struct guest g;
	uint8_t *shared;
	int f;

	both_make(&g, &shared, &f);
	attr_set(g.vm, BASE, 2 * PG, PRIV);
	guest_writes(&g, BASE, 0x62);
	guest_writes(&g, BASE + PG, 0x63);
	slot_v1(g.vm, 1, 0, 0, 0, NULL);
	slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE + PG, 3 * PG, shared, f, 0);
	say("page 0 of the file bound one page further", "%s", guest_reads(&g, BASE + PG));
	say("page 1 there as shared", "%s", guest_reads(&g, BASE + 2 * PG));
	attr_set(g.vm, BASE + 2 * PG, PG, PRIV);
	say("page 1 there as private", "%s", guest_reads(&g, BASE + 2 * PG));
}

static void code_page(void)
{
	struct guest g;
	uint8_t *shared;
	int f;

	both_make(&g, &shared, &f);
	guest_load(&g, 0xf4);
	attr_set(g.vm, GUEST_CODE, PG, PRIV);
	say("guest's code page made private, no gmem there", "%s", guest_go(&g));
	say("rip after it", "%#lx", guest_rip(&g));
	attr_set(g.vm, GUEST_CODE, PG, 0);
	say("and shared again", "%s", guest_go(&g));
}

static void mapped_file(void)
{
	struct guest g;
	uint8_t *hva;
	int f;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM, GUEST_FLAT32);
	f = gmem_need(g.vm, 2 * PG, GUEST_MEMFD_FLAG_MMAP);
	hva = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	say_ok("MMAP file bound with its own mapping",
	       slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, 2 * PG, hva, f, 0));
	say("guest writes it as shared", "%s", guest_writes(&g, BASE, 0x71));
	say("host reads it", "%s", touch_read(hva));
	attr_set(g.vm, BASE, PG, PRIV);
	say("guest finds the same page as private", "%s", guest_reads(&g, BASE));
	say("host reads it still", "%s", touch_read(hva));
}

static void closed_file(void)
{
	struct guest g;
	uint8_t *shared;
	int f;

	both_make(&g, &shared, &f);
	attr_set(g.vm, BASE, PG, PRIV);
	close(f);
	say("private page of a closed file", "%s", guest_reads(&g, BASE));
	say("the same again", "%s", guest_reads(&g, BASE));
	say("shared page of the same slot", "%s", guest_reads(&g, BASE + PG));
	say_ok("the gpa is still taken", slot_v1(g.vm, 2, 0, BASE, PG, shared));
	say_ok("delete the slot of the closed file", slot_v1(g.vm, 1, 0, 0, 0, NULL));
	f = gmem_need(g.vm, PG, 0);
	say_ok("bind a new file", slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, PG, shared, f, 0));
	say("private page of the new file", "%s", guest_reads(&g, BASE));
}

static const struct probe_case list[] = {
	{ "attr-default", "rows", on_default }, { "attr", "rows", on_protected },
	{ "attr", "conversion", conversion },	{ "attr", "over slots", over_slots },
	{ "attr", "rebound", rebound },		{ "attr", "code page", code_page },
	{ "attr", "mapped file", mapped_file }, { "attr", "closed file", closed_file },
};

const struct probe_list cases_attr = { list, COUNT(list) };
