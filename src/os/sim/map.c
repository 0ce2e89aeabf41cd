/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Mappings: the real thing, at places that depend on nothing but what this fibre did. Mappings of files are guest
 * memory. A place is not used again in the same schedule, so that whoever still has an address is found out.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "os/fail.h"
#include "os/sim/sim_private.h"

struct part {
	uintptr_t base;
	unsigned int shift;
};

void os_map_real_unmap(void *addr, size_t size);

enum { FILES, ANON };
static const struct part parts[2] = {
	[FILES] = { SIM_FILE_BASE, SIM_FILE_SHIFT }, [ANON] = { SIM_ANON_BASE, SIM_ANON_SHIFT }
};
static uintptr_t used[2][32];
static unsigned int live;

void sim_maps_reset(void)
{
	unsigned int i;

	for (i = 0; i < 32; i++) {
		uintptr_t at = SIM_ANON_BASE + ((uintptr_t)i << SIM_ANON_SHIFT) - SIM_HEAP_BASE;

		memset(sim_shadow + (at >> 3), 0, used[ANON][i] >> 3);
		used[FILES][i] = used[ANON][i] = 0;
	}
	live = 0;
}

unsigned int sim_maps_live(void)
{
	return live;
}

static int map(unsigned int kind, size_t size, size_t align, unsigned int flags, int fd,
	       uint64_t offset, void **out)
{
	unsigned int part = sim.self ? sim.self->index : SIM_NOBODY;
	uintptr_t room = (uintptr_t)1 << parts[kind].shift, at;
	uintptr_t base = parts[kind].base + part * room;
	int prot = (flags & OS_MAP_READ ? PROT_READ : 0) | (flags & OS_MAP_WRITE ? PROT_WRITE : 0);
	int err = os_fail(OS_FAIL_MAP);
	void *addr;

	if (err)
		return err;
	if (align < OS_PAGE_SIZE)
		align = OS_PAGE_SIZE;
	size = os_page_up(size);
	at = (used[kind][part] + align - 1) & ~(align - 1);
	if (at + size + OS_PAGE_SIZE > room)
		return -ENOMEM;
	addr = mmap((void *)(base + at), size, prot,
		    MAP_FIXED | (kind == ANON ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
					      : MAP_SHARED),
		    fd, (off_t)offset);
	if (addr == MAP_FAILED)
		return -errno;
	/* A page in between is nobody's. */
	used[kind][part] = at + size + OS_PAGE_SIZE;
	live++;
	*out = addr;
	return 0;
}

int os_map_file(int fd, uint64_t offset, size_t size, size_t align, unsigned int flags, void **out)
{
	return map(FILES, size, align, flags, fd, offset, out);
}

int os_map_anon(size_t size, unsigned int flags, void **out)
{
	return map(ANON, size, 0, flags, -1, 0, out);
}

void os_unmap(void *addr, size_t size)
{
	if (!size)
		return;
	if ((uintptr_t)addr - SIM_FILE_BASE >= SIM_FILE_SIZE &&
	    (uintptr_t)addr - SIM_ANON_BASE >= SIM_ANON_SIZE) {
		os_map_real_unmap(addr, size);
		return;
	}
	live--;
	mmap(addr, os_page_up(size), PROT_NONE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

unsigned int sim_fds_live(void)
{
	unsigned int nr = 0;
	int fd;

	for (fd = os_fd_next(0); fd >= 0; fd = os_fd_next(fd + 1))
		nr++;
	return nr;
}
