/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/see.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/os.h"

static void set_clock(struct obs_region *r)
{
	r->tsc_khz = os_tsc_khz();
	r->clock_ns = os_clock_ns();
	r->tsc = os_tsc();
	r->wallclock_ns = os_wallclock_ns();
}

static int map(struct see_region *s)
{
	s->r = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	return s->r == MAP_FAILED ? -errno : 0;
}

int see_region_make(uint32_t nr_records, bool wants_records, struct see_region *out)
{
	int err = 0;

	out->size = obs_region_size(nr_records);
	out->fd = memfd_create("gmem-observer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (out->fd < 0)
		return -errno;
	if (ftruncate(out->fd, (off_t)out->size) ||
	    fcntl(out->fd, F_ADD_SEALS, OBS_SEALS | F_SEAL_SEAL))
		err = -errno;
	if (!err)
		err = map(out);
	if (err) {
		close(out->fd);
		return err;
	}
	obs_region_init(out->r, nr_records);
	out->r->wants_records = wants_records;
	set_clock(out->r);
	return 0;
}

/* Else who writes it could make it shorter, and us end by SIGBUS. */
static bool keeps_its_size(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & OBS_SEALS) == OBS_SEALS;
}

int see_region_open(const char *path, struct see_region *out)
{
	struct stat st;
	int err;

	out->fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (out->fd < 0)
		return -errno;
	err = fstat(out->fd, &st) ? -errno : 0;
	out->size = err ? 0 : (uint64_t)st.st_size;
	if (!err && (out->size < sizeof(struct obs_region) || !keeps_its_size(out->fd)))
		err = -EPROTO;
	if (!err)
		err = map(out);
	if (!err && !obs_region_check(out->r, out->size)) {
		munmap(out->r, out->size);
		err = -EPROTO;
	}
	if (err)
		close(out->fd);
	return err;
}

void see_region_close(struct see_region *region)
{
	munmap(region->r, region->size);
	close(region->fd);
}

/* ---- the clock ------------------------------------------------------------------------------- */

struct see_clock see_region_clock(const struct obs_region *r)
{
	return (struct see_clock){
		.tsc_khz = r->tsc_khz,
		.tsc = r->tsc,
		.clock_ns = r->clock_ns,
		.wallclock_ns = r->wallclock_ns,
	};
}

__extension__ typedef unsigned __int128 wide;

uint64_t see_ticks_ns(const struct see_clock *c, uint64_t ticks)
{
	return c->tsc_khz ? (uint64_t)((wide)ticks * 1000000 / c->tsc_khz) : 0;
}

int64_t see_clock_ns(const struct see_clock *c, uint64_t tsc)
{
	return tsc >= c->tsc ? (int64_t)see_ticks_ns(c, tsc - c->tsc)
			     : -(int64_t)see_ticks_ns(c, c->tsc - tsc);
}
