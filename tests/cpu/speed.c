/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * speed [-n ROUNDS] [-t TURNS] [NAME...]: how fast the engine runs the guests of src/bench, without KVM's
 * interface around it. No test: by hand, and under callgrind for instructions (-n 1).
 */
#include "harness.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "bench/guest_loops.h"
#include "cpu/soft/soft.h"

static unsigned int rounds = 200;
static uint64_t turns;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void start(struct guest *g, const uint8_t *code, size_t size, uint64_t count)
{
	guest_start(g, GUEST_LONG);
	guest_code(g, code, size);
	g->s->gpr[CPU_RCX] = count;
	g->s->gpr[CPU_RSI] = GUEST_CODE_FROM;
	g->s->gpr[CPU_RDI] = GUEST_CODE_TO;
	for (int n = 0; n < 3; n++)
		g->s->xmm[n].f64[0] = 0.25 * n;
	g->s->mxcsr = 0x1f80;
	guest_changed(g);
}

struct figure {
	uint64_t best_ns, insns;
};

#define BUDGET (1ull << 40)

static uint64_t run_counted(struct guest *g)
{
	uint64_t begin = now_ns();

	guest_run(g, BUDGET);
	assert_int_equal(g->exit.reason, CPU_EXIT_HLT);
	return now_ns() - begin;
}

static struct figure measure(struct guest *g, const uint8_t *code, size_t size, uint64_t count)
{
	struct figure f = { .best_ns = UINT64_MAX };

	for (unsigned int n = 0; n < rounds; n++) {
		uint64_t ns;

		start(g, code, size, count);
		if (code == guest_mixed)
			g->s->gpr[CPU_RDI] = count;
		ns = run_counted(g);
		f.insns = BUDGET - ((struct soft *)g->cpu)->budget;
		if (ns < f.best_ns)
			f.best_ns = ns;
	}
	return f;
}

static bool wanted(char **names, const char *name)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static void loops(struct guest *g, char **names)
{
	for (size_t n = 0; n < GUEST_NR_LOOPS; n++) {
		const struct guest_loop *l = &guest_loops[n];
		uint64_t count = turns ? turns : l->bytes == 4096 ? 500 : 20000;
		struct figure f;

		if (!wanted(names, l->name))
			continue;
		f = measure(g, l->code, l->size, count);
		printf("%-12s %8.1f MIPS %8.1f M accesses/s %8.2f GB/s\n", l->name,
		       (double)count * l->insns * 1e3 / f.best_ns,
		       (double)count * l->accesses * 1e3 / f.best_ns,
		       (double)count * l->bytes / f.best_ns);
	}
}

static void mixed(struct guest *g, char **names)
{
	struct figure f;

	if (!wanted(names, "mixed"))
		return;
	f = measure(g, guest_mixed, sizeof(guest_mixed), turns ? turns : GUEST_MIXED_ROUNDS);
	printf("%-12s %8.1f MIPS (%lu instructions) rax %lx\n", "mixed",
	       (double)f.insns * 1e3 / f.best_ns, f.insns, g->s->gpr[CPU_RAX]);
}

static void exits(struct guest *g, char **names)
{
	uint64_t best = UINT64_MAX, count = turns ? turns : 5000;

	if (!wanted(names, "out"))
		return;
	for (unsigned int n = 0; n < rounds; n++) {
		uint64_t begin;

		start(g, guest_out, sizeof(guest_out), count);
		begin = now_ns();
		while (guest_run(g, 0) == CPU_EXIT_IO)
			guest_complete(g, NULL);
		if (now_ns() - begin < best)
			best = now_ns() - begin;
	}
	printf("%-12s %8.1f ns\n", "out", (double)best / count);
}

/* ---- two vCPUs --------------------------------------------------------------------------------- */

static void *one_of_two(void *arg)
{
	guest_run(arg, 0);
	return NULL;
}

static uint64_t in_threads(struct guest *g, unsigned int nr)
{
	pthread_t thread[2];
	uint64_t begin = now_ns();

	for (unsigned int n = 0; n < nr; n++)
		pthread_create(&thread[n], NULL, one_of_two, &g[n]);
	for (unsigned int n = 0; n < nr; n++)
		pthread_join(thread[n], NULL);
	return now_ns() - begin;
}

/* The load and store loop, each vCPU on its own 64 KiB. */
static uint64_t best_of(struct guest *g, unsigned int nr)
{
	const struct guest_loop *l = &guest_loops[2];
	uint64_t best = UINT64_MAX;

	for (unsigned int n = 0; n < rounds; n++) {
		uint64_t ns;

		for (unsigned int k = 0; k < nr; k++) {
			start(&g[k], l->code, l->size, 300000);
			g[k].s->gpr[CPU_RSI] += k * 0x40000;
			g[k].s->gpr[CPU_RDI] += k * 0x40000;
		}
		ns = in_threads(g, nr);
		if (ns < best)
			best = ns;
	}
	return best;
}

static void two(struct guest *g, char **names)
{
	struct guest both[2] = { *g };
	uint64_t one_ns, two_ns;

	if (!wanted(names, "two"))
		return;
	guest_make_beside(&both[1], g, GUEST_LONG);
	one_ns = best_of(both, 1);
	two_ns = best_of(both, 2);
	printf("%-12s %8.2f x one\n", "two", 2.0 * one_ns / two_ns);
	guest_unmake_beside(&both[1]);
}

int main(int argc, char **argv)
{
	struct guest g;
	int option;

	while ((option = getopt(argc, argv, "n:t:")) != -1) {
		if (option == 'n')
			rounds = strtoul(optarg, NULL, 0);
		else if (option == 't')
			turns = strtoull(optarg, NULL, 0);
		else
			return 2;
	}
	guest_make(&g, GUEST_LONG);
	loops(&g, argv + optind);
	mixed(&g, argv + optind);
	exits(&g, argv + optind);
	two(&g, argv + optind);
	guest_unmake(&g);
	return 0;
}
