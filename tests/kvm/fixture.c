/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "os/fault.h"
#include "os/os.h"

#define FIRST_FD 100
#define NR_FDS 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct kvm_object *table[NR_FDS];
static bool used[NR_FDS];
static char names[NR_FDS][96];

static int reserve(bool cloexec, const char *name, int *fd)
{
	int i;

	(void)cloexec;
	pthread_mutex_lock(&lock);
	for (i = 0; i < NR_FDS && used[i]; i++)
		;
	if (i < NR_FDS)
		used[i] = true;
	if (i < NR_FDS)
		strncpy(names[i], name ? name : "", sizeof(names[i]) - 1);
	pthread_mutex_unlock(&lock);
	*fd = FIRST_FD + i;
	return i < NR_FDS ? 0 : -EMFILE;
}

static void commit(int fd, struct kvm_object *o)
{
	pthread_mutex_lock(&lock);
	table[fd - FIRST_FD] = o;
	pthread_mutex_unlock(&lock);
}

static void cancel(int fd)
{
	pthread_mutex_lock(&lock);
	used[fd - FIRST_FD] = false;
	pthread_mutex_unlock(&lock);
}

static int lookup(int fd, struct kvm_object **o)
{
	int err = 0;

	*o = NULL;
	if (fd < FIRST_FD || fd >= FIRST_FD + NR_FDS)
		return -EBADF;
	pthread_mutex_lock(&lock);
	if (!used[fd - FIRST_FD])
		err = -EBADF;
	else if (table[fd - FIRST_FD])
		kvm_object_get(*o = table[fd - FIRST_FD]);
	pthread_mutex_unlock(&lock);
	return err;
}

static const struct kvm_fd_ops ops = {
	.reserve = reserve,
	.commit = commit,
	.cancel = cancel,
	.lookup = lookup,
};

void fixture_start(const char *profile)
{
	os_log_set(getenv("GMEM_LOG"));
	kvm_set_fd_ops(&ops);
	assert_int_equal(kvm_set_profile(profile), 0);
}

int fixture_setup(void **state)
{
	fixture_start(NULL);
	return 0;
}

int fixture_install(struct kvm_object *o)
{
	int fd;

	assert_int_equal(reserve(false, NULL, &fd), 0);
	commit(fd, o);
	return fd;
}

const char *fixture_name(int fd)
{
	return names[fd - FIRST_FD][0] ? names[fd - FIRST_FD] : NULL;
}

int fixture_open(void)
{
	struct kvm_object *o;

	assert_int_equal(kvm_open(&o), 0);
	return fixture_install(o);
}

int fixture_foreign(void)
{
	int fd;

	assert_int_equal(reserve(false, NULL, &fd), 0);
	return fd;
}

void fixture_close(int fd)
{
	struct kvm_object *o;

	pthread_mutex_lock(&lock);
	assert_true(used[fd - FIRST_FD]);
	o = table[fd - FIRST_FD];
	table[fd - FIRST_FD] = NULL;
	used[fd - FIRST_FD] = false;
	pthread_mutex_unlock(&lock);
	if (o)
		kvm_object_put(o);
}

void fixture_end(void)
{
	int i;

	for (i = 0; i < NR_FDS; i++)
		assert_false(used[i]);
}

struct kvm_object *object_of(int fd)
{
	return table[fd - FIRST_FD];
}

long call_value(int fd, unsigned long cmd, uint64_t arg)
{
	struct kvm_object *o;
	long r = lookup(fd, &o);

	if (r)
		return r;
	r = kvm_ioctl(o, (unsigned int)cmd, arg);
	kvm_object_put(o);
	return r;
}

long call(int fd, unsigned long cmd, const void *arg)
{
	return call_value(fd, cmd, (uintptr_t)arg);
}

int make_vm(unsigned int type)
{
	int kvm = fixture_open();
	long vm = call_value(kvm, KVM_CREATE_VM, type);

	/* cmocka puts handlers of its own in front of every test. */
	assert_int_equal(os_fault_init(), 0);
	assert_true(vm >= 0);
	fixture_close(kvm);
	return (int)vm;
}

int make_vcpu(int vm)
{
	return (int)call_value(vm, KVM_CREATE_VCPU, 0);
}

void make_loop(int vm, int vcpu, char *ram)
{
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;

	memcpy(ram, "\xeb\xfe", 2);
	assert_int_equal(set_slot(vm, 0, 0, 0, PAGE, ram, -1, 0), 0);
	assert_int_equal(call(vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = sregs.cs.selector = 0;
	assert_int_equal(call(vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(call(vcpu, KVM_SET_REGS, &regs), 0);
}

void end_vm(int vm, int vcpu)
{
	fixture_close(vcpu);
	fixture_close(vm);
	fixture_end();
}

int make_gmem(int vm, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd c = { .size = size, .flags = flags };

	return (int)call(vm, KVM_CREATE_GUEST_MEMFD, &c);
}

long set_slot(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, const void *hva,
	      int gmem, uint64_t offset)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = flags,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd_offset = offset,
		.guest_memfd = (uint32_t)gmem,
	};

	return call(vm, KVM_SET_USER_MEMORY_REGION2, &r);
}

long set_private(int vm, uint64_t gpa, uint64_t size, bool is_private)
{
	struct kvm_memory_attributes a = {
		.address = gpa,
		.size = size,
		.attributes = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return call(vm, KVM_SET_MEMORY_ATTRIBUTES, &a);
}
