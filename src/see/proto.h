/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * proto: messages of protocol buffers, written by hand: a field is a key and a number, or a key, a length and bytes.
 * A message is put together in memory; one that does not fit is cut and marked.
 */
#ifndef GMEM_SEE_PROTO_H
#define GMEM_SEE_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROTO_MAX 2048

struct proto {
	unsigned char bytes[PROTO_MAX];
	size_t size;
	bool too_long;
};

void proto_number(struct proto *p, unsigned int field, uint64_t value);
void proto_text(struct proto *p, unsigned int field, const char *text);
void proto_message(struct proto *p, unsigned int field, const struct proto *inner);

#endif
