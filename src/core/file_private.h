/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The inside of a gmem_file, for the files of core alone: file.c, convert.c, bracket.c. */
#ifndef GMEM_CORE_FILE_PRIVATE_H
#define GMEM_CORE_FILE_PRIVATE_H

#include "core/binding.h"
#include "core/gmem_file.h"
#include "os/os.h"

struct gmem_file {
	_Atomic uint32_t refs;
	uint64_t size;
	unsigned int flags;
	struct store *store;
	struct attr_map *attributes;
	_Atomic bool released;

	struct os_rwlock invalidate;
	/* Under the invalidate lock: */
	struct binding_tree bindings;
	struct binding_tree forgotten; /* by release; their owners may still unbind them */
	struct gmem_consumer *consumers;
	uint64_t generation;
	bool changing; /* between begin and end of all consumers */
};

/*
 * The bracket (bracket.c), invalidate lock held exclusively:
 *
 *	bracket_prepare()	nothing happened yet, and may end here
 *	bracket_begin()		0: the bracket is open on every consumer. Else on none
 *	... the change ...	asserts f->changing
 *	bracket_end()
 */
int bracket_prepare(struct gmem_file *f, const struct gmem_change *ch, uint64_t *error_offset);
int bracket_begin(struct gmem_file *f, struct gmem_change *ch);
void bracket_end(struct gmem_file *f, struct gmem_change *ch);

#endif
