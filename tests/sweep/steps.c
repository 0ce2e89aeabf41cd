/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "steps.h"

#include <string.h>

static int keep_fd(long ret, int *fd)
{
	if (ret < 0)
		return (int)ret;
	*fd = (int)ret;
	return 0;
}

/* ---- a VM -------------------------------------------------------------------------------------- */

int step_open(struct world *w)
{
	return keep_fd(w->u->open(), &w->kvm);
}

int step_vm(struct world *w)
{
	return keep_fd(w->u->ioctl(w->kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM), &w->vm);
}

int step_vcpu(struct world *w)
{
	return keep_fd(w->u->ioctl(w->vm, KVM_CREATE_VCPU, 0), &w->vcpu);
}

int step_second_vcpu(struct world *w)
{
	return keep_fd(w->u->ioctl(w->vm, KVM_CREATE_VCPU, 1), &w->vcpu2);
}

int step_map_run(struct world *w)
{
	long size = w->u->ioctl(w->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < 0)
		return (int)size;
	w->run_size = (uint64_t)size;
	return w->u->map(w->vcpu, 0, w->run_size, (void **)&w->run);
}

int step_ram(struct world *w)
{
	static const uint8_t code[] = {
		0xa0, 0, 0, 0xf4, /* mov al, [0]; hlt */
		0xa2, 0, 0, 0xf4, /* mov [0], al; hlt */
	};
	int err = world_slot(w, RAM_SLOT, 0, 0, RAM_SIZE, w->ram);

	memcpy(w->ram + CODE, code, sizeof(code));
	w->has_ram_slot = !err;
	return err;
}

int step_close_vcpu(struct world *w)
{
	world_close(w, &w->vcpu);
	return 0;
}

/* ---- its file ---------------------------------------------------------------------------------- */

static int make_file(struct world *w, uint64_t flags)
{
	struct kvm_create_guest_memfd c = { .size = FILE_SIZE, .flags = flags };

	return keep_fd(uapi_ioctl(w->u, w->vm, KVM_CREATE_GUEST_MEMFD, &c), &w->file);
}

int step_file(struct world *w)
{
	return make_file(w, 0);
}

int step_shared_file(struct world *w)
{
	return make_file(w, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
}

int step_close_file(struct world *w)
{
	world_close(w, &w->file);
	return 0;
}

int step_map_all(struct world *w)
{
	int err = world_map(w, 0, 0, NR_PAGES);

	if (!err)
		for (uint64_t page = 0; page < NR_PAGES; page += 50)
			w->window[0][page * PAGE] = (uint8_t)(1 + page / 50);
	return err;
}

int step_map_part(struct world *w)
{
	return world_map(w, 1, 100, 200);
}

int step_bind(struct world *w)
{
	return world_slot(w, FILE_SLOT, KVM_MEM_GUEST_MEMFD, BASE, FILE_SIZE,
			  w->window[0] ? w->window[0] : w->behind);
}

int step_unbind(struct world *w)
{
	return world_slot(w, FILE_SLOT, 0, 0, 0, NULL);
}

int step_punch(struct world *w)
{
	return world_fallocate(w, true, 0, 50);
}

int step_allocate(struct world *w)
{
	return world_fallocate(w, false, 0, 100);
}
