/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A VM's life with attributes by guest address. */
#include "steps.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENT_PORT 0x40
#define CPUID_MAX 100
#define CPUID_ROOM \
	((sizeof(struct kvm_cpuid2) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2)) / 8 + 1)

SET_PRIVATE(to_private, 1, 520, true)
SET_PRIVATE(page_to_shared, 3, 1, false)
GUEST_WRITES(write_private, 2, 0x22)
GUEST_WRITES(write_private_far, 512, 0x51)
GUEST_WRITES(write_shared, 0, 0x10)
GUEST_WRITES(write_to_punch, 66, 0x66)
PUNCH(punch, 60, 10)

static int far_to_private(struct world *w)
{
	return world_set_private(w, (1ull << 40) + 7 * PAGE, 3000, true);
}

static int far_to_shared(struct world *w)
{
	return world_set_private(w, (1ull << 40), 1 << 20, false);
}

static int prefault(struct world *w)
{
	struct kvm_pre_fault_memory p = { .gpa = BASE, .size = 72 * PAGE };
	long ret = 0;

	while (!ret && p.size)
		ret = uapi_ioctl(w->u, w->vcpu, KVM_PRE_FAULT_MEMORY, &p);
	return (int)ret;
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

/* ---- what else a VM allocates ------------------------------------------------------------------ */

static int set_event(struct world *w, uint32_t flags)
{
	struct kvm_ioeventfd e = { .addr = EVENT_PORT,
				   .len = 1,
				   .fd = w->event,
				   .flags = KVM_IOEVENTFD_FLAG_PIO | flags };

	return (int)uapi_ioctl(w->u, w->vm, KVM_IOEVENTFD, &e);
}

static int add_event(struct world *w)
{
	return set_event(w, 0);
}

/* out EVENT_PORT, al; hlt */
static int guest_signals(struct world *w)
{
	static const uint8_t code[] = { 0xe6, EVENT_PORT, 0xf4 };
	uint64_t nr = 0;
	int err;

	memcpy(w->ram + CODE + 16, code, sizeof(code));
	err = guest_run(w, 0, CODE + 16, (uint8_t *)&nr);
	return err || read(w->event, &nr, sizeof(nr)) == sizeof(nr) ? err : -EBADMSG;
}

static int remove_event(struct world *w)
{
	return set_event(w, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

static int add_zone(struct world *w)
{
	struct kvm_coalesced_mmio_zone z = { .addr = MOVED, .size = PAGE };

	return (int)uapi_ioctl(w->u, w->vm, KVM_REGISTER_COALESCED_MMIO, &z);
}

static int remove_zone(struct world *w)
{
	struct kvm_coalesced_mmio_zone z = { .addr = MOVED, .size = PAGE };

	return (int)uapi_ioctl(w->u, w->vm, KVM_UNREGISTER_COALESCED_MMIO, &z);
}

/* What the processor can do, given to a vCPU that has not run; asked back. */
static int set_cpuid(struct world *w)
{
	static uint64_t room[CPUID_ROOM];
	struct kvm_cpuid2 *c = (void *)room;
	long ret;

	c->nent = CPUID_MAX;
	ret = uapi_ioctl(w->u, w->kvm, KVM_GET_SUPPORTED_CPUID, c);
	if (!ret)
		ret = uapi_ioctl(w->u, w->vcpu2, KVM_SET_CPUID2, c);
	c->nent = CPUID_MAX;
	return (int)(ret ? ret : uapi_ioctl(w->u, w->vcpu2, KVM_GET_CPUID2, c));
}

/* From here on a log is cleared by a call of its own. */
static int manual_log(struct world *w)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { 1 } };

	return (int)uapi_ioctl(w->u, w->vm, KVM_ENABLE_CAP, &cap);
}

static int clear_log(struct world *w)
{
	uint64_t bits = ~0ull;
	struct kvm_clear_dirty_log log = { .slot = PLAIN_SLOT,
					   .num_pages = PLAIN_PAGES,
					   .dirty_bitmap = &bits };

	return (int)uapi_ioctl(w->u, w->vm, KVM_CLEAR_DIRTY_LOG, &log);
}

/* ---- the end ----------------------------------------------------------------------------------- */

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

static const struct step steps[] = {
	STEPS_TO_RUN,
	{ "file", step_file },
	{ "bind", step_bind },
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
	{ "allocate", step_allocate },
	{ "plain slot", plain_slot },
	{ "guest writes plain", write_plain },
	{ "dirty log", read_log },
	{ "manual log", manual_log },
	{ "guest writes plain again", write_plain },
	{ "dirty log again", read_log },
	{ "clear log", clear_log },
	{ "event", add_event },
	{ "guest signals", guest_signals },
	{ "no event", remove_event },
	{ "zone", add_zone },
	{ "no zone", remove_zone },
	{ "move", move_plain },
	{ "no log", end_log },
	{ "second vcpu", step_second_vcpu },
	{ "cpuid", set_cpuid },
	{ "drop plain", drop_plain },
	{ "delete plain", delete_plain },
	{ "close file", step_close_file },
	{ "unbind", step_unbind },
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
	STEPS_TO_RUN,
	{ "file", step_file },
	{ "bind", step_bind },
	{ "to private", to_private },
	{ "guest writes private", write_private },
	{ "allocate", step_allocate },
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

/* Pages of the system's pool: a piece of one is punched, then all of it. */
PUNCH(punch_block, 0, 512)
GUEST_WRITES(write_punched, 61, 0x61)

static const struct step steps_2m[] = {
	STEPS_TO_RUN,
	{ "file", step_file },
	{ "bind", step_bind },
	{ "to private", to_private },
	{ "guest writes private", write_private },
	{ "punch", punch },
	{ "guest writes what was punched", write_punched },
	{ "page to shared", page_to_shared },
	{ "punch the block", punch_block },
	{ "guest writes private far", write_private_far },
	{ "allocate", step_allocate },
	{ "to private again", to_private },
	{ "unbind", step_unbind },
	{ "close file", step_close_file },
};

const struct scenario per_vm_2m = {
	.name = "per-vm-2m",
	.pages = "2m",
	STEPS(steps_2m),
	.swept_from = 5,
	.make = world_make,
	.look = world_look,
	.unmake = world_unmake,
};
