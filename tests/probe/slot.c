/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * KVM_SET_USER_MEMORY_REGION and its second version: every check, pairs of mistakes to see which
 * one is reported, and what create, move, change and delete do.
 */
#include "probe.h"

#define V1 1
#define V2 2
#define NOFD (-1)
#define END64 (~0ULL)

/* Where userspace_addr and guest_memfd of a row come from. */
enum { HVA_OK, HVA_NULL, HVA_ODD, HVA_KERNEL, HVA_NOBODY, HVA_LAST };
enum { FD_NONE, FD_GMEM, FD_OTHER_VM, FD_MEMFD, FD_DEV, FD_VM, FD_CLOSED };

struct row {
	const char *name;
	int version;
	uint32_t slot, flags;
	uint64_t gpa, size;
	int hva, fd;
	uint64_t offset;
};

struct place {
	int vm, other, gmem, theirs, memfd, dev;
	uint8_t *mem;
};

static void place_make(struct place *p, unsigned long type)
{
	p->vm = vm_new(type);
	p->other = vm_new(type);
	p->gmem = gmem_new(p->vm, 16 * PG, 0);
	p->theirs = gmem_new(p->other, 16 * PG, 0);
	p->memfd = memfd_create("plain", 0);
	p->dev = dev_open();
	if (ftruncate(p->memfd, 16 * PG))
		_exit(1);
	p->mem = anon_map(M2);
}

static const void *row_hva(struct place *p, int hva)
{
	switch (hva) {
	case HVA_NULL:
		return NULL;
	case HVA_ODD:
		return p->mem + 1;
	case HVA_KERNEL:
		return (void *)0xffff800000000000UL;
	case HVA_NOBODY:
		return (void *)0x7000000000UL;
	case HVA_LAST:
		return (void *)0x7ffffffff000UL;
	default:
		return p->mem;
	}
}

static int row_fd(struct place *p, int fd)
{
	const int fds[] = { NOFD, p->gmem, p->theirs, p->memfd, p->dev, p->vm, 1000 };

	return fds[fd];
}

static int row_do(struct place *p, const struct row *r)
{
	if (r->version == V1)
		return slot_v1(p->vm, r->slot, r->flags, r->gpa, r->size, row_hva(p, r->hva));
	return slot_v2(p->vm, r->slot, r->flags, r->gpa, r->size, row_hva(p, r->hva),
		       row_fd(p, r->fd), r->offset);
}

/* Each row on its own: what it makes is deleted again. */
static void rows_ask(struct place *p, const struct row *rows, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		int ret = row_do(p, &rows[i]);

		say_ok(qf("v%d: %s", rows[i].version, rows[i].name), ret);
		if (ret == 0 && rows[i].size)
			slot_v1(p->vm, rows[i].slot, 0, 0, 0, NULL);
	}
}

static const struct row singles[] = {
	{ "plain", V1, 0, 0, 0, M2, HVA_OK, 0, 0 },
	{ "plain", V2, 0, 0, 0, M2, HVA_OK, 0, 0 },
	{ "userspace_addr 0", V1, 0, 0, 0, M2, HVA_NULL, 0, 0 },
	{ "userspace_addr without memory", V1, 0, 0, 0, M2, HVA_NOBODY, 0, 0 },
	{ "userspace_addr misaligned", V1, 0, 0, 0, M2, HVA_ODD, 0, 0 },
	{ "userspace_addr of the kernel", V1, 0, 0, 0, M2, HVA_KERNEL, 0, 0 },
	{ "userspace_addr past the last user page", V1, 0, 0, 0, M2, HVA_LAST, 0, 0 },
	{ "LOG_DIRTY_PAGES", V1, 0, 1, 0, M2, HVA_OK, 0, 0 },
	{ "READONLY", V1, 0, 2, 0, M2, HVA_OK, 0, 0 },
	{ "LOG_DIRTY_PAGES and READONLY", V1, 0, 3, 0, M2, HVA_OK, 0, 0 },
	{ "GUEST_MEMFD", V1, 0, 4, 0, M2, HVA_OK, 0, 0 },
	{ "flag 8", V1, 0, 8, 0, M2, HVA_OK, 0, 0 },
	{ "flag bit 16", V1, 0, 1 << 16, 0, M2, HVA_OK, 0, 0 },
	{ "flag bit 17", V2, 0, 1 << 17, 0, M2, HVA_OK, 0, 0 },
	{ "flag 8", V2, 0, 8, 0, M2, HVA_OK, 0, 0 },
	{ "flag bit 31", V2, 0, 1u << 31, 0, M2, HVA_OK, 0, 0 },
	{ "size one byte", V1, 0, 0, 0, 1, HVA_OK, 0, 0 },
	{ "gpa misaligned", V1, 0, 0, 0x800, M2, HVA_OK, 0, 0 },
	{ "gpa and size wrap", V1, 0, 0, END64 - PG + 1, M2, HVA_OK, 0, 0 },
	{ "gpa and size end at 2 to the 64", V1, 0, 0, END64 - PG + 1, PG, HVA_OK, 0, 0 },
	{ "gpa 2 to the 52", V1, 0, 0, 1ULL << 52, PG, HVA_OK, 0, 0 },
	{ "gpa 2 to the 62", V1, 0, 0, 1ULL << 62, PG, HVA_OK, 0, 0 },
	{ "2 to the 31 pages", V1, 0, 0, 0, PG << 31, HVA_NULL, 0, 0 },
	{ "slot id 32763", V1, 32763, 0, 0, M2, HVA_OK, 0, 0 },
	{ "slot id 32764", V1, 32764, 0, 0, M2, HVA_OK, 0, 0 },
	{ "slot id 65535", V1, 65535, 0, 0, M2, HVA_OK, 0, 0 },
	{ "address space 1", V1, 1 << 16, 0, 0, M2, HVA_OK, 0, 0 },
	{ "address space 2", V1, 2 << 16, 0, 0, M2, HVA_OK, 0, 0 },
	{ "delete what is not there", V1, 5, 0, 0, 0, HVA_OK, 0, 0 },
	{ "delete what is not there", V2, 5, 0, 0, 0, HVA_OK, 0, 0 },
	{ "delete with size 0 and GUEST_MEMFD", V2, 5, 4, 0, 0, HVA_OK, FD_NONE, 0 },
	{ "descriptor without the flag is ignored", V2, 0, 0, 0, M2, HVA_OK, FD_MEMFD, 0x123 },
};

static const struct row gmem_rows[] = {
	{ "gmem whole", V2, 0, 4, 0, 16 * PG, HVA_OK, FD_GMEM, 0 },
	{ "gmem part", V2, 0, 4, 0, 4 * PG, HVA_OK, FD_GMEM, 4 * PG },
	{ "gmem last page", V2, 0, 4, 0, PG, HVA_OK, FD_GMEM, 15 * PG },
	{ "gmem with userspace_addr 0", V2, 0, 4, 0, PG, HVA_NULL, FD_GMEM, 0 },
	{ "gmem one page too long", V2, 0, 4, 0, 17 * PG, HVA_OK, FD_GMEM, 0 },
	{ "gmem from its end", V2, 0, 4, 0, PG, HVA_OK, FD_GMEM, 16 * PG },
	{ "gmem far past its end", V2, 0, 4, 0, PG, HVA_OK, FD_GMEM, 1ULL << 40 },
	{ "gmem offset 2 to the 63 less a page", V2, 0, 4, 0, 4 * PG, HVA_OK, FD_GMEM,
	  0x7ffffffffffff000 },
	{ "gmem offset 2 to the 63", V2, 0, 4, 0, 4 * PG, HVA_OK, FD_GMEM, 1ULL << 63 },
	{ "gmem offset wraps", V2, 0, 4, 0, 4 * PG, HVA_OK, FD_GMEM, END64 - PG + 1 },
	{ "gmem offset misaligned", V2, 0, 4, 0, PG, HVA_OK, FD_GMEM, 0x10 },
	{ "gmem and LOG_DIRTY_PAGES", V2, 0, 5, 0, PG, HVA_OK, FD_GMEM, 0 },
	{ "gmem and READONLY", V2, 0, 6, 0, PG, HVA_OK, FD_GMEM, 0 },
	{ "gmem of another VM", V2, 0, 4, 0, PG, HVA_OK, FD_OTHER_VM, 0 },
	{ "memfd", V2, 0, 4, 0, PG, HVA_OK, FD_MEMFD, 0 },
	{ "the /dev/kvm descriptor", V2, 0, 4, 0, PG, HVA_OK, FD_DEV, 0 },
	{ "the VM descriptor", V2, 0, 4, 0, PG, HVA_OK, FD_VM, 0 },
	{ "closed descriptor", V2, 0, 4, 0, PG, HVA_OK, FD_CLOSED, 0 },
	{ "descriptor -1", V2, 0, 4, 0, PG, HVA_OK, FD_NONE, 0 },
	{ "gmem in address space 1", V2, 1 << 16, 4, 0, PG, HVA_OK, FD_GMEM, 0 },
	{ "gmem with userspace_addr misaligned", V2, 0, 4, 0, PG, HVA_ODD, FD_GMEM, 0 },
	{ "gmem at gpa 2 to the 52", V2, 0, 4, 1ULL << 52, PG, HVA_OK, FD_GMEM, 0 },
};

/* Two mistakes in one call; slot 9 holds gpa 1 GiB. */
static const struct row pairs[] = {
	{ "flag 8, slot id too big", V2, 40000, 8, 0, M2, HVA_OK, 0, 0 },
	{ "overlap, closed descriptor", V2, 0, 4, 1 << 30, PG, HVA_OK, FD_CLOSED, 0 },
	{ "overlap, gmem too short", V2, 0, 4, 1 << 30, 16 * PG, HVA_OK, FD_GMEM, PG },
	{ "overlap, offset misaligned", V2, 0, 4, 1 << 30, PG, HVA_OK, FD_GMEM, 1 },
	{ "overlap, address space 2", V1, 2 << 16, 0, 1 << 30, PG, HVA_OK, 0, 0 },
	{ "overlap, misaligned userspace_addr", V1, 0, 0, 1 << 30, PG, HVA_ODD, 0, 0 },
	{ "closed descriptor, gpa too high", V2, 0, 4, 1ULL << 52, PG, HVA_OK, FD_CLOSED, 0 },
	{ "closed descriptor, offset misaligned", V2, 0, 4, 0, PG, HVA_OK, FD_CLOSED, 1 },
	{ "delete with misaligned gpa", V1, 9, 0, 1, 0, HVA_OK, 0, 0 },
	{ "delete with flag 8", V2, 9, 8, 0, 0, HVA_OK, 0, 0 },
	{ "delete with GUEST_MEMFD and READONLY", V2, 9, 6, 0, 0, HVA_OK, 0, 0 },
	{ "delete with misaligned userspace_addr", V1, 9, 0, 0, 0, HVA_ODD, 0, 0 },
	{ "delete with GUEST_MEMFD and misaligned offset", V2, 9, 4, 0, 0, HVA_OK, 0, 1 },
	{ "change of size", V1, 9, 0, 1 << 30, PG, HVA_OK, 0, 0 },
	{ "change of userspace_addr", V1, 9, 0, 1 << 30, M2, HVA_NULL, 0, 0 },
	{ "change of READONLY", V1, 9, 2, 1 << 30, M2, HVA_OK, 0, 0 },
	{ "change to GUEST_MEMFD", V2, 9, 4, 1 << 30, M2, HVA_OK, FD_GMEM, 0 },
	{ "change to GUEST_MEMFD, closed descriptor", V2, 9, 4, 1 << 30, M2, HVA_OK, FD_CLOSED, 0 },
};

static void single_mistakes(void)
{
	struct place p;

	place_make(&p, 0);
	rows_ask(&p, singles, COUNT(singles));
}

static void gmem_slots(void)
{
	struct place p;

	place_make(&p, 0);
	rows_ask(&p, gmem_rows, COUNT(gmem_rows));
}

static void gmem_slots_guarded(void)
{
	struct place p;

	place_make(&p, 1);
	for (size_t i = 0; i < COUNT(gmem_rows); i++) {
		struct row r = gmem_rows[i];
		int ret = row_do(&p, &r);

		say_ok(qf("protected VM: %s", r.name), ret);
		if (ret == 0)
			slot_v1(p.vm, r.slot, 0, 0, 0, NULL);
	}
	say_ok("protected VM: READONLY", slot_v1(p.vm, 0, 2, 0, PG, p.mem));
	say_ok("protected VM: LOG_DIRTY_PAGES", slot_v1(p.vm, 1, 1, M2, PG, p.mem));
}

static void two_mistakes(void)
{
	struct place p;

	place_make(&p, 0);
	slot_v1(p.vm, 9, 0, 1 << 30, M2, p.mem);
	for (size_t i = 0; i < COUNT(pairs); i++)
		say_ok(qf("v%d: %s", pairs[i].version, pairs[i].name), row_do(&p, &pairs[i]));
}

static void broken_structs(void)
{
	int vm = vm_new(0);
	uint8_t *two = anon_map(2 * PG);
	struct kvm_userspace_memory_region *r = (void *)(two + PG - 32);

	mprotect(two + PG, PG, PROT_NONE);
	say_ok("v1: NULL", ioctl(vm, KVM_SET_USER_MEMORY_REGION, NULL));
	say_ok("v2: NULL", ioctl(vm, KVM_SET_USER_MEMORY_REGION2, NULL));
	r->slot = 3;
	r->memory_size = PG;
	r->userspace_addr = (uintptr_t)two;
	say_ok("v1: struct at the end of a page", ioctl(vm, KVM_SET_USER_MEMORY_REGION, r));
	say_ok("v2: struct cut by the end of a page", ioctl(vm, KVM_SET_USER_MEMORY_REGION2, r));
	r->flags = 8;
	say_ok("v2: bad flags in a cut struct", ioctl(vm, KVM_SET_USER_MEMORY_REGION2, r));
}

static void pad_is_ignored(void)
{
	int vm = vm_new(0);
	struct kvm_userspace_memory_region2 r = { .memory_size = PG };

	memset(r.pad2, 0xff, sizeof(r.pad2));
	r.pad1 = 77;
	say_ok("v2: pad fields not zero", ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &r));
}

static void changes(void)
{
	struct place p;
	int vm;

	place_make(&p, 0);
	vm = p.vm;
	say_ok("make slot 1", slot_v1(vm, 1, 0, 0x100000, 16 * PG, p.mem));
	say_ok("the same again", slot_v1(vm, 1, 0, 0x100000, 16 * PG, p.mem));
	say_ok("switch dirty logging on", slot_v1(vm, 1, 1, 0x100000, 16 * PG, p.mem));
	say_ok("switch dirty logging off", slot_v1(vm, 1, 0, 0x100000, 16 * PG, p.mem));
	say_ok("grow", slot_v1(vm, 1, 0, 0x100000, 32 * PG, p.mem));
	say_ok("move", slot_v1(vm, 1, 0, 0x200000, 16 * PG, p.mem));
	say_ok("move by one page, over itself", slot_v1(vm, 1, 0, 0x201000, 16 * PG, p.mem));
	say_ok("move and log", slot_v1(vm, 1, 1, 0x202000, 16 * PG, p.mem));
	say_ok("another at the old place", slot_v1(vm, 2, 0, 0x100000, 16 * PG, p.mem));
	say_ok("move onto the other", slot_v1(vm, 1, 1, 0x108000, 16 * PG, p.mem));
	say_ok("move next to the other", slot_v1(vm, 1, 1, 0x110000, 16 * PG, p.mem));
	say_ok("move to gpa 2 to the 52", slot_v1(vm, 1, 1, 1ULL << 52, 16 * PG, p.mem));
	say_ok("still at its place (overlap)", slot_v1(vm, 3, 0, 0x110000, PG, p.mem));
	say_ok("same gpa in address space 1", slot_v1(vm, 3 | 1 << 16, 0, 0x110000, PG, p.mem));
	say_ok("delete", slot_v1(vm, 1, 0, 0, 0, NULL));
	say_ok("delete again", slot_v1(vm, 1, 0, 0, 0, NULL));
	say_ok("its place is free", slot_v1(vm, 3, 0, 0x110000, PG, p.mem));
	say_ok("two slots on one userspace_addr", slot_v1(vm, 4, 0, 0x900000, PG, p.mem));
}

static void gmem_changes(void)
{
	struct place p;
	int vm, f;

	place_make(&p, 0);
	vm = p.vm;
	f = p.gmem;
	say_ok("gmem: bind pages 0-3", slot_v2(vm, 1, 4, 0, 4 * PG, p.mem, f, 0));
	say_ok("gmem: the same again", slot_v2(vm, 1, 4, 0, 4 * PG, p.mem, f, 0));
	say_ok("gmem: move", slot_v2(vm, 1, 4, 0x100000, 4 * PG, p.mem, f, 0));
	say_ok("gmem: move without the flag", slot_v2(vm, 1, 0, 0x100000, 4 * PG, p.mem, f, 0));
	say_ok("gmem: the same without the flag", slot_v1(vm, 1, 0, 0, 4 * PG, p.mem));
	say_ok("gmem: switch dirty logging on", slot_v1(vm, 1, 1, 0, 4 * PG, p.mem));
	say_ok("gmem: another slot on pages 4-7", slot_v2(vm, 2, 4, M2, 4 * PG, p.mem, f, 4 * PG));
	say_ok("gmem: another slot on page 3", slot_v2(vm, 3, 4, 2 * M2, PG, p.mem, f, 3 * PG));
	say_ok("gmem: another slot on pages 7-8",
	       slot_v2(vm, 3, 4, 2 * M2, 2 * PG, p.mem, f, 7 * PG));
	say_ok("gmem: bound pages at gpa 2 to the 52",
	       slot_v2(vm, 3, 4, 1ULL << 52, PG, p.mem, f, 0));
	say_ok("gmem: free page at gpa 2 to the 52",
	       slot_v2(vm, 3, 4, 1ULL << 52, PG, p.mem, f, 9 * PG));
	say_ok("gmem: that page is free after it", slot_v2(vm, 3, 4, 2 * M2, PG, p.mem, f, 9 * PG));
	say_ok("gmem: delete slot 1", slot_v1(vm, 1, 0, 0, 0, NULL));
	say_ok("gmem: rebind page 3 elsewhere", slot_v2(vm, 4, 4, 3 * M2, PG, p.mem, f, 3 * PG));
	say_ok("gmem: bind through a dup", slot_v2(vm, 5, 4, 4 * M2, PG, p.mem, dup(f), 0));
	close(f);
	say_ok("gmem: delete after its close", slot_v1(vm, 2, 0, 0, 0, NULL));
}

static void many_slots(void)
{
	int vm = vm_new(0), ret = 0;
	uint32_t made = 0;

	for (uint32_t i = 0; i < 500 && ret == 0; i++, made++)
		ret = slot_v1(vm, i, 0, (uint64_t)i * M2, PG, NULL);
	say("500 slots", "%s, %u made", err_str(ret), made);
	ret = 0;
	for (uint32_t i = 0; i < made && ret == 0; i++)
		ret = slot_v1(vm, i, 0, 0, 0, NULL);
	say_ok("500 slots deleted", ret);
}

static const struct probe_case list[] = {
	{ "slot", "single mistakes", single_mistakes },
	{ "slot", "gmem slots", gmem_slots },
	{ "slot-order", "two mistakes", two_mistakes },
	{ "slot-order", "broken structs", broken_structs },
	{ "slot", "pad is ignored", pad_is_ignored },
	{ "slot-change", "changes", changes },
	{ "slot-change", "gmem changes", gmem_changes },
	{ "slot-change", "many slots", many_slots },
	{ "slot-protected", "gmem slots", gmem_slots_guarded },
};

const struct probe_list cases_slot = { list, COUNT(list) };
