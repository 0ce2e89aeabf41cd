/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* memcpy, memmove, memset and memcmp as this program links them: ours, but for sanitizer builds. */
#include "test.h"

#include <string.h>

#define MAX 700
#define GUARD 40

static uint8_t a[MAX + 2 * GUARD], b[MAX + 2 * GUARD], want[MAX + 2 * GUARD];

/* Through pointers: the calls stay calls. */
static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
static void *(*volatile move)(void *, const void *, size_t) = memmove;
static void *(*volatile set)(void *, int, size_t) = memset;
static int (*volatile compare)(const void *, const void *, size_t) = memcmp;

static void fill(uint8_t *p, unsigned int seed)
{
	unsigned int i;

	for (i = 0; i < MAX + 2 * GUARD; i++)
		p[i] = (uint8_t)((i * 131 + seed * 17) >> 1);
}

static void same_as_wanted(const uint8_t *p)
{
	unsigned int i;

	for (i = 0; i < MAX + 2 * GUARD; i++)
		assert_int_equal(p[i], want[i]);
}

static void copies_of_all_sizes(void **state)
{
	size_t n, i;

	for (n = 0; n <= MAX; n++) {
		fill(a, 1);
		fill(b, 2);
		fill(want, 1);
		for (i = 0; i < n; i++)
			want[GUARD + 3 + i] = b[GUARD + n % 7 + i];
		assert_ptr_equal(copy(a + GUARD + 3, b + GUARD + n % 7, n), a + GUARD + 3);
		same_as_wanted(a);
	}
}

static void moves_that_overlap(void **state)
{
	size_t n, i;
	int by;

	for (n = 0; n <= MAX - 100; n += n < 100 ? 1 : 13) {
		for (by = -35; by <= 35; by++) {
			uint8_t *from = a + GUARD;
			uint8_t *to = from + by;

			fill(a, 3);
			fill(want, 3);
			fill(b, 3);
			for (i = 0; i < n; i++)
				want[GUARD + by + (int)i] = b[GUARD + i];
			assert_ptr_equal(move(to, from, n), to);
			same_as_wanted(a);
		}
	}
}

static void sets_of_all_sizes(void **state)
{
	size_t n, i;

	for (n = 0; n <= MAX; n++) {
		fill(a, 5);
		fill(want, 5);
		for (i = 0; i < n; i++)
			want[GUARD + 1 + i] = (uint8_t)(0x180 + n);
		assert_ptr_equal(set(a + GUARD + 1, (int)(0x180 + n), n), a + GUARD + 1);
		same_as_wanted(a);
	}
}

static void comparisons_are_of_unsigned_bytes(void **state)
{
	size_t n, i;

	for (n = 0; n <= 40; n++) {
		fill(a, 1);
		fill(b, 1);
		assert_int_equal(compare(a + 1, b + 1, n), 0);
		for (i = 0; i < n; i++) {
			fill(b, 1);
			b[1 + i] = (uint8_t)(a[1 + i] + 128);
			b[2 + i] = (uint8_t)(a[2 + i] + (a[1 + i] > b[1 + i] ? 1 : -1));
			assert_int_equal(compare(a + 1, b + 1, n) > 0, a[1 + i] > b[1 + i]);
			assert_int_equal(compare(b + 1, a + 1, n) > 0, a[1 + i] < b[1 + i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_of_all_sizes),
		cmocka_unit_test(moves_that_overlap),
		cmocka_unit_test(sets_of_all_sizes),
		cmocka_unit_test(comparisons_are_of_unsigned_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
