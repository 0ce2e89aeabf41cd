/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Conversions beside processes that are slow, stopped, dead or gone elsewhere, and when there is no place left. */
#include "family.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "map/host_map.h"
#include "map/share_layout.h"

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

/* What it has of the page when it has caught up, or still has not after ten seconds. */
static long peek_soon(struct child *c, uint64_t page)
{
	long got = tell(c, PEEK, page, 0);

	for (int i = 0; i < 1000 && got == BUS; i++) {
		usleep(10000);
		got = tell(c, PEEK, page, 0);
	}
	return got;
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
	for (uint64_t i = 0; i < 600; i += 2) {
		assert_int_equal(peek_soon(&c, i), stamp(i));
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
	assert_in_range(ms_since(start), 0, 600);
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
	assert_int_equal(waitpid(c.pid, NULL, WUNTRACED), c.pid);
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
	assert_in_range(ms_since(start), 0, 600);
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
	assert_in_range(ms_since(start), 0, 600);
	end_child(&c);
}

/* What it has asked for does not happen, also not later. */
static void a_stopped_home_ends_in_eagain(void **state)
{
	struct child c = make_child();

	atomic_store(&host_file_patience_ms, 100);
	end_child(&c);
	c = make_child();
	assert_int_equal(tell(&c, PRIVATE_WHILE_HOME_STOPS, 20, 1), -EAGAIN);
	usleep(50000);
	assert_int_equal(nr_private(0, NR_PAGES), 0);
	assert_int_equal(tell(&c, PEEK, 20, 0), stamp(20));
	assert_int_equal(tell(&c, PRIVATE, 20, 1), 0);
	assert_int_equal(peek(20), BUS);
	end_child(&c);
}

/* The home has begun, and comes to it when nobody waits any more. */
static void a_conversion_that_is_taken_back_while_it_is_made_never_happens(void **state)
{
	struct child c = make_child();
	int64_t err;

	atomic_store(&host_file_patience_ms, 100);
	end_child(&c);
	c = make_child();
	assert_int_equal(tell(&c, QUERY, 0, NR_PAGES), 0);
	host_file_hold(file);
	err = tell(&c, PRIVATE, 20, 1);
	host_file_let(file);
	assert_int_equal(err, -EAGAIN);
	/* What it asks for next comes after that. */
	atomic_store(&host_file_patience_ms, 10000);
	assert_int_equal(tell(&c, QUERY, 0, NR_PAGES), 0);
	assert_int_equal(tell(&c, PEEK, 20, 0), stamp(20));
	assert_int_equal(peek(20), stamp(20));
	end_child(&c);
}

/* Where it stood still says nothing of where it was refused before. */
static void a_stopped_home_does_not_repeat_an_old_answer(void **state)
{
	struct child c = make_child();
	struct pin *pin;

	assert_int_equal(pin_intend(file, 25 * PAGE, PAGE, &pin), 0);
	/* Not at the start of what was asked. */
	assert_int_equal(tell(&c, PRIVATE, 20, 10), -999);
	pin_drop(pin);
	atomic_store(&host_file_patience_ms, 100);
	assert_int_equal(tell(&c, PRIVATE_WHILE_HOME_STOPS, 20, 10), -EAGAIN);
	end_child(&c);
}

/* What is written after it must not be what it frees. */
static void a_punch_that_a_stopped_home_has_not_begun_never_happens(void **state)
{
	struct child c = make_child();

	atomic_store(&host_file_patience_ms, 100);
	end_child(&c);
	c = make_child();
	assert_int_equal(tell(&c, PUNCH_WHILE_HOME_STOPS, 20, 1), -EAGAIN);
	usleep(50000);
	assert_int_equal(peek(20), stamp(20));
	assert_int_equal(tell(&c, PUNCH, 20, 1), 0);
	assert_int_equal(peek(20), 0);
	end_child(&c);
}

static void a_punch_that_cannot_be_taken_back_is_waited_for(void **state)
{
	struct pollfd early = { .events = POLLIN };
	struct child c = make_child();
	int nr_early;

	atomic_store(&host_file_patience_ms, 50);
	end_child(&c);
	c = make_child();
	early.fd = c.sock;
	host_file_hold(file);
	give_order(&c, PUNCH, 20, 1, -1);
	nr_early = poll(&early, 1, 400);
	host_file_let(file);
	assert_int_equal(nr_early, 0);
	assert_int_equal(answer(&c), 0);
	assert_int_equal(tell(&c, POKE, 20, 7), 0);
	assert_int_equal(peek(20), 7);
	end_child(&c);
}

static uint32_t pins_shown(pid_t pid)
{
	struct share *s = share_own(NULL);

	for (uint32_t i = 0; (i = share_next_live(s, i)) < SHARE_NR_SLOTS; i++)
		if (atomic_load(&s->slots[i].pid) == (uint32_t)pid)
			return atomic_load(&s->slots[i].nr_pins);
	return UINT32_MAX;
}

/* Who shows no pins is not asked for them before ranges are hidden. */
static void a_pin_that_is_older_than_its_process_s_place_is_counted(void **state)
{
	struct child c;

	assert_int_equal(host_map_munmap(map, (uintptr_t)window, SIZE), 0);
	c = make_child();
	assert_int_equal(tell(&c, PIN, 10, 2), 0);
	assert_int_equal(tell(&c, QUERY, 0, NR_PAGES), 0);
	assert_int_equal(pins_shown(c.pid), 1);
	assert_int_equal(tell(&c, UNPIN, 0, 0), 0);
	assert_int_equal(pins_shown(c.pid), 0);
	end_child(&c);
	map_window();
}

/* A process that holds every place there is. */
static pid_t hold_all_places(void)
{
	struct share_home h;
	uint32_t slot;
	int ready[2], fd;
	char c = 0;
	pid_t pid;

	assert_int_equal(share_make(&h), 0);
	assert_int_equal(pipe(ready), 0);
	pid = (pid_t)syscall(SYS_fork);
	if (!pid) {
		while (!os_peer_open(0, h.fd, &fd) && !share_claim(h.share, fd, &slot))
			;
		if (write(ready[1], &c, 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* It sees nothing, nobody waits for it, and when there is a place again it can be asked for. */
static void without_a_place_a_child_sees_nothing(void **state)
{
	pid_t holder = hold_all_places();
	struct child c = make_child();

	assert_int_equal(tell(&c, PEEK, 1, 0), BUS);
	assert_int_equal(tell(&c, PRIVATE, 1, 1), -ENOSPC);
	assert_int_equal(convert(1, 1, true), 0);
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
	assert_int_equal(tell(&c, QUERY, 0, NR_PAGES), 1);
	assert_int_equal(tell(&c, SHARED, 1, 1), 0);
	assert_int_equal(tell(&c, PEEK, 1, 0), stamp(1));
	assert_int_equal(tell(&c, PEEK, 2, 0), stamp(2));
	assert_int_equal(convert(2, 1, true), 0);
	assert_int_equal(tell(&c, PEEK, 2, 0), BUS);
	end_child(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_stopped_child_ends_in_eagain),
		T(a_stopped_child_misses_a_showing),
		T(a_slow_child_is_waited_for),
		T(a_child_that_is_too_slow_shows_again),
		T(a_killed_child_is_not_waited_for),
		T(a_child_that_dies_while_it_is_waited_for),
		T(a_child_that_execs_is_not_waited_for),
		T(a_raw_child_keeps_nobody_waiting),
		T(a_stopped_home_ends_in_eagain),
		T(a_conversion_that_is_taken_back_while_it_is_made_never_happens),
		T(a_stopped_home_does_not_repeat_an_old_answer),
		T(a_punch_that_a_stopped_home_has_not_begun_never_happens),
		T(a_punch_that_cannot_be_taken_back_is_waited_for),
		T(a_pin_that_is_older_than_its_process_s_place_is_counted),
		T(without_a_place_a_child_sees_nothing),
	};

	return cmocka_run_group_tests(tests, family_start, NULL);
}
