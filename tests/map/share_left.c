/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What is left behind in a place of the share: by one who died in the middle, or who did not wait for an answer. */
#include "family.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "map/host_map.h"
#include "map/share_layout.h"

#define ROUNDS 2000u

static struct share *own_share(int *fd)
{
	struct share *s = share_own(fd);

	assert_non_null(s);
	return s;
}

/* A place that is nobody's; fd is a description to hold it with. */
static uint32_t claim(struct share *s, int home_fd, int *fd)
{
	uint32_t slot;

	assert_int_equal(os_peer_open(0, home_fd, fd), 0);
	assert_int_equal(share_claim(s, *fd, &slot), 0);
	return slot;
}

/* ---- an answer that nobody has taken ------------------------------------------------------------- */

static void an_answer_that_came_too_late_is_in_nobodys_way(void **state)
{
	struct child c = make_child();
	struct share *s = own_share(NULL);

	assert_int_equal(tell(&c, PRIVATE, 20, 1), 0);
	atomic_store(&s->slots[share_next_live(s, 0)].request.state, SHARE_DONE);
	assert_int_equal(tell(&c, PRIVATE, 21, 1), 0);
	assert_int_equal(peek(21), BUS);
	end_child(&c);
}

/* ---- a place whose owner has died ------------------------------------------------------------------ */

/* Between going past a command and saying that it is done. */
static void leave_command(struct share_slot *slot, uint32_t state)
{
	slot->ring[atomic_load(&slot->next) % SHARE_RING].result = -ENOMEM;
	atomic_store(&slot->ring[atomic_load(&slot->next) % SHARE_RING].state, state);
	atomic_fetch_add(&slot->next, 1);
	atomic_store(&slot->done, atomic_load(&slot->next));
}

static void the_last_command_of_one_who_died_blocks_nobody(void **state)
{
	static const uint32_t left[] = { SHARE_TAKEN, SHARE_LEFT };
	int home_fd, fd;
	struct share *s = own_share(&home_fd);

	for (int i = 0; i < 2; i++) {
		uint32_t slot = claim(s, home_fd, &fd), place;

		place = atomic_load(&s->slots[slot].next) % SHARE_RING;
		leave_command(&s->slots[slot], left[i]);
		os_fd_close(fd);
		assert_int_equal(claim(s, home_fd, &fd), slot);
		assert_int_equal(atomic_load(&s->slots[slot].ring[place].state),
				 left[i] == SHARE_TAKEN ? SHARE_DONE : SHARE_FREE);
		assert_int_equal(s->slots[slot].ring[place].result, 0);
		atomic_store(&s->slots[slot].ring[place].state, SHARE_FREE);
		os_fd_close(fd);
	}
}

/* Does what the service thread does, with requests of one who has died. */
struct server {
	struct share_request *request;
	_Atomic unsigned int begun, ended, seen; /* rounds */
	unsigned int nr_taken;
};

static void *take_requests(void *arg)
{
	struct server *s = arg;

	for (unsigned int round = 1; round <= ROUNDS; round++) {
		while (atomic_load(&s->begun) != round)
			os_relax();
		while (atomic_load(&s->ended) != round) {
			uint32_t posted = SHARE_POSTED;

			s->nr_taken += atomic_compare_exchange_strong(&s->request->state, &posted,
								      SHARE_TAKEN);
		}
		atomic_store(&s->seen, round);
	}
	return NULL;
}

static void race_for(struct server *server, struct share *s, int home_fd, uint32_t first)
{
	unsigned int nr_taken = 0;

	for (unsigned int round = 1; round <= ROUNDS; round++) {
		uint32_t slot;
		int fd;

		atomic_store(&server->request->state, SHARE_POSTED);
		atomic_store(&server->begun, round);
		slot = claim(s, home_fd, &fd);
		atomic_store(&server->ended, round);
		while (atomic_load(&server->seen) != round)
			os_relax();
		nr_taken += slot != first;
		assert_int_equal(server->nr_taken, nr_taken);
		os_fd_close(fd);
	}
}

static void a_place_is_not_taken_over_in_the_middle_of_its_request(void **state)
{
	int home_fd, fd;
	struct share *s = own_share(&home_fd);
	uint32_t first = claim(s, home_fd, &fd);
	struct server server = { .request = &s->slots[first].request };
	pthread_t thread;

	os_fd_close(fd);
	assert_int_equal(pthread_create(&thread, NULL, take_requests, &server), 0);
	race_for(&server, s, home_fd, first);
	assert_int_equal(pthread_join(thread, NULL), 0);
	atomic_store(&s->slots[first].request.state, SHARE_FREE);
}

/* ---- one who has missed something of a home that says no more ---------------------------------------- */

static void who_has_missed_something_does_not_wait_for_ever(void **state)
{
	struct child c = make_child();

	assert_int_equal(convert(30, 1, true), 0);
	assert_int_equal(tell(&c, PEEK, 30, 0), BUS);
	assert_int_equal(tell(&c, LATE_WHILE_HOME_STOPS, 0, 100), 0);
	assert_int_equal(tell(&c, PEEK, 30, 0), BUS);
	assert_int_equal(tell(&c, PEEK, 31, 0), stamp(31));
	end_child(&c);
}

/* ---- a file that the parent has never mapped ---------------------------------------------------------- */

static struct gmem_file *second_core;
static struct host_file *second;
static char second_name[HOST_FILE_NAME_MAX];

static void make_second(void)
{
	unsigned int flags = GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED | GMEM_FILE_IN_PLACE;

	assert_int_equal(gmem_file_create(SIZE, flags, &second_core), 0);
	assert_int_equal(host_file_create(map, second_core, &second), 0);
	assert_int_equal(host_file_name(second, second_name), 0);
}

static void put_second(void)
{
	host_file_put(second);
	gmem_file_release(second_core);
	gmem_file_put(second_core);
}

static void a_child_may_be_the_first_to_map_a_file(void **state)
{
	struct child c = make_child(), g;

	make_second();
	give_order(&c, ADOPT, 0, 0, -1);
	assert_int_equal(write(c.sock, second_name, sizeof(second_name)), sizeof(second_name));
	assert_int_equal(answer(&c), 0);
	g = make_grandchild(&c);
	assert_int_equal(tell(&g, MAP_ADOPTED, 0, 0), 0);
	assert_int_equal(tell(&g, PEEK, 3, 0), 0);
	put_second();
	kill(g.pid, SIGKILL);
	close(g.sock);
	end_child(&c);
}

/* ---- a home that has ended ------------------------------------------------------------------------------ */

static unsigned int nr_entries(const char *dir)
{
	DIR *d = opendir(dir);
	unsigned int nr = 0;

	assert_non_null(d);
	while (readdir(d))
		nr++;
	closedir(d);
	return nr;
}

/* Makes a file, and says what it is called. */
static pid_t make_home(char text[HOST_FILE_NAME_MAX])
{
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		make_second();
		if (write(ends[1], second_name, sizeof(second_name)) == sizeof(second_name))
			pause();
		_exit(1);
	}
	assert_int_equal(read(ends[0], text, HOST_FILE_NAME_MAX), HOST_FILE_NAME_MAX);
	close(ends[0]);
	close(ends[1]);
	return pid;
}

static void a_home_that_has_ended_costs_no_thread_and_no_descriptor(void **state)
{
	unsigned int nr_threads = nr_entries("/proc/self/task"),
		     nr_fds = nr_entries("/proc/self/fd");
	char text[HOST_FILE_NAME_MAX];
	struct host_file *f;
	pid_t home = make_home(text);
	uint64_t at;

	assert_int_equal(host_file_adopt(map, text, &f), 0);
	assert_int_equal(host_map_mmap(map, f, &map, 0, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0,
				       &at),
			 0);
	assert_int_equal(nr_entries("/proc/self/task"), nr_threads + 1);
	*(volatile uint8_t *)(uintptr_t)at = 7;
	kill(home, SIGKILL);
	waitpid(home, NULL, 0);
	for (int i = 0; i < 300 && nr_entries("/proc/self/task") > nr_threads; i++)
		usleep(10000);
	assert_int_equal(nr_entries("/proc/self/task"), nr_threads);
	assert_int_equal(*(volatile uint8_t *)(uintptr_t)at, 7);
	assert_int_equal(host_map_munmap(map, at, SIZE), 0);
	host_file_put(f);
	assert_int_equal(nr_entries("/proc/self/fd"), nr_fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_answer_that_came_too_late_is_in_nobodys_way),
		T(the_last_command_of_one_who_died_blocks_nobody),
		T(a_place_is_not_taken_over_in_the_middle_of_its_request),
		T(who_has_missed_something_does_not_wait_for_ever),
		T(a_child_may_be_the_first_to_map_a_file),
		T(a_home_that_has_ended_costs_no_thread_and_no_descriptor),
	};

	return cmocka_run_group_tests(tests, family_start, NULL);
}
