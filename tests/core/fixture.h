/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the tests of a gmem_file share: a file that converts in place, and questions about it. */
#ifndef GMEM_TESTS_CORE_FIXTURE_H
#define GMEM_TESTS_CORE_FIXTURE_H

#include <stdbool.h>

#include "core/gmem_file.h"
#include "os/fail.h"
#include "os/os.h"

#define P ATTR_PRIVATE
#define PAGE OS_PAGE_SIZE
#define MB ((uint64_t)1 << 20)
#define GB ((uint64_t)1 << 30)

/* GMEM_FILE_IN_PLACE and flags. */
struct gmem_file *file_of(uint64_t size, unsigned int flags);
/* Every test ends with it: the structure holds together, and nothing is left. */
void close_file(struct gmem_file *f);

/* gmem_file_convert(), which says where when it fails, and only then. */
int convert_where(struct gmem_file *f, uint64_t offset, uint64_t size, uint32_t attributes,
		  uint64_t *where);
int convert(struct gmem_file *f, uint64_t offset, uint64_t size, uint32_t attributes);
bool all_are(struct gmem_file *f, uint64_t offset, uint64_t size, uint32_t attributes);
/* The byte at offset; a look at it makes the page present. */
uint8_t *page_at(struct gmem_file *f, uint64_t offset);

/* Every call of the kind fails from here on; fail_none() ends that, and asks that one has. */
void fail_all(enum os_fail_point point);
void fail_none(void);

#endif
