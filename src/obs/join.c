/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/join.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "obs/inject.h"
#include "obs/region.h"
#include "obs/tell.h"
#include "os/os.h"
#include "os/sys.h"

/* Of the program, which the loader has no name for. */
static char program[PATH_MAX];
/* The same as others are to see it. */
static char called[sizeof(((struct obs_process *)0)->name)];

/* ---- the process ----------------------------------------------------------------------------- */

struct obs_self obs_join_self(const char *suffix)
{
	size_t room = sizeof(called) - strlen(suffix);

	if (os_sys4(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", program, sizeof(program) - 1) < 0)
		strcpy(program, "?");
	obs_copy_end(called, room, program);
	memcpy(called + strlen(called), suffix, strlen(suffix) + 1);
	return (struct obs_self){ .pid = (uint32_t)os_sys0(SYS_getpid),
				  .parent = (uint32_t)os_sys0(SYS_getppid),
				  .name = called };
}

const char *obs_join_name(void)
{
	return called;
}

/* ---- the region ------------------------------------------------------------------------------ */

static int map_region(const char *path, void **region, uint64_t *size)
{
	long fd = os_sys4(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_NOCTTY, 0);
	struct stat st;
	int err;

	if (fd < 0)
		return (int)fd;
	err = (int)os_sys2(SYS_fstat, fd, &st);
	if (!err) {
		*size = (uint64_t)st.st_size;
		err = os_map_file((int)fd, 0, *size, 0, OS_MAP_READ | OS_MAP_WRITE, region);
	}
	os_sys1(SYS_close, fd);
	return err;
}

/* A fault for each page of the ring is more than all else that a record costs. */
static void fill_ring(const struct obs_region *r, uint64_t size)
{
	if (r->wants_records)
		os_populate(obs_region_at(r, OBS_AT_RING), size - OBS_AT_RING, true);
}

int obs_join(const char *path, const char *suffix)
{
	struct obs_self me = obs_join_self(suffix);
	uint64_t size = 0;
	void *region;
	int err = map_region(path, &region, &size);

	if (err) {
		os_log(OS_LOG_WARN, "process %u is not observed: %s cannot be used (%d)", me.pid,
		       path, -err);
		return err;
	}
	if (!obs_attach(region, size, &me)) {
		os_log(OS_LOG_WARN, "process %u is not observed: the gmem that observes is another",
		       me.pid);
		os_unmap(region, size);
		return -EINVAL;
	}
	obs_inject_begin(region);
	fill_ring(region, size);
	return 0;
}

/* ---- callers --------------------------------------------------------------------------------- */

/* The notes of a file that is mapped begin with a name's size, a text's size and a type. */
static bool find_build_id(const char *note, size_t size, struct obs_code *code)
{
	const ElfW(Nhdr) * n;
	size_t name, text;

	for (; size >= sizeof(*n); note += name + text, size -= name + text) {
		n = (const void *)note;
		name = sizeof(*n) + ((n->n_namesz + 3u) & ~3u);
		text = (n->n_descsz + 3u) & ~3u;
		if (name + text > size)
			return false;
		if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 &&
		    memcmp(note + sizeof(*n), "GNU", 4) == 0) {
			code->build_id = (const uint8_t *)note + name;
			code->build_id_size = n->n_descsz;
			return true;
		}
	}
	return false;
}

static void look_for_build_id(const struct dl_find_object *o, struct obs_code *code)
{
	const char *start = o->dlfo_map_start;
	const ElfW(Ehdr) *header = (const void *)start;
	const ElfW(Phdr) *p = (const void *)(start + header->e_phoff);

	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_phoff > OS_PAGE_SIZE / 2)
		return;
	for (unsigned int i = 0; i < header->e_phnum; i++) {
		const char *at = (const char *)o->dlfo_link_map->l_addr + p[i].p_vaddr;

		if (p[i].p_type == PT_NOTE && at >= start && at < (char *)o->dlfo_map_end &&
		    find_build_id(at, p[i].p_memsz, code))
			return;
	}
}

/* Takes no lock of the loader's: signal handlers come here, too. */
static __attribute__((noinline)) void learn(uint64_t address)
{
	struct obs_code code = { 0 };
	struct dl_find_object o;

	if (_dl_find_object((void *)(uintptr_t)address, &o))
		return;
	code.start = (uintptr_t)o.dlfo_map_start;
	code.end = (uintptr_t)o.dlfo_map_end;
	code.base = o.dlfo_link_map->l_addr;
	code.path = o.dlfo_link_map->l_name;
	if (!code.path || !*code.path)
		code.path = program;
	look_for_build_id(&o, &code);
	obs_add_code(&code);
}

void obs_learn_all(void)
{
	const struct obs_region *r = os_racy_load(&obs_attached);
	struct dl_find_object o;

	if (!r || !r->wants_stacks || _dl_find_object((void *)getauxval(AT_ENTRY), &o))
		return;
	for (const struct link_map *m = o.dlfo_link_map; m; m = m->l_next) {
		uint64_t inside = (uintptr_t)m->l_ld;

		if (!obs_knows_caller(inside))
			learn(inside);
	}
}

void obs_note_call(uint64_t address, uint64_t frame)
{
	struct os_context *me = os_context();

	me->caller = address;
	me->frame = frame;
	me->is_placed = 0;
	if (__builtin_expect(!obs_knows_caller(address), 0))
		learn(address);
}

void obs_note_caller(uint64_t address)
{
	obs_note_call(address, 0);
}
