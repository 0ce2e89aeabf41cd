/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "ringblk.h"

#define NR_PAGES 64u

uint64_t pool_take(struct pool *p)
{
	for (unsigned int i = 0; i < NR_PAGES; i++) {
		uint64_t offset = p->first + (uint64_t)i * GMEM_PAGE_SIZE;

		if (p->taken >> i & 1)
			continue;
		if (gmem_make_shared(p->memory, offset, GMEM_PAGE_SIZE, NULL))
			return 0;
		p->taken |= UINT64_C(1) << i;
		return offset;
	}
	return 0;
}

int pool_give(struct pool *p, uint64_t offset)
{
	int err = gmem_make_private(p->memory, offset, GMEM_PAGE_SIZE, NULL);

	if (!err)
		p->taken &= ~(UINT64_C(1) << (offset - p->first) / GMEM_PAGE_SIZE);
	return err;
}
