/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The three classic descriptors: what they are, what they refuse, and what exists at all. */
#include "probe.h"

#include <poll.h>
#include <sys/vfs.h>
#include <termios.h>

static void system_calls(void)
{
	int dev = dev_open();
	struct {
		uint32_t nmsrs;
		uint32_t indices[2000];
	} list = { .nmsrs = 0 };

	say_ret("GET_API_VERSION", ioctl(dev, KVM_GET_API_VERSION, 0));
	say_ret("GET_API_VERSION with an argument", ioctl(dev, KVM_GET_API_VERSION, 1));
	say_ret("GET_VCPU_MMAP_SIZE", ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 0));
	say_ret("GET_VCPU_MMAP_SIZE with an argument", ioctl(dev, KVM_GET_VCPU_MMAP_SIZE, 1));
	say_ret("CHECK_EXTENSION of an unknown number", ioctl(dev, KVM_CHECK_EXTENSION, 99999));
	say_ret("CHECK_EXTENSION of -1", ioctl(dev, KVM_CHECK_EXTENSION, -1L));
	say_ret("GET_MSR_INDEX_LIST without room", ioctl(dev, KVM_GET_MSR_INDEX_LIST, &list));
	say("GET_MSR_INDEX_LIST without room: nmsrs", "%s", list.nmsrs ? "above 0" : "0");
	say_ok("GET_MSR_INDEX_LIST again with that", ioctl(dev, KVM_GET_MSR_INDEX_LIST, &list));
	say_ok("GET_MSR_INDEX_LIST(NULL)", ioctl(dev, KVM_GET_MSR_INDEX_LIST, NULL));
	list.nmsrs = 0;
	say_ret("GET_MSR_FEATURE_INDEX_LIST without room",
		ioctl(dev, KVM_GET_MSR_FEATURE_INDEX_LIST, &list));
	list.nmsrs = 2000;
	say_ok("GET_MSR_FEATURE_INDEX_LIST", ioctl(dev, KVM_GET_MSR_FEATURE_INDEX_LIST, &list));
}

static void supported_cpuid(void)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 300 * sizeof(c->entries[0]));
	static const uint32_t rooms[] = { 0, 1, 256, 257, 0xffffffff };
	int dev = dev_open();

	for (size_t i = 0; i < COUNT(rooms); i++) {
		c->nent = rooms[i];
		say_ok(qf("GET_SUPPORTED_CPUID with room for %u", rooms[i]),
		       ioctl(dev, KVM_GET_SUPPORTED_CPUID, c));
		if (i == 2)
			say("GET_SUPPORTED_CPUID: entries", "%s",
			    c->nent > 10 && c->nent < 256 ? "more than 10" : "odd");
	}
	say_ok("GET_SUPPORTED_CPUID(NULL)", ioctl(dev, KVM_GET_SUPPORTED_CPUID, NULL));
	c->nent = 256;
	say_ok("GET_EMULATED_CPUID with room for 256", ioctl(dev, KVM_GET_EMULATED_CPUID, c));
	c->nent = 0;
	say_ok("GET_EMULATED_CPUID with room for 0", ioctl(dev, KVM_GET_EMULATED_CPUID, c));
}

static void vm_types(void)
{
	static const unsigned long types[] = { 0, 1, 6, 31, 32, 1UL << 32, ~0UL };
	int dev = dev_open();

	for (size_t i = 0; i < COUNT(types); i++)
		say_fd(qf("CREATE_VM type %#lx", types[i]), ioctl(dev, KVM_CREATE_VM, types[i]));
}

static void open_modes(void)
{
	static const struct {
		const char *name;
		int flags;
	} modes[] = {
		{ "O_RDONLY", O_RDONLY },
		{ "O_WRONLY", O_WRONLY },
		{ "O_RDWR", O_RDWR },
		{ "O_RDWR O_NONBLOCK", O_RDWR | O_NONBLOCK },
		{ "O_RDWR O_TRUNC", O_RDWR | O_TRUNC },
		{ "O_RDWR O_APPEND", O_RDWR | O_APPEND },
	};

	for (size_t i = 0; i < COUNT(modes); i++) {
		int fd = open("/dev/kvm", modes[i].flags);

		say_ok(qf("open /dev/kvm %s", modes[i].name), fd);
		say_fd(qf("CREATE_VM on an %s descriptor", modes[i].name),
		       ioctl(fd, KVM_CREATE_VM, 0));
		close(fd);
	}
	say_ok("open /dev/kvm O_CREAT O_EXCL", open("/dev/kvm", O_RDWR | O_CREAT | O_EXCL, 0600));
	say_ok("open /dev/kvm O_DIRECTORY", open("/dev/kvm", O_RDWR | O_DIRECTORY));
	say_ok("access /dev/kvm for reading and writing", access("/dev/kvm", R_OK | W_OK));
}

static void show_link(const char *what, int fd)
{
	char path[40], target[80];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	target[n > 0 ? n : 0] = 0;
	say(qf("%s: link in /proc/self/fd", what), "%s", target);
}

static void show_fd(const char *what, int fd)
{
	struct stat st;
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	char buf[16] = "";
	int ret;

	show_link(what, fd);
	say(qf("%s: F_GETFD", what), "%d", fcntl(fd, F_GETFD));
	say(qf("%s: F_GETFL", what), "%o", fcntl(fd, F_GETFL));
	ret = fstat(fd, &st);
	say(qf("%s: fstat type and size", what), "%s type %o size %ld", err_str(ret),
	    ret ? 0 : st.st_mode & S_IFMT, ret ? 0 : (long)st.st_size);
	say_ret(qf("%s: read", what), read(fd, buf, sizeof(buf)));
	say_ret(qf("%s: write", what), write(fd, buf, sizeof(buf)));
	say_ret(qf("%s: pread", what), pread(fd, buf, sizeof(buf), 0));
	say_ret(qf("%s: lseek to 5", what), lseek(fd, 5, SEEK_SET));
	say_ret(qf("%s: lseek to the end", what), lseek(fd, 0, SEEK_END));
	say_ok(qf("%s: ftruncate", what), ftruncate(fd, 0));
	say_ok(qf("%s: fallocate", what), fallocate(fd, 0, 0, 4096));
	say_ok(qf("%s: fsync", what), fsync(fd));
	ret = poll(&p, 1, 0);
	say(qf("%s: poll", what), "%d events %#x", ret, p.revents);
}

static void try_map(const char *what, int fd, const char *how, int prot, int flags, size_t size,
		    off_t offset)
{
	void *p = mmap(NULL, size, prot, flags, fd, offset);

	say_ok(qf("%s: mmap %s", what, how), p == MAP_FAILED ? -1 : 0);
	if (p != MAP_FAILED)
		munmap(p, size);
}

static void three_fds(void)
{
	int dev = dev_open();
	int vm = vm_new(0);
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 7);

	show_fd("/dev/kvm", dev);
	show_fd("VM", vm);
	show_fd("vCPU", vcpu);
	try_map("/dev/kvm", dev, "shared", PROT_READ, MAP_SHARED, PG, 0);
	try_map("VM", vm, "shared", PROT_READ, MAP_SHARED, PG, 0);
}

static void vcpu_map(void)
{
	int vm = vm_new(0);
	int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	uint8_t *p;

	try_map("vCPU", vcpu, "3 pages", PROT_READ | PROT_WRITE, MAP_SHARED, 3 * PG, 0);
	try_map("vCPU", vcpu, "page 1 alone", PROT_READ | PROT_WRITE, MAP_SHARED, PG, PG);
	try_map("vCPU", vcpu, "private", PROT_READ | PROT_WRITE, MAP_PRIVATE, PG, 0);
	try_map("vCPU", vcpu, "executable", PROT_READ | PROT_EXEC, MAP_SHARED, PG, 0);
	try_map("vCPU", vcpu, "read only", PROT_READ, MAP_SHARED, PG, 0);
	try_map("vCPU", vcpu, "at page 64 without a ring", PROT_READ, MAP_SHARED, PG, 64 * PG);
	try_map("vCPU", vcpu, "at page 100", PROT_READ, MAP_SHARED, PG, 100 * PG);
	p = mmap(NULL, 5 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	say("vCPU: mmap 5 pages, read page 0", "%s", touch_read(p));
	say("vCPU: mmap 5 pages, read page 1", "%s", touch_read(p + PG));
	say("vCPU: mmap 5 pages, read page 2", "%s", touch_read(p + 2 * PG));
	say("vCPU: mmap 5 pages, read page 3", "%s", touch_read(p + 3 * PG));
	p[100] = 0x5a;
	munmap(p, 5 * PG);
	p = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	say("vCPU: what was written through one mapping is in the next", "%s", peek(p + 100));
}

/* ---- ioctls that belong to another descriptor ---- */

static const struct {
	const char *name;
	unsigned long req;
} foreign[] = {
	{ "GET_API_VERSION", KVM_GET_API_VERSION },
	{ "CREATE_VM", KVM_CREATE_VM },
	{ "GET_VCPU_MMAP_SIZE", KVM_GET_VCPU_MMAP_SIZE },
	{ "GET_SUPPORTED_CPUID", KVM_GET_SUPPORTED_CPUID },
	{ "CREATE_GUEST_MEMFD", KVM_CREATE_GUEST_MEMFD },
	{ "SET_USER_MEMORY_REGION2", KVM_SET_USER_MEMORY_REGION2 },
	{ "SET_MEMORY_ATTRIBUTES", KVM_SET_MEMORY_ATTRIBUTES },
	{ "SET_MEMORY_ATTRIBUTES2", KVM_SET_MEMORY_ATTRIBUTES2 },
	{ "GET_DIRTY_LOG", KVM_GET_DIRTY_LOG },
	{ "CREATE_IRQCHIP on a foreign descriptor", KVM_CREATE_IRQCHIP },
	{ "RUN", KVM_RUN },
	{ "GET_REGS", KVM_GET_REGS },
	{ "PRE_FAULT_MEMORY", KVM_PRE_FAULT_MEMORY },
	{ "unused 0xaed3", 0xaed3 },
	{ "unused 0xaeff", 0xaeff },
	{ "GET_REGS with the size one too big", KVM_GET_REGS + (1UL << 16) },
	{ "GET_API_VERSION with high bits in the number", KVM_GET_API_VERSION | (1UL << 32) },
	{ "TCGETS", TCGETS },
	{ "FIONREAD", FIONREAD },
	{ "FIGETBSZ", 2 },
	{ "0", 0 },
	{ "all ones", 0xffffffff },
};

static bool belongs(int which, unsigned long req)
{
	static const unsigned long own[3][6] = {
		{ KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_GET_VCPU_MMAP_SIZE,
		  KVM_GET_SUPPORTED_CPUID, KVM_GET_API_VERSION | (1UL << 32) },
		{ KVM_CREATE_GUEST_MEMFD, KVM_SET_USER_MEMORY_REGION2, KVM_SET_MEMORY_ATTRIBUTES,
		  KVM_GET_DIRTY_LOG, KVM_CREATE_IRQCHIP },
		{ KVM_RUN, KVM_GET_REGS, KVM_PRE_FAULT_MEMORY },
	};

	for (size_t i = 0; which < 3 && i < COUNT(own[0]); i++)
		if (own[which][i] && own[which][i] == req)
			return true;
	return false;
}

static void foreign_ioctls(void)
{
	static const char *const names[] = { "/dev/kvm", "VM", "vCPU", "guest_memfd" };
	int vm = vm_new(0), buf = 0, on = 1;
	int fds[4] = { dev_open(), vm, ioctl(vm, KVM_CREATE_VCPU, 0), gmem_new(vm, PG, 0) };
	static uint64_t room[1024];

	for (int i = 0; i < 4; i++)
		for (size_t j = 0; j < COUNT(foreign); j++)
			if (!belongs(i, foreign[j].req))
				say_ok(qf("%s: %s", names[i], foreign[j].name),
				       ioctl(fds[i], foreign[j].req, room));
	for (int i = 0; i < 4; i++) {
		say_ok(qf("%s: FIONBIO", names[i]), ioctl(fds[i], FIONBIO, &on));
		say_ok(qf("%s: FIOASYNC", names[i]), ioctl(fds[i], FIOASYNC, &buf));
		say_ok(qf("%s: FIOCLEX", names[i]), ioctl(fds[i], FIOCLEX, 0));
		say(qf("%s: F_GETFD after FIOCLEX", names[i]), "%d", fcntl(fds[i], F_GETFD));
		say_ok(qf("%s: FIONCLEX", names[i]), ioctl(fds[i], FIONCLEX, 0));
	}
}

static void create_vcpu(void)
{
	static const unsigned long ids[] = { 0,	   0,	 1,    255,	  1023,
					     1024, 4095, 4096, 1UL << 31, 1UL << 32 };
	int vm = vm_new(0);

	for (size_t i = 0; i < COUNT(ids); i++)
		say_ok(qf("CREATE_VCPU %lu%s", ids[i], i == 1 ? " again" : ""),
		       ioctl(vm, KVM_CREATE_VCPU, ids[i]));
	say_ok("SET_NR_MMU_PAGES 63", ioctl(vm, KVM_SET_NR_MMU_PAGES, 63));
	say_ok("SET_NR_MMU_PAGES 64", ioctl(vm, KVM_SET_NR_MMU_PAGES, 64));
	say_ok("SET_BOOT_CPU_ID after a vCPU", ioctl(vm, KVM_SET_BOOT_CPU_ID, 0));
	vm = vm_new(0);
	say_ok("SET_BOOT_CPU_ID before any vCPU", ioctl(vm, KVM_SET_BOOT_CPU_ID, 0));
	say_ok("GET_NR_MMU_PAGES", ioctl(vm, KVM_GET_NR_MMU_PAGES, 0) < 0 ? -1 : 0);
	say_ok("SET_TSS_ADDR", ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000));
	say_ok("SET_TSS_ADDR 0xffffffff", ioctl(vm, KVM_SET_TSS_ADDR, 0xffffffff));
	say_ok("GET_TSC_KHZ of a VM", ioctl(vm, KVM_GET_TSC_KHZ, 0) > 0 ? 0 : -1);
	say_ok("KVM ioctl on a closed descriptor", ioctl(1000, KVM_GET_API_VERSION, 0));
	say_ok("KVM ioctl on a pipe-like descriptor",
	       ioctl(memfd_create("x", 0), KVM_GET_API_VERSION, 0));
}

static const struct probe_case list[] = {
	{ "sys", "system calls", system_calls }, { "sys", "supported cpuid", supported_cpuid },
	{ "sys", "vm types", vm_types },	 { "sys", "open modes", open_modes },
	{ "sys", "create vcpu", create_vcpu },	 { "fds", "three fds", three_fds },
	{ "fds", "vcpu map", vcpu_map },	 { "foreign", "foreign ioctls", foreign_ioctls },
};

const struct probe_list cases_sys = { list, COUNT(list) };
