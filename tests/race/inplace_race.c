/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Conversion in place against everybody who may touch a page at the same time (race.h says how it is judged):
 *
 *	inplace_race [-t SECONDS] [-s SEED] [-m overlay|marked|both] [-l MILLISECONDS]
 *
 * overlay: few pages. marked: the same in the middle of 84000 pages of which every other one is private, more
 * than a process may have mappings. -l: whoever stays takes so long over what it is at when it is to stop, as
 * on a machine with much else to do. It fails when an access succeeded on a private page, or failed on a
 * shared one, when a byte was lost, and when something it is about never happened.
 */
#include "race.h"

#include "../paths.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BESIDE 42000ul /* pages before and after ours, when they alternate */

static const char *self;

static const char *const place_names[NR_PLACES] = { "home", "child", "grandchild", "exec'ed",
						    "peer" };
static const char *const stat_names[NR_STATS] = {
	[CPU_READ_OK] = "cpu read ok",
	[CPU_READ_BUS] = "cpu read SIGBUS",
	[CPU_WRITE_OK] = "cpu write ok",
	[CPU_WRITE_BUS] = "cpu write SIGBUS",
	[SYS_READ_OK] = "write() ok",
	[SYS_READ_EFAULT] = "write() EFAULT",
	[SYS_WRITE_OK] = "read() ok",
	[SYS_WRITE_EFAULT] = "read() EFAULT",
	[REMOTE_OK] = "process_vm ok",
	[REMOTE_EFAULT] = "process_vm EFAULT",
	[PIPE_OK] = "vmsplice ok",
	[PIPE_EFAULT] = "vmsplice EFAULT",
	[FUTEX_OK] = "futex ok",
	[FUTEX_EFAULT] = "futex EFAULT",
	[SPAN_SHORT] = "short write()",
	[IN_SHARED] = "judged: shared throughout",
	[IN_PRIVATE] = "judged: private throughout",
	[RETRIED] = "late, tried again",
	[TO_PRIVATE_OK] = "to private ok",
	[TO_PRIVATE_EAGAIN] = "to private EAGAIN",
	[TO_SHARED_OK] = "to shared ok",
	[CONVERT_EINTR] = "convert EINTR",
	[PUNCHES] = "punches",
	[ALLOCATES] = "allocates",
	[REMAPS] = "windows moved about",
	[FORKS] = "forks",
	[EXECS] = "execs",
	[KILLS] = "killed",
	[STOPS] = "stopped",
	[GUEST_STORES] = "guest stores",
	[GUEST_LOADS] = "guest loads",
	[MARKS] = "pages marked by guests",
	[PINS_HELD] = "pages held in a pipe",
};

/* ---- threads of the process that made the VM ---- */

struct worker {
	struct actor actor;
	struct guest *guest;
	int table_fd;
	pthread_t thread;
};

static void *access_pages(void *arg)
{
	struct worker *w = arg;

	access_for(&w->actor, 1e9);
	return NULL;
}

static void *convert_pages(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w->actor.t))
		convert_some(&w->actor, w->guest);
	return NULL;
}

static void *convert_without_agreement(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w->actor.t))
		convert_wildly(&w->actor);
	return NULL;
}

static void *run_guest(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w->actor.t))
		guest_some(&w->actor, w->guest);
	return NULL;
}

static void *punch_and_remap(void *arg)
{
	struct worker *w = arg;

	while (!stopped(w->actor.t)) {
		punch_some(&w->actor);
		if (rnd_below(&w->actor.seed, 4) == 0)
			remap_some(&w->actor);
		sleep_us(rnd_below(&w->actor.seed, 1000));
	}
	return NULL;
}

static void *fork_children(void *arg)
{
	struct worker *w = arg;

	fork_some(&w->actor, self, w->table_fd);
	return NULL;
}

static void *(*const work[])(void *) = {
	access_pages, access_pages, access_pages,    convert_pages, convert_pages,
	run_guest,    run_guest,    punch_and_remap, fork_children, convert_without_agreement,
};
#define NR_WORKERS (sizeof(work) / sizeof(work[0]))
#define FIRST_WITH_GUEST 3u
#define NR_WITH_GUEST 4u

static struct worker workers[NR_WORKERS];
static struct guest guests[NR_WITH_GUEST];

static void start_workers(struct table *t, const struct world *w, int table_fd)
{
	for (unsigned int i = 0; i < NR_WITH_GUEST; i++)
		guest_make(&guests[i], w, i);
	for (unsigned int i = 0; i < NR_WORKERS; i++) {
		struct worker *k = &workers[i];

		if (!actor_make(&k->actor, t, HOME, w->gmem))
			return;
		k->actor.other = w->host + t->base;
		k->actor.is_bulk = i == 0;
		k->table_fd = table_fd;
		k->guest = i >= FIRST_WITH_GUEST && i < FIRST_WITH_GUEST + NR_WITH_GUEST
				   ? &guests[i - FIRST_WITH_GUEST]
				   : NULL;
	}
	for (unsigned int i = 0; i < NR_WORKERS; i++) {
		errno = pthread_create(&workers[i].thread, NULL, work[i], &workers[i]);
		if (errno)
			die("pthread_create: errno %d", errno);
	}
}

/* ---- the table and what was seen ---- */

static struct table *table_make(uint64_t seed, bool alternating, unsigned int lag_us, int *fd)
{
	struct table *t;

	*fd = memfd_create("table", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, sizeof(*t)))
		die("the table: errno %d", errno);
	t = table_map(*fd);
	t->seed = seed;
	t->is_alternating = alternating;
	t->lag_us = lag_us;
	t->base = alternating ? BESIDE * PAGE : 0;
	t->size = 2 * t->base + NR_PAGES * PAGE;
	t->home_pid = getpid();
	for (unsigned int i = 0; i < NR_PAGES; i++)
		t->page[i].word = i < WILD ? SHARED : MOVING;
	return t;
}

static uint64_t total(const struct table *t, unsigned int s)
{
	uint64_t n = 0;

	for (unsigned int p = 0; p < NR_PLACES; p++)
		n += t->stat[p][s];
	return n;
}

static void show(const struct table *t)
{
	printf("%-28s", "");
	for (unsigned int p = 0; p < NR_PLACES; p++)
		printf("%11s", place_names[p]);
	putchar('\n');
	for (unsigned int s = 0; s < NR_STATS; s++) {
		printf("%-28s", stat_names[s]);
		for (unsigned int p = 0; p < NR_PLACES; p++)
			printf("%11llu", (unsigned long long)t->stat[p][s]);
		putchar('\n');
	}
	fflush(stdout);
}

/* What never happened and should have: NULL if all has. */
static const char *missing(const struct table *t)
{
	static char text[128];
	static const enum event everywhere[] = { CPU_READ_OK,	CPU_READ_BUS, CPU_WRITE_OK,
						 CPU_WRITE_BUS, SYS_READ_OK,  SYS_READ_EFAULT,
						 IN_SHARED,	IN_PRIVATE };

	for (unsigned int s = 0; s < NR_STATS; s++) {
		if (s != RETRIED && s != CONVERT_EINTR && !total(t, s))
			return stat_names[s];
	}
	for (unsigned int i = 0; i < sizeof(everywhere) / sizeof(everywhere[0]); i++) {
		for (unsigned int p = 0; p < NR_PLACES; p++) {
			snprintf(text, sizeof(text), "%s, %s", place_names[p],
				 stat_names[everywhere[i]]);
			if (!t->stat[p][everywhere[i]])
				return text;
		}
	}
	if (!t->stat[PEER][TO_PRIVATE_OK] || !t->stat[PEER][TO_SHARED_OK])
		return "peer, conversions";
	return NULL;
}

/* ---- one race ---- */

static void race_for(const struct table *t, double seconds)
{
	double start = now();

	while (!t->failed &&
	       (now() - start < seconds || (missing(t) && now() - start < 3 * seconds + 45)))
		sleep_us(20000);
}

static void stop_workers(struct table *t)
{
	t->stop = 1;
	for (unsigned int i = 0; i < NR_WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
}

static void convert_all(struct table *t, const struct world *w, bool to_private)
{
	double end = now() + 10;
	int r;

	do {
		r = convert(w->gmem, t->base, NR_PAGES * PAGE, to_private, NULL);
	} while ((r == -EAGAIN || r == -EINTR) && now() < end);
	if (r)
		race_fail(t, "the last conversion to %s: errno %d",
			  to_private ? "private" : "shared", -r);
}

static void wait_for_those_who_stay(struct table *t, uint32_t phase)
{
	double end = now() + 60;

	while (t->acks < NR_STAYING && now() < end)
		sleep_us(2000);
	if (t->acks < NR_STAYING)
		race_fail(t, "a process that stays does not answer in phase %u", phase);
}

static void run_phase(struct table *t, uint32_t phase)
{
	t->acks = 0;
	t->phase = phase;
	if (phase != PHASE_OVER)
		audit(&workers[0].actor, phase);
	wait_for_those_who_stay(t, phase);
}

static void last_look(struct table *t, const struct world *w)
{
	/* They may be in the middle of anything. */
	wait_for_those_who_stay(t, PHASE_RACE);
	convert_all(t, w, true);
	run_phase(t, PHASE_PRIVATE);
	convert_all(t, w, false);
	run_phase(t, PHASE_SHARED);
	run_phase(t, PHASE_OVER);
}

static void alternate(const struct table *t, const struct world *w)
{
	uint64_t first = t->base / PAGE, page;
	double start = now();
	int r;

	for (page = 1; t->is_alternating && page < t->size / PAGE; page += 2) {
		if (page >= first && page < first + NR_PAGES)
			continue;
		r = convert(w->gmem, page * PAGE, PAGE, true, NULL);
		if (r)
			die("page %llu of the alternating ones: errno %d", (unsigned long long)page,
			    -r);
	}
	if (t->is_alternating)
		printf("%lu private runs made in %.2f s, %ld mappings\n", BESIDE, now() - start,
		       count_vmas());
}

static void must_end_well(struct table *t, int pid)
{
	double end = now() + 10;
	int status = -1, r;

	while ((r = waitpid(pid, &status, WNOHANG)) == 0 && now() < end)
		sleep_us(2000);
	if (r == 0) {
		race_fail(t, "process %d does not end", pid);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	} else if (status) {
		race_fail(t, "process %d ended with status 0x%x", pid, (unsigned int)status);
	}
}

static int race(double seconds, uint64_t seed, bool alternating, unsigned int lag_us)
{
	int table_fd, sock, peer = start_peer(self, &sock), child;
	struct table *t = table_make(seed, alternating, lag_us, &table_fd);
	struct world w;

	printf("%s, seed %llu\n", alternating ? "marked" : "overlay", (unsigned long long)seed);
	fflush(stdout);
	world_make(&w, t->size, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	t->home_host = (uintptr_t)w.host + t->base;
	alternate(t, &w);
	child = start_child_that_stays(t, w.gmem, w.host + t->base);
	t->staying_pid[0] = child;
	t->staying_pid[1] = peer;
	if (!send_files(sock, (int[]){ w.gmem, table_fd }))
		die("the peer is gone");
	start_workers(t, &w, table_fd);
	race_for(t, seconds);
	stop_workers(t);
	if (!t->failed)
		last_look(t, &w);
	t->phase = PHASE_OVER;
	must_end_well(t, child);
	must_end_well(t, peer);
	show(t);
	if (!t->failed && missing(t))
		race_fail(t, "it never happened: %s", missing(t));
	if (t->failed)
		printf("FAILED: %s\n", t->why);
	for (unsigned int i = 0; i < NR_WORKERS; i++)
		actor_free(&workers[i].actor);
	for (unsigned int i = 0; i < NR_WITH_GUEST; i++)
		guest_free(&guests[i]);
	world_free(&w);
	close(sock);
	close(table_fd);
	return t->failed != 0;
}

static void usage(void)
{
	die("usage: inplace_race [-t SECONDS] [-s SEED] [-m overlay|marked|both] [-l MILLISECONDS]");
}

int main(int argc, char **argv)
{
	double seconds = 60;
	uint64_t seed = (uint64_t)time(NULL) * 1000003 ^ (uint64_t)getpid();
	const char *mode = "both";
	unsigned int lag_us = 0;
	int c, r = 0;

	self = argv[0];
	if (argc == 3 && strcmp(argv[1], "--peer") == 0)
		return peer_main(atoi(argv[2]));
	if (argc == 4 && strcmp(argv[1], "--execed") == 0)
		return execed_main(atoi(argv[2]), atoi(argv[3]));
	while ((c = getopt(argc, argv, "t:s:m:l:")) != -1) {
		if (c == 't')
			seconds = atof(optarg);
		else if (c == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (c == 'm')
			mode = optarg;
		else if (c == 'l')
			lag_us = (unsigned int)atoi(optarg) * 1000;
		else
			usage();
	}
	if (!strcmp(mode, "marked"))
		skip_without_marks();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	trap_install();
	alarm((unsigned int)seconds * 8 + 240);
	if (strcmp(mode, "marked"))
		r |= race(seconds, seed, false, lag_us);
	if (!r && strcmp(mode, "overlay"))
		r |= race(seconds, seed, true, lag_us);
	return r;
}
