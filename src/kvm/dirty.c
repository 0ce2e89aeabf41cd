/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The dirty log of a memslot. */
#include "kvm/vm.h"

#include <errno.h>

/* The slot a log request names, with a log. Slots lock held. */
static int find_logged(struct vm *vm, uint32_t slot, struct memslot **out)
{
	uint32_t id = slot & 0xffff, as_id = slot >> 16;

	if (as_id >= (vm->has_private ? 1u : MEMSLOT_NR_SPACES) || id >= KVM_NR_USER_SLOTS)
		return obs_refuse(RULE_DIRTY_SLOT_ID);
	*out = memslot_find(vm->mmu, as_id, id);
	if (!*out || !(*out)->dirty)
		return obs_refuse(RULE_DIRTY_NOT_LOGGED);
	return 0;
}

static int get_locked(struct vm *vm, const struct kvm_dirty_log *log)
{
	struct memslot *slot;
	uint64_t *words, size;
	int err = find_logged(vm, log->slot, &slot);

	if (err)
		return err;
	size = memslot_dirty_words(slot) * sizeof(*words);
	words = os_alloc(size);
	if (!words)
		return obs_refuse(RULE_NO_MEMORY);
	memslot_dirty_get(vm->mmu, slot, words, !vm->dirty_protect);
	if (os_copy_out(log->padding2, words, size))
		err = obs_refuse(RULE_DIRTY_BITMAP_UNWRITABLE);
	os_free(words, size);
	return err;
}

long dirty_get(struct vm *vm, const struct kvm_dirty_log *log)
{
	int err;

	os_mutex_lock(&vm->slots_lock);
	err = get_locked(vm, log);
	os_mutex_unlock(&vm->slots_lock);
	return err;
}

static int clear_locked(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	struct memslot *slot;
	uint64_t *bits, size, pages = log->num_pages;
	int err;

	if (log->first_page & 63)
		return obs_refuse(RULE_DIRTY_FIRST_PAGE);
	err = find_logged(vm, log->slot, &slot);
	if (err)
		return err;
	if (log->first_page > slot->nr_pages || pages > slot->nr_pages - log->first_page ||
	    (pages < slot->nr_pages - log->first_page && pages & 63))
		return obs_refuse(RULE_DIRTY_NR_PAGES);
	size = (pages + 63) / 64 * sizeof(*bits);
	if (!size)
		return 0;
	bits = os_alloc(size);
	if (!bits)
		return obs_refuse(RULE_NO_MEMORY);
	if (os_copy_in(bits, log->padding2, size))
		err = obs_refuse(RULE_DIRTY_BITMAP_UNREADABLE);
	else
		memslot_dirty_clear(vm->mmu, slot, log->first_page, pages, bits);
	os_free(bits, size);
	return err;
}

long dirty_clear(struct vm *vm, const struct kvm_clear_dirty_log *log)
{
	int err;

	os_mutex_lock(&vm->slots_lock);
	err = clear_locked(vm, log);
	os_mutex_unlock(&vm->slots_lock);
	return err;
}
