/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A guest whose memory converts in place: guest.h's, with a guest_memfd at DATA, mapped by the host, which is
 * also the slot's userspace_addr. The byte that tests look at is each page's first.
 */
#ifndef GMEM_TESTS_E2E_INPLACE_H
#define GMEM_TESTS_E2E_INPLACE_H

#include "guest.h"

#include <stdbool.h>

#define INPLACE_MAX_PAGES 8u /* as much as real mode reaches from DATA */
#define PRIVATE KVM_MEMORY_ATTRIBUTE_PRIVATE
#define SHARED_FIRST (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define PRIVATE_FIRST GUEST_MEMFD_FLAG_MMAP
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define UNTOLD 0x123456789abcull /* what error_offset holds before a call */

struct inplace {
	struct guest g;
	int fd;
	uint8_t *host;
	unsigned int nr;
};

/* flags: of the guest_memfd; without GUEST_MEMFD_FLAG_MMAP host is anonymous memory. */
void inplace_make(struct inplace *t, unsigned int nr_pages, uint64_t flags);
void inplace_free(struct inplace *t);
/* Ends the program with status 77 where there is no in-place conversion. */
void inplace_need(void);
/* The number of the capability here: 249 or 250; 0: none. */
int inplace_cap(void);

/* 0 or -errno. where: error_offset after the call, UNTOLD before; may be NULL. */
int inplace_convert(int fd, uint64_t offset, uint64_t size, uint64_t attributes, uint64_t *where);
/* Pages first .. first + nr - 1, must succeed. */
void inplace_set(struct inplace *t, unsigned int first, unsigned int nr, uint64_t attributes);

/* ---- touching; any thread ---- */

/* 0, or the signal; a SIGBUS must be BUS_ADRERR at p. */
int host_read(const uint8_t *p, uint8_t *value);
int host_write(uint8_t *p, uint8_t value);
/* What the guest reads there, while it writes value. Must succeed. */
uint8_t guest_exchange(struct guest *g, uint64_t gpa, uint8_t value);

/* A private page: the host can do nothing with it, the guest finds found and leaves left. */
void expect_private(struct inplace *t, unsigned int page, uint8_t found, uint8_t left);
/* A shared one: the host finds found and writes between; the guest finds that and leaves left. */
void expect_shared(struct inplace *t, unsigned int page, uint8_t found, uint8_t between,
		   uint8_t left);

#endif
