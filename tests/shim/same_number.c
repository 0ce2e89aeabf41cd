/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Two threads make copies of two guest_memfds at one number, again and again. Which is there in the end is as it
 * comes; but none may be counted there for ever: when all is closed, both leave their memslots.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "t.h"

#define GPA 0x100000ul
#define NUMBER 100
#define NR_ROUNDS 8000

struct box {
	int vm, vcpu, gmem;
	_Atomic int *turn;
};

static void make_box(struct box *b, _Atomic int *turn)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = 1, .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = GPA, .memory_size = PAGE
	};
	struct kvm_memory_attributes attributes = { .address = GPA, .size = PAGE, .attributes = 8 };

	b->turn = turn;
	b->vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	b->gmem = make_gmem(b->vm, PAGE, 0);
	region.userspace_addr = (uintptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
						MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	region.guest_memfd = (uint32_t)b->gmem;
	CHECK(ioctl(b->vm, KVM_SET_USER_MEMORY_REGION2, &region) == 0);
	CHECK(ioctl(b->vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes) == 0);
	b->vcpu = ioctl(b->vm, KVM_CREATE_VCPU, 0);
	CHECK(b->vcpu >= 0);
}

static bool is_bound(const struct box *b)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = PAGE };

	if (ioctl(b->vcpu, KVM_PRE_FAULT_MEMORY, &range) == 0)
		return true;
	CHECK(errno == EFAULT);
	return false;
}

/* Both at once, as far as there are processors for it. */
static void *copy(void *arg)
{
	const struct box *b = arg;

	for (int i = 1; i <= NR_ROUNDS; i++) {
		atomic_fetch_add(b->turn, 1);
		for (int tries = 0; atomic_load(b->turn) < 2 * i && tries < 10000; tries++)
			__builtin_ia32_pause();
		CHECK(dup2(b->gmem, NUMBER) == NUMBER || errno == EBUSY);
	}
	return NULL;
}

int main(void)
{
	static _Atomic int turn;
	struct box box[2];
	pthread_t other;

	make_box(&box[0], &turn);
	make_box(&box[1], &turn);
	CHECK(pthread_create(&other, NULL, copy, &box[1]) == 0);
	copy(&box[0]);
	CHECK(pthread_join(other, NULL) == 0);
	CHECK(is_bound(&box[0]) && is_bound(&box[1]));
	close(NUMBER);
	close(box[0].gmem);
	close(box[1].gmem);
	CHECK(!is_bound(&box[0]));
	CHECK(!is_bound(&box[1]));
	return 0;
}
