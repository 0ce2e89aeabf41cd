/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/map_files.h"

#include "cmd/cmd.h"
#include "cmd/mapped.h"
#include "see/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <json.h>
#include <stdlib.h>
#include <string.h>

static bool totals_only;

/* ---- for people -------------------------------------------------------------------------------- */

static const char *of_size(uint64_t bytes, char text[32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(text, 32, value == (double)(uint64_t)value ? "%.0f %s" : "%.2f %s", value,
		 units[unit]);
	return text;
}

static const char *word(uint32_t attributes)
{
	return attributes & GMEM_ATTRIBUTE_PRIVATE ? "private" : "shared";
}

static void print_runs(const struct mapped_file *f)
{
	char size[32];

	printf("  %18s  %18s  %12s\n", "offset", "end", "size");
	for (size_t i = 0; i < f->nr_runs; i++) {
		const struct gmem_extent *r = &f->runs[i];

		printf("  0x%016" PRIx64 "  0x%016" PRIx64 "  %12s  %s\n", r->offset,
		       r->offset + r->size, of_size(r->size, size), word(r->attributes));
	}
}

static void print_total(const struct mapped_file *f, const char *name, const struct mapped_total *t)
{
	char size[32];

	printf("  %-7s %12s in %" PRIu64 " run%s (%.1f %%)\n", name, of_size(t->bytes, size),
	       t->nr_runs, t->nr_runs == 1 ? "" : "s",
	       f->size ? 100.0 * (double)t->bytes / (double)f->size : 0);
}

static void print_file(const struct mapped_file *f)
{
	char size[32];

	printf("file %" PRIu64 ": %s%s%s%s\n", f->id, of_size(f->size, size),
	       f->flags & GMEM_MMAP ? ", mmap" : "",
	       f->flags & GMEM_INIT_SHARED ? ", init-shared" : "",
	       f->converts ? ", converts in place" : "");
	if (!totals_only)
		print_runs(f);
	print_total(f, "private", &f->private);
	print_total(f, "shared", &f->shared);
}

/* What private means depends on who says it. */
static void print_legend(const struct mapped *m)
{
	bool any[2] = { false };

	for (size_t i = 0; i < m->nr_files; i++)
		any[m->files[i].converts] = true;
	if (any[true])
		puts("private, shared (converts in place): what the file itself says of each page; a guest\n"
		     "finds it so, and the program can touch what is shared.");
	if (any[false])
		puts("private, shared (no conversion in place): one for the whole file, by how it was made:\n"
		     "the program can never touch it, or always. Which guest addresses are private is not\n"
		     "the file's to say but the VM's, by its attributes.");
	printf("With the VM's attributes, and where there is memory: gmem map --text %d\n", m->pid);
}

static void print_all(const struct mapped *m)
{
	printf("process %d (%s): %zu guest_memfd%s\n", m->pid, m->comm, m->nr_files,
	       m->nr_files == 1 ? "" : "s");
	for (size_t i = 0; i < m->nr_files; i++)
		print_file(&m->files[i]);
	print_legend(m);
}

/* ---- for programs ------------------------------------------------------------------------------ */

static struct json_object *json_number(uint64_t value)
{
	return json_object_new_uint64(value);
}

static struct json_object *json_runs(const struct mapped_file *f)
{
	struct json_object *list = json_object_new_array_ext((int)f->nr_runs);

	for (size_t i = 0; i < f->nr_runs; i++) {
		struct json_object *run = json_object_new_object();

		json_object_object_add(run, "offset", json_number(f->runs[i].offset));
		json_object_object_add(run, "size", json_number(f->runs[i].size));
		json_object_object_add(run, "state",
				       json_object_new_string(word(f->runs[i].attributes)));
		json_object_array_add(list, run);
	}
	return list;
}

static struct json_object *json_total(const struct mapped_total *t)
{
	struct json_object *total = json_object_new_object();

	json_object_object_add(total, "bytes", json_number(t->bytes));
	json_object_object_add(total, "runs", json_number(t->nr_runs));
	return total;
}

static struct json_object *json_file(const struct mapped_file *f)
{
	struct json_object *file = json_object_new_object();

	json_object_object_add(file, "id", json_number(f->id));
	json_object_object_add(file, "size", json_number(f->size));
	json_object_object_add(file, "mmap", json_object_new_boolean(!!(f->flags & GMEM_MMAP)));
	json_object_object_add(file, "init_shared",
			       json_object_new_boolean(!!(f->flags & GMEM_INIT_SHARED)));
	json_object_object_add(file, "converts_in_place", json_object_new_boolean(f->converts));
	json_object_object_add(file, "private", json_total(&f->private));
	json_object_object_add(file, "shared", json_total(&f->shared));
	if (!totals_only)
		json_object_object_add(file, "runs", json_runs(f));
	return file;
}

static void print_json(const struct mapped *m)
{
	struct json_object *all = json_object_new_object();
	struct json_object *files = json_object_new_array();
	char *command = utf8_repair(m->comm);

	for (size_t i = 0; i < m->nr_files; i++)
		json_object_array_add(files, json_file(&m->files[i]));
	json_object_object_add(all, "pid", json_object_new_int(m->pid));
	json_object_object_add(all, "command", json_object_new_string(command ? command : "?"));
	json_object_object_add(all, "files", files);
	puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY |
							 JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(all);
	free(command);
}

/* ---- both -------------------------------------------------------------------------------------- */

static int complain(const struct cmd *cmd, int pid, int err)
{
	switch (-err) {
	case ESRCH:
		cmd_complain(cmd, "there is no process %d", pid);
		break;
	case ENOENT:
		cmd_complain(cmd,
			     "process %d has made no guest_memfd: it does not run under gmem, or "
			     "has none, or got those that it has from another process",
			     pid);
		break;
	case EACCES:
	case EPERM:
		cmd_complain(cmd, "process %d is not yours to look at: %s", pid, strerror(-err));
		break;
	case EAGAIN:
		cmd_complain(cmd, "process %d is stopped, or does not answer", pid);
		break;
	case ENOSPC:
		cmd_complain(cmd, "process %d serves as many processes as it can", pid);
		break;
	case EIO:
	case ESTALE:
		cmd_complain(cmd, "process %d, or its file, ended meanwhile", pid);
		break;
	default:
		cmd_complain(cmd, "process %d cannot be asked: %s", pid, strerror(-err));
	}
	return EXIT_FAILED;
}

int map_files(const struct cmd *cmd, int pid, uint64_t id, const struct map_files_style *style)
{
	struct mapped m;
	int err;

	totals_only = style->totals;
	err = mapped_read(pid, id == MAP_ALL_FILES ? 0 : id, !totals_only, &m);
	if (err)
		return complain(cmd, pid, err);
	if (id != MAP_ALL_FILES && !m.nr_files) {
		cmd_complain(cmd, "process %d has no guest_memfd %" PRIu64, pid, id);
		mapped_free(&m);
		return EXIT_FAILED;
	}
	if (style->json)
		print_json(&m);
	else
		print_all(&m);
	mapped_free(&m);
	return EXIT_OK;
}
