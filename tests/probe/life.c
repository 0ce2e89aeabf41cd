/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What lives how long: VM, vCPU, guest_memfd and their mappings closed in every order. */
#include "probe.h"

#include <sys/socket.h>
#include <sys/wait.h>

#define BASE 0xc0000000UL
#define KEEP FALLOC_FL_KEEP_SIZE
#define PUNCH (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)

static void vm_first(void)
{
	int vm = vm_new(0), f = gmem_need(vm, 2 * PG, 3), vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	uint8_t *p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	struct guest g = { .vm = vm, .vcpu = vcpu };
	struct kvm_regs r;

	g.run = mmap(NULL, 3 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	p[0] = 0x41;
	slot_v2(vm, 1, KVM_MEM_GUEST_MEMFD, 0xfffff000, PG, p, f, PG);
	memcpy(p + PG + 0xff0, "\xe6\x55\xf4", 3);
	say_ok("close the VM", close(vm));
	say("mapping of the gmem", "%s", peek(p));
	say_ok("allocate", fallocate(f, KEEP, 0, PG));
	say("vCPU runs from the gmem", "%s", guest_go(&g));
	say_ok("close the gmem", close(f));
	say("mapping keeps it", "%s", peek(p));
	say("vCPU runs on", "%s", guest_go(&g));
	munmap(p, 2 * PG);
	ioctl(vcpu, KVM_GET_REGS, &r);
	r.rip = 0xfff0;
	ioctl(vcpu, KVM_SET_REGS, &r);
	say("vCPU after the last reference is gone", "%s", guest_go(&g));
	say_ok("close the vCPU", close(vcpu));
	g.run->immediate_exit = 7;
	say("mapping of kvm_run after it", "%s", peek(&g.run->immediate_exit));
	say_ok("ioctl on the closed vCPU", ioctl(vcpu, KVM_RUN, 0));
}

static void second_reference(void)
{
	struct guest g;
	int f, f2;

	guest_make(&g, 0, GUEST_FLAT32);
	f = gmem_need(g.vm, PG, 3);
	f2 = dup(f);
	slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, PG, NULL, f, 0);
	guest_load(&g, 0xa0, 0, 0, 0, 0xc0, 0xf4);
	close(f);
	say("one of two descriptors closed", "%s", guest_go(&g));
	say_ok("fallocate on the other", fallocate(f2, KEEP, 0, PG));
	close(f2);
	guest_load(&g, 0xa0, 0, 0, 0, 0xc0, 0xf4);
	say("both closed", "%s", guest_go(&g));
}

static void contents(void)
{
	struct guest g;
	uint8_t *p;
	int f;

	guest_make(&g, 0, GUEST_FLAT32);
	f = gmem_need(g.vm, PG, 3);
	slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, PG, NULL, f, 0);
	guest_load(&g, 0xc6, 0x05, 0, 0, 0, 0xc0, 0x5c, 0xf4);
	guest_go(&g);
	slot_v1(g.vm, 1, 0, 0, 0, NULL);
	slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE + M2, PG, NULL, f, 0);
	guest_load(&g, 0xa0, 0, 0, 0x20, 0xc0, 0xe6, 0x10, 0xf4);
	say("contents over delete and rebind", "%s", guest_go(&g));
	close(g.vm);
	p = mmap(NULL, PG, PROT_READ, MAP_SHARED, f, 0);
	say("contents after close of the VM", "%s", peek(p));
}

static int pass_fd(int fd)
{
	int s[2], got = -1;
	char byte = 0, space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = space,
			    .msg_controllen = sizeof(space) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		return -1;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	if (sendmsg(s[0], &m, 0) != 1)
		return -1;
	close(fd);
	if (recvmsg(s[1], &m, 0) != 1)
		return -1;
	memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return got;
}

static void passed(void)
{
	struct guest g;
	int f;

	guest_make(&g, 0, GUEST_FLAT32);
	f = gmem_need(g.vm, PG, 3);
	slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, PG, NULL, f, 0);
	guest_load(&g, 0xa0, 0, 0, 0, 0xc0, 0xf4);
	guest_go(&g);
	f = pass_fd(f);
	say_ok("gmem through a socket, original closed meanwhile", fallocate(f, PUNCH, 0, PG));
	guest_load(&g, 0xa0, 0, 0, 0, 0xc0, 0xf4);
	say("guest still has it", "%s", guest_go(&g));
	say_ok("bind through the received one",
	       slot_v2(g.vm, 2, KVM_MEM_GUEST_MEMFD, BASE + M2, PG, NULL, f, 0));
	say_ok("VM through a socket", ioctl(pass_fd(g.vm), KVM_CHECK_EXTENSION, 3));
}

static void child_holds(void)
{
	struct guest g;
	int f, pipes[2];
	pid_t pid;
	char c;

	guest_make(&g, 0, GUEST_FLAT32);
	f = gmem_need(g.vm, PG, 3);
	slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, PG, NULL, f, 0);
	if (pipe(pipes))
		_exit(1);
	pid = fork();
	if (pid == 0) {
		close(pipes[1]);
		_exit(read(pipes[0], &c, 1) != 0);
	}
	close(pipes[0]);
	close(f);
	guest_load(&g, 0xa0, 0, 0, 0, 0xc0, 0xf4);
	say("closed here, a child holds it", "%s", guest_go(&g));
	close(pipes[1]);
	waitpid(pid, NULL, 0);
	guest_load(&g, 0xa0, 0, 0, 0, 0xc0, 0xf4);
	say("the child is gone too", "%s", guest_go(&g));
}

static void numbers(void)
{
	int vm = vm_new(0), f = gmem_need(vm, PG, 0), g = gmem_need(vm, PG, 0);
	struct stat a, b;

	fstat(f, &a);
	say_ret("dup2 of one gmem onto another", dup2(f, g) == g ? 0 : -1);
	fstat(g, &b);
	say("it is the same file", "%s", a.st_ino == b.st_ino ? "yes" : "no");
	say_ok("bind through it", slot_v2(vm, 1, KVM_MEM_GUEST_MEMFD, 0, PG, NULL, g, 0));
	say_ok("fcntl F_DUPFD above 100", fcntl(f, F_DUPFD, 100) >= 100 ? 0 : -1);
	say_ok("fallocate on that", fallocate(100, KEEP, 0, PG));
	say_ok("dup3 with CLOEXEC", dup3(f, 101, O_CLOEXEC) == 101 ? 0 : -1);
	say("its F_GETFD", "%d", fcntl(101, F_GETFD));
	close(f);
	f = open("/dev/null", O_RDONLY);
	say_ok("a closed number reused for another file: fallocate", fallocate(f, KEEP, 0, PG));
	say_ok("and used in a slot", slot_v2(vm, 2, KVM_MEM_GUEST_MEMFD, M2, PG, NULL, f, 0));
	say_ok("memfd dup2'ed onto a gmem: ftruncate",
	       ftruncate(dup2(memfd_create("m", 0), 100), PG));
}

static void stats(void)
{
	int vm = vm_new(0), vcpu = ioctl(vm, KVM_CREATE_VCPU, 3), fd;
	struct kvm_stats_header h = { 0 };
	char id[64] = "";

	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_BINARY_STATS_FD) <= 0)
		cannot_ask();
	fd = ioctl(vm, KVM_GET_STATS_FD, 0);
	say_ok("GET_STATS_FD of a VM", fd);
	say_ret("header read", pread(fd, &h, sizeof(h), 0));
	say("header", "flags %u name_size %u, descriptors %s", h.flags, h.name_size,
	    h.num_desc ? "some" : "none");
	say("id", "%s", pread(fd, id, 3, h.id_offset) == 3 ? id : "short");
	say_ret("write to it", write(fd, id, 1));
	fd = ioctl(vcpu, KVM_GET_STATS_FD, 0);
	say_ok("GET_STATS_FD of a vCPU", fd);
	say("F_GETFD", "%d", fcntl(fd, F_GETFD));
}

static const struct probe_case list[] = {
	{ "life", "VM first", vm_first },
	{ "life", "second reference", second_reference },
	{ "life", "contents", contents },
	{ "life", "passed", passed },
	{ "life", "child holds", child_holds },
	{ "life-fds", "numbers", numbers },
	{ "stats", "stats", stats },
};

const struct probe_list cases_life = { list, COUNT(list) };
