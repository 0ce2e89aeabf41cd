/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The sweep in one process, gmem linked in: for each step of a scenario, for each kind of error, the first call of
 * os that can fail does, then the second, until none is left to fail; once alone, and once with all that follow
 * in the step. scenario.h says what must hold.
 *
 *	sweep-linked SCENARIO [STEP]
 *	sweep-linked SCENARIO ?		only tells each call that could fail
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../core/pool_2m.h"

#include "kvm/kvm.h"
#include "left.h"
#include "map/pins.h"
#include "os/fail.h"
#include "os/os.h"
#include "os/paths.h"
#include "os/sanitize.h"
#include "scenario.h"
#include "world.h"

#define MAX_STEPS 96
#define HUGE_PAGES 4 /* of the system's pool, for a file that goes while the next comes */
#define MAX_VARIANTS 3
#define PATIENCE_S 60 /* for one run: who waits longer waits for ever */
#define OTHERS (OS_FAIL_ALL & ~(1u << OS_FAIL_ALLOC | OS_FAIL_MAPPINGS | OS_FAIL_FDS))
/* An allocator keeps what it has been given: this often the process may be larger after a run than ever before. */
#define MAX_GROWN 24

const struct uapi *const world_uapi = &uapi_linked;

/* What a run that nothing disturbs leaves: states[i] before step i. */
static struct text states[MAX_STEPS + 1];
static struct left left_clean;
static uint64_t live_clean;
static uint64_t nr_runs, nr_refused, nr_survived, nr_grown, nr_of[OS_FAIL_NR];

#define NOW_SIZE 256
/* What is being done, in memory that outlives the process. */
static char *now;

__attribute__((format(printf, 1, 2))) static void wrong(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s", now);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

bool world_is_disturbed(void)
{
	return nr_runs;
}

void world_may_hold(void)
{
	pins_say_unseen();
}

static void look(const struct scenario *s, struct world *w, struct text *t)
{
	t->size = 0;
	s->look(w, t);
}

static void must_be(const struct scenario *s, struct world *w, size_t at, const char *when)
{
	static struct text t;

	look(s, w, &t);
	if (strcmp(t.s, states[at].s))
		wrong("%s:\n--- expected\n%s\n--- found\n%s", when, states[at].s, t.s);
}

/* Threads end, and files go, a little later than the call that ends them; where much else runs, some seconds. */
static bool is_left(struct left *l, uint64_t *live)
{
	for (unsigned int ms = 0; ms < 15000; ms++) {
		struct timespec t = { .tv_nsec = 1000000 };

		left_look(l);
		*live = os_alloc_live();
		if (l->fds <= left_clean.fds && l->threads <= left_clean.threads &&
		    l->files <= left_clean.files && l->reserved <= left_clean.reserved &&
		    *live <= live_clean)
			return false;
		nanosleep(&t, NULL);
	}
	return true;
}

static void nothing_is_left(void)
{
	static uint64_t largest;
	uint64_t live;
	struct left l;

	if (is_left(&l, &live))
		wrong("left: %lld descriptors, %lld threads, %lld mappings of files, %lld bytes reserved, %lld bytes",
		      (long long)(l.fds - left_clean.fds),
		      (long long)(l.threads - left_clean.threads),
		      (long long)(l.files - left_clean.files),
		      (long long)(l.reserved - left_clean.reserved),
		      (long long)(live - live_clean));
	if (l.anonymous > largest && !OS_ASAN && !OS_TSAN) {
		largest = l.anonymous;
		if (++nr_grown > MAX_GROWN)
			wrong("the process grows and grows: %llu bytes",
			      (unsigned long long)l.anonymous);
	}
}

/* ---- runs -------------------------------------------------------------------------------------- */

static void steps_must_work(const struct scenario *s, struct world *w, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		int err = s->steps[i].run(w);

		if (err)
			wrong("step \"%s\" says %s", s->steps[i].name, strerror(-err));
	}
}

static void run_clean(const struct scenario *s)
{
	struct world *w;

	snprintf(now, NOW_SIZE, "%s: undisturbed: ", s->name);
	for (int round = 0; round < 2; round++) {
		w = s->make();
		for (size_t i = 0; i < s->nr; i++) {
			look(s, w, &states[i]);
			steps_must_work(s, w, i, i + 1);
		}
		look(s, w, &states[s->nr]);
		s->unmake(w);
	}
	/* What is there once for the process is there now. */
	left_look(&left_clean);
	live_clean = os_alloc_live();
}

static bool is_plausible(int err)
{
	static const int errors[] = { ENOMEM, EMFILE, ENFILE, ENOSPC, EINTR,
				      EAGAIN, EFAULT, EPERM,  ENOLCK };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (err == -errors[i])
			return true;
	return false;
}

/* After a step in which something failed. */
static void judge(const struct scenario *s, struct world *w, size_t step, int err)
{
	if (!err) {
		nr_survived++;
		must_be(s, w, step + 1, "it worked all the same");
		return;
	}
	nr_refused++;
	if (!is_plausible(err))
		wrong("says %s", strerror(-err));
	must_be(s, w, step, "it failed");
	err = s->steps[step].run(w);
	if (err)
		wrong("tried again: %s", strerror(-err));
	must_be(s, w, step + 1, "tried again");
}

/* False: nothing was left to fail. */
static bool run_once(const struct scenario *s, size_t step, const struct os_fail_plan *plan)
{
	struct world *w = s->make();
	struct os_fail_seen seen;
	int err;

	alarm(PATIENCE_S);
	snprintf(now, NOW_SIZE, "%s, step \"%s\", call %llu%s, variant %u: ", s->name,
		 s->steps[step].name, (unsigned long long)plan->first, plan->nr > 1 ? "+" : "",
		 plan->variant);
	steps_must_work(s, w, 0, step);
	os_fail_arm(plan);
	err = s->steps[step].run(w);
	os_fail_disarm(&seen);
	if (seen.nr_failed) {
		nr_runs++;
		nr_of[seen.point]++;
		snprintf(now, NOW_SIZE, "%s, step \"%s\", call %llu%s, variant %u, %s: ", s->name,
			 s->steps[step].name, (unsigned long long)plan->first,
			 plan->nr > 1 ? "+" : "", plan->variant, os_fail_name(seen.point));
		judge(s, w, step, err);
		steps_must_work(s, w, step + 1, s->nr);
		must_be(s, w, s->nr, "at the end");
	} else if (err) {
		wrong("nothing failed, and it says %s", strerror(-err));
	}
	s->unmake(w);
	nothing_is_left();
	return seen.nr_failed;
}

static uint32_t points_with(unsigned int variant)
{
	uint32_t points = 0;

	for (unsigned int i = 0; i < OS_FAIL_NR; i++)
		if (os_fail_variants(i) > variant)
			points |= 1u << i;
	return points;
}

static void sweep_plan(const struct scenario *s, size_t step, struct os_fail_plan *plan)
{
	for (plan->first = 0; run_once(s, step, plan); plan->first++)
		;
}

static void sweep_step(const struct scenario *s, size_t step)
{
	static const uint32_t together[] = { 1u << OS_FAIL_ALLOC, OS_FAIL_MAPPINGS, OS_FAIL_FDS,
					     OTHERS };

	for (unsigned int variant = 0; variant < MAX_VARIANTS; variant++) {
		struct os_fail_plan plan = {
			.points = points_with(variant),
			.nr = 1,
			.variant = variant,
		};

		sweep_plan(s, step, &plan);
		plan.nr = UINT64_MAX;
		for (size_t i = 0; i < sizeof(together) / sizeof(together[0]); i++) {
			plan.points = points_with(variant) & together[i];
			sweep_plan(s, step, &plan);
		}
	}
}

static const struct scenario *find(const char *name)
{
	for (size_t i = 0; kvm_scenarios[i]; i++)
		if (!strcmp(kvm_scenarios[i]->name, name))
			return kvm_scenarios[i];
	fprintf(stderr, "no scenario \"%s\"\n", name);
	exit(2);
}

static void tell_calls(const struct scenario *s)
{
	const struct os_fail_plan plan = { .points = OS_FAIL_ALL, .announce = true };
	struct world *w = s->make();

	steps_must_work(s, w, 0, s->swept_from);
	os_fail_arm(&plan);
	steps_must_work(s, w, s->swept_from, s->nr);
	os_fail_disarm(NULL);
	s->unmake(w);
}

static int sweep(int argc, char **argv)
{
	const struct scenario *s = find(argc > 1 ? argv[1] : "");

	if (kvm_set_profile(s->profile) || kvm_set_pages(s->pages) || os_paths_set(s->paths))
		wrong("cannot be set up");
	if (argc > 2 && !strcmp(argv[2], "?")) {
		tell_calls(s);
		return 0;
	}
	run_clean(s);
	for (size_t i = s->swept_from; i < s->nr; i++)
		if (argc < 3 ? !s->steps[i].calm : !strcmp(argv[2], s->steps[i].name))
			sweep_step(s, i);
	printf("%s: %zu steps, %llu failures: %llu calls failed whole, %llu got through\n", s->name,
	       s->nr, (unsigned long long)nr_runs, (unsigned long long)nr_refused,
	       (unsigned long long)nr_survived);
	for (unsigned int i = 0; i < OS_FAIL_NR; i++)
		if (nr_of[i])
			printf("  %s %llu\n", os_fail_name(i), (unsigned long long)nr_of[i]);
	return 0;
}

/* An assertion ends the child, and the parent says where. */
static int sweep_in_child(int argc, char **argv)
{
	int status;
	pid_t pid;

	now = mmap(NULL, NOW_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = now == MAP_FAILED ? -1 : fork();
	if (!pid)
		return sweep(argc, argv);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 2;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "%sends by signal %d\n", now, WTERMSIG(status));
	return 1;
}

int main(int argc, char **argv)
{
	const struct scenario *s = find(argc > 1 ? argv[1] : "");
	bool pool = s->pages && !strncmp(s->pages, "2m", 2);
	const char *reason = s->lack ? s->lack() : NULL;
	int status;

	if (!reason && pool)
		reason = pool_open(HUGE_PAGES);
	if (reason) {
		printf("skipped: %s\n", reason);
		return 77;
	}
	status = sweep_in_child(argc, argv);
	if (pool)
		pool_close();
	return status;
}
