/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A VMM that forbids itself what it needs no longer, once its VM is there: from then on userfaultfd,
 * memfd_create, socket, socketpair, clone and clone3 kill. All that KVM offers goes on as before.
 * argv: how the filter is installed, "prctl" or "seccomp" (of all threads); "fork": one that lets clone pass;
 * "alone": with no other process before it.
 */
#include "guest.h"
#include "window.h"

#include "../jail_filter.h"
#include "../paths.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_FILES 20
#define NR_VCPUS 4

static struct guest guest;
static bool of_all_threads, may_fork, is_alone;
static int to_child, from_child; /* ends of two socketpairs */
static int pair[2];
static pid_t child;

/* ---- the filter -------------------------------------------------------------------------- */

static long install_filter(void)
{
	for (unsigned int i = 0; may_fork && i < jail_program.len; i++)
		if (jail_rules[i].k == SYS_clone)
			jail_rules[i].k = SYS_userfaultfd;
	if (!of_all_threads)
		return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &jail_program, 0, 0);
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
		       &jail_program);
}

/* What libraries ask to learn what the kernel can do changes nothing. */
static void ask_about_filters(void)
{
	assert_int_equal(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 0);
	errno = 0;
	assert_int_equal(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL), -1);
	assert_int_equal(errno, EINVAL);
}

/* ---- another process that was there before ----------------------------------------------- */

static void send_descriptor(int to, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, c = 0;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	assert_int_equal(sendmsg(to, &msg, 0), 1);
}

static int receive_descriptor(int from)
{
	char control[CMSG_SPACE(sizeof(int))], c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(from, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
	return fd;
}

/* Says of each descriptor that comes what its first two pages give, until there are no more. */
static int child_main(int in, int out)
{
	uint8_t answer[2];
	int fd;

	while ((fd = receive_descriptor(in)) >= 0) {
		uint8_t *p = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

		if (p == MAP_FAILED)
			return 2;
		for (int i = 0; i < 2; i++)
			answer[i] = (uint8_t)(window_read(p + i * PAGE) ? 0xff : p[i * PAGE]);
		munmap(p, 2 * PAGE);
		close(fd);
		if (write(out, answer, 2) != 2)
			return 3;
	}
	return 0;
}

static void start_child(void)
{
	int down[2], up[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, down), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, up), 0);
	child = fork();
	if (child == 0) {
		close(down[1]);
		close(pair[0]);
		close(pair[1]);
		_exit(child_main(down[0], up[1]));
	}
	assert_true(child > 0);
	close(down[0]);
	close(up[1]);
	to_child = down[1];
	from_child = up[0];
}

static void end_child(void)
{
	int status;

	close(to_child);
	close(from_child);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void expect_child_sees(int fd, uint8_t first, uint8_t second)
{
	uint8_t answer[2];

	send_descriptor(to_child, fd);
	assert_int_equal(read(from_child, answer, 2), 2);
	assert_int_equal(answer[0], first);
	assert_int_equal(answer[1], second);
}

/* ---- life in the jail -------------------------------------------------------------------- */

static void convert_a_window(struct window *w)
{
	window_hide(w, 1, 1);
	expect_shown(w->map, 1);
	expect_hidden(w->map + PAGE);
	window_show(w, 1, 1);
	expect_shown(w->map + PAGE, 2);
}

static void with_overlays(void **state)
{
	void *window;

	window_marked = false;
	window_setup(&window);
	convert_a_window(window);
	window_teardown(&window);
}

static void with_marks(void **state)
{
	void *window;

	if (path_is_off("marks"))
		skip();
	window_marked = true;
	window_setup(&window);
	convert_a_window(window);
	window_teardown(&window);
	window_marked = false;
}

static void guest_memfds_are_made(void **state)
{
	void *window[NR_FILES];

	for (int i = 0; i < NR_FILES; i++)
		window_setup(&window[i]);
	for (int i = 0; i < NR_FILES; i++)
		convert_a_window(window[i]);
	for (int i = 0; i < NR_FILES; i++)
		window_teardown(&window[i]);
}

static void vcpus_are_made(void **state)
{
	for (int id = 1; id < NR_VCPUS; id++) {
		int vcpu = ioctl(guest.vm, KVM_CREATE_VCPU, id);
		void *run;

		assert_true(vcpu >= 0);
		run = mmap(NULL, guest.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
		assert_ptr_not_equal(run, MAP_FAILED);
		munmap(run, guest.run_size);
		close(vcpu);
	}
}

static void a_vm_is_made(void **state)
{
	struct guest other;

	guest_make(&other, KVM_X86_SW_PROTECTED_VM);
	GUEST_CODE(&other, HLT);
	assert_int_equal(guest_run(&other), 0);
	assert_int_equal(other.run->exit_reason, KVM_EXIT_HLT);
	guest_free(&other);
}

/* The guest writes its private page; nobody sees it before it is shared again. */
static void the_guest_runs(void **state)
{
	int gmem =
		guest_gmem(&guest, 2 * PAGE, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	struct window w = { .fd = gmem, .size = 2 * PAGE };

	w.map = window_map(&w);
	w.map[0] = 1;
	guest_set_gmem(&guest, 1, DATA, 2 * PAGE, w.map, gmem);
	window_hide(&w, 0, 1);
	GUEST_CODE(&guest, MOV_AL(42), STORE_AL, HLT);
	assert_int_equal(guest_run(&guest), 0);
	assert_int_equal(guest.run->exit_reason, KVM_EXIT_HLT);
	expect_hidden(w.map);
	window_show(&w, 0, 1);
	assert_int_equal(w.map[0], 42);
	assert_int_equal(fallocate(gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), 0);
	assert_int_equal(w.map[0], 0);
	guest_set_gmem(&guest, 1, DATA, 0, w.map, gmem);
	munmap(w.map, w.size);
	close(gmem);
}

static void descriptors_are_sent(void **state)
{
	struct window *w;
	void *window;

	if (is_alone)
		skip();
	window_setup(&window);
	w = window;
	window_hide(w, 1, 1);
	expect_child_sees(w->fd, 1, 0xff);
	window_show(w, 1, 1);
	window_hide(w, 0, 1);
	expect_child_sees(w->fd, 0xff, 2);
	window_teardown(&window);
}

/* Files in memory that stand behind what we have. */
static size_t nr_held(void)
{
	char name[32], link[64];
	size_t nr = 0;

	for (int fd = 0; fd < 20000; fd++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		if (readlink(name, link, sizeof(link)) > 0)
			nr += memcmp(link, "/memfd:gmem", 11) == 0;
	}
	return nr;
}

/* The last copy of a descriptor is in a message that nobody will read. */
static void a_last_close_elsewhere_is_seen(void **state)
{
	int fd = guest_gmem(&guest, PAGE, 0), tries = 0;
	size_t before;

	send_descriptor(pair[0], fd);
	close(fd);
	guest_sleep_us(50000);
	before = nr_held();
	close(pair[0]);
	close(pair[1]);
	while (nr_held() == before && tries++ < 200)
		guest_sleep_us(10000);
	assert_true(nr_held() < before);
}

/* It could hear of no conversion: so it sees nothing, and no conversion waits for it. */
static void a_child_sees_nothing(void **state)
{
	struct window *w;
	void *window;
	int status;
	pid_t pid;

	if (!may_fork)
		skip();
	window_setup(&window);
	w = window;
	pid = fork();
	if (pid == 0)
		_exit(window_read(w->map) == SIGBUS ? 0 : 1);
	window_hide(w, 0, 1);
	window_show(w, 0, 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	expect_shown(w->map, 1);
	window_teardown(&window);
}

/* What was made in advance has an end, which is an error and not a death. */
static void there_is_an_end(void **state)
{
	struct kvm_create_guest_memfd c = { .size = PAGE };
	int nr = 0, *fds = malloc(4096 * sizeof(int));

	while ((fds[nr] = ioctl(window_vm, KVM_CREATE_GUEST_MEMFD, &c)) >= 0)
		assert_true(++nr < 4096);
	assert_int_equal(errno, EMFILE);
	while (nr)
		close(fds[--nr]);
	free(fds);
}

static void all_is_closed(void **state)
{
	if (!is_alone)
		end_child();
	guest_free(&guest);
}

/* ---- before ------------------------------------------------------------------------------ */

static int set_up(void **state)
{
	guest_make(&guest, KVM_X86_SW_PROTECTED_VM);
	window_vm = guest.vm;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	if (!is_alone)
		start_child();
	ask_about_filters();
	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(install_filter(), 0);
	assert_int_equal(prctl(PR_GET_SECCOMP, 0, 0, 0, 0), 2);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_overlays),
		cmocka_unit_test(with_marks),
		cmocka_unit_test(guest_memfds_are_made),
		cmocka_unit_test(vcpus_are_made),
		cmocka_unit_test(a_vm_is_made),
		cmocka_unit_test(the_guest_runs),
		cmocka_unit_test(descriptors_are_sent),
		cmocka_unit_test(a_child_sees_nothing),
		cmocka_unit_test(a_last_close_elsewhere_is_seen),
		cmocka_unit_test(there_is_an_end),
		cmocka_unit_test(all_is_closed),
	};

	window_init(0, NULL);
	close(window_vm);
	of_all_threads = argc > 1 && strcmp(argv[1], "seccomp") == 0;
	may_fork = argc > 1 && strcmp(argv[1], "fork") == 0;
	is_alone = argc > 1 && strcmp(argv[1], "alone") == 0;
	return cmocka_run_group_tests(tests, set_up, NULL);
}
