/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A file of another process without a descriptor of it: for the gmem command. */
#include <errno.h>

#include "lib/lib.h"
#include "map/share.h"
#include "obs/obs.h"

/* The first of these shares that has the file; a process has one for each copy of gmem in it. */
static int find_listed(uint32_t pid, uint64_t id, struct share_link **link)
{
	struct share_listed listed;
	int fd = 0, err;

	while (!(err = share_list_open(pid, &fd, link))) {
		err = share_list_next(*link, id, &listed);
		if (err != -ENOENT && (err || listed.id == id))
			return err;
	}
	return err;
}

static int adopt_listed(struct gmem *g, uint32_t pid, uint64_t id)
{
	struct share_link *link;
	int err = find_listed(pid, id, &link);

	return err ? err : host_file_adopt_number(lib_host_map(), link, id, &g->file);
}

int lib_open_listed(uint32_t pid, uint64_t id, struct gmem **out)
{
	struct gmem *g;
	int err = lib_ready();

	if (err)
		return err;
	g = lib_make();
	if (!g)
		return obs_refuse(RULE_NO_MEMORY);
	err = adopt_listed(g, pid, id);
	if (err) {
		os_free(g, sizeof(*g));
		return err;
	}
	lib_enlist(g);
	*out = g;
	return 0;
}
