/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The home's service thread: what peers ask for. */
#include <errno.h>

#include "core/range.h"
#include "map/share_layout.h"
#include "os/signal.h"

#define IDLE_NS 1000000000
#define STOPPED_LOOK_NS 100000000

/* What is being made for a peer now, and whose wish it is. */
static _Atomic(const struct gmem_conversion *) making;
static struct share_request *_Atomic making_for;

/* From here on the peer cannot take it back; false: it has. */
static bool make_sure(struct share_request *r)
{
	uint32_t taken = SHARE_TAKEN;

	return atomic_compare_exchange_strong(&r->state, &taken, SHARE_SURE);
}

bool share_commit(const struct gmem_change *ch)
{
	const struct gmem_conversion *c = atomic_load(&making);

	return !c || c != ch->conversion || make_sure(atomic_load(&making_for));
}

/* All that refused the last conversion of a slot; an answer has room for the first few only. */
static struct kept {
	struct gmem_refused *refused;
	uint32_t max, nr;
} kept[SHARE_NR_SLOTS];

/* Stands still for the slot that is being served; NULL. */
static struct host_file *stopped;

/* What is kept there is the parent's memory. */
void share_service_after_fork(void)
{
	atomic_store(&making, NULL);
	__builtin_memset(kept, 0, sizeof(kept));
	stopped = NULL;
}

/* ---- one request ------------------------------------------------------------------------------- */

/* Of values that are loaded once: a process that has gone wrong may still be writing there. */
static bool fits(const struct host_file *f, uint64_t offset, uint64_t size)
{
	return size && !((offset | size) & (OS_PAGE_SIZE - 1)) &&
	       range_inside(offset, size, f->size);
}

static void forget(struct kept *k)
{
	if (k->refused)
		os_free(k->refused, k->max * sizeof(k->refused[0]));
	*k = (struct kept){ 0 };
}

static int keep_room(struct kept *k, uint32_t max, uint64_t size)
{
	forget(k);
	k->max = gmem_refused_room(max < SHARE_MAX_REFUSED ? max : SHARE_MAX_REFUSED, size);
	if (!k->max)
		return 0;
	k->refused = os_alloc(k->max * sizeof(k->refused[0]));
	return k->refused ? 0 : -ENOMEM;
}

/* Those from first on that an answer has room for. */
static void tell_refused(struct kept *k, uint64_t first, struct share_request *r)
{
	uint64_t end = first + SHARE_NR_RUNS < k->nr ? first + SHARE_NR_RUNS : k->nr;

	for (uint64_t i = first; i < end; i++)
		r->refused[i - first] = k->refused[i];
	if (end == k->nr)
		forget(k);
}

static int convert(struct host_file *f, struct share_request *r, struct kept *k)
{
	struct gmem_conversion c = { .offset = r->offset,
				     .size = r->size,
				     .attributes = r->attributes };
	int err;

	if (!fits(f, c.offset, c.size) || !host_file_converts(f) || c.attributes & ~ATTR_PRIVATE)
		return -EINVAL;
	err = keep_room(k, r->max, c.size);
	if (err)
		return err;
	c.refused = k->refused;
	c.max_refused = k->max;
	atomic_store(&making_for, r);
	atomic_store(&making, &c);
	err = host_file_convert(f, &c);
	atomic_store(&making, NULL);
	r->error_offset = c.error_offset;
	r->nr = c.nr_refused;
	k->nr = c.nr_refused < k->max ? c.nr_refused : k->max;
	tell_refused(k, 0, r);
	return err == -EBADF ? -ESTALE : err;
}

static int tell_more(struct share_request *r, struct kept *k)
{
	uint64_t first = r->offset;

	if (first >= k->nr)
		return -EINVAL;
	tell_refused(k, first, r);
	return 0;
}

static int punch(struct host_file *f, struct share_request *r)
{
	uint64_t offset = r->offset, size = r->size;

	if (!size || (offset | size) & (OS_PAGE_SIZE - 1))
		return -EINVAL;
	return make_sure(r) ? host_file_punch(f, offset, size) : -EAGAIN;
}

static int allocate(struct host_file *f, struct share_request *r)
{
	uint64_t offset = r->offset, size = r->size;

	if (!fits(f, offset, size))
		return -EINVAL;
	return make_sure(r) ? host_file_allocate(f, offset, size) : -EAGAIN;
}

static int stop(struct host_file *f, struct share_request *r)
{
	int err;

	err = gmem_file_freeze(f->file);
	if (err)
		return -ESTALE;
	if (!make_sure(r)) {
		gmem_file_thaw(f->file);
		return -EAGAIN;
	}
	stopped = f;
	return 0;
}

static void inform(const struct host_file *f, struct share_request *r)
{
	r->info = (struct share_file){
		.id = f->id, .size = f->size, .flags = f->flags, .store_fd = f->store_fd
	};
}

static int query(struct host_file *f, struct share_request *r)
{
	uint32_t max = r->max < SHARE_NR_RUNS ? r->max : SHARE_NR_RUNS;

	return host_file_query(f, r->offset, r->size, r->runs, max, &r->nr);
}

/* No conversion runs beside this: what is told is what is. */
static int attach(struct share *s, uint32_t slot, struct host_file *f)
{
	int err;

	if (!host_file_converts(f))
		return -EINVAL;
	/* Others map small pages only. Where one is held they ask again: nobody else is to wait for it. */
	err = gmem_file_stay_small(f->file);
	if (err)
		return err == -EAGAIN ? -EBUSY : err;
	host_file_hold(f);
	share_slot_add(&s->slots[slot], f->id);
	share_tell_all(s, slot, f);
	host_file_let(f);
	return 0;
}

static int do_request(struct share *s, uint32_t slot, struct host_file *f, struct share_request *r)
{
	switch (r->kind) {
	case SHARE_INFO:
	case SHARE_NEXT:
		inform(f, r);
		return 0;
	case SHARE_ATTACH:
		return attach(s, slot, f);
	case SHARE_CONVERT:
		return convert(f, r, &kept[slot]);
	case SHARE_REFUSED:
		return tell_more(r, &kept[slot]);
	case SHARE_PUNCH:
		return punch(f, r);
	case SHARE_ALLOCATE:
		return allocate(f, r);
	case SHARE_QUERY:
		return query(f, r);
	case SHARE_STOP:
		return stop(f, r);
	case SHARE_GO:
		return -ETIMEDOUT; /* it was let go already */
	default:
		return -EINVAL;
	}
}

static void find_next(struct host_file *f, void *arg)
{
	uint64_t *id = arg; /* from, best */

	if (f->file && f->id >= id[0] && f->id < id[1])
		id[1] = f->id;
}

static struct host_file *file_of(struct share_request *r)
{
	uint64_t id[2] = { r->file, UINT64_MAX };

	if (r->kind != SHARE_NEXT)
		return host_file_find(r->file, NULL);
	host_file_for_each(find_next, id);
	return host_file_find(id[1], NULL);
}

static void finish(struct share *s, uint32_t slot, struct share_request *r)
{
	uint32_t state = atomic_load(&r->state);

	/* Nobody waits: free for the next. */
	while (!atomic_compare_exchange_weak(&r->state, &state,
					     state == SHARE_LEFT ? SHARE_FREE : SHARE_DONE))
		;
	share_ring(&s->slots[slot].bell);
}

/* ---- one slot alone, while a file stands still --------------------------------------------------- */

/* Our hold of the lock is what keeps the runs as they are. */
static int query_stopped(struct share_request *r)
{
	uint64_t offset = r->offset, size = r->size;
	uint32_t max = r->max < SHARE_NR_RUNS ? r->max : SHARE_NR_RUNS;

	if (!fits(stopped, offset, size))
		return -EINVAL;
	r->nr = host_file_stopped_runs(stopped, offset, size, r->runs, max);
	return 0;
}

/* A block stays where it is as long. */
static int tell_where(struct share_request *r)
{
	struct store *huge = store_huge(gmem_file_store(stopped->file));
	uint64_t offset = r->offset, size = r->size;
	uint32_t max = r->max < SHARE_NR_RUNS ? r->max : SHARE_NR_RUNS;

	if (!fits(stopped, offset, size))
		return -EINVAL;
	r->info.store_fd = huge ? store_fd(huge) : -1;
	r->nr = host_file_stopped_where(stopped, offset, size, r->runs, max);
	return 0;
}

static void let_go(void)
{
	gmem_file_thaw(stopped->file);
	stopped = NULL;
}

static void serve_stopped(struct share *s, uint32_t slot, struct share_request *r)
{
	uint32_t kind = r->kind;

	r->nr = 0;
	r->result = -EBUSY;
	if (kind == SHARE_QUERY && r->file == stopped->id) {
		r->result = query_stopped(r);
	} else if (kind == SHARE_WHERE && r->file == stopped->id) {
		r->result = tell_where(r);
	} else if (kind == SHARE_GO) {
		let_go();
		r->result = 0;
	}
	finish(s, slot, r);
}

/* Whoever has it stopped may die, or be stopped himself. */
static void serve_alone(struct share *s, uint32_t slot)
{
	struct share_request *r = &s->slots[slot].request;
	uint32_t owner = atomic_load(&s->slots[slot].owner);
	uint64_t until = os_clock_ns() + HOST_FILE_STOP_NS;
	int fd;

	while (stopped) {
		uint32_t seen = atomic_load(&s->doorbell), posted = SHARE_POSTED;

		if (atomic_compare_exchange_strong(&r->state, &posted, SHARE_TAKEN)) {
			serve_stopped(s, slot, r);
			until = os_clock_ns() + HOST_FILE_STOP_NS;
			continue;
		}
		if (os_clock_ns() >= until || atomic_load(&s->slots[slot].owner) != owner ||
		    share_own(&fd) != s || !share_slot_lives(s, fd, slot))
			let_go();
		else
			os_shared_wait(&s->doorbell, seen, STOPPED_LOOK_NS);
	}
}

static void serve_request(struct share *s, uint32_t slot)
{
	struct share_request *r = &s->slots[slot].request;
	uint32_t posted = SHARE_POSTED;
	struct host_file *f;

	if (!atomic_compare_exchange_strong(&r->state, &posted, SHARE_TAKEN))
		return;
	f = file_of(r);
	r->nr = 0;
	r->error_offset = r->offset;
	r->result = f ? do_request(s, slot, f, r) : -ESTALE;
	if (f && !stopped)
		host_file_put(f);
	finish(s, slot, r);
	if (stopped) {
		serve_alone(s, slot);
		host_file_put(f);
	}
}

/* ---- who has missed something ------------------------------------------------------------------- */

struct catching {
	struct share *share;
	uint32_t slot;
	uint64_t from, next;
};

static void find_attached(struct host_file *f, void *arg)
{
	struct catching *c = arg;

	if (f->file && f->id >= c->from && f->id < c->next && host_file_converts(f) &&
	    share_slot_has(&c->share->slots[c->slot], f->id))
		c->next = f->id;
}

static void catch_up(struct share *s, uint32_t slot)
{
	struct catching c = { .share = s, .slot = slot };
	uint32_t told = SHARE_TELLING;
	struct host_file *f;

	for (;; c.from = c.next + 1) {
		c.next = UINT64_MAX;
		host_file_for_each(find_attached, &c);
		if (c.next == UINT64_MAX)
			break;
		f = host_file_find(c.next, NULL);
		if (!f)
			continue;
		host_file_hold(f);
		share_tell_all(s, slot, f);
		host_file_let(f);
		host_file_put(f);
	}
	atomic_fetch_add(&s->slots[slot].caught, 1);
	/* Unless it has asked again meanwhile. */
	atomic_compare_exchange_strong(&s->slots[slot].catch_up, &told, SHARE_CAUGHT_UP);
	share_ring(&s->slots[slot].bell);
}

static void look_at(struct share *s, uint32_t slot)
{
	uint32_t asked = SHARE_TELL_ME;

	if (atomic_compare_exchange_strong(&s->slots[slot].catch_up, &asked, SHARE_TELLING))
		catch_up(s, slot);
	if (atomic_load(&s->slots[slot].request.state) == SHARE_POSTED)
		serve_request(s, slot);
}

static void (*idle)(void);

void share_set_idle(void (*fn)(void))
{
	idle = fn;
}

void share_serve(void *share)
{
	struct share *s = share;
	uint32_t seen;

	for (;;) {
		seen = atomic_load(&s->doorbell);
		os_signals_begin();
		for (uint32_t i = 0; (i = share_next_live(s, i)) < SHARE_NR_SLOTS; i++)
			look_at(s, i);
		os_signals_end();
		if (idle)
			idle();
		os_shared_wait(&s->doorbell, seen, IDLE_NS);
	}
}
