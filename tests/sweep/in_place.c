/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file that converts in place, with windows of the host, bound and used by a guest. */
#include "steps.h"

#include <errno.h>

GUEST_WRITES(write_shared, 2, 0x22)
GUEST_WRITES(write_private, 4, 0x44)
GUEST_WRITES(write_private_far, 511, 0x51)
CONVERT(to_private, 1, 520, true)
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

static int unmap_all(struct world *w)
{
	int err = w->u->unmap(w->window[0], FILE_SIZE);

	if (!err)
		w->window[0] = NULL;
	return err;
}

static const struct step steps[] = {
	STEPS_TO_RUN,
	{ "file", step_shared_file },
	{ "map all", step_map_all },
	{ "map part", step_map_part },
	{ "bind", step_bind },
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
	{ "punch", step_punch },
	{ "allocate", step_allocate },
	{ "all to shared", all_to_shared },
	{ "unmap all", unmap_all },
	{ "unbind", step_unbind },
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

/* Only what huge pages make different. */
static const struct step thp_steps[] = {
	STEPS_TO_RUN,
	{ "file", step_shared_file },
	{ "allocate", step_allocate },
	{ "map all", step_map_all },
	{ "bind", step_bind },
	{ "guest writes shared", write_shared },
	{ "to private", to_private },
	{ "guest writes private", write_private },
	{ "share 64", share_64 },
	{ "punch", step_punch },
	{ "all to private", all_to_private },
	{ "all to shared", all_to_shared },
};

const struct scenario in_place_thp = {
	.name = "in-place-thp",
	.profile = "in-place",
	.pages = "thp",
	.paths = "fast-huge",
	STEPS(thp_steps),
	.swept_from = 5,
	.make = world_make,
	.look = world_look,
	.unmake = world_unmake,
};

/* A block that goes to huge pages of the pool and back. */
static const struct step steps_2m[] = {
	STEPS_TO_RUN,
	{ "file", step_shared_file },
	{ "map all", step_map_all },
	{ "bind", step_bind },
	{ "guest writes shared", write_shared },
	{ "all to private", all_to_private },
	{ "guest writes private", write_private },
	{ "share 64", share_64 },
	{ "punch", step_punch },
	{ "all to private again", all_to_private },
	{ "all to shared", all_to_shared },
	{ "unbind", step_unbind },
	{ "close file", step_close_file },
};

const struct scenario in_place_2m = {
	.name = "in-place-2m",
	.profile = "in-place",
	.pages = "2m",
	STEPS(steps_2m),
	.swept_from = 5,
	.make = world_make,
	.look = world_look,
	.unmake = world_unmake,
};
