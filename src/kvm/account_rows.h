/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * account_rows: a snapshot (obs/account.h) as it is filled: its tables are bounded, peaks go on from one to the next,
 * and so do the last numbers of what is gone.
 */
#ifndef GMEM_KVM_ACCOUNT_ROWS_H
#define GMEM_KVM_ACCOUNT_ROWS_H

#include "obs/account.h"

#define ACCOUNT_NO_ROW UINT32_MAX
#define ACCOUNT_NR_GONE 128u /* rows of slots, and of files, that are there no more */

struct account_rows {
	const struct account_snapshot *before;
	struct account_snapshot *to;
	/* Rows of before that are there still. */
	bool vm_stays[ACCOUNT_NR_VMS], vcpu_stays[ACCOUNT_NR_VCPUS], slot_stays[ACCOUNT_NR_SLOTS],
		file_stays[ACCOUNT_NR_FILES];
	uint64_t
		in_doubt; /* bytes that may seem to be held twice and are not; peaks leave so many out */
};

void account_bytes_add(struct account_bytes *sum, const struct account_bytes *b);

/* before: NULL, or another than to. */
void account_rows_begin(struct account_rows *r, const struct account_snapshot *before,
			struct account_snapshot *to);
void account_rows_vm(struct account_rows *r, const struct account_vm *vm);
void account_rows_vcpu(struct account_rows *r, const struct account_vcpu *vcpu);
/* The slot's row, ACCOUNT_NO_ROW: there is no room; then its runs, and at last its numbers. */
uint32_t account_rows_slot(struct account_rows *r, const struct account_slot *slot);
void account_rows_run(struct account_rows *r, uint32_t row, uint64_t gpa, uint64_t nr_pages,
		      uint32_t states);
void account_rows_slot_done(struct account_rows *r, uint32_t row, const struct account_slot *slot);
void account_rows_file(struct account_rows *r, const struct account_file *file);
void account_rows_end(struct account_rows *r);

#endif
