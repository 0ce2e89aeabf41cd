/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * gmem_file: one guest_memfd. Its size, its store, the attribute of each page (in-place mode), its
 * bindings to memslots, its consumers, and the one invalidate lock.
 *
 * The bracket. Whoever holds translations to pages of a file (the secondary MMU of a VM, the host
 * mappings of a process, a test) is a consumer. A change - conversion, discard (punch), release -
 * runs under the invalidate lock, exclusively:
 *
 *	prepare on all      only a conversion to private asks; one refusal ends it, nothing was touched
 *	begin on all        every translation of the range is dropped, none is made until end
 *	   the change       attribute map or store
 *	end on all
 *
 * The change sits inside the bracket, so no fault can put an old translation back. When begin
 * fails on one, end(aborted) is called on all that began, and the state is as it was. Discard and
 * release cannot be refused.
 *
 * Lock order: vcpu -> slots -> file invalidate -> mmu -> store.
 */
#ifndef GMEM_CORE_GMEM_FILE_H
#define GMEM_CORE_GMEM_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/attr_map.h"
#include "core/store.h"

struct gmem_file;
struct gmem_binding;

enum gmem_change_kind { GMEM_CHANGE_CONVERT, GMEM_CHANGE_DISCARD, GMEM_CHANGE_RELEASE };

/* Which translations a change is about: those of pages that are shared, private, or both, before it. */
#define GMEM_FILTER_SHARED 1u
#define GMEM_FILTER_PRIVATE 2u

struct gmem_conversion;

struct gmem_change {
	enum gmem_change_kind kind;
	uint64_t offset; /* bytes, page aligned; a conversion's is cut to what really changes at both ends */
	uint64_t size;
	uint32_t attributes; /* what the pages become; CONVERT only */
	uint32_t filter;     /* GMEM_FILTER_*: the state that is being left; both for a punch in place */
	uint64_t generation; /* counts the changes of the file */
	bool aborted;	     /* to end(): the change did not happen */
	struct gmem_file *file;
	struct gmem_conversion *conversion; /* what was asked; CONVERT only */
};

/*
 * The parts of the change that do not have the new value yet, in order: start with *at = 0; false: no more.
 * Until the map changes, that is in prepare, begin and an aborted end. What is already so is left alone.
 */
bool gmem_change_next(const struct gmem_change *ch, uint64_t *at, uint64_t *offset, uint64_t *size);
/* In prepare and begin of a conversion: this part is refused, with -EAGAIN. Tell all there are, if more
 * than the first was asked for (gmem_change_wants_all). */
void gmem_change_refuse(const struct gmem_change *ch, uint64_t offset, uint64_t size);
bool gmem_change_wants_all(const struct gmem_change *ch);

struct gmem_consumer;
struct gmem_consumer_ops {
	/* May refuse: -EAGAIN after gmem_change_refuse(), or -ENOMEM.
	 * Reserves what begin will need. NULL: always agrees. Nothing follows when another refuses, so
	 * what is reserved must be good for the next time, too. */
	int (*prepare)(struct gmem_consumer *c, const struct gmem_change *ch);
	/* Drops every translation of the range and makes none until end. -EAGAIN (after refuse), -ENOMEM,
	 * -EINTR. Discard and release must return 0. */
	int (*begin)(struct gmem_consumer *c, const struct gmem_change *ch);
	void (*end)(struct gmem_consumer *c, const struct gmem_change *ch);
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
#define GMEM_FILE_IN_PLACE 0x10000u /* the file's own map says what a page is, and conversion may change it */

/* size: bytes, a multiple of 4096, 1 .. 2^63-4096. flags: GMEM_FILE_*. Without INIT_SHARED every page
 * is private at first. One reference is the caller's. -ENOMEM, -EMFILE. */
int gmem_file_create(uint64_t size, unsigned int flags, struct gmem_file **out);
void gmem_file_get(struct gmem_file *f);
/* The last put frees every byte; bindings and consumers must be gone (gmem_file_release). */
void gmem_file_put(struct gmem_file *f);

uint64_t gmem_file_size(const struct gmem_file *f);
unsigned int gmem_file_flags(const struct gmem_file *f);
struct store *gmem_file_store(const struct gmem_file *f);
struct attr_map *gmem_file_attributes(const struct gmem_file *f);

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

/*
 * What a VM type wants to be told, as hardware that guards pages itself needs it (SNP, TDX). All under the
 * invalidate lock, on present pages only, clamped to the range; bytes. A NULL function: nothing to do.
 */
struct gmem_type_ops {
	/* A private page is about to be mapped for a guest for the first time since it is private or backed.
	 * -errno ends the fault. The lock is held shared. */
	int (*prepare)(void *type, uint64_t offset, uint64_t size);
	/* Between begin and the change, when no translation is left. Cannot fail. */
	void (*make_private)(void *type, uint64_t offset, uint64_t size);
	void (*make_shared)(void *type, uint64_t offset, uint64_t size);
	/* The pages are about to be freed (punch, release). */
	void (*reclaim)(void *type, uint64_t offset, uint64_t size);
};
/* Before the file is used. */
void gmem_file_set_type(struct gmem_file *f, const struct gmem_type_ops *ops, void *type);

/*
 * Conversion in place, all or nothing. size > 0, offset and size page aligned and inside the file
 * (the caller has checked). Already so: 0 at once, nothing told to anyone; parts that are already so are left
 * alone. -EAGAIN (pinned, or a process that did not answer in time), -ENOMEM, -EINTR (a signal waits, asked only
 * where nothing has changed) with the place in error_offset and nothing changed.
 */
struct gmem_refused {
	uint64_t offset, size;
};
struct gmem_conversion {
	uint64_t offset, size;
	uint32_t attributes;
	uint64_t error_offset; /* out, on failure: the lowest refused page, else offset */
	/* NULL: the first refusal will do. Else all ranges that refuse are put here in order, joined where
	 * they touch, as many as there is room for; nr_refused says how many there were. */
	struct gmem_refused *refused;
	uint32_t max_refused, nr_refused;
};
int gmem_file_convert(struct gmem_file *f, struct gmem_conversion *c);
/* Frees the pages of the range, which may reach past the end of the file. 0 always, or the store's
 * error with the bracket closed. */
int gmem_file_punch(struct gmem_file *f, uint64_t offset, uint64_t size);
/* Backs the pages of the range (inside the file). */
int gmem_file_allocate(struct gmem_file *f, uint64_t offset, uint64_t size);
/* The last descriptor and mapping are gone: consumers are told, bindings forget the file, the
 * contents go. Later lookups fail with -EFAULT. Takes the invalidate lock; the caller holds slots.
 * Afterwards no binding and no consumer is the file's any more: their owners learn it in end(), where
 * they let go of the file. gmem_file_unbind() and gmem_file_remove_consumer() may still be called, by
 * who kept a reference; what nobody unbinds goes with the last one. */
void gmem_file_release(struct gmem_file *f);

/* Asserts the structure and the invariants that one file can check. */
void gmem_file_check(struct gmem_file *f);

#endif
