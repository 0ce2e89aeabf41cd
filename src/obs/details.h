/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * details: what is counted apart within a kind of events, with a histogram of its own: why vCPUs left, and what guests
 * faulted on. Only counters: a record says the same by its numbers.
 */
#ifndef GMEM_OBS_DETAILS_H
#define GMEM_OBS_DETAILS_H

/* DETAIL(id, kind, name). Of faults that mapped a page: what the page was, and what for; fetches are reads. */
#define OBS_DETAILS(DETAIL)                                       \
	DETAIL(EXIT_IO, RUN_EXIT, "IO")                           \
	DETAIL(EXIT_MMIO, RUN_EXIT, "MMIO")                       \
	DETAIL(EXIT_HYPERCALL, RUN_EXIT, "HYPERCALL")             \
	DETAIL(EXIT_HLT, RUN_EXIT, "HLT")                         \
	DETAIL(EXIT_MEMORY_FAULT, RUN_EXIT, "MEMORY_FAULT")       \
	DETAIL(EXIT_INTR, RUN_EXIT, "INTR")                       \
	DETAIL(EXIT_OTHER, RUN_EXIT, "other")                     \
	DETAIL(EXIT_ERROR, RUN_EXIT, "error")                     \
	DETAIL(FAULT_SHARED_READ, GUEST_FAULT, "shared read")     \
	DETAIL(FAULT_SHARED_WRITE, GUEST_FAULT, "shared write")   \
	DETAIL(FAULT_PRIVATE_READ, GUEST_FAULT, "private read")   \
	DETAIL(FAULT_PRIVATE_WRITE, GUEST_FAULT, "private write") \
	DETAIL(FAULT_MMIO, GUEST_FAULT, "MMIO")                   \
	DETAIL(FAULT_TOLD, GUEST_FAULT, "memory fault")           \
	DETAIL(FAULT_ERROR, GUEST_FAULT, "error")

enum obs_detail {
#define OBS_DETAIL_ID(id, kind, name) OBS_##id,
	OBS_DETAILS(OBS_DETAIL_ID)
#undef OBS_DETAIL_ID
		OBS_NR_DETAILS
};

#endif
