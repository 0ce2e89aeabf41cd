/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* How a request finds its handler, and how its structure travels. */
#include "kvm/object.h"

#include <errno.h>

#define DIR_WRITE 1u /* the program writes: copied in */
#define DIR_READ 2u  /* the program reads: copied out */

static unsigned int cmd_dir(unsigned int cmd)
{
	return cmd >> 30;
}
static unsigned int cmd_size(unsigned int cmd)
{
	return cmd >> 16 & 0x3fff;
}

static long run_row(const struct ioctl_row *row, void *object, uint64_t arg)
{
	uint8_t data[IOCTL_MAX_SIZE] __attribute__((aligned(16)));
	unsigned int size = cmd_size(row->cmd);
	unsigned int dir = cmd_dir(row->cmd);
	long r;

	os_assert(size <= sizeof(data));
	if (!(dir & DIR_WRITE))
		__builtin_memset(data, 0, size);
	else if (os_copy_in(data, arg, size))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	r = row->fn(object, data, arg);
	if (r >= 0 && (dir & DIR_READ) && os_copy_out(arg, data, size))
		return obs_refuse(RULE_ARGUMENT_UNWRITABLE);
	return r;
}

long ioctl_run(const struct ioctl_row *rows, unsigned int nr, void *object, unsigned int cmd,
	       uint64_t arg)
{
	enum obs_request before;
	unsigned int i;
	long r;

	for (i = 0; i < nr; i++) {
		if (rows[i].cmd != cmd)
			continue;
		before = obs_request_begin(rows[i].request);
		if (rows[i].raw || cmd_dir(cmd) == 0)
			r = rows[i].fn(object, NULL, arg);
		else
			r = run_row(&rows[i], object, arg);
		return obs_request_end(before, r);
	}
	return -NO_SUCH_REQUEST;
}
