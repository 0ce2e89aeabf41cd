/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Saving, restoring and populating where the file's home is another process. */
#include "snapshot.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../core/pool_run.h"

#define NR_PAGES 20000u /* more than one segment */

/* Every 50th page has something in it, and every 300 the state changes. */
static void fill(struct gmem *g, char mark)
{
	for (uint64_t i = 0; i < NR_PAGES; i += 300)
		if (i / 300 & 1)
			t_private(g, i, i + 300 < NR_PAGES ? 300 : NR_PAGES - i);
	for (uint64_t i = 0; i < NR_PAGES; i += 50)
		memset(t_guest(g, i), mark, PAGE);
}

static void expect_filled(struct gmem *g, char mark)
{
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		assert_int_equal(t_state(g, i), i / 300 & 1 ? PRIVATE : 0);
		if (i % 50 == 0)
			assert_int_equal(t_guest(g, i)[77], mark);
	}
}

static void expect_child(int (*fn)(void *arg), void *arg)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child)
		_exit(fn(arg));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

struct both {
	struct gmem *from, *to;
	int fd;
};

static int save_and_restore(void *arg)
{
	struct both *b = arg;

	if (save(b->from, b->fd))
		return 1;
	return restore(b->to, b->fd) ? 2 : 0;
}

static void comes_back(void **state)
{
	struct both b = { t_create(NR_PAGES, BOTH), t_create(NR_PAGES, BOTH), temporary() };
	char *at = t_map(b.to, 0, NR_PAGES);

	fill(b.from, 'a');
	memset(t_guest(b.to, 12), 'z', PAGE);
	expect_child(save_and_restore, &b);
	expect_filled(b.from, 'a');
	expect_filled(b.to, 'a');
	assert_int_equal(t_guest(b.to, 12)[0], 0);
	t_open(at);
	t_hidden(at + 300 * PAGE);
	assert_int_equal(gmem_unmap(at, NR_PAGES * PAGE), 0);
	close(b.fd);
	gmem_put(b.from);
	gmem_put(b.to);
}

/* The home goes on, and what was begun is no snapshot. */
static void who_saves_may_be_killed(void **state)
{
	struct gmem *g = t_create(NR_PAGES, BOTH);
	int killed = 0;

	for (uint64_t i = 0; i < NR_PAGES; i++)
		memset(t_guest(g, i), 'k', PAGE);
	for (unsigned int us = 1000; us < 40000; us *= 3) {
		int fd = temporary(), status;
		pid_t child = fork();

		assert_true(child >= 0);
		if (!child)
			_exit(save(g, fd) ? 1 : 0);
		usleep(us);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFSIGNALED(status)) {
			int err = gmem_snapshot_check(fd, 0, NULL);

			assert_true(err == -ENODATA || err == -ENOEXEC);
			killed++;
		}
		t_private(g, 0, NR_PAGES);
		t_shared(g, 0, NR_PAGES);
		close(fd);
	}
	assert_true(killed);
	gmem_put(g);
}

#define STEP (PAGE + PAGE / 2)

/* The writer is killed at any place of the file: in the middle of a page, and where one begins. */
static void who_saves_may_be_killed_at_any_write(void **state)
{
	struct gmem *g = t_create(24, BOTH);
	struct gmem_snapshot_info info = { .args_size = sizeof(info) };
	uint64_t limit = 0;
	int status = -1, killed = 0;

	for (uint64_t i = 0; i < 24; i++)
		memset(t_guest(g, i), 'w', PAGE);
	t_private(g, 7, 9);
	for (; status; limit += STEP) {
		struct rlimit size = { limit, limit }, no_core = { 0, 0 };
		int fd = temporary(), err;
		pid_t child = fork();

		assert_true(child >= 0 && limit < 64 * PAGE);
		if (!child) {
			signal(SIGXFSZ, SIG_DFL);
			_exit(setrlimit(RLIMIT_CORE, &no_core) || setrlimit(RLIMIT_FSIZE, &size) ||
			      save(g, fd));
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		err = gmem_snapshot_check(fd, GMEM_CHECK_CONTENTS, &info);
		if (status) {
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
			assert_int_equal(err, limit ? -ENODATA : -ENOEXEC);
			killed++;
		} else {
			assert_int_equal(err, 0);
		}
		close(fd);
	}
	assert_true(info.file_bytes <= limit - STEP && info.file_bytes > limit - 2 * STEP);
	assert_true(killed > 15);
	t_private(g, 0, 24);
	gmem_put(g);
}

static int save_what_is_left(void *arg)
{
	struct both *b = arg;
	struct gmem_snapshot_args args = { .args_size = sizeof(args), .fd = b->fd };
	struct gmem_restore_args back = { .args_size = sizeof(back), .fd = b->fd };
	struct gmem_refusal why = { .args_size = sizeof(why) };

	if (gmem_snapshot(b->from, &args) != -EHWPOISON || args.error_offset != 3 * PAGE)
		return 1;
	args.flags = GMEM_SNAPSHOT_LOST;
	if (ftruncate(b->fd, 0) || gmem_snapshot(b->from, &args) || args.lost_bytes != 2 * PAGE)
		return 2;
	if (gmem_restore(b->to, &back) != -EREMOTE || gmem_last_refusal(&why) ||
	    strcmp(why.rule, "SNAPSHOT_LOST_HOME"))
		return 3;
	back.flags = GMEM_SNAPSHOT_LOST;
	return gmem_restore(b->to, &back) ? 4 : 0;
}

/* What has failed there is known here. */
static void what_has_failed_is_known_elsewhere(void **state)
{
	struct both b = { t_create(8, 0), t_create(8, 0), temporary() };

	for (uint64_t i = 0; i < 8; i++)
		memset(t_guest(b.from, i), 'h', PAGE);
	assert_int_equal(gmem_poison(b.from, 3 * PAGE, 2 * PAGE), 0);
	expect_child(save_what_is_left, &b);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(t_guest(b.to, i)[5], i == 3 || i == 4 ? 0 : 'h');
	close(b.fd);
	gmem_put(b.from);
	gmem_put(b.to);
}

/* Of three blocks, the last of which the file has a part of, one was never touched. */
static void huge_pages_come_back(void **state)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = GMEM_HUGETLB,
					 .size = (4ull << 20) + 8 * PAGE };
	struct both b = { .fd = temporary() };

	if (gmem_create(&args, &b.from))
		skip();
	if (gmem_create(&args, &b.to))
		skip();
	memset(t_guest(b.from, 3), 'h', PAGE);
	memset(t_guest(b.from, 1026), 'i', PAGE);
	memset(t_guest(b.to, 5), 'w', PAGE);
	expect_child(save_and_restore, &b);
	for (uint64_t page = 0; page < 1032; page++)
		assert_int_equal(t_guest(b.to, page)[9], page == 3 ? 'h' : page == 1026 ? 'i' : 0);
	close(b.fd);
	gmem_put(b.from);
	gmem_put(b.to);
}

struct mover {
	struct gmem *g;
	_Atomic bool stop;
};

/* To and fro: of one kind the block is huge, of both it is not. */
static void *keep_moving(void *arg)
{
	struct mover *m = arg;

	while (!atomic_load(&m->stop)) {
		gmem_convert_simply(m->g, 0, PAGE, 0, NULL);
		gmem_convert_simply(m->g, 0, PAGE, PRIVATE, NULL);
	}
	return NULL;
}

static int save_often(void *arg)
{
	struct both *b = arg;

	for (int i = 0; i < 10; i++)
		if (ftruncate(b->fd, 0) || save(b->from, b->fd) || restore(b->to, b->fd) ||
		    gmem_convert_simply(b->to, 0, 512 * PAGE, 0, NULL))
			return i + 1;
	return 0;
}

/* A block is read from where it is, however often that changes. */
static void a_block_that_moves_is_saved(void **state)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = GMEM_HUGETLB | GMEM_MMAP,
					 .size = 2ull << 20 };
	struct both b = { .fd = temporary() };
	struct mover m = { 0 };
	pthread_t thread;

	if (gmem_create(&args, &b.from))
		skip();
	if (gmem_create(&args, &b.to))
		skip();
	for (uint64_t page = 0; page < 512; page++)
		memset(t_guest(b.from, page), 'm', PAGE);
	m.g = b.from;
	assert_int_equal(pthread_create(&thread, NULL, keep_moving, &m), 0);
	expect_child(save_often, &b);
	atomic_store(&m.stop, true);
	pthread_join(thread, NULL);
	for (uint64_t page = 0; page < 512; page++)
		assert_int_equal(t_guest(b.to, page)[page], 'm');
	close(b.fd);
	gmem_put(b.from);
	gmem_put(b.to);
}

static int populate(void *arg)
{
	struct gmem_populate_args args = { .args_size = sizeof(args), .size = PAGE };

	return gmem_populate(arg, &args) == -EREMOTE ? 0 : 1;
}

static void is_populated_at_home_alone(void **state)
{
	struct gmem *g = t_create(8, 0);

	expect_child(populate, g);
	gmem_put(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),
		cmocka_unit_test(who_saves_may_be_killed),
		cmocka_unit_test(who_saves_may_be_killed_at_any_write),
		cmocka_unit_test(what_has_failed_is_known_elsewhere),
		cmocka_unit_test(huge_pages_come_back),
		cmocka_unit_test(a_block_that_moves_is_saved),
		cmocka_unit_test(is_populated_at_home_alone),
	};

	return pool_run_or_without(8, tests);
}
