/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "compare.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rules rules;
static struct model model;

/* A kernel's rules are for that kernel; in place is what no release has. */
static bool fits_kernel(const struct rules *r)
{
	const char *version = r->name + strlen("linux-");
	struct utsname name;

	if (r->in_place || uname(&name))
		return r->in_place;
	return !strncmp(name.release, version, strlen(version));
}

int compare_open(const struct setting *s)
{
	const struct rules *r = rules_find(s->profile);
	int err = r ? 0 : -EINVAL;

	if (!err && s->limit && !fits_kernel(r))
		err = -EOPNOTSUPP;
	if (!err)
		err = target_open(s->host, s->profile);
	if (err)
		return err;
	rules = *r;
	target_ignore(model.maybe);
	if (s->limit)
		target_limit(&rules);
	return 0;
}

const struct rules *compare_rules(void)
{
	return &rules;
}

struct counts *compare_counts;
struct pace *compare_pace;

static void count(enum op_kind kind, const struct answer *a)
{
	bool runs = kind == OP_RUN || kind == OP_RESUME;

	if (!compare_counts)
		return;
	compare_counts->made[kind]++;
	compare_counts->worked[kind] += runs ? a->exit == KVM_EXIT_HLT : a->ret >= 0;
}

/* ---- one program ------------------------------------------------------------------------------- */

static bool make_call(const struct program *p, size_t at, struct answer *a)
{
	bool ok;

	if (!compare_pace)
		return target_step(&p->ops[at], a);
	watch_begin(compare_pace, at, &p->ops[at]);
	ok = target_step(&p->ops[at], a);
	watch_end(compare_pace);
	return ok;
}

static enum verdict compare_calls(const struct program *p, struct difference *d)
{
	for (size_t i = 0; i < p->nr; i++) {
		d->at = i;
		d->kind = p->ops[i].kind;
		model_step(&model, &p->ops[i], &d->model);
		if (d->model.ret == ANSWER_UNDEFINED)
			return NO_PROGRAM;
		if (!make_call(p, i, &d->host))
			return CANNOT;
		if (memcmp(&d->model, &d->host, sizeof(d->model)))
			return DIFFERS;
		count(d->kind, &d->model);
	}
	return SAME;
}

enum verdict compare_program(const struct program *p, struct difference *d)
{
	enum verdict v;

	model_init(&model, &rules);
	v = compare_calls(p, d);
	target_reset();
	return v;
}

/* ---- random programs --------------------------------------------------------------------------- */

static void add(struct program *p, struct model *m, const struct op *op)
{
	struct answer a;

	model_step(m, op, &a);
	if (a.ret != ANSWER_UNDEFINED)
		program_add(p, op);
}

/* Whatever a program has left behind shows itself in the end. */
static void look(struct program *p, struct model *m)
{
	struct op op = { .kind = OP_DIGEST, .n = AREA_PAGES };

	for (op.area = 0; op.area < NR_AREAS; op.area++)
		add(p, m, &op);
	for (uint64_t i = 0; i < NR_VMS * NR_SLOTS; i++) {
		const struct slot *s = &m->vms[i / NR_SLOTS].slots[i % NR_SLOTS];

		if (!s->used || s->id >> 16)
			continue;
		op = (struct op){
			.kind = OP_RUN,
			.vm = i / NR_SLOTS,
			.vcpu = i & 1,
			.gpa = s->gfn * PAGE,
			.n = s->nr,
		};
		add(p, m, &op);
		op.word = 1;
		op.vcpu ^= 1;
		add(p, m, &op);
	}
}

void compare_generate(const struct rules *r, uint64_t seed, uint64_t nr, struct program *p)
{
	static struct model m; /* its own: another program may be under way */
	struct generator g;
	struct op op;

	model_init(&m, r);
	generate_begin(&g, r, seed);
	while (p->nr < nr) {
		generate(&g, &m, &op);
		add(p, &m, &op);
	}
	look(p, &m);
}

/* ---- in a child -------------------------------------------------------------------------------- */

struct told {
	enum verdict verdict;
	struct difference d;
	struct pace pace;
};

static void child(const struct setting *s, const struct program *p, struct told *told)
{
	/* What it has to say, it says by its answer. */
	if (!freopen("/dev/null", "w", stderr) || compare_open(s))
		_exit(1);
	compare_pace = &told->pace;
	told->verdict = compare_program(p, &told->d);
	_exit(0);
}

enum verdict compare_alone(const struct setting *s, const struct program *p, struct difference *d,
			   int *status)
{
	struct told *told = mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	enum verdict v;
	pid_t pid;

	if (told == MAP_FAILED)
		abort();
	told->verdict = CANNOT;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		child(s, p, told);
	if (pid < 0)
		abort();
	v = !watch(pid, &told->pace, s->patience, status) ? NO_ANSWER
	    : *status					  ? CANNOT
							  : told->verdict;
	*d = told->d;
	if (v == NO_ANSWER)
		d->at = told->pace.at;
	munmap(told, sizeof(*told));
	return v;
}
