/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/listed.h"

#include <string.h>

static void clean(char *text, size_t size)
{
	text[size - 1] = 0;
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

void see_process_clean(struct trace_process *p)
{
	clean(p->name, sizeof(p->name));
}

void see_module_clean(struct trace_module *m)
{
	clean(m->path, sizeof(m->path));
	if (m->build_id_size > sizeof(m->build_id))
		m->build_id_size = sizeof(m->build_id);
}

static uint32_t at_most(uint32_t nr, uint32_t most)
{
	return nr < most ? nr : most;
}

uint32_t see_nr_processes(const struct obs_region *r)
{
	return at_most(atomic_load(&r->nr_processes), OBS_MAX_PROCESSES);
}

uint32_t see_nr_modules(const struct obs_region *r)
{
	return at_most(atomic_load(&r->nr_modules), OBS_MAX_MODULES);
}

bool see_process_read(const struct obs_region *r, uint32_t i, struct trace_process *out)
{
	const struct obs_process *p = obs_process_at(r, i);

	*out = (struct trace_process){ .place = i };
	if (!atomic_load_explicit(&p->state, memory_order_acquire))
		return false;
	out->pid = p->pid;
	out->parent = p->parent;
	out->start = p->start;
	memcpy(out->name, p->name, sizeof(out->name));
	see_process_clean(out);
	return true;
}

bool see_module_read(const struct obs_region *r, uint32_t i, struct trace_module *out)
{
	const struct obs_module *m = obs_module_at(r, i);
	uint32_t process = atomic_load_explicit(&m->process, memory_order_acquire);

	*out = (struct trace_module){ .process = process - 1 };
	if (!process)
		return false;
	out->build_id_size = m->build_id_size;
	out->start = m->start;
	out->end = m->end;
	out->base = m->base;
	memcpy(out->build_id, m->build_id, sizeof(out->build_id));
	memcpy(out->path, m->path, sizeof(out->path));
	see_module_clean(out);
	return true;
}
