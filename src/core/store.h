/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The store: where the contents of a guest_memfd's pages live. It allocates, zeroes once, frees,
 * and hands out a host address for an offset through windows of 1 GiB that are made on demand and
 * kept out of forks and core dumps. It knows nothing of attributes, slots or guests.
 *
 * Only memfd for now. Any thread; its own lock is the last in the lock order.
 */
#ifndef GMEM_CORE_STORE_H
#define GMEM_CORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#define STORE_WINDOW_SIZE ((uint64_t)1 << 30)

struct store;

int store_create_memfd(uint64_t size, struct store **out);
void store_destroy(struct store *s);

/* The engine's own hidden view: *addr is the host address of the byte at offset; it is contiguous to
 * the end of the 1 GiB window that offset lies in. -ENOMEM. Valid until store_destroy(). */
int store_address(struct store *s, uint64_t offset, void **addr);
/* The largest mapping level the store can offer at offset (LEVEL_4K.. of attr_map.h). */
int store_level(struct store *s, uint64_t offset);
/* Backs the pages of a range, contents kept; -ENOMEM, -ENOSPC, -EINTR. A part may stay allocated. */
int store_allocate(struct store *s, uint64_t offset, uint64_t size);
/* Frees the pages of a range: they read as zero afterwards, in every mapping. */
int store_punch(struct store *s, uint64_t offset, uint64_t size);
/* The first run of pages at offset or behind it, before end, that have contents; false: none. A page that was
 * allocated and never touched has none. */
bool store_next_present(struct store *s, uint64_t *offset, uint64_t end, uint64_t *size);
/* Bytes held. */
uint64_t store_backed(struct store *s);
/* For host mappings (map/) only: the descriptor behind the store. */
int store_fd(struct store *s);

#endif
