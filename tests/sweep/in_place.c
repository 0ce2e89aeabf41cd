/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file that converts in place, with windows of the host, bound and used by a guest. */
#include "world.h"

#include <errno.h>

static int make_file(struct world *w)
{
	return world_file(w, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
}

static int map_all(struct world *w)
{
	int err = world_map(w, 0, 0, NR_PAGES);

	if (!err)
		for (uint64_t page = 0; page < NR_PAGES; page += 50)
			w->window[0][page * PAGE] = (uint8_t)(1 + page / 50);
	return err;
}

static int map_part(struct world *w)
{
	return world_map(w, 1, 100, 200);
}

static int bind(struct world *w)
{
	return world_slot(w, FILE_SLOT, KVM_MEM_GUEST_MEMFD, BASE, FILE_SIZE, w->window[0]);
}

static int write_shared(struct world *w)
{
	return guest_write(w, BASE + 2 * PAGE, 0x22);
}

static int write_private(struct world *w)
{
	return guest_write(w, BASE + 4 * PAGE, 0x44);
}

static int write_private_far(struct world *w)
{
	return guest_write(w, BASE + 511 * PAGE, 0x51);
}

static int to_private(struct world *w)
{
	return world_convert(w, 1, 520, true);
}

#define CONVERT(name, first, nr, priv)                    \
	static int name(struct world *w)                  \
	{                                                 \
		return world_convert(w, first, nr, priv); \
	}
CONVERT(share_3, 3, 1, false)
CONVERT(share_5, 5, 1, false)
CONVERT(share_7, 7, 1, false)
CONVERT(share_64, 64, 36, false)
CONVERT(gaps_to_private, 0, 80, true)
CONVERT(share_many, 100, 300, false)
CONVERT(all_to_private, 0, NR_PAGES, true)
CONVERT(all_to_shared, 0, NR_PAGES, false)

static int own_request(struct world *w)
{
	struct gmem_ioctl_range refused[4];
	struct gmem_ioctl_convert c = {
		.offset = 512 * PAGE,
		.size = 40 * PAGE,
		.attributes = PRIVATE,
		.refused = (uintptr_t)refused,
		.max_refused = 4,
	};

	return (int)uapi_ioctl(w->u, w->file, GMEM_CONVERT, &c);
}

static int ask(struct world *w)
{
	struct gmem_ioctl_run runs[4];
	struct gmem_ioctl_attributes q = {
		.size = FILE_SIZE,
		.runs = (uintptr_t)runs,
		.max_runs = 4,
	};

	return (int)uapi_ioctl(w->u, w->file, GMEM_GET_ATTRIBUTES, &q);
}

static int cut_window(struct world *w)
{
	int err = w->u->unmap(w->window[1] + 50 * PAGE, 50 * PAGE);

	if (!err) {
		w->hole_first = 150;
		w->hole_nr = 50;
	}
	return err;
}

static int punch(struct world *w)
{
	return world_fallocate(w, true, 0, 50);
}

static int allocate(struct world *w)
{
	return world_fallocate(w, false, 0, 100);
}

static int unmap_all(struct world *w)
{
	int err = w->u->unmap(w->window[0], FILE_SIZE);

	if (!err)
		w->window[0] = NULL;
	return err;
}

static int unbind(struct world *w)
{
	return world_slot(w, FILE_SLOT, 0, 0, 0, NULL);
}

static const struct step steps[] = {
	{ "open", step_open },
	{ "vm", step_vm },
	{ "vcpu", step_vcpu },
	{ "map run", step_map_run },
	{ "ram", step_ram },
	{ "file", make_file },
	{ "map all", map_all },
	{ "map part", map_part },
	{ "bind", bind },
	{ "guest writes shared", write_shared },
	{ "to private", to_private },
	{ "guest writes private", write_private },
	{ "guest writes private far", write_private_far },
	{ "share 3", share_3 },
	{ "share 5", share_5 },
	{ "share 7", share_7 },
	{ "share 64", share_64 },
	{ "gaps to private", gaps_to_private },
	{ "own request", own_request },
	{ "ask", ask },
	{ "cut window", cut_window },
	{ "share many", share_many },
	{ "all to private", all_to_private },
	{ "punch", punch },
	{ "allocate", allocate },
	{ "all to shared", all_to_shared },
	{ "unmap all", unmap_all },
	{ "unbind", unbind },
	{ "close file", step_close_file },
	{ "close vcpu", step_close_vcpu },
};

const struct scenario in_place = {
	.name = "in-place",
	.profile = "in-place",
	.paths = "slow-marks",
	STEPS(steps),
	.make = world_make,
	.look = world_look,
	.unmake = world_unmake,
};

const struct scenario in_place_marked = {
	.name = "in-place-marked",
	.profile = "in-place",
	.paths = "fast-marks",
	STEPS(steps),
	.make = world_make,
	.look = world_look,
	.unmake = world_unmake,
};
