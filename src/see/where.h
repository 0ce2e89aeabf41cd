/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * where: what an address in a program is: file and line by its debug information, else the next symbol, else how far
 * into which file. Answers are kept, so that a million records of ten places ask ten times.
 */
#ifndef GMEM_SEE_WHERE_H
#define GMEM_SEE_WHERE_H

#include <stdbool.h>
#include <stdint.h>

struct see_where {
	char *module;	/* path; NULL: nothing is known of the address */
	char *function; /* NULL: not known */
	char *file;	/* NULL: no debug information */
	unsigned int line;
	uint64_t offset; /* of the address in the function; without one: in the module */
	bool changed;	 /* the module's file is not what it was in the run */
};

struct trace_module;
struct see_places;

struct see_places *see_places_new(void);
void see_places_free(struct see_places *p);
/* A module of a process of a trace; kept is what it points to. */
void see_places_add(struct see_places *p, const struct trace_module *m);
/* is_return: the address is behind a call, which is what is meant. Good until the next call. */
const struct see_where *see_place(struct see_places *p, unsigned int process, uint64_t address,
				  bool is_return);
/* "vmm.c:123 convert", "convert+0x10 (vmm)", "vmm+0x1234", "?"; returns text. */
const char *see_place_text(const struct see_where *w, char *text, unsigned int size);

#endif
