/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What no program does, and what a host or a filter may do to one: each is refused with the errno of a kernel. */
#include <linux/falloc.h>
#include <stddef.h>
#include <sys/time.h>
#include <sys/xattr.h>

#include "forbid.h"
#include "t.h"

#define VAST (1ul << 40)

static void the_wrong_kind_of_access(void)
{
	char byte = 0;
	int in = open("/dev/kvm", O_RDONLY | O_CLOEXEC),
	    out = open("/dev/kvm", O_WRONLY | O_CLOEXEC);

	CHECK(in >= 0 && out >= 0);
	FAILS(write(in, &byte, 1), EBADF);
	FAILS(read(out, &byte, 1), EBADF);
	FAILS(fallocate(in, 0, 0, PAGE), EBADF);
	close(in);
	close(out);
}

static void what_files_of_kvm_do_not_have(int vm, int gmem)
{
	char text[16];

	FAILS(fchmod(vm, 0600), EOPNOTSUPP);
	FAILS(fgetxattr(vm, "user.name", text, sizeof(text)), EOPNOTSUPP);
	FAILS(fgetxattr(gmem, "user.name", text, sizeof(text)), EOPNOTSUPP);
}

static void *map(int gmem, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, gmem, 0);
}

static void lengths_that_wrap(int gmem)
{
	errno = 0;
	CHECK(map(gmem, SIZE_MAX - 8) == MAP_FAILED);
	CHECK(errno == ENOMEM);
}

static void *move(char *m, size_t from, size_t to, int flags)
{
	errno = 0;
	return mremap(m, from, to, flags, m + (1 << 30));
}

static void moves_that_are_none(int gmem)
{
	char *m = map(gmem, 4 * PAGE);

	CHECK(m != MAP_FAILED);
	m[PAGE] = 'x';
	CHECK(move(m, 4 * PAGE, 4 * PAGE, 0x100) == MAP_FAILED && errno == EINVAL);
	CHECK(move(m, 4 * PAGE, 4 * PAGE, MREMAP_FIXED) == MAP_FAILED && errno == EINVAL);
	CHECK(move(m, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP) == MAP_FAILED &&
	      errno == EINVAL);
	CHECK(move(m + 1, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
	CHECK(move(m, 4 * PAGE, 0, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
	CHECK(m[PAGE] == 'x');
	munmap(m, 4 * PAGE);
}

static void on_alarm(int signal)
{
}

static void alarm_every(long us)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval often = { .it_interval = { .tv_usec = us },
				   .it_value = { .tv_usec = us } };

	CHECK(sigaction(SIGALRM, &sa, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static int convert_all(int gmem, uint64_t attributes)
{
	struct kvm_memory_attributes2 args = { .size = VAST, .attributes = attributes };

	errno = 0;
	return ioctl(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &args);
}

/* So much takes a while to hide, and a signal ends it; sooner or later one comes while it lasts. */
static void a_signal_while_much_is_hidden(int vm)
{
	int gmem = make_gmem(vm, VAST, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	char *m = map(gmem, VAST);
	int nr = 0;

	CHECK(m != MAP_FAILED);
	m[0] = 'x';
	alarm_every(1000);
	while (convert_all(gmem, KVM_MEMORY_ATTRIBUTE_PRIVATE) == 0) {
		CHECK(++nr < 10000);
		CHECK(convert_all(gmem, 0) == 0 || errno == EINTR);
	}
	CHECK(errno == EINTR);
	alarm_every(0);
	CHECK(m[0] == 'x');
	munmap(m, VAST);
	close(gmem);
}

/* A filter for which there is no memory to be had or given back. Nothing else is in its way, and nothing has changed. */
static void no_fallocate_any_more(void)
{
	forbid(SYS_fallocate, ENOMEM);
}

static void a_host_that_gives_and_takes_nothing(int gmem)
{
	char *m = map(gmem, 4 * PAGE);

	CHECK(m != MAP_FAILED);
	m[0] = 'x';
	no_fallocate_any_more();
	FAILS(fallocate(gmem, FALLOC_FL_KEEP_SIZE, PAGE, PAGE), ENOMEM);
	FAILS(fallocate(gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), ENOMEM);
	CHECK(m[0] == 'x');
}

/* Run as a program of its own: it is told so, and gets what is the default. */
static void a_kernel_that_nobody_knows(const char *self)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		setenv("GMEM_PROFILE", "linux-0.1", 1);
		execl(self, self, "unknown", NULL);
		_exit(9);
	}
	CHECK(exit_status(pid) == 0);
}

int main(int argc, char **argv)
{
	int vm, gmem;

	if (argc > 1) {
		close(make_vm(0));
		return 0;
	}
	a_kernel_that_nobody_knows(argv[0]);
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, 8 * PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	the_wrong_kind_of_access();
	what_files_of_kvm_do_not_have(vm, gmem);
	lengths_that_wrap(gmem);
	moves_that_are_none(gmem);
	a_signal_while_much_is_hidden(vm);
	a_host_that_gives_and_takes_nothing(gmem);
	return 0;
}
