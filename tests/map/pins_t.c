/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "pins_t.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/os.h"

/* ---- a file, as far as pins know one ------------------------------------------------------- */

struct host_file file;
char *window;
char ranges[400];
static uint64_t live;

int nr_of_our_descriptors(void)
{
	int nr = 0;

	for (int fd = os_fd_next(0); fd >= 0; fd = os_fd_next(fd + 1))
		nr++;
	return nr;
}

int pins_setup(void **state)
{
	memset(&file, 0, sizeof(file));
	file.size = NR_PAGES * PAGE;
	file.store_fd = (int)syscall(SYS_memfd_create, "store", MFD_CLOEXEC);
	assert_int_equal(ftruncate(file.store_fd, NR_PAGES * PAGE), 0);
	window = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file.store_fd, 0);
	assert_ptr_not_equal(window, MAP_FAILED);
	live = os_alloc_live();
	return 0;
}

int pins_teardown(void **state)
{
	pins_release(&file);
	assert_int_equal(file.pins.nr, 0);
	assert_false(pipes_any());
	assert_int_equal(nr_of_our_descriptors(), 0);
	assert_int_equal(os_alloc_live(), live);
	munmap(window, NR_PAGES * PAGE);
	close(file.store_fd);
	return 0;
}

void note(void *arg, uint64_t offset, uint64_t size)
{
	size_t used = strlen(ranges);

	assert_ptr_equal(arg, ranges);
	assert_int_equal(offset % PAGE | size % PAGE, 0);
	snprintf(ranges + used, sizeof(ranges) - used, "%s%u+%u", used ? " " : "",
		 (unsigned int)(offset / PAGE), (unsigned int)(size / PAGE));
}

const char *pinned_in(uint64_t first, uint64_t nr)
{
	ranges[0] = 0;
	pins_check(&file, first * PAGE, nr * PAGE, note, ranges);
	return ranges;
}

const char *pinned(void)
{
	return pinned_in(0, NR_PAGES);
}

struct pin *intend(uint64_t offset, uint64_t size)
{
	struct pin *p;

	assert_int_equal(pin_intend(&file, offset, size, &p), 0);
	return p;
}

/* ---- pipes --------------------------------------------------------------------------------- */

void make_pipe(int ends[2])
{
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

void close_pipe(int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

ssize_t give(int fd, const int *pages, uint32_t nr, unsigned int flags)
{
	static char other[PAGE];
	struct pipe_piece pieces[8];
	struct pipe_push *push;
	struct iovec iov[8];
	ssize_t ret;

	for (uint32_t i = 0; i < nr; i++) {
		bool is_other = pages[i] < 0;

		pieces[i].file = is_other ? NULL : &file;
		pieces[i].offset = is_other ? 0 : (uint64_t)pages[i] * PAGE;
		pieces[i].size = PAGE;
		iov[i].iov_base = is_other ? other : window + pieces[i].offset;
		iov[i].iov_len = PAGE;
	}
	assert_int_equal(pipe_push_begin(fd, pieces, nr, &push), 0);
	ret = vmsplice(fd, iov, nr, flags);
	pipe_push_end(push, ret < 0 ? -errno : ret);
	return ret;
}

ssize_t move(int in, int out, size_t size, bool is_tee)
{
	struct pipe_pass *pass;
	ssize_t ret;

	assert_int_equal(pipe_pass_begin(in, out, &pass), 0);
	ret = is_tee ? tee(in, out, size, 0) : splice(in, NULL, out, NULL, size, 0);
	pipe_pass_end(pass, ret < 0 ? -errno : ret);
	return ret;
}

void drain(int fd, size_t size)
{
	static char bytes[16 * PAGE];

	while (size) {
		ssize_t n = read(fd, bytes, size < sizeof(bytes) ? size : sizeof(bytes));

		assert_true(n > 0);
		size -= (size_t)n;
	}
}
