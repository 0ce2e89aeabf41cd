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
	char *function; /* as it is written; NULL: not known */
	char *mangled;	/* what the symbol is called, where that is something else; else NULL */
	char *file;	/* NULL: no debug information */
	unsigned int line;
	uint64_t offset; /* of the address in the function; without one: in the module */
	bool is_wrapper; /* see/wrappers.h: so are all that are inlined there */
	bool changed;	 /* the module's file is not what it was in the run */
};

struct trace_module;
struct see_places;

struct see_places *see_places_new(void);
void see_places_free(struct see_places *p);
/* A module of a process of a trace; kept is what it points to. */
void see_places_add(struct see_places *p, const struct trace_module *m);
/* How one gets from a frame to its caller's, at that address. Registers as before the call there. */
struct see_frame_rule {
	bool by_rbp;	/* where the frame is: rbp + offset, else rsp + offset */
	bool saves_rbp; /* at that distance from the frame */
	int64_t offset, return_at, rbp_at;
};
/* false: not known, or none that is as simple. */
bool see_frame_rule(struct see_places *p, unsigned int process, uint64_t address,
		    struct see_frame_rule *out);
/* What is inlined there is told as where it is called, if it is a wrapper. is_return: the address is behind a call, which is what is meant. Good until the next call. */
const struct see_where *see_place(struct see_places *p, unsigned int process, uint64_t address,
				  bool is_return);
/* "vmm.c:123 convert", "convert+0x10 (vmm)", "vmm+0x1234", "?"; returns text. */
const char *see_place_text(const struct see_where *w, char *text, unsigned int size);

#endif
