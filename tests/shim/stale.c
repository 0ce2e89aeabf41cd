/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest_memfd whose home is gone comes in a message. That is said once, and not looked into again at each
 * request on it, nor at each mapping of any file.
 */
#include "pass.h"
#include "t.h"

static void be_home(int to)
{
	struct kvm_create_guest_memfd args = { .size = PAGE };
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0);
	int fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);

	CHECK(fd >= 0);
	send_fd(to, fd);
	_exit(0);
}

/* What was said until now. */
static int nr_lines(int from)
{
	static char text[65536];
	ssize_t nr = read(from, text, sizeof(text));
	int lines = 0;

	for (ssize_t i = 0; i < nr; i++)
		lines += text[i] == '\n';
	return lines;
}

static void one_that_never_can_be_followed_is_asked_about_once(int said)
{
	int pair[2], status, fd, other = open("/proc/self/exe", O_RDONLY);
	pid_t home;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	home = fork();
	if (!home)
		be_home(pair[0]);
	CHECK(waitpid(home, &status, 0) == home && status == 0);
	nr_lines(said);
	fd = receive_fd(pair[1]);
	CHECK(nr_lines(said) == 1);
	for (int i = 0; i < 3; i++) {
		void *map = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, other, 0);

		CHECK(map != MAP_FAILED && munmap(map, PAGE) == 0);
		CHECK(ioctl(fd, KVM_CHECK_EXTENSION, 0) == -1 && errno == ENOTTY);
		CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	}
	CHECK(nr_lines(said) <= 0);
}

int main(void)
{
	int said[2];

	/* What does not hold is still told where it was. */
	stderr = fdopen(dup(STDERR_FILENO), "w");
	CHECK(stderr && pipe2(said, O_NONBLOCK) == 0);
	CHECK(dup2(said[1], STDERR_FILENO) == STDERR_FILENO);
	one_that_never_can_be_followed_is_asked_about_once(said[0]);
	return 0;
}
