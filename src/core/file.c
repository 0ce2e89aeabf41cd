/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem_file: life, consumers, bindings, pages, discard and release. */
#include <errno.h>

#include "core/file_private.h"
#include "core/range.h"
#include "obs/inject.h"
#include "obs/obs.h"

/* ---- life ------------------------------------------------------------------------------------ */

static enum store_pages pages_of(unsigned int flags)
{
	os_assert(~flags & (GMEM_FILE_THP | GMEM_FILE_HUGETLB));
	if (flags & GMEM_FILE_HUGETLB)
		return flags & GMEM_FILE_HUGETLB_1G ? STORE_1G : STORE_2M;
	return flags & GMEM_FILE_THP ? STORE_THP : STORE_4K;
}

static int make_store(uint64_t size, unsigned int flags, struct store **out)
{
	bool is_private = !(flags & GMEM_FILE_INIT_SHARED);
	int err;

	if (gmem_flags_mixed(flags))
		err = store_create_mixed(size, pages_of(flags), is_private, out);
	else
		err = store_create(size, pages_of(flags), out);
	if (err && flags & GMEM_FILE_HUGETLB)
		return obs_refuse_as(RULE_GMEM_NO_HUGE_PAGES, err);
	return err;
}

int gmem_file_create(uint64_t size, unsigned int flags, struct gmem_file **out)
{
	struct store *store;
	int err = make_store(size, flags, &store);

	if (err)
		return err;
	err = gmem_file_create_on(store, flags, out);
	if (err)
		store_destroy(store);
	return err;
}

int gmem_file_create_on(struct store *store, unsigned int flags, struct gmem_file **out)
{
	uint64_t size = store->size;
	uint32_t initial = flags & GMEM_FILE_INIT_SHARED ? 0 : ATTR_PRIVATE;
	struct gmem_file *f;
	int err;

	os_assert(size && !(size & (OS_PAGE_SIZE - 1)) && size <= INT64_MAX);
	f = os_alloc(sizeof(*f));
	if (!f)
		return -ENOMEM;
	atomic_init(&f->refs, 1);
	f->size = size;
	f->flags = flags;
	f->stays_small = !(flags & GMEM_FILE_HUGE_WINDOWS);
	atomic_init(&f->is_small, f->stays_small);
	os_rwlock_init(&f->invalidate);
	os_mutex_init(&f->prepare_lock);
	err = attr_map_create_for(ATTR_PRIVATE, initial, size >> OS_PAGE_SHIFT, &f->attributes);
	if (err)
		goto free_file;
	f->store = store;
	f->number = obs_new_number(OBS_NUMBER_FILE);
	obs_count_file(OBS_FILE_MADE, f->number, size, flags, 0);
	*out = f;
	return 0;

free_file:
	os_free(f, sizeof(*f));
	return err;
}

void gmem_file_get(struct gmem_file *f)
{
	uint32_t refs = atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);

	os_assert(refs && refs < UINT32_MAX);
}

void gmem_file_put(struct gmem_file *f)
{
	uint32_t refs = atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel);
	struct gmem_binding *b;

	os_assert(refs);
	if (refs > 1)
		return;
	os_assert(!f->bindings.nr && !f->consumers && !f->changing);
	while ((b = binding_take(&f->forgotten)))
		os_free(b, sizeof(*b));
	type_destroy(f);
	attr_map_destroy(f->attributes);
	poison_destroy(f);
	limit_remove(&f->limit);
	store_destroy(f->store);
	obs_count_file(OBS_FILE_GONE, f->number, f->size, 0, 0);
	os_free(f, sizeof(*f));
}

uint16_t gmem_file_number(const struct gmem_file *f)
{
	return f->number;
}

uint64_t gmem_file_size(const struct gmem_file *f)
{
	return f->size;
}

unsigned int gmem_file_flags(const struct gmem_file *f)
{
	return f->flags;
}

struct store *gmem_file_store(const struct gmem_file *f)
{
	return f->store;
}

struct attr_map *gmem_file_attributes(const struct gmem_file *f)
{
	return f->attributes;
}

uint64_t gmem_file_generation(const struct gmem_file *f)
{
	return f->generation;
}

uint64_t gmem_file_attribute_bytes(struct gmem_file *f)
{
	uint64_t bytes;

	os_rwlock_read_lock(&f->invalidate);
	bytes = attr_map_bytes(f->attributes);
	os_mutex_lock(&f->prepare_lock);
	if (f->prepared)
		bytes += attr_map_bytes(f->prepared);
	os_mutex_unlock(&f->prepare_lock);
	os_rwlock_read_unlock(&f->invalidate);
	return bytes;
}

bool gmem_file_is_private(struct gmem_file *f, uint64_t offset)
{
	return (f->flags & GMEM_FILE_IN_PLACE) &&
	       !atomic_load_explicit(&f->released, memory_order_acquire) &&
	       (attr_map_get(f->attributes, offset >> OS_PAGE_SHIFT) & ATTR_PRIVATE);
}

/* ---- consumers ------------------------------------------------------------------------------- */

void gmem_file_add_consumer(struct gmem_file *f, struct gmem_consumer *c)
{
	os_rwlock_write_lock(&f->invalidate);
	os_assert(!f->changing && !c->pprev);
	c->began = false;
	c->next = f->consumers;
	if (c->next)
		c->next->pprev = &c->next;
	c->pprev = &f->consumers;
	f->consumers = c;
	os_rwlock_write_unlock(&f->invalidate);
}

static void consumer_unlink(struct gmem_consumer *c)
{
	os_assert(!c->began);
	*c->pprev = c->next;
	if (c->next)
		c->next->pprev = c->pprev;
	c->next = NULL;
	c->pprev = NULL;
}

void gmem_file_remove_consumer(struct gmem_file *f, struct gmem_consumer *c)
{
	os_rwlock_write_lock(&f->invalidate);
	/* A release has unlinked it already. */
	if (c->pprev)
		consumer_unlink(c);
	os_rwlock_write_unlock(&f->invalidate);
}

/* ---- bindings -------------------------------------------------------------------------------- */

static int bind_locked(struct gmem_file *f, struct gmem_binding *b)
{
	if (f->released)
		return obs_refuse(RULE_GMEM_RELEASED);
	if (binding_insert(&f->bindings, b))
		return obs_refuse(RULE_GMEM_BOUND);
	return 0;
}

int gmem_file_bind(struct gmem_file *f, uint64_t offset, uint64_t size, void *owner,
		   struct gmem_binding **out)
{
	struct gmem_binding *b;
	int err;

	os_assert(size && !((offset | size) & (OS_PAGE_SIZE - 1)));
	os_assert(range_inside(offset, size, f->size));
	b = os_alloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->offset = offset;
	b->size = size;
	b->owner = owner;
	os_rwlock_write_lock(&f->invalidate);
	err = bind_locked(f, b);
	os_rwlock_write_unlock(&f->invalidate);
	if (err) {
		os_free(b, sizeof(*b));
		return err;
	}
	obs_count_file(OBS_BIND, f->number, offset, size, 0);
	*out = b;
	return 0;
}

void gmem_file_unbind(struct gmem_file *f, struct gmem_binding *b)
{
	os_rwlock_write_lock(&f->invalidate);
	binding_remove(f->released ? &f->forgotten : &f->bindings, b);
	os_rwlock_write_unlock(&f->invalidate);
	obs_count_file(OBS_UNBIND, f->number, b->offset, b->size, 0);
	os_free(b, sizeof(*b));
}

struct part {
	void (*fn)(void *arg, void *owner, uint64_t offset, uint64_t size);
	void *arg;
	uint64_t offset, end;
};

static void call_with_part(void *arg, struct gmem_binding *b)
{
	const struct part *p = arg;
	uint64_t offset = max_u64(b->offset, p->offset);
	uint64_t end = min_u64(b->offset + b->size, p->end);

	p->fn(p->arg, b->owner, offset, end - offset);
}

void gmem_file_for_bindings(struct gmem_file *f, uint64_t offset, uint64_t size,
			    void (*fn)(void *arg, void *owner, uint64_t offset, uint64_t size),
			    void *arg)
{
	struct part p = { .fn = fn, .arg = arg, .offset = offset, .end = offset + size };

	binding_for_each(&f->bindings, p.offset, p.end, call_with_part, &p);
}

/* ---- pages ----------------------------------------------------------------------------------- */

void gmem_file_fault_begin(struct gmem_file *f)
{
	os_rwlock_read_lock(&f->invalidate);
}

void gmem_file_fault_end(struct gmem_file *f)
{
	os_rwlock_read_unlock(&f->invalidate);
}

static int min_int(int a, int b)
{
	return a < b ? a : b;
}

void gmem_file_set_limit(struct gmem_file *f, struct gmem_limit *limit)
{
	static const int levels[] = { [STORE_2M] = LEVEL_2M, [STORE_1G] = LEVEL_1G };
	enum store_pages pages = pages_of(f->flags);

	f->limit.store = f->store;
	f->limit.size = f->size;
	f->limit.unit = OS_PAGE_SIZE;
	if (!gmem_flags_mixed(f->flags))
		f->limit.unit = level_pages(levels[pages]) << OS_PAGE_SHIFT;
	limit_add(limit, &f->limit);
}

/* Where each page of its own has to pass a fault, there are no larger leaves. */
static int largest_level(struct gmem_file *f, uint64_t offset)
{
	int level;

	if (f->type_ops && f->type_ops->prepare)
		return LEVEL_4K;
	level = poison_level(f, offset, min_int(store_level(f->store, offset), LEVEL_1G));
	return f->limit.limit ? limit_level(&f->limit, offset, level) : level;
}

static int fill(struct gmem_file *f, uint64_t offset)
{
	bool is_over = false;
	int err;

	if (!f->limit.limit)
		err = store_fill(f->store, offset);
	else
		err = limit_fill(&f->limit, offset, &is_over);
	if (is_over)
		return obs_refuse(RULE_PAGE_LIMIT);
	return err ? obs_refuse_as(RULE_PAGE_NO_HUGE, err) : 0;
}

int gmem_file_page(struct gmem_file *f, uint64_t offset, void **addr, int *level)
{
	int err;

	if (offset >= f->size)
		return obs_refuse(RULE_PAGE_PAST_END);
	if (atomic_load_explicit(&f->released, memory_order_acquire))
		return obs_refuse(RULE_PAGE_RELEASED);
	if (poison_meets(f, offset & ~(uint64_t)(OS_PAGE_SIZE - 1), OS_PAGE_SIZE))
		return obs_refuse(RULE_PAGE_POISONED);
	err = fill(f, offset);
	if (err)
		return err;
	*level = attr_map_level(f->attributes, offset >> OS_PAGE_SHIFT, largest_level(f, offset));
	if (*level > LEVEL_4K)
		store_join(f->store, offset);
	return store_address(f->store, offset, addr);
}

bool gmem_file_neighbours_ready(struct gmem_file *f, uint64_t offset)
{
	return !gmem_file_prepares(f) && !f->limit.limit && store_filled_around(f->store, offset) &&
	       poison_level(f, offset, LEVEL_2M) == LEVEL_2M;
}

static int fail_on_purpose(struct gmem_file *f, enum inject_point point, uint64_t offset,
			   uint64_t size)
{
	struct inject_key key = {
		.point = point,
		.file = f->number,
		.has_offset = true,
		.offset = offset,
		.size = size,
	};

	return obs_injects(point) ? obs_inject_error(&key) : 0;
}

static int allocate(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	bool is_over = false;
	int err;

	if (!f->limit.limit)
		err = store_allocate(f->store, offset, size);
	else
		err = limit_allocate(&f->limit, offset, size, &is_over);
	if (is_over)
		return obs_refuse(RULE_GMEM_LIMIT);
	return err ? obs_refuse_as(RULE_GMEM_ALLOCATE_FAILED, err) : 0;
}

int gmem_file_allocate(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	uint64_t start = obs_start();
	int err = fail_on_purpose(f, INJECT_ALLOCATE, offset, size);

	if (err)
		return err;
	/* Shared, as a fault: it gives pages to offsets, but takes none away. */
	os_rwlock_read_lock(&f->invalidate);
	err = allocate(f, offset, size);
	os_rwlock_read_unlock(&f->invalidate);
	if (err)
		return err;
	obs_span_file(OBS_ALLOCATE, f->number, start, 0, offset, size, 0);
	return 0;
}

/* ---- discard and release --------------------------------------------------------------------- */

/* What the translations to pages that go may be of. */
static uint32_t both_or_initial(const struct gmem_file *f)
{
	if (f->flags & GMEM_FILE_IN_PLACE)
		return GMEM_FILTER_SHARED | GMEM_FILTER_PRIVATE;
	return f->flags & GMEM_FILE_INIT_SHARED ? GMEM_FILTER_SHARED : GMEM_FILTER_PRIVATE;
}

int gmem_file_punch(struct gmem_file *f, uint64_t offset, uint64_t size)
{
	struct gmem_change ch = {
		.kind = GMEM_CHANGE_DISCARD,
		.offset = offset,
		.size = size,
		.filter = both_or_initial(f),
		.file = f,
	};
	uint64_t start = obs_start();
	int err;

	os_assert(size && !((offset | size) & (OS_PAGE_SIZE - 1)));
	if (offset >= f->size)
		return 0;
	ch.size = min_u64(size, f->size - offset);
	err = fail_on_purpose(f, INJECT_PUNCH, offset, ch.size);
	if (err)
		return err;
	os_rwlock_write_lock(&f->invalidate);
	err = blocks_apart_shared(f, ch.offset, ch.size);
	if (err) {
		os_rwlock_write_unlock(&f->invalidate);
		return err;
	}
	err = bracket_begin(f, &ch);
	os_assert(!err);

	os_assert(f->changing);
	type_reclaim(f, ch.offset, ch.size);
	err = store_punch(f->store, ch.offset, ch.size);
	if (!err)
		poison_punched(f, ch.offset, ch.size);

	bracket_end(f, &ch);
	os_rwlock_write_unlock(&f->invalidate);
	if (err)
		return obs_refuse_as(RULE_GMEM_PUNCH_FAILED, err);
	obs_span_file(OBS_PUNCH, f->number, start, 0, ch.offset, ch.size, 0);
	return 0;
}

int gmem_file_move(struct gmem_file *f, uint64_t offset, uint64_t size,
		   int (*move)(void *data, uint64_t offset, uint64_t size), void *data)
{
	struct gmem_change ch = {
		.kind = GMEM_CHANGE_MOVE,
		.offset = offset,
		.size = size,
		.filter = both_or_initial(f),
		.file = f,
	};
	int err;

	os_rwlock_write_lock(&f->invalidate);
	if (f->released) {
		os_rwlock_write_unlock(&f->invalidate);
		return obs_refuse(RULE_PAGE_RELEASED);
	}
	err = bracket_begin(f, &ch);
	os_assert(!err);
	err = move(data, offset, size);
	bracket_end(f, &ch);
	os_rwlock_write_unlock(&f->invalidate);
	return err;
}

static void forget_all(struct gmem_file *f)
{
	f->forgotten = f->bindings;
	f->bindings = (struct binding_tree){ 0 };
	while (f->consumers)
		consumer_unlink(f->consumers);
}

void gmem_file_release(struct gmem_file *f)
{
	struct gmem_change ch = {
		.kind = GMEM_CHANGE_RELEASE,
		.size = f->size,
		.filter = both_or_initial(f),
		.file = f,
	};
	int err;

	os_rwlock_write_lock(&f->invalidate);
	os_assert(!f->released);
	err = bracket_begin(f, &ch);
	os_assert(!err);

	os_assert(f->changing);
	type_reclaim(f, 0, f->size);
	atomic_store_explicit(&f->released, true, memory_order_release);
	err = store_release(f->store);
	/* A file in memory has no reason to keep what it is told to free; a store of a program's is not asked. */
	os_assert(!err);

	bracket_end(f, &ch);
	forget_all(f);
	os_rwlock_write_unlock(&f->invalidate);
	obs_count_file(OBS_RELEASE, f->number, f->size, 0, 0);
}

/* ---- check ----------------------------------------------------------------------------------- */

void gmem_file_check(struct gmem_file *f)
{
	uint64_t nr_pages = f->size >> OS_PAGE_SHIFT, limit = attr_map_limit(f->attributes);
	struct gmem_consumer *c;
	uint32_t value;

	os_rwlock_write_lock(&f->invalidate);
	os_assert(!f->changing);
	attr_map_check(f->attributes);
	os_assert(attr_map_bytes(f->attributes) <= attr_map_bytes_bound(nr_pages));
	/* Nothing past the end was ever converted. */
	if (nr_pages < limit) {
		os_assert(attr_map_uniform(f->attributes, nr_pages, limit - nr_pages, &value));
		os_assert(value == (f->flags & GMEM_FILE_INIT_SHARED ? 0 : ATTR_PRIVATE));
	}
	type_check(f);
	blocks_check(f);
	binding_check(&f->bindings, f->size);
	os_assert(!f->released || !f->bindings.nr);
	for (c = f->consumers; c; c = c->next)
		os_assert(!c->began && *c->pprev == c);
	os_rwlock_write_unlock(&f->invalidate);
}
