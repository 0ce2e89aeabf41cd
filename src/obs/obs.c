/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/obs.h"

#include "os/os.h"

/* A cache line each: vCPUs count faults beside each other. */
struct counter {
	_Alignas(64) _Atomic uint64_t value;
};

static struct counter counters[OBS_NR_EVENTS];

static const char *const names[OBS_NR_EVENTS] = {
	[OBS_CONVERT] = "convert",	   [OBS_PUNCH] = "punch",
	[OBS_ALLOCATE] = "allocate",	   [OBS_BIND] = "bind",
	[OBS_UNBIND] = "unbind",	   [OBS_RELEASE] = "release",
	[OBS_INVALIDATE] = "invalidate",   [OBS_SHOOTDOWN] = "shootdown",
	[OBS_GUEST_FAULT] = "guest fault", [OBS_EXIT] = "exit",
};

void obs_count(enum obs_event event, uint64_t a, uint64_t b, uint64_t c)
{
	os_assert(event < OBS_NR_EVENTS);
	atomic_fetch_add_explicit(&counters[event].value, 1, memory_order_relaxed);
	if (os_log_enabled(OS_LOG_DEBUG))
		os_log(OS_LOG_DEBUG, "%s 0x%llx 0x%llx 0x%llx", names[event], (unsigned long long)a,
		       (unsigned long long)b, (unsigned long long)c);
}

uint64_t obs_counter(enum obs_event event)
{
	return atomic_load_explicit(&counters[event].value, memory_order_relaxed);
}

int obs_refuse(int err, const char *rule)
{
	if (os_log_why())
		os_log_refusal(err, rule);
	return err;
}
