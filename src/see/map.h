/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * map: what each page of the guests' memory is: taken from one snapshot of a process that runs, or played again from a
 * trace, record by record, up to some time.
 *
 *	trace, snapshots ──> map (slots, each with runs of equal pages) ──> cells ──> text, SVG, PNG
 *			      └──> every change with its time ──> HTML
 *
 * Of a trace, a record tells an attribute for certain and memory that comes and goes by what it implies; each snapshot
 * in the trace is then believed in everything. Times are ns since the region was made.
 */
#ifndef GMEM_SEE_MAP_H
#define GMEM_SEE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "obs/account.h"
#include "see/view.h"

/* What a page is drawn as. */
enum map_class {
	MAP_SHARED_EMPTY,
	MAP_SHARED,
	MAP_PRIVATE_EMPTY,
	MAP_PRIVATE,
	MAP_SHARED_STRAY, /* has memory only where shared pages have no use of it: in the guest_memfd */
	MAP_PRIVATE_STRAY, /* likewise: in the program */
	MAP_SHARED_TWICE,
	MAP_PRIVATE_TWICE,
	MAP_NR_CLASSES
};

struct map_class_info {
	char letter;
	const char *name;
};
extern const struct map_class_info map_classes[MAP_NR_CLASSES];

/* Pages of 4 KiB, counted from the begin of the slot. States as those of struct account_run. */
struct map_run {
	uint64_t first, end;
	uint32_t who; /* of the last change; 0: not known */
	uint16_t states;
};

struct map_runs {
	struct map_run *list; /* touch, in order */
	uint64_t nr, room;
};

#define MAP_ALWAYS INT64_MIN
#define MAP_NEVER INT64_MAX

struct map_slot {
	uint32_t process, vm, as_id, id;
	uint32_t flags; /* ACCOUNT_ALL_IN_FILE, ACCOUNT_CONVERTS */
	bool ends_with_vm;
	uint64_t gpa, size, hva;
	uint64_t file, file_offset; /* 0: none */
	int64_t made, gone;	    /* MAP_ALWAYS, MAP_NEVER: not in the time that we know */
	struct map_runs runs;
};

/* Who made a change. */
struct map_who {
	uint16_t kind; /* of record */
	uint16_t process, vcpu;
	uint32_t thread;
	uint64_t caller;
};

struct map_change {
	int64_t ns;
	uint32_t slot, who; /* who 0: a snapshot knew better; who made the last change stays */
	uint64_t first, end;
	uint16_t states;
};

/* Attributes of what may get a slot later. */
struct map_attributes {
	uint32_t process, number;
	bool is_file, in_place;
	struct map_runs runs;
};

struct map {
	char title[160];
	struct map_slot *slots; /* also those that are gone */
	uint32_t nr_slots, room_slots;
	struct map_attributes *attributes;
	uint32_t nr_attributes;
	struct map_who *who; /* [0]: nobody known */
	uint32_t nr_who, room_who;
	/* Changes from number log_from on, with what the runs were before it. */
	struct map_change *changes;
	uint64_t nr_changes, room_changes, log_from, nr_logged;
	struct map_runs *base; /* by slot: those that there were at log_from */
	uint32_t nr_base;
	int64_t now; /* when what it shows was so */
	int64_t end; /* of the trace */
	uint64_t nr_lost, nr_snapshots;
	uint64_t
		nr_corrected; /* pages of which a snapshot knew another attribute than the records before it */
	bool is_coarse, is_blind, is_simulated;
	int err; /* the first -ENOMEM */
};

void map_free(struct map *m);

/* ---- how it is made --------------------------------------------------------------------------- */

enum map_op {
	MAP_SET_PRIVATE,
	MAP_SET_SHARED,
	MAP_FILE_GETS,
	MAP_FILE_LOSES,
	MAP_PROGRAM_GETS,
	MAP_PROGRAM_LOSES,
	MAP_SET_STATES,
};

struct map_step {
	enum map_op op;
	uint16_t states; /* of MAP_SET_STATES */
	uint32_t who;
	int64_t ns;
};

/* One run of so many pages, all of it of that state. */
int map_runs_fill(struct map_runs *r, uint64_t nr_pages, uint16_t states);
/* How many pages got another attribute. */
uint64_t map_runs_change(struct map_runs *r, uint64_t first, uint64_t end,
			 const struct map_step *step,
			 void (*changed)(void *arg, const struct map_run *run), void *arg);
/* The run that has the page. */
uint64_t map_runs_find(const struct map_runs *r, uint64_t page);

/* Pages of a slot, counted from its begin; cut at its end. */
void map_change(struct map *m, uint32_t slot, uint64_t first, uint64_t end,
		const struct map_step *step);
/* The slot of that name that is there now; UINT32_MAX: there is none. */
uint32_t map_find_slot(const struct map *m, uint32_t process, uint32_t vm, uint32_t as_id,
		       uint32_t id);
/* A new slot; its runs are those that attributes give it, or shared. UINT32_MAX: no memory. */
uint32_t map_add_slot(struct map *m, const struct map_slot *is);
struct map_attributes *map_attributes_of(struct map *m, uint32_t process, bool is_file,
					 uint32_t number);
/* What a snapshot says is so. */
void map_apply_snapshot(struct map *m, uint32_t process, int64_t ns,
			const struct account_snapshot *s);

#define MAP_MAX_CHANGES 200000u /* that are kept: the last ones */
struct map_wish {
	int64_t until; /* MAP_NEVER: all of it */
	bool with_changes;
	void (*tell)(void *arg, uint64_t done,
		     uint64_t of); /* how far it is; NULL: nobody wants to know */
	void *arg;
};
/* Plays the trace again. 0 or -errno; problem: why, also with 0 where the trace is
 * not complete, else "". The view stays open: places of callers are asked of it. */
int map_replay(const char *path, const struct map_wish *wish, struct map *m, struct see_view *v,
	       char *problem, size_t size);

enum map_class map_class_of(unsigned int state, uint32_t slot_flags);

/* ---- cells ------------------------------------------------------------------------------------- */

/* One address space of one VM, in rows of cells; rows without a slot are left out. */
struct map_cell {
	uint64_t bytes[MAP_NR_CLASSES];
	uint64_t none, pinned; /* bytes in no slot; of bytes */
};

struct map_row {
	uint64_t gpa;
	uint64_t left_out; /* bytes without a slot between this row and the one before */
	struct map_cell *cells;
};

struct map_space {
	uint32_t process, vm, as_id;
	bool is_gone;	/* the VM: this is the last that was seen */
	uint64_t block; /* bytes of a cell */
	uint32_t columns;
	struct map_row *rows;
	uint32_t nr_rows;
	struct map_cell total;
};

struct map_layout {
	uint64_t block;	     /* 0: as is fit */
	uint64_t start, end; /* what is to be drawn, guest physical */
	uint32_t columns, max_rows;
};

struct map_spaces {
	struct map_space *list;
	uint32_t nr;
};

/* -ENOMEM; -EFBIG: too many cells for that block. */
int map_spaces_make(const struct map *m, const struct map_layout *layout, struct map_spaces *out);
void map_spaces_free(struct map_spaces *s);
/* Is it there at the map's time, or the last of a VM that has ended? */
bool map_slot_is_drawn(const struct map *m, const struct map_slot *s);
/* "slot 3: 64M, file 1" of those that begin in the row; "": none. */
void map_row_label(const struct map *m, const struct map_space *space, uint32_t row, char *text,
		   size_t size);

/* ---- formats: false: it cannot be written ------------------------------------------------------- */

struct map_text_style {
	bool colour;
};
bool map_text(const struct map *m, const struct map_spaces *s, const struct map_text_style *style,
	      FILE *to);
bool map_svg(const struct map *m, const struct map_spaces *s, FILE *to);
/* -errno */
int map_png(const struct map *m, const struct map_spaces *s, FILE *to);
/* v: for places; NULL: there are no callers. */
bool map_html(const struct map *m, struct see_view *v, FILE *to);

#endif
