/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * For the tests of the guard: a plain program without a test library, so that it can be linked statically
 * and run where there is nothing else. Every test runs in a process of its own, once for each mode.
 */
#ifndef GMEM_TESTS_MAP_GUARD_T_H
#define GMEM_TESTS_MAP_GUARD_T_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/host_map_private.h"

#define PAGE ((uint64_t)4096)

enum mode { OVERLAID, MARKED };

/* A registry, a file of our own without a home, and the store's own view of it, which is always open. */
struct t {
	enum mode mode;
	struct host_map *m;
	struct host_file f;
	uint64_t nr_pages;
	uint8_t *store;
	_Atomic int pins;
};

/* Pages are shared at first. What page i holds in its first byte is stamp(i). */
void t_init(struct t *t, enum mode mode, uint64_t nr_pages);
uint8_t t_stamp(uint64_t page);
uint8_t *t_map(struct t *t, uint64_t page, uint64_t nr_pages);
int t_hide(struct t *t, uint64_t page, uint64_t nr_pages);
int t_show(struct t *t, uint64_t page, uint64_t nr_pages);
bool t_private(struct t *t, uint64_t page);

/* What an access comes to: 0, or the signal. code and addr: of the siginfo, as a program is to see it. */
struct t_fault {
	int signo, code;
	uintptr_t addr;
};
struct t_fault t_read(struct t *t, const volatile uint8_t *p, uint8_t *value);
struct t_fault t_write(struct t *t, volatile uint8_t *p, uint8_t value);

/* Every page of the window shows what the file's state and the store say, by CPU and read(2). */
void t_check_window(struct t *t, const uint8_t *window, uint64_t page, uint64_t nr_pages);

bool t_has_marks(void);
/* Skips where there are none: a test that ends in them although it begins with overlays. */
void t_need_marks(void);
/* From now on nobody here gets a userfaultfd. */
void t_refuse_userfaultfd(void);

/* Mappings of this process that are of a memfd. */
uint64_t t_nr_mappings(void);

_Noreturn void t_fail(const char *file, int line, const char *what, long long a, long long b);
_Noreturn void t_skip(const char *why);
#define T_OK(cond) ((cond) ? (void)0 : t_fail(__FILE__, __LINE__, #cond, 0, 0))
#define T_EQ(a, b)                                                        \
	do {                                                              \
		long long a_ = (long long)(a), b_ = (long long)(b);       \
		if (a_ != b_)                                             \
			t_fail(__FILE__, __LINE__, #a " == " #b, a_, b_); \
	} while (0)

struct t_case {
	const char *name;
	void (*fn)(struct t *t, enum mode mode);
};
extern const struct t_case t_semantics[], t_calls[], t_race[], t_room[], t_fork[], t_failures[];

#endif
