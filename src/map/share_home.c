/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The home tells the others. */
#include <errno.h>

#include "map/share_layout.h"
#include "obs/obs.h"

#define SPIN_NS 4000 /* for an answer, before sleeping */
#define NO_PLACE UINT32_MAX

/* One who posts a time. */
static struct os_mutex posting[SHARE_NR_SLOTS];
/* Has not answered in time, and has not since come to the end of its ring. */
static _Atomic bool late[SHARE_NR_SLOTS];

void share_home_after_fork(void)
{
	for (uint32_t i = 0; i < SHARE_NR_SLOTS; i++) {
		os_mutex_init(&posting[i]);
		atomic_store(&late[i], false);
	}
}

/* ---- one command ------------------------------------------------------------------------------- */

/* Its place; NO_PLACE: the ring is full. */
static uint32_t post(struct share *s, uint32_t slot, uint32_t kind, uint64_t file,
		     const struct gmem_refused *runs, uint32_t nr)
{
	struct share_slot *to = &s->slots[slot];
	struct share_command *c;
	uint32_t place;

	os_mutex_lock(&posting[slot]);
	place = atomic_load(&to->next) % SHARE_RING;
	c = &to->ring[place];
	if (atomic_load(&c->state) == SHARE_FREE) {
		c->kind = kind;
		c->file = file;
		c->result = 0;
		c->nr = nr;
		__builtin_memcpy(c->runs, runs, nr * sizeof(*runs));
		atomic_store(&c->state, SHARE_POSTED);
		atomic_fetch_add(&to->next, 1);
	} else {
		place = NO_PLACE;
	}
	os_mutex_unlock(&posting[slot]);
	if (place != NO_PLACE)
		share_ring(&to->bell);
	return place;
}

/* True when it had been done after all. */
static bool leave(struct share_command *c)
{
	uint32_t state = atomic_load(&c->state);

	while (state != SHARE_DONE)
		if (atomic_compare_exchange_weak(&c->state, &state, SHARE_LEFT))
			return false;
	return true;
}

static bool is_done(struct share *s, uint32_t slot, uint32_t place)
{
	return atomic_load(&s->slots[slot].ring[place].state) == SHARE_DONE;
}

static void free_place(struct share *s, uint32_t slot, uint32_t place)
{
	atomic_store(&s->slots[slot].ring[place].state, SHARE_FREE);
}

/* Sleeps until somebody has answered. */
static void await(struct share *s, uint32_t seen, uint64_t deadline)
{
	uint64_t now = os_clock_ns(), spin_end = now + SPIN_NS;
	uint64_t left = deadline > now ? deadline - now : 0;

	while (os_clock_ns() < spin_end) {
		if (atomic_load(&s->answers) != seen)
			return;
		os_relax();
	}
	os_shared_wait(&s->answers, seen, (int64_t)(left < SHARE_LOOK_NS ? left : SHARE_LOOK_NS));
}

static bool is_member(struct share *s, uint32_t slot, uint64_t file)
{
	return share_is_live(s, slot) && share_slot_has(&s->slots[slot], file);
}

static bool is_late(struct share *s, uint32_t slot)
{
	struct share_slot *to = &s->slots[slot];

	if (!atomic_load(&late[slot]))
		return false;
	if (atomic_load(&to->done) != atomic_load(&to->next))
		return true;
	atomic_store(&late[slot], false);
	return false;
}

static void fall_behind(struct share *s, uint32_t slot)
{
	atomic_store(&late[slot], true);
	atomic_store(&s->slots[slot].behind, 1);
	share_ring(&s->slots[slot].bell);
}

/* A slot nobody has any more must not be asked again. It may have been claimed just now: only under
 * its lock. */
static void bury(struct share *s, int fd, uint32_t slot)
{
	if (os_peer_lock(fd, slot))
		return;
	share_set_live(s, slot, false);
	atomic_store(&late[slot], false);
	os_peer_unlock(fd, slot);
}

/* ---- rounds: one command to everybody who has the file ------------------------------------------ */

static bool is_posted(const struct share_round *r, uint32_t slot)
{
	return r->posted[slot / 64] >> (slot % 64) & 1;
}

static void set_posted(struct share_round *r, uint32_t slot, bool posted)
{
	uint64_t bit = (uint64_t)1 << (slot % 64);

	r->posted[slot / 64] = posted ? r->posted[slot / 64] | bit : r->posted[slot / 64] & ~bit;
}

/* A slot may change hands in the middle of a round: a child that is forked by one who has not been told. */
static bool is_told(const struct share_round *r, struct share *s, uint32_t slot)
{
	return r->command[slot] == NO_PLACE && r->owner[slot] == atomic_load(&s->slots[slot].owner);
}

/* Is there something to tell him, or to wait for? */
static bool owes(struct share_round *r, struct share *s, uint32_t slot)
{
	if (is_posted(r, slot))
		return true;
	if (!is_member(s, slot, r->file->id) || is_told(r, s, slot))
		return false;
	return r->kind != SHARE_PINS || atomic_load(&s->slots[slot].nr_pins);
}

static void post_one(struct share_round *r, struct share *s, uint32_t slot)
{
	struct gmem_refused run = { r->offset, r->size };
	uint32_t place;

	/* Whose it is first: one who takes it over now is no member before he is ready to be told. */
	r->owner[slot] = atomic_load(&s->slots[slot].owner);
	if (!is_member(s, slot, r->file->id))
		return;
	r->command[slot] = 0;
	if (r->kind == SHARE_SHOW && is_late(s, slot)) {
		fall_behind(s, slot);
		r->command[slot] = NO_PLACE;
		return;
	}
	place = post(s, slot, r->kind, r->file->id, &run, 1);
	/* A full ring is tried again. */
	if (place == NO_PLACE)
		return;
	r->command[slot] = place;
	set_posted(r, slot, true);
}

/* Tells who was not told. How many are not done. */
static uint32_t post_new(struct share_round *r, struct share *s)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; (i = share_next_live(s, i)) < SHARE_NR_SLOTS; i++) {
		if (!owes(r, s, i))
			continue;
		if (!is_posted(r, i))
			post_one(r, s, i);
		nr++;
	}
	return nr;
}

static void note_pinned(struct share_round *r, const struct share_command *c)
{
	uint32_t nr = c->nr < SHARE_NR_RUNS ? c->nr : SHARE_NR_RUNS;

	for (uint32_t i = 0; i < nr; i++)
		gmem_change_refuse(r->change, c->runs[i].offset, c->runs[i].size);
	if (nr == SHARE_NR_RUNS && c->runs[nr - 1].offset + c->runs[nr - 1].size < r->known)
		r->known = c->runs[nr - 1].offset + c->runs[nr - 1].size;
}

/* What came back. */
static void settle(struct share_round *r, struct share *s, uint32_t slot)
{
	struct share_command *c = &s->slots[slot].ring[r->command[slot]];
	int result = c->result;

	if (result == -EAGAIN && r->change)
		note_pinned(r, c);
	/* Nobody has to believe it. */
	if (result && !r->err)
		r->err = obs_refuse_as(RULE_CONVERT_ELSEWHERE,
				       result < 0 && result >= -4095 ? result : -EIO);
	free_place(s, slot, r->command[slot]);
	set_posted(r, slot, false);
	r->command[slot] = NO_PLACE;
}

/* How many still owe an answer. */
static uint32_t collect(struct share_round *r, struct share *s)
{
	uint32_t nr = 0;

	for (uint32_t word = 0; word < SHARE_NR_SLOTS / 64; word++)
		for (uint64_t bits = r->posted[word]; bits; bits &= bits - 1) {
			uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);

			if (is_done(s, slot, r->command[slot]))
				settle(r, s, slot);
			else
				nr++;
		}
	return nr;
}

static void leave_one(struct share_round *r, struct share *s, uint32_t slot)
{
	if (is_posted(r, slot) && leave(&s->slots[slot].ring[r->command[slot]])) {
		settle(r, s, slot);
		return;
	}
	set_posted(r, slot, false);
	r->command[slot] = NO_PLACE;
}

/* The first from slot on that is live, or was when it was told: another round may have buried it. */
static uint32_t next_of_round(const struct share_round *r, struct share *s, uint32_t slot)
{
	for (; slot < SHARE_NR_SLOTS; slot = (slot | 63) + 1) {
		uint64_t word =
			(atomic_load(&s->live[slot / 64]) | r->posted[slot / 64]) >> (slot % 64);

		if (word)
			return slot + (uint32_t)__builtin_ctzll(word);
	}
	return SHARE_NR_SLOTS;
}

static void drop_dead(struct share_round *r, struct share *s, int fd)
{
	for (uint32_t i = 0; (i = next_of_round(r, s, i)) < SHARE_NR_SLOTS; i++) {
		if (!owes(r, s, i) || (share_is_live(s, i) && share_slot_lives(s, fd, i)))
			continue;
		bury(s, fd, i);
		leave_one(r, s, i);
	}
}

/* The patience is over. */
static void give_up(struct share_round *r, struct share *s)
{
	for (uint32_t i = 0; (i = share_next_live(s, i)) < SHARE_NR_SLOTS; i++) {
		if (!owes(r, s, i))
			continue;
		leave_one(r, s, i);
		fall_behind(s, i);
		if (r->kind != SHARE_SHOW && !r->err)
			r->err = obs_refuse(RULE_CONVERT_NO_ANSWER);
	}
}

/* False: nobody is there, which must cost nothing. */
static bool open_round(struct share_round *r, struct share *s)
{
	if (r->open || share_next_live(s, 0) == SHARE_NR_SLOTS)
		return r->open;
	__builtin_memset(r->posted, 0, sizeof(r->posted));
	__builtin_memset(r->command, 0, sizeof(r->command));
	r->deadline_ns = os_clock_ns() + share_patience_ns();
	r->open = true;
	return true;
}

static void begin_round(struct share_round *r, struct host_file *f, uint32_t kind, uint64_t offset,
			uint64_t size, const struct gmem_change *ch)
{
	struct share *s = share_own(NULL);

	r->file = f;
	r->change = ch;
	r->kind = kind;
	r->offset = offset;
	r->size = size;
	r->err = 0;
	r->known = offset + size;
	r->open = false;
	if (s && open_round(r, s))
		post_new(r, s);
}

static void wait_for_answers(struct share_round *r, struct share *s, int fd)
{
	uint64_t look = 0;

	for (;;) {
		uint32_t seen = atomic_load(&s->answers);
		uint64_t now;

		if (!collect(r, s) && !post_new(r, s))
			return;
		now = os_clock_ns();
		if (!look)
			look = now + SHARE_LOOK_NS;
		if (now >= look || now >= r->deadline_ns) {
			drop_dead(r, s, fd);
			look = now + SHARE_LOOK_NS;
		}
		if (now >= r->deadline_ns) {
			give_up(r, s);
			return;
		}
		await(s, seen, r->deadline_ns);
	}
}

/* A child that was forked by one who had not done it yet is found by looking again. */
static void finish_round(struct share_round *r)
{
	int fd;
	struct share *s = share_own(&fd);

	if (s && open_round(r, s))
		wait_for_answers(r, s, fd);
}

void share_hide_begin(struct share_round *r, struct host_file *f, const struct gmem_change *ch)
{
	begin_round(r, f, SHARE_HIDE, ch->offset, ch->size, ch);
}

int share_hide_end(struct share_round *r)
{
	finish_round(r);
	return r->err;
}

void share_show(struct host_file *f, uint64_t offset, uint64_t size)
{
	struct share_round r;

	begin_round(&r, f, SHARE_SHOW, offset, size, NULL);
	finish_round(&r);
}

int share_ask_pins(struct host_file *f, const struct gmem_change *ch)
{
	uint64_t at = ch->offset, end = ch->offset + ch->size;
	struct share_round r;
	int err = 0;

	/* As often as it takes to hear of all, where the caller wants to know. */
	do {
		begin_round(&r, f, SHARE_PINS, at, end - at, ch);
		finish_round(&r);
		err = err ? err : r.err;
		/* Who says more than he was asked for does not keep us here. */
		at = r.known > at ? r.known : end;
	} while (at < end && gmem_change_wants_all(ch));
	return err;
}

/* ---- all that is shared, for one slot ----------------------------------------------------------- */

/* True: done, or nobody is there any more. */
static bool tell(struct share *s, int fd, uint32_t slot, uint64_t file,
		 const struct gmem_refused *runs, uint32_t nr)
{
	uint64_t deadline = os_clock_ns() + share_patience_ns();
	uint32_t place = NO_PLACE, seen;

	for (;;) {
		seen = atomic_load(&s->answers);
		if (place == NO_PLACE)
			place = post(s, slot, SHARE_SHOW, file, runs, nr);
		if (place != NO_PLACE && is_done(s, slot, place))
			break;
		if ((os_clock_ns() >= deadline || !share_slot_lives(s, fd, slot)) &&
		    (place == NO_PLACE || !leave(&s->slots[slot].ring[place])))
			return false;
		if (place == NO_PLACE || !is_done(s, slot, place))
			await(s, seen, deadline);
	}
	free_place(s, slot, place);
	return true;
}

/* As many shared runs as fit, from *at on. */
static uint32_t next_shared(struct host_file *f, uint64_t *at,
			    struct gmem_refused shared[SHARE_NR_RUNS])
{
	struct gmem_run runs[SHARE_NR_RUNS];
	uint32_t nr = host_file_runs(f, *at, f->size - *at, runs, SHARE_NR_RUNS), nr_shared = 0;

	for (uint32_t i = 0; i < nr; i++) {
		*at = runs[i].offset + runs[i].size;
		if (!(runs[i].attributes & ATTR_PRIVATE))
			shared[nr_shared++] = (struct gmem_refused){ runs[i].offset, runs[i].size };
	}
	return nr_shared;
}

void share_tell_all(struct share *s, uint32_t slot, struct host_file *f)
{
	struct gmem_refused shared[SHARE_NR_RUNS];
	uint64_t at = 0;
	int fd;

	if (share_own(&fd) != s)
		return;
	while (at < f->size) {
		uint32_t nr = next_shared(f, &at, shared);

		if (nr && !tell(s, fd, slot, f->id, shared, nr)) {
			fall_behind(s, slot);
			return;
		}
	}
}
