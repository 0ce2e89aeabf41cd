/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A store held against a byte a page: whatever it is made of, it reads like the model. For the tests of stores of
 * more than one kind of pages.
 */
#ifndef GMEM_TESTS_CORE_STORE_MODEL_H
#define GMEM_TESTS_CORE_STORE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/store.h"

#define BLOCK ((uint64_t)2 << 20)
#define MODEL_PAGES 2200u /* four blocks and a bit */

struct store *make_store(uint64_t size, enum store_pages pages);
/* Through the hidden view, as a guest would: filled first. */
uint8_t *guest_at(struct store *s, uint64_t offset);
uint8_t *at(struct store *s, uint64_t offset);
bool is_zero(const uint8_t *p, uint64_t size);
/* nr_ops random writes, reads, punches and allocations. */
/* Blocks, where it has any, move meanwhile. Ends the store. */
void compare_store_with_model(struct store *s, uint64_t seed, unsigned int nr_ops);
void compare_with_model(enum store_pages pages, uint64_t seed, unsigned int nr_ops);

#endif
