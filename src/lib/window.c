/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Windows: the arguments of mmap and its like, checked, and then host_map's. */
#include <errno.h>
#include <linux/mman.h>
#include <stddef.h>

#include "lib/calls.h"
#include "lib/lib.h"
#include "obs/obs.h"

#define MAP_FLAGS \
	(MAP_SHARED | MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_POPULATE | MAP_LOCKED | MAP_NORESERVE)

static int check_flags(const struct gmem *g, const struct gmem_map_args *a)
{
	if (!(g->file->flags & GMEM_FILE_MMAP))
		return obs_refuse(RULE_LIB_NO_MMAP);
	if (a->reserved || (a->flags & ~MAP_FLAGS))
		return obs_refuse(RULE_LIB_MAP_FLAGS);
	if (a->prot & PROT_EXEC)
		return obs_refuse(RULE_LIB_MAP_EXEC);
	if (a->prot & ~(PROT_READ | PROT_WRITE))
		return obs_refuse(RULE_LIB_MAP_PROT);
	return 0;
}

static int check_map(const struct gmem *g, struct gmem_map_args *a)
{
	int err = check_flags(g, a);

	if (err)
		return err;
	if (!a->size || a->size > LIB_OFFSET_MAX - OS_PAGE_SIZE)
		return obs_refuse(RULE_LIB_MAP_SIZE);
	a->size = os_page_up(a->size);
	if ((a->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) && !lib_is_aligned(a->addr))
		return obs_refuse(RULE_LIB_ADDRESS_UNALIGNED);
	return lib_check_range(a->offset, a->size);
}

int lib_map(struct gmem *g, const struct gmem_map_args *args, void **addr)
{
	struct gmem_map_args a;
	uint64_t at;
	int err = lib_args_in(&a, sizeof(a), LIB_MIN_OF(struct gmem_map_args, offset), args);

	if (err)
		return err;
	if (!g || !addr)
		return obs_refuse(RULE_LIB_NO_FILE_OR_PLACE);
	err = check_map(g, &a);
	if (err)
		return err;
	lib_enter();
	lib_lock_windows();
	err = host_map_mmap(lib_host_map(), g->file, g, a.addr, a.size, a.prot,
			    a.flags | MAP_SHARED, a.offset, &at);
	lib_unlock_windows();
	lib_leave();
	if (!err)
		*addr = (void *)(uintptr_t)at;
	return err;
}

static bool is_ready(void)
{
	return lib_host_map();
}

/* As the kernel takes them: addr on a page, size rounded up. */
static int check_place(const void *addr, uint64_t *size)
{
	if (!is_ready())
		return obs_refuse(RULE_LIB_NO_WINDOWS);
	if (!lib_is_aligned((uintptr_t)addr))
		return obs_refuse(RULE_LIB_ADDRESS_UNALIGNED);
	if (os_page_up(*size) < *size || os_page_up(*size) > LIB_OFFSET_MAX)
		return obs_refuse(RULE_LIB_PLACE_SIZE);
	*size = os_page_up(*size);
	return 0;
}

int lib_unmap(void *addr, uint64_t size)
{
	long ret = check_place(addr, &size);

	if (ret)
		return (int)ret;
	lib_lock_windows();
	ret = host_map_munmap(lib_host_map(), (uintptr_t)addr, size);
	lib_unlock_windows();
	return (int)ret;
}

static bool is_window(uint64_t addr)
{
	struct host_map_range r;

	if (!is_ready() || !host_map_find(lib_host_map(), addr, 1, &r))
		return false;
	lib_put(r.owner);
	return true;
}

int lib_remap(void *addr, uint64_t old_size, uint64_t size, int flags, void *to, void **out)
{
	long ret;
	int err;

	if (!out)
		return obs_refuse(RULE_LIB_NO_PLACE);
	if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED))
		return obs_refuse(RULE_LIB_REMAP_FLAGS);
	err = check_place(addr, &old_size);
	if (!err)
		err = check_place(to, &size);
	if (err)
		return err;
	if (!is_window((uintptr_t)addr))
		return obs_refuse(RULE_LIB_NO_WINDOW);
	lib_lock_windows();
	ret = host_map_mremap(lib_host_map(), (uintptr_t)addr, old_size, size, flags,
			      (uintptr_t)to);
	lib_unlock_windows();
	if (ret < 0 && ret > -4096)
		return (int)ret;
	*out = (void *)ret;
	return 0;
}

int lib_protect(void *addr, uint64_t size, int prot)
{
	long ret = check_place(addr, &size);

	if (ret)
		return (int)ret;
	lib_lock_windows();
	ret = host_map_mprotect(lib_host_map(), (uintptr_t)addr, size, prot, -1);
	lib_unlock_windows();
	return (int)ret;
}

static int set_lock(void *addr, uint64_t size, int flags, bool lock)
{
	long ret = check_place(addr, &size);

	if (ret)
		return (int)ret;
	lib_lock_windows();
	ret = host_map_mlock(lib_host_map(), (uintptr_t)addr, size, flags, lock);
	lib_unlock_windows();
	return (int)ret;
}

int lib_lock(void *addr, uint64_t size, int flags)
{
	return set_lock(addr, size, flags, true);
}

int lib_unlock(void *addr, uint64_t size)
{
	return set_lock(addr, size, 0, false);
}

/* Window by window, so that no lock is held while the home is asked. */
static int remove_pages(uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size;
	struct host_map_range r;
	int err = 0;

	while (!err && addr < end && host_map_find(lib_host_map(), addr, end - addr, &r)) {
		host_map_clip(&r, addr, end);
		err = host_file_punch(r.file, r.offset, r.size);
		lib_put(r.owner);
		addr = r.addr + r.size;
	}
	return err;
}

static int advise_remove(uint64_t addr, uint64_t size)
{
	int err = lib_check_range(addr, size);

	if (err)
		return err;
	lib_enter();
	err = remove_pages(addr, size);
	lib_leave();
	return err;
}

int lib_advise(void *addr, uint64_t size, int advice)
{
	long ret = check_place(addr, &size);

	if (ret)
		return (int)ret;
	if (advice == MADV_REMOVE)
		return advise_remove((uintptr_t)addr, size);
	lib_lock_windows();
	ret = host_map_madvise(lib_host_map(), (uintptr_t)addr, size, advice);
	lib_unlock_windows();
	return (int)ret;
}

bool gmem_is_hidden(const void *addr)
{
	return is_ready() && host_map_is_hidden(lib_host_map(), (uintptr_t)addr);
}
