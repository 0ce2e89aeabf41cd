/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Programs of calls to a VM, its guest_memfds and a vCPU: slots, attributes by gfn and in place, punches, windows,
 * pre-faults, guest accesses, closes in any order, and any other request with any bytes. Nothing breaks, and in the
 * end all is given back. Two instructions are all that the guest executes, so that it always stops.
 */
#include <linux/falloc.h>
#include <sys/mman.h>

#include "bench/uapi.h"
#include "gmem/uapi.h"
#include "gmem/uapi_nr.h"
#include "kvm/kvm.h"
#include "kvm/profile.h"
#include "os/os.h"
#include "target.h"

#define PAGE 4096ull
#define NR_FILES 3
#define NR_WINDOWS 2
#define NR_OTHERS 8
#define MEMORY (1ull << 20)
#define CODE_GPA (3ull << 30)
#define CODE_SLOT 9
#define BUFFER (64ull << 10)
#define FIRST_FD (1 << 20) /* of uapi_linked */
#define MAX_OPS 40

static const struct uapi *u = &uapi_linked;
static uint8_t *memory, *buffer;
static int kvm, vm, vcpu, files[NR_FILES], others[NR_OTHERS];
static unsigned int nr_others;
static void *run_page, *windows[NR_WINDOWS];
static struct kvm_regs regs;
static struct kvm_sregs sregs;

static uint64_t range(struct input *in)
{
	static const uint64_t some[] = { 0,	 PAGE,	      2 * PAGE,	  7 * PAGE, 16 * PAGE,
					 MEMORY, 2ull << 20,  1ull << 30, CODE_GPA, MEMORY - PAGE,
					 4,	 0ull - PAGE, 1ull << 45, 9 * PAGE, 3 * PAGE };

	return some[take8(in) % (sizeof(some) / sizeof(some[0]))];
}

static int some_file(struct input *in)
{
	return files[take8(in) % NR_FILES];
}

/* ---- what the program can do --------------------------------------------------------------------- */

static void create_file(struct input *in)
{
	struct kvm_create_guest_memfd g = { .size = range(in), .flags = take8(in) % 4 };
	int *place = &files[take8(in) % NR_FILES];

	if (g.size > 1ull << 31)
		return;
	if (*place >= 0)
		u->close(*place);
	*place = (int)uapi_ioctl(u, vm, KVM_CREATE_GUEST_MEMFD, &g);
}

static void set_region(struct input *in)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = take8(in) % 4u,
		.flags = take8(in) % 8u,
		.guest_phys_addr = range(in),
		.memory_size = range(in),
		.userspace_addr = (uintptr_t)memory + range(in) % MEMORY,
		.guest_memfd_offset = range(in),
		.guest_memfd = (uint32_t)some_file(in),
	};
	/* Only memory of this program's own is behind a slot, or nothing. */
	if (r.userspace_addr + r.memory_size > (uintptr_t)memory + MEMORY)
		r.userspace_addr = 1ull << 46;
	if ((r.flags & KVM_MEM_LOG_DIRTY_PAGES) && r.memory_size > 1ull << 32)
		return;
	uapi_ioctl(u, vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

static void set_attributes(struct input *in)
{
	struct kvm_memory_attributes a = {
		.address = range(in),
		.size = range(in),
		.attributes = take8(in) % 2 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	uapi_ioctl(u, vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

static void convert(struct input *in)
{
	struct kvm_memory_attributes2 a = {
		.offset = range(in),
		.size = range(in),
		.attributes = take8(in) % 2 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	uapi_ioctl(u, some_file(in), KVM_SET_MEMORY_ATTRIBUTES2, &a);
}

static void punch(struct input *in)
{
	int mode = FALLOC_FL_KEEP_SIZE | (take8(in) % 4 ? FALLOC_FL_PUNCH_HOLE : 0);
	int64_t offset = (int64_t)range(in), size = (int64_t)range(in);

	/* Memory for all of a large file is more than there should be. */
	if ((mode & FALLOC_FL_PUNCH_HOLE) || size <= (int64_t)MEMORY)
		u->fallocate(some_file(in), mode, offset, size);
}

static void close_file(struct input *in)
{
	int *place = &files[take8(in) % NR_FILES];

	if (*place >= 0)
		u->close(*place);
	*place = -1;
}

static void map_window(struct input *in)
{
	void **place = &windows[take8(in) % NR_WINDOWS];
	uint64_t offset = range(in);

	if (*place)
		u->unmap(*place, 8 * PAGE);
	*place = NULL;
	if (u->map(some_file(in), offset, 8 * PAGE, place))
		*place = NULL;
}

static void prefault(struct input *in)
{
	struct kvm_pre_fault_memory p = { .gpa = range(in), .size = range(in) % (64 * PAGE) };

	uapi_ioctl(u, vcpu, KVM_PRE_FAULT_MEMORY, &p);
}

/* The vCPU as it was made, whatever has been asked of it since, reads or writes one byte of the guest's. */
static void access_memory(struct input *in)
{
	struct kvm_mp_state running = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_vcpu_events none = { 0 };
	struct kvm_guest_debug off = { 0 };

	sregs.ds.base = range(in) + (take8(in) % 4 == 0 ? 4095 : 0);
	regs.rip = take8(in) % 2 ? 0 : 16;
	uapi_ioctl(u, vcpu, KVM_SET_GUEST_DEBUG, &off);
	uapi_ioctl(u, vcpu, KVM_SET_VCPU_EVENTS, &none);
	uapi_ioctl(u, vcpu, KVM_SET_MP_STATE, &running);
	if (uapi_ioctl(u, vcpu, KVM_SET_SREGS, &sregs) || uapi_ioctl(u, vcpu, KVM_SET_REGS, &regs))
		return;
	u->ioctl(vcpu, KVM_RUN, 0);
}

static void dirty_log(struct input *in)
{
	struct kvm_dirty_log d = { .slot = take8(in) % 4u, .dirty_bitmap = buffer };

	uapi_ioctl(u, vm, KVM_GET_DIRTY_LOG, &d);
}

/* Not what writes to addresses in its argument, stops for good, or puts foreign memory behind a slot. */
static bool is_harmless(unsigned int nr)
{
	switch (nr) {
	case 0x40: /* KVM_SET_MEMORY_REGION of old */
	case 0x42: /* KVM_GET_DIRTY_LOG */
	case 0x46: /* KVM_SET_USER_MEMORY_REGION */
	case 0x49: /* KVM_SET_USER_MEMORY_REGION2 */
	case 0x76: /* KVM_IRQFD: a descriptor of this program */
	case 0x79: /* KVM_IOEVENTFD: the same */
	case 0x80: /* KVM_RUN */
	case 0x8b: /* KVM_SET_SIGNAL_MASK */
	case 0xd4: /* KVM_CREATE_GUEST_MEMFD of any size */
		return false;
	}
	return true;
}

static void any_request(struct input *in)
{
	const int fds[] = { kvm, vm, vcpu, some_file(in) };
	int fd = fds[take8(in) % 4];
	unsigned int nr = take8(in), dir = take8(in) % 4u, size = take16(in) % 0x4000u;
	bool by_value = take8(in) % 2;
	uint64_t arg;
	long ret;

	if (!is_harmless(nr))
		return;
	take(in, buffer, 256);
	memcpy(&arg, buffer, sizeof(arg));
	ret = u->ioctl(fd, dir << 30 | size << 16 | 0xaeu << 8 | nr,
		       by_value && !dir ? arg : (uintptr_t)buffer);
	if (ret < FIRST_FD || ret > FIRST_FD + 65536)
		return;
	if (nr_others < NR_OTHERS)
		others[nr_others++] = (int)ret;
	else
		u->close((int)ret);
}

/* ---- its beginning and its end ----------------------------------------------------------------- */

static void make_memory(void)
{
	memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	buffer = mmap(NULL, BUFFER + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		      0);
	must(memory != MAP_FAILED && buffer != MAP_FAILED);
	must(mprotect(buffer + BUFFER, PAGE, PROT_NONE) == 0);
}

static void make_code(void)
{
	static uint8_t code[2 * PAGE] __attribute__((aligned(4096)));
	static const uint8_t load[] = { 0x8a, 0x04, 0xf4 }, save[] = { 0x88, 0x04, 0xf4 };
	struct kvm_userspace_memory_region r = { .slot = CODE_SLOT,
						 .guest_phys_addr = CODE_GPA,
						 .memory_size = PAGE,
						 .userspace_addr = (uintptr_t)code };

	memcpy(code, load, sizeof(load));
	memcpy(code + 16, save, sizeof(save));
	must(uapi_ioctl(u, vm, KVM_SET_USER_MEMORY_REGION, &r) == 0);
}

static void make(uint8_t how)
{
	unsigned int nr_profiles = 0;

	while (kvm_profiles[nr_profiles])
		nr_profiles++;
	must(kvm_set_profile(kvm_profiles[how / 2 % nr_profiles]->name) == 0);
	kvm = u->open();
	must(kvm >= 0);
	vm = (int)u->ioctl(kvm, KVM_CREATE_VM, how % 2 ? KVM_X86_SW_PROTECTED_VM : 0);
	if (vm < 0)
		vm = (int)u->ioctl(kvm, KVM_CREATE_VM, 0);
	must(vm >= 0);
	make_code();
	vcpu = (int)u->ioctl(vm, KVM_CREATE_VCPU, 0);
	must(vcpu >= 0);
	must(u->map(vcpu, 0, (uint64_t)u->ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), &run_page) == 0);
	must(uapi_ioctl(u, vcpu, KVM_GET_REGS, &regs) == 0);
	must(uapi_ioctl(u, vcpu, KVM_GET_SREGS, &sregs) == 0);
	sregs.cs.base = CODE_GPA;
	for (unsigned int i = 0; i < NR_FILES; i++)
		files[i] = -1;
	nr_others = 0;
}

static void unmake(void)
{
	uint64_t size = (uint64_t)u->ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	for (unsigned int i = 0; i < NR_WINDOWS; i++)
		if (windows[i])
			u->unmap(windows[i], 8 * PAGE);
	memset(windows, 0, sizeof(windows));
	for (unsigned int i = 0; i < NR_FILES; i++)
		if (files[i] >= 0)
			u->close(files[i]);
	while (nr_others)
		u->close(others[--nr_others]);
	u->unmap(run_page, size);
	u->close(vcpu);
	u->close(vm);
	u->close(kvm);
}

static void run(const uint8_t *data, size_t size)
{
	static void (*const ops[])(struct input * in) = {
		create_file, set_region, set_attributes, convert,   punch,	 close_file,
		map_window,  prefault,	 access_memory,	 dirty_log, any_request,
	};
	struct input in = { data, size };

	make(take8(&in));
	for (unsigned int n = 0; in.left && n < MAX_OPS; n++)
		ops[take8(&in) % (sizeof(ops) / sizeof(ops[0]))](&in);
	unmake();
}

void target(const uint8_t *data, size_t size)
{
	static uint64_t most;
	uint64_t live;

	if (!memory)
		make_memory();
	run(data, size);
	live = os_alloc_live();
	if (live <= most)
		return;
	/* More is left than ever was: a leak, unless it is of the process and made once. */
	run(data, size);
	must(os_alloc_live() <= live);
	most = live;
}
