/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "map/host_file.h"

#include <errno.h>

#include "map/host_map.h"
#include "map/share_layout.h"
#include "obs/obs.h"
#include "os/os.h"

#define LOOK_AGAIN_NS 1000000
#define MOMENT_NS 2000000

_Atomic uint32_t host_file_patience_ms = 1000;

/* Over the coming and going of files, and over a fork; outside files_lock, which is a leaf. */
static struct os_mutex life_lock = OS_MUTEX_INIT;
static struct os_mutex files_lock = OS_MUTEX_INIT;
/* Two must not adopt the same file. Held while the home is asked. */
static struct os_mutex adopt_lock = OS_MUTEX_INIT;
static struct host_file *files;
static _Atomic uint64_t last_id;

/* ---- the last consumer of a file, at home ------------------------------------------------------ */

static struct host_file *file_of(struct gmem_consumer *c)
{
	return (struct host_file *)((char *)c - offsetof(struct host_file, consumer));
}

static bool to_private(const struct gmem_change *ch)
{
	return ch->attributes & ATTR_PRIVATE;
}

struct look {
	const struct gmem_change *change;
	bool refused;
};

/* Of a pinned range what is private already may be pinned. */
static void refuse(void *arg, uint64_t offset, uint64_t size)
{
	struct look *l = arg;
	uint64_t at = (offset - l->change->offset) >> OS_PAGE_SHIFT, end = offset + size;
	uint64_t part, part_size;

	while (gmem_change_next(l->change, &at, &part, &part_size) && part < end) {
		gmem_change_refuse(l->change, part,
				   part_size < end - part ? part_size : end - part);
		l->refused = true;
	}
}

bool host_file_wait_a_moment(uint64_t end_ns)
{
	_Atomic uint32_t nobody_wakes = 0;

	if (os_clock_ns() >= end_ns)
		return false;
	os_wait(&nobody_wakes, 0, LOOK_AGAIN_NS);
	return true;
}

static void ignore(void *arg, uint64_t offset, uint64_t size)
{
}

/* The kernel takes references of its own, and keeps them for a moment: who counts looks again. */
static bool is_pinned(struct host_file *f, const struct gmem_change *ch)
{
	uint64_t end = 0;

	while (pins_check(f, ch->offset, ch->size, ignore, NULL)) {
		if (!end)
			end = os_clock_ns() + (pins_unseen_possible() ? MOMENT_NS : 0);
		if (!host_file_wait_a_moment(end))
			return true;
	}
	return false;
}

static int look_at_pins(struct host_file *f, const struct gmem_change *ch)
{
	struct look l = { .change = ch };

	if (!is_pinned(f, ch))
		return 0;
	pins_check(f, ch->offset, ch->size, refuse, &l);
	if (!l.refused)
		return 0;
	return obs_refuse(RULE_CONVERT_HELD);
}

static int prepare(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct host_file *f = file_of(c);
	int own = look_at_pins(f, ch);
	/* A pin here does not spare the others the question: theirs may be lower, and all may be wanted. */
	int others = share_ask_pins(f, ch);

	return own ? own : others;
}

static void show_again(struct host_file *f, const struct gmem_change *ch)
{
	uint64_t at = 0, offset, size;

	while (gmem_change_next(ch, &at, &offset, &size)) {
		host_map_show_again(f->map, f, offset, size);
		share_show(f, offset, size);
	}
}

/* Everybody works at the same time: the others are told first and waited for last. */
static int hide_everywhere(struct host_file *f, const struct gmem_change *ch)
{
	struct share_round round;
	int err, others;

	share_hide_begin(&round, f, ch);
	err = host_map_hide(f->map, f, ch->offset, ch->size);
	others = share_hide_end(&round);
	if (!err)
		err = others;
	if (!err)
		err = look_at_pins(f, ch);
	if (!err && !share_commit(ch))
		err = obs_refuse(RULE_CONVERT_GIVEN_UP);
	if (err)
		show_again(f, ch);
	return err;
}

/* What was shared before stays open. */
static void hide_again(struct host_file *f, const struct gmem_change *ch)
{
	uint64_t at = 0, offset, size;

	while (gmem_change_next(ch, &at, &offset, &size))
		host_map_hide_again(f->map, f, offset, size);
}

static int begin(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct host_file *f = file_of(c);
	int err;

	if (ch->kind != GMEM_CHANGE_CONVERT)
		return 0;
	if (to_private(ch))
		return hide_everywhere(f, ch);
	err = host_map_show(f->map, f, ch->offset, ch->size);
	if (!err && !share_commit(ch)) {
		hide_again(f, ch);
		err = obs_refuse(RULE_CONVERT_GIVEN_UP);
	}
	return err;
}

static void end(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct host_file *f = file_of(c);

	if (ch->kind != GMEM_CHANGE_CONVERT)
		return;
	if (ch->aborted && to_private(ch))
		show_again(f, ch);
	else if (ch->aborted)
		hide_again(f, ch);
	else if (!to_private(ch))
		share_show(f, ch->offset, ch->size);
}

/* ---- huge pages in windows ------------------------------------------------------------------------ */

static bool takes_huge(struct gmem_consumer *c, uint64_t offset, uint64_t size)
{
	struct host_file *f = file_of(c);

	return host_map_takes_huge(f->map, f, offset, size);
}

/* As is_pinned(). */
static bool is_held(struct host_file *f, uint64_t offset, uint64_t size)
{
	uint64_t end = os_clock_ns() + MOMENT_NS;

	while (pins_may_be_any(f, offset, size))
		if (!host_file_wait_a_moment(end))
			return true;
	return false;
}

/*
 * A new pin cannot be had while it is closed. Until it is opened nothing is done that may wait for what a thread can hold in the
 * kernel while it waits for the block: the lock of a pipe above all. So pipes are asked before.
 */
static int close_block(struct gmem_consumer *c, uint64_t offset, uint64_t size)
{
	struct host_file *f = file_of(c);
	int err;

	if (!pins_are_exact())
		return -EAGAIN;
	pins_refresh(f, offset, size);
	err = host_map_close(f->map, f, offset);
	if (err)
		return err;
	if (!is_held(f, offset, size))
		return 0;
	host_map_open_as_it_was(f->map, f, offset);
	return -EAGAIN;
}

static void open_block(struct gmem_consumer *c, uint64_t offset, uint64_t size)
{
	struct host_file *f = file_of(c);

	host_map_open(f->map, f, offset);
}

int host_file_make_small(struct host_file *f, uint64_t offset, uint64_t size)
{
	uint64_t end;
	int err;

	if (!f->file || gmem_file_is_small(f->file))
		return 0;
	/* What has become small meanwhile is so the next time. */
	end = os_clock_ns() + share_patience_ns();
	do
		err = gmem_file_stay_small(f->file);
	while (err == -EAGAIN && gmem_file_shares_huge(f->file, offset, size) &&
	       host_file_wait_a_moment(end));
	if (err == -EAGAIN)
		return gmem_file_shares_huge(f->file, offset, size)
			       ? obs_refuse(RULE_CONVERT_BLOCK_HELD)
			       : 0;
	return err ? obs_refuse_as(RULE_CONVERT_APART, err) : 0;
}

static const struct gmem_consumer_ops consumer_ops = {
	.prepare = prepare,
	.begin = begin,
	.end = end,
	.takes_huge = takes_huge,
	.close = close_block,
	.open = open_block,
};

/* ---- life -------------------------------------------------------------------------------------- */

static void enlist(struct host_file *f)
{
	os_mutex_lock(&life_lock);
	os_mutex_lock(&files_lock);
	f->next = files;
	f->link_to = &files;
	if (files)
		files->link_to = &f->next;
	files = f;
	os_mutex_unlock(&files_lock);
	os_mutex_unlock(&life_lock);
}

static void delist(struct host_file *f)
{
	os_mutex_lock(&life_lock);
	os_mutex_lock(&files_lock);
	*f->link_to = f->next;
	if (f->next)
		f->next->link_to = f->link_to;
	os_mutex_unlock(&files_lock);
	os_mutex_unlock(&life_lock);
}

int host_file_create(struct host_map *m, struct gmem_file *file, struct host_file **out)
{
	struct host_file *f = os_alloc(sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->map = m;
	atomic_init(&f->refs, 1);
	f->id = atomic_fetch_add(&last_id, 1) + 1;
	f->size = gmem_file_size(file);
	f->flags = gmem_file_flags(file);
	f->store_fd = store_fd(gmem_file_store(file));
	f->state = gmem_file_attributes(file);
	f->file = file;
	f->consumer.ops = &consumer_ops;
	f->consumer.last = true;
	gmem_file_get(file);
	gmem_file_add_consumer(file, &f->consumer);
	enlist(f);
	*out = f;
	return 0;
}

static int adopt_new(struct host_map *m, struct share_link *link, uint64_t id,
		     struct host_file **out)
{
	struct host_file *f = os_alloc(sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	f->map = m;
	atomic_init(&f->refs, 1);
	f->id = id;
	f->link = link;
	f->store_fd = -1;
	err = share_inform(f);
	if (err) {
		os_free(f, sizeof(*f));
		return err;
	}
	enlist(f);
	*out = f;
	return 0;
}

int host_file_adopt(struct host_map *m, const char *name, struct host_file **out)
{
	struct share_link *link;
	uint64_t id;
	int err = share_find(name, &link, &id);

	return err ? err : host_file_adopt_number(m, link, id, out);
}

int host_file_adopt_number(struct host_map *m, struct share_link *link, uint64_t id,
			   struct host_file **out)
{
	int err = 0;

	os_mutex_lock(&adopt_lock);
	*out = host_file_find(id, link);
	if (!*out)
		err = link ? adopt_new(m, link, id, out) : -ESTALE;
	os_mutex_unlock(&adopt_lock);
	return err;
}

void host_file_get(struct host_file *f)
{
	uint32_t refs = atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);

	os_assert(refs && refs < UINT32_MAX);
}

/* A forked child keeps its copies: what they stand for lives in the parent. */
void host_file_put(struct host_file *f)
{
	uint32_t refs = atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel);

	os_assert(refs);
	if (refs > 1)
		return;
	delist(f);
	pins_release(f);
	if (f->file) {
		gmem_file_remove_consumer(f->file, &f->consumer);
		gmem_file_put(f->file);
	} else {
		share_detach(f);
	}
	os_free(f, sizeof(*f));
}

/* A file that is being converted is waited for. */
void host_file_freeze(void)
{
	os_mutex_lock(&life_lock);
	/* A child maps small pages only; what has to stay huge it does not see until it has asked (share_fork.c). */
	for (struct host_file *f = files; f; f = f->next)
		if (f->file && host_file_converts(f))
			host_file_make_small(f, 0, f->size);
	for (struct host_file *f = files; f; f = f->next)
		if (f->file)
			gmem_file_fault_begin(f->file);
}

void host_file_thaw(void)
{
	for (struct host_file *f = files; f; f = f->next)
		if (f->file)
			gmem_file_fault_end(f->file);
	os_mutex_unlock(&life_lock);
}

void host_file_after_fork(void)
{
	os_mutex_init(&life_lock);
	os_mutex_init(&files_lock);
	os_mutex_init(&adopt_lock);
}

struct host_file *host_file_first(void)
{
	return files;
}

void host_file_for_each(void (*fn)(struct host_file *f, void *arg), void *arg)
{
	os_mutex_lock(&files_lock);
	for (struct host_file *f = files; f; f = f->next)
		fn(f, arg);
	os_mutex_unlock(&files_lock);
}

struct host_file *host_file_find(uint64_t id, const struct share_link *link)
{
	struct host_file *f;

	os_mutex_lock(&files_lock);
	for (f = files; f; f = f->next)
		if (f->id == id && f->link == link)
			break;
	/* One whose last count is just being put is gone. */
	for (uint32_t refs = f ? atomic_load(&f->refs) : 0; f;) {
		if (!refs)
			f = NULL;
		else if (atomic_compare_exchange_weak(&f->refs, &refs, refs + 1))
			break;
	}
	os_mutex_unlock(&files_lock);
	return f;
}

int host_file_name(struct host_file *f, char name[HOST_FILE_NAME_MAX])
{
	return f->file ? share_name(f->id, name) : -EINVAL;
}

int host_file_next_name(unsigned int i, char name[HOST_FILE_NAME_MAX])
{
	return share_name(atomic_load(&last_id) + 1 + i, name);
}

/* ---- requests ---------------------------------------------------------------------------------- */

int host_file_convert(struct host_file *f, struct gmem_conversion *c)
{
	return f->file ? gmem_file_convert(f->file, c) : share_convert(f, c);
}

static int note_change(struct host_file *f, int err)
{
	if (!err)
		atomic_store(&f->changed_ns, (int64_t)os_wallclock_ns());
	return err;
}

int host_file_punch(struct host_file *f, uint64_t offset, uint64_t size)
{
	return note_change(f, f->file ? gmem_file_punch(f->file, offset, size)
				      : share_punch(f, offset, size));
}

int host_file_allocate(struct host_file *f, uint64_t offset, uint64_t size)
{
	return note_change(f, f->file ? gmem_file_allocate(f->file, offset, size)
				      : share_allocate(f, offset, size));
}

int host_file_stop(struct host_file *f)
{
	return f->file ? gmem_file_freeze(f->file) : share_stop(f);
}

int host_file_go(struct host_file *f)
{
	if (!f->file)
		return share_go(f);
	gmem_file_thaw(f->file);
	return 0;
}

void host_file_hold(struct host_file *f)
{
	if (f->file)
		gmem_file_fault_begin(f->file);
	else
		share_load(f);
}

void host_file_await(struct host_file *f)
{
	if (!f->file)
		share_await_command(f);
}

void host_file_let(struct host_file *f)
{
	if (f->file)
		gmem_file_fault_end(f->file);
}

uint32_t host_file_runs(struct host_file *f, uint64_t offset, uint64_t size, struct gmem_run *runs,
			uint32_t max)
{
	uint64_t at = offset >> OS_PAGE_SHIFT, end = (offset + size) >> OS_PAGE_SHIFT;
	uint32_t nr = 0;

	while (at < end && nr < max) {
		uint32_t value;
		uint64_t pages = attr_map_run(f->state, at, end - at, &value);

		runs[nr++] = (struct gmem_run){ .offset = at << OS_PAGE_SHIFT,
						.size = pages << OS_PAGE_SHIFT,
						.attributes = value };
		at += pages;
	}
	return nr;
}

uint32_t host_file_stopped_runs(struct host_file *f, uint64_t offset, uint64_t size,
				struct gmem_run *runs, uint32_t max)
{
	uint64_t end = offset + size;
	uint32_t nr = 0;

	while (offset < end && nr < max) {
		struct gmem_run *run = &runs[nr++];
		bool failed;

		host_file_runs(f, offset, end - offset, run, 1);
		run->size = gmem_file_poisoned_run(f->file, offset, run->size, &failed);
		run->failed = failed;
		offset += run->size;
	}
	return nr;
}

int host_file_query(struct host_file *f, uint64_t offset, uint64_t size, struct gmem_run *runs,
		    uint32_t max, uint32_t *nr)
{
	if (offset >= f->size)
		size = 0;
	else if (size > f->size - offset)
		size = f->size - offset;
	if (!f->file)
		return share_query(f, offset, size, runs, max, nr);
	host_file_hold(f);
	*nr = host_file_runs(f, offset, size, runs, max);
	host_file_let(f);
	return 0;
}
