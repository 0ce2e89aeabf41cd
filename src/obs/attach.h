/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * attach: how a process that runs under gmem unobserved is asked to be observed: SIGBUS by sigqueue() with this value,
 * only to who has this very library mapped. It makes a region, in a memfd of this name that it keeps open.
 */
#ifndef GMEM_OBS_ATTACH_H
#define GMEM_OBS_ATTACH_H

#define ATTACH_VALUE 0x676d656d6f627331ull
#define ATTACH_NAME "gmem-observed"
#define ATTACH_RING 4096u /* records; there is no reader of them */

#endif
