/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/bench_child.h"
#include "cmd/cmd.h"
#include "cmd/launch.h"
#include "cmd/traced.h"
#include "cmd/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the side that asks ------------------------------------------------------------------------ */

struct child {
	FILE *to, *from;
	pid_t pid;
};

/* What is written is thrown away: the figure is what the program pays. */
static int run_observed(const struct launch *l, char **argv)
{
	struct traced traced;
	struct watch w;
	int ret;

	/* Our ends of the pipes: the child waits for their end. */
	close_range(STDERR_FILENO + 1, ~0u, 0);
	ret = watch_begin(&cmd_bench, 0, &w);
	if (ret != EXIT_OK)
		return ret;
	ret = traced_begin(&traced, &w, "/dev/null");
	if (ret == EXIT_OK)
		ret = watch_run(&w, l, argv);
	ret = traced_end(&traced, true, ret);
	watch_end(&w);
	return ret;
}

/* Ends in the program again, as `gmem bench-way CASE WAY PARAM SIZE`. */
static void become_child(const struct bench_run *r, int in, int out)
{
	struct launch launch = {
		.profile = r->way->profile, .pages = r->way->pages, .log = "error", .quiet = true
	};
	char self[PATH_MAX], param[24], size[24];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *argv[] = { self,
			 (char *)cmd_bench_way.name,
			 (char *)r->bcase->name,
			 (char *)r->way->name,
			 param,
			 size,
			 NULL };

	self[n > 0 ? n : 0] = '\0';
	snprintf(param, sizeof(param), "%" PRIu64, r->param);
	snprintf(size, sizeof(size), "%" PRIu64, r->size);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (r->way->place == BENCH_OBSERVED)
		_exit(run_observed(&launch, argv));
	if (r->way->place == BENCH_UNDER_GMEM)
		_exit(launch_exec(&cmd_bench, &launch, argv));
	execv(self, argv);
	_exit(EXIT_CANNOT_RUN);
}

static int start(struct bench_run *r, struct child *c)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	c->pid = fork();
	if (!c->pid)
		become_child(r, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	c->to = fdopen(to[1], "w");
	c->from = fdopen(from[0], "r");
	return c->pid < 0 || !c->to || !c->from ? -ECHILD : 0;
}

static int died(struct bench_run *r)
{
	return bench_refuse(r, -ECHILD, "its process has ended");
}

/* What is left of the line is the reason. */
static int read_reason(struct bench_run *r, struct child *c, int err)
{
	if (!fgets(r->reason, sizeof(r->reason), c->from))
		return died(r);
	r->reason[strcspn(r->reason, "\n")] = '\0';
	memmove(r->reason, r->reason + strspn(r->reason, " "),
		strlen(r->reason + strspn(r->reason, " ")) + 1);
	return err;
}

static void child_close(struct bench_run *r)
{
	struct child *c = r->own;

	if (c->to)
		fclose(c->to);
	if (c->from)
		fclose(c->from);
	if (c->pid > 0)
		waitpid(c->pid, NULL, 0);
	free(c);
	r->own = NULL;
}

static int child_open(struct bench_run *r)
{
	struct child *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	r->own = c;
	err = start(r, c);
	if (!err)
		err = fscanf(c->from, "%d", &err) == 1 ? read_reason(r, c, err) : died(r);
	if (err)
		child_close(r);
	return err;
}

static int child_round(struct bench_run *r)
{
	struct child *c = r->own;
	size_t nr_values;
	int err;

	fprintf(c->to, "%" PRIu64 "\n", r->nr);
	fflush(c->to);
	if (fscanf(c->from, "%d %" SCNu64 " %" SCNu64 " %zu", &err, &r->done, &r->elapsed,
		   &nr_values) != 4)
		return died(r);
	for (size_t i = 0; i < nr_values; i++) {
		double value;

		if (fscanf(c->from, "%lf", &value) != 1)
			return died(r);
		bench_value(r, value);
	}
	return read_reason(r, c, err);
}

const struct bench_host bench_child = {
	.open = child_open,
	.round = child_round,
	.close = child_close,
};

/* ---- the side that measures -------------------------------------------------------------------- */

/* Not a stream that the way, or what it forks, has its hands in. */
static FILE *answers;

static void answer_round(struct bench_run *r, int err)
{
	fprintf(answers, "%d %" PRIu64 " %" PRIu64 " %zu", err, r->done, r->elapsed, r->nr_values);
	for (size_t i = 0; i < r->nr_values; i++)
		fprintf(answers, " %.17g", r->values[i]);
	fprintf(answers, " %s\n", r->reason);
	fflush(answers);
}

static void serve(struct bench_run *r)
{
	while (scanf("%" SCNu64, &r->nr) == 1) {
		r->done = r->nr;
		r->elapsed = 0;
		r->nr_values = 0;
		answer_round(r, r->way->ops->round(r));
	}
}

static int run_way(struct bench_run *r)
{
	const struct bench_ops *ops = r->way->ops;
	int err = ops->setup ? ops->setup(r) : 0;

	fprintf(answers, "%d %s\n", err, r->reason);
	fflush(answers);
	if (err)
		return EXIT_FAILED;
	serve(r);
	if (ops->teardown)
		ops->teardown(r);
	return EXIT_OK;
}

static int bench_way(const struct cmd *cmd, int argc, char **argv)
{
	struct bench_run r = { 0 };
	int way;

	if (argc != 5)
		return cmd_usage_error(cmd, "for `gmem bench` alone");
	r.bcase = bench_find(argv[1]);
	way = r.bcase ? bench_way_index(r.bcase, argv[2]) : -1;
	if (way < 0)
		return cmd_usage_error(cmd, "no case '%s' with a way '%s'", argv[1], argv[2]);
	r.way = &r.bcase->ways[way];
	r.param = strtoull(argv[3], NULL, 10);
	r.size = strtoull(argv[4], NULL, 10);
	answers = stdout;
	return run_way(&r);
}

const struct cmd cmd_bench_way = {
	.name = "bench-way",
	.synopsis = "CASE WAY PARAM SIZE",
	.run = bench_way,
};
