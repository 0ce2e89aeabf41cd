/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * recorder: consumers that write down what they are told, in one diary for all of them, and refuse
 * when asked to. One letter for the consumer, one for the call:
 *
 *	"ap bp ab bb ae be"	a and b: prepare, begin, end; an aborted end is x
 */
#ifndef GMEM_TESTS_CORE_RECORDER_H
#define GMEM_TESTS_CORE_RECORDER_H

#include "core/gmem_file.h"

#define RECORDER_PARTS 8

struct recorder {
	struct gmem_consumer consumer;
	struct gmem_file *file;
	char name;
	int refuse_prepare, refuse_begin;  /* -errno */
	const struct gmem_refused *refuse; /* what is told when it does */
	unsigned int nr_refuse;
	struct gmem_change last;
	struct gmem_refused parts[RECORDER_PARTS]; /* that were still to change, at the last call */
	unsigned int nr_parts;
	/* What the first page of the change was, at each call. */
	uint32_t value_at_begin, value_at_end;
	uint8_t byte_at_begin, byte_at_end;
};

/* Adds n recorders named a, b, ... to the file; they are told in that order. */
void recorders_add(struct recorder *r, unsigned int n, struct gmem_file *f);
void recorders_remove(struct recorder *r, unsigned int n);

const char *diary(void);
void diary_clear(void);

#endif
