/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "map/pins.h"
#include "obs/obs.h"

#include <errno.h>
#include <stddef.h>

#include "map/host_file.h"
#include "map/pipes.h"
#include "map/share.h"
#include "os/os.h"
#include "os/page_refs.h"
#include "os/spare.h"

struct pin {
	struct pin *next, **pprev;	   /* of the file */
	struct pin *all_next, **all_pprev; /* of the process */
	struct host_file *file;		   /* NULL: it has gone */
	uint64_t offset, size;
	bool is_told;	 /* obs knows of it */
	struct pin *hit; /* pins_check(): those that meet the range */
};

static struct os_mutex lock = OS_MUTEX_INIT;
static struct pin *all;

/* ---- the lists; under the lock ----------------------------------------------------------- */

static void link_pin(struct pin *p, struct host_file *f)
{
	p->file = f;
	p->next = f->pins.list;
	p->pprev = &f->pins.list;
	if (p->next)
		p->next->pprev = &p->next;
	f->pins.list = p;
	p->all_next = all;
	p->all_pprev = &all;
	if (all)
		all->all_pprev = &p->all_next;
	all = p;
	atomic_fetch_add(&f->pins.nr, 1);
	share_count_pins(f, 1);
}

static void unlink_pin(struct pin *p)
{
	*p->pprev = p->next;
	if (p->next)
		p->next->pprev = p->pprev;
	*p->all_pprev = p->all_next;
	if (p->all_next)
		p->all_next->all_pprev = p->all_pprev;
	atomic_fetch_sub(&p->file->pins.nr, 1);
	share_count_pins(p->file, -1);
	p->file = NULL;
}

/* Elsewhere the file has no number. */
static uint16_t number_of(const struct pin *p)
{
	return p->file && p->file->file ? gmem_file_number(p->file->file) : 0;
}

static void tell_pinned(struct pin *p)
{
	p->is_told = true;
	obs_count_file(OBS_PIN, number_of(p), p->offset, p->size, 0);
}

static void tell_let_go(const struct pin *p, uint64_t size)
{
	if (p->is_told)
		obs_count_file(OBS_UNPIN, number_of(p), p->offset, size, 0);
}

/* ---- pins -------------------------------------------------------------------------------- */

int pin_intend(struct host_file *f, uint64_t offset, uint64_t size, struct pin **out)
{
	struct pin *p = os_alloc(sizeof(*p));

	os_assert(size && offset + size > offset);
	if (!p)
		return -ENOMEM;
	p->offset = offset;
	p->size = size;
	os_mutex_lock(&lock);
	link_pin(p, f);
	os_mutex_unlock(&lock);
	*out = p;
	return 0;
}

void pin_settle(struct pin *p, uint64_t size)
{
	if (!size) {
		pin_drop(p);
		return;
	}
	os_mutex_lock(&lock);
	os_assert(size <= p->size);
	p->size = size;
	tell_pinned(p);
	os_mutex_unlock(&lock);
}

void pin_advance(struct pin *p, uint64_t size)
{
	os_mutex_lock(&lock);
	os_assert(size < p->size);
	tell_let_go(p, size);
	p->offset += size;
	p->size -= size;
	os_mutex_unlock(&lock);
}

void pin_drop(struct pin *p)
{
	os_mutex_lock(&lock);
	tell_let_go(p, p->size);
	if (p->file)
		unlink_pin(p);
	os_mutex_unlock(&lock);
	os_free(p, sizeof(*p));
}

/* A file that has gone has nothing to be pinned: the copy is as dead as p. */
int pin_copy(struct pin *p, uint64_t from, uint64_t size, struct pin **out)
{
	struct pin *copy = os_alloc(sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	os_mutex_lock(&lock);
	os_assert(from < p->size);
	copy->offset = p->offset + from;
	copy->size = size < p->size - from ? size : p->size - from;
	if (p->file)
		link_pin(copy, p->file);
	tell_pinned(copy);
	os_mutex_unlock(&lock);
	*out = copy;
	return 0;
}

bool pin_same(struct pin *a, struct pin *b)
{
	bool same;

	os_mutex_lock(&lock);
	same = a->file == b->file && a->offset == b->offset && a->size == b->size;
	os_mutex_unlock(&lock);
	return same;
}

/* ---- what is told of a range ------------------------------------------------------------- */

struct teller {
	void (*refuse)(void *arg, uint64_t offset, uint64_t size);
	void *arg;
	uint64_t from, to;   /* asked for */
	uint64_t start, end; /* not told yet; start == end: nothing */
	uint64_t nr;
	struct pin *hits; /* in order, those still to come */
};

static void flush(struct teller *t)
{
	if (t->start == t->end)
		return;
	t->refuse(t->arg, t->start, t->end - t->start);
	t->nr++;
	t->start = t->end = 0;
}

/* In order of start. */
static void tell(struct teller *t, uint64_t start, uint64_t end)
{
	start &= ~(uint64_t)(OS_PAGE_SIZE - 1);
	end = os_page_up(end);
	start = start < t->from ? t->from : start;
	end = end > t->to ? t->to : end;
	if (start >= end)
		return;
	if (t->start == t->end || start > t->end) {
		flush(t);
		t->start = start;
		t->end = end;
	}
	t->end = end > t->end ? end : t->end;
}

static void tell_hits_until(struct teller *t, uint64_t offset)
{
	for (; t->hits && t->hits->offset <= offset; t->hits = t->hits->hit)
		tell(t, t->hits->offset, t->hits->offset + t->hits->size);
}

static struct pin *merge(struct pin *a, struct pin *b)
{
	struct pin *list = NULL, **end = &list;

	while (a && b) {
		struct pin **least = a->offset <= b->offset ? &a : &b;

		*end = *least;
		*least = (*least)->hit;
		end = &(*end)->hit;
	}
	*end = a ? a : b;
	return list;
}

/* The n-th of the runs has 2^n pins or none. */
static struct pin *sort(struct pin *list)
{
	struct pin *runs[64] = { NULL };

	while (list) {
		struct pin *run = list;
		int n = 0;

		list = run->hit;
		run->hit = NULL;
		for (; runs[n]; runs[n++] = NULL)
			run = merge(runs[n], run);
		runs[n] = run;
	}
	for (int n = 0; n < 64; n++)
		list = merge(runs[n], list);
	return list;
}

/* The first from p on that meets the range. */
static struct pin *next_hit(struct pin *p, uint64_t from, uint64_t to)
{
	while (p && (p->offset >= to || p->offset + p->size <= from))
		p = p->next;
	return p;
}

static struct pin *find_hits(struct host_file *f, uint64_t from, uint64_t to)
{
	struct pin *hits = NULL, *p = f->pins.list;

	while ((p = next_hit(p, from, to))) {
		p->hit = hits;
		hits = p;
		p = p->next;
	}
	return sort(hits);
}

/* ---- what nobody tells of ---------------------------------------------------------------- */

enum exact { EXACT_UNTRIED, EXACT_OPEN, EXACT_NONE };

static _Atomic bool unseen;
static struct os_mutex exact_lock = OS_MUTEX_INIT; /* before the other */
static enum exact exact;
static struct os_page_refs *page_refs;

void pins_say_unseen(void)
{
	atomic_store_explicit(&unseen, true, memory_order_relaxed);
}

bool pins_unseen_possible(void)
{
	return atomic_load_explicit(&unseen, memory_order_relaxed);
}

/* Says nothing of what will be next time. */
static bool may_pass(int err)
{
	return err == -EAGAIN || err == -EINTR || err == -ENOMEM || err == -EMFILE ||
	       err == -ENFILE;
}

/* A filter of system calls may kill for bpf(2). */
static bool open_exact(void)
{
	if (os_jailed())
		return false;
	if (exact == EXACT_UNTRIED) {
		int ret = os_page_refs_open(&page_refs);

		if (may_pass(ret))
			return false;
		exact = ret ? EXACT_NONE : EXACT_OPEN;
		if (ret)
			os_log(OS_LOG_INFO,
			       "references to pages cannot be counted here (error %d): a conversion does "
			       "not see I/O that is under way",
			       -ret);
	}
	return exact == EXACT_OPEN;
}

bool pins_are_exact(void)
{
	bool is_open;

	os_mutex_lock(&exact_lock);
	is_open = open_exact();
	os_mutex_unlock(&exact_lock);
	return is_open;
}

static void tell_pages(void *arg, uint64_t pgoff, uint64_t nr)
{
	struct teller *t = arg;

	tell_hits_until(t, pgoff << OS_PAGE_SHIFT);
	tell(t, pgoff << OS_PAGE_SHIFT, (pgoff + nr) << OS_PAGE_SHIFT);
}

/* Where the pages are; of huge ones each is in one or the other. */
static int count_unseen(struct teller *t, struct host_file *f)
{
	struct store *s = f->file ? gmem_file_store(f->file) : NULL;
	uint64_t at = t->from, next;
	int ret = 0;

	for (; !ret && at < t->to; at = next) {
		bool huge = s && s->block && store_is_huge(s, at);

		next = s && s->block ? (at & ~(s->block - 1)) + s->block : t->to;
		if (next > t->to)
			next = t->to;
		ret = os_page_refs_extra(page_refs, huge ? store_fd(store_huge(s)) : f->store_fd,
					 at >> OS_PAGE_SHIFT, (next - at) >> OS_PAGE_SHIFT,
					 tell_pages, t);
	}
	return ret;
}

/* A page is the same one in every process. must: who cannot look takes all for pinned, not nothing. */
static void tell_unseen(struct teller *t, struct host_file *f, bool must)
{
	int ret = open_exact() ? count_unseen(t, f) : -EPERM;

	/* What cannot be looked at now may be pinned; who may look no more is as one who never could. */
	if (ret == -EPERM && exact == EXACT_OPEN && !os_jailed())
		exact = EXACT_NONE;
	if (ret && (must || ret != -EPERM))
		tell(t, t->from, t->to);
}

static bool asks_unseen(const struct host_file *f)
{
	return pins_unseen_possible() && f->store_fd >= 0;
}

/* Only where it matters the pipes are asked, which costs some microseconds each. */
static bool meets_any(struct host_file *f, uint64_t from, uint64_t to)
{
	bool any;

	if (!atomic_load(&f->pins.nr))
		return false;
	os_mutex_lock(&lock);
	any = next_hit(f->pins.list, from, to);
	os_mutex_unlock(&lock);
	return any;
}

bool pins_refresh(struct host_file *f, uint64_t offset, uint64_t size)
{
	bool any = meets_any(f, offset, offset + size);

	if (any)
		pipes_look(f);
	return any;
}

static uint64_t check(struct host_file *f, struct teller *t, bool exactly, bool must)
{
	if (exactly)
		os_mutex_lock(&exact_lock);
	os_mutex_lock(&lock);
	t->hits = find_hits(f, t->from, t->to);
	if (exactly)
		tell_unseen(t, f, must);
	tell_hits_until(t, UINT64_MAX);
	flush(t);
	os_mutex_unlock(&lock);
	if (exactly)
		os_mutex_unlock(&exact_lock);
	return t->nr;
}

uint64_t pins_check(struct host_file *f, uint64_t offset, uint64_t size,
		    void (*refuse)(void *arg, uint64_t offset, uint64_t size), void *arg)
{
	struct teller t = { .refuse = refuse, .arg = arg, .from = offset, .to = offset + size };
	bool any = pins_refresh(f, offset, size);

	/* Whoever has given a sign asks. */
	return any || asks_unseen(f) ? check(f, &t, asks_unseen(f), false) : 0;
}

static void ignore(void *arg, uint64_t offset, uint64_t size)
{
}

bool pins_may_be_any(struct host_file *f, uint64_t offset, uint64_t size)
{
	struct teller t = { .refuse = ignore, .from = offset, .to = offset + size };

	return check(f, &t, true, true);
}

void pins_told(struct host_file *f, void (*fn)(void *arg, uint64_t offset, uint64_t size),
	       void *arg)
{
	struct teller t = { .refuse = fn, .arg = arg, .to = f->size };

	if (!meets_any(f, t.from, t.to))
		return;
	pipes_look(f);
	os_mutex_lock(&lock);
	t.hits = find_hits(f, t.from, t.to);
	tell_hits_until(&t, UINT64_MAX);
	flush(&t);
	os_mutex_unlock(&lock);
}

void pins_count(struct share_link *l, void (*fn)(struct share_link *l, uint32_t nr))
{
	uint32_t nr = 0;

	os_mutex_lock(&lock);
	for (struct pin *p = all; p; p = p->all_next)
		nr += p->file->link == l;
	fn(l, nr);
	os_mutex_unlock(&lock);
}

void pins_release(struct host_file *f)
{
	pipes_forget(f);
	os_mutex_lock(&lock);
	while (f->pins.list)
		unlink_pin(f->pins.list);
	os_mutex_unlock(&lock);
}

/* ---- fork -------------------------------------------------------------------------------- */

void pins_before_fork(void)
{
	pipes_before_fork();
	os_mutex_lock(&exact_lock);
	os_mutex_lock(&lock);
}

static void unlock_all(void)
{
	os_mutex_unlock(&lock);
	os_mutex_unlock(&exact_lock);
}

void pins_after_fork_in_parent(void)
{
	unlock_all();
	pipes_after_fork_in_parent();
}

/* The count that the home sees is still the parent's. */
static void forget_pin(struct pin *p)
{
	all = p->all_next;
	p->file->pins.list = NULL;
	atomic_store(&p->file->pins.nr, 0);
	p->file = NULL;
}

void pins_after_fork_in_child(void)
{
	while (all)
		forget_pin(all);
	if (exact == EXACT_OPEN) {
		os_page_refs_close(page_refs);
		exact = EXACT_UNTRIED;
	}
	unlock_all();
	pipes_after_fork_in_child();
}
