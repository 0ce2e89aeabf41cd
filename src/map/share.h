/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * share: how the processes that have a guest_memfd agree on who may touch which page.
 *
 *	home (made the files)                     peer (forked, or sent a descriptor, or exec'ed)
 *
 *	conversion ─ HIDE ──> ring of the slot ──> agent thread: host_map_hide(), host_map_show()
 *	           <─ done ──                      in the order in which they were sent
 *	service thread <──── request of the slot <── convert, punch, allocate, query, attach
 *	           │
 *	           └─ the share: a memfd that both have mapped; one slot a peer (share_layout.h)
 *
 * A peer knows a page as shared only when the home has told; everything else is private. All changes of a
 * replica come through the ring, in order, also what a newcomer is told and what a late one has missed. So
 * there are no generations to compare.
 *
 * A forked child with windows starts with its parent's copy of the state and with a slot that was claimed
 * before the fork: whatever is converted from then on waits for the child, too. No round trip is made. A child
 * without windows asks when it first needs a file.
 *
 * Locks, outermost first: file invalidate -> a link's apply lock (agent; share_run_pending) -> host_map's own.
 * A link's request lock is above all of them; who waits for home holds no other. The agent takes none that
 * anybody holds while he waits for it.
 */
#ifndef GMEM_MAP_SHARE_H
#define GMEM_MAP_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "map/host_file.h"

#define SHARE_NR_SLOTS 256

/* ---- home: from the last consumer of a file, invalidate lock held exclusively ------------------- */

/* What one hiding has sent to whom. */
struct share_round {
	struct host_file *file;
	const struct gmem_change *change;
	uint32_t kind;
	uint64_t offset, size, deadline_ns;
	bool open; /* there was somebody; what follows is valid */
	uint64_t posted[SHARE_NR_SLOTS / 64];
	uint32_t command[SHARE_NR_SLOTS]; /* place in the slot's ring */
	uint32_t owner[SHARE_NR_SLOTS];	  /* of the slot, who was told */
	uint64_t known; /* what is pinned is known up to here: an answer has room for so many */
	int err;
};
void share_hide_begin(struct share_round *r, struct host_file *f, const struct gmem_change *ch);
/* Waits for all. -EAGAIN: one did not answer in time, or has pins (told to the change); -ENOMEM. Whoever
 * has it hidden has so still: the caller shows again. */
int share_hide_end(struct share_round *r);
/* Tells the others, and waits no longer than the patience; one that is late hears it later. */
void share_show(struct host_file *f, uint64_t offset, uint64_t size);
/* Do other processes hold pages? Asked only where one says that it has pins at all. -EAGAIN. */
int share_ask_pins(struct host_file *f, const struct gmem_change *ch);
/* The last step that can fail has been done. False: who asked (another process) does not wait any more
 * and has been told that nothing happened. */
bool share_commit(const struct gmem_change *ch);

/* The share and its service thread, for who must have them early (before a filter of system calls). */
int share_start(void);
/* What the service thread does beside, some times a second at most, outside of everything. At the start of a process. */
void share_set_idle(void (*fn)(void));
int share_name(uint64_t id, char name[HOST_FILE_NAME_MAX]);

/* ---- elsewhere ---------------------------------------------------------------------------------- */

/* Where a handle's name leads. -ENOENT: the text is not the name of a handle; -ESTALE, -EACCES. link NULL: the
 * file is this process's own. */
int share_find(const char *name, struct share_link **link, uint64_t *id);
/* Fills in what the home tells of the file (link and id are set). */
int share_inform(struct host_file *f);
/* From here on the state is kept up to date: asks the home what is shared, unless that was done. */
void share_load(struct host_file *f);
void share_detach(struct host_file *f);
/* As the functions of host_file.h. */
int share_convert(struct host_file *f, struct gmem_conversion *c);
int share_punch(struct host_file *f, uint64_t offset, uint64_t size);
int share_allocate(struct host_file *f, uint64_t offset, uint64_t size);
int share_query(struct host_file *f, uint64_t offset, uint64_t size, struct gmem_run *runs,
		uint32_t max, uint32_t *nr);
int share_stop(struct host_file *f);
int share_go(struct host_file *f);

/* The home asks for pins, before it changes anything, only where there are some. Does nothing at home. */
void share_count_pins(struct host_file *f, int by);
/* Waits for the command that is being done here, if one is. */
void share_await_command(struct host_file *f);

/* Does what the home has told this process and the agent has not come to yet. For the handler of SIGBUS: true
 * when something was done, so the access is worth another try. No lock of ours may be held. */
bool share_run_pending(void);
/* Has this process files whose home is another? */
bool share_is_elsewhere(void);

/* ---- for who only looks (gmem map): share_list.c ------------------------------------------------ */

struct share_listed {
	uint64_t id, size;
	uint32_t flags; /* GMEM_FILE_* */
};
/* The next share that process pid is the home of, from its descriptor *fd (0 at first) on, which moves past it.
 * -ENOENT: no more, or no such process; -EACCES: it may not be looked at. The link is never given back. */
int share_list_open(uint32_t pid, int *fd, struct share_link **out);
/* The first file of it whose number is at least from. -ENOENT: no more; -EAGAIN, -EIO, -ENOSPC. */
int share_list_next(struct share_link *l, uint64_t from, struct share_listed *out);
/* Runs of one as host_file_query(), a few at a time: *nr of them. -ESTALE: it went. */
int share_list_query(struct share_link *l, uint64_t id, uint64_t offset, uint64_t size,
		     struct gmem_run *runs, uint32_t max, uint32_t *nr);

/* ---- fork ---------------------------------------------------------------------------------------- */

/* These call those of host_map.h, too. The shim's mapping lock and what else is above is the caller's. A child
 * sees what is shared when the last one returns: first thing of map/ in it, after os_after_fork(). */
void share_before_fork(struct host_map *m);
void share_after_fork_in_parent(struct host_map *m);
void share_after_fork_in_child(struct host_map *m);

/* ---- host_file.c, for the files of the share and who looks at all files ------------------------ */

void host_file_for_each(void (*fn)(struct host_file *f, void *arg), void *arg);
/* Counted; NULL. link NULL: at home. */
struct host_file *host_file_find(uint64_t id, const struct share_link *link);
/* Runs of the state as it is known here; the caller holds it still or does not care. */
uint32_t host_file_runs(struct host_file *f, uint64_t offset, uint64_t size, struct gmem_run *runs,
			uint32_t max);
/* At home, while it stands still: with what has failed. */
uint32_t host_file_stopped_runs(struct host_file *f, uint64_t offset, uint64_t size,
				struct gmem_run *runs, uint32_t max);
/* The same for host_file_where(): share_stopped.c. */
uint32_t host_file_stopped_where(struct host_file *f, uint64_t offset, uint64_t size,
				 struct gmem_run *runs, uint32_t max);

#endif
