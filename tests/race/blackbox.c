/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "blackbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

void box_make(struct box *b, uint64_t flags)
{
	trap_install(); /* here: cmocka has its own around each test */
	world_make(&b->w, SIZE, flags);
	guest_make(&b->g, &b->w, 0);
}

void box_free(struct box *b)
{
	guest_free(&b->g);
	world_free(&b->w);
}

int set_raw(int fd, struct kvm_memory_attributes2 *a)
{
	return ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, a) ? -errno : 0;
}

int to_private(const struct box *b, unsigned int page, unsigned int nr)
{
	return convert(b->w.gmem, page * PAGE, nr * PAGE, true, NULL);
}

int to_shared(const struct box *b, unsigned int page, unsigned int nr)
{
	return convert(b->w.gmem, page * PAGE, nr * PAGE, false, NULL);
}

void expect_shut(uint8_t *host, unsigned int page)
{
	static const unsigned int at[] = { 0, 2048, 4088 };
	uint64_t value;

	for (unsigned int i = 0; i < 3; i++) {
		if (host_load(host + page * PAGE + at[i], &value) != TOUCH_BUS)
			fail_msg("page %u + %u is not shut for loads: %s", page, at[i],
				 trap_text());
		if (host_store(host + page * PAGE + at[i], 1) != TOUCH_BUS)
			fail_msg("page %u + %u is not shut for stores: %s", page, at[i],
				 trap_text());
	}
}

void expect_open(uint8_t *host, unsigned int page, uint64_t value)
{
	uint64_t found = ~value;

	if (host_load(host + page * PAGE, &found) != TOUCHED)
		fail_msg("page %u is not open: %s", page, trap_text());
	assert_int_equal(found, value);
	assert_int_equal(host_store(host + page * PAGE, value), TOUCHED);
}

void private_block(struct box *b, unsigned int page, uint64_t found, uint64_t written)
{
	expect_shut(b->w.host, page);
	assert_int_equal(guest_load(&b->g, page * PAGE), found);
	guest_store(&b->g, page * PAGE, written);
	expect_shut(b->w.host, page);
}

void shared_block(struct box *b, unsigned int page, uint64_t found, uint64_t host, uint64_t guest)
{
	expect_open(b->w.host, page, found);
	assert_int_equal(host_store(b->w.host + page * PAGE, host), TOUCHED);
	assert_int_equal(guest_load(&b->g, page * PAGE), host);
	guest_store(&b->g, page * PAGE, guest);
	expect_open(b->w.host, page, guest);
}

void pin(int pipe_fds[2], void *page, unsigned int nr_pages)
{
	struct iovec v = { page, nr_pages * PAGE };

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(vmsplice(pipe_fds[1], &v, 1, 0), nr_pages * PAGE);
}

void unpin(int pipe_fds[2])
{
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
