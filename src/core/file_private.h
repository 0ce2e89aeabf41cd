/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The inside of a gmem_file, for the files of core alone. */
#ifndef GMEM_CORE_FILE_PRIVATE_H
#define GMEM_CORE_FILE_PRIVATE_H

#include "core/binding.h"
#include "core/gmem_file.h"
#include "core/limit.h"
#include "os/os.h"

/* What the consumers of the change in progress have refused. */
struct refusals {
	bool any;
	bool lost;		/* no memory to keep all */
	uint64_t lowest;	/* bytes */
	struct attr_map *pages; /* a set of all; only when the caller wants to know */
};

struct gmem_file {
	_Atomic uint32_t refs;
	uint64_t size;
	unsigned int flags;
	uint16_t number; /* for obs */
	struct store *store;
	struct attr_map *attributes;
	_Atomic bool released;
	bool stays_small;      /* what is shared; under the invalidate lock */
	_Atomic bool is_small; /* and it is so */

	const struct gmem_type_ops *type_ops; /* constant once the file is in use */
	void *type;
	_Atomic(struct attr_map *) poisoned; /* a set of pages; NULL: none yet */
	struct limit_link limit;	     /* constant once the file is in use */
	struct os_mutex prepare_lock;	     /* inside the invalidate lock */
	struct attr_map *prepared;	     /* a set of pages; NULL: none yet */

	struct os_rwlock invalidate;
	/* Under the invalidate lock: */
	struct binding_tree bindings;
	struct binding_tree forgotten; /* by release; their owners may still unbind them */
	struct gmem_consumer *consumers;
	uint64_t generation;
	bool changing;		   /* between begin and end of all consumers */
	struct gmem_change frozen; /* what gmem_file_thaw() ends */
	struct refusals refusals;
};

/*
 * The bracket (bracket.c), invalidate lock held exclusively:
 *
 *	bracket_prepare()	nothing happened yet, and may end here
 *	bracket_begin()		0: the bracket is open on every consumer. Else on none
 *	... the change ...	asserts f->changing
 *	bracket_end()
 */
int bracket_prepare(struct gmem_file *f, struct gmem_change *ch);
int bracket_begin(struct gmem_file *f, struct gmem_change *ch);
void bracket_end(struct gmem_file *f, struct gmem_change *ch);

/* refusal.c: once around prepare and begin; the second puts what was refused where the caller asked for it, and
 * returns the error to give. */
void refusals_begin(struct gmem_file *f);
int refusals_end(struct gmem_file *f, struct gmem_conversion *c, int err);

/* poison.c; the first two under the lock, or where it is asked for again. */
bool poison_meets(struct gmem_file *f, uint64_t offset, uint64_t size);
/* The largest level, up to level, whose page around offset is good, or bad, all through. */
int poison_level(struct gmem_file *f, uint64_t offset, int level);
/* Inside the bracket of a punch: others come in their place. */
void poison_punched(struct gmem_file *f, uint64_t offset, uint64_t size);
void poison_destroy(struct gmem_file *f);

/* blocks.c, not in a bracket. apart: what the conversion leaves in pages of both kinds, or of one that the host cannot have
 * huge, is in small pages afterwards; -ENOMEM, -EINTR, -EAGAIN: nothing has changed. together: what is of one kind is in huge
 * pages, where there are any. */
int blocks_apart(struct gmem_file *f, const struct gmem_change *ch);
/* All that is shared. */
int blocks_apart_shared(struct gmem_file *f, uint64_t offset, uint64_t size);
void blocks_together(struct gmem_file *f, uint64_t offset, uint64_t size);
void blocks_check(struct gmem_file *f);

/* type.c: the VM type is told, inside the bracket. */
void type_convert(struct gmem_file *f, const struct gmem_change *ch);
void type_reclaim(struct gmem_file *f, uint64_t offset, uint64_t size);
void type_check(struct gmem_file *f);
void type_destroy(struct gmem_file *f);

#endif
