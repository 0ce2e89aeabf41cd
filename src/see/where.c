/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/where.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "see/demangle.h"
#include "see/trace.h"
#include "see/wrappers.h"

struct module {
	struct trace_module is;
	Dwfl *dwfl; /* NULL: the file is not there, or was not asked yet */
	Dwfl_Module *mod;
	bool asked, changed;
};

struct place {
	uint64_t address;
	unsigned int process;
	bool used;
	struct see_where where;
};

struct see_places {
	struct module *modules;
	size_t nr_modules;
	struct place *places; /* open addressing */
	size_t nr_places, max_places;
};

struct see_places *see_places_new(void)
{
	return calloc(1, sizeof(struct see_places));
}

void see_places_free(struct see_places *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->max_places; i++) {
		free(p->places[i].where.module);
		free(p->places[i].where.function);
		free(p->places[i].where.mangled);
		free(p->places[i].where.file);
	}
	for (size_t i = 0; i < p->nr_modules; i++) {
		if (p->modules[i].dwfl)
			dwfl_end(p->modules[i].dwfl);
	}
	free(p->places);
	free(p->modules);
	free(p);
}

void see_places_add(struct see_places *p, const struct trace_module *m)
{
	struct module *more = realloc(p->modules, (p->nr_modules + 1) * sizeof(*more));

	if (!more)
		return;
	p->modules = more;
	more[p->nr_modules++] = (struct module){ .is = *m };
}

/* ---- one module ---------------------------------------------------------------------------------- */

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

static bool is_what_it_was(const struct module *m)
{
	const unsigned char *bits;
	GElf_Addr addr;
	int size = dwfl_module_build_id(m->mod, &bits, &addr);

	return size <= 0 || !m->is.build_id_size ||
	       ((uint32_t)size == m->is.build_id_size &&
		memcmp(bits, m->is.build_id, (size_t)size) == 0);
}

static void open_module(struct module *m)
{
	struct stat st;

	m->asked = true;
	/* A pipe would be waited for. */
	if (stat(m->is.path, &st) || !S_ISREG(st.st_mode))
		return;
	m->dwfl = dwfl_begin(&callbacks);
	if (!m->dwfl)
		return;
	dwfl_report_begin(m->dwfl);
	m->mod = dwfl_report_elf(m->dwfl, "code", m->is.path, -1, m->is.base, true);
	dwfl_report_end(m->dwfl, NULL, NULL);
	if (!m->mod)
		return;
	m->changed = !is_what_it_was(m);
	if (m->changed)
		m->mod = NULL;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

/* As people write it: "/a/b/../c/./d" is "/a/c/d". */
static void tidy(char *path)
{
	char *to = path;

	for (char *at = path; *at;) {
		size_t len = strcspn(at + 1, "/") + 1;

		if (len == 3 && !memcmp(at, "/..", 3)) {
			while (to > path && *--to != '/')
				;
		} else if (!(len == 2 && !memcmp(at, "/.", 2)) && len > 1) {
			memmove(to, at, len);
			to += len;
		}
		at += len;
	}
	*to = '\0';
}

/* What the compiler was given is often relative to where it ran. */
static char *source_of(Dwarf_Die *unit, const char *name)
{
	Dwarf_Attribute at;
	const char *folder = name && *name != '/' && unit
				     ? dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &at))
				     : NULL;
	char *path = NULL;

	if (!folder || *folder != '/')
		return copy(name);
	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return NULL;
	tidy(path);
	return path;
}

static unsigned int number_of(Dwarf_Die *die, unsigned int name)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value = 0;

	if (!dwarf_attr(die, name, &attribute) || dwarf_formudata(&attribute, &value))
		return 0;
	return (unsigned int)value;
}

/* The place where what is inlined is called. */
static void to_call(Dwarf_Die *inlined, Dwarf_Die *unit, struct see_where *w)
{
	Dwarf_Files *files;
	size_t nr;
	unsigned int file = number_of(inlined, DW_AT_call_file);
	const char *name = dwarf_getsrcfiles(unit, &files, &nr) || file >= nr
				   ? NULL
				   : dwarf_filesrc(files, file, NULL, NULL);

	if (!name)
		return;
	free(w->file);
	w->file = source_of(unit, name);
	w->line = number_of(inlined, DW_AT_call_line);
}

/* What an address is in, from the innermost on, each inside of the next one. To be freed. */
static int nest_of(Dwarf_Die *unit, uint64_t address, Dwarf_Die **nest)
{
	Dwarf_Die *scopes = NULL;
	int nr = unit ? dwarf_getscopes(unit, address, &scopes) : 0;

	*nest = NULL;
	/* What is inlined comes there inside of where it is written, not of where it is called. */
	if (nr > 0)
		nr = dwarf_getscopes_die(&scopes[0], nest);
	free(scopes);
	return nr;
}

/* All that is known of code without debug information is which library it is in. */
static const char *file_of(const struct module *m, const struct see_where *w)
{
	return w->file || !strstr(m->is.path, ".so") ? w->file : m->is.path;
}

/* From the innermost on: wrappers are left for where they are called. */
static void leave_wrappers(const struct module *m, uint64_t address, struct see_where *w)
{
	Dwarf_Addr bias = 0;
	Dwarf_Die *unit = dwfl_module_addrdie(m->mod, address, &bias), *nest;
	int nr = nest_of(unit, address - bias, &nest);

	for (int i = 0; i < nr; i++) {
		bool is_inlined = dwarf_tag(&nest[i]) == DW_TAG_inlined_subroutine;

		if (!is_inlined && dwarf_tag(&nest[i]) != DW_TAG_subprogram)
			continue;
		w->is_wrapper = see_is_wrapper(dwarf_diename(&nest[i]), w->file);
		if (!w->is_wrapper || !is_inlined)
			break;
		to_call(&nest[i], unit, w);
	}
	if (nr <= 0)
		w->is_wrapper = see_is_wrapper(w->function, file_of(m, w)) ||
				(w->mangled && see_is_wrapper(w->mangled, NULL));
	free(nest);
}

static void set_function(struct see_where *w, const char *symbol)
{
	w->function = see_demangle(symbol);
	if (w->function)
		w->mangled = copy(symbol);
	else
		w->function = copy(symbol);
}

static void ask_module(const struct module *m, uint64_t address, struct see_where *w)
{
	Dwfl_Line *line = dwfl_module_getsrc(m->mod, address);
	Dwarf_Addr bias;
	GElf_Off offset = 0;
	GElf_Sym sym;
	const char *name = dwfl_module_addrinfo(m->mod, address, &offset, &sym, NULL, NULL, NULL);
	int number = 0;

	if (line) {
		w->file = source_of(dwfl_module_addrdie(m->mod, address, &bias),
				    dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL));
		w->line = (unsigned int)number;
	}
	if (name) {
		w->offset = offset;
		set_function(w, name);
	}
	leave_wrappers(m, address, w);
}

static struct module *module_at(struct see_places *p, unsigned int process, uint64_t address)
{
	for (size_t i = 0; i < p->nr_modules; i++) {
		struct module *m = &p->modules[i];

		if (m->is.process == process && address >= m->is.start && address < m->is.end)
			return m;
	}
	return NULL;
}

/* ---- what is known ---------------------------------------------------------------------------------- */

static struct place *slot_of(struct place *places, size_t max, unsigned int process,
			     uint64_t address)
{
	uint64_t h = (address ^ (uint64_t)process << 48) * 0x9e3779b97f4a7c15ull;

	for (size_t i = h >> 20;; i++) {
		struct place *at = &places[i & (max - 1)];

		if (!at->used || (at->address == address && at->process == process))
			return at;
	}
}

static bool grow(struct see_places *p)
{
	size_t max = p->max_places ? p->max_places * 2 : 256;
	struct place *places = calloc(max, sizeof(*places));

	if (!places)
		return false;
	for (size_t i = 0; i < p->max_places; i++) {
		struct place *at = &p->places[i];

		if (at->used)
			*slot_of(places, max, at->process, at->address) = *at;
	}
	free(p->places);
	p->places = places;
	p->max_places = max;
	return true;
}

static void look_up(struct see_places *p, struct place *at, bool is_return)
{
	struct module *m = module_at(p, at->process, at->address);
	uint64_t address = at->address - is_return;

	if (!m)
		return;
	if (!m->asked)
		open_module(m);
	at->where.module = copy(m->is.path);
	at->where.changed = m->changed;
	at->where.offset = address - m->is.base;
	if (m->mod)
		ask_module(m, address, &at->where);
}

const struct see_where *see_place(struct see_places *p, unsigned int process, uint64_t address,
				  bool is_return)
{
	static const struct see_where nowhere;
	struct place *at;

	if (!address || (p->nr_places * 2 >= p->max_places && !grow(p)))
		return &nowhere;
	at = slot_of(p->places, p->max_places, process, address);
	if (at->used)
		return &at->where;
	at->used = true;
	at->address = address;
	at->process = process;
	p->nr_places++;
	look_up(p, at, is_return);
	return &at->where;
}

/* ---- frames ---------------------------------------------------------------------------------------- */

#define RBP 6
#define RSP 7

static bool rule_of_frame(Dwarf_Frame *frame, struct see_frame_rule *out)
{
	Dwarf_Op *ops;
	size_t nr;

	if (dwarf_frame_cfa(frame, &ops, &nr) || nr != 1)
		return false;
	if (ops->atom == DW_OP_bregx)
		out->by_rbp = ops->number == RBP;
	else
		out->by_rbp = ops->atom == DW_OP_breg0 + RBP;
	out->offset = (int64_t)(ops->atom == DW_OP_bregx ? ops->number2 : ops->number);
	return out->by_rbp || ops->atom == DW_OP_breg0 + RSP ||
	       (ops->atom == DW_OP_bregx && ops->number == RSP);
}

/* 1: it is in memory, at so far from the frame; 0: it is what it was; -1: it is something else, or nothing. */
static int saved_at(Dwarf_Frame *frame, int reg, int64_t *at)
{
	Dwarf_Op memory[3], *ops;
	size_t nr;

	if (dwarf_frame_register(frame, reg, memory, &ops, &nr))
		return -1;
	if (!nr)
		return ops ? -1 : 0;
	if (ops->atom != DW_OP_call_frame_cfa || nr > 2 ||
	    (nr == 2 && ops[1].atom != DW_OP_plus_uconst))
		return -1;
	*at = nr == 2 ? (int64_t)ops[1].number : 0;
	return 1;
}

static Dwarf_Frame *frame_at(const struct module *m, uint64_t address)
{
	Dwarf_Addr bias = 0;
	Dwarf_CFI *cfi = dwfl_module_eh_cfi(m->mod, &bias);
	Dwarf_Frame *frame = NULL;

	if (cfi && !dwarf_cfi_addrframe(cfi, address - bias, &frame))
		return frame;
	cfi = dwfl_module_dwarf_cfi(m->mod, &bias);
	return cfi && !dwarf_cfi_addrframe(cfi, address - bias, &frame) ? frame : NULL;
}

bool see_frame_rule(struct see_places *p, unsigned int process, uint64_t address,
		    struct see_frame_rule *out)
{
	struct module *m = module_at(p, process, address);
	Dwarf_Frame *frame;
	bool is_known;

	if (m && !m->asked)
		open_module(m);
	frame = m && m->mod ? frame_at(m, address) : NULL;
	*out = (struct see_frame_rule){ 0 };
	is_known = frame && rule_of_frame(frame, out) &&
		   saved_at(frame, dwarf_frame_info(frame, NULL, NULL, NULL), &out->return_at) == 1;
	if (is_known)
		out->saves_rbp = saved_at(frame, RBP, &out->rbp_at) == 1;
	free(frame);
	return is_known;
}

/* ---- as text --------------------------------------------------------------------------------------- */

static const char *end_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

const char *see_place_text(const struct see_where *w, char *text, unsigned int size)
{
	if (!w->module)
		snprintf(text, size, "?");
	else if (w->file)
		snprintf(text, size, "%s:%u%s%s", end_of(w->file), w->line, w->function ? " " : "",
			 w->function ? w->function : "");
	else if (w->function)
		snprintf(text, size, "%s+0x%llx (%s)", w->function, (unsigned long long)w->offset,
			 end_of(w->module));
	else
		snprintf(text, size, "%s+0x%llx%s", end_of(w->module),
			 (unsigned long long)w->offset, w->changed ? " (has changed)" : "");
	return text;
}
