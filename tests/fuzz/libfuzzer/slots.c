/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The arithmetic of ranges: slots, attributes, file ranges, with numbers from all of 64 bits. What each call must say
 * is worked out here from the rules alone, in 128 bits, where nothing wraps, and without any index.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <sys/mman.h>

#include "bench/uapi.h"
#include "gmem/uapi.h"
#include "gmem/uapi_nr.h"
#include "kvm/kvm.h"
#include "target.h"

__extension__ typedef unsigned __int128 wide;

#define PAGE 4096u
#define NR_SLOTS 6
#define FILE_SIZE (64ull << 12)
#define USER_END 0x7ffffffff000ull
#define MAX_OPS 24

struct slot {
	bool there;
	uint32_t flags;
	uint64_t gpa, size, hva, offset;
};

static struct slot slots[NR_SLOTS];
static const struct uapi *u = &uapi_linked;
static int vm, file;
static uint64_t top; /* of guest physical addresses */
static bool is_private_vm;

/* Numbers at the borders, and one beside them. */
static uint64_t number(struct input *in)
{
	static const uint64_t near[] = {
		0,
		PAGE,
		FILE_SIZE,
		2ull << 20,
		1ull << 30,
		1ull << 31,
		1ull << 32,
		1ull << 39,
		1ull << 43,
		1ull << 46,
		USER_END,
		1ull << 47,
		1ull << 52,
		1ull << 62,
		1ull << 63,
		0ull - PAGE,
		0x40000000ull * PAGE,
		(1ull << 31) * PAGE,
	};
	uint8_t how = take8(in);
	uint64_t n = near[how % (sizeof(near) / sizeof(near[0]))];

	switch (take8(in) % 8) {
	case 0:
		return take64(in);
	case 1:
		return n + (uint64_t)(int8_t)take8(in);
	case 2:
		return n + (uint64_t)(int8_t)take8(in) * PAGE;
	case 3:
		return (uint64_t)take8(in) * PAGE;
	case 4:
		return top + (uint64_t)(int8_t)take8(in) * PAGE;
	default:
		return n;
	}
}

static bool meets(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return (wide)a < (wide)b + b_size && (wide)b < (wide)a + a_size;
}

static bool is_aligned(uint64_t v)
{
	return !(v % PAGE);
}

/* ---- slots ------------------------------------------------------------------------------------- */

static int expect_flags(uint32_t flags)
{
	const uint32_t other = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY;

	if (flags & ~(other | KVM_MEM_GUEST_MEMFD))
		return -EINVAL;
	return (flags & KVM_MEM_GUEST_MEMFD) && (flags & other) ? -EINVAL : 0;
}

static int expect_place(const struct kvm_userspace_memory_region2 *r)
{
	const wide two64 = (wide)1 << 64;

	if (!is_aligned(r->memory_size) || !is_aligned(r->guest_phys_addr) ||
	    !is_aligned(r->userspace_addr))
		return -EINVAL;
	if ((wide)r->userspace_addr + r->memory_size > USER_END)
		return -EINVAL;
	if ((r->flags & KVM_MEM_GUEST_MEMFD) &&
	    (!is_aligned(r->guest_memfd_offset) ||
	     (wide)r->guest_memfd_offset + r->memory_size >= two64))
		return -EINVAL;
	if ((r->slot >> 16) >= (is_private_vm ? 1u : 2u))
		return -EINVAL;
	if ((wide)r->guest_phys_addr + r->memory_size >= two64)
		return -EINVAL;
	return r->memory_size / PAGE > (1ull << 31) - 1 ? -EINVAL : 0;
}

static bool overlaps(const struct kvm_userspace_memory_region2 *r)
{
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		if (i != r->slot && slots[i].there &&
		    meets(r->guest_phys_addr, r->memory_size, slots[i].gpa, slots[i].size))
			return true;
	return false;
}

static int expect_file(const struct kvm_userspace_memory_region2 *r)
{
	if (!(r->flags & KVM_MEM_GUEST_MEMFD))
		return 0;
	if ((wide)r->guest_memfd_offset + r->memory_size > FILE_SIZE)
		return -EINVAL;
	for (unsigned int i = 0; i < NR_SLOTS; i++)
		if (slots[i].there && (slots[i].flags & KVM_MEM_GUEST_MEMFD) &&
		    meets(r->guest_memfd_offset, r->memory_size, slots[i].offset, slots[i].size))
			return -EEXIST; /* as 7.2 says it */
	return 0;
}

static int expect_top(const struct kvm_userspace_memory_region2 *r)
{
	return (wide)r->guest_phys_addr + r->memory_size > top ? -EINVAL : 0;
}

static int expect_create(const struct kvm_userspace_memory_region2 *r)
{
	int err = overlaps(r) ? -EEXIST : expect_file(r);

	return err ? err : expect_top(r);
}

static int expect_change(const struct kvm_userspace_memory_region2 *r, const struct slot *s)
{
	const uint32_t fixed = KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD;

	if ((r->flags & KVM_MEM_GUEST_MEMFD) || r->userspace_addr != s->hva ||
	    r->memory_size != s->size || ((r->flags ^ s->flags) & fixed))
		return -EINVAL;
	if (r->guest_phys_addr == s->gpa)
		return 0;
	return overlaps(r) ? -EEXIST : expect_top(r);
}

static int expect_region(const struct kvm_userspace_memory_region2 *r)
{
	const struct slot *s = &slots[r->slot % NR_SLOTS];
	int err = expect_flags(r->flags);

	if (!err)
		err = expect_place(r);
	if (err)
		return err;
	if (!r->memory_size)
		return s->there ? 0 : -EINVAL;
	return s->there ? expect_change(r, s) : expect_create(r);
}

static void set_region(struct input *in)
{
	struct kvm_userspace_memory_region2 r = { 0 };
	struct slot *s;
	long ret, expected;
	bool again;

	r.slot = take8(in) % NR_SLOTS;
	r.flags = take8(in) % 9;
	s = &slots[r.slot];
	r.guest_phys_addr = number(in);
	r.memory_size = number(in);
	r.userspace_addr = number(in);
	r.guest_memfd = (uint32_t)file;
	r.guest_memfd_offset = number(in);
	again = take8(in) % 2;
	if (s->there && again) {
		r.memory_size = s->size;
		r.userspace_addr = s->hva;
	}
	/* A bitmap of all those pages is more than there is memory for. */
	if ((r.flags & KVM_MEM_LOG_DIRTY_PAGES) && r.memory_size > 1ull << 32)
		return;
	expected = expect_region(&r);
	ret = uapi_ioctl(u, vm, KVM_SET_USER_MEMORY_REGION2, &r);
	if (ret != expected)
		fprintf(stderr,
			"slot %u flags %#x gpa %#lx size %#lx hva %#lx offset %#lx: %ld, not %ld\n",
			r.slot, r.flags, r.guest_phys_addr, r.memory_size, r.userspace_addr,
			r.guest_memfd_offset, ret, expected);
	must(ret == expected);
	if (ret)
		return;
	*s = (struct slot){ r.memory_size != 0, r.flags,	  r.guest_phys_addr,
			    r.memory_size,	r.userspace_addr, r.guest_memfd_offset };
}

/* ---- attributes, and the file ------------------------------------------------------------------ */

static void set_attributes(struct input *in)
{
	struct kvm_memory_attributes a = { 0 };
	bool good;
	long ret;

	a.attributes = take8(in) % 4 ? KVM_MEMORY_ATTRIBUTE_PRIVATE * (take8(in) % 2) : number(in);
	a.address = number(in);
	a.size = number(in);
	a.flags = take8(in) == 255;
	good = !a.flags && !(a.attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE) && a.size &&
	       is_aligned(a.address) && is_aligned(a.size) &&
	       (wide)a.address + a.size < (wide)1 << 64;
	if (!is_private_vm && a.attributes)
		good = false;
	ret = uapi_ioctl(u, vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
	/* The last page of all cannot be named: its end is not a number. Memory for the map may run out. */
	must(good ? ret == 0 || ret == -ENOMEM : ret == -EINVAL);
}

static int expect_fallocate(int mode, int64_t offset, int64_t size)
{
	const bool punch = mode & FALLOC_FL_PUNCH_HOLE;

	if (offset < 0 || size <= 0)
		return -EINVAL;
	if ((wide)offset + (wide)size > INT64_MAX)
		return -EFBIG;
	if (!is_aligned((uint64_t)offset) || !is_aligned((uint64_t)size))
		return -EINVAL;
	return punch || (wide)offset + (wide)size <= FILE_SIZE ? 0 : -EINVAL;
}

static void fallocate_range(struct input *in)
{
	int mode = FALLOC_FL_KEEP_SIZE | (take8(in) % 2 ? FALLOC_FL_PUNCH_HOLE : 0);
	int64_t offset = (int64_t)number(in), size = (int64_t)number(in);
	int expected = expect_fallocate(mode, offset, size);

	must(u->fallocate(file, mode, offset, size) == expected);
}

/* ---- a program ----------------------------------------------------------------------------------- */

static void make(bool private_vm)
{
	struct kvm_create_guest_memfd g = { .size = FILE_SIZE };
	int kvm = u->open();

	must(kvm >= 0);
	is_private_vm = private_vm;
	vm = (int)u->ioctl(kvm, KVM_CREATE_VM, private_vm ? KVM_X86_SW_PROTECTED_VM : 0);
	must(vm >= 0);
	u->close(kvm);
	if (!private_vm)
		g.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	file = (int)uapi_ioctl(u, vm, KVM_CREATE_GUEST_MEMFD, &g);
	must(file >= 0);
	memset(slots, 0, sizeof(slots));
}

/* The first address that no slot may have: asked, since it is the processor's. */
static void find_top(void)
{
	struct kvm_userspace_memory_region2 r = { .memory_size = PAGE };

	for (unsigned int bits = 32; bits <= 52; bits++) {
		r.guest_phys_addr = 1ull << bits;
		if (uapi_ioctl(u, vm, KVM_SET_USER_MEMORY_REGION2, &r)) {
			top = 1ull << bits;
			return;
		}
		r.memory_size = 0;
		must(uapi_ioctl(u, vm, KVM_SET_USER_MEMORY_REGION2, &r) == 0);
		r.memory_size = PAGE;
	}
	top = 1ull << 52;
}

void target(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	make(take8(&in) % 2);
	if (!top)
		find_top();
	for (unsigned int n = 0; in.left && n < MAX_OPS; n++) {
		switch (take8(&in) % 4) {
		case 0:
			set_attributes(&in);
			break;
		case 1:
			fallocate_range(&in);
			break;
		default:
			set_region(&in);
		}
	}
	u->close(file);
	u->close(vm);
}
