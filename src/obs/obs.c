/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/obs.h"

#include "obs/probes.h"
#include "obs/tell.h"

static _Atomic uint32_t numbers[OBS_NR_NUMBERED];

static const char *const names[OBS_NR_EVENTS] = {
#define OBS_KIND_NAME(id, name, a, b, c) name,
	OBS_KINDS(OBS_KIND_NAME)
#undef OBS_KIND_NAME
};

bool obs_wanted_called(void)
{
	return os_racy_load(&os_wanted) != 0;
}

void obs_tell_others(const struct obs_told *t)
{
	uint32_t wanted = os_racy_load(&os_wanted);

	os_assert(t->kind < OBS_NR_EVENTS);
	if (wanted & OS_WANTED_BY_LOG)
		os_log(OS_LOG_DEBUG, "%s 0x%llx 0x%llx 0x%llx", names[t->kind],
		       (unsigned long long)t->a, (unsigned long long)t->b,
		       (unsigned long long)t->c);
	if (wanted & OS_WANTED_BY_TRACERS)
		obs_probe(t);
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
