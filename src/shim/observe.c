/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/observe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kvm/account.h"
#include "obs/attach.h"
#include "obs/join.h"
#include "obs/region.h"
#include "os/os.h"
#include "os/spare.h"
#include "os/sys.h"
#include "shim/shim.h"

/* ---- the region ------------------------------------------------------------------------------ */

/* GMEM_OBS, while it can be used. */
static char observer[64];
static bool had_observer;

void observe_init(void)
{
	const char *path = getenv("GMEM_OBS");

	if (!path || !*path)
		return;
	had_observer = true;
	if (obs_join(path, ""))
		return;
	obs_learn_all();
	if (strlen(path) < sizeof(observer))
		strcpy(observer, path);
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
	me = obs_join_self("");
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
		.name = obs_join_name(),
	};

	obs_after_fork(&me);
	obs_learn_all();
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

	obs_note_caller(instruction);
	obs_count(OBS_HOST_FAULT, addr, (uint64_t)code, 0);
	me->caller = before;
	me->frame = frame;
	me->is_placed = is_placed;
}
