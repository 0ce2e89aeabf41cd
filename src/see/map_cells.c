/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/map.h"
#include "see/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096ull
#define MAX_ROWS 16384u
#define MAX_SPACES 256u
#define LARGEST_BLOCK (1ull << 56)

bool map_slot_is_drawn(const struct map *m, const struct map_slot *s)
{
	return s->made <= m->now && (s->gone > m->now || s->ends_with_vm);
}

/* ---- rows -------------------------------------------------------------------------------------- */

/* What is drawn of a slot. */
struct part {
	uint64_t start, end;
	uint32_t slot;
};

struct parts {
	struct part *list;
	uint32_t nr;
};

static int by_start(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static int find_parts(const struct map *m, const struct map_space *space,
		      const struct map_layout *layout, struct parts *out)
{
	out->nr = 0;
	out->list = malloc(m->nr_slots * sizeof(*out->list));
	if (!out->list)
		return -ENOMEM;
	for (uint32_t i = 0; i < m->nr_slots; i++) {
		const struct map_slot *s = &m->slots[i];
		struct part p = { s->gpa, s->gpa + s->size, i };

		if (!map_slot_is_drawn(m, s) || s->process != space->process ||
		    s->vm != space->vm || s->as_id != space->as_id)
			continue;
		p.start = p.start > layout->start ? p.start : layout->start;
		p.end = p.end < layout->end ? p.end : layout->end;
		if (p.start < p.end)
			out->list[out->nr++] = p;
	}
	qsort(out->list, out->nr, sizeof(*out->list), by_start);
	return 0;
}

static uint64_t count_rows(const struct parts *parts, uint64_t row)
{
	uint64_t nr = 0, next = 0; /* the first row that is not counted yet */

	for (uint32_t i = 0; i < parts->nr; i++) {
		uint64_t first = parts->list[i].start / row, last = (parts->list[i].end - 1) / row;

		first = first > next ? first : next;
		if (last + 1 <= first)
			continue;
		nr += last + 1 - first;
		next = last + 1;
	}
	return nr;
}

static void add_row(struct map_space *space, uint64_t gpa, struct map_cell *cells)
{
	uint64_t size = space->block * space->columns;
	struct map_row *r = &space->rows[space->nr_rows];

	*r = (struct map_row){ .gpa = gpa,
			       .cells = cells + (size_t)space->nr_rows * space->columns };
	if (space->nr_rows)
		r->left_out = gpa - (r[-1].gpa + size);
	space->nr_rows++;
}

static int make_rows(struct map_space *space, const struct parts *parts,
		     const struct map_layout *layout)
{
	uint64_t row, nr;
	struct map_cell *cells;

	space->columns = layout->columns;
	space->block = layout->block ? layout->block : PAGE;
	for (;; space->block *= 2) {
		row = space->block * space->columns;
		nr = count_rows(parts, row);
		if (layout->block || nr <= layout->max_rows || space->block >= LARGEST_BLOCK)
			break;
	}
	if (nr > MAX_ROWS)
		return -EFBIG;
	space->rows = calloc(nr + 1, sizeof(*space->rows));
	cells = calloc((size_t)nr * space->columns + 1, sizeof(*cells));
	if (!space->rows || !cells) {
		free(cells);
		return -ENOMEM;
	}
	space->rows[0].cells = cells; /* all rows' */
	for (uint32_t i = 0; i < parts->nr; i++) {
		uint64_t gpa = parts->list[i].start / row * row;

		if (space->nr_rows && gpa <= space->rows[space->nr_rows - 1].gpa)
			gpa = space->rows[space->nr_rows - 1].gpa + row;
		for (; gpa < parts->list[i].end; gpa += row)
			add_row(space, gpa, cells);
	}
	return 0;
}

/* ---- cells ------------------------------------------------------------------------------------- */

static void add_bytes(struct map_cell *c, uint16_t states, uint32_t slot_flags, uint64_t bytes)
{
	unsigned int nr = (unsigned int)__builtin_popcount(states & 0xff);

	if (states & ACCOUNT_PINNED)
		c->pinned += bytes;
	/* Of a run that was put together it is known what is in it, not how much. */
	for (unsigned int s = 0; nr && s < ACCOUNT_NR_STATES; s++) {
		uint64_t share = bytes / nr;

		if (!(states >> s & 1))
			continue;
		c->bytes[map_class_of(s, slot_flags)] += share;
		bytes -= share;
		nr--;
	}
}

static struct map_cell *cell_at(const struct map_space *space, uint64_t gpa, uint32_t *row)
{
	uint64_t size = space->block * space->columns;

	while (gpa >= space->rows[*row].gpa + size)
		++*row;
	return &space->rows[*row].cells[(gpa - space->rows[*row].gpa) / space->block];
}

static void fill_part(const struct map *m, struct map_space *space, const struct part *p)
{
	const struct map_slot *s = &m->slots[p->slot];
	uint32_t row = 0;

	for (uint64_t i = map_runs_find(&s->runs, (p->start - s->gpa) / PAGE); i < s->runs.nr;
	     i++) {
		const struct map_run *run = &s->runs.list[i];
		uint64_t at = s->gpa + run->first * PAGE, end = s->gpa + run->end * PAGE, next;

		at = at > p->start ? at : p->start;
		end = end < p->end ? end : p->end;
		if (at >= p->end)
			break;
		add_bytes(&space->total, run->states, s->flags, end - at);
		for (; at < end; at = next) {
			next = (at / space->block + 1) * space->block;
			next = next < end ? next : end;
			add_bytes(cell_at(space, at, &row), run->states, s->flags, next - at);
		}
	}
}

static void count_none(struct map_space *space)
{
	for (uint32_t i = 0; i < space->nr_rows; i++) {
		for (uint32_t k = 0; k < space->columns; k++) {
			struct map_cell *c = &space->rows[i].cells[k];

			c->none = space->block;
			for (int j = 0; j < MAP_NR_CLASSES; j++)
				c->none -= c->bytes[j] < c->none ? c->bytes[j] : c->none;
		}
	}
}

/* ---- spaces ------------------------------------------------------------------------------------ */

static bool is_known(const struct map_spaces *all, const struct map_slot *s)
{
	for (uint32_t i = 0; i < all->nr; i++)
		if (all->list[i].process == s->process && all->list[i].vm == s->vm &&
		    all->list[i].as_id == s->as_id)
			return true;
	return false;
}

static int make_space(const struct map *m, const struct map_layout *layout, struct map_space *space)
{
	struct parts parts;
	int err = find_parts(m, space, layout, &parts);

	if (!err)
		err = make_rows(space, &parts, layout);
	for (uint32_t i = 0; !err && i < parts.nr; i++)
		fill_part(m, space, &parts.list[i]);
	if (!err)
		count_none(space);
	free(parts.list);
	return err;
}

static int by_name(const void *a, const void *b)
{
	const struct map_space *x = a, *y = b;

	if (x->process != y->process)
		return x->process < y->process ? -1 : 1;
	if (x->vm != y->vm)
		return x->vm < y->vm ? -1 : 1;
	return x->as_id < y->as_id ? -1 : x->as_id > y->as_id;
}

int map_spaces_make(const struct map *m, const struct map_layout *layout, struct map_spaces *out)
{
	int err = 0;

	*out = (struct map_spaces){ .list = calloc(MAX_SPACES, sizeof(*out->list)) };
	if (!out->list)
		return -ENOMEM;
	for (uint32_t i = 0; !err && i < m->nr_slots && out->nr < MAX_SPACES; i++) {
		const struct map_slot *s = &m->slots[i];

		if (!map_slot_is_drawn(m, s) || s->gpa >= layout->end ||
		    s->gpa + s->size <= layout->start || is_known(out, s))
			continue;
		out->list[out->nr] = (struct map_space){ .process = s->process,
							 .vm = s->vm,
							 .as_id = s->as_id,
							 .is_gone = s->gone <= m->now };
		err = make_space(m, layout, &out->list[out->nr++]);
	}
	if (err)
		map_spaces_free(out);
	else
		qsort(out->list, out->nr, sizeof(*out->list), by_name);
	return err;
}

void map_spaces_free(struct map_spaces *s)
{
	for (uint32_t i = 0; i < s->nr; i++) {
		if (s->list[i].rows)
			free(s->list[i].rows[0].cells);
		free(s->list[i].rows);
	}
	free(s->list);
	*s = (struct map_spaces){ 0 };
}

void map_row_label(const struct map *m, const struct map_space *space, uint32_t row, char *text,
		   size_t size)
{
	uint64_t start = space->rows[row].gpa, end = start + space->block * space->columns;
	uint64_t drawn = 0;
	char number[TEXT_NUMBER_MAX];
	unsigned int nr = 0;
	size_t at = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < m->nr_slots; i++) {
		const struct map_slot *s = &m->slots[i];

		drawn = s->gpa > space->rows[0].gpa ? s->gpa : space->rows[0].gpa;
		if (!map_slot_is_drawn(m, s) || s->process != space->process ||
		    s->vm != space->vm || s->as_id != space->as_id || drawn < start ||
		    drawn >= end || s->gpa + s->size <= start)
			continue;
		if (nr++ < 2 && at < size)
			at += (size_t)snprintf(text + at, size - at, "%sslot %u %s", at ? ", " : "",
					       s->id, text_size(s->size, TEXT_AUTO, number));
		if (nr <= 2 && at < size && s->file)
			at += (size_t)snprintf(text + at, size - at, " file %u",
					       (unsigned int)s->file);
	}
	if (nr > 2 && at < size)
		snprintf(text + at, size - at, " and %u more", nr - 2);
}
