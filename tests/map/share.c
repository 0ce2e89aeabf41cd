/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Conversions while other processes have the file: forked children of several kinds, and their ends. */
#include "map/share.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "map/host_map.h"
#include "os/os.h"

#define PAGE ((uint64_t)4096)
#define NR_PAGES 1024
#define SIZE (NR_PAGES * PAGE)
#define BUS (-1000)

static struct host_map *map;
static struct gmem_file *core_file;
static struct host_file *file;
static volatile uint8_t *window;
static char name[HOST_FILE_NAME_MAX];

/* ---- touching ---------------------------------------------------------------------------------- */

static __thread sigjmp_buf back;
static __thread volatile sig_atomic_t armed;

static void on_bus(int signo, siginfo_t *info, void *context)
{
	if (armed)
		siglongjmp(back, 1);
	_exit(99);
}

/* cmocka has a handler of its own while a test runs. */
static void catch_bus(void)
{
	struct sigaction act = { .sa_sigaction = on_bus, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &act, NULL);
	armed = 1;
}

static long peek(uint64_t page)
{
	long value = BUS;

	catch_bus();
	if (!sigsetjmp(back, 1))
		value = window[page * PAGE];
	armed = 0;
	return value;
}

static long poke(uint64_t page, uint8_t value)
{
	long ret = BUS;

	catch_bus();
	if (!sigsetjmp(back, 1)) {
		window[page * PAGE] = value;
		ret = 0;
	}
	armed = 0;
	return ret;
}

/* May the kernel touch it for this process? */
static long peek_by_syscall(uint64_t page)
{
	int pipes[2];
	long ret;

	if (pipe(pipes))
		return -1;
	ret = write(pipes[1], (const void *)(window + page * PAGE), 1) == 1 ? 0 : -errno;
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

static long convert(uint64_t page, uint64_t nr, bool to_private)
{
	struct gmem_conversion c = { .offset = page * PAGE,
				     .size = nr * PAGE,
				     .attributes = to_private ? ATTR_PRIVATE : 0 };
	long ret = host_file_convert(file, &c);

	if (ret && c.error_offset != c.offset)
		return -999;
	return ret;
}

static long nr_private(uint64_t page, uint64_t nr)
{
	struct gmem_run runs[NR_PAGES];
	uint32_t n;
	long sum = 0;
	int err = host_file_query(file, page * PAGE, nr * PAGE, runs, NR_PAGES, &n);

	if (err)
		return err;
	for (uint32_t i = 0; i < n; i++)
		if (runs[i].attributes & ATTR_PRIVATE)
			sum += (long)(runs[i].size / PAGE);
	return sum;
}

/* ---- children that do as they are told ----------------------------------------------------------- */

enum op { PEEK, POKE, PEEK_BY_SYSCALL, PRIVATE, SHARED, QUERY, FORK, EXEC, PUNCH, BLOCK, PID };
struct order {
	enum op op;
	uint64_t page, nr;
};
struct child {
	pid_t pid;
	int sock;
};

static void serve(int sock);

/* Slow: nothing is hidden while it holds the registry. */
static void *block(void *ms)
{
	host_map_before_fork(map);
	usleep((useconds_t)(uintptr_t)ms * 1000);
	host_map_after_fork_in_parent(map);
	return NULL;
}

static long start_block(uint64_t ms)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, block, (void *)(uintptr_t)ms))
		return -1;
	pthread_detach(thread);
	usleep(20000);
	return 0;
}

static long fork_to(int sock)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	serve(sock);
	_exit(0);
}

static long obey(const struct order *o, int other)
{
	switch (o->op) {
	case PEEK:
		return peek(o->page);
	case POKE:
		return poke(o->page, (uint8_t)o->nr);
	case PEEK_BY_SYSCALL:
		return peek_by_syscall(o->page);
	case PRIVATE:
		return convert(o->page, o->nr, true);
	case SHARED:
		return convert(o->page, o->nr, false);
	case QUERY:
		return nr_private(o->page, o->nr);
	case PUNCH:
		return host_file_punch(file, o->page * PAGE, o->nr * PAGE);
	case BLOCK:
		return start_block(o->nr);
	case FORK:
		return fork_to(other);
	case PID:
		return getpid();
	case EXEC:
		execl("/bin/sleep", "sleep", "20", NULL);
		return -errno;
	}
	return -1;
}

/* With an order to fork comes the socket that the grandchild serves. */
static bool take_order(int sock, struct order *o, int *other)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { o, sizeof(*o) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control,
			    .msg_controllen = sizeof(control) };
	ssize_t n;

	do
		n = recvmsg(sock, &m, 0);
	while (n < 0 && errno == EINTR);
	*other = -1;
	if (n == sizeof(*o) && m.msg_controllen)
		memcpy(other, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return n == sizeof(*o);
}

static void serve(int sock)
{
	struct order o;
	int other;

	while (take_order(sock, &o, &other)) {
		long ret = obey(&o, other);

		if (other >= 0)
			close(other);
		if (write(sock, &ret, sizeof(ret)) != sizeof(ret))
			break;
	}
	_exit(0);
}

static void give_order(const struct child *c, enum op op, uint64_t page, uint64_t nr, int other)
{
	struct order o = { op, page, nr };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { &o, sizeof(o) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (other >= 0) {
		memcpy(CMSG_DATA(&control.head), &other, sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	assert_int_equal(sendmsg(c->sock, &m, 0), sizeof(o));
}

static long answer(const struct child *c)
{
	long ret;

	assert_int_equal(read(c->sock, &ret, sizeof(ret)), sizeof(ret));
	return ret;
}

static long tell(const struct child *c, enum op op, uint64_t page, uint64_t nr)
{
	give_order(c, op, page, nr, -1);
	return answer(c);
}

static struct child make_child(void)
{
	struct child c;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	c.pid = (pid_t)fork_to(pair[1]);
	assert_true(c.pid > 0);
	close(pair[1]);
	c.sock = pair[0];
	return c;
}

static struct child make_grandchild(const struct child *parent)
{
	struct child c;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	give_order(parent, FORK, 0, 0, pair[1]);
	c.pid = (pid_t)answer(parent);
	assert_true(c.pid > 0);
	close(pair[1]);
	c.sock = pair[0];
	return c;
}

static void end_child(struct child *c)
{
	close(c->sock);
	kill(c->pid, SIGKILL);
	waitpid(c->pid, NULL, 0);
}

/* ---- setup ------------------------------------------------------------------------------------- */

static void nothing(void *owner)
{
}
static const struct host_map_ops owner_ops = { .get = nothing, .put = nothing };

static void before(void)
{
	share_before_fork(map);
}
static void in_parent(void)
{
	share_after_fork_in_parent(map);
}
static void in_child(void)
{
	os_after_fork();
	share_after_fork_in_child(map);
}

static void map_window(void)
{
	uint64_t at;

	assert_int_equal(host_map_mmap(map, file, &map, 0, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				       0, &at),
			 0);
	window = (void *)(uintptr_t)at;
}

static int setup(void **state)
{
	unsigned int flags = GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED | GMEM_FILE_IN_PLACE;

	atomic_store(&host_file_patience_ms, 1000);
	assert_int_equal(gmem_file_create(SIZE, flags, &core_file), 0);
	assert_int_equal(host_file_create(map, core_file, &file), 0);
	assert_int_equal(host_file_name(file, name), 0);
	map_window();
	for (uint64_t i = 0; i < NR_PAGES; i++)
		window[i * PAGE] = (uint8_t)(i % 251 + 1);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(host_map_munmap(map, (uintptr_t)window, SIZE), 0);
	host_file_put(file);
	gmem_file_release(core_file);
	gmem_file_put(core_file);
	return 0;
}

static long stamp(uint64_t page)
{
	return (long)(page % 251 + 1);
}

static uint64_t ms_since(uint64_t start_ns)
{
	return (os_clock_ns() - start_ns) / 1000000;
}

/* ---- tests ------------------------------------------------------------------------------------- */

static void a_child_sees_what_is_shared_and_nothing_else(void **state)
{
	struct child c;

	assert_int_equal(convert(8, 8, true), 0);
	c = make_child();
	assert_int_equal(tell(&c, PEEK, 7, 0), stamp(7));
	assert_int_equal(tell(&c, PEEK, 8, 0), BUS);
	assert_int_equal(tell(&c, PEEK_BY_SYSCALL, 15, 0), -EFAULT);
	assert_int_equal(tell(&c, PEEK, 16, 0), stamp(16));
	end_child(&c);
}

static void conversions_reach_a_child_before_they_return(void **state)
{
	struct child c = make_child();

	for (uint64_t i = 0; i < 50; i++) {
		assert_int_equal(tell(&c, PEEK, i, 0), stamp(i));
		assert_int_equal(convert(i, 2, true), 0);
		assert_int_equal(tell(&c, PEEK, i, 0), BUS);
		assert_int_equal(tell(&c, PEEK_BY_SYSCALL, i + 1, 0), -EFAULT);
		assert_int_equal(peek(i), BUS);
		assert_int_equal(convert(i, 2, false), 0);
		assert_int_equal(tell(&c, PEEK, i, 0), stamp(i));
		assert_int_equal(tell(&c, PEEK_BY_SYSCALL, i + 1, 0), 0);
	}
	end_child(&c);
}

static void a_child_converts_for_all(void **state)
{
	struct child a = make_child(), b = make_child();

	assert_int_equal(tell(&a, PRIVATE, 100, 10), 0);
	assert_int_equal(peek(100), BUS);
	assert_int_equal(tell(&a, PEEK, 109, 0), BUS);
	assert_int_equal(tell(&b, PEEK, 105, 0), BUS);
	assert_int_equal(tell(&b, QUERY, 0, NR_PAGES), 10);
	assert_int_equal(nr_private(0, NR_PAGES), 10);
	assert_int_equal(tell(&b, SHARED, 102, 1), 0);
	assert_int_equal(peek(102), stamp(102));
	assert_int_equal(tell(&a, PEEK, 102, 0), stamp(102));
	assert_int_equal(tell(&b, PEEK, 102, 0), stamp(102));
	assert_int_equal(tell(&b, PEEK, 103, 0), BUS);
	end_child(&a);
	end_child(&b);
}

static void a_punch_of_a_child_is_seen_at_home(void **state)
{
	struct child c = make_child();

	assert_int_equal(tell(&c, PUNCH, 5, 1), 0);
	assert_int_equal(peek(5), 0);
	assert_int_equal(peek(6), stamp(6));
	end_child(&c);
}

static void a_grandchild_is_told_too_and_outlives_its_parent(void **state)
{
	struct child c = make_child(), g;

	assert_int_equal(convert(1, 1, true), 0);
	g = make_grandchild(&c);
	assert_int_equal(tell(&g, PEEK, 1, 0), BUS);
	assert_int_equal(tell(&g, PEEK, 2, 0), stamp(2));
	assert_int_equal(convert(2, 1, true), 0);
	assert_int_equal(tell(&g, PEEK, 2, 0), BUS);
	assert_int_equal(tell(&c, PEEK, 2, 0), BUS);
	assert_int_equal(tell(&g, SHARED, 1, 1), 0);
	assert_int_equal(peek(1), stamp(1));
	assert_int_equal(tell(&c, PEEK, 1, 0), stamp(1));
	kill(g.pid, SIGKILL);
	assert_int_equal(convert(3, 1, true), 0);
	assert_int_equal(tell(&c, PEEK, 3, 0), BUS);
	close(g.sock);
	end_child(&c);
}

static void eight_children(void **state)
{
	struct child c[8];

	for (int i = 0; i < 8; i++)
		c[i] = make_child();
	assert_int_equal(convert(0, NR_PAGES, true), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(tell(&c[i], PEEK, (uint64_t)i * 100, 0), BUS);
	assert_int_equal(tell(&c[3], SHARED, 0, NR_PAGES), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(tell(&c[i], PEEK, (uint64_t)i * 100, 0), stamp((uint64_t)i * 100));
	for (int i = 0; i < 8; i++)
		end_child(&c[i]);
}

/* Nothing has changed, for anybody; afterwards all goes on. */
static void a_stopped_child_ends_in_eagain(void **state)
{
	struct child c = make_child(), other = make_child();
	uint64_t start;
	int status;

	atomic_store(&host_file_patience_ms, 200);
	kill(c.pid, SIGSTOP);
	assert_int_equal(waitpid(c.pid, &status, WUNTRACED), c.pid);
	start = os_clock_ns();
	assert_int_equal(convert(10, 4, true), -EAGAIN);
	assert_in_range(ms_since(start), 190, 400);
	assert_int_equal(nr_private(0, NR_PAGES), 0);
	assert_int_equal(peek(10), stamp(10));
	assert_int_equal(tell(&other, PEEK, 13, 0), stamp(13));
	kill(c.pid, SIGCONT);
	assert_int_equal(tell(&c, PEEK, 10, 0), stamp(10));
	assert_int_equal(convert(10, 4, true), 0);
	assert_int_equal(tell(&c, PEEK, 10, 0), BUS);
	end_child(&c);
	end_child(&other);
}

/* To shared goes through without it; it catches up when it goes on. */
static void a_stopped_child_misses_a_showing(void **state)
{
	struct child c = make_child();
	int status;

	atomic_store(&host_file_patience_ms, 200);
	assert_int_equal(convert(0, 600, true), 0);
	kill(c.pid, SIGSTOP);
	assert_int_equal(waitpid(c.pid, &status, WUNTRACED), c.pid);
	for (uint64_t i = 0; i < 600; i += 2)
		assert_int_equal(convert(i, 1, false), 0);
	assert_int_equal(convert(0, 1, true), -EAGAIN);
	kill(c.pid, SIGCONT);
	usleep(100000);
	assert_int_equal(tell(&c, PEEK, 0, 0), stamp(0));
	for (uint64_t i = 0; i < 600; i += 2) {
		assert_int_equal(tell(&c, PEEK, i, 0), stamp(i));
		assert_int_equal(tell(&c, PEEK, i + 1, 0), BUS);
	}
	assert_int_equal(convert(0, 1, true), 0);
	assert_int_equal(tell(&c, PEEK, 0, 0), BUS);
	end_child(&c);
}

static void a_slow_child_is_waited_for(void **state)
{
	struct child c = make_child();
	uint64_t start;

	assert_int_equal(tell(&c, BLOCK, 0, 150), 0);
	start = os_clock_ns();
	assert_int_equal(convert(10, 1, true), 0);
	assert_in_range(ms_since(start), 50, 400);
	assert_int_equal(tell(&c, PEEK, 10, 0), BUS);
	end_child(&c);
}

/* It had begun to hide when it was given up: it shows again. */
static void a_child_that_is_too_slow_shows_again(void **state)
{
	struct child c = make_child();

	atomic_store(&host_file_patience_ms, 100);
	assert_int_equal(tell(&c, BLOCK, 0, 400), 0);
	assert_int_equal(convert(10, 1, true), -EAGAIN);
	assert_int_equal(peek(10), stamp(10));
	usleep(500000);
	assert_int_equal(tell(&c, PEEK, 10, 0), stamp(10));
	assert_int_equal(convert(10, 1, true), 0);
	assert_int_equal(tell(&c, PEEK, 10, 0), BUS);
	end_child(&c);
}

static void a_killed_child_is_not_waited_for(void **state)
{
	struct child c = make_child(), other = make_child();
	uint64_t start;

	/* With a command in its hands. */
	assert_int_equal(tell(&c, BLOCK, 0, 5000), 0);
	kill(c.pid, SIGKILL);
	start = os_clock_ns();
	assert_int_equal(convert(10, 1, true), 0);
	assert_in_range(ms_since(start), 0, 200);
	assert_int_equal(tell(&other, PEEK, 10, 0), BUS);
	end_child(&c);
	end_child(&other);
}

static void a_child_that_dies_while_it_is_waited_for(void **state)
{
	struct child c = make_child();
	uint64_t start = os_clock_ns();
	pid_t killer;

	kill(c.pid, SIGSTOP);
	killer = (pid_t)syscall(SYS_fork);
	if (!killer) {
		usleep(100000);
		kill(c.pid, SIGKILL);
		_exit(0);
	}
	assert_int_equal(convert(10, 1, true), 0);
	assert_in_range(ms_since(start), 50, 600);
	waitpid(killer, NULL, 0);
	end_child(&c);
}

static void a_child_that_execs_is_not_waited_for(void **state)
{
	struct child c = make_child();
	uint64_t start;

	give_order(&c, EXEC, 0, 0, -1);
	usleep(100000);
	start = os_clock_ns();
	assert_int_equal(convert(10, 1, true), 0);
	assert_in_range(ms_since(start), 0, 200);
	end_child(&c);
}

/* Made behind our back: it has no windows, and does not make its dead parent look alive. */
static void a_raw_child_keeps_nobody_waiting(void **state)
{
	struct child c = make_child();
	uint64_t start;
	int status;
	pid_t raw;

	raw = (pid_t)syscall(SYS_fork);
	if (!raw) {
		signal(SIGSEGV, SIG_DFL);
		_exit(peek(10) == BUS ? 1 : 0);
	}
	assert_int_equal(waitpid(raw, &status, 0), raw);
	/* Holes (SIGSEGV) or what is empty; never the page. */
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 1);

	/* The same of a child, which then dies. */
	assert_int_equal(tell(&c, PID, 0, 0), c.pid);
	kill(c.pid, SIGKILL);
	start = os_clock_ns();
	assert_int_equal(convert(10, 1, true), 0);
	assert_in_range(ms_since(start), 0, 200);
	end_child(&c);
}

static void children_come_and_go_beside_conversions(void **state)
{
	uint64_t end = os_clock_ns() + 2000000000;
	unsigned int nr = 0;

	while (os_clock_ns() < end) {
		struct child c = make_child();
		uint64_t page = nr++ % NR_PAGES;

		/* While it starts. */
		assert_int_equal(convert(page, 1, true), 0);
		assert_int_equal(tell(&c, PEEK, page, 0), BUS);
		assert_int_equal(convert(page, 1, false), 0);
		assert_int_equal(tell(&c, PEEK, page, 0), stamp(page));
		end_child(&c);
	}
	assert_true(nr > 50);
}

static void without_windows_a_child_asks_when_it_needs(void **state)
{
	struct child c;

	assert_int_equal(host_map_munmap(map, (uintptr_t)window, SIZE), 0);
	assert_int_equal(convert(4, 1, true), 0);
	c = make_child();
	assert_int_equal(convert(5, 1, true), 0);
	assert_int_equal(tell(&c, QUERY, 0, NR_PAGES), 2);
	assert_int_equal(tell(&c, SHARED, 4, 1), 0);
	assert_int_equal(nr_private(0, NR_PAGES), 1);
	end_child(&c);
	map_window();
}

static void how_long_it_takes(void **state)
{
	uint64_t start, best[3] = { ~0ull, ~0ull, ~0ull };
	struct child c[8];
	int nr = 0;

	for (int step = 0; step < 3; step++) {
		for (; nr < (step == 0 ? 0 : step == 1 ? 1 : 8); nr++)
			c[nr] = make_child();
		for (int i = 0; i < 2000; i++) {
			uint64_t ns;

			start = os_clock_ns();
			assert_int_equal(convert(7, 1, true), 0);
			ns = os_clock_ns() - start;
			if (ns < best[step])
				best[step] = ns;
			assert_int_equal(convert(7, 1, false), 0);
		}
	}
	print_message(
		"to private, one page, best of 2000: alone %lu ns, 1 child %lu ns, 8 children "
		"%lu ns\n",
		best[0], best[1], best[2]);
	while (nr)
		end_child(&c[--nr]);
}

static int group_setup(void **state)
{
	if (host_map_create(&owner_ops, &map))
		return -1;
	return pthread_atfork(before, in_parent, in_child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		T(a_child_sees_what_is_shared_and_nothing_else),
		T(conversions_reach_a_child_before_they_return),
		T(a_child_converts_for_all),
		T(a_punch_of_a_child_is_seen_at_home),
		T(a_grandchild_is_told_too_and_outlives_its_parent),
		T(eight_children),
		T(a_stopped_child_ends_in_eagain),
		T(a_stopped_child_misses_a_showing),
		T(a_slow_child_is_waited_for),
		T(a_child_that_is_too_slow_shows_again),
		T(a_killed_child_is_not_waited_for),
		T(a_child_that_dies_while_it_is_waited_for),
		T(a_child_that_execs_is_not_waited_for),
		T(a_raw_child_keeps_nobody_waiting),
		T(children_come_and_go_beside_conversions),
		T(without_windows_a_child_asks_when_it_needs),
		T(how_long_it_takes),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
