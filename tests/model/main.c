/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Random programs, and those of files, made on a host and by the model: the first difference ends it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "compare.h"
#include "generate.h"
#include "shrink.h"

#define SKIPPED 77

static struct options {
	const char *profile;
	const char *save; /* where the program of a difference goes */
	bool limit, print;
	uint64_t seed, first, calls, per_program, patience, seconds;
	char **files;
} options = {
	.profile = "linux-7.2",
	.save = "model-difference.txt",
	.calls = 100000,
	.per_program = 2000,
	.patience = 300,
};

/* What a child tells while it goes. */
static struct progress {
	uint64_t programs, calls;
	uint64_t seed; /* of the program under way */
	struct counts counts;
	struct pace pace;
} * progress;

/* ---- reports ----------------------------------------------------------------------------------- */

static void say_program(const struct program *p)
{
	char text[OP_TEXT];

	for (size_t i = 0; i < p->nr; i++)
		printf("  %s\n", op_text(&p->ops[i], text));
}

static struct setting setting(void)
{
	return (struct setting){
#ifdef MODEL_LINKED
		.host = &host_linked,
#else
		.host = &host_libc,
#endif
		.profile = options.profile,
		.limit = options.limit,
		.patience = options.patience,
	};
}

static void say_difference(const struct program *p, const struct difference *d)
{
	char text[OP_TEXT];

	printf("call %zu: %s\n", d->at, op_text(&p->ops[d->at], text));
	printf("  model: %s\n", answer_text(&d->model, text));
	printf("  %s: %s\n", setting().host->u->name, answer_text(&d->host, text));
}

/* The program is in *p; what is left of it is said, and saved. */
static int report(struct program *p)
{
	struct setting s = setting();
	struct difference d;
	char head[200];
	int status;
	enum verdict v;

	printf("making it smaller\n");
	v = shrink(&s, p, &d, &status);
	if (v == SAME || v == NO_PROGRAM) {
		printf("alone the program does as it should: what came before it counts, too\n");
		return 1;
	}
	say_program(p);
	if (v == DIFFERS)
		say_difference(p, &d);
	else
		printf("kills, status 0x%x\n", status);
	snprintf(head, sizeof(head),
		 "# SPDX-License-"
		 "Identifier: GPL-2.0-only OR MIT\n# %s; seed 0x%llx\n",
		 options.profile, (unsigned long long)progress->seed);
	if (program_write(p, options.save, head))
		printf("the program is in %s\n", options.save);
	return 1;
}

/* ---- random programs --------------------------------------------------------------------------- */

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static bool go_on(int64_t start)
{
	if (options.seconds && now() - start >= (int64_t)options.seconds)
		return false;
	return progress->calls < options.calls;
}

/* The program of the seed whose turn it is. */
static void next_program(struct program *p)
{
	progress->seed = generate_seed(options.seed, options.first + progress->programs);
	p->nr = 0;
	compare_generate(compare_rules(), progress->seed, options.per_program, p);
	if (options.print)
		say_program(p);
	if (options.limit)
		printf("program %llu\n", (unsigned long long)(options.first + progress->programs));
	fflush(stdout);
}

/* In a child: exit status 1 and the seed in *progress, when a program differs. */
static void make_programs(void)
{
	struct setting s = setting();
	struct program p = { 0 };
	struct difference d;
	int64_t start = now();

	if (compare_open(&s))
		_exit(SKIPPED);
	compare_counts = &progress->counts;
	compare_pace = &progress->pace;
	while (go_on(start)) {
		next_program(&p);
		if (compare_program(&p, &d) != SAME) {
			say_difference(&p, &d);
			fflush(stdout);
			_exit(1);
		}
		progress->programs++;
		progress->calls += p.nr;
	}
	_exit(0);
}

static void say_counts(void)
{
	const struct counts *c = &progress->counts;

	printf("calls that worked, of those made:");
	for (unsigned int i = 0; i < NR_OPS; i++)
		printf(" %s %llu/%llu", op_name((enum op_kind)i), (unsigned long long)c->worked[i],
		       (unsigned long long)c->made[i]);
	printf("\n%llu programs, %llu calls, 0 differences\n",
	       (unsigned long long)progress->programs, (unsigned long long)progress->calls);
}

static void say_slowest(void)
{
	char text[OP_TEXT];

	printf("slowest call: %s: %lld ms\n", op_text(&progress->pace.slowest, text),
	       (long long)(progress->pace.slowest_ns / 1000000));
}

/* The calls up to the one that is not answered are kept as they are: each try to make them fewer would take as long. */
static int report_no_answer(struct program *p)
{
	const uint64_t at = progress->pace.at;
	char text[OP_TEXT], head[200];

	printf("program %llu, call %llu has no answer after %llu s: %s\n",
	       (unsigned long long)(options.first + progress->programs), (unsigned long long)at,
	       (unsigned long long)options.patience, op_text(&progress->pace.op, text));
	p->nr = at < p->nr ? at + 1 : p->nr;
	snprintf(head, sizeof(head), "# %s; seed 0x%llx\n", options.profile,
		 (unsigned long long)progress->seed);
	if (program_write(p, options.save, head))
		printf("the program is in %s\n", options.save);
	return 1;
}

/* What the rules are on this host: a child asks, so that this process never has a guest_memfd. */
static bool limited_rules(struct rules *r)
{
	struct rules *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
				  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct setting s = setting();
	int status;
	pid_t pid;

	if (told == MAP_FAILED)
		return false;
	pid = fork();
	if (pid == 0) {
		status = compare_open(&s);
		if (!status)
			*told = *compare_rules();
		_exit(!!status);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		return false;
	*r = *told;
	return true;
}

static int random_programs(void)
{
	struct program p = { 0 };
	struct rules r;
	int status;
	bool ended;
	pid_t pid;

	printf("seed %llu, %s\n", (unsigned long long)options.seed, options.profile);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		make_programs();
	if (pid < 0)
		return 1;
	ended = watch(pid, &progress->pace, options.patience, &status);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
		printf("there is no such KVM to hold against the model\n");
		return SKIPPED;
	}
	if (!status) {
		say_counts();
		say_slowest();
		return 0;
	}
	printf("FAILED, status 0x%x; again with --profile %s --seed %llu --first %llu\n", status,
	       options.profile, (unsigned long long)options.seed,
	       (unsigned long long)(options.first + progress->programs));
	if (!limited_rules(&r))
		return 1;
	compare_generate(&r, progress->seed, options.per_program, &p);
	return ended ? report(&p) : report_no_answer(&p);
}

/* ---- programs of files ------------------------------------------------------------------------- */

static bool replay(const char *path)
{
	struct setting s = setting();
	struct program p = { 0 };
	struct difference d;
	char text[OP_TEXT];
	int status;
	enum verdict v;

	if (!program_read(&p, path))
		return false;
	v = compare_alone(&s, &p, &d, &status);
	printf("%s: %s\n", path,
	       v == SAME	 ? "as the model says"
	       : v == DIFFERS	 ? "DIFFERS"
	       : v == NO_PROGRAM ? "not defined by the model"
	       : v == NO_ANSWER	 ? "NO ANSWER"
				 : "KILLED, or no KVM");
	if (v == DIFFERS || v == NO_PROGRAM)
		say_difference(&p, &d);
	if (v == NO_ANSWER)
		printf("call %zu: %s\n", d.at, op_text(&p.ops[d.at], text));
	program_free(&p);
	/* What a host lacks makes parts of a program undefined there. */
	return v == SAME || (v == NO_PROGRAM && options.limit);
}

static int replay_all(void)
{
	unsigned int nr = 0, failed = 0;

	for (char **f = options.files; *f; f++, nr++)
		failed += !replay(*f);
	printf("%u programs replayed, %u failed\n", nr, failed);
	return failed != 0;
}

/* ---- options ----------------------------------------------------------------------------------- */

static int usage(void)
{
	fprintf(stderr,
		"usage: model [--profile NAME] [--seed N] [--calls N] [--per-program N] [--first N]\n"
		"             [--seconds N] [--patience N] [--host] [--save FILE] [--print] [PROGRAM...]\n"
		"--host: a kernel that may lack something; --print: also prints programs; --first: the first program\n"
		"--seconds: no program begins after so many; --patience: how many a call may take\n");
	return 2;
}

static bool set(const char *name, const char *value)
{
	uint64_t number = strtoull(value, NULL, 0);

	if (!strcmp(name, "--profile"))
		options.profile = value;
	else if (!strcmp(name, "--seed"))
		options.seed = number;
	else if (!strcmp(name, "--first"))
		options.first = number;
	else if (!strcmp(name, "--calls"))
		options.calls = number;
	else if (!strcmp(name, "--seconds"))
		options.seconds = number;
	else if (!strcmp(name, "--per-program"))
		options.per_program = number;
	else if (!strcmp(name, "--patience"))
		options.patience = number;
	else if (!strcmp(name, "--save"))
		options.save = value;
	else
		return false;
	return true;
}

static bool read_options(char **argv)
{
	const char *soak = getenv("GMEM_SOAK");

	options.seconds = soak ? strtoull(soak, NULL, 0) : 0;
	if (options.seconds) {
		options.seed = (uint64_t)time(NULL);
		options.calls = UINT64_MAX;
	}
	for (; *argv && **argv == '-'; argv++) {
		if (!strcmp(*argv, "--host"))
			options.limit = true;
		else if (!strcmp(*argv, "--print"))
			options.print = true;
		else if (!argv[1] || !set(argv[0], argv[1]))
			return false;
		else
			argv++;
	}
	options.files = argv;
	return rules_find(options.profile) != NULL;
}

int main(int argc, char **argv)
{
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	if (progress == MAP_FAILED || !read_options(argv + 1))
		return usage();
	return *options.files ? replay_all() : random_programs();
}
