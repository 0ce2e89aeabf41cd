/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Stores of a program's own that say what cannot be. */
#include "t.h"

#include <fcntl.h>
#include <stdbool.h>

#define NR_PAGES 8

enum lie { BEHIND, BEFORE, NOTHING, TOO_MUCH, NR_LIES };

struct odd {
	_Alignas(4096) char memory[NR_PAGES * 4096];
	enum lie lie;
	unsigned int nr_asked;
};

static int odd_address(void *data, uint64_t offset, void **addr)
{
	struct odd *o = data;

	assert_true(offset < sizeof(o->memory));
	*addr = o->memory + offset;
	return 0;
}

static int odd_punch(void *data, uint64_t offset, uint64_t size)
{
	memset(((struct odd *)data)->memory + offset, 0, size);
	return 0;
}

/* Asked for what is there in a part of the file, it names what is outside of that, or nothing. */
static int odd_next_present(void *data, uint64_t *offset, uint64_t end, uint64_t *size)
{
	struct odd *o = data;

	o->nr_asked++;
	*size = o->lie == NOTHING ? 0 : o->lie == TOO_MUCH ? end - *offset + PAGE : PAGE;
	if (o->lie == BEHIND)
		*offset = end;
	else if (o->lie == BEFORE)
		*offset -= PAGE;
	return 1;
}

static const struct gmem_store_ops odd_ops = {
	.ops_size = sizeof(odd_ops),
	.address = odd_address,
	.punch = odd_punch,
	.next_present = odd_next_present,
};

static struct gmem *create_on(struct odd *o)
{
	struct gmem_store store = {
		.args_size = sizeof(store), .fd = -1, .ops = &odd_ops, .data = o
	};
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = GMEM_INIT_SHARED,
					 .size = NR_PAGES * PAGE,
					 .store = &store };
	struct gmem *g = NULL;

	assert_int_equal(gmem_create(&args, &g), 0);
	return g;
}

/* Nothing is taken from it, so nothing outside of the file is looked at. */
static void what_cannot_be_there_is_not(void **state)
{
	static struct odd o;

	for (o.lie = 0; o.lie < NR_LIES; o.lie++) {
		struct gmem_snapshot_info info = { .args_size = sizeof(info) };
		struct gmem *g = create_on(&o);
		struct gmem_snapshot_args args = { .args_size = sizeof(args),
						   .fd = memfd_create("snapshot", MFD_CLOEXEC) };

		assert_true(args.fd >= 0);
		t_private(g, 3, 2);
		o.nr_asked = 0;
		assert_int_equal(gmem_snapshot(g, &args), 0);
		assert_int_equal(o.nr_asked, 3);
		assert_int_equal(gmem_snapshot_check(args.fd, GMEM_CHECK_CONTENTS, &info), 0);
		assert_int_equal(info.size, NR_PAGES * PAGE);
		assert_int_equal(info.data_bytes, 0);
		assert_int_equal(info.private_bytes, 2 * PAGE);
		close(args.fd);
		gmem_put(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_be_there_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
