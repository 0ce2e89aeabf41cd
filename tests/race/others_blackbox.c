/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Other processes and a file that converts: a child and its child, one that was sent the descriptor, one that
 * was exec'ed with it; what they see after a conversion, what they may ask for, and what a conversion does
 * when one of them is stopped or dead.
 */
#include "blackbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE 1.0 /* seconds a conversion waits for others */

/* ---- a process that does what it is told, one letter and a page at a time ---- */

struct order {
	char what; /* see obey() */
	uint8_t page, nr;
	uint64_t value;
};

struct other {
	int pid, sock;
};

struct seat { /* what it has of the file */
	int fd;
	uint8_t *host;
};

static int64_t touch_answer(enum touch r, uint64_t value)
{
	return r == TOUCHED ? (int64_t)value : r == TOUCH_BUS ? -EFAULT : -EIO;
}

static int64_t obey(struct seat *s, const struct order *o)
{
	uint8_t *at = s->host + o->page * PAGE;
	uint64_t value = 0;
	enum touch r;
	ssize_t n;
	int file;

	switch (o->what) {
	case 'r':
		r = host_load(at, &value);
		return touch_answer(r, value);
	case 'w':
		return touch_answer(host_store(at, o->value), 0);
	case 'p':
		return convert(s->fd, o->page * PAGE, o->nr * PAGE, true, NULL);
	case 's':
		return convert(s->fd, o->page * PAGE, o->nr * PAGE, false, NULL);
	case 'u':
		return punch(s->fd, o->page * PAGE, o->nr * PAGE);
	case 'm': /* a new window instead of the old */
		munmap(s->host, SIZE);
		s->host = world_map(s->fd, 0, SIZE);
		return 0;
	case 'c': /* as a system call */
		file = memfd_create("file", MFD_CLOEXEC);
		n = write(file, at, PAGE) < 0 ? -errno : 0;
		close(file);
		return n;
	default:
		return -EINVAL;
	}
}

static void serve(int sock, struct seat s)
{
	struct order o;
	int64_t answer;

	alarm(60);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when it is stopped */
	trap_install();
	while (read(sock, &o, sizeof(o)) == sizeof(o) && o.what != 'q') {
		answer = obey(&s, &o);
		if (write(sock, &answer, 8) != 8)
			break;
	}
	_exit(0);
}

static void send_order(const struct other *p, char what, unsigned int page, unsigned int nr,
		       uint64_t value)
{
	struct order o = { .what = what, .page = (uint8_t)page, .nr = (uint8_t)nr, .value = value };

	assert_int_equal(write(p->sock, &o, sizeof(o)), sizeof(o));
}

static int64_t answer_of(const struct other *p)
{
	int64_t answer = -ENOTCONN;

	assert_int_equal(read(p->sock, &answer, 8), 8);
	return answer;
}

static int64_t ask(const struct other *p, char what, unsigned int page, unsigned int nr,
		   uint64_t value)
{
	send_order(p, what, page, nr, value);
	return answer_of(p);
}

static void expect_shut_there(const struct other *p, unsigned int page)
{
	assert_int_equal(ask(p, 'r', page, 1, 0), -EFAULT);
	assert_int_equal(ask(p, 'w', page, 1, 7), -EFAULT);
	assert_int_equal(ask(p, 'c', page, 1, 0), -EFAULT);
}

static void expect_open_there(const struct other *p, unsigned int page, uint64_t value)
{
	assert_int_equal(ask(p, 'r', page, 1, 0), value);
	assert_int_equal(ask(p, 'w', page, 1, value), 0);
}

static void end(struct other *p)
{
	int status = -1;

	send_order(p, 'q', 0, 0, 0); /* later children have its socket too, so no end of file */
	close(p->sock);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_int_equal(status, 0);
}

/* ---- three ways to become one ---- */

/* Forked, and does with its socket what is asked of it, which does not return. */
static struct other fork_to(const struct box *b, void (*live)(const struct box *b, int sock))
{
	struct other p;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	p.sock = pair[0];
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (!p.pid) {
		close(pair[0]);
		live(b, pair[1]);
	}
	close(pair[1]);
	return p;
}

static void live_as_child(const struct box *b, int sock)
{
	serve(sock, (struct seat){ b->w.gmem, b->w.host });
}

static void live_as_parent(const struct box *b, int sock)
{
	int status = -1, pid = fork();

	if (!pid)
		live_as_child(b, sock);
	close(sock);
	_exit(pid < 0 || waitpid(pid, &status, 0) != pid || status);
}

static struct other make_child(const struct box *b)
{
	return fork_to(b, live_as_child);
}

static struct other make_grandchild(const struct box *b)
{
	return fork_to(b, live_as_parent);
}

static void send_fd(int sock, int fd)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char byte = 1;
	struct iovec v = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control.buffer,
		.msg_controllen = sizeof(control.buffer),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	assert_int_equal(sendmsg(sock, &m, 0), 1);
}

static int receive_fd(int sock)
{
	union {
		char buffer[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control.buffer,
		.msg_controllen = sizeof(control.buffer),
	};
	int fd;

	if (recvmsg(sock, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
		die("nothing was sent");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

static struct other start_program(const char *how, int fd)
{
	char sock_text[16], fd_text[16];
	struct other p;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	p.sock = pair[0];
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (!p.pid) {
		close(pair[0]);
		snprintf(sock_text, sizeof(sock_text), "%d", pair[1]);
		snprintf(fd_text, sizeof(fd_text), "%d", fd);
		execl("/proc/self/exe", "other", how, sock_text, fd_text, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	return p;
}

/* Started before there was a VM. */
static struct other stranger;

static struct other make_sent(const struct box *b)
{
	struct other p = stranger;

	send_fd(p.sock, b->w.gmem);
	return p;
}

static struct other make_execed(const struct box *b)
{
	struct other p;
	int fd = dup(b->w.gmem); /* not closed by exec */

	p = start_program("inherited", fd);
	close(fd);
	return p;
}

static int program(const char *how, int sock, int fd)
{
	if (strcmp(how, "sent") == 0)
		fd = receive_fd(sock);
	serve(sock, (struct seat){ fd, world_map(fd, 0, SIZE) });
	return 0;
}

/* ---- what all of them see ---- */

static void sees_each_change(struct box *b, struct other p)
{
	expect_open_there(&p, 0, 'A');
	expect_shut_there(&p, 1);
	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(to_private(b, 0, 1), 0);
		expect_shut_there(&p, 0);
		assert_int_equal(to_shared(b, 0, 2), 0);
		expect_open_there(&p, 0, 'A');
		expect_open_there(&p, 1, 0);
		assert_int_equal(to_private(b, 1, 1), 0);
		expect_shut_there(&p, 1);
	}
	/* bytes go both ways */
	assert_int_equal(ask(&p, 'w', 2, 1, 'B'), 0);
	expect_open(b->w.host, 2, 'B');
	assert_int_equal(to_private(b, 2, 1), 0);
	private_block(b, 2, 'B', 'C');
	assert_int_equal(to_shared(b, 2, 1), 0);
	expect_open_there(&p, 2, 'C');
	/* a window made now */
	assert_int_equal(ask(&p, 'm', 0, 0, 0), 0);
	expect_open_there(&p, 2, 'C');
	expect_shut_there(&p, 1);
	assert_int_equal(to_private(b, 0, PAGES), 0);
	for (unsigned int i = 0; i < PAGES; i++)
		expect_shut_there(&p, i);
}

static void may_ask_for_changes(struct box *b, struct other p)
{
	assert_int_equal(to_shared(b, 0, PAGES), 0);
	assert_int_equal(host_store(b->w.host, 'A'), TOUCHED);
	assert_int_equal(ask(&p, 'p', 0, 2, 0), 0);
	expect_shut(b->w.host, 0);
	expect_shut(b->w.host, 1);
	expect_shut_there(&p, 0);
	private_block(b, 0, 'A', 'B');
	assert_int_equal(ask(&p, 's', 0, 1, 0), 0);
	expect_open(b->w.host, 0, 'B');
	expect_open_there(&p, 0, 'B');
	expect_shut_there(&p, 1);
	assert_int_equal(ask(&p, 'u', 0, PAGES, 0), 0);
	expect_open(b->w.host, 0, 0);
	expect_shut(b->w.host, 1);
	assert_int_equal(guest_load(&b->g, 0), 0);
	assert_int_equal(ask(&p, 'p', PAGES, 1, 0), -EINVAL);
}

static void with(struct other (*make)(const struct box *b))
{
	struct other p;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	assert_int_equal(host_store(b.w.host, 'A'), TOUCHED);
	assert_int_equal(to_private(&b, 1, 1), 0);
	p = make(&b);
	sees_each_change(&b, p);
	may_ask_for_changes(&b, p);
	end(&p);
	assert_int_equal(to_private(&b, 0, PAGES), 0);
	assert_int_equal(to_shared(&b, 0, PAGES), 0);
	box_free(&b);
}

static void a_child(void **state)
{
	with(make_child);
}

static void a_child_of_a_child(void **state)
{
	with(make_grandchild);
}

static void a_process_that_was_sent_the_descriptor(void **state)
{
	with(make_sent);
}

static void a_program_that_inherits_the_descriptor(void **state)
{
	with(make_execed);
}

static void all_of_them_together(void **state)
{
	struct other p[4];
	struct box b;

	box_make(&b, BOTH_FLAGS);
	p[0] = make_child(&b);
	p[1] = make_grandchild(&b);
	p[2] = make_execed(&b);
	p[3] = make_child(&b);
	for (unsigned int i = 0; i < 32; i++) {
		assert_int_equal(ask(&p[i % 4], 'w', i % PAGES, 1, i), 0);
		assert_int_equal(i & 1 ? ask(&p[(i + 1) % 4], 'p', i % PAGES, 1, 0)
				       : to_private(&b, i % PAGES, 1),
				 0);
		for (unsigned int k = 0; k < 4; k++)
			expect_shut_there(&p[k], i % PAGES);
		assert_int_equal(ask(&p[(i + 2) % 4], 's', i % PAGES, 1, 0), 0);
		for (unsigned int k = 0; k < 4; k++)
			expect_open_there(&p[k], i % PAGES, i);
	}
	for (unsigned int k = 0; k < 4; k++)
		end(&p[k]);
	box_free(&b);
}

/* ---- those that do not answer ---- */

/* The signal alone may come while its threads still run. */
static void stop(const struct other *p)
{
	int status;

	kill(p->pid, SIGSTOP);
	assert_int_equal(waitpid(p->pid, &status, WUNTRACED), p->pid);
	assert_true(WIFSTOPPED(status));
}

static void a_stopped_process_refuses_in_time(void **state)
{
	struct other p;
	double start;
	struct box b;
	uint64_t at = UNTOUCHED;

	box_make(&b, BOTH_FLAGS);
	p = make_child(&b);
	expect_open_there(&p, 2, 0);
	stop(&p);
	start = now();
	assert_int_equal(convert(b.w.gmem, 2 * PAGE, 2 * PAGE, true, &at), -EAGAIN);
	assert_true(now() - start > PATIENCE / 2 && now() - start < PATIENCE * 3);
	assert_int_equal(at, 2 * PAGE);
	for (unsigned int i = 0; i < PAGES; i++)
		shared_block(&b, i, 0, 'A', 0);
	kill(p.pid, SIGCONT);
	for (unsigned int i = 0; i < PAGES; i++)
		expect_open_there(&p, i, 0);
	assert_int_equal(to_private(&b, 2, 2), 0);
	expect_shut_there(&p, 2);
	end(&p);
	box_free(&b);
}

static void a_stopped_process_is_shown_late(void **state)
{
	struct other p;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	p = make_child(&b);
	expect_open_there(&p, 2, 0);
	assert_int_equal(to_private(&b, 2, 1), 0);
	expect_shut_there(&p, 2);
	stop(&p);
	assert_int_equal(to_shared(&b, 2, 1), 0);
	shared_block(&b, 2, 0, 'A', 'B');
	kill(p.pid, SIGCONT);
	expect_open_there(&p, 2, 'B');
	end(&p);
	box_free(&b);
}

static void a_dead_process_is_not_waited_for(void **state)
{
	struct other p, q;
	double start;
	int status;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	p = make_child(&b);
	q = make_grandchild(&b);
	expect_open_there(&p, 2, 0);
	expect_open_there(&q, 2, 0);
	kill(p.pid, SIGKILL);
	start = now();
	assert_int_equal(to_private(&b, 2, 1), 0);
	assert_true(now() - start < PATIENCE / 2);
	expect_shut_there(&q, 2);
	assert_int_equal(waitpid(p.pid, &status, 0), p.pid);
	close(p.sock);
	end(&q);
	start = now();
	assert_int_equal(to_shared(&b, 0, PAGES), 0);
	assert_int_equal(to_private(&b, 0, PAGES), 0);
	assert_true(now() - start < PATIENCE / 2);
	box_free(&b);
}

static void killed_while_stopped(void **state)
{
	struct other p;
	int status;
	struct box b;

	box_make(&b, BOTH_FLAGS);
	p = make_child(&b);
	expect_open_there(&p, 2, 0);
	stop(&p);
	assert_int_equal(to_private(&b, 2, 1), -EAGAIN);
	kill(p.pid, SIGKILL);
	assert_int_equal(waitpid(p.pid, &status, 0), p.pid);
	assert_int_equal(to_private(&b, 2, 1), 0);
	expect_shut(b.w.host, 2);
	close(p.sock);
	box_free(&b);
}

/* ---- the file's first process goes ---- */

static void the_home_ends(void **state)
{
	int up[2], status = -1, home, fd;
	uint64_t value;
	uint8_t *host;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, up), 0);
	home = fork();
	if (!home) {
		struct box b;

		alarm(20);
		box_make(&b, BOTH_FLAGS);
		if (host_store(b.w.host, 'A') || to_private(&b, 1, 1))
			_exit(1);
		send_fd(up[1], b.w.gmem);
		if (read(up[1], &value, 8) != 8)
			_exit(1);
		_exit(0);
	}
	trap_install();
	fd = receive_fd(up[0]);
	host = world_map(fd, 0, SIZE);
	expect_open(host, 0, 'A');
	expect_shut(host, 1);
	assert_int_equal(write(up[0], &value, 8), 8);
	assert_int_equal(waitpid(home, &status, 0), home);
	assert_int_equal(status, 0);
	/* What was shared stays so, what was private for ever. */
	expect_open(host, 0, 'A');
	expect_shut(host, 1);
	assert_int_equal(convert(fd, PAGE, PAGE, false, NULL), -EIO);
	assert_int_equal(convert(fd, 0, PAGE, true, NULL), -EIO);
	expect_open(host, 0, 'A');
	expect_shut(host, 1);
	munmap(host, SIZE);
	close(fd);
	close(up[0]);
	close(up[1]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_that_was_sent_the_descriptor),
		cmocka_unit_test(a_child),
		cmocka_unit_test(a_child_of_a_child),
		cmocka_unit_test(a_program_that_inherits_the_descriptor),
		cmocka_unit_test(all_of_them_together),
		cmocka_unit_test(a_stopped_process_refuses_in_time),
		cmocka_unit_test(a_stopped_process_is_shown_late),
		cmocka_unit_test(a_dead_process_is_not_waited_for),
		cmocka_unit_test(killed_while_stopped),
		cmocka_unit_test(the_home_ends),
	};

	if (argc == 4)
		return program(argv[1], atoi(argv[2]), atoi(argv[3]));
	alarm(50);
	stranger = start_program("sent", -1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
