/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The race test of conversion in place: what its threads and processes share, and its oracle.
 *
 * Everybody accesses pages without holding anything. Two things judge an access afterwards:
 *
 * 1. The page's word, which converters keep: its number changes with each step of
 *
 *	SHARED -> MOVING -> PRIVATE -> MOVING -> SHARED
 *
 *    PRIVATE is written after the ioctl that made the page private returned, and taken back before the one
 *    that makes it shared is called; SHARED likewise. So an access that saw the same word before and after
 *    lay in that state from end to end: with PRIVATE it must have failed, with SHARED succeeded. Converters
 *    may overlap: a page is private as long as somebody holds it so, and is shared by who finds no holder.
 *
 * 2. What the page holds. Each 64-bit word has one writer, and a value tells kind, writer, page and count:
 *
 *	0..30	slots of the hosts		32..47	slots of the guests
 *	48	a counter, lock add by hosts	49	the same by guests
 *	64..	written by one host with one system call
 *
 *    A writer publishes the count it is about to write, and after it succeeded the count it has written. A
 *    reader takes the second before its access and the first after: the count read lies between, or a byte
 *    was lost. Of what hosts write a word may hold two parts that are each right: a system call may store it
 *    byte by byte (oracle.c), and a reader or a punch comes in between. Punches zero pages; they are numbered
 *    per page, and an access that one may have met proves nothing about loss. While a guest has a page private
 *    it keeps the hosts' words aside and fills them with marks (kind P): a host that ever reads a mark has
 *    read a private page, and a host's value among the marks was written to one. It puts back what it kept
 *    before the page may become shared.
 *
 * Pages from WILD on are converted by everybody without agreement; there the second rule alone judges.
 * At the end the state is made known, and every process must see the same, down to the sums of the counters.
 * By then nobody accesses or converts any more, also no process that was slow to hear of the end: the words
 * do not say what is converted then, and what such a process still converted would be undone by nobody.
 */
#ifndef GMEM_TESTS_RACE_RACE_H
#define GMEM_TESTS_RACE_RACE_H

#include <pthread.h>

#include "world.h"

#define NR_PAGES 64u
#define WILD 48u /* first page without agreement */
#define NR_HOSTS 32u
#define NR_GUESTS 16u
#define NR_WRITERS (NR_HOSTS + NR_GUESTS)
#define WORD_GUESTS NR_HOSTS
#define WORD_SUM 48u
#define WORD_GUEST_SUM 49u
#define WORD_BULK 64u
#define BULK_WORDS (PAGE_WORDS - WORD_BULK)
#define NR_STAYING 2u	/* processes */
#define BULK_WRITER 31u /* has no slot of its own */

enum kind { MOVING, SHARED, PRIVATE };

enum place { HOME, CHILD, GRANDCHILD, EXECED, PEER, NR_PLACES };

enum event {
	CPU_READ_OK,
	CPU_READ_BUS,
	CPU_WRITE_OK,
	CPU_WRITE_BUS,
	SYS_READ_OK,
	SYS_READ_EFAULT,
	SYS_WRITE_OK,
	SYS_WRITE_EFAULT,
	REMOTE_OK,
	REMOTE_EFAULT,
	PIPE_OK,
	PIPE_EFAULT,
	FUTEX_OK,
	FUTEX_EFAULT,
	SPAN_SHORT,
	IN_SHARED,
	IN_PRIVATE,
	RETRIED,
	TO_PRIVATE_OK,
	TO_PRIVATE_EAGAIN,
	TO_SHARED_OK,
	CONVERT_EINTR,
	PUNCHES,
	ALLOCATES,
	REMAPS,
	FORKS,
	EXECS,
	KILLS,
	STOPS,
	GUEST_STORES,
	GUEST_LOADS,
	MARKS,
	PINS_HELD,
	NR_STATS
};

struct page_state {
	_Atomic uint32_t lock;
	uint32_t holders;      /* under lock, with before */
	enum kind before;      /* what a page that is being shared was */
	_Atomic uint64_t word; /* number << 2 | kind */
	_Atomic uint32_t marker;
	_Atomic uint32_t punch_begin, punch_end;
	_Atomic uint32_t ever_punched;
};

/* Shared by all processes of the test; what is not atomic is set before they start. */
struct table {
	uint64_t seed;
	uint64_t base;	    /* offset in the file of page 0 */
	uint64_t size;	    /* of the file */
	uint64_t home_host; /* where the file is mapped in the process that made it */
	int home_pid, staying_pid[NR_STAYING];
	bool is_alternating; /* what is not ours in the file: odd pages private */
	unsigned int lag_us; /* how slow those who stay are, once they are to stop */
	_Atomic uint32_t stop, failed, phase, acks;
	_Atomic int32_t slot_pid[NR_HOSTS]; /* 0: free */
	struct page_state page[NR_PAGES];
	_Atomic uint32_t intent[NR_PAGES][NR_WRITERS];
	_Atomic uint64_t done[NR_PAGES][NR_WRITERS]; /* count << 32 | punches seen before */
	_Atomic uint64_t sum_intent[NR_PAGES], sum_done[NR_PAGES];
	_Atomic uint64_t guest_sum[NR_PAGES];
	_Atomic uint64_t stat[NR_PLACES][NR_STATS];
	char why[1024];
};

/* One thread that accesses the file. */
struct actor {
	struct table *t;
	enum place place;
	int fd;
	uint8_t *host;	/* a window of its own that begins at page 0 */
	uint8_t *other; /* another one, had from elsewhere; may be NULL */
	uint8_t *use;	/* the one of the access that is going on */
	unsigned int slot;
	bool is_bulk; /* the one who writes the words from WORD_BULK on */
	uint64_t seed;
	double born;
	int scratch; /* a memfd for read and write */
	int pipe[2];
};

void race_fail(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void count(const struct actor *a, enum event s)
{
	a->t->stat[a->place][s]++;
}
static inline bool stopped(const struct table *t)
{
	return t->stop;
}
/* Between what an access or a conversion goes by and the call. */
void linger(const struct table *t);

/* ---- oracle.c ---- */

/* What was known before an access. */
struct before {
	uint64_t word;
	uint64_t done[NR_WRITERS];
};

uint64_t value_of(char kind, unsigned int writer, unsigned int page, uint32_t n);
void before_access(struct table *t, unsigned int page, struct before *b);
/* Only the word: for accesses whose contents are looked at otherwise. */
uint64_t before_word(const struct table *t, unsigned int page);
/* ok: it succeeded. false: it failed in a page that was shared all the time; who may, tries once more. */
bool judge_access(const struct actor *a, unsigned int page, uint64_t word, bool ok,
		  const char *what);
/* Of a page's words [first, first + nr). marks: the kind P is right too (a guest looks). */
void judge_word(struct table *t, unsigned int page, const struct before *b, uint64_t value,
		unsigned int word, bool marks, const char *who);
void judge_words(struct table *t, unsigned int page, const struct before *b, const uint64_t *words,
		 unsigned int first, unsigned int nr, bool marks, const char *who);
/* A store to a slot: intend, store, settle(ok). intend gives the count to write. */
uint32_t intend(struct table *t, unsigned int page, unsigned int writer, uint32_t nr,
		uint32_t *punches);
void settle(struct table *t, unsigned int page, unsigned int writer, uint32_t n, uint32_t punches);

/* Takes pages [first, first + nr) as private-to-be; how many from first on could be had. */
unsigned int hold(struct table *t, unsigned int first, unsigned int nr);
void held(struct table *t, unsigned int first, unsigned int nr, bool ok);
void unhold(struct table *t, unsigned int first, unsigned int nr);
unsigned int share_begin(struct table *t, unsigned int first, unsigned int nr);
void share_end(struct table *t, unsigned int first, unsigned int nr, bool ok);

/* ---- access.c ---- */

bool actor_make(struct actor *a, struct table *t, enum place place, int fd);
void actor_free(struct actor *a);
/* A slot for a thread of process pid, which has it until slots_drop(). */
int slot_take(struct table *t, int pid);
void slots_drop(struct table *t, int pid);
/* One access of a random kind to a random page, through a random window of the actor. */
void access_one(struct actor *a);
void access_for(struct actor *a, double seconds);

/* ---- change.c ---- */

/* Takes pages and makes them private, for a while; then shares some. g: may be NULL, else marks them. */
void convert_some(struct actor *a, struct guest *g);
void convert_wildly(struct actor *a);
void punch_some(struct actor *a);
/* A window of its own that is moved, cut, changed and left. */
void remap_some(struct actor *a);
/* A guest's access to pages in any state. */
void guest_some(struct actor *a, struct guest *g);

/* ---- procs.c ---- */

/* Who stays says of each but the last that it is through with it. */
#define PHASE_RACE 0u
#define PHASE_PRIVATE 1u
#define PHASE_SHARED 2u
#define PHASE_OVER 3u

/* Forks, kills, stops and execs until told to stop; then waits for all who came of it. */
void fork_some(struct actor *a, const char *self, int table_fd);
/* A process that knows nothing of the file until send_files(). */
int start_peer(const char *self, int *socket);
bool send_files(int socket, const int fds[2]);
int start_child_that_stays(struct table *t, int fd, uint8_t *inherited);
/* The main functions of processes that were started with arguments of ours. */
int peer_main(int socket);
int execed_main(int fd, int table_fd);
struct table *table_map(int table_fd);
/* Every page as the phase says, in the process of a. */
void audit(struct actor *a, uint32_t phase);

#endif
