/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Searches: many schedules in a process of their own. One that fails ends the process, and its choices are read from
 * the slot that both have mapped.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/sim/sim_private.h"

#define STUCK_S 5 /* of processor time without a point */

struct sim_scenario *sim_scenarios[128];
unsigned int sim_nr_scenarios;

void sim_register(struct sim_scenario *s)
{
	if (sim_nr_scenarios < sizeof(sim_scenarios) / sizeof(sim_scenarios[0]))
		sim_scenarios[sim_nr_scenarios++] = s;
}

const struct sim_scenario *sim_scenario_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < sim_nr_scenarios; i++)
		if (!strcmp(sim_scenarios[i]->name, name))
			return sim_scenarios[i];
	return NULL;
}

/* ---- seeds ----------------------------------------------------------------------------------- */

static uint64_t name_hash(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001b3ull;
	return (hash ^ hash >> 16 ^ hash >> 32 ^ hash >> 48) & 0xffff;
}

uint64_t sim_seed(const struct sim_scenario *s, unsigned int search, uint64_t number)
{
	return name_hash(s->name) << 48 | (uint64_t)search << 44 | (number & ((1ull << 44) - 1));
}

const struct sim_scenario *sim_seed_scenario(uint64_t seed)
{
	unsigned int i;

	for (i = 0; i < sim_nr_scenarios; i++)
		if (name_hash(sim_scenarios[i]->name) == seed >> 48)
			return sim_scenarios[i];
	return NULL;
}

unsigned int sim_seed_search(uint64_t seed)
{
	return seed >> 44 & 15;
}

/* ---- in the child ---------------------------------------------------------------------------- */

static void look_whether_stuck(int signo)
{
	static uint64_t last = UINT64_MAX;
	uint64_t mark = sim_slot->points + sim_slot->runs + sim.now;

	if (mark == last)
		sim_fail("stuck: no point for %d seconds of processor time", STUCK_S);
	last = mark;
}

static void child_init(struct sim_slot *slot)
{
	struct itimerval every = { { STUCK_S, 0 }, { STUCK_S, 0 } };
	struct sigaction act = { .sa_handler = look_whether_stuck, .sa_flags = SA_ONSTACK };

	sim_slot = slot;
	sim_memory_init();
	sim_fault_init();
	sigaction(SIGVTALRM, &act, NULL);
	setitimer(ITIMER_VIRTUAL, &every, NULL);
}

static void run_seeds(const struct sim_job *job, const struct sim_policy *policy)
{
	uint64_t i;

	sim.policy = policy;
	if (sim_slot->max_contended < job->expected)
		sim_slot->max_contended = job->expected;
	for (i = 0; i < job->nr; i++) {
		sim_slot->seed = sim_seed(job->scenario, job->search, job->first + i);
		if (job->search == SIM_PCT && !job->one)
			sim_slot->seed = sim_pct_seed(sim_slot->seed, sim_slot->max_contended);
		policy->begin(sim_slot->seed);
		sim_run(job->scenario);
	}
}

static void run_exhaustive(const struct sim_job *job)
{
	uint64_t i;

	sim.policy = &sim_policy_exhaustive;
	sim_exhaust_start(job->scenario->preemptions ? job->scenario->preemptions : 2);
	for (i = 0; i < job->nr; i++) {
		sim_slot->seed = 0;
		sim.policy->begin(i);
		sim_run(job->scenario);
		sim_slot->nr_exhausted_late = sim_exhaust_late();
		if (!sim_exhaust_next()) {
			sim_slot->exhausted = true;
			break;
		}
	}
}

void sim_job_run(const struct sim_job *job, struct sim_slot *slot)
{
	child_init(slot);
	sim.recording = job->record;
	if (job->search == SIM_EXHAUSTIVE)
		run_exhaustive(job);
	else
		run_seeds(job, job->search == SIM_PCT ? &sim_policy_pct : &sim_policy_random);
	if (job->record)
		sim_timeline_print(sim_timeline_whole);
	fflush(NULL);
}

/* ---- outside --------------------------------------------------------------------------------- */

struct sim_slot *sim_slot_new(void)
{
	void *map = mmap(NULL, sizeof(struct sim_slot), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

void sim_slot_free(struct sim_slot *slot)
{
	munmap(slot, sizeof(*slot));
}

int sim_job_start(const struct sim_job *job, struct sim_slot *slot)
{
	int pid;

	memset(slot, 0, offsetof(struct sim_slot, choices));
	fflush(NULL);
	pid = fork();
	if (pid)
		return pid;
	sim_job_run(job, slot);
	_exit(0);
}

static void look_how_it_ended(struct sim_slot *slot, int status)
{
	if (slot->failed || (WIFEXITED(status) && !WEXITSTATUS(status)))
		return;
	slot->failed = true;
	snprintf(slot->text, sizeof(slot->text), "the simulator ended: status 0x%x", status);
	snprintf(slot->key, sizeof(slot->key), "the simulator ended");
}

void sim_job_finish(int pid, struct sim_slot *slot)
{
	int status = 0;

	if (pid > 0)
		waitpid(pid, &status, 0);
	look_how_it_ended(slot, pid > 0 ? status : -1);
}

void sim_replay(const struct sim_scenario *s, const struct sim_choice *choices, uint32_t nr,
		bool record, struct sim_slot *slot)
{
	int pid, status = 0;

	memset(slot, 0, offsetof(struct sim_slot, choices));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		child_init(slot);
		sim.recording = record;
		sim_replay_load(choices, nr);
		sim.policy = &sim_policy_replay;
		sim.policy->begin(0);
		sim_run(s);
		if (record)
			sim_timeline_print(sim_timeline_whole);
		fflush(NULL);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);
	look_how_it_ended(slot, pid > 0 ? status : -1);
}
