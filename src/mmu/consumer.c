/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The mmu as consumer of guest_memfds: one registration per file, however many slots the file is in; the
 * file's bindings tell which guest pages a range of it is.
 *
 * Between begin and end no window is needed: a fault on a page of the file holds the file's invalidate
 * lock, shared, from before it looks the page up until its leaf is in; and if the file converts in place, so
 * does a fault on memory of the program that stands behind the same slot, from before it looks once more
 * whether the page is shared.
 */
#include <errno.h>
#include <stddef.h>

#include "mmu/mmu_private.h"
#include "obs/obs.h"

struct file_watch {
	struct gmem_consumer consumer; /* first */
	struct mmu *mmu;
	struct gmem_file *file;	 /* NULL once released */
	struct interval by_file; /* its address, which a later file may have again */
	uint64_t nr_slots;
};

struct binding_zap {
	struct mmu *mmu;
	struct zap zap;
};

static void zap_binding(void *arg, void *owner, uint64_t offset, uint64_t size)
{
	struct binding_zap *b = arg;
	struct memslot *slot = owner;
	uint64_t gfn = slot->gfn + ((offset - slot->file_offset) >> OS_PAGE_SHIFT);
	uint64_t nr = size >> OS_PAGE_SHIFT;
	bool hit;

	if (slot->mmu != b->mmu || slot->as_id != 0)
		return;
	hit = table_zap(b->mmu, gfn, gfn + nr, &b->zap.freed);
	b->zap.hit |= hit;
	if (hit)
		obs_count(OBS_INVALIDATE, gfn, nr, 0);
	else
		obs_add(OBS_INVALIDATE);
}

static int watch_begin(struct gmem_consumer *c, const struct gmem_change *change)
{
	struct file_watch *watch = (struct file_watch *)c;
	struct binding_zap b = { .mmu = watch->mmu };
	uint64_t at = 0, offset, size;

	os_mutex_lock(&b.mmu->lock);
	while (gmem_change_next(change, &at, &offset, &size))
		gmem_file_for_bindings(watch->file, offset, size, zap_binding, &b);
	zap_seal(b.mmu, &b.zap);
	os_mutex_unlock(&b.mmu->lock);
	zap_finish(b.mmu, &b.zap);
	return 0;
}

/* The slot stays, without its file. */
static void forget_file(void *arg, void *owner, uint64_t offset, uint64_t size)
{
	struct mmu *mmu = arg;
	struct memslot *slot = owner;

	if (slot->mmu != mmu)
		return;
	slot->file = NULL;
	slot->binding = NULL;
}

static void watch_end(struct gmem_consumer *c, const struct gmem_change *change)
{
	struct file_watch *watch = (struct file_watch *)c;

	if (change->kind != GMEM_CHANGE_RELEASE)
		return;
	os_mutex_lock(&watch->mmu->lock);
	gmem_file_for_bindings(watch->file, 0, UINT64_MAX, forget_file, watch->mmu);
	os_mutex_unlock(&watch->mmu->lock);
	watch->file = NULL;
}

static const struct gmem_consumer_ops watch_ops = {
	.begin = watch_begin,
	.end = watch_end,
};

struct search {
	struct gmem_file *file;
	struct file_watch *found;
};

static bool is_other(void *arg, struct interval *node)
{
	struct search *s = arg;
	struct file_watch *watch =
		(struct file_watch *)(void *)((char *)node - offsetof(struct file_watch, by_file));

	if (watch->file == s->file)
		s->found = watch;
	return !s->found;
}

static struct file_watch *find_watch(struct mmu *mmu, struct gmem_file *file)
{
	struct search s = { .file = file };
	uint64_t key = (uint64_t)(uintptr_t)file;

	interval_for_each(&mmu->watches, key, key + 1, is_other, &s);
	return s.found;
}

int file_watch_get(struct mmu *mmu, struct gmem_file *file, struct file_watch **out)
{
	struct file_watch *watch = find_watch(mmu, file);

	if (!watch) {
		watch = os_alloc(sizeof(*watch));
		if (!watch)
			return -ENOMEM;
		watch->consumer.ops = &watch_ops;
		watch->mmu = mmu;
		watch->file = file;
		watch->by_file.start = (uint64_t)(uintptr_t)file;
		watch->by_file.end = watch->by_file.start + 1;
		interval_insert(&mmu->watches, &watch->by_file);
		gmem_file_add_consumer(file, &watch->consumer);
	}
	watch->nr_slots++;
	*out = watch;
	return 0;
}

void file_watch_put(struct mmu *mmu, struct file_watch *watch)
{
	if (--watch->nr_slots)
		return;
	interval_remove(&mmu->watches, &watch->by_file);
	/* A release has taken all consumers off the file. */
	if (watch->file)
		gmem_file_remove_consumer(watch->file, &watch->consumer);
	os_free(watch, sizeof(*watch));
}
