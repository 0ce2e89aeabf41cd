/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "kvm_world.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <gmem/early.h>

#include "map/pins.h"

#define NR_FDS 64
#define MEMORY_PAGES 8u

struct kvm_world kw;

/* ---- descriptors: what the shim does, in one step each ------------------------------------------ */

static struct kvm_object *table[NR_FDS];
static int nr_fds;

/* No number is used twice, so that who uses one that is closed is not surprised. */
static int reserve(bool cloexec, const char *name, int *fd)
{
	if (nr_fds == NR_FDS)
		return -EMFILE;
	*fd = nr_fds++;
	return 0;
}

static void commit(int fd, struct kvm_object *o)
{
	table[fd] = o;
}

static void cancel(int fd)
{
	table[fd] = NULL;
}

static int lookup(int fd, struct kvm_object **o)
{
	*o = kw_object(fd);
	return *o ? 0 : -EBADF;
}

static const struct kvm_fd_ops fd_ops = { reserve, commit, cancel, lookup };

struct kvm_object *kw_object(int fd)
{
	struct kvm_object *o;

	if (fd < 0 || fd >= NR_FDS)
		return NULL;
	/* The table and the count are one. */
	sim_alone_begin();
	o = table[fd];
	if (o)
		kvm_object_get(o);
	sim_alone_end();
	return o;
}

void kw_close(int fd)
{
	struct kvm_object *o;

	sim_point();
	o = table[fd];
	table[fd] = NULL;
	if (o)
		kvm_object_put(o);
}

long kw_value(int fd, unsigned long cmd, uint64_t arg)
{
	struct kvm_object *o = kw_object(fd);
	long ret = -EBADF;

	if (!o)
		return ret;
	ret = kvm_ioctl(o, (unsigned int)cmd, arg);
	kvm_object_put(o);
	return ret;
}

long kw_call(int fd, unsigned long cmd, const void *arg)
{
	return kw_value(fd, cmd, (uintptr_t)arg);
}

/* ---- requests ---------------------------------------------------------------------------------- */

/* Before guest_memfd the old request read as much, where it was told of a file. */
static bool is_early(void)
{
	return kvm_memfd_is_asked(MFD_INACCESSIBLE) || kvm_memfd_has_restricted();
}

long kw_slot(uint32_t slot, uint64_t gpa, uint64_t size, uint32_t flags, uint64_t offset)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)kw.memory + PAGE,
		.guest_memfd_offset = offset,
		.guest_memfd = (uint32_t)kw.gmem,
	};

	if (!(flags & KVM_MEM_GUEST_MEMFD))
		r.userspace_addr = (uintptr_t)kw.memory;
	return kw_call(kw.vm, is_early() ? KVM_SET_USER_MEMORY_REGION : KVM_SET_USER_MEMORY_REGION2,
		       &r);
}

long kw_set_private(uint64_t page, uint64_t nr, bool is_private)
{
	struct kvm_memory_attributes a = {
		.address = DATA_GPA + page * PAGE,
		.size = nr * PAGE,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return kw_call(kw.vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

long kw_convert(uint64_t page, uint64_t nr, bool is_private)
{
	struct kvm_memory_attributes2 a = {
		.offset = page * PAGE,
		.size = nr * PAGE,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return kw_call(kw.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a);
}

/* ---- mappings: what the shim does around each --------------------------------------------------- */

uint64_t kw_map(void)
{
	struct kvm_object *o = kw_object(kw.gmem);
	uint64_t at = 0;
	long err;

	if (!o)
		return 0;
	os_mutex_lock(&kw.map_lock);
	err = host_map_mmap(kvm_host_map(), kvm_gmem_host_file(o), o, 0, NR_PAGES * PAGE,
			    PROT_READ | PROT_WRITE, MAP_SHARED, 0, &at);
	os_mutex_unlock(&kw.map_lock);
	sim_assert(!err);
	kvm_object_put(o);
	return at;
}

void kw_unmap(uint64_t addr, uint64_t size)
{
	struct host_map_range r;
	uint64_t cookie;

	os_mutex_lock(&kw.map_lock);
	sim_assert(host_map_find(kvm_host_map(), addr, size, &r));
	cookie = kvm_hva_change_begin(addr, size);
	sim_assert(!host_map_munmap(kvm_host_map(), addr, size));
	if (cookie)
		kvm_hva_change_end(addr, size, cookie);
	os_mutex_unlock(&kw.map_lock);
	/* Not before: it may be the last count of the file. */
	kvm_object_put(r.owner);
}

/* ---- life -------------------------------------------------------------------------------------- */

/* 16-bit code: counts CX down in the first word of DATA_GPA. */
static void put_code(void)
{
	static const uint8_t code[] = {
		0xb9, 3,    0,	     /* mov cx, 3 */
		0x89, 0x0e, 0,	  0, /* loop: mov [0], cx */
		0xa1, 0,    0x10,    /* mov ax, [0x1000] */
		0xe2, 0xf7,	     /* loop loop */
		0xf4,		     /* hlt */
	};

	memcpy(kw.memory, code, sizeof(code));
}

static void start_vcpu(void)
{
	struct kvm_sregs s;
	struct kvm_regs r = { .rip = CODE_GPA, .rflags = 2 };

	sim_assert(!kw_call(kw.vcpu, KVM_GET_SREGS, &s));
	s.cs.base = 0;
	s.cs.selector = 0;
	s.ds.base = DATA_GPA;
	s.ds.selector = DATA_GPA >> 4;
	sim_assert(!kw_call(kw.vcpu, KVM_SET_SREGS, &s));
	sim_assert(!kw_call(kw.vcpu, KVM_SET_REGS, &r));
}

static int make_empty_vm(void)
{
	struct kvm_object *system;
	int fd, vm;

	sim_assert(!kvm_open(&system));
	sim_assert(!reserve(true, NULL, &fd));
	commit(fd, system);
	vm = (int)kw_value(fd, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	sim_assert(vm >= 0);
	kw_close(fd);
	return vm;
}

static long make_memfd(void)
{
	unsigned int flags = MFD_INACCESSIBLE;
	bool is_plain;
	struct kvm_object *o;
	long fd;

	if (kvm_memfd_has_restricted())
		fd = kvm_memfd_restricted(0);
	else
		fd = kvm_memfd_create((uintptr_t) "guest", &flags, &is_plain);
	o = kw_object((int)fd);
	sim_assert(!kvm_memfd_truncate(o, NR_PAGES * PAGE));
	kvm_object_put(o);
	return fd;
}

static int make_vm(uint64_t gmem_flags)
{
	struct kvm_create_guest_memfd c = { .size = NR_PAGES * PAGE, .flags = gmem_flags };
	int vm = make_empty_vm();

	if (is_early())
		kw.gmem = (int)make_memfd();
	else
		kw.gmem = (int)kw_call(vm, KVM_CREATE_GUEST_MEMFD, &c);
	sim_assert(kw.gmem >= 0);
	kw.vcpu = (int)kw_value(vm, KVM_CREATE_VCPU, 0);
	sim_assert(kw.vcpu >= 0);
	return vm;
}

static void close_all(void)
{
	for (int fd = 0; fd < NR_FDS; fd++)
		if (table[fd])
			kw_close(fd);
}

/* What is one of a process, and stays, comes with the first VM, window and conversion. */
static void warm_up(uint64_t gmem_flags)
{
	struct kvm_object *o;
	struct pin *pin;
	uint64_t at;

	kw.vm = make_vm(gmem_flags);
	if (gmem_flags & GUEST_MEMFD_FLAG_MMAP) {
		at = kw_map();
		sim_assert(!kw_convert(0, 2, true));
		o = kw_object(kw.gmem);
		sim_assert(!pin_intend(kvm_gmem_host_file(o), 0, 1, &pin));
		sim_assert(!kw_convert(2, 1, true));
		pin_drop(pin);
		kvm_object_put(o);
		kw_unmap(at, NR_PAGES * PAGE);
	}
	close_all();
}

void kw_make(const char *profile, uint64_t gmem_flags)
{
	kvm_set_fd_ops(&fd_ops);
	sim_assert(!kvm_set_profile(profile));
	os_mutex_init(&kw.map_lock);
	warm_up(gmem_flags);
	kw.bytes = os_alloc_live();
	kw.has_windows = gmem_flags & GUEST_MEMFD_FLAG_MMAP;
	sim_assert(!os_memfd_create("memory", MEMORY_PAGES * PAGE, &kw.memory_fd));
	sim_assert(!os_map_file(kw.memory_fd, 0, MEMORY_PAGES * PAGE, 0, OS_MAP_READ | OS_MAP_WRITE,
				&kw.memory));
	kw.vm = make_vm(gmem_flags);
	put_code();
	sim_assert(!kw_slot(0, CODE_GPA, PAGE, 0, 0));
	sim_assert(!kw_slot(1, DATA_GPA, NR_PAGES * PAGE, KVM_MEM_GUEST_MEMFD, 0));
	start_vcpu();
}

int kw_vm_beside(void)
{
	struct kvm_userspace_memory_region2 r = { .guest_phys_addr = CODE_GPA,
						  .memory_size = PAGE,
						  .userspace_addr = (uintptr_t)kw.memory };
	int vm = make_empty_vm();

	sim_assert(!kw_call(vm, KVM_SET_USER_MEMORY_REGION2, &r));
	return vm;
}

void kw_unmake(void)
{
	close_all();
	os_unmap(kw.memory, MEMORY_PAGES * PAGE);
	os_fd_close(kw.memory_fd);
	/* With windows, what says which pages of them are hidden grows with the places they come to. */
	if (os_alloc_live() != kw.bytes && !kw.has_windows)
		sim_fail("leak of memory: %lld bytes of kvm/",
			 (long long)(os_alloc_live() - kw.bytes));
	if (host_map_any(kvm_host_map()))
		sim_fail("leak of mappings: a window");
}
