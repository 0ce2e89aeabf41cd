/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Copies of a descriptor are the same object; closing takes one number and no other. */
#include "t.h"

static bool is_kvm(int fd)
{
	return ioctl(fd, KVM_GET_API_VERSION, 0) == 12;
}

static void copies_are_the_same_object(void)
{
	int kvm = open_kvm();
	int copies[] = { dup(kvm),
			 dup2(kvm, 200),
			 dup3(kvm, 201, O_CLOEXEC),
			 fcntl(kvm, F_DUPFD, 300),
			 fcntl(kvm, F_DUPFD_CLOEXEC, 300),
			 (int)syscall(SYS_dup, kvm) };

	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
		CHECK(copies[i] >= 0);
		CHECK(is_kvm(copies[i]));
	}
	CHECK(fcntl(201, F_GETFD) == FD_CLOEXEC);
	CHECK(fcntl(200, F_GETFD) == 0);
	CHECK(close(kvm) == 0);
	FAILS(ioctl(kvm, KVM_GET_API_VERSION, 0), EBADF);
	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++) {
		CHECK(is_kvm(copies[i]));
		CHECK(close(copies[i]) == 0);
		FAILS(ioctl(copies[i], KVM_GET_API_VERSION, 0), EBADF);
	}
}

static void dup2_over_ours_closes_it(void)
{
	int null = open("/dev/null", O_RDWR);
	int kvm = open_kvm();

	CHECK(dup2(null, kvm) == kvm);
	FAILS(ioctl(kvm, KVM_GET_API_VERSION, 0), ENOTTY);
	CHECK(write(kvm, "x", 1) == 1);
	FAILS(dup2(-1, kvm), EBADF);
	CHECK(write(kvm, "x", 1) == 1);
	close(kvm);
	close(null);
}

static void dup2_onto_itself_keeps_it(void)
{
	int kvm = open_kvm();

	CHECK(dup2(kvm, kvm) == kvm);
	CHECK(is_kvm(kvm));
	FAILS(dup3(kvm, kvm, 0), EINVAL);
	FAILS(dup2(kvm, -1), EBADF);
	CHECK(is_kvm(kvm));
	close(kvm);
}

static void a_number_that_another_file_took_is_not_ours(void)
{
	int kvm = open_kvm();
	FILE *stream = fdopen(kvm, "r");
	int again;

	CHECK(stream);
	fclose(stream);
	again = open("/dev/zero", O_RDONLY);
	CHECK(again == kvm);
	FAILS(ioctl(again, KVM_GET_API_VERSION, 0), ENOTTY);
	CHECK(close(again) == 0);
}

static long raw_close(int fd)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(SYS_close), "D"(fd) : "rcx", "r11", "memory");
	return ret;
}

static void a_close_behind_the_library_is_noticed(void)
{
	int kvm = open_kvm();
	int pipes[2];
	char c;

	CHECK(raw_close(kvm) == 0);
	FAILS(read(kvm, &c, 1), EBADF);
	CHECK(pipe(pipes) == 0);
	CHECK(pipes[0] == kvm);
	CHECK(write(pipes[1], "x", 1) == 1);
	CHECK(read(pipes[0], &c, 1) == 1 && c == 'x');
	close(pipes[0]);
	close(pipes[1]);
}

static void ranges_close_what_is_in_them(void)
{
	int kvm = open_kvm();

	CHECK(dup2(kvm, 400) == 400);
	CHECK(dup2(kvm, 401) == 401);
	CHECK(dup2(kvm, 402) == 402);
	CHECK(close_range(400, 401, 0) == 0);
	FAILS(ioctl(400, KVM_GET_API_VERSION, 0), EBADF);
	CHECK(is_kvm(402));
	CHECK(close_range(402, 402, CLOSE_RANGE_CLOEXEC) == 0);
	CHECK(fcntl(402, F_GETFD) == FD_CLOEXEC);
	CHECK(is_kvm(402));
	closefrom(402);
	FAILS(ioctl(402, KVM_GET_API_VERSION, 0), EBADF);
	CHECK(is_kvm(kvm));
	close(kvm);
}

/* A daemon closes all that it has; guest memory that is still mapped stays, and all goes on
 * working. */
static void close_loops_leave_the_library_alone(void)
{
	int vm = make_vm(0);
	int gmem = make_gmem(vm, PAGE, 3);
	char *mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);

	CHECK(mem != MAP_FAILED);
	mem[0] = 1;
	for (int fd = 3; fd < 70000; fd++)
		close(fd);
	CHECK(mem[0] == 1);
	CHECK(madvise(mem, PAGE, MADV_REMOVE) == 0 && mem[0] == 0);
	vm = make_vm(0);
	gmem = make_gmem(vm, PAGE, 3);
	mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);
	CHECK(mem != MAP_FAILED);
	mem[0] = 2;
	closefrom(3);
	CHECK(mem[0] == 2);
	CHECK(madvise(mem, PAGE, MADV_REMOVE) == 0 && mem[0] == 0);
	vm = make_vm(0);
	gmem = make_gmem(vm, PAGE, 3);
	CHECK(close_range(3, ~0u, 0) == 0);
	vm = make_vm(0);
	CHECK(vm == 3 || vm == 4);
	closefrom(3);
}

static void dup2_cannot_take_what_is_the_librarys(void)
{
	int vm = make_vm(0);
	int gmem = make_gmem(vm, PAGE, 3);
	char *mem;

	for (int fd = 500; fd < 17000; fd++)
		if (dup2(0, fd) == fd)
			close(fd);
	mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);
	CHECK(mem != MAP_FAILED);
	mem[0] = 3;
	CHECK(mem[0] == 3);
	close(gmem);
	close(vm);
}

static void numbers_are_the_lowest_free_ones(void)
{
	int a = open("/dev/null", O_RDONLY);
	int b;

	close(a);
	b = open_kvm();
	CHECK(a == b);
	close(b);
}

int main(void)
{
	copies_are_the_same_object();
	dup2_over_ours_closes_it();
	dup2_onto_itself_keeps_it();
	a_number_that_another_file_took_is_not_ours();
	a_close_behind_the_library_is_noticed();
	ranges_close_what_is_in_them();
	close_loops_leave_the_library_alone();
	dup2_cannot_take_what_is_the_librarys();
	numbers_are_the_lowest_free_ones();
	return 0;
}
