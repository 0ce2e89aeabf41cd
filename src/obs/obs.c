/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/obs.h"

#include "obs/probes.h"
#include "obs/region.h"
#include "obs/tell.h"

struct obs_own_counter obs_own_counters[OBS_NR_EVENTS];

static _Atomic uint32_t numbers[OBS_NR_NUMBERED];

static const char *const names[OBS_NR_EVENTS] = {
#define OBS_KIND_NAME(id, name, a, b, c) name,
	OBS_KINDS(OBS_KIND_NAME)
#undef OBS_KIND_NAME
};

bool obs_step_called(enum obs_event event)
{
	atomic_fetch_add_explicit(&obs_own_counters[event].value, 1, memory_order_relaxed);
	return obs_on() || obs_probes_wanted || os_racy_load(&os_log_everything);
}

static void tell(const struct obs_told *t)
{
	os_assert(t->kind < OBS_NR_EVENTS);
	if (os_racy_load(&os_log_everything))
		os_log(OS_LOG_DEBUG, "%s 0x%llx 0x%llx 0x%llx", names[t->kind],
		       (unsigned long long)t->a, (unsigned long long)t->b,
		       (unsigned long long)t->c);
	if (obs_probes_wanted)
		obs_probe(t);
	if (obs_on())
		obs_tell(t);
}

void obs_more(enum obs_event event)
{
	tell(&(struct obs_told){ .kind = event, .only_counts = true });
}

void obs_more_of(enum obs_event event, uint16_t file, uint64_t a, uint64_t b, uint64_t c)
{
	tell(&(struct obs_told){ .kind = event, .file = file, .a = a, .b = b, .c = c });
}

void obs_more_span(enum obs_event event, uint16_t file, uint64_t start, long result, uint64_t a,
		   uint64_t b, uint64_t c)
{
	tell(&(struct obs_told){ .kind = event,
				 .file = file,
				 .start = start,
				 .result = result,
				 .a = a,
				 .b = b,
				 .c = c });
}

uint64_t obs_counter(enum obs_event event)
{
	return atomic_load_explicit(&obs_own_counters[event].value, memory_order_relaxed);
}

uint16_t obs_new_number(enum obs_numbered what)
{
	uint32_t last = os_racy_load(&numbers[what]);

	do {
		if (last == UINT16_MAX)
			return UINT16_MAX;
	} while (!atomic_compare_exchange_weak(&numbers[what], &last, last + 1));
	return (uint16_t)(last + 1);
}
