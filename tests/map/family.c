/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "family.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "map/host_map.h"
#include "map/share_layout.h"
#include "os/fail.h"
#include "os/os.h"

struct host_map *map;
static struct gmem_file *core_file;
struct host_file *file;
volatile uint8_t *window;
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

long peek(uint64_t page)
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

long convert(uint64_t page, uint64_t nr, bool to_private)
{
	struct gmem_conversion c = { .offset = page * PAGE,
				     .size = nr * PAGE,
				     .attributes = to_private ? ATTR_PRIVATE : 0 };
	long ret = host_file_convert(file, &c);

	if (ret && c.error_offset != c.offset)
		return -999;
	return ret;
}

long nr_private(uint64_t page, uint64_t nr)
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

struct order {
	enum op op;
	uint64_t page, nr;
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

static long punch(uint64_t page, uint64_t nr)
{
	return host_file_punch(file, page * PAGE, nr * PAGE);
}

static long load(void)
{
	host_file_hold(file);
	host_file_let(file);
	return 0;
}

static long lack(bool mappings)
{
	struct os_fail_plan plan = { .points = OS_FAIL_MAPPINGS, .nr = UINT64_MAX };

	if (mappings)
		os_fail_arm(&plan);
	else
		os_fail_disarm(NULL);
	return 0;
}

static long while_home_stops(const struct order *o)
{
	pid_t home = getppid();
	long ret;

	kill(home, SIGSTOP);
	usleep(20000);
	if (o->op == LOAD_WHILE_HOME_STOPS)
		ret = load();
	else if (o->op == PUNCH_WHILE_HOME_STOPS)
		ret = punch(o->page, o->nr);
	else
		ret = convert(o->page, o->nr, true);
	kill(home, SIGCONT);
	return ret;
}

/* As if the home had given up telling something, and then stopped. */
static long late_while_home_stops(uint64_t ms)
{
	struct share_link *l = atomic_load(&share_links);
	pid_t home = getppid();
	long ret;

	atomic_store(&host_file_patience_ms, (uint32_t)ms);
	kill(home, SIGSTOP);
	usleep(20000);
	atomic_store(&share_link_slot(l)->behind, 1);
	ret = share_run_pending() || share_run_pending();
	kill(home, SIGCONT);
	return ret;
}

static long adopt(int sock)
{
	char text[HOST_FILE_NAME_MAX];

	if (read(sock, text, sizeof(text)) != sizeof(text))
		return -EIO;
	return host_file_adopt(map, text, &file);
}

static long map_adopted(void)
{
	uint64_t at = 0;
	long ret =
		host_map_mmap(map, file, &map, 0, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0, &at);

	window = (void *)(uintptr_t)at;
	return ret;
}

static struct pin *pinned;
struct stage *stage;

static void look_often(uint64_t page)
{
	for (int i = 0; i < 30; i++) {
		uint64_t hidden = atomic_load(&stage->hidden);
		long seen = peek(page);

		if (hidden % 2 == 0 || atomic_load(&stage->hidden) != hidden)
			continue;
		atomic_fetch_add(&stage->nr_looks, 1);
		if (seen != BUS)
			atomic_fetch_add(&stage->nr_wrong, 1);
	}
	_exit(0);
}

static long fork_storm(uint64_t page)
{
	while (!atomic_load(&stage->storm_over)) {
		pid_t pid = fork();

		if (!pid)
			look_often(page);
		waitpid(pid, NULL, 0);
	}
	return (long)atomic_load(&stage->nr_wrong);
}

long pin_every_second(uint64_t page, uint64_t nr)
{
	struct pin *pin;
	long ret = 0;

	for (uint64_t i = 0; i < nr && !ret; i += 2)
		ret = pin_intend(file, (page + i) * PAGE, PAGE, &pin);
	return ret;
}

long refused_as_every_second(uint64_t page, uint64_t nr)
{
	struct gmem_refused refused[NR_PAGES] = { { 0 } };
	struct gmem_conversion c = { .offset = page * PAGE,
				     .size = nr * PAGE,
				     .attributes = ATTR_PRIVATE,
				     .refused = refused,
				     .max_refused = NR_PAGES };

	if (host_file_convert(file, &c) != -EAGAIN || c.error_offset != c.offset ||
	    c.nr_refused != (nr + 1) / 2)
		return -(long)c.nr_refused;
	for (uint64_t i = 0; i < c.nr_refused; i++)
		if (refused[i].offset != (page + 2 * i) * PAGE || refused[i].size != PAGE)
			return 1000 + (long)i;
	return 1;
}

static long obey(const struct order *o, int sock, int other)
{
	long ret;

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
		return punch(o->page, o->nr);
	case BLOCK:
		return start_block(o->nr);
	case FORK:
		return fork_to(other);
	case PID:
		return getpid();
	case PIN:
		return pin_intend(file, o->page * PAGE, o->nr * PAGE, &pinned);
	case UNPIN:
		pin_drop(pinned);
		return 0;
	case PRIVATE_WHILE_HOME_STOPS:
	case PUNCH_WHILE_HOME_STOPS:
	case LOAD_WHILE_HOME_STOPS:
		return while_home_stops(o);
	case LOAD:
		return load();
	case LACK:
		return lack(o->nr);
	case PRIVATE_WITH_SIGNAL:
		os_signal_set_pending(true);
		ret = convert(o->page, o->nr, true);
		os_signal_set_pending(false);
		return ret;
	case PIN_EVERY_SECOND:
		return pin_every_second(o->page, o->nr);
	case PRIVATE_REFUSED_AS_EVERY_SECOND:
		return refused_as_every_second(o->page, o->nr);
	case LATE_WHILE_HOME_STOPS:
		return late_while_home_stops(o->nr);
	case ADOPT:
		return adopt(sock);
	case MAP_ADOPTED:
		return map_adopted();
	case FORK_STORM:
		return fork_storm(o->page);
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
		long ret = obey(&o, sock, other);

		if (other >= 0)
			close(other);
		if (write(sock, &ret, sizeof(ret)) != sizeof(ret))
			break;
	}
	_exit(0);
}

void give_order(const struct child *c, enum op op, uint64_t page, uint64_t nr, int other)
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

long answer(const struct child *c)
{
	long ret;

	assert_int_equal(read(c->sock, &ret, sizeof(ret)), sizeof(ret));
	return ret;
}

long tell(const struct child *c, enum op op, uint64_t page, uint64_t nr)
{
	give_order(c, op, page, nr, -1);
	return answer(c);
}

struct child make_child(void)
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

struct child make_grandchild(const struct child *parent)
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

void end_child(struct child *c)
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

void map_window(void)
{
	uint64_t at;

	assert_int_equal(host_map_mmap(map, file, &map, 0, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				       0, &at),
			 0);
	window = (void *)(uintptr_t)at;
}

int family_setup(void **state)
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

int family_teardown(void **state)
{
	assert_int_equal(host_map_munmap(map, (uintptr_t)window, SIZE), 0);
	host_file_put(file);
	gmem_file_release(core_file);
	gmem_file_put(core_file);
	return 0;
}

long stamp(uint64_t page)
{
	return (long)(page % 251 + 1);
}

uint64_t ms_since(uint64_t start_ns)
{
	return (os_clock_ns() - start_ns) / 1000000;
}

int family_start(void **state)
{
	stage = mmap(NULL, sizeof(*stage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (stage == MAP_FAILED)
		return -1;
	if (host_map_create(&owner_ops, &map))
		return -1;
	return pthread_atfork(before, in_parent, in_child);
}
