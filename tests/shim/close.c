/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The last close of a guest_memfd, wherever it happens, takes it from its memslot: a private page
 * that could be faulted in before cannot any more (EFAULT). Until then it can.
 */
#include "pass.h"
#include "t.h"

#define GPA 0x100000ul

struct box {
	int vm, vcpu, gmem;
	void *shared;
};

static struct box make_box(void)
{
	struct box b = { .vm = make_vm(KVM_X86_SW_PROTECTED_VM) };
	struct kvm_userspace_memory_region2 region = {
		.slot = 1, .flags = KVM_MEM_GUEST_MEMFD, .guest_phys_addr = GPA, .memory_size = PAGE
	};
	struct kvm_memory_attributes attributes = { .address = GPA, .size = PAGE, .attributes = 8 };

	b.gmem = make_gmem(b.vm, PAGE, 0);
	b.shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	region.userspace_addr = (uintptr_t)b.shared;
	region.guest_memfd = (uint32_t)b.gmem;
	CHECK(ioctl(b.vm, KVM_SET_USER_MEMORY_REGION2, &region) == 0);
	CHECK(ioctl(b.vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes) == 0);
	b.vcpu = ioctl(b.vm, KVM_CREATE_VCPU, 0);
	CHECK(b.vcpu >= 0);
	return b;
}

static void drop_box(struct box *b)
{
	close(b->vcpu);
	close(b->vm);
	munmap(b->shared, PAGE);
}

static bool is_bound(struct box *b)
{
	struct kvm_pre_fault_memory range = { .gpa = GPA, .size = PAGE };

	if (ioctl(b->vcpu, KVM_PRE_FAULT_MEMORY, &range) == 0)
		return true;
	CHECK(errno == EFAULT);
	return false;
}

static bool becomes_unbound(struct box *b)
{
	for (int i = 0; i < 2000; i++) {
		if (!is_bound(b))
			return true;
		usleep(1000);
	}
	return false;
}

static void in_this_process(void)
{
	struct box b = make_box();
	int copy = dup(b.gmem);

	CHECK(is_bound(&b));
	close(b.gmem);
	CHECK(is_bound(&b));
	close(copy);
	CHECK(!is_bound(&b));
	drop_box(&b);
}

static void through_a_stream(void)
{
	struct box b = make_box();
	FILE *stream = fdopen(b.gmem, "r");

	CHECK(is_bound(&b));
	fclose(stream);
	CHECK(!is_bound(&b));
	drop_box(&b);
}

static void by_dup2(void)
{
	struct box b = make_box();

	CHECK(is_bound(&b));
	CHECK(dup2(0, b.gmem) == b.gmem);
	CHECK(!is_bound(&b));
	close(b.gmem);
	drop_box(&b);
}

static void a_mapping_holds_it(void)
{
	struct box b = make_box();
	int gmem = make_gmem(b.vm, PAGE, 1);
	void *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, gmem, 0);

	CHECK(map != MAP_FAILED);
	close(gmem);
	munmap(map, PAGE);
	CHECK(is_bound(&b));
	close(b.gmem);
	drop_box(&b);
}

static void in_a_child_that_was_forked(void)
{
	struct box b = make_box();
	int go[2];
	pid_t child;
	char c = 0;

	CHECK(pipe(go) == 0);
	child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		close(go[1]);
		CHECK(read(go[0], &c, 1) == 1);
		CHECK(close(b.gmem) == 0);
		CHECK(read(go[0], &c, 1) == 1);
		_exit(0);
	}
	close(b.gmem);
	usleep(20000);
	CHECK(is_bound(&b));
	CHECK(write(go[1], &c, 1) == 1);
	CHECK(becomes_unbound(&b));
	CHECK(write(go[1], &c, 1) == 1);
	CHECK(exit_status(child) == 0);
	close(go[0]);
	close(go[1]);
	drop_box(&b);
}

static void by_the_death_of_a_child(void)
{
	struct box b = make_box();
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		pause();
		_exit(0);
	}
	close(b.gmem);
	CHECK(is_bound(&b));
	kill(child, SIGKILL);
	exit_status(child);
	CHECK(becomes_unbound(&b));
	drop_box(&b);
}

static void a_message_holds_it(void)
{
	struct box b = make_box();
	struct stat before, after;
	int pair[2], back;

	CHECK(fstat(b.gmem, &before) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	send_fd(pair[0], b.gmem);
	close(b.gmem);
	CHECK(is_bound(&b));
	back = receive_fd(pair[1]);
	CHECK(fstat(back, &after) == 0);
	CHECK(after.st_ino == before.st_ino && after.st_size == before.st_size);
	CHECK(fallocate(back, FALLOC_FL_KEEP_SIZE, 0, PAGE) == 0);
	CHECK(is_bound(&b));
	close(back);
	CHECK(becomes_unbound(&b));
	close(pair[0]);
	close(pair[1]);
	drop_box(&b);
}

int main(void)
{
	in_this_process();
	through_a_stream();
	by_dup2();
	a_mapping_holds_it();
	in_a_child_that_was_forked();
	by_the_death_of_a_child();
	a_message_holds_it();
	return 0;
}
