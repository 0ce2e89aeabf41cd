/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "memfd.h"

#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

int memfd_set_slot(struct guest *g, uint32_t nr, uint32_t flags, unsigned int gpa_page,
		   uint64_t nr_pages, void *hva, int fd, uint64_t offset)
{
	struct kvm_userspace_memory_region_v8 r = {
		.region = { .slot = 1 + nr,
			    .flags = flags,
			    .guest_phys_addr = DATA + gpa_page * PAGE,
			    .memory_size = nr_pages * PAGE,
			    .userspace_addr = (uintptr_t)hva },
		.private_offset = offset,
		.private_fd = (uint32_t)fd,
	};

	return ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &r);
}

void memfd_sizes(int fd)
{
	assert_true(fd >= 0);
	assert_int_equal(gen_size(fd), 0);
	FAILS_WITH(ftruncate(fd, PAGE + 1), EINVAL);
	FAILS_WITH(ftruncate(fd, -1), EINVAL);
	WORKS(ftruncate(fd, 0));
	WORKS(ftruncate(fd, 2 * PAGE));
	assert_int_equal(gen_size(fd), 2 * PAGE);
	FAILS_WITH(ftruncate(fd, 4 * PAGE), EPERM);
	FAILS_WITH(ftruncate(fd, 2 * PAGE), EPERM);
	FAILS_WITH(ftruncate(fd, 1), EPERM);
	/* Only the last page is allocated, and the file is as long as that says. */
	WORKS(fallocate(fd, 0, 7 * PAGE, PAGE));
	assert_int_equal(gen_size(fd), 8 * PAGE);
	assert_int_equal(gen_backed(fd), PAGE);
	WORKS(fallocate(fd, FALLOC_FL_KEEP_SIZE, 9 * PAGE, PAGE));
	assert_int_equal(gen_size(fd), 8 * PAGE);
	FAILS_WITH(fallocate(fd, 0, (off_t)1 << 60, PAGE), EFBIG);
	close(fd);
}

void memfd_has_no_calls(int fd)
{
	char byte = 0;

	FAILS_WITH(read(fd, &byte, 1), EINVAL);
	FAILS_WITH(write(fd, &byte, 1), EINVAL);
	FAILS_WITH(pread(fd, &byte, 1, 0), ESPIPE);
	FAILS_WITH(pwrite(fd, &byte, 1, 0), ESPIPE);
	FAILS_WITH(lseek(fd, 0, SEEK_END), ESPIPE);
	errno = 0;
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(errno, ENODEV);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), MAP_FAILED);
	assert_int_equal(errno, ENODEV);
	FAILS_WITH(fcntl(fd, F_GET_SEALS), EINVAL);
	FAILS_WITH(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EINVAL);
	FAILS_WITH(fsync(fd), EINVAL);
	FAILS_WITH(ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, NULL), ENOTTY);
	WORKS(fchmod(fd, 0600));
	close(fd);
}

void memfd_allocates(int fd)
{
	WORKS(fallocate(fd, 0, 1, PAGE));
	/* Both pages that have a byte of it. */
	assert_int_equal(gen_backed(fd), 2 * PAGE);
	FAILS_WITH(fallocate(fd, PUNCH, 1, PAGE), EINVAL);
	FAILS_WITH(fallocate(fd, PUNCH, 0, PAGE + 1), EINVAL);
	FAILS_WITH(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE), EOPNOTSUPP);
	FAILS_WITH(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, PAGE), EOPNOTSUPP);
	FAILS_WITH(fallocate(fd, 0, 0, 0), EINVAL);
	WORKS(fallocate(fd, PUNCH, 0, PAGE));
	assert_int_equal(gen_backed(fd), PAGE);
	/* Behind the end, too. */
	WORKS(fallocate(fd, PUNCH, 0, 1000 * PAGE));
	assert_int_equal(gen_backed(fd), 0);
	assert_int_equal(gen_size(fd), 4 * PAGE);
	close(fd);
}

void memfd_two_slots(struct guest *g, int fd, convert_fn *convert)
{
	uint8_t *hva = guest_memory(2 * PAGE);

	/* The guest's first page is the file's second. */
	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 1, hva, fd, PAGE));
	WORKS(memfd_set_slot(g, 1, KVM_MEM_PRIVATE, 1, 1, hva + PAGE, fd, 0));
	convert(g, DATA, 2 * PAGE, true);
	gen_exchange_at(g, 0, 1);
	gen_exchange_at(g, 1, 2);
	assert_int_equal(gen_exchange_at(g, 0, 3), 1);
	assert_int_equal(gen_exchange_at(g, 1, 4), 2);
	WORKS(fallocate(fd, PUNCH, 0, 2 * PAGE));
	assert_int_equal(gen_backed(fd), 0);
	assert_int_equal(gen_exchange_at(g, 0, 5), 0);
	assert_int_equal(gen_exchange_at(g, 1, 6), 0);
	close(fd);
}

void memfd_two_vms(struct guest *g, int fd, convert_fn *convert)
{
	struct guest other;

	guest_make(&other, KVM_X86_SW_PROTECTED_VM);
	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 1, guest_memory(PAGE), fd, 0));
	WORKS(memfd_set_slot(&other, 0, KVM_MEM_PRIVATE, 0, 1, guest_memory(PAGE), fd, PAGE));
	/* Where the file says what is private this is all of it, and else each VM has its say. */
	convert(g, DATA, 2 * PAGE, true);
	convert(&other, DATA, PAGE, true);
	assert_int_equal(gen_exchange(g, 1), 0);
	assert_int_equal(gen_exchange(&other, 2), 0);
	assert_int_equal(gen_exchange(g, 3), 1);
	WORKS(fallocate(fd, PUNCH, PAGE, PAGE));
	assert_int_equal(gen_exchange(&other, 4), 0);
	guest_free(&other);
	assert_int_equal(gen_exchange(g, 5), 3);
	close(fd);
}

struct puncher {
	int fd;
	atomic_bool stop;
};

static void *punch_on(void *arg)
{
	struct puncher *p = arg;

	while (!atomic_load(&p->stop))
		assert_int_equal(fallocate(p->fd, PUNCH, 0, PAGE), 0);
	return NULL;
}

/* What the guest finds is what it has left there, or nothing. */
void memfd_punch_beside(struct guest *g, int fd, convert_fn *convert)
{
	struct puncher p = { .fd = fd };
	uint8_t *hva = guest_memory(PAGE), found;
	pthread_t thread;

	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 1, hva, fd, 0));
	convert(g, DATA, PAGE, true);
	assert_int_equal(pthread_create(&thread, NULL, punch_on, &p), 0);
	for (unsigned int i = 0; i < 1000; i++) {
		found = gen_exchange(g, (uint8_t)(1 + i % 200));
		assert_true(!found || found == 1 + (i - 1) % 200);
	}
	atomic_store(&p.stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(hva[0], 0);
	WORKS(fallocate(fd, PUNCH, 0, PAGE));
	assert_int_equal(gen_backed(fd), 0);
	close(fd);
}

void memfd_hypercall_exits(struct guest *g, uint32_t reason)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_HYPERCALL,
				      .args = { 1 << KVM_HC_MAP_GPA_RANGE } };
	static const uint8_t asks[] = { 0x66, 0xb8, 12,	  0,	0,    0,    0x66, 0xbb, 0,    0x80,
					0,    0,    0x66, 0xb9, 1,    0,    0,	  0,	0x66, 0xba,
					16,   0,    0,	  0,	0x0f, 0x01, 0xc1, HLT };
	uint8_t found = 0;

	WORKS(ioctl(g->vm, KVM_ENABLE_CAP, &cap));
	guest_code(g, asks, sizeof(asks));
	WORKS(guest_run(g));
	assert_int_equal(g->run->exit_reason, KVM_EXIT_HYPERCALL);
	assert_int_equal(g->run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	assert_int_equal(g->run->hypercall.args[0], DATA);
	assert_int_equal(g->run->hypercall.args[1], 1);
	assert_int_equal(g->run->hypercall.args[2], KVM_MAP_GPA_RANGE_ENCRYPTED);
	g->run->hypercall.ret = 0;
	WORKS(guest_run(g));
	assert_int_equal(g->run->exit_reason, KVM_EXIT_HLT);
	/* KVM has kept nothing of it in mind. */
	WORKS(memfd_set_slot(g, 0, 0, 0, 1, guest_memory(PAGE), 0, 0));
	WORKS(gen_try(g, 1, &found));
	assert_int_not_equal(g->run->exit_reason, reason);
}

void memfd_overlap(struct guest *g, int fd)
{
	uint8_t *hva = guest_memory(4 * PAGE);

	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 2, hva, fd, 0));
	FAILS_WITH(memfd_set_slot(g, 1, KVM_MEM_PRIVATE, 1, 1, hva, fd, 0), EEXIST);
	FAILS_WITH(memfd_set_slot(g, 1, KVM_MEM_PRIVATE, 2, 1, hva, fd, PAGE), EINVAL);
	FAILS_WITH(memfd_set_slot(g, 1, KVM_MEM_PRIVATE, 2, 1, hva, fd, (uint64_t)1 << 60), EINVAL);
	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 0, hva, fd, 0));
	WORKS(memfd_set_slot(g, 1, KVM_MEM_PRIVATE, 2, 1, hva, fd, PAGE));
	close(fd);
}

static void expect_refused(struct guest *g, uint32_t reason, int error, bool takes_private)
{
	uint8_t found;

	gen_guest_takes(g, 0, takes_private);
	assert_int_equal(gen_try(g, 99, &found), error);
	gen_expect_exit(g, reason, takes_private, DATA);
}

void memfd_fault_matrix(struct guest *g, uint32_t reason, int error, int fd, convert_fn *convert)
{
	uint8_t *hva = guest_memory(PAGE);

	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 1, hva, fd, 0));
	convert(g, DATA, PAGE, false);
	gen_guest_takes(g, 0, false);
	assert_int_equal(gen_exchange(g, 1), 0);
	expect_refused(g, reason, error, true);
	/* As it was asked for: the same access goes through now. */
	convert(g, DATA, PAGE, true);
	assert_int_equal(gen_exchange(g, 2), 0);
	assert_int_equal(gen_exchange(g, 3), 2);
	expect_refused(g, reason, error, false);
	convert(g, DATA, PAGE, false);
	assert_int_equal(gen_exchange(g, 4), 1);
	assert_int_equal(hva[0], 4);
	close(fd);
}

void memfd_log_and_read_only(struct guest *g, int fd, convert_fn *convert)
{
	uint8_t *hva = guest_memory(2 * PAGE), found = 0;
	uint64_t bits = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };

	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE | KVM_MEM_LOG_DIRTY_PAGES, 0, 1, hva, fd, 0));
	WORKS(memfd_set_slot(g, 1, KVM_MEM_PRIVATE | KVM_MEM_READONLY, 1, 1, hva + PAGE, fd, PAGE));
	convert(g, DATA, 2 * PAGE, true);
	assert_int_equal(gen_exchange_at(g, 0, 1), 0);
	WORKS(ioctl(g->vm, KVM_GET_DIRTY_LOG, &log));
	assert_int_equal(bits, 1);
	WORKS(ioctl(g->vm, KVM_GET_DIRTY_LOG, &log));
	assert_int_equal(bits, 0);
	assert_int_equal(gen_exchange_at(g, 0, 2), 1);
	WORKS(ioctl(g->vm, KVM_GET_DIRTY_LOG, &log));
	assert_int_equal(bits, 1);
	/* A write leaves as one to a device, and memory stays. */
	WORKS(gen_try_at(g, 1, 7, &found));
	assert_int_equal(g->run->exit_reason, KVM_EXIT_MMIO);
	assert_true(g->run->mmio.is_write);
	assert_int_equal(g->run->mmio.phys_addr, DATA + PAGE);
	close(fd);
}

/* No conversion mends it, so it is not told as what asks for one. */
void memfd_bad_page(struct guest *g, uint32_t reason, int fd, convert_fn *convert)
{
	uint8_t found;

	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 1, guest_memory(PAGE), fd, 0));
	convert(g, DATA, PAGE, true);
	assert_int_equal(gen_try(g, 1, &found), -EHWPOISON);
	gen_expect_exit(g, reason, 1, DATA);
	convert(g, DATA, PAGE, false);
	assert_int_equal(gen_exchange(g, 2), 0);
	close(fd);
}

void memfd_no_room(struct guest *g, uint32_t reason, int fd, convert_fn *convert)
{
	uint8_t found;

	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 2, guest_memory(2 * PAGE), fd, 0));
	convert(g, DATA, 2 * PAGE, true);
	assert_int_equal(gen_exchange_at(g, 0, 1), 0);
	assert_int_equal(gen_try_at(g, 1, 2, &found), -ENOMEM);
	gen_expect_exit(g, reason, 1, DATA + PAGE);
	WORKS(fallocate(fd, PUNCH, 0, PAGE));
	assert_int_equal(gen_exchange_at(g, 1, 2), 0);
	close(fd);
}

void memfd_late_fault(struct guest *g, uint32_t reason, int error, int fd, convert_fn *convert)
{
	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 1, guest_memory(PAGE), fd, 0));
	convert(g, DATA, PAGE, true);
	assert_int_equal(gen_exchange(g, 1), 0);
	assert_int_equal(guest_run(g), error);
	gen_expect_exit(g, reason, 1, DATA);
	WORKS(guest_run(g));
	assert_int_equal(g->run->exit_reason, KVM_EXIT_HLT);
	close(fd);
}

void memfd_slot_holds(struct guest *g, int fd, convert_fn *convert)
{
	uint8_t *hva = guest_memory(PAGE);

	WORKS(memfd_set_slot(g, 0, KVM_MEM_PRIVATE, 0, 1, hva, fd, 0));
	convert(g, DATA, PAGE, true);
	assert_int_equal(gen_exchange(g, 1), 0);
	close(fd);
	/* The memory is the slot's now, and nobody can free it but by deleting that. */
	assert_int_equal(gen_exchange(g, 2), 1);
	WORKS(memfd_set_slot(g, 0, 0, 0, 0, hva, 0, 0));
}
