/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The files of another process, for who only looks: nothing is attached, so no conversion waits for us. */
#include <errno.h>

#include "map/share_layout.h"

static bool is_home_of(const struct share *s, uint32_t pid, int fd)
{
	return s->home_fd == fd && (s->home_pid == pid || s->home_namespace != os_peer_namespace());
}

/* A peer has descriptors of the shares of its homes, too. */
int share_list_open(uint32_t pid, int *fd, struct share_link **out)
{
	char text[HOST_FILE_NAME_MAX];

	for (;;) {
		struct share *s;
		int own;
		int number = os_peer_find(pid, *fd, "/memfd:" SHARE_FILE_NAME, text, sizeof(text));

		if (number < 0)
			return number;
		*fd = number + 1;
		if (share_open(pid, number, NULL, &s, &own))
			continue;
		if (is_home_of(s, pid, number)) {
			*out = share_link_new(s, own);
			if (*out)
				return 0;
		}
		share_close(s, own);
	}
}

int share_list_next(struct share_link *l, uint64_t from, struct share_listed *out)
{
	struct share_request *r;
	int err = share_begin_request(l, SHARE_NEXT, from, &r);

	if (err)
		return err;
	err = share_ask(l, r);
	*out = (struct share_listed){ .id = r->info.id,
				      .size = r->info.size,
				      .flags = r->info.flags };
	share_end_request(l);
	return err == -ESTALE ? -ENOENT : err;
}

int share_list_query(struct share_link *l, uint64_t id, uint64_t offset, uint64_t size,
		     struct gmem_run *runs, uint32_t max, uint32_t *nr)
{
	return share_ask_runs(l, id, offset, size, runs, max, nr);
}
