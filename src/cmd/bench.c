/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem bench: rounds, medians, and the table of them. */
#include "cmd/bench.h"
#include "cmd/cmd.h"
#include "cmd/launch.h"
#include "cmd/opts.h"

#include <errno.h>
#include <json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ROUNDS 101
#define RATIO_TARGET 1.2

enum { RAW, LIBRARY, IOCTL, NR_WAYS };
static const char *const way_names[NR_WAYS] = { "raw", "library", "ioctl" };
static const char *const direction_names[2] = { "to private", "to shared" };

static bool as_json;
static const char *size_text = "1024", *rounds_text;

static const struct opt opts[] = {
	{ "json", NULL, "write JSON, for programs", .flag = &as_json },
	{ "size", "MIB", "of the large rows (1024)", .value = &size_text },
	{ "rounds", "N", "of each row (31, or 7 or 3 of large ones)", .value = &rounds_text },
	{ 0 },
};

/* Of one row, one way, one direction. */
struct sample {
	double ns[MAX_ROUNDS];
	unsigned int nr;
	double min, median, p90;
};

struct result {
	const struct bench_row *row;
	char name[40];
	struct sample samples[NR_WAYS][2];
	int err[NR_WAYS];
};

/* ---- the child that uses the KVM interface ---------------------------------------------------- */

static struct {
	FILE *to, *from;
	pid_t pid;
} child;

static const struct launch launch = { .profile = "in-place", .log = "error", .quiet = true };

static void become_child(const struct cmd *cmd, int in, int out, uint64_t size)
{
	char self[PATH_MAX], number[32];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *argv[] = { self, (char *)cmd_bench_ioctl.name, number, NULL };

	self[n > 0 ? n : 0] = '\0';
	snprintf(number, sizeof(number), "%llu", (unsigned long long)size);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	_exit(launch_exec(cmd, &launch, argv));
}

static int start_child(const struct cmd *cmd, uint64_t size)
{
	int to[2], from[2];

	if (pipe(to) || pipe(from))
		return -errno;
	child.pid = fork();
	if (!child.pid) {
		close(to[1]);
		close(from[0]);
		become_child(cmd, to[0], from[1], size);
	}
	close(to[0]);
	close(from[1]);
	child.to = fdopen(to[1], "w");
	child.from = fdopen(from[0], "r");
	return child.pid < 0 || !child.to || !child.from ? -ECHILD : 0;
}

static int ask_child(long number, double ns[2])
{
	int err;

	fprintf(child.to, "%ld\n", number);
	fflush(child.to);
	if (fscanf(child.from, "%d %lf %lf", &err, &ns[TO_PRIVATE], &ns[TO_SHARED]) != 3)
		return -ECHILD;
	return err;
}

static void end_child(void)
{
	fclose(child.to);
	fclose(child.from);
	waitpid(child.pid, NULL, 0);
}

/* ---- measuring --------------------------------------------------------------------------------- */

static unsigned int nr_rounds(const struct bench_row *row)
{
	if (rounds_text)
		return (unsigned int)strtoul(rounds_text, NULL, 10);
	if (row->shape == BENCH_ALTERNATING)
		return 3;
	return row->shape == BENCH_ALL ? 7 : 31;
}

static int one_round(struct result *r, long number, int way, double ns[2])
{
	switch (way) {
	case RAW:
		return bench_round(&bench_raw, r->row, ns);
	case LIBRARY:
		return bench_round(&bench_library, r->row, ns);
	default:
		return ask_child(number, ns);
	}
}

/* The first round warms up and is not counted. */
static void run_rounds(struct result *r, long number)
{
	unsigned int nr = nr_rounds(r->row);

	for (unsigned int i = 0; i <= nr; i++) {
		for (int way = 0; way < NR_WAYS; way++) {
			double ns[2];

			if (r->err[way])
				continue;
			r->err[way] = one_round(r, number, way, ns);
			if (r->err[way] || !i)
				continue;
			for (int d = 0; d < 2; d++)
				r->samples[way][d].ns[r->samples[way][d].nr++] = ns[d];
		}
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void sum_up(struct sample *s)
{
	if (!s->nr)
		return;
	qsort(s->ns, s->nr, sizeof(s->ns[0]), compare);
	s->min = s->ns[0];
	s->median = s->nr % 2 ? s->ns[s->nr / 2] : (s->ns[s->nr / 2 - 1] + s->ns[s->nr / 2]) / 2;
	s->p90 = s->ns[(s->nr * 9 + 9) / 10 - 1];
}

/* Other processes are forked when the library's window is there for them to inherit. */
static void measure(struct result *r, long number, uint64_t size)
{
	struct bench_others others = { .nr = 0 };
	double ns[2];

	r->err[RAW] = bench_raw.open(&bench_raw, r->row, size);
	r->err[LIBRARY] = bench_library.open(&bench_library, r->row, size);
	if (!r->err[LIBRARY])
		r->err[LIBRARY] = bench_start_others(&others, r->row->nr_others);
	run_rounds(r, number);
	bench_end_others(&others);
	if (bench_raw.window)
		bench_raw.close(&bench_raw);
	if (bench_library.window)
		bench_library.close(&bench_library);
	bench_raw.window = bench_library.window = NULL;
	ask_child(-1, ns);
	for (int way = 0; way < NR_WAYS; way++)
		for (int d = 0; d < 2; d++)
			sum_up(&r->samples[way][d]);
}

/* ---- the table --------------------------------------------------------------------------------- */

static const char *of_time(double ns, char text[16])
{
	if (ns < 1e6)
		snprintf(text, 16, "%.2f us", ns / 1e3);
	else
		snprintf(text, 16, ns < 1e9 ? "%.2f ms" : "%.0f ms", ns / 1e6);
	return text;
}

static void print_sample(const struct result *r, int way, int d)
{
	const struct sample *s = &r->samples[way][d], *raw = &r->samples[RAW][d];
	char median[16], min[16], p90[16];

	if (r->err[way] || !s->nr) {
		printf("  %30s", "-");
		if (way != RAW)
			printf("       ");
		return;
	}
	printf("  %10s %9s-%-9s", of_time(s->median, median), of_time(s->min, min),
	       of_time(s->p90, p90));
	if (way != RAW)
		printf(raw->nr ? "  x%-4.2f" : "       ", s->median / raw->median);
}

static void print_row(const struct result *r)
{
	char target[16];

	for (int d = 0; d < 2; d++) {
		printf("%-20s %-10s %u", d ? "" : r->name, direction_names[d], r->row->nr_others);
		for (int way = 0; way < NR_WAYS; way++)
			print_sample(r, way, d);
		if (r->row->target_ns[d] > 0)
			printf("  %s", of_time(r->row->target_ns[d], target));
		putchar('\n');
	}
	for (int way = 0; way < NR_WAYS; way++)
		if (r->err[way] && r->err[way] != -EOPNOTSUPP)
			printf("  %s: %s\n", way_names[way], strerror(-r->err[way]));
	fflush(stdout);
}

static void print_head(uint64_t size)
{
	struct utsname u;

	uname(&u);
	printf("gmem %s, Linux %s, %ld processors, %llu MiB\n", GMEM_VERSION, u.release,
	       sysconf(_SC_NPROCESSORS_ONLN), (unsigned long long)(size >> 20));
	printf("medians, lowest and 90th percentile; xN: of raw; target: of a machine that does "
	       "nothing else, with x%.1f\n\n",
	       RATIO_TARGET);
	printf("%-20s %-10s %s  %-30s  %-37s  %-37s  %s\n", "range", "", "+", "raw", "library",
	       "ioctl", "target");
	fflush(stdout);
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static struct json_object *json_sample(const struct result *r, int way, int d)
{
	const struct sample *s = &r->samples[way][d], *raw = &r->samples[RAW][d];
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "way", json_object_new_string(way_names[way]));
	json_object_object_add(o, "rounds", json_object_new_int((int)s->nr));
	if (r->err[way])
		json_object_object_add(o, "error", json_object_new_string(strerror(-r->err[way])));
	if (r->err[way] || !s->nr)
		return o;
	json_object_object_add(o, "median_ns", json_object_new_double(s->median));
	json_object_object_add(o, "min_ns", json_object_new_double(s->min));
	json_object_object_add(o, "p90_ns", json_object_new_double(s->p90));
	if (way != RAW && raw->nr)
		json_object_object_add(o, "ratio_to_raw",
				       json_object_new_double(s->median / raw->median));
	return o;
}

static struct json_object *json_direction(const struct result *r, int d)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	for (int way = 0; way < NR_WAYS; way++)
		json_object_array_add(list, json_sample(r, way, d));
	json_object_object_add(o, "range", json_object_new_string(r->name));
	json_object_object_add(o, "direction", json_object_new_string(direction_names[d]));
	json_object_object_add(o, "other_processes", json_object_new_int((int)r->row->nr_others));
	if (r->row->target_ns[d] > 0)
		json_object_object_add(o, "target_ns",
				       json_object_new_double(r->row->target_ns[d]));
	json_object_object_add(o, "ways", list);
	return o;
}

/* ---- the command ------------------------------------------------------------------------------- */

static void name_row(struct result *r, uint64_t size)
{
	char text[16];
	unsigned long long mib = size >> 20;

	snprintf(text, sizeof(text), mib % 1024 ? "%llu MiB" : "%llu GiB",
		 mib % 1024 ? mib : mib / 1024);
	r->name[0] = '\0';
	if (strncmp(r->row->name, "%s", 2) == 0)
		snprintf(r->name, sizeof(r->name), "%s%s", text, r->row->name + 2);
	else
		snprintf(r->name, sizeof(r->name), "%s", r->row->name);
}

static void run_all(uint64_t size, struct json_object *rows)
{
	for (size_t i = 0; i < bench_nr_rows(); i++) {
		static struct result r;

		memset(&r, 0, sizeof(r));
		r.row = &bench_rows[i];
		name_row(&r, size);
		measure(&r, (long)i, size);
		if (!rows)
			print_row(&r);
		for (int d = 0; rows && d < 2; d++)
			json_object_array_add(rows, json_direction(&r, d));
	}
}

static int convert(const struct cmd *cmd, uint64_t size)
{
	struct json_object *all = NULL, *rows = NULL;
	int err = start_child(cmd, size);

	if (err) {
		cmd_complain(cmd, "cannot start a program under gmem: %s", strerror(-err));
		return EXIT_FAILED;
	}
	if (as_json) {
		all = json_object_new_object();
		rows = json_object_new_array();
		json_object_object_add(all, "size", json_object_new_uint64(size));
		json_object_object_add(all, "ratio_target", json_object_new_double(RATIO_TARGET));
		json_object_object_add(all, "rows", rows);
	} else {
		print_head(size);
	}
	run_all(size, rows);
	end_child();
	if (all) {
		puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY));
		json_object_put(all);
	}
	return EXIT_OK;
}

static bool number_between(const char *text, unsigned long low, unsigned long high,
			   unsigned long *value)
{
	char *end;

	*value = strtoul(text, &end, 10);
	return end != text && !*end && text[0] != '-' && *value >= low && *value <= high;
}

static int bench(const struct cmd *cmd, int argc, char **argv)
{
	int first = opts_parse(cmd, argc, argv);
	unsigned long mib, rounds;

	if (first < 0)
		return EXIT_USAGE;
	if (first >= argc || strcmp(argv[first], "convert") != 0)
		return cmd_usage_error(cmd, "say what to measure: convert");
	if (cmd_no_arguments(cmd, first + 1, argc, argv) != EXIT_OK)
		return EXIT_USAGE;
	if (!number_between(size_text, 4, 65536, &mib) || mib % 2)
		return cmd_usage_error(cmd, "--size is an even number of MiB from 4 to 65536");
	if (rounds_text && !number_between(rounds_text, 1, MAX_ROUNDS, &rounds))
		return cmd_usage_error(cmd, "--rounds is from 1 to %d", MAX_ROUNDS);
	return convert(cmd, (uint64_t)mib << 20);
}

const struct cmd cmd_bench = {
	.name = "bench",
	.synopsis = "[OPTION...] convert",
	.summary = "measure conversions: the bare system calls, the library, the ioctl",
	.details = "The three take turns, and the table has their medians. '+' is how many other\n"
		   "processes have the memory mapped. The exit status says nothing about speed.\n",
	.opts = opts,
	.run = bench,
};
