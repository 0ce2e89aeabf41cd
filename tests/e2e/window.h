/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest_memfd that converts in place and a mapping of it. The tests run with both of the ways in which a
 * page is hidden from the mapping: "overlay", and "marked", which gmem takes when there are too many private
 * runs; there the mapping has very many of them behind the pages that a test plays with.
 */
#ifndef GMEM_TESTS_E2E_WINDOW_H
#define GMEM_TESTS_E2E_WINDOW_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <gmem/uapi.h>

#define PAGE 4096ul
#define PAGES 64ul	   /* those that a test plays with: shared, page i full of i + 1 */
#define MANY_PAGES 65536ul /* behind them in a marked window, every second one private */

struct window {
	int fd;
	uint8_t *map;
	size_t size;
};

extern bool window_marked;
extern int window_vm;

/* "overlay" or "marked" in argv[1]; a VM. */
void window_init(int argc, char **argv);
/* For cmocka: *state is a new one. */
int window_setup(void **state);
int window_teardown(void **state);
uint8_t *window_map(const struct window *w);

/* 0 or -errno. */
int window_convert(const struct window *w, size_t page, size_t nr, bool to_private);
/* Must succeed. */
void window_hide(const struct window *w, size_t page, size_t nr);
void window_show(const struct window *w, size_t page, size_t nr);

/* The signal that an access to this address gives, 0: none; what came with it. */
extern __thread siginfo_t window_info;
int window_read(const volatile uint8_t *p);
int window_write(volatile uint8_t *p, uint8_t value);
/* The signal that comes when info is sent to this thread. */
int window_queue(siginfo_t *info);

/* No access, CPU or system call, at this page; SIGBUS as a file's end gives it. */
void expect_hidden(uint8_t *page);
/* All of the page reads as value, and can be written. */
void expect_shown(uint8_t *page, uint8_t value);

size_t nr_mappings(void);

#define WINDOW_TEST(f) cmocka_unit_test_setup_teardown(f, window_setup, window_teardown)

#endif
