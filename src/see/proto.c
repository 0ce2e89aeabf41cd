/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/proto.h"

#include <stdlib.h>
#include <string.h>

#include "see/utf8.h"

enum wire { WIRE_VARINT = 0, WIRE_BYTES = 2 };

static void byte(struct proto *p, unsigned char value)
{
	if (p->size == PROTO_MAX)
		p->too_long = true;
	else
		p->bytes[p->size++] = value;
}

static void varint(struct proto *p, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		byte(p, (unsigned char)(value | 0x80));
	byte(p, (unsigned char)value);
}

void proto_number(struct proto *p, unsigned int field, uint64_t value)
{
	varint(p, (uint64_t)field << 3 | WIRE_VARINT);
	varint(p, value);
}

static void bytes(struct proto *p, unsigned int field, const void *data, size_t size)
{
	size_t before = p->size;

	varint(p, (uint64_t)field << 3 | WIRE_BYTES);
	varint(p, size);
	if (size > PROTO_MAX - p->size || p->too_long) {
		p->size = before;
		p->too_long = true;
		return;
	}
	memcpy(p->bytes + p->size, data, size);
	p->size += size;
}

void proto_text(struct proto *p, unsigned int field, const char *text)
{
	char *whole = utf8_repair(text);

	if (whole)
		bytes(p, field, whole, strlen(whole));
	else
		p->too_long = true;
	free(whole);
}

void proto_message(struct proto *p, unsigned int field, const struct proto *inner)
{
	bytes(p, field, inner->bytes, inner->size);
}
