/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The four memory functions the compiler may call, hidden in our library: a program that exports its
 * own (the kernel's selftests export byte loops) would otherwise answer our calls with them.
 *
 * Small sizes by two overlapping moves, large ones by the string instructions, which every x86-64
 * that runs Linux 5.15 in earnest makes fast. Sanitizer builds keep libc's, which the sanitizer knows.
 */
#include "os/sanitize.h"

#include <stddef.h>
#include <stdint.h>

#if !OS_ASAN && !OS_TSAN

#define HIDDEN __attribute__((visibility("hidden")))

typedef uint64_t u64_any __attribute__((may_alias, aligned(1)));
typedef uint32_t u32_any __attribute__((may_alias, aligned(1)));
typedef uint16_t u16_any __attribute__((may_alias, aligned(1)));
typedef long long v16_any __attribute__((vector_size(16), may_alias, aligned(1)));

#define BY_STRING 256 /* bytes from which the string instructions win */

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* All loads come before the stores, so that an overlap does no harm. */
#define MOVE_ENDS(type, d, s, n)                                        \
	do {                                                            \
		type first_ = *(const type *)(s);                       \
		type last_ = *(const type *)((s) + (n) - sizeof(type)); \
		*(type *)(d) = first_;                                  \
		*(type *)((d) + (n) - sizeof(type)) = last_;            \
	} while (0)

static inline void move_small(char *d, const char *s, size_t n)
{
	if (n >= 16)
		MOVE_ENDS(v16_any, d, s, n);
	else if (n >= 8)
		MOVE_ENDS(u64_any, d, s, n);
	else if (n >= 4)
		MOVE_ENDS(u32_any, d, s, n);
	else if (n >= 2)
		MOVE_ENDS(u16_any, d, s, n);
	else if (n)
		*d = *s;
}

HIDDEN void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (n >= BY_STRING) {
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		return dst;
	}
	while (n > 32) {
		*(v16_any *)d = *(const v16_any *)s;
		*(v16_any *)(d + 16) = *(const v16_any *)(s + 16);
		/* Keeps the compiler from seeing a memcpy in this loop. */
		__asm__ volatile("" : "+r"(d), "+r"(s) : : "memory");
		d += 32;
		s += 32;
		n -= 32;
	}
	move_small(d, s, n);
	return dst;
}

HIDDEN void *memmove(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	if (n <= 32) {
		move_small(d, s, n);
		return dst;
	}
	if ((uintptr_t)d - (uintptr_t)s >= n) {
		/* Forward is right: dst is before src or behind its end. */
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		return dst;
	}
	while (n > 32) {
		v16_any high = *(const v16_any *)(s + n - 16);
		v16_any low = *(const v16_any *)(s + n - 32);

		*(v16_any *)(d + n - 16) = high;
		*(v16_any *)(d + n - 32) = low;
		__asm__ volatile("" : "+r"(d), "+r"(s) : : "memory");
		n -= 32;
	}
	move_small(d, s, n);
	return dst;
}

static inline void set_small(char *d, uint64_t word, size_t n)
{
	if (n >= 8) {
		*(u64_any *)d = word;
		*(u64_any *)(d + n - 8) = word;
	} else if (n >= 4) {
		*(u32_any *)d = (uint32_t)word;
		*(u32_any *)(d + n - 4) = (uint32_t)word;
	} else if (n) {
		d[0] = (char)word;
		d[n - 1] = (char)word;
		d[n / 2] = (char)word;
	}
}

HIDDEN void *memset(void *dst, int c, size_t n)
{
	uint64_t word = 0x0101010101010101ull * (unsigned char)c;
	v16_any vector = { (long long)word, (long long)word };
	char *d = dst;

	if (n >= BY_STRING) {
		__asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
		return dst;
	}
	while (n > 16) {
		*(v16_any *)d = vector;
		__asm__ volatile("" : "+r"(d) : : "memory");
		d += 16;
		n -= 16;
	}
	set_small(d, word, n);
	return dst;
}

HIDDEN int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a;
	const unsigned char *q = b;

	while (n >= 8) {
		uint64_t x = *(const u64_any *)p;
		uint64_t y = *(const u64_any *)q;

		if (x != y) {
			x = __builtin_bswap64(x);
			y = __builtin_bswap64(y);
			return x < y ? -1 : 1;
		}
		p += 8;
		q += 8;
		n -= 8;
	}
	for (; n; n--, p++, q++) {
		if (*p != *q)
			return *p < *q ? -1 : 1;
	}
	return 0;
}

#endif
