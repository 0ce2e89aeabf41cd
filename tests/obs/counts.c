/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a reader makes of histograms, and how numbers are written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "os/os.h"
#include "see/counts.h"
#include "see/text.h"

static void all_lanes_are_one(void **state)
{
	uint64_t size = obs_region_size(64);
	struct see_counts counts;
	struct obs_region *r;
	void *memory;

	assert_int_equal(os_map_anon(size, OS_MAP_READ | OS_MAP_WRITE, &memory), 0);
	r = memory;
	obs_region_init(r, 64);
	atomic_store(&r->next_lane, 2);
	for (uint32_t lane = 0; lane < OBS_NR_LANES; lane++) {
		struct obs_counter *c = &obs_lane_at(r, lane)->kinds[OBS_PUNCH];

		atomic_store(&c->nr, 1);
		atomic_store(&c->failed, 2);
		atomic_store(&c->buckets[3], 5);
		atomic_store(&obs_lane_at(r, lane)->details[OBS_EXIT_HLT].nr, 7);
	}
	see_counts_read(r, &counts);
	/* Two that threads have, and the one that is everybody's. */
	assert_int_equal(counts.kinds[OBS_PUNCH].nr, 3);
	assert_int_equal(counts.kinds[OBS_PUNCH].failed, 6);
	assert_int_equal(counts.kinds[OBS_PUNCH].buckets[3], 15);
	assert_int_equal(counts.kinds[OBS_CONVERT].nr, 0);
	assert_int_equal(counts.details[OBS_EXIT_HLT].nr, 21);
	assert_int_equal(counts.details[OBS_EXIT_IO].nr, 0);
	os_unmap(memory, size);
}

static void percentiles_lie_in_the_right_bucket(void **state)
{
	struct see_count c = { 0 };

	assert_int_equal(see_count_percentile(&c, 50), 0);
	c.buckets[10] = 98; /* 1024 to 2047 */
	c.buckets[20] = 2;
	assert_int_equal(see_count_timed(&c), 100);
	assert_in_range(see_count_percentile(&c, 1), 1024, 1050);
	assert_in_range(see_count_percentile(&c, 50), 1500, 1600);
	assert_in_range(see_count_percentile(&c, 98), 2040, 2048);
	assert_in_range(see_count_percentile(&c, 99), 1 << 20, 1 << 21);
	assert_int_equal(see_count_percentile(&c, 100), 1 << 21);
	c = (struct see_count){ .buckets = { 4 } };
	assert_in_range(see_count_percentile(&c, 50), 0, 2);
}

static void says(uint64_t bytes, enum text_unit unit, const char *wanted)
{
	char text[TEXT_NUMBER_MAX];

	assert_string_equal(text_size(bytes, unit, text), wanted);
}

static void sizes_are_short(void **state)
{
	char text[TEXT_NUMBER_MAX];

	says(0, TEXT_AUTO, "-");
	says(4096, TEXT_AUTO, "4K");
	says(1536 << 10, TEXT_AUTO, "1.50M");
	says((1ull << 30) + (300ull << 20), TEXT_AUTO, "1.29G");
	says(100ull << 30, TEXT_AUTO, "100G");
	says((64ull << 30) - 4096, TEXT_AUTO, "64.0G");
	says(8192, TEXT_PAGES, "2");
	says(8192, TEXT_KIB, "8");
	says(8192, TEXT_BYTES, "8192");
	assert_string_equal(text_time(950, text), "950 ns");
	assert_string_equal(text_time(1234, text), "1.23 us");
	assert_string_equal(text_time(1500000000, text), "1.50 s");
	assert_string_equal(text_count(999, text), "999");
	assert_string_equal(text_count(12345, text), "12.3k");
	assert_string_equal(text_count(0.5, text), "0.5");
}

static void lines_are_cut_and_have_no_blanks_at_their_end(void **state)
{
	struct text t = { 0 };

	for (int i = 0; i < 1000; i++)
		text_add(&t, TEXT_PLAIN, "%d%-300s", i, "");
	assert_int_equal(t.nr, 1000);
	assert_string_equal(t.lines[999].text, "999");
	text_add(&t, TEXT_ALARM, "%0300d", 1);
	assert_int_equal(strlen(t.lines[1000].text), TEXT_LINE_MAX - 1);
	assert_int_equal(t.lines[1000].style, TEXT_ALARM);
	text_clear(&t);
	assert_int_equal(t.nr, 0);
	text_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_lanes_are_one),
		cmocka_unit_test(percentiles_lie_in_the_right_bucket),
		cmocka_unit_test(sizes_are_short),
		cmocka_unit_test(lines_are_cut_and_have_no_blanks_at_their_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
