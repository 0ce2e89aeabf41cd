/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* How fast the time stamp counter counts: measured once against the clock. */
#include "os/os.h"

#define MEASURE_NS 2000000ull

uint64_t os_tsc_khz(void)
{
	static _Atomic uint64_t known;
	uint64_t khz = atomic_load_explicit(&known, memory_order_relaxed);
	uint64_t start_ns, start_tsc, ns;

	if (khz)
		return khz;
	start_ns = os_clock_ns();
	start_tsc = os_tsc();
	do {
		os_relax();
		ns = os_clock_ns() - start_ns;
	} while (ns < MEASURE_NS);
	khz = (os_tsc() - start_tsc) * 1000000 / ns;
	atomic_store_explicit(&known, khz, memory_order_relaxed);
	return khz;
}
