/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * gmem_file: one guest_memfd. Its size, its store, the attribute of each page (in-place mode), its
 * bindings to memslots, its consumers, and the one invalidate lock.
 *
 * The bracket. Whoever holds translations to pages of a file (the secondary MMU of a VM, the host
 * mappings of a process, a test) is a consumer. A change - conversion, discard (punch), release -
 * runs under the invalidate lock, exclusively:
 *
 *	prepare on all      only a conversion to private asks; any refusal ends it, nothing was touched
 *	begin on all        every translation of the range is dropped, none is made until end
 *	   the change       the VM type is told, attribute map or store
 *	end on all
 *
 * The change sits inside the bracket, so no fault can put an old translation back. When begin
 * fails on one, end(aborted) is called on all that began, and the state is as it was. Consumers with last
 * set begin after the others and end before them. Discard and release cannot be refused.
 *
 * Lock order: vcpu -> slots -> file invalidate -> mmu -> store. A VM type's prepare() is called under the
 * invalidate lock and a lock of the file inside it.
 */
#ifndef GMEM_CORE_GMEM_FILE_H
#define GMEM_CORE_GMEM_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/attr_map.h"
#include "core/store.h"
#include "os/os.h"

struct gmem_file;
struct gmem_binding;

enum gmem_change_kind {
	GMEM_CHANGE_CONVERT,
	GMEM_CHANGE_DISCARD,
	GMEM_CHANGE_RELEASE,
	GMEM_CHANGE_FREEZE, /* nothing changes: nobody reaches a page while it is copied */
	GMEM_CHANGE_MOVE,   /* the same pages, at other addresses of the hidden view */
};

/* Which translations a change is about: those of pages that are shared, private, or both, before it. */
#define GMEM_FILTER_SHARED 1u
#define GMEM_FILTER_PRIVATE 2u

struct gmem_conversion;

struct gmem_change {
	enum gmem_change_kind kind;
	uint64_t
		offset; /* bytes, page aligned; a conversion's is cut to what really changes at both ends */
	uint64_t size;
	uint32_t attributes; /* what the pages become; CONVERT only */
	/* GMEM_FILTER_*: the state that a conversion leaves; of a discard and a release both, for a file without
	 * IN_PLACE what its pages are. */
	uint32_t filter;
	uint64_t
		generation; /* counts the changes of the file that began; in prepare the number it would have */
	bool aborted; /* to end(): the change did not happen */
	struct gmem_file *file;
	struct gmem_conversion *conversion; /* what was asked; CONVERT only */
};

/*
 * The parts of the change that do not have the new value yet, in order: start with *at = 0; false: no more.
 * Until the map changes, that is in prepare, begin and an aborted end. What is already so is left alone. A
 * discard, a release and a freeze are one part.
 */
bool gmem_change_next(const struct gmem_change *ch, uint64_t *at, uint64_t *offset, uint64_t *size);
/* In prepare and begin of a conversion, by the thread that was called: this part is refused, with -EAGAIN. What
 * of it lies outside the change does not count. Tell all there are, in any order, if more than the lowest was
 * asked for (gmem_change_wants_all), else the lowest. */
void gmem_change_refuse(const struct gmem_change *ch, uint64_t offset, uint64_t size);
bool gmem_change_wants_all(const struct gmem_change *ch);

struct gmem_consumer;
struct gmem_consumer_ops {
	/* May refuse: -EAGAIN after gmem_change_refuse(), or -ENOMEM. After -EAGAIN the others are still asked.
	 * Reserves what begin will need. NULL: always agrees. Nothing follows when another refuses, so
	 * what is reserved must be good for the next time, too. */
	int (*prepare)(struct gmem_consumer *c, const struct gmem_change *ch);
	/* Drops every translation of the range and makes none until end. -EAGAIN (after refuse), -ENOMEM,
	 * -EINTR. What is not a conversion must return 0. */
	int (*begin)(struct gmem_consumer *c, const struct gmem_change *ch);
	void (*end)(struct gmem_consumer *c, const struct gmem_change *ch);
	/*
	 * For the last one, who maps what is shared; all three or none. takes_huge: a block that is shared all through can be
	 * mapped from the store's huge pages, until the file is told gmem_file_stay_small(). close: from here to open()
	 * whoever touches the block is waited with; -EAGAIN (a page of it is pinned), -ENOMEM: nothing has happened. open:
	 * it is mapped from where it is now. Exclusive, on blocks that are shared all through.
	 */
	bool (*takes_huge)(struct gmem_consumer *c, uint64_t offset, uint64_t size);
	int (*close)(struct gmem_consumer *c, uint64_t offset, uint64_t size);
	void (*open)(struct gmem_consumer *c, uint64_t offset, uint64_t size);
};
/* Embedded in whatever consumes. Registered and unregistered under the invalidate lock. */
struct gmem_consumer {
	const struct gmem_consumer_ops *ops;
	bool last; /* begins when all others have: the host, who may see a page once no guest does */
	/* core's from here; all zero when not registered */
	struct gmem_consumer *next, **pprev;
	bool began;
};

#define GMEM_FILE_MMAP 1u	 /* GUEST_MEMFD_FLAG_MMAP */
#define GMEM_FILE_INIT_SHARED 2u /* GUEST_MEMFD_FLAG_INIT_SHARED */
#define GMEM_FILE_IN_PLACE \
	0x10000u /* the file's own map says what a page is, and conversion may change it */
#define GMEM_FILE_NO_PRIVATE \
	0x20000u /* its VM has no private memory: for the upper layers, core does not look */
/* What its store is made of (store.h), not both: huge pages where there is room, or the system's own. */
#define GMEM_FILE_THP 0x40000u
#define GMEM_FILE_HUGETLB 0x80000u
/* With HUGETLB: pages of 1 GiB. With HUGETLB, MMAP and IN_PLACE they are for what is private all through alone (blocks.c). */
#define GMEM_FILE_HUGETLB_1G 0x1000000u
/* With these four: also for what is shared all through, where the host can map it so. */
#define GMEM_FILE_HUGE_WINDOWS 0x2000000u
/* Its store is of huge pages and small ones (store_mixed.c). */
static inline bool gmem_flags_mixed(unsigned int flags)
{
	unsigned int all = GMEM_FILE_HUGETLB | GMEM_FILE_MMAP | GMEM_FILE_IN_PLACE;

	return (flags & all) == all;
}
/* Its size is a page where none is 0: for the upper layers, as NO_PRIVATE. */
#define GMEM_FILE_EMPTY 0x800000u

/* size: bytes, a multiple of 4096, 1 .. 2^63-4096. flags: GMEM_FILE_*. Without INIT_SHARED every page
 * is private at first. One reference is the caller's. -ENOMEM, -EMFILE, and as store_create(). */
int gmem_file_create(uint64_t size, unsigned int flags, struct gmem_file **out);
/* Over a store that there is already, which is the file's from here on; on failure still the caller's. -ENOMEM. */
int gmem_file_create_on(struct store *store, unsigned int flags, struct gmem_file **out);
void gmem_file_get(struct gmem_file *f);
/* The last put frees every byte; bindings and consumers must be gone (gmem_file_release). */
void gmem_file_put(struct gmem_file *f);

/* By which events name it: from 1 in its process. */
uint16_t gmem_file_number(const struct gmem_file *f);
uint64_t gmem_file_size(const struct gmem_file *f);
unsigned int gmem_file_flags(const struct gmem_file *f);
struct store *gmem_file_store(const struct gmem_file *f);
struct attr_map *gmem_file_attributes(const struct gmem_file *f);
/* Under the invalidate lock: how many changes there have been, the number of the last one. */
uint64_t gmem_file_generation(const struct gmem_file *f);
/* What the file's pages being private or shared costs in memory, bytes. Bounded, see attr_map.h; twice that with
 * a VM type that prepares. Takes the invalidate lock, shared. */
uint64_t gmem_file_attribute_bytes(struct gmem_file *f);
/* Lock-free: the page at offset is private by the file's own map. False for a file without IN_PLACE, and for one
 * that is released. Stays so while the invalidate lock is held. */
bool gmem_file_is_private(struct gmem_file *f, uint64_t offset);

void gmem_file_add_consumer(struct gmem_file *f, struct gmem_consumer *c);
void gmem_file_remove_consumer(struct gmem_file *f, struct gmem_consumer *c);

/*
 * Bindings: which range of the file is which memslot's. A page is bound to at most one slot.
 * Called under the VM's slots lock. gmem_file_bind: -EEXIST when a page of the range is bound,
 * -EBADF when the file is released.
 * The owner pointer is the slot's, for the consumer to translate offsets to gfns.
 */
int gmem_file_bind(struct gmem_file *f, uint64_t offset, uint64_t size, void *owner,
		   struct gmem_binding **out);
void gmem_file_unbind(struct gmem_file *f, struct gmem_binding *b);
/* Calls fn for every binding that meets [offset, offset+size), with the part that does; only inside
 * prepare, begin and end, or under the invalidate lock. */
void gmem_file_for_bindings(struct gmem_file *f, uint64_t offset, uint64_t size,
			    void (*fn)(void *arg, void *owner, uint64_t offset, uint64_t size),
			    void *arg);

/* Guest and host faults look a page up between these two (shared). */
void gmem_file_fault_begin(struct gmem_file *f);
void gmem_file_fault_end(struct gmem_file *f);
/* Host address of the page at offset and the level it can be mapped at; -ENOMEM, -EFAULT once the
 * file is released. Between fault_begin and fault_end, or with the mmu's sequence re-checked. */
int gmem_file_page(struct gmem_file *f, uint64_t offset, void **addr, int *level);
/* As it stands after gmem_file_page(): whether others of the same 2 MiB may be mapped along with the page, although
 * nobody has looked them up. */
bool gmem_file_neighbours_ready(struct gmem_file *f, uint64_t offset);

/*
 * What a VM type wants to be told, as hardware that guards pages itself needs it (SNP, TDX). All under the
 * invalidate lock, on present pages only, clamped to the range, neighbours at once; bytes. Present is a page that
 * has been touched (one that is only allocated has nothing in it to guard). A NULL function: nothing to do.
 */
struct gmem_type_ops {
	/* A private page, present now, is about to be mapped for a guest for the first time since it is private or
	 * backed. Again when there was no memory to remember (never too seldom). -errno ends the fault, and the
	 * next one asks again. The lock is held shared; one call at a time. Pages of such a file are mapped one
	 * by one. */
	int (*prepare)(void *type, uint64_t offset, uint64_t size);
	/* Between begin and the change, when no translation is left; the parts that change. Cannot fail. */
	void (*make_private)(void *type, uint64_t offset, uint64_t size);
	void (*make_shared)(void *type, uint64_t offset, uint64_t size);
	/* The pages, private or shared, are about to be freed (punch, release). */
	void (*reclaim)(void *type, uint64_t offset, uint64_t size);
};
/* Before the file is used. */
void gmem_file_set_type(struct gmem_file *f, const struct gmem_type_ops *ops, void *type);
/* What the file's pages take counts in limit (limit.h). Before the file is used. */
struct gmem_limit;
void gmem_file_set_limit(struct gmem_file *f, struct gmem_limit *limit);
/* For whoever maps a private page for a guest, between gmem_file_fault_begin() and end(), when the page is
 * present and before it is mapped: the type's prepare(). -ENOMEM, or the type's. */
int gmem_file_prepare(struct gmem_file *f, uint64_t offset);
/* Whether it does anything; if not, nobody need call it. */
bool gmem_file_prepares(const struct gmem_file *f);

/*
 * Conversion in place, all or nothing, of a file with IN_PLACE. size > 0, offset and size page aligned and inside
 * the file (the caller has checked). Already so: 0 at once, nothing told to anyone; parts that are already so are
 * left alone. -EAGAIN (pinned, or a process that did not answer in time), -ENOMEM, -EINTR (a signal waits; asked
 * from 1 GiB on and only where nothing has changed, or by a consumer) with the place in error_offset and nothing
 * changed; -EBADF: released. On success error_offset is not written.
 */
struct gmem_refused {
	uint64_t offset, size;
};
/* No more ranges of size bytes can refuse than every second page. */
static inline uint32_t gmem_refused_room(uint32_t wanted, uint64_t size)
{
	uint64_t most = (size / OS_PAGE_SIZE + 1) / 2;

	return wanted < most ? wanted : (uint32_t)most;
}
struct gmem_conversion {
	uint64_t offset, size;
	uint32_t attributes;
	uint64_t error_offset; /* out, on failure: the lowest refused page, else offset */
	/* NULL: the first refusal will do. Else all ranges that refuse are put here in order, joined where
	 * they touch, as many as there is room for; nr_refused says how many there were. With -EAGAIN only;
	 * when there is no memory to remember them all, the call fails with -ENOMEM instead. */
	struct gmem_refused *refused;
	uint32_t max_refused, nr_refused;
};
int gmem_file_convert(struct gmem_file *f, struct gmem_conversion *c);
/* Frees the pages of the range, which may reach past the end of the file. 0 always, or the store's
 * error with the bracket closed. */
int gmem_file_punch(struct gmem_file *f, uint64_t offset, uint64_t size);
/* The memory of the pages, inside the file, has failed: they lose what is in them, and looking one up fails with -EHWPOISON
 * until they are punched. -EOPNOTSUPP: the host has one of them mapped, or could (a shared page of a file with MMAP); -EBADF: released;
 * -ENOMEM. A conversion to shared fails with -EHWPOISON. */
int gmem_file_poison(struct gmem_file *f, uint64_t offset, uint64_t size);
/* How much of the range, from offset on, has failed, or has not, alike; > 0. The caller holds the lock. */
uint64_t gmem_file_poisoned_run(struct gmem_file *f, uint64_t offset, uint64_t size,
				bool *poisoned);
/* While move() runs nobody has a translation of the range, and its pages may get other addresses. What it returns;
 * -EFAULT: released. */
int gmem_file_move(struct gmem_file *f, uint64_t offset, uint64_t size,
		   int (*move)(void *data, uint64_t offset, uint64_t size), void *data);
/* Of a file with blocks: what is shared is in small pages from here on. -EAGAIN (of what is held), -ENOMEM: some still is in huge ones,
 * and nothing new will be; ask again. Not under the lock. */
int gmem_file_stay_small(struct gmem_file *f);
/* After it: is any of the range shared, and still in a huge page? Without the lock. */
bool gmem_file_shares_huge(struct gmem_file *f, uint64_t offset, uint64_t size);
/* It is so, and stays: also of a file without blocks. */
bool gmem_file_is_small(struct gmem_file *f);
/* Backs the pages of the range (inside the file). */
int gmem_file_allocate(struct gmem_file *f, uint64_t offset, uint64_t size);

/*
 * Contents for private pages of a file with IN_PLACE (populate.c), in order: a page that is not private is refused
 * with -EINVAL. from: memory that cannot fault; NULL: what is in the page stays, which is zero at first. The VM type
 * prepares each page when its contents are there. *done: bytes; what comes behind them is as it was. Offset and size
 * aligned and inside the file. -ENOMEM, or the type's. Guests that have a page mapped see it change.
 */
int gmem_file_populate(struct gmem_file *f, uint64_t offset, uint64_t size, const void *from,
		       uint64_t *done);
/*
 * Between these two no consumer but the host has a translation and nothing of the file changes: state, what is
 * present, and the contents as far as guests make them. What the host's windows show stays reachable. The invalidate
 * lock is held exclusively by the thread. -EFAULT: released.
 */
int gmem_file_freeze(struct gmem_file *f);
void gmem_file_thaw(struct gmem_file *f);

/* The last descriptor and mapping are gone: consumers are told, bindings forget the file, the
 * contents go. Later lookups fail with -EFAULT. Takes the invalidate lock; the caller holds slots.
 * Afterwards no binding and no consumer is the file's any more: their owners learn it in end(), where
 * they let go of the file. gmem_file_unbind() and gmem_file_remove_consumer() may still be called, by
 * who kept a reference; what nobody unbinds goes with the last one. */
void gmem_file_release(struct gmem_file *f);

/* Asserts the structure and the invariants that one file can check. */
void gmem_file_check(struct gmem_file *f);

#endif
