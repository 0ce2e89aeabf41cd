/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The processes of the race: children and theirs, an exec'ed one, one that was sent the descriptor. */
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CHILDREN 3u
#define LATE_SECONDS 3.0

struct table *table_map(int table_fd)
{
	void *p = mmap(NULL, sizeof(struct table), PROT_READ | PROT_WRITE, MAP_SHARED, table_fd, 0);

	if (p == MAP_FAILED)
		die("the table: errno %d", errno);
	return p;
}

/* ---- the state made known ---- */

static enum touch touch_late(struct actor *a, unsigned int page, enum touch expected)
{
	double end = now() + (a->place == HOME ? 0 : LATE_SECONDS);
	enum touch r;
	uint64_t value;

	while ((r = host_load(a->use + page * PAGE, &value)) != expected && now() < end)
		sleep_us(1000);
	return r;
}

static void audit_private(struct actor *a, unsigned int page)
{
	uint8_t *p = a->use + page * PAGE;
	uint64_t value;

	if (host_load(p, &value) != TOUCH_BUS || host_store(p, 1) != TOUCH_BUS)
		race_fail(a->t, "page %u is private and open in place %d", page, (int)a->place);
	if (pwrite(a->scratch, p, PAGE, 0) >= 0 || errno != EFAULT)
		race_fail(a->t, "page %u is private and write() reads it in place %d", page,
			  (int)a->place);
}

static void audit_shared(struct actor *a, unsigned int page)
{
	uint64_t words[PAGE_WORDS];
	struct table *t = a->t;
	struct before b;
	unsigned int nr;

	before_access(t, page, &b);
	if (touch_late(a, page, TOUCHED) != TOUCHED ||
	    host_copy(words, a->use + page * PAGE, PAGE_WORDS, &nr) != TOUCHED) {
		race_fail(t, "page %u is shared and shut in place %d: %s", page, (int)a->place,
			  trap_text());
		return;
	}
	judge_words(t, page, &b, words, 0, PAGE_WORDS, false, "the last look");
	if (t->page[page].ever_punched)
		return;
	if (words[WORD_SUM] < t->sum_done[page] || words[WORD_SUM] > t->sum_intent[page])
		race_fail(t, "page %u: %llu additions of hosts, not %llu to %llu", page,
			  (unsigned long long)words[WORD_SUM],
			  (unsigned long long)t->sum_done[page],
			  (unsigned long long)t->sum_intent[page]);
	if (words[WORD_GUEST_SUM] != t->guest_sum[page])
		race_fail(t, "page %u: %llu additions of guests, not %llu", page,
			  (unsigned long long)words[WORD_GUEST_SUM],
			  (unsigned long long)t->guest_sum[page]);
}

void audit(struct actor *a, uint32_t phase)
{
	for (unsigned int i = 0; i < 2; i++) {
		a->use = i ? a->other : a->host;
		for (unsigned int page = 0; a->use && page < NR_PAGES; page++) {
			if (phase == PHASE_PRIVATE)
				audit_private(a, page);
			else
				audit_shared(a, page);
		}
	}
}

/* What a process that stays does in its main thread, when its others are over. */
static void follow_phases(struct actor *a)
{
	uint32_t phase = PHASE_RACE;

	a->t->acks++;
	while (phase != PHASE_OVER) {
		if (a->t->phase == phase) {
			sleep_us(2000);
			if (getppid() != a->t->home_pid)
				_exit(1);
			continue;
		}
		phase = a->t->phase;
		if (phase != PHASE_OVER)
			audit(a, phase);
		a->t->acks++;
	}
}

/* ---- threads of such processes ---- */

static void *accessor(void *arg)
{
	access_for(arg, 1e9);
	return NULL;
}

static void *changer(void *arg)
{
	struct actor *a = arg;

	while (!stopped(a->t)) {
		unsigned int n = rnd_below(&a->seed, 8);

		if (n < 4)
			convert_some(a, NULL);
		else if (n < 6)
			convert_wildly(a);
		else if (n < 7)
			punch_some(a);
		else
			remap_some(a);
		access_one(a);
		sleep_us(rnd_below(&a->seed, 500));
	}
	return NULL;
}

static void run_staying(struct table *t, enum place place, int fd, uint8_t *other,
			void *(*second)(void *))
{
	struct actor a, b;
	pthread_t threads[2];

	if (!actor_make(&a, t, place, fd) || !actor_make(&b, t, place, fd))
		_exit(1);
	a.other = b.other = other;
	pthread_create(&threads[0], NULL, accessor, &a);
	pthread_create(&threads[1], NULL, second, &b);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	follow_phases(&a);
}

int start_child_that_stays(struct table *t, int fd, uint8_t *inherited)
{
	int pid = fork();

	if (pid < 0)
		die("fork: errno %d", errno);
	if (pid)
		return pid;
	run_staying(t, CHILD, fd, inherited, accessor);
	_exit(0);
}

/* ---- the peer ---- */

int start_peer(const char *self, int *sock)
{
	char arg[16];
	int pair[2], pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die("socketpair: errno %d", errno);
	pid = fork();
	if (pid < 0)
		die("fork: errno %d", errno);
	if (!pid) {
		close(pair[0]);
		snprintf(arg, sizeof(arg), "%d", pair[1]);
		execl("/proc/self/exe", self, "--peer", arg, (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	*sock = pair[0];
	return pid;
}

union control {
	char buffer[CMSG_SPACE(2 * sizeof(int))];
	struct cmsghdr align;
};

bool send_files(int sock, const int fds[2])
{
	union control control = { 0 };
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
	c->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	return sendmsg(sock, &m, 0) == 1;
}

static bool receive_files(int sock, int fds[2])
{
	union control control = { 0 };
	char byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control.buffer,
		.msg_controllen = sizeof(control.buffer),
	};
	struct cmsghdr *c;

	if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != 1)
		return false;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_len != CMSG_LEN(2 * sizeof(int)))
		return false;
	memcpy(fds, CMSG_DATA(c), 2 * sizeof(int));
	return true;
}

int peer_main(int sock)
{
	uint8_t *whole = NULL;
	struct table *t;
	int fds[2];

	trap_install();
	if (!receive_files(sock, fds))
		die("the peer was sent nothing");
	t = table_map(fds[1]);
	if (t->is_alternating)
		whole = world_map(fds[0], 0, t->size) + t->base;
	run_staying(t, PEER, fds[0], whole, changer);
	return 0;
}

/* ---- those that come and go ---- */

int execed_main(int fd, int table_fd)
{
	struct table *t = table_map(table_fd);
	struct actor a;

	trap_install();
	if (!actor_make(&a, t, EXECED, fd))
		return 1;
	access_for(&a, 0.1);
	actor_free(&a);
	return 0;
}

static void exec_one(struct actor *a, const char *self, int table_fd)
{
	char file[16], table[16];
	int f = dup(a->fd), t = dup(table_fd);

	snprintf(file, sizeof(file), "%d", f);
	snprintf(table, sizeof(table), "%d", t);
	execl("/proc/self/exe", self, "--execed", file, table, (char *)NULL);
	_exit(127);
}

/* Through what it inherited and through a window of its own, in two threads. */
static void come_and_go(const struct actor *parent, enum place place, uint64_t *seed)
{
	double seconds = 0.02 + rnd_below(seed, 100) / 1000.0;
	struct actor a, b;
	pthread_t thread;

	if (place == CHILD && rnd_below(seed, 3) == 0) {
		int pid = fork();

		if (pid < 0)
			race_fail(parent->t, "fork in a child: errno %d", errno);
		if (pid)
			parent->t->stat[GRANDCHILD][FORKS]++;
		else
			place = GRANDCHILD;
	}
	if (!actor_make(&a, parent->t, place, parent->fd))
		_exit(1);
	a.other = parent->other ? parent->other : parent->host;
	a.seed ^= *seed;
	if (rnd_below(seed, 2) && actor_make(&b, parent->t, place, parent->fd)) {
		b.other = a.other;
		b.seed ^= *seed << 1;
		pthread_create(&thread, NULL, accessor, &b); /* ends with the process */
	}
	access_for(&a, seconds);
	_exit(0);
}

static void reap_one(struct table *t, int pid, int status, int killed)
{
	slots_drop(t, pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && killed)
		return;
	race_fail(t, "process %d ended with status 0x%x", pid, (unsigned int)status);
}

struct brood {
	int pid[MAX_CHILDREN];
	bool killed[MAX_CHILDREN];
	unsigned int nr;
};

static int take_from(struct brood *b, int pid)
{
	for (unsigned int i = 0; i < b->nr; i++) {
		bool killed = b->killed[i];

		if (b->pid[i] != pid)
			continue;
		b->nr--;
		b->pid[i] = b->pid[b->nr];
		b->killed[i] = b->killed[b->nr];
		return killed;
	}
	return false;
}

static void reap(struct table *t, struct brood *b)
{
	int status, pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		reap_one(t, pid, status, take_from(b, pid));
}

static void disturb(struct actor *a, struct brood *b)
{
	const _Atomic uint64_t *so_far = a->t->stat[a->place];
	/* Where little is done in the time there is, what the race is about comes sooner. */
	bool all = so_far[KILLS] && so_far[STOPS];
	unsigned int i = rnd_below(&a->seed, b->nr), n = rnd_below(&a->seed, all ? 400 : 100);

	if (b->killed[i])
		return;
	if (n < 30) {
		kill(b->pid[i], SIGKILL);
		b->killed[i] = true;
		count(a, KILLS);
	} else if (n < 60) {
		kill(b->pid[i], SIGSTOP);
		/* Once in a while longer than a conversion waits for anybody. */
		sleep_us(n == 59 ? 1300000 : rnd_below(&a->seed, 5000));
		kill(b->pid[i], SIGCONT);
		count(a, STOPS);
	}
}

static void fork_one(struct actor *a, struct brood *b, const char *self, int table_fd)
{
	bool exec = rnd_below(&a->seed, 6) == 0;
	uint64_t seed = rnd(&a->seed);
	int pid = fork();

	if (pid < 0) {
		race_fail(a->t, "fork: errno %d", errno);
		return;
	}
	if (!pid && exec)
		exec_one(a, self, table_fd);
	if (!pid)
		come_and_go(a, CHILD, &seed);
	b->pid[b->nr] = pid;
	b->killed[b->nr++] = false;
	count(a, exec ? EXECS : FORKS);
}

static bool is_passing(const struct table *t, int pid)
{
	return pid && pid != t->home_pid && pid != t->staying_pid[0] && pid != t->staying_pid[1];
}

/*
 * All but the two that stay; they end soon by themselves. alive: a pipe that all of them hold open, since a
 * child of one that is gone already may not have come to its slot yet.
 */
static void reap_all(struct table *t, struct brood *b, int alive)
{
	double end = now() + 20;
	bool left = true;
	char byte;

	while (left && now() < end) {
		reap(t, b);
		left = b->nr || read(alive, &byte, 1);
		for (unsigned int i = 0; i < NR_HOSTS; i++)
			left |= is_passing(t, t->slot_pid[i]);
		sleep_us(5000);
	}
	if (left)
		race_fail(t, "a child does not end");
}

void fork_some(struct actor *a, const char *self, int table_fd)
{
	struct brood b = { .nr = 0 };
	int alive[2];

	if (pipe2(alive, O_CLOEXEC | O_NONBLOCK))
		die("pipe2: errno %d", errno);
	while (!stopped(a->t)) {
		reap(a->t, &b);
		if (b.nr < MAX_CHILDREN)
			fork_one(a, &b, self, table_fd);
		if (b.nr)
			disturb(a, &b);
		access_one(a);
		sleep_us(rnd_below(&a->seed, 8000));
	}
	close(alive[1]);
	reap_all(a->t, &b, alive[0]);
	close(alive[0]);
}
