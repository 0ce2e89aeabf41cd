/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "see/names.h"

static const char *problem_of(const struct see_view *v, int err)
{
	if (v->reader && err == -EPROTO)
		return trace_reader_problem(v->reader);
	return err == -EINVAL ? "a trace is a file, no pipe and no device" : strerrordesc_np(-err);
}

int see_view_open(const char *path, struct see_view *v, char *problem, size_t size)
{
	int err;

	*v = (struct see_view){ 0 };
	err = trace_reader_open(path, &v->reader);
	if (!err) {
		v->clock = *trace_reader_clock(v->reader);
		v->places = see_places_new();
		if (v->places)
			return 0;
		err = -ENOMEM;
	}
	snprintf(problem, size, "%s", problem_of(v, err));
	see_view_close(v);
	return err;
}

void see_view_close(struct see_view *v)
{
	trace_reader_close(v->reader);
	see_places_free(v->places);
	free(v->processes);
	*v = (struct see_view){ 0 };
}

static void add_process(struct see_view *v, const struct trace_process *p)
{
	size_t nr = v->nr_processes;

	if (p->place >= OBS_MAX_PROCESSES)
		return;
	if (p->place >= nr) {
		struct trace_process *more = realloc(v->processes, (p->place + 1) * sizeof(*more));

		if (!more)
			return;
		memset(more + nr, 0, (p->place + 1 - nr) * sizeof(*more));
		v->processes = more;
		v->nr_processes = p->place + 1;
	}
	v->processes[p->place] = *p;
}

int see_view_next(struct see_view *v, struct trace_item *item)
{
	int ret = trace_reader_next(v->reader, item);

	if (ret == 1 && item->kind == TRACE_PROCESS)
		add_process(v, &item->process);
	if (ret == 1 && item->kind == TRACE_MODULE)
		see_places_add(v->places, &item->module);
	if (ret == 1 && item->kind == TRACE_RECORDS && item->record.kind == OBS_GAP)
		v->nr_in_gaps += item->record.a;
	return ret;
}

const struct trace_process *see_view_process(const struct see_view *v, unsigned int place)
{
	return place < v->nr_processes && v->processes[place].pid ? &v->processes[place] : NULL;
}

uint32_t see_view_pid(const struct see_view *v, const struct obs_record *r)
{
	const struct trace_process *p = see_view_process(v, r->process);

	return p ? p->pid : 0;
}

const struct see_where *see_view_where(struct see_view *v, const struct obs_record *r)
{
	return see_place(v->places, r->process, obs_record_caller(r), r->kind != OBS_HOST_FAULT);
}

static bool has_result(const char *wanted, int result)
{
	const char *name = see_errno(result);

	if (!strcmp(wanted, "ok"))
		return !result;
	if (!strcmp(wanted, "error"))
		return result;
	return name && !strcmp(wanted, name);
}

static bool is(int64_t wanted, int64_t value)
{
	return wanted < 0 || wanted == value;
}

bool see_filter_takes(const struct see_filter *f, const struct see_view *v,
		      const struct obs_record *r)
{
	if (r->kind == OBS_GAP)
		return is(f->pid, see_view_pid(v, r)) && is(f->thread, r->thread);
	if (f->any_kind && (r->kind >= OBS_NR_EVENTS || !f->kinds[r->kind]))
		return false;
	if (f->result && !has_result(f->result, r->result))
		return false;
	return is(f->vm, r->vm) && is(f->vcpu, (int64_t)r->vcpu - 1) && is(f->file, r->file) &&
	       is(f->pid, see_view_pid(v, r)) && is(f->thread, r->thread);
}
