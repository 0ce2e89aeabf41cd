/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What a target of libFuzzer is: a function that takes any bytes and must not break. The same file makes two
 * programs: with -fsanitize=fuzzer one that looks for bytes that break it, and with replay.c a test that runs those
 * that were found, and all that reached something new (corpus/NAME.txt), with any compiler.
 */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void target(const uint8_t *data, size_t size);
/* What libFuzzer calls, in entry.c. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(cond)                                                                          \
	do {                                                                                \
		if (!(cond)) {                                                              \
			fprintf(stderr, "%s:%d: must be: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                            \
		}                                                                           \
	} while (0)

/* What is left of an input; behind its end all is 0. */
struct input {
	const uint8_t *at;
	size_t left;
};

static inline void take(struct input *in, void *out, size_t size)
{
	size_t n = size < in->left ? size : in->left;

	memset(out, 0, size);
	if (n)
		memcpy(out, in->at, n);
	in->at += n;
	in->left -= n;
}

static inline uint8_t take8(struct input *in)
{
	uint8_t v;

	take(in, &v, sizeof(v));
	return v;
}

static inline uint16_t take16(struct input *in)
{
	uint16_t v;

	take(in, &v, sizeof(v));
	return v;
}

static inline uint64_t take64(struct input *in)
{
	uint64_t v;

	take(in, &v, sizeof(v));
	return v;
}

#endif
