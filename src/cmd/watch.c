/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/watch.h"

#include "cmd/cmd.h"
#include "cmd/launch.h"
#include "see/listed.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 10
#define SNAPSHOT_NS 250000000ull

static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1,
				 SIGUSR2, SIGCONT, SIGTSTP, SIGALRM, SIGWINCH };

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

int watch_begin(const struct cmd *cmd, uint32_t ring, struct watch *w)
{
	int err;

	*w = (struct watch){ .cmd = cmd, .signals = -1 };
	err = see_region_make(ring ? ring : OBS_DEFAULT_RING, false, &w->region);
	if (!err) {
		err = see_drain_begin(w->region.r, &w->drain);
		if (err)
			see_region_close(&w->region);
	}
	if (err)
		cmd_complain(cmd, "no memory to observe with: %s", strerror(-err));
	return err ? EXIT_FAILED : EXIT_OK;
}

void watch_add(struct watch *w, struct see_sink *sink)
{
	if (w->nr_sinks == SEE_MAX_SINKS)
		abort();
	w->sinks[w->nr_sinks++] = sink;
	if (sink->wants_records)
		w->region.r->wants_records = 1;
	if (sink->looks_closer)
		w->region.r->looks_closer = 1;
}

void watch_end(struct watch *w)
{
	see_drain_end(&w->drain);
	see_region_close(&w->region);
}

/* ---- the program ---------------------------------------------------------------------------- */

static void set_environment(const struct watch *w, int parent)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", parent, w->region.fd);
	setenv("GMEM_OBS", path, 1);
}

/* All signals that we take wait in the signalfd from before the program exists. */
static int start(struct watch *w, const struct launch *l, char **argv)
{
	int parent = (int)getpid();
	void (*on_child)(int);
	sigset_t ours;

	sigemptyset(&ours);
	sigaddset(&ours, SIGCHLD);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaddset(&ours, forwarded[i]);
	sigprocmask(SIG_BLOCK, &ours, &w->before);
	/* Ignored it would not be told at all. */
	on_child = signal(SIGCHLD, SIG_DFL);
	w->signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	fflush(NULL);
	bystander_begin(&w->bystander);
	w->pid = w->signals < 0 ? -1 : (int)fork();
	if (w->pid < 0) {
		cmd_complain(w->cmd, "cannot start a process: %s", strerror(errno));
		return EXIT_CANNOT_RUN;
	}
	if (!w->pid) {
		signal(SIGCHLD, on_child);
		sigprocmask(SIG_SETMASK, &w->before, NULL);
		set_environment(w, parent);
		_exit(launch_exec(w->cmd, l, argv));
	}
	/* Who reads what we write may go; the program is still to be looked after. */
	signal(SIGPIPE, SIG_IGN);
	return EXIT_OK;
}

/* Who sits at the terminal means the whole foreground group, and the program is in it. So do some who send. */
static void forward(struct watch *w)
{
	struct signalfd_siginfo info;

	while (read(w->signals, &info, sizeof(info)) == sizeof(info)) {
		int signo = (int)info.ssi_signo;
		bool sent;

		if (signo == SIGCHLD)
			continue;
		sent = !bystander_heard(&w->bystander, signo) && info.ssi_code <= 0 &&
		       (int)info.ssi_pid != w->pid;
		if (signo == SIGTSTP && !sent)
			w->is_to_stop = true;
		if (sent)
			kill(w->pid, signo);
	}
}

/* What came while it ran was for it. What comes while we write, which may take long, is for us. */
static void take_signals_back(struct watch *w)
{
	struct signalfd_siginfo info;

	if (w->signals >= 0) {
		while (read(w->signals, &info, sizeof(info)) == sizeof(info))
			;
		close(w->signals);
	}
	bystander_end(&w->bystander);
	sigprocmask(SIG_SETMASK, &w->before, NULL);
}

/*
 * The program has stopped. The shell that waits for us is to know if it was by the terminal's will; whoever else stops
 * the program lets it go on without a word to us, who would stay behind.
 */
static bool is_to_stop_too(const struct watch *w, int signo)
{
	int terminal = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);

	if (terminal < 0)
		return false;
	close(terminal);
	return signo != SIGSTOP || w->is_to_stop;
}

/* True when the program has ended. */
static bool look_after(struct watch *w, int *status)
{
	int s;

	while (waitpid(w->pid, &s, WNOHANG | WUNTRACED) == w->pid) {
		if (WIFSTOPPED(s)) {
			if (!is_to_stop_too(w, WSTOPSIG(s)))
				continue;
			raise(SIGSTOP);
			w->is_to_stop = false;
			kill(w->pid, SIGCONT);
			continue;
		}
		*status = WIFSIGNALED(s) ? 128 + WTERMSIG(s) : WEXITSTATUS(s);
		return true;
	}
	return false;
}

/* ---- sinks ------------------------------------------------------------------------------------ */

static size_t drain(struct watch *w, bool final)
{
	return see_drain(&w->drain, w->sinks, w->nr_sinks, now_ns(), final);
}

static void each_snapshot(struct watch *w)
{
	for (size_t i = 0; i < w->nr_sinks; i++) {
		struct see_sink *s = w->sinks[i];

		if (s->snapshot && !s->failed)
			s->failed = s->snapshot(s->own, w->region.r) != 0;
	}
}

static void each_end(struct watch *w, int status)
{
	for (size_t i = 0; i < w->nr_sinks; i++) {
		struct see_sink *s = w->sinks[i];

		if (s->end && !s->failed)
			s->failed = s->end(s->own, w->region.r, status) != 0;
	}
}

/* A ring that fills is looked at again at once. */
static int until_it_ends(struct watch *w)
{
	struct pollfd p = { .fd = w->signals, .events = POLLIN };
	uint64_t last = now_ns(), now;
	int status = EXIT_FAILED;

	for (;;) {
		bool is_busy = drain(w, false) > w->drain.nr / 16;

		now = now_ns();
		if (now - last >= SNAPSHOT_NS) {
			each_snapshot(w);
			last = now;
		}
		if (poll(&p, 1, is_busy ? 0 : LOOK_MS) > 0)
			forward(w);
		if (look_after(w, &status))
			return status;
	}
}

/* One that became another program has another place after this one. */
static bool is_last_place(const struct obs_region *r, uint32_t i, uint32_t nr)
{
	for (uint32_t next = i + 1; next < nr; next++)
		if (obs_process_at(r, next)->pid == obs_process_at(r, i)->pid)
			return false;
	return true;
}

/* Processes of the program that outlive it. */
static unsigned int nr_left(const struct watch *w)
{
	const struct obs_region *r = w->region.r;
	uint32_t nr = see_nr_processes(r);
	unsigned int left = 0;

	for (uint32_t i = 0; i < nr; i++) {
		const struct obs_process *p = obs_process_at(r, i);

		left += atomic_load(&p->state) == OBS_STATE_LIVES && (int)p->pid != w->pid &&
			is_last_place(r, i, nr) && !kill((int)p->pid, 0);
	}
	return left;
}

static void tell_left(const struct watch *w)
{
	unsigned int left = nr_left(w);

	if (left)
		cmd_complain(w->cmd,
			     "the program has ended, and %u of its processes %s: what %s do%s "
			     "is not seen any more",
			     left, left == 1 ? "has not" : "have not", left == 1 ? "it" : "they",
			     left == 1 ? "es" : "");
}

static void tell_crowd(const struct watch *w)
{
	uint32_t processes = atomic_load(&w->region.r->processes_lost);
	uint32_t accounts = atomic_load(&w->region.r->accounts_lost);
	uint32_t modules = atomic_load(&w->region.r->modules_lost);

	if (processes)
		cmd_complain(w->cmd,
			     "%" PRIu32 " processes came after the first %u: whose events are "
			     "theirs is not known",
			     processes, OBS_MAX_PROCESSES);
	if (modules)
		cmd_complain(w->cmd,
			     "%" PRIu32
			     " times a file of code had no room: its places have no name",
			     modules);
	if (accounts)
		cmd_complain(w->cmd,
			     "there was no room for the memory of %" PRIu32
			     " processes with a VM: it is in no report",
			     accounts);
}

static void tell_damage(const struct watch *w)
{
	if (w->drain.is_damaged)
		cmd_complain(w->cmd,
			     "the program has written into memory that is gmem's, where it is "
			     "observed: what was seen is not complete, and may be wrong");
}

int watch_run(struct watch *w, const struct launch *l, char **argv)
{
	int status = start(w, l, argv);
	bool has_started = status == EXIT_OK;

	if (has_started)
		status = until_it_ends(w);
	take_signals_back(w);
	if (has_started) {
		drain(w, true);
		tell_left(w);
		tell_crowd(w);
		tell_damage(w);
	}
	each_end(w, status);
	return status;
}
