/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "conversion.h"

#include <errno.h>

struct gmem_file *file_of(int gmem)
{
	return kvm_gmem_host_file(object_of(gmem))->file;
}

struct kvm_memory_attributes2 request(uint64_t offset, uint64_t size, uint64_t attributes)
{
	return (struct kvm_memory_attributes2){
		.offset = offset, .size = size, .attributes = attributes, .error_offset = POISON
	};
}

long convert(int gmem, uint64_t offset, uint64_t size, uint64_t attributes)
{
	struct kvm_memory_attributes2 a = request(offset, size, attributes);
	long r = call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a);

	assert_int_equal(a.error_offset, POISON);
	return r;
}

bool is_private(int gmem, unsigned int page)
{
	return attr_map_get(gmem_file_attributes(file_of(gmem)), page) & ATTR_PRIVATE;
}

unsigned int privates(int gmem)
{
	unsigned int page, mask = 0;

	for (page = 0; page < NR; page++)
		mask |= (unsigned int)is_private(gmem, page) << page;
	return mask;
}

static int hold(struct gmem_consumer *c, const struct gmem_change *ch)
{
	struct holder *h = (void *)c;
	int err = 0;

	h->asked++;
	if (h->err)
		return h->err;
	for (unsigned int i = 0; i < 2; i++) {
		if (h->held[i].offset >= ch->offset + ch->size ||
		    ch->offset >= h->held[i].offset + h->held[i].size)
			continue;
		gmem_change_refuse(ch, h->held[i].offset, h->held[i].size);
		err = -EAGAIN;
	}
	return err;
}

static int agree(struct gmem_consumer *c, const struct gmem_change *ch)
{
	return 0;
}

static void nothing(struct gmem_consumer *c, const struct gmem_change *ch)
{
}

static const struct gmem_consumer_ops holding = { .prepare = hold, .begin = agree, .end = nothing };

void hold_pages(struct held_file *f, unsigned int first, unsigned int second)
{
	fixture_start("in-place");
	f->vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	f->gmem = make_gmem(f->vm, NR * PAGE, SHARED_FILE);
	f->holder = (struct holder){
		.consumer.ops = &holding,
		.held = { { first * PAGE, PAGE }, { second * PAGE, 2 * PAGE } },
	};
	gmem_file_add_consumer(file_of(f->gmem), &f->holder.consumer);
}

void let_go(struct held_file *f)
{
	gmem_file_remove_consumer(file_of(f->gmem), &f->holder.consumer);
	fixture_close(f->gmem);
	fixture_close(f->vm);
	fixture_end();
}
