/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/obs.h"

#include "obs/probes.h"
#include "obs/region.h"
#include "obs/tell.h"

/* A cache line each: vCPUs count faults beside each other. */
struct counter {
	_Alignas(64) _Atomic uint64_t value;
};

static struct counter counters[OBS_NR_EVENTS];
static _Atomic uint32_t numbers[OBS_NR_NUMBERED];

static const char *const names[OBS_NR_EVENTS] = {
#define OBS_KIND_NAME(id, name, a, b, c) name,
	OBS_KINDS(OBS_KIND_NAME)
#undef OBS_KIND_NAME
};

static inline void count(enum obs_event event, uint64_t a, uint64_t b, uint64_t c)
{
	os_assert(event < OBS_NR_EVENTS);
	atomic_fetch_add_explicit(&counters[event].value, 1, memory_order_relaxed);
	if (os_log_enabled(OS_LOG_DEBUG))
		os_log(OS_LOG_DEBUG, "%s 0x%llx 0x%llx 0x%llx", names[event], (unsigned long long)a,
		       (unsigned long long)b, (unsigned long long)c);
}

static inline bool is_wanted(void)
{
	return __builtin_expect(obs_probes_wanted != 0, 0) || obs_on();
}

/* Whoever looks from outside is told as well. Apart, so that what nobody wants costs nothing to put together. */
static __attribute__((noinline, cold)) void tell(const struct obs_told *t)
{
	if (obs_probes_wanted)
		obs_probe(t);
	if (obs_on())
		obs_tell(t);
}

void obs_add(enum obs_event event)
{
	count(event, 0, 0, 0);
	if (is_wanted())
		tell(&(struct obs_told){ .kind = event, .only_counts = true });
}

void obs_count(enum obs_event event, uint64_t a, uint64_t b, uint64_t c)
{
	count(event, a, b, c);
	if (is_wanted())
		tell(&(struct obs_told){ .kind = event, .a = a, .b = b, .c = c });
}

void obs_span(enum obs_event event, uint64_t start, long result, uint64_t a, uint64_t b, uint64_t c)
{
	obs_span_file(event, 0, start, result, a, b, c);
}

void obs_count_file(enum obs_event event, uint16_t file, uint64_t a, uint64_t b, uint64_t c)
{
	obs_span_file(event, file, 0, 0, a, b, c);
}

void obs_span_file(enum obs_event event, uint16_t file, uint64_t start, long result, uint64_t a,
		   uint64_t b, uint64_t c)
{
	count(event, a, b, c);
	if (is_wanted())
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
	return atomic_load_explicit(&counters[event].value, memory_order_relaxed);
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
