/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The memory that home and peers share, and what all of them do with it. For the files of the share alone.
 *
 * A slot is its owner's who holds the OFD lock on byte `number` of the share; nothing else says so. Who
 * claims a slot that a dead process left goes on where that one stood: commands it has left are done (for
 * files that the new one does not have there is nothing to do).
 *
 *	command		FREE -> POSTED (home) -> TAKEN -> DONE (peer) -> FREE (home, which has read the result)
 *			POSTED -> LEFT (home waits no longer) -> FREE (peer, without doing it)
 *			TAKEN -> LEFT -> FREE (peer, having done it)
 *	request		IDLE -> POSTED (peer) -> TAKEN (home) -> SURE -> DONE (home) -> IDLE (peer)
 *			POSTED -> IDLE (peer waits no longer: it was not done)
 *			TAKEN -> LEFT (peer) -> IDLE (home: it was not done)
 *			SURE: nothing can stop it any more, the peer may count a conversion as done
 */
#ifndef GMEM_MAP_SHARE_LAYOUT_H
#define GMEM_MAP_SHARE_LAYOUT_H

#include "map/share.h"
#include "os/os.h"
#include "os/peer.h"

#define SHARE_MAGIC 0x65726168736d6567u
#define SHARE_VERSION 1
#define SHARE_FILE_NAME "gmem-share"
#define SHARE_HOME_BYTE SHARE_NR_SLOTS
#define SHARE_RING 8
#define SHARE_NR_RUNS 64
/* So many ranges that refused are told to another process; also the most that GMEM_CONVERT takes. */
#define SHARE_MAX_REFUSED (1u << 20)
/* Which files a slot has is kept by number modulo this: two that meet cost a wait, no more. */
#define SHARE_NR_FILES 1024

enum { SHARE_FREE, SHARE_POSTED, SHARE_TAKEN, SHARE_SURE, SHARE_DONE, SHARE_LEFT };

enum share_command_kind { SHARE_HIDE, SHARE_SHOW, SHARE_PINS };
struct share_command {
	_Atomic uint32_t state;
	uint32_t kind;
	uint64_t file;
	int32_t result;
	uint32_t nr;
	struct gmem_refused runs[SHARE_NR_RUNS]; /* what to do; DONE with -EAGAIN: what is pinned */
};

enum share_request_kind {
	SHARE_INFO,
	SHARE_ATTACH,
	SHARE_CONVERT,
	SHARE_PUNCH,
	SHARE_ALLOCATE,
	SHARE_QUERY,
	SHARE_NEXT, /* share_list.c: the first file whose number is at least file */
	SHARE_REFUSED, /* what else refused the conversion before: from the one with number offset on */
	SHARE_STOP, /* the file stands still; until SHARE_GO the slot is served alone */
	SHARE_GO,
	SHARE_WHERE, /* in between: runs as host_file_where(), and info.store_fd for what is HOST_FILE_HUGE */
};
struct share_file {
	uint64_t id, size;
	uint32_t flags;
	int32_t store_fd;
};
struct share_request {
	_Atomic uint32_t state;
	uint32_t kind;
	uint64_t file, offset, size;
	uint32_t attributes, max;
	int32_t result;
	uint32_t nr;
	uint64_t error_offset;
	struct share_file info;
	union {
		struct gmem_run runs[SHARE_NR_RUNS];
		struct gmem_refused refused[SHARE_NR_RUNS];
	};
};

/* What the peer has of all it must know. */
enum share_catch_up {
	SHARE_CAUGHT_UP,
	SHARE_TELL_ME, /* the peer asks for all of it */
	SHARE_TELLING, /* the home is at it */
};
/* After how long of waiting to ask whether who is waited for still lives. */
#define SHARE_LOOK_NS 5000000

struct share_slot {
	_Atomic uint32_t pid;	/* 0: a child that is just being made */
	_Atomic uint32_t owner; /* counts those who have claimed it */
	_Atomic uint64_t pid_namespace;
	_Atomic uint32_t bell;	   /* rung by the home: look at commands and request */
	_Atomic uint32_t behind;   /* set by the home: something was not told */
	_Atomic uint32_t catch_up; /* enum share_catch_up */
	_Atomic uint32_t caught;   /* counts how often that was done */
	_Atomic uint32_t nr_pins;
	_Atomic uint32_t next, done; /* places in the ring: the home's, the peer's */
	_Atomic uint64_t files[SHARE_NR_FILES / 64];
	struct share_command ring[SHARE_RING];
	struct share_request request;
} __attribute__((aligned(64)));

struct share {
	uint64_t magic;
	uint64_t version;
	uint64_t token[2];
	uint32_t home_pid;
	int32_t home_fd;
	uint64_t home_namespace;
	_Atomic uint32_t doorbell;		    /* rung by peers: there are requests */
	_Atomic uint32_t answers;		    /* rung by peers: commands are done */
	_Atomic uint64_t live[SHARE_NR_SLOTS / 64]; /* claimed; the lock says whether it still is */
	struct share_slot slots[SHARE_NR_SLOTS];
};

static inline void share_ring(_Atomic uint32_t *bell)
{
	atomic_fetch_add(bell, 1);
	os_shared_wake(bell);
}

static inline bool share_is_live(struct share *s, uint32_t slot)
{
	return atomic_load(&s->live[slot / 64]) >> (slot % 64) & 1;
}

static inline void share_set_live(struct share *s, uint32_t slot, bool live)
{
	uint64_t bit = (uint64_t)1 << (slot % 64);

	if (live)
		atomic_fetch_or(&s->live[slot / 64], bit);
	else
		atomic_fetch_and(&s->live[slot / 64], ~bit);
}

/* The first live one from slot on; SHARE_NR_SLOTS: none. */
static inline uint32_t share_next_live(struct share *s, uint32_t slot)
{
	for (; slot < SHARE_NR_SLOTS; slot = (slot | 63) + 1) {
		uint64_t word = atomic_load(&s->live[slot / 64]) >> (slot % 64);

		if (word)
			return slot + (uint32_t)__builtin_ctzll(word);
	}
	return SHARE_NR_SLOTS;
}

/* From when something was missed until the home has told all of it. */
static inline bool share_is_behind(struct share_slot *s)
{
	return atomic_load(&s->behind) || atomic_load(&s->catch_up) != SHARE_CAUGHT_UP;
}

static inline bool share_slot_has(struct share_slot *s, uint64_t id)
{
	unsigned int bit = id % SHARE_NR_FILES;

	return atomic_load(&s->files[bit / 64]) >> (bit % 64) & 1;
}

static inline void share_slot_add(struct share_slot *s, uint64_t id)
{
	unsigned int bit = id % SHARE_NR_FILES;

	atomic_fetch_or(&s->files[bit / 64], (uint64_t)1 << (bit % 64));
}

static inline uint64_t share_patience_ns(void)
{
	return (uint64_t)atomic_load(&host_file_patience_ms) * 1000000;
}

/* share.c */
struct share_home {
	struct share *share; /* NULL: none was made */
	int fd;
	struct share_link *for_child; /* whose way home must not need memory */
};
/* This process's own share; made when there is none. */
int share_make(struct share_home *out);
/* The share if there is one. */
struct share *share_own(int *fd);
/* Another process's, by where it is: mapped, and *fd a description of our own. */
int share_open(uint32_t pid, int home_fd, const uint64_t token[2], struct share **out, int *fd);
void share_close(struct share *s, int fd);
/* A slot of the share for who holds fd's description. -ENOSPC. */
int share_claim(struct share *s, int fd, uint32_t *slot);
/* Does the process that has the slot, or the home, still live (and run what it ran)? fd: not theirs. */
bool share_slot_lives(struct share *s, int fd, uint32_t slot);
bool share_home_lives(struct share *s, int fd);
/* In a forked child: the way to what was our own and is the parent's. NULL: there was none. Cannot fail. */
struct share_link *share_take_own(void);

/* share_home.c: runs that are shared are told to a slot; the file is held. */
void share_tell_all(struct share *s, uint32_t slot, struct host_file *f);
void share_home_after_fork(void);

/* share_service.c */
void share_serve(void *share);
void share_service_after_fork(void);

/* share_link.c: links are made and never go; when the home has, no thread and no descriptor of it is left. */
struct share_link {
	struct share_link *next;
	struct share *share;
	int fd; /* our description of the share */
	_Atomic bool has_slot;
	uint32_t slot;
	_Atomic bool gone;	 /* the home: for good */
	bool refused;		 /* a slot; said so */
	struct os_mutex request; /* one at a time */
	struct os_mutex apply;	 /* over each command, in order */
	struct os_thread *agent;
	int child_fd; /* between before and after a fork; -1: the child gets no slot */
	uint32_t child_slot;
};
extern _Atomic(struct share_link *) share_links;
/* 0: r is to be filled in and asked, share_end_request() must follow. -EIO: the home is gone; -EAGAIN; -ENOSPC. */
int share_begin_request(struct share_link *l, uint32_t kind, uint64_t file,
			struct share_request **out);
/* Such a request about a range, from begin to end: the answer. */
int share_ask_range(struct host_file *f, uint32_t kind, uint64_t offset, uint64_t size);
/* The home's answer, or why there is none. -EAGAIN: none in time, it was not and will not be done; -EINPROGRESS:
 * a conversion that cannot be stopped any more. Anything else that cannot be is waited for, while the home lives. */
int share_ask(struct share_link *l, struct share_request *r);
void share_end_request(struct share_link *l);
/* Runs of a file of the home, as many as one answer has room for. */
int share_ask_runs(struct share_link *l, uint64_t id, uint64_t offset, uint64_t size,
		   struct gmem_run *runs, uint32_t max, uint32_t *nr);
/* Has the home ended? Asks the kernel, until it has. */
bool share_is_gone(struct share_link *l);
/* It has: what is left is what the link says of it. */
void share_link_end(struct share_link *l);
/* NULL: no memory. */
struct share_link *share_link_new(struct share *s, int fd);
/* The same in memory that is there: zeroed, and the list's from here on. */
void share_link_add(struct share_link *l, struct share *s, int fd);
/* No link is made in between. */
void share_link_lock(void);
void share_link_unlock(void);
void share_link_after_fork(void);

/* agent.c */
int agent_start(struct share_link *l);
/* Does what is in the ring; true when there was anything. The caller holds apply. */
bool agent_work(struct share_link *l);
/* The same where nobody else is at it. */
bool agent_try_work(struct share_link *l);

/* host_file.c: no file comes or goes in between, none changes at home. */
void host_file_freeze(void);
void host_file_thaw(void);
void host_file_after_fork(void);
/* Between them, without locks. */
struct host_file *host_file_first(void);

static inline struct share_slot *share_link_slot(struct share_link *l)
{
	return &l->share->slots[l->slot];
}

#endif
