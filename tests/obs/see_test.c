/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A trace file is read as it was written; one that is cut or damaged gives what is good, and says where it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "see/ranges.h"
#include "see/trace.h"

#define NR_RECORDS 5u
#define MAX_FILE 65536

static unsigned char file[MAX_FILE];
static size_t file_size;

static struct obs_record record(uint64_t i)
{
	return (struct obs_record){ .sequence = (uint32_t)i + 1, .kind = OBS_PUNCH, .a = i };
}

/* Two chunks of records, and a hole between them. */
static void write_trace(const char *path, struct obs_region *r)
{
	struct obs_record records[NR_RECORDS];
	struct trace_writer *w;
	struct trace_totals totals;
	struct see_sink *s;

	for (uint64_t i = 0; i < NR_RECORDS; i++)
		records[i] = record(i);
	assert_int_equal(trace_writer_open(path, r, &w), 0);
	s = trace_writer_sink(w);
	assert_int_equal(s->records(s->own, r, records, 3), 0);
	assert_int_equal(s->lost(s->own, r, 40), 0);
	assert_int_equal(s->records(s->own, r, records + 3, NR_RECORDS - 3), 0);
	assert_int_equal(s->end(s->own, r, 6), 0);
	totals = trace_writer_close(w);
	assert_int_equal(totals.err, 0);
	assert_int_equal(totals.nr_records, NR_RECORDS);
	assert_int_equal(totals.nr_lost, 40);
}

static int make_file(void **state)
{
	char path[] = "/tmp/gmem-test-trace-XXXXXX";
	uint64_t size = obs_region_size(1);
	struct obs_region *r = aligned_alloc(4096, size);
	int fd = mkstemp(path);
	FILE *f;

	if (!r || fd < 0)
		return -1;
	memset(r, 0, size);
	obs_region_init(r, 1);
	r->tsc_khz = 1000;
	write_trace(path, r);
	f = fdopen(fd, "r");
	file_size = fread(file, 1, sizeof(file), f);
	fclose(f);
	unlink(path);
	free(r);
	return 0;
}

struct found {
	uint64_t nr_records, nr_lost;
	int status, ret;
	char problem[200];
};

static struct found read_bytes(const void *bytes, size_t size)
{
	struct found found = { .status = -1 };
	struct trace_reader *t;
	struct trace_item item;

	found.ret = trace_reader_of(bytes, size, &t);
	while (!found.ret && (found.ret = trace_reader_next(t, &item)) == 1) {
		found.ret = 0;
		if (item.kind == TRACE_RECORDS)
			assert_int_equal(item.record.a, found.nr_records++);
		else if (item.kind == TRACE_LOST)
			found.nr_lost += item.lost.nr;
		else if (item.kind == TRACE_END)
			found.status = item.end.status;
		else
			assert_true(item.kind == TRACE_PROCESS || item.kind == TRACE_MODULE);
		if (found.status >= 0)
			break;
	}
	snprintf(found.problem, sizeof(found.problem), "%s", trace_reader_problem(t));
	trace_reader_close(t);
	return found;
}

static void what_was_written_is_read(void **state)
{
	struct found found = read_bytes(file, file_size);

	assert_int_equal(found.ret, 0);
	assert_int_equal(found.nr_records, NR_RECORDS);
	assert_int_equal(found.nr_lost, 40);
	assert_int_equal(found.status, 6);
}

/* Wherever it is cut: no more is read than there was, and it is said. */
static void a_trace_that_is_cut_gives_what_there_is(void **state)
{
	uint64_t before = 0;

	for (size_t size = 0; size < file_size; size++) {
		unsigned char *part = malloc(size ? size : 1);
		struct found found;

		memcpy(part, file, size);
		found = read_bytes(part, size);
		assert_int_equal(found.ret, -EPROTO);
		assert_true(found.problem[0]);
		assert_true(found.nr_records >= before && found.nr_records <= NR_RECORDS);
		before = found.nr_records;
		free(part);
	}
	assert_int_equal(before, NR_RECORDS);
}

/* A byte of a chunk that is another one is seen. */
static void a_trace_that_is_damaged_is_not_believed(void **state)
{
	static unsigned char copy[MAX_FILE];

	for (size_t at = sizeof(struct trace_header); at < file_size; at++) {
		struct found found;

		memcpy(copy, file, file_size);
		copy[at] ^= 0x21;
		found = read_bytes(copy, file_size);
		assert_true(found.nr_records <= NR_RECORDS);
		assert_int_equal(found.ret, -EPROTO);
		assert_true(found.problem[0]);
	}
}

static void something_else_is_no_trace(void **state)
{
	struct found found =
		read_bytes("#!/bin/sh\necho this is a script and no trace at all\n", 52);

	assert_int_equal(found.ret, -EPROTO);
	assert_string_equal(found.problem, "it is no trace of gmem's");
}

/* Against a plain array. */
static void ranges_are_a_set(void **state)
{
	static bool plain[64];
	struct ranges r = { 0 };
	unsigned int seed = 1;

	for (int turn = 0; turn < 20000; turn++) {
		uint64_t start = (seed = seed * 1103515245 + 12345) >> 16 & 63;
		uint64_t end = start + ((seed = seed * 1103515245 + 12345) >> 16 & 15);
		bool present = (seed = seed * 1103515245 + 12345) >> 20 & 1;
		uint64_t total = 0;

		end = end > 64 ? 64 : end;
		assert_true(ranges_set(&r, start, end, present));
		for (uint64_t i = start; i < end; i++)
			plain[i] = present;
		for (uint64_t i = 0; i < 64; i++)
			total += plain[i];
		assert_int_equal(r.total, total);
		for (size_t i = 0; i < r.nr; i++) {
			assert_true(r.list[i].start < r.list[i].end);
			assert_true(!i || r.list[i - 1].end < r.list[i].start);
			assert_true(plain[r.list[i].start] && plain[r.list[i].end - 1]);
		}
	}
	ranges_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(a_trace_that_is_cut_gives_what_there_is),
		cmocka_unit_test(a_trace_that_is_damaged_is_not_believed),
		cmocka_unit_test(something_else_is_no_trace),
		cmocka_unit_test(ranges_are_a_set),
	};

	return cmocka_run_group_tests(tests, make_file, NULL);
}
