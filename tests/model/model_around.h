/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * model_around: what is not KVM, and a program of the model's needs all the same: areas of the program's addresses
 * with what is mapped there, pipes that hold pages, and where each of its guests stands.
 */
#ifndef GMEM_MODEL_MODEL_AROUND_H
#define GMEM_MODEL_MODEL_AROUND_H

#include <stdbool.h>
#include <stdint.h>

#define NR_AREAS 3
#define AREA_PAGES 1024
#define GUARD_PAGES 16384 /* behind each area nothing is mapped for so long */
#define NR_PINS 3
#define MMIO_VALUE 0x6d6d696f6d6d696full /* what a guest reads where the program answers */
#define PORT 0x10

struct page {
	uint64_t word[2];
};

struct host_page {
	enum { NOBODY, ANONYMOUS, OF_FILE } kind;
	int file;
	uint64_t pgoff;
	uint64_t mapping; /* made by the same call */
	struct page page; /* ANONYMOUS */
};

struct vcpu {
	uint64_t fn, gpa, left, value, sum;
	enum { NOTHING, MMIO_READ, MMIO_WRITE, PORT_WRITE, HYPERCALL, STANDS } pending;
};

struct pin {
	bool used;
	int file;
	uint64_t pgoff;
};

#endif
