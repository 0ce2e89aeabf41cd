/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A test that is its own observer: how many events of a kind there were. The test has one thread. */
#ifndef GMEM_TESTS_OBSERVED_H
#define GMEM_TESTS_OBSERVED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "obs/obs.h"
#include "obs/region.h"

static struct obs_region *observed_region;

static inline void observed_begin(void)
{
	static const struct obs_self me = { .pid = 1, .name = "test" };
	uint64_t size = obs_region_size(64);
	void *memory;

	assert_int_equal(os_map_anon(size, OS_MAP_READ | OS_MAP_WRITE, &memory), 0);
	observed_region = memory;
	obs_region_init(observed_region, 64);
	assert_true(obs_attach(memory, size, &me));
}

/* One thread has one lane, the first. */
static inline const struct obs_counter *observed_counter(enum obs_event event)
{
	return &obs_lane_at(observed_region, 0)->kinds[event];
}

static inline uint64_t observed_nr(enum obs_event event)
{
	return atomic_load(&observed_counter(event)->nr);
}

static inline void observed_end(void)
{
	obs_detach();
	os_unmap(observed_region, obs_region_size(64));
}

#endif
