/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * probe: can this page be touched, as the program's mappings are now? One access, caught when it
 * faults. It makes the page present as an access of the guest would. No lock may be needed to
 * resolve the fault; any thread.
 */
#ifndef GMEM_MMU_PROBE_H
#define GMEM_MMU_PROBE_H

#include <stdbool.h>
#include <stdint.h>

/* 0 or -EFAULT. A write probe leaves the contents as they are, also beside writers. */
int probe_page(uint64_t address, bool write);

#endif
