/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What gmem has beside the series: all refusals of a conversion in one call, attributes that can be read back,
 * both from any process that has the descriptor, and the mode by VM. With the argument per-vm: where each VM has
 * to ask for in-place conversion.
 */
#include "inplace.h"

#include <gmem/ioctl.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static int convert_all(int fd, struct gmem_ioctl_range *refused, uint32_t max, uint32_t *nr)
{
	struct gmem_ioctl_convert c = {
		.size = 8 * PAGE,
		.attributes = PRIVATE,
		.refused = (uintptr_t)refused,
		.max_refused = max,
	};
	int r = ioctl(fd, GMEM_CONVERT, &c) ? -errno : 0;

	*nr = c.nr_refused;
	return r;
}

static int runs_of(int fd, struct gmem_ioctl_run *runs, uint32_t *nr)
{
	struct gmem_ioctl_attributes q = { .size = 8 * PAGE,
					   .runs = (uintptr_t)runs,
					   .max_runs = 8 };
	int r = ioctl(fd, GMEM_GET_ATTRIBUTES, &q) ? -errno : 0;

	*nr = q.nr_runs;
	return r;
}

static void hold(int pipe_end, uint8_t *at, size_t size)
{
	struct iovec v = { at, size };

	assert_int_equal(vmsplice(pipe_end, &v, 1, 0), size);
}

static void two_calls_however_many_pages_are_held(void **state)
{
	struct gmem_ioctl_range refused[4] = { 0 };
	struct inplace t;
	int ends[2];
	uint32_t nr;

	inplace_make(&t, 8, SHARED_FIRST);
	assert_int_equal(pipe(ends), 0);
	hold(ends[1], t.host + PAGE, PAGE);
	hold(ends[1], t.host + 4 * PAGE + 100, PAGE);
	hold(ends[1], t.host + 7 * PAGE, 1);
	assert_int_equal(convert_all(t.fd, refused, 4, &nr), -EAGAIN);
	assert_int_equal(nr, 3);
	assert_int_equal(refused[0].offset, PAGE);
	assert_int_equal(refused[0].size, PAGE);
	assert_int_equal(refused[1].offset, 4 * PAGE);
	assert_int_equal(refused[1].size, 2 * PAGE);
	assert_int_equal(refused[2].offset, 7 * PAGE);
	assert_int_equal(refused[2].size, PAGE);
	for (unsigned int i = 0; i < 8; i++)
		expect_shared(&t, i, 0, 'a', 'b');
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(convert_all(t.fd, refused, 4, &nr), 0);
	assert_int_equal(nr, 0);
	for (unsigned int i = 0; i < 8; i++)
		expect_private(&t, i, 'b', 'c');
	inplace_free(&t);
}

/* In a child, without asserts: 0 or which step failed. */
static int use_from_child(struct inplace *t)
{
	struct gmem_ioctl_run runs[8];
	uint8_t value;
	uint32_t nr;

	if (runs_of(t->fd, runs, &nr) || nr != 3)
		return 1;
	if (runs[1].offset != 2 * PAGE || runs[1].size != PAGE || runs[1].attributes != PRIVATE)
		return 2;
	if (inplace_convert(t->fd, 5 * PAGE, PAGE, PRIVATE, NULL))
		return 3;
	if (host_read(t->host + 5 * PAGE, &value) != SIGBUS)
		return 4;
	if (inplace_convert(t->fd, 2 * PAGE, PAGE, 0, NULL))
		return 5;
	if (host_read(t->host + 2 * PAGE, &value) || value != 'x')
		return 6;
	if (inplace_convert(t->fd, 0, 9 * PAGE, 0, NULL) != -EINVAL)
		return 7;
	if (ioctl(t->g.vm, KVM_CHECK_EXTENSION, 0) != -1 || errno != EIO)
		return 8;
	return 0;
}

static void a_child_asks_and_converts(void **state)
{
	struct inplace t;
	uint8_t value;
	int status;
	pid_t child;

	inplace_make(&t, 8, SHARED_FIRST);
	assert_int_equal(host_write(t.host + 2 * PAGE, 'x'), 0);
	inplace_set(&t, 2, 1, PRIVATE);
	child = fork();
	assert_true(child >= 0);
	if (!child)
		_exit(use_from_child(&t));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(host_read(t.host + 5 * PAGE, &value), SIGBUS);
	expect_shared(&t, 2, 'x', 'y', 'z');
	inplace_free(&t);
}

/* ---- the process that made the file is gone ----------------------------------------------------- */

static int use_orphan(struct inplace *t, pid_t home)
{
	uint64_t where;
	uint8_t value;

	while (getppid() == home)
		guest_sleep_us(1000);
	if (inplace_convert(t->fd, PAGE, PAGE, PRIVATE, &where) != -EIO)
		return 1;
	if (where != PAGE)
		return 2;
	if (inplace_convert(t->fd, 0, PAGE, 0, &where) != -EIO)
		return 3;
	if (host_read(t->host, &value) != SIGBUS)
		return 4;
	if (host_read(t->host + PAGE, &value) || value != 'x')
		return 5;
	if (inplace_convert(t->fd, 1, PAGE, 0, &where) != -EINVAL || where != UNTOLD)
		return 6;
	return 0;
}

/* Makes the file, leaves a child behind, and ends. */
static void be_home(int result)
{
	struct inplace t;
	pid_t home = getpid();
	int r;

	inplace_make(&t, 2, SHARED_FIRST);
	t.host[PAGE] = 'x';
	inplace_set(&t, 0, 1, PRIVATE);
	if (fork())
		_exit(0);
	r = use_orphan(&t, home);
	_exit(write(result, &r, sizeof(r)) != sizeof(r));
}

static void a_file_whose_home_is_gone_stays_as_it_was(void **state)
{
	int ends[2], status, r = -1;
	pid_t home;

	assert_int_equal(pipe(ends), 0);
	home = fork();
	assert_true(home >= 0);
	if (!home)
		be_home(ends[1]);
	assert_int_equal(waitpid(home, &status, 0), home);
	assert_int_equal(status, 0);
	close(ends[1]);
	assert_int_equal(read(ends[0], &r, sizeof(r)), sizeof(r));
	assert_int_equal(r, 0);
	close(ends[0]);
}

/* ---- VM by VM ---------------------------------------------------------------------------------- */

static int ask_in_place(int vm)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES,
		.args = { 1 },
	};

	return ioctl(vm, KVM_ENABLE_CAP, &cap) ? -errno : 0;
}

static void two_vms_in_two_modes(void **state)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	struct kvm_create_guest_memfd create = { .size = PAGE, .flags = SHARED_FIRST };
	struct guest old;
	uint8_t *host, value;
	int fd, old_fd;

	guest_make(&old, KVM_X86_SW_PROTECTED_VM);
	assert_int_equal(ask_in_place(old.vm), -EBUSY);
	old_fd = guest_gmem(&old, PAGE, GUEST_MEMFD_FLAG_MMAP);
	assert_int_equal(inplace_convert(old_fd, 0, PAGE, 0, NULL), -ENOTTY);
	assert_int_equal(guest_set_private(&old, DATA, PAGE, 1), 0);

	assert_int_equal(ask_in_place(vm), 0);
	fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create);
	assert_true(fd >= 0);
	host = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(host, MAP_FAILED);
	assert_int_equal(host_write(host, 'a'), 0);
	assert_int_equal(inplace_convert(fd, 0, PAGE, PRIVATE, NULL), 0);
	assert_int_equal(host_read(host, &value), SIGBUS);
	munmap(host, PAGE);
	close(fd);
	close(vm);
	close(kvm);
	close(old_fd);
	guest_free(&old);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest in_place[] = {
		cmocka_unit_test(two_calls_however_many_pages_are_held),
		cmocka_unit_test(a_child_asks_and_converts),
		cmocka_unit_test(a_file_whose_home_is_gone_stays_as_it_was),
	};
	const struct CMUnitTest per_vm[] = {
		cmocka_unit_test(two_vms_in_two_modes),
	};

	alarm(100);
	if (argc > 1 && !strcmp(argv[1], "per-vm"))
		return cmocka_run_group_tests(per_vm, NULL, NULL);
	return cmocka_run_group_tests(in_place, NULL, NULL);
}
