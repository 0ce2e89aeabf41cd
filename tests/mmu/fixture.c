/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "fixture.h"

#include <sys/mman.h>

#include "os/paths.h"

void world_make(struct world *w, bool has_private)
{
	struct mmu_config config = { .has_private = has_private, .gpa_bits = 48 };

	assert_int_equal(os_fault_init(), 0);
	assert_int_equal(mmu_create(&config, &w->mmu), 0);
	assert_int_equal(mmu_vcpu_create(w->mmu, &w->v), 0);
}

void world_make_large(struct world *w, bool has_private)
{
	uint32_t off = os_paths_off;

	os_paths_off &= ~(1u << OS_PATH_LEAVES);
	world_make(w, has_private);
	os_paths_off = off;
}

void world_unmake(struct world *w)
{
	struct memslot *slot;

	mmu_check(w->mmu);
	while ((slot = memslot_any(w->mmu)))
		memslot_delete(w->mmu, slot);
	mmu_check(w->mmu);
	mmu_vcpu_destroy(w->v);
	mmu_destroy(w->mmu);
}

static uint64_t reserved(uint64_t size, uint64_t skew)
{
	return size + skew + GB;
}

uint8_t *memory_make(uint64_t size, uint64_t skew)
{
	uint64_t total = reserved(size, skew), at, wanted;
	void *map =
		mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	at = (uint64_t)(uintptr_t)map;
	wanted = ((at + GB - 1) & ~(GB - 1)) + skew;
	if (wanted > at)
		assert_int_equal(munmap(map, wanted - at), 0);
	if (at + total > wanted + size)
		assert_int_equal(
			munmap((void *)(uintptr_t)(wanted + size), at + total - wanted - size), 0);
	assert_int_equal(mprotect((void *)(uintptr_t)wanted, size, PROT_READ | PROT_WRITE), 0);
	return (uint8_t *)(uintptr_t)wanted;
}

void memory_unmake(uint8_t *memory, uint64_t size)
{
	assert_int_equal(munmap(memory, size), 0);
}

static struct memslot *make(struct world *w, const struct memslot *what)
{
	int ret = memslot_create(w->mmu, what, false);
	struct memslot *slot = memslot_find(w->mmu, what->as_id, what->id);

	assert_int_equal(ret, 0);
	assert_non_null(slot);
	return slot;
}

struct memslot *slot_make(struct world *w, uint32_t id, uint64_t gfn, uint64_t nr_pages,
			  const void *hva, uint32_t flags)
{
	struct memslot what = { .id = id,
				.gfn = gfn,
				.nr_pages = nr_pages,
				.flags = flags,
				.hva = (uint64_t)(uintptr_t)hva };

	return make(w, &what);
}

struct memslot *slot_make_file(struct world *w, uint32_t id, uint64_t gfn, uint64_t nr_pages,
			       const void *hva, struct gmem_file *file, uint64_t offset)
{
	struct memslot what = { .id = id,
				.gfn = gfn,
				.nr_pages = nr_pages,
				.flags = MEMSLOT_GUEST_MEMFD,
				.hva = (uint64_t)(uintptr_t)hva,
				.file = file,
				.file_offset = offset };

	return make(w, &what);
}

void file_unmake(struct gmem_file *file)
{
	gmem_file_check(file);
	gmem_file_release(file);
	gmem_file_put(file);
}

int file_convert(struct gmem_file *file, uint64_t offset, uint64_t size, uint32_t attributes)
{
	struct gmem_conversion c = { .offset = offset, .size = size, .attributes = attributes };

	return gmem_file_convert(file, &c);
}

static void flush_if_asked(struct mmu_vcpu *v)
{
	if (mmu_vcpu_requests(v) & MMU_REQ_FLUSH) {
		mmu_vcpu_flush_begin(v);
		mmu_vcpu_flush_end(v);
	}
}

bool walk(struct mmu_vcpu *v, uint64_t gpa, uint32_t access, struct mmu_leaf *leaf)
{
	bool found;

	mmu_vcpu_enter(v);
	flush_if_asked(v);
	found = mmu_walk(v, gpa, access, leaf);
	mmu_vcpu_leave(v);
	return found;
}

enum mmu_fault_result touch(struct mmu_vcpu *v, uint64_t gpa, uint32_t access,
			    struct mmu_leaf *leaf, struct mmu_fault_info *info)
{
	while (!walk(v, gpa, access, leaf)) {
		enum mmu_fault_result result = mmu_fault(v, gpa, access, false, info);

		if (result != MMU_FAULT_OK)
			return result;
	}
	return MMU_FAULT_OK;
}

uint8_t *touch_ok(struct mmu_vcpu *v, uint64_t gpa, uint32_t access)
{
	struct mmu_leaf leaf;
	struct mmu_fault_info info;

	assert_int_equal(touch(v, gpa, access, &leaf, &info), MMU_FAULT_OK);
	return leaf.host;
}

uint8_t *file_address(struct gmem_file *file, uint64_t offset)
{
	void *addr;

	assert_int_equal(store_address(gmem_file_store(file), offset, &addr), 0);
	return addr;
}
