/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem_populate(): the source is read before the file is locked, since that may fault or wait. */
#include <errno.h>
#include <stddef.h>

#include "lib/calls.h"
#include "lib/lib.h"
#include "obs/obs.h"

#define PIECE (16 * OS_PAGE_SIZE)

static int check(const struct gmem *g, const struct gmem_populate_args *a)
{
	int err;

	if (a->flags)
		return obs_refuse(RULE_POPULATE_FLAGS);
	err = lib_check_inside(g, a->offset, a->size);
	if (!err && !lib_home_file(g))
		err = obs_refuse(RULE_POPULATE_HOME);
	return err;
}

/* The library has no handler of faults: the system reads, and says what cannot be. */
static int copy_source(void *room, const char *source, uint64_t size)
{
	return os_read_program(room, (uintptr_t)source, size) ? obs_refuse(RULE_POPULATE_SOURCE)
							      : 0;
}

static int populate_piece(struct gmem *g, uint64_t offset, uint64_t size, const char *source,
			  void *room, uint64_t *done)
{
	int err;

	*done = 0;
	if (os_signal_pending())
		return -EINTR;
	err = source ? copy_source(room, source, size) : 0;
	if (err)
		return err;
	return gmem_file_populate(lib_home_file(g), offset, size, source ? room : NULL, done);
}

static int populate(struct gmem *g, const struct gmem_populate_args *a, void *room, uint64_t *all)
{
	const char *source = a->source;
	int err = 0;

	for (*all = 0; !err && *all < a->size;) {
		uint64_t left = a->size - *all, done;

		err = populate_piece(g, a->offset + *all, left < PIECE ? left : PIECE,
				     source ? source + *all : NULL, room, &done);
		*all += done;
	}
	return err;
}

int lib_populate(struct gmem *g, struct gmem_populate_args *args)
{
	struct gmem_populate_args a;
	void *room;
	int err =
		lib_args_in(&a, sizeof(a), LIB_MIN_OF(struct gmem_populate_args, populated), args);

	if (err)
		return err;
	if (!g)
		return obs_refuse(RULE_LIB_NO_FILE);
	args->populated = 0;
	err = check(g, &a);
	if (err)
		return err;
	room = os_alloc(PIECE);
	if (!room)
		return obs_refuse(RULE_NO_MEMORY);
	lib_enter();
	err = populate(g, &a, room, &args->populated);
	lib_leave();
	os_free(room, PIECE);
	return err;
}
