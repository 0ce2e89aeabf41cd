/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A VM's life with attributes by guest address. */
#include "world.h"

#include <errno.h>
#include <sys/mman.h>

static int make_file(struct world *w)
{
	return world_file(w, 0);
}

static int bind(struct world *w)
{
	return world_slot(w, FILE_SLOT, KVM_MEM_GUEST_MEMFD, BASE, FILE_SIZE, w->behind);
}

static int to_private(struct world *w)
{
	return world_set_private(w, BASE + PAGE, 520, true);
}

static int page_to_shared(struct world *w)
{
	return world_set_private(w, BASE + 3 * PAGE, 1, false);
}

static int far_to_private(struct world *w)
{
	return world_set_private(w, (1ull << 40) + 7 * PAGE, 3000, true);
}

static int far_to_shared(struct world *w)
{
	return world_set_private(w, (1ull << 40), 1 << 20, false);
}

static int write_private(struct world *w)
{
	return guest_write(w, BASE + 2 * PAGE, 0x22);
}

static int write_private_far(struct world *w)
{
	return guest_write(w, BASE + 512 * PAGE, 0x51);
}

static int write_shared(struct world *w)
{
	return guest_write(w, BASE, 0x10);
}

static int prefault(struct world *w)
{
	struct kvm_pre_fault_memory p = { .gpa = BASE, .size = FILE_SIZE };
	long ret = 0;

	while (!ret && p.size)
		ret = uapi_ioctl(w->u, w->vcpu, KVM_PRE_FAULT_MEMORY, &p);
	return (int)ret;
}

static int write_to_punch(struct world *w)
{
	return guest_write(w, BASE + 66 * PAGE, 0x66);
}

static int punch(struct world *w)
{
	return world_fallocate(w, true, 60, 10);
}

static int allocate(struct world *w)
{
	return world_fallocate(w, false, 0, 100);
}

static int plain_slot(struct world *w)
{
	return world_slot(w, PLAIN_SLOT, KVM_MEM_LOG_DIRTY_PAGES, PLAIN, PLAIN_PAGES * PAGE,
			  w->plain);
}

static int write_plain(struct world *w)
{
	return guest_write(w, PLAIN + 3 * PAGE, 0x33);
}

static int read_log(struct world *w)
{
	uint64_t bits = 0;
	struct kvm_dirty_log log = { .slot = PLAIN_SLOT, .dirty_bitmap = &bits };
	long ret = uapi_ioctl(w->u, w->vm, KVM_GET_DIRTY_LOG, &log);

	if (!ret)
		w->log = bits;
	return (int)ret;
}

static int move_plain(struct world *w)
{
	return world_slot(w, PLAIN_SLOT, KVM_MEM_LOG_DIRTY_PAGES, MOVED, PLAIN_PAGES * PAGE,
			  w->plain);
}

static int end_log(struct world *w)
{
	return world_slot(w, PLAIN_SLOT, 0, MOVED, PLAIN_PAGES * PAGE, w->plain);
}

static int drop_plain(struct world *w)
{
	return w->u->madvise(w->plain, PLAIN_PAGES * PAGE, MADV_DONTNEED);
}

static int delete_plain(struct world *w)
{
	return world_slot(w, PLAIN_SLOT, 0, 0, 0, NULL);
}

static int unbind(struct world *w)
{
	return world_slot(w, FILE_SLOT, 0, 0, 0, NULL);
}

static const struct step steps[] = {
	{ "open", step_open },
	{ "vm", step_vm },
	{ "vcpu", step_vcpu },
	{ "map run", step_map_run },
	{ "ram", step_ram },
	{ "file", make_file },
	{ "bind", bind },
	{ "to private", to_private },
	{ "guest writes private", write_private },
	{ "guest writes private far", write_private_far },
	{ "guest writes shared", write_shared },
	{ "page to shared", page_to_shared },
	{ "far to private", far_to_private },
	{ "far to shared", far_to_shared },
	{ "prefault", prefault },
	{ "guest writes", write_to_punch },
	{ "punch", punch },
	{ "allocate", allocate },
	{ "plain slot", plain_slot },
	{ "guest writes plain", write_plain },
	{ "dirty log", read_log },
	{ "move", move_plain },
	{ "no log", end_log },
	{ "second vcpu", step_second_vcpu },
	{ "drop plain", drop_plain },
	{ "delete plain", delete_plain },
	{ "close file", step_close_file },
	{ "unbind", unbind },
	{ "close vcpu", step_close_vcpu },
};

const struct scenario per_vm = {
	.name = "per-vm",
	STEPS(steps),
	.make = world_make,
	.look = world_look,
	.unmake = world_unmake,
};

/* A huge page that is put together waits for every processor: only what is different. */
static const struct step thp_steps[] = {
	{ "open", step_open },
	{ "vm", step_vm },
	{ "vcpu", step_vcpu },
	{ "map run", step_map_run },
	{ "ram", step_ram },
	{ "file", make_file },
	{ "bind", bind },
	{ "to private", to_private },
	{ "guest writes private", write_private },
	{ "allocate", allocate },
	{ "punch", punch },
};

const struct scenario per_vm_thp = {
	.name = "per-vm-thp",
	.pages = "thp",
	.paths = "fast-huge",
	STEPS(thp_steps),
	.swept_from = 8,
	.make = world_make,
	.look = world_look,
	.unmake = world_unmake,
};
