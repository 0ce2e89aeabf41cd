/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * write() into a guest_memfd, in the profile whose series has it: how a loader fills memory without mapping it. Pages
 * get memory and contents, translations to them stay. Of its rules only that there is such a call was read; the
 * others are concluded (docs/generations.md): those of a loop over pages, of which a part may be done, and that what
 * begins private, which no host can touch, nobody writes this way either.
 */
#include "kvm/vm.h"

#include <errno.h>
#include <unistd.h>

#define PAGE_MASK ((uint64_t)OS_PAGE_SIZE - 1)

bool kvm_gmem_takes_data(struct kvm_object *o)
{
	return o->type == KVM_OBJECT_GMEM && kvm_profile()->gmem_write;
}

/* The system copies, so that a source that cannot be read, or is private, is EFAULT as everywhere. */
static long write_some(struct gmem *g, uint64_t from, uint64_t size, uint64_t offset)
{
	uint64_t first = offset & ~PAGE_MASK;
	long ret;
	int err;

	if (offset >= g->host->size)
		return obs_refuse(RULE_GMEM_WRITE_PAST_END);
	if (size > g->host->size - offset)
		size = g->host->size - offset;
	err = host_file_make_small(g->host, offset, size);
	if (err)
		return err;
	err = host_file_allocate(g->host, first,
				 ((offset + size + PAGE_MASK) & ~PAGE_MASK) - first);
	if (err)
		return err;
	ret = os_file_write_from(g->host->store_fd, from, size, offset);
	if (ret == -EFAULT)
		ret = obs_refuse(RULE_GMEM_WRITE_SOURCE);
	return ret;
}

long kvm_gmem_write(struct kvm_object *o, uint64_t from, uint64_t size, int64_t *offset)
{
	struct gmem *g = gmem_of(o);
	bool at_position = *offset == KVM_GMEM_POSITION;
	long ret;

	if (at_position)
		*offset = atomic_load(&g->position);
	if (!(g->host->flags & GMEM_FILE_MMAP))
		return obs_refuse(RULE_GMEM_WRITE_NO_MMAP);
	if (!(g->host->flags & GMEM_FILE_INIT_SHARED))
		return obs_refuse(RULE_GMEM_WRITE_PRIVATE);
	if (*offset < 0)
		return obs_refuse(RULE_FILE_OFFSET);
	if (!size)
		return 0;
	account_changed();
	ret = write_some(g, from, size, (uint64_t)*offset);
	if (at_position && ret > 0)
		atomic_fetch_add(&g->position, ret);
	return ret;
}

long kvm_gmem_seek(struct kvm_object *o, int64_t offset, int whence)
{
	struct gmem *g = gmem_of(o);
	int64_t from = 0;

	if (whence == SEEK_CUR)
		from = atomic_load(&g->position);
	else if (whence == SEEK_END)
		from = (int64_t)g->host->size;
	else if (whence != SEEK_SET)
		return obs_refuse(RULE_FILE_WHENCE);
	if (offset < -from || offset > INT64_MAX - from)
		return obs_refuse(RULE_FILE_OFFSET);
	atomic_store(&g->position, from + offset);
	return from + offset;
}
