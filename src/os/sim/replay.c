/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The same schedule again: each choice that was not the default, at the same step of the same fibre. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/sim/sim_private.h"

static struct sim_choice *list;
static uint32_t nr_list, next[SIM_MAX_FIBRES]; /* of each fibre: the first that is not behind */

void sim_replay_load(const struct sim_choice *choices, uint32_t nr)
{
	free(list);
	list = malloc((nr + 1) * sizeof(*list));
	if (!list)
		sim_fail("no memory for the schedule");
	memcpy(list, choices, nr * sizeof(*list));
	nr_list = nr;
}

static void begin(uint64_t seed)
{
	memset(next, 0, sizeof(next));
}

/* Each fibre's own are in the order of its steps. */
static unsigned int decide(enum sim_choice_kind kind, unsigned int by_default, uint32_t mask,
			   bool may_stay)
{
	const struct sim_fibre *f = sim.self;
	uint32_t i;

	for (i = next[f->index]; i < nr_list; i++) {
		if (list[i].fibre != f->index)
			continue;
		if (list[i].at > f->own_steps)
			break;
		if (list[i].at < f->own_steps)
			next[f->index] = i + 1;
		else if (list[i].kind == kind && mask >> list[i].value & 1)
			return list[i].value;
	}
	return by_default;
}

const struct sim_policy sim_policy_replay = {
	.name = "replay",
	.begin = begin,
	.decide = decide,
};

/* ---- as text --------------------------------------------------------------------------------- */

static const char letters[SIM_NR_CHOICES] = { 'g', 'h', 'c', 'w', 'd' };

void sim_schedule_text(const struct sim_choice *choices, uint32_t nr, char *text, size_t size)
{
	size_t len = 0;
	uint32_t i;

	text[0] = 0;
	if (!nr)
		snprintf(text, size, "-");
	for (i = 0; i < nr && len + 32 < size; i++)
		len += (size_t)snprintf(text + len, size - len, "%s%u.%u%c%u", i ? "," : "",
					choices[i].fibre, choices[i].at, letters[choices[i].kind],
					choices[i].value);
	if (i < nr)
		snprintf(text + len, size - len, ",...");
}

int sim_schedule_parse(const char *text, struct sim_choice *choices, uint32_t *nr)
{
	*nr = 0;
	if (!strcmp(text, "-"))
		return 0;
	for (;;) {
		unsigned int fibre, at, value;
		const char *kind;
		char letter;
		int len = 0;

		if (sscanf(text, "%u.%u%c%u%n", &fibre, &at, &letter, &value, &len) != 4 ||
		    fibre >= SIM_MAX_FIBRES || value > 31 || *nr == SIM_MAX_CHOICES)
			return -1;
		kind = memchr(letters, letter, sizeof(letters));
		if (!kind)
			return -1;
		choices[(*nr)++] = (struct sim_choice){ .at = at,
							.fibre = (uint8_t)fibre,
							.kind = (uint8_t)(kind - letters),
							.value = (uint16_t)value };
		text += len;
		if (!*text)
			return 0;
		if (*text++ != ',')
			return -1;
	}
}
