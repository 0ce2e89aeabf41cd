/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Descriptors that are not ours: results, errno and cancellation are the C library's. */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "t.h"

static void results_and_errno(void)
{
	char path[] = "/tmp/gmem-test-XXXXXX", buf[16];
	int fd = mkstemp(path);
	struct stat st;
	struct flock lock = { .l_type = F_WRLCK };
	volatile uintptr_t zero = 0;

	CHECK(fd >= 0);
	CHECK(write(fd, "hello", 5) == 5);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK(read(fd, buf, sizeof(buf)) == 5);
	CHECK(pread(fd, buf, 2, 1) == 2 && buf[0] == 'e');
	CHECK(pwrite64(fd, "J", 1, 0) == 1);
	CHECK(ftruncate(fd, 4) == 0);
	CHECK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 8192) == 0);
	CHECK(posix_fallocate(fd, 0, 8192) == 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 8192);
	CHECK(fstat64(fd, (struct stat64 *)&st) == 0 && st.st_size == 8192);
	CHECK(fcntl(fd, F_SETLK, &lock) == 0);
	CHECK(fchmod(fd, 0600) == 0);
	CHECK(fsync(fd) == 0);
	CHECK(stat(path, &st) == 0 && st.st_size == 8192);
	CHECK(access(path, R_OK) == 0);
	FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK(unlink(path) == 0);
	FAILS(open(path, O_RDONLY), ENOENT);
	FAILS(open((const char *)(uintptr_t)zero, O_RDONLY), EFAULT);
	CHECK(close(fd) == 0);
	FAILS(close(fd), EBADF);
	FAILS(read(-1, buf, 1), EBADF);
	FAILS(ioctl(-1, 0, 0), EBADF);
	FAILS(ioctl(0x7fffffff, 0, 0), EBADF);
	FAILS(dup2(0, -1), EBADF);
	FAILS(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
	FAILS(munmap((void *)1, 1), EINVAL);
	FAILS(fstat(-1, &st), EBADF);
	FAILS(close_range(5, 3, 0), EINVAL);
}

static void success_leaves_errno(void)
{
	int pair[2];
	char c;

	errno = 4321;
	CHECK(pipe(pair) == 0);
	CHECK(write(pair[1], "x", 1) == 1 && read(pair[0], &c, 1) == 1);
	close(dup(pair[0]));
	CHECK(fcntl(pair[0], F_GETFD) == 0);
	close(open_kvm());
	close(make_gmem(make_vm(0), PAGE, 3));
	close(pair[0]);
	close(pair[1]);
	munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
	CHECK(errno == 4321);
}

static int blocked[2];

static void *block_in_read(void *arg)
{
	char c;

	read(blocked[0], &c, 1);
	return NULL;
}

static void *block_in_recvmsg(void *arg)
{
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	recvmsg(blocked[0], &msg, 0);
	return NULL;
}

static void *block_in_setlkw(void *arg)
{
	struct flock lock = { .l_type = F_WRLCK };

	fcntl(*(int *)arg, F_OFD_SETLKW, &lock);
	return NULL;
}

static void is_cancelled(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	void *result;

	CHECK(pthread_create(&thread, NULL, fn, arg) == 0);
	usleep(20000);
	CHECK(pthread_cancel(thread) == 0);
	CHECK(pthread_join(thread, &result) == 0);
	CHECK(result == PTHREAD_CANCELED);
}

static void cancellation_points(void)
{
	char path[] = "/tmp/gmem-test-XXXXXX";
	int locked = mkstemp(path), second = open(path, O_RDWR);
	struct flock lock = { .l_type = F_WRLCK };

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, blocked) == 0);
	is_cancelled(block_in_read, NULL);
	is_cancelled(block_in_recvmsg, NULL);
	CHECK(fcntl(locked, F_OFD_SETLK, &lock) == 0);
	is_cancelled(block_in_setlkw, &second);
	unlink(path);
}

int main(void)
{
	results_and_errno();
	success_leaves_errno();
	cancellation_points();
	return 0;
}
