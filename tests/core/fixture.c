/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "fixture.h"

#include "test.h"

#define UNTOUCHED 0x5555u

static uint64_t live_before;

struct gmem_file *file_of(uint64_t size, unsigned int flags)
{
	struct gmem_file *f;

	live_before = os_alloc_live();
	assert_int_equal(gmem_file_create(size, flags | GMEM_FILE_IN_PLACE, &f), 0);
	return f;
}

void close_file(struct gmem_file *f)
{
	int fd = store_fd(gmem_file_store(f));

	gmem_file_check(f);
	gmem_file_put(f);
	assert_int_equal(os_alloc_live(), live_before);
	assert_false(os_fd_is_ours(fd));
}

int convert_where(struct gmem_file *f, uint64_t offset, uint64_t size, uint32_t attributes,
		  uint64_t *where)
{
	struct gmem_conversion c = {
		.offset = offset, .size = size, .attributes = attributes, .error_offset = UNTOUCHED
	};
	int err = gmem_file_convert(f, &c);

	assert_int_equal(c.error_offset == UNTOUCHED, !err);
	assert_int_equal(c.nr_refused, 0);
	*where = c.error_offset;
	gmem_file_check(f);
	return err;
}

int convert(struct gmem_file *f, uint64_t offset, uint64_t size, uint32_t attributes)
{
	uint64_t where;

	return convert_where(f, offset, size, attributes, &where);
}

bool all_are(struct gmem_file *f, uint64_t offset, uint64_t size, uint32_t attributes)
{
	uint32_t value;

	return attr_map_uniform(gmem_file_attributes(f), offset / PAGE, size / PAGE, &value) &&
	       value == attributes;
}

uint8_t *page_at(struct gmem_file *f, uint64_t offset)
{
	void *addr;

	assert_int_equal(store_address(gmem_file_store(f), offset, &addr), 0);
	return addr;
}

void fail_all(enum os_fail_point point)
{
	os_fail_arm(&(struct os_fail_plan){ .points = 1u << point, .nr = UINT64_MAX });
}

void fail_none(void)
{
	struct os_fail_seen seen;

	os_fail_disarm(&seen);
	assert_true(seen.nr_failed > 0);
}
