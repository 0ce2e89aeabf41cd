/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/observe.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "kvm/account.h"
#include "obs/attach.h"
#include "obs/inject.h"
#include "obs/region.h"
#include "os/os.h"
#include "os/spare.h"
#include "os/sys.h"
#include "shim/shim.h"

/* Of the program, which the loader has no name for. */
static char program[PATH_MAX];

/* ---- the region ------------------------------------------------------------------------------ */

static struct obs_self self(void)
{
	return (struct obs_self){
		.pid = (uint32_t)os_sys0(SYS_getpid),
		.parent = (uint32_t)os_sys0(SYS_getppid),
		.name = program,
	};
}

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

static void learn_all(const struct obs_region *r);

/* GMEM_OBS, while it can be used. */
static char observer[64];
static bool had_observer;

void observe_init(void)
{
	const char *path = getenv("GMEM_OBS");
	struct obs_self me;
	uint64_t size = 0;
	void *region;
	int err;

	if (!path || !*path)
		return;
	had_observer = true;
	me = self();
	if (os_sys4(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", program, sizeof(program) - 1) < 0)
		strcpy(program, "?");
	err = map_region(path, &region, &size);
	if (err) {
		os_log(OS_LOG_WARN, "process %u is not observed: %s cannot be used (%d)", me.pid,
		       path, -err);
	} else if (!obs_attach(region, size, &me)) {
		os_log(OS_LOG_WARN, "process %u is not observed: the gmem that observes is another",
		       me.pid);
		os_unmap(region, size);
	} else {
		obs_inject_begin(region);
		fill_ring(region, size);
		learn_all(region);
		if (strlen(path) < sizeof(observer))
			strcpy(observer, path);
	}
}

/* Threads may do this at the same time, and children of vfork(): nothing is written but the region. */
bool observe_may_pass_on(void)
{
	struct obs_region *r = os_racy_load(&obs_attached);
	long fd;

	if (!had_observer || (observer[0] && os_jailed()))
		return true;
	fd = observer[0] ? os_sys4(SYS_openat, AT_FDCWD, observer, O_PATH | O_CLOEXEC, 0) : -1;
	if (fd >= 0)
		os_sys1(SYS_close, fd);
	else if (observer[0] && r && !atomic_exchange(&r->is_left, 1))
		os_log(OS_LOG_WARN,
		       "the observer is out of reach (%d): programs that are started "
		       "from now on are not observed",
		       (int)-fd);
	return fd >= 0;
}

/* ---- who was not observed from the start -------------------------------------------------------- */

_Atomic bool observe_is_wanted;

/* Observers map no file that could become shorter. */
static int make_file(uint64_t size, int *fd)
{
	long ret = -EMFILE;
	int err;

	if (os_jail_hold()) {
		ret = os_sys2(SYS_memfd_create, ATTACH_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
		os_jail_let();
	}
	if (ret < 0)
		return (int)ret;
	*fd = (int)ret;
	err = os_fd_adopt(fd);
	if (err)
		return err;
	err = os_file_resize(*fd, size);
	if (!err)
		err = (int)os_sys3(SYS_fcntl, *fd, F_ADD_SEALS, OBS_SEALS | F_SEAL_SEAL);
	if (err)
		os_fd_close(*fd);
	return err;
}

/* The memfd is kept open: that is where observers find it. */
static int make_region(void **region, uint64_t *size)
{
	struct obs_region *r;
	int fd, err;

	*size = obs_region_size(ATTACH_RING);
	err = make_file(*size, &fd);
	if (err)
		return err;
	err = os_map_file(fd, 0, *size, 0, OS_MAP_READ | OS_MAP_WRITE, region);
	if (err) {
		os_fd_close(fd);
		return err;
	}
	r = *region;
	obs_region_init(r, ATTACH_RING);
	r->tsc_khz = os_tsc_khz();
	r->clock_ns = os_clock_ns();
	r->tsc = os_tsc();
	r->wallclock_ns = os_wallclock_ns();
	return 0;
}

/* Once; in a process that filters its system calls nothing is made any more. */
void observe_late(void)
{
	struct obs_self me;
	uint64_t size;
	void *region;
	int err;

	if (!atomic_exchange(&observe_is_wanted, false) || obs_on() || os_jailed())
		return;
	shim_enter();
	if (os_sys4(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", program, sizeof(program) - 1) < 0)
		strcpy(program, "?");
	me = self();
	err = make_region(&region, &size);
	if (!err && obs_attach(region, size, &me))
		account_get_ready();
	shim_leave();
	if (err)
		os_log(OS_LOG_WARN, "no memory to be observed in (%d)", -err);
}

/* A filter may allow fork, and not all that is asked to know oneself: so the parent is what the caller knows. */
void observe_after_fork(long parent)
{
	struct obs_self me = {
		.pid = obs_on() ? (uint32_t)os_sys0(SYS_getpid) : 0,
		.parent = (uint32_t)parent,
		.name = program,
	};

	obs_after_fork(&me);
	if (obs_on())
		learn_all(atomic_load(&obs_attached));
}

/* ---- events ---------------------------------------------------------------------------------- */

void observe_discard(enum obs_discard call, uint64_t addr, uint64_t size)
{
	obs_count(OBS_DISCARD, addr, os_page_up(size), call);
}

/*
 * Which memory that was is not known here; the file's number tells those who know what it is mapped at. A filter of
 * system calls may allow the punch and kill for this question: then it is file 0.
 */
void observe_punch(int fd, int mode, uint64_t offset, uint64_t size)
{
	struct stat st = { 0 };

	if (!(mode & FALLOC_FL_PUNCH_HOLE))
		return;
	if (!os_jailed())
		os_sys2(SYS_fstat, fd, &st);
	obs_count(OBS_DISCARD, offset, size, OBS_DISCARD_PUNCH | st.st_ino << 8);
}

void observe_host_fault(uint64_t addr, int code, uint64_t instruction)
{
	struct os_context *me = os_context();
	uint64_t before = me->caller, frame = me->frame;
	uint32_t is_placed = me->is_placed;

	observe_note_caller(instruction, 0);
	obs_count(OBS_HOST_FAULT, addr, (uint64_t)code, 0);
	me->caller = before;
	me->frame = frame;
	me->is_placed = is_placed;
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

/* Callers of callers may be anywhere. The loader changes its list under a lock that is not ours to take: only where no
 * other thread is. */
static void learn_all(const struct obs_region *r)
{
	struct dl_find_object o;

	if (!r->wants_stacks || _dl_find_object((void *)getauxval(AT_ENTRY), &o))
		return;
	for (const struct link_map *m = o.dlfo_link_map; m; m = m->l_next) {
		uint64_t inside = (uintptr_t)m->l_ld;

		if (!obs_knows_caller(inside))
			learn(inside);
	}
}

void observe_note_caller(uint64_t address, uint64_t frame)
{
	struct os_context *me = os_context();

	me->caller = address;
	me->frame = frame;
	me->is_placed = 0;
	if (__builtin_expect(!obs_knows_caller(address), 0))
		learn(address);
}
