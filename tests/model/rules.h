/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* rules: where kernels differ, as far as the model's calls show it. */
#ifndef GMEM_MODEL_RULES_H
#define GMEM_MODEL_RULES_H

#include <stdbool.h>
#include <stdint.h>

struct rules {
	const char *name;
	uint32_t vm_types;
	bool gmem_any_vm; /* a VM without private memory can bind a guest_memfd, too */
	uint64_t gmem_flags, gmem_flags_private; /* of creation; with private memory */
	bool cap_gmem_flags;
	int bind_overlap;   /* errno */
	bool offset_signed; /* the end of a binding is compared as a signed number: 6.18's mistake */
	bool in_place;	    /* each file says what its pages are, not the VM */
	bool asked;	    /* the same of those VMs that have asked */
	bool v7;	    /* the same by v7's rules */
	uint32_t cap_in_place;
	bool pins_outlive_punch; /* of a page that is punched out; gmem's: docs/deviations.md */
	/* Where a guest has found no slot, an access to what is private by now is none to private memory: the kernel
	 * remembers the page as a device's, which it still is as long as no slot has changed. */
	bool mmio_lingers;
	bool emulated; /* guests see userspace_addr alone, and a device where nothing is mapped */
	uint64_t
		range_pages; /* a kernel needs memory or time for each page of a range; 0: any range */
	/* The log may have pages that a guest has only read, when they were mapped writable for that. */
	bool log_has_reads;
	/* What a host may lack. */
	bool attributes, prefault, hypercalls;
	uint32_t spaces; /* address spaces of a VM without private memory */
};

/* NULL: no such rules. */
const struct rules *rules_find(const char *name);

#endif
