/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Pins and forks: what one process does is so in the other when the call returns. */
#include "t.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* ---- pins ------------------------------------------------------------------------------------ */

static void a_pin_keeps_a_page_shared(void **state)
{
	struct gmem *g = t_create(8, BOTH);
	char *window = t_map(g, 0, 8);
	struct gmem_pinned *pin, *second;
	uint64_t where = 0;

	assert_int_equal(gmem_pin(g, 2 * PAGE + 100, PAGE, &pin), 0);
	assert_int_equal(gmem_make_private(g, 0, 8 * PAGE, &where), -EAGAIN);
	assert_int_equal(where, 2 * PAGE);
	assert_int_equal(gmem_make_private(g, 3 * PAGE, PAGE, &where), -EAGAIN);
	t_open(window);
	/* Others may become private; a punch is no conversion. */
	t_private(g, 4, 4);
	assert_int_equal(gmem_punch(g, 2 * PAGE, PAGE), 0);
	assert_int_equal(gmem_pin(g, 2 * PAGE, PAGE, &second), 0);
	gmem_unpin(pin);
	t_private(g, 3, 1);
	assert_int_equal(gmem_make_private(g, 2 * PAGE, PAGE, NULL), -EAGAIN);
	gmem_unpin(second);
	t_private(g, 2, 1);
	gmem_unpin(NULL);
	gmem_unmap(window, 8 * PAGE);
	gmem_put(g);
}

static void a_private_page_cannot_be_pinned(void **state)
{
	struct gmem *g = t_create(8, BOTH);
	struct gmem_pinned *pin;
	struct gmem_stats s = { .args_size = sizeof(s) };

	t_private(g, 3, 1);
	assert_int_equal(gmem_pin(g, 0, 8 * PAGE, &pin), -EFAULT);
	assert_int_equal(gmem_pin(g, 4 * PAGE - 1, 1, &pin), -EFAULT);
	assert_int_equal(gmem_get_stats(g, &s), 0);
	assert_int_equal(s.nr_pins, 0);
	assert_int_equal(gmem_pin(g, 0, 0, &pin), -EINVAL);
	assert_int_equal(gmem_pin(g, 8 * PAGE, 1, &pin), -EINVAL);
	assert_int_equal(gmem_pin(g, 7 * PAGE, PAGE + 1, &pin), -EINVAL);
	assert_int_equal(gmem_pin(g, 0, UINT64_MAX, &pin), -EINVAL);
	assert_int_equal(gmem_pin(g, 0, 1, NULL), -EINVAL);
	assert_int_equal(gmem_pin(NULL, 0, 1, &pin), -EINVAL);
	gmem_put(g);
}

static void a_pin_can_become_shorter(void **state)
{
	struct gmem *g = t_create(8, BOTH);
	struct gmem_pinned *pin;

	assert_int_equal(gmem_pin(g, 0, 4 * PAGE, &pin), 0);
	gmem_pin_trim(pin, 100 * PAGE);
	assert_int_equal(gmem_make_private(g, 3 * PAGE, PAGE, NULL), -EAGAIN);
	gmem_pin_trim(pin, 2 * PAGE);
	t_private(g, 2, 2);
	assert_int_equal(gmem_make_private(g, PAGE, PAGE, NULL), -EAGAIN);
	gmem_pin_trim(pin, 0);
	t_private(g, 0, 2);
	gmem_put(g);
}

/* Root on most kernels; elsewhere the answer is the test. */
static void references_are_found_where_one_may_look(void **state)
{
	struct gmem *g = t_create(8, BOTH);
	char *window = t_map(g, 0, 8);
	struct iovec iov = { .iov_base = window + 3 * PAGE, .iov_len = PAGE };
	uint64_t where = 0;
	int fds[2], err;

	memset(window, 'x', 8 * PAGE);
	err = gmem_count_references();
	if (err) {
		assert_int_equal(err, -EPERM);
		print_message("references cannot be counted here\n");
	} else {
		assert_int_equal(pipe(fds), 0);
		assert_int_equal(vmsplice(fds[1], &iov, 1, 0), PAGE);
		assert_int_equal(gmem_make_private(g, 0, 8 * PAGE, &where), -EAGAIN);
		assert_int_equal(where, 3 * PAGE);
		t_open(window);
		close(fds[0]);
		close(fds[1]);
	}
	t_private(g, 0, 8);
	gmem_unmap(window, 8 * PAGE);
	gmem_put(g);
}

/* ---- a forked child -------------------------------------------------------------------------- */

/* The child says whether it has seen what it should, a letter at a time. */
struct pair {
	int to_child[2], to_parent[2];
	pid_t pid;
};

static void tell(int fd, char letter)
{
	if (write(fd, &letter, 1) != 1)
		_exit(9);
}

static char hear(int fd)
{
	char letter = 0;

	return read(fd, &letter, 1) == 1 ? letter : 0;
}

static void fork_pair(struct pair *p, void (*child)(struct pair *p, void *arg), void *arg)
{
	assert_int_equal(pipe(p->to_child), 0);
	assert_int_equal(pipe(p->to_parent), 0);
	fflush(NULL);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid)
		return;
	close(p->to_child[1]);
	child(p, arg);
	_exit(0);
}

static void end_pair(struct pair *p)
{
	int status = -1;

	close(p->to_child[1]);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_int_equal(status, 0);
	close(p->to_child[0]);
	close(p->to_parent[0]);
	close(p->to_parent[1]);
}

/* In a child an assertion of cmocka would unwind into the parent's tests. */
#define MUST(cond)                                                               \
	do {                                                                     \
		if (!(cond)) {                                                   \
			dprintf(2, "child: line %d: not %s\n", __LINE__, #cond); \
			_exit(1);                                                \
		}                                                                \
	} while (0)

struct both {
	struct gmem *g;
	char *window;
	struct gmem_pinned *pin;
	struct gmem_consumer *consumer;
	struct gmem_binding *binding;
};

static void no_binding(void *arg, void *owner, uint64_t offset, uint64_t size)
{
	_exit(2);
}

static void child_looks(struct pair *p, void *arg)
{
	struct both *b = arg;
	struct gmem_info i = { .args_size = sizeof(i) };
	void *at;

	MUST(gmem_get_info(b->g, &i) == 0 && !i.is_home);
	MUST(t_touch(b->window, 0) == 0);
	MUST(t_touch(b->window + PAGE, 0) == SIGBUS);
	MUST(strcmp(b->window, "parent") == 0);
	tell(p->to_parent[1], 'a');
	MUST(hear(p->to_child[0]) == 'b'); /* page 0 is private now, 1 shared */
	MUST(t_touch(b->window, 0) == SIGBUS);
	MUST(t_syscall(b->window) == -EFAULT);
	MUST(t_touch(b->window + PAGE, 0) == 0);
	MUST(gmem_is_hidden(b->window) && !gmem_is_hidden(b->window + PAGE));
	/* What is at home only. */
	MUST(gmem_fault_begin(b->g) == -EREMOTE);
	MUST(gmem_page(b->g, 0, &at, NULL) == -EREMOTE);
	MUST(gmem_bind(b->g, 0, PAGE, NULL, &b->binding) == -EREMOTE);
	MUST(gmem_for_bindings(b->g, 0, PAGE, no_binding, NULL) == -EREMOTE);
	/* The child converts. */
	MUST(gmem_make_private(b->g, PAGE, PAGE, NULL) == 0);
	MUST(gmem_make_shared(b->g, 0, PAGE, NULL) == 0);
	MUST(t_touch(b->window, 0) == 0);
	tell(p->to_parent[1], 'c');
	MUST(hear(p->to_child[0]) == 'd');
	MUST(gmem_unmap(b->window, 8 * PAGE) == 0);
	gmem_put(b->g);
}

static void what_one_converts_the_other_sees(void **state)
{
	struct both b = { .g = t_create(8, BOTH) };
	struct pair p;

	b.window = t_map(b.g, 0, 8);
	strcpy(b.window, "parent");
	t_private(b.g, 1, 1);
	fork_pair(&p, child_looks, &b);
	assert_int_equal(hear(p.to_parent[0]), 'a');
	t_private(b.g, 0, 1);
	t_shared(b.g, 1, 1);
	tell(p.to_child[1], 'b');
	assert_int_equal(hear(p.to_parent[0]), 'c');
	t_hidden(b.window + PAGE);
	t_open(b.window);
	tell(p.to_child[1], 'd');
	end_pair(&p);
	/* It is gone, and nobody waits for it. */
	t_private(b.g, 0, 8);
	gmem_unmap(b.window, 8 * PAGE);
	gmem_put(b.g);
}

static void child_asks(struct pair *p, void *arg)
{
	struct both *b = arg;
	struct gmem_extent e[4];
	struct gmem_stats s = { .args_size = sizeof(s) };
	uint32_t nr, attributes;

	MUST(gmem_attributes(b->g, 2 * PAGE, &attributes) == 0 && attributes == PRIVATE);
	MUST(gmem_attributes(b->g, 4 * PAGE, &attributes) == 0 && !attributes);
	MUST(gmem_query(b->g, 0, 8 * PAGE, e, 4, &nr) == 0 && nr == 3);
	MUST(e[1].offset == 2 * PAGE && e[1].size == 2 * PAGE && e[1].attributes == PRIVATE);
	MUST(gmem_get_stats(b->g, &s) == 0);
	MUST(s.private_bytes == 2 * PAGE && s.backed_bytes == PAGE && s.size == 8 * PAGE);
	MUST(gmem_allocate(b->g, 0, 2 * PAGE) == 0);
	MUST(gmem_get_stats(b->g, &s) == 0 && s.backed_bytes == 3 * PAGE);
	MUST(gmem_punch(b->g, 0, 8 * PAGE) == 0);
	MUST(gmem_get_stats(b->g, &s) == 0 && s.backed_bytes == 0);
	tell(p->to_parent[1], 'a');
	MUST(hear(p->to_child[0]) == 'b');
}

/* No window: the child knows nothing until it asks. */
static void a_child_asks_the_home(void **state)
{
	struct both b = { .g = t_create(8, BOTH) };
	struct pair p;

	b.window = t_map(b.g, 0, 8);
	b.window[7 * PAGE] = 1;
	gmem_unmap(b.window, 8 * PAGE);
	t_private(b.g, 2, 2);
	fork_pair(&p, child_asks, &b);
	assert_int_equal(hear(p.to_parent[0]), 'a');
	tell(p.to_child[1], 'b');
	end_pair(&p);
	gmem_put(b.g);
}

static void child_pins(struct pair *p, void *arg)
{
	struct both *b = arg;
	struct gmem_pinned *pin;

	/* What was the parent's is not the child's. */
	gmem_unpin(b->pin);
	gmem_consumer_remove(b->g, b->consumer);
	gmem_unbind(b->g, b->binding);
	MUST(gmem_pin(b->g, 3 * PAGE, PAGE, &pin) == 0);
	tell(p->to_parent[1], 'a');
	MUST(hear(p->to_child[0]) == 'b');
	gmem_unpin(pin);
	tell(p->to_parent[1], 'c');
	MUST(hear(p->to_child[0]) == 'd');
	MUST(gmem_pin(b->g, 3 * PAGE, PAGE, &pin) == -EFAULT);
}

static int nr_begun;

static int count_begin(void *data, const struct gmem_change *change)
{
	nr_begun++;
	return 0;
}

static void end_nothing(void *data, const struct gmem_change *change)
{
}

static void a_pin_holds_for_every_process(void **state)
{
	static const struct gmem_consumer_callbacks callbacks = { .ops_size = sizeof(callbacks),
								  .begin = count_begin,
								  .end = end_nothing };
	struct both b = { .g = t_create(8, BOTH) };
	struct pair p;
	uint64_t where = 0;

	b.window = t_map(b.g, 0, 8);
	assert_int_equal(gmem_pin(b.g, 0, PAGE, &b.pin), 0);
	assert_int_equal(gmem_consumer_add(b.g, &callbacks, NULL, &b.consumer), 0);
	assert_int_equal(gmem_bind(b.g, 0, PAGE, NULL, &b.binding), 0);
	fork_pair(&p, child_pins, &b);
	assert_int_equal(hear(p.to_parent[0]), 'a');
	assert_int_equal(gmem_make_private(b.g, PAGE, 7 * PAGE, &where), -EAGAIN);
	assert_int_equal(where, 3 * PAGE);
	t_open(b.window + 3 * PAGE);
	/* The parent's own is still there, whatever the child did with its copy. */
	assert_int_equal(gmem_make_private(b.g, 0, PAGE, &where), -EAGAIN);
	tell(p.to_child[1], 'b');
	assert_int_equal(hear(p.to_parent[0]), 'c');
	t_private(b.g, 1, 7);
	assert_true(nr_begun > 0);
	tell(p.to_child[1], 'd');
	end_pair(&p);
	gmem_unpin(b.pin);
	gmem_consumer_remove(b.g, b.consumer);
	gmem_unbind(b.g, b.binding);
	gmem_unmap(b.window, 8 * PAGE);
	gmem_put(b.g);
}

static void child_is_home(struct pair *p, void *arg)
{
	struct gmem *g = t_create(4, BOTH);
	char *window = t_map(g, 0, 4);
	pid_t pid;

	strcpy(window, "left behind");
	t_private(g, 1, 1);
	pid = fork();
	if (pid)
		_exit(0); /* the home goes */
	while (getppid() != 1 && hear(p->to_child[0]) != 'b')
		;
	MUST(strcmp(window, "left behind") == 0);
	MUST(t_touch(window + PAGE, 0) == SIGBUS);
	MUST(gmem_make_shared(g, PAGE, PAGE, NULL) == -EIO);
	MUST(gmem_make_private(g, 0, PAGE, NULL) == -EIO);
	MUST(t_touch(window + PAGE, 0) == SIGBUS && t_touch(window, 0) == 0);
	tell(p->to_parent[1], 'a');
}

static void without_its_home_a_file_is_frozen(void **state)
{
	struct pair p;

	fork_pair(&p, child_is_home, NULL);
	assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
	tell(p.to_child[1], 'b');
	close(p.to_parent[1]);
	assert_int_equal(hear(p.to_parent[0]), 'a');
	close(p.to_child[0]);
	close(p.to_child[1]);
	close(p.to_parent[0]);
}

/* It has nothing to wait for, least of all itself. */
static void a_child_begins_without_the_window_that_was_all_of_a_file(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	char *window = t_map(g, 0, 4);
	int status = -1;
	pid_t pid;

	*window = 42;
	assert_int_equal(gmem_advise(window, 4 * PAGE, MADV_DONTFORK), 0);
	gmem_put(g);
	pid = fork();
	/* Something else may be there by now, a thread's stack. */
	if (!pid)
		_exit(t_touch(window, 0) == 0 && *window == 42 ? 1 : 0);
	for (int i = 0; i < 500 && !waitpid(pid, &status, WNOHANG); i++)
		usleep(10000);
	kill(pid, SIGKILL);
	assert_int_equal(status, 0);
	assert_int_equal(gmem_unmap(window, 4 * PAGE), 0);
}

static void child_stops(struct pair *p, void *arg)
{
	tell(p->to_parent[1], 'a');
	hear(p->to_child[0]);
}

static void a_stopped_process_is_not_waited_for_forever(void **state)
{
	struct both b = { .g = t_create(8, BOTH) };
	struct pair p;
	uint64_t where = 77;

	b.window = t_map(b.g, 0, 8);
	fork_pair(&p, child_stops, &b);
	assert_int_equal(hear(p.to_parent[0]), 'a');
	assert_int_equal(kill(p.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(p.pid, NULL, WUNTRACED), p.pid);
	assert_int_equal(gmem_set_patience(50), 0);
	assert_int_equal(gmem_make_private(b.g, 2 * PAGE, PAGE, &where), -EAGAIN);
	assert_int_equal(where, 2 * PAGE);
	t_open(b.window + 2 * PAGE);
	assert_int_equal(gmem_set_patience(1000), 0);
	assert_int_equal(kill(p.pid, SIGCONT), 0);
	t_private(b.g, 2, 1);
	end_pair(&p);
	gmem_unmap(b.window, 8 * PAGE);
	gmem_put(b.g);
}

/* ---- pinned, and converted by another --------------------------------------------------------------------------------- */

/* What it holds it can touch: 1 and more, how many were held; 0: none ever was; a signal: one was hidden. */
static void pin_and_touch(struct gmem *g, char *window)
{
	uint32_t nr = 0;

	for (int i = 0; i < 3000; i++) {
		struct gmem_pinned *pin;
		int err = gmem_pin(g, 0, PAGE, &pin);

		if (err && err != -EFAULT)
			_exit(2);
		if (err)
			continue;
		window[i % PAGE] = 'p';
		gmem_unpin(pin);
		nr++;
	}
	_exit(nr ? 0 : 1);
}

static void what_is_pinned_stays_open(void **state)
{
	struct gmem *g = t_create(1, BOTH);
	char *window = t_map(g, 0, 1);
	int status, err;
	pid_t pid;

	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		pin_and_touch(g, window);
	while (!waitpid(pid, &status, WNOHANG)) {
		err = gmem_make_private(g, 0, PAGE, NULL);
		assert_true(!err || err == -EAGAIN);
		if (!err)
			t_shared(g, 0, 1);
	}
	assert_int_equal(status, 0);
	gmem_unmap(window, PAGE);
	gmem_put(g);
}

/* ---- one that dies while it is waited for ---------------------------------------------------------------------------- */

#define NR_WAITING 4
#define LONG_MS 3600000

static void *make_private(void *g)
{
	return (void *)(intptr_t)gmem_make_private(g, 0, PAGE, NULL);
}

/* It has windows of all, and does not run. */
static pid_t fork_stopped(void)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		raise(SIGSTOP);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
	assert_true(WIFSTOPPED(status));
	return pid;
}

/* All that wait for it must hear of its end, not only the first that looks; and nothing of it is left for the next. */
static void who_dies_is_not_waited_for(void **state)
{
	uint32_t patience = gmem_patience();
	struct gmem *g[NR_WAITING];
	char *windows[NR_WAITING];

	for (int i = 0; i < NR_WAITING; i++) {
		g[i] = t_create(1, BOTH);
		windows[i] = t_map(g[i], 0, 1);
	}
	assert_int_equal(gmem_set_patience(LONG_MS), 0);
	for (int round = 0; round < 10; round++) {
		pid_t pid = fork_stopped();
		pthread_t threads[NR_WAITING];
		void *err;

		for (int i = 0; i < NR_WAITING; i++)
			pthread_create(&threads[i], NULL, make_private, g[i]);
		usleep(20000); /* most of them wait by then; all is as well when they do not */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		for (int i = 0; i < NR_WAITING; i++) {
			pthread_join(threads[i], &err);
			assert_null(err);
			t_shared(g[i], 0, 1);
		}
	}
	assert_int_equal(gmem_set_patience(patience), 0);
	for (int i = 0; i < NR_WAITING; i++) {
		gmem_unmap(windows[i], PAGE);
		gmem_put(g[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pin_keeps_a_page_shared),
		cmocka_unit_test(a_private_page_cannot_be_pinned),
		cmocka_unit_test(a_pin_can_become_shorter),
		cmocka_unit_test(references_are_found_where_one_may_look),
		cmocka_unit_test(what_one_converts_the_other_sees),
		cmocka_unit_test(a_child_asks_the_home),
		cmocka_unit_test(a_pin_holds_for_every_process),
		cmocka_unit_test(a_child_begins_without_the_window_that_was_all_of_a_file),
		cmocka_unit_test(without_its_home_a_file_is_frozen),
		cmocka_unit_test(a_stopped_process_is_not_waited_for_forever),
		cmocka_unit_test(what_is_pinned_stays_open),
		cmocka_unit_test(who_dies_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
