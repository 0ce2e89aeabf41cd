/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What one more costs when there are many: VMs, slots, vCPUs. */
#include "bench/crew.h"
#include "bench/machine.h"
#include "bench/machine_sets.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* An item may cost more where there are more for a tree being deeper and caches being full, not for a walk over all:
 * the exponent of that would be 1. */
#define GROWTH_LIMIT 0.2
/* Of what has to do with all there are. */
#define LINEAR_LIMIT 1.1

static int failed(struct bench_run *r, long err, const char *what)
{
	return bench_refuse(r, (int)err, "%s: %s", what, strerror((int)-err));
}

/* How often a round does something to param items, for about as many operations as are wanted. */
static uint64_t repeats(struct bench_run *r)
{
	uint64_t n = r->nr > r->param ? r->nr / r->param : 1;

	r->done = n * r->param;
	return n;
}

/* ---- VMs --------------------------------------------------------------------------------------- */

#define VM_RAM BENCH_2M

struct vms {
	int kvm;
	void *ram;
	uint64_t run_size;
	struct vm {
		int vm, vcpu, gmem;
		void *run;
	} * vms;
};

static bool is_whole(const struct bench_run *r)
{
	return *(const bool *)r->bcase->data;
}

static int vms_setup(struct bench_run *r)
{
	const struct uapi *u = r->way->data;
	struct vms *v = calloc(1, sizeof(*v));
	long size;

	if (!v)
		return -ENOMEM;
	v->kvm = u->open();
	v->vms = calloc(r->param, sizeof(*v->vms));
	size = v->kvm < 0 ? v->kvm : u->ioctl(v->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size > 0 && v->vms && u->map(-1, 0, VM_RAM, &v->ram) == 0) {
		v->run_size = (uint64_t)size;
		r->own = v;
		return 0;
	}
	if (v->kvm >= 0)
		u->close(v->kvm);
	free(v->vms);
	free(v);
	return bench_refuse(r, -EOPNOTSUPP, "no /dev/kvm");
}

static void vms_teardown(struct bench_run *r)
{
	const struct uapi *u = r->way->data;
	struct vms *v = r->own;

	u->unmap(v->ram, VM_RAM);
	u->close(v->kvm);
	free(v->vms);
	free(v);
}

/* RAM, a guest_memfd of 1 GiB in a slot, and a vCPU. */
static int furnish(struct bench_run *r, struct vms *v, struct vm *vm)
{
	const struct uapi *u = r->way->data;
	struct kvm_create_guest_memfd create = { .size = BENCH_1G };
	struct kvm_userspace_memory_region2 slot = { .memory_size = VM_RAM };
	long ret;

	slot.userspace_addr = (uintptr_t)v->ram;
	ret = uapi_ioctl(u, vm->vm, KVM_SET_USER_MEMORY_REGION2, &slot);
	if (ret)
		return failed(r, ret, "a slot");
	ret = uapi_ioctl(u, vm->vm, KVM_CREATE_GUEST_MEMFD, &create);
	if (ret < 0)
		return failed(r, ret, "KVM_CREATE_GUEST_MEMFD");
	vm->gmem = (int)ret;
	slot = (struct kvm_userspace_memory_region2){
		.slot = 1,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = BENCH_1G,
		.memory_size = BENCH_1G,
		.guest_memfd = (uint32_t)vm->gmem,
	};
	ret = uapi_ioctl(u, vm->vm, KVM_SET_USER_MEMORY_REGION2, &slot);
	if (ret)
		return failed(r, ret, "a slot of a guest_memfd");
	ret = u->ioctl(vm->vm, KVM_CREATE_VCPU, 0);
	if (ret < 0)
		return failed(r, ret, "KVM_CREATE_VCPU");
	vm->vcpu = (int)ret;
	return u->map(vm->vcpu, 0, v->run_size, &vm->run);
}

static int make_vm(struct bench_run *r, struct vms *v, struct vm *vm)
{
	const struct uapi *u = r->way->data;
	long ret = u->ioctl(v->kvm, KVM_CREATE_VM,
			    is_whole(r) ? KVM_X86_SW_PROTECTED_VM : KVM_X86_DEFAULT_VM);

	*vm = (struct vm){ .vm = (int)ret, .vcpu = -1, .gmem = -1 };
	if (ret == -EINVAL)
		return bench_refuse(r, -EOPNOTSUPP, "no private memory here");
	if (ret < 0)
		return failed(r, ret, "KVM_CREATE_VM");
	return is_whole(r) ? furnish(r, v, vm) : 0;
}

static void free_vm(struct bench_run *r, struct vms *v, struct vm *vm)
{
	const struct uapi *u = r->way->data;

	if (vm->run)
		u->unmap(vm->run, v->run_size);
	if (vm->vcpu >= 0)
		u->close(vm->vcpu);
	if (vm->gmem >= 0)
		u->close(vm->gmem);
	if (vm->vm >= 0)
		u->close(vm->vm);
}

static int vms_once(struct bench_run *r)
{
	struct vms *v = r->own;
	uint64_t nr = 0;
	int err = 0;

	while (!err && nr < r->param)
		err = make_vm(r, v, &v->vms[nr++]);
	while (nr)
		free_vm(r, v, &v->vms[--nr]);
	return err;
}

static int vms_round(struct bench_run *r)
{
	uint64_t nr = repeats(r);
	int err = 0;

	bench_start(r);
	while (!err && nr--)
		err = vms_once(r);
	bench_stop(r);
	return err;
}

static const struct bench_ops vms_ops = { vms_setup, vms_round, vms_teardown };
static const uint64_t vms_axis[] = { 1, 10, 100, 1000, 0 };

/* ---- slots ------------------------------------------------------------------------------------- */

#define SLOT_STEP (2 * BENCH_PAGE)
#define MAX_TOUCHED 256u

enum slots_part { SLOTS_ADD, SLOTS_DELETE, SLOTS_FAULT };

struct slots {
	struct machine machine;
	uint8_t *memory;
	uint64_t first, nr; /* the numbers of the slots; 0 is the vCPU's, where there is one */
};

static enum slots_part part_of(const struct bench_run *r)
{
	return *(const enum slots_part *)r->bcase->data;
}

/* A page each, and a hole behind it. size 0: away with it. */
static int set_slot(struct slots *s, uint64_t n, uint64_t size)
{
	struct kvm_userspace_memory_region2 args = {
		.slot = (uint32_t)(s->first + n),
		.guest_phys_addr = MACHINE_DATA + n * SLOT_STEP,
		.memory_size = size,
		.userspace_addr = (uintptr_t)s->memory + n * BENCH_PAGE,
	};

	return (int)uapi_ioctl(s->machine.u, s->machine.vm, KVM_SET_USER_MEMORY_REGION2, &args);
}

static int set_slots(struct slots *s, uint64_t step, uint64_t size)
{
	int err = 0;

	for (uint64_t n = 0; !err && n < s->nr; n += step)
		err = set_slot(s, n, size);
	return err;
}

static int slots_fill(struct bench_run *r, struct slots *s)
{
	bool with_guest = part_of(r) == SLOTS_FAULT;
	int err = machine_open(r, &s->machine, KVM_X86_DEFAULT_VM);
	void *memory;

	s->first = with_guest;
	s->nr = with_guest && r->param > 1 ? r->param - 1 : r->param;
	if (!err && with_guest)
		err = machine_add_vcpus(r, &s->machine, 1);
	if (!err)
		err = s->machine.u->map(-1, 0, s->nr * BENCH_PAGE, &memory);
	if (err)
		return err;
	s->memory = memory;
	err = with_guest ? set_slots(s, 1, BENCH_PAGE) : 0;
	return err ? failed(r, err, "slots") : 0;
}

static void slots_close(struct slots *s)
{
	machine_close(&s->machine);
	if (s->memory)
		s->machine.u->unmap(s->memory, s->nr * BENCH_PAGE);
	free(s);
}

static int slots_setup(struct bench_run *r)
{
	struct slots *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	err = slots_fill(r, s);
	r->own = s;
	if (err)
		slots_close(s);
	return err;
}

static void slots_teardown(struct bench_run *r)
{
	slots_close(r->own);
}

static int add_and_delete(struct bench_run *r)
{
	struct slots *s = r->own;
	bool adding = part_of(r) == SLOTS_ADD;
	int err;

	if (adding)
		bench_start(r);
	err = set_slots(s, 1, BENCH_PAGE);
	if (adding)
		bench_stop(r);
	else
		bench_start(r);
	if (!err)
		err = set_slots(s, 1, 0);
	if (!adding)
		bench_stop(r);
	return err;
}

static int slots_round(struct bench_run *r)
{
	uint64_t nr = repeats(r);
	int err = 0;

	while (!err && nr--)
		err = add_and_delete(r);
	return err;
}

/* A page of some slots, spread over all. They are set anew, so that no guest has the page in its tables. */
static int fault_round(struct bench_run *r)
{
	struct slots *s = r->own;
	uint64_t step = s->nr / MAX_TOUCHED ? s->nr / MAX_TOUCHED : 1;
	uint64_t touched = (s->nr + step - 1) / step;
	int err = set_slots(s, step, 0);

	if (!err)
		err = set_slots(s, step, BENCH_PAGE);
	r->done = touched;
	bench_start(r);
	if (!err)
		err = machine_call(&s->machine, 0, GUEST_WRITE, MACHINE_DATA, touched,
				   step * SLOT_STEP);
	bench_stop(r);
	return machine_say(r, &s->machine, 0, err);
}

static const struct bench_ops slots_ops = { slots_setup, slots_round, slots_teardown };
static const struct bench_ops fault_ops = { slots_setup, fault_round, slots_teardown };
static const uint64_t slots_axis[] = { 1, 10, 100, 1000, 10000, 32764, 0 };

/* ---- vCPUs ------------------------------------------------------------------------------------- */

#define CHANGED MACHINE_DATA /* the page that is shared and private in turn */

struct vcpus {
	struct machine machine;
	struct crew *crew; /* NULL: nobody runs */
};

static int vcpus_once(struct bench_run *r)
{
	struct machine *m = r->own;
	int err = machine_open(r, m, KVM_X86_DEFAULT_VM);

	bench_start(r);
	if (!err)
		err = machine_add_vcpus(r, m, (unsigned int)r->param);
	machine_close(m);
	bench_stop(r);
	return err;
}

static int vcpus_round(struct bench_run *r)
{
	uint64_t nr = repeats(r);
	int err = 0;

	while (!err && nr--)
		err = vcpus_once(r);
	return err;
}

static int vcpus_setup(struct bench_run *r)
{
	r->own = calloc(1, sizeof(struct machine));
	return r->own ? 0 : -ENOMEM;
}

static void vcpus_teardown(struct bench_run *r)
{
	free(r->own);
}

/* Writes to the page that changes, all the time. */
static int run_until(void *arg, unsigned int index)
{
	struct vcpus *v = arg;

	return machine_call(&v->machine, index, GUEST_WRITE_UNTIL, CHANGED, machine_scratch(0), 0);
}

static _Atomic uint64_t *stop_word(struct vcpus *v)
{
	return (_Atomic uint64_t *)(v->machine.ram + machine_scratch(0));
}

/* Somebody has the page, as shared. */
static int have_it_touched(struct vcpus *v)
{
	_Atomic uint64_t *page = (_Atomic uint64_t *)v->machine.slots[1].hva;

	if (!v->crew)
		return machine_call(&v->machine, 0, GUEST_WRITE, CHANGED, 1, BENCH_PAGE);
	*page = 0;
	while (!*page)
		sched_yield();
	return 0;
}

static int change_open(struct bench_run *r, struct vcpus *v)
{
	unsigned int nr = (unsigned int)r->param;
	bool busy = *(const bool *)r->bcase->data;
	int err = machine_open(r, &v->machine, KVM_X86_SW_PROTECTED_VM);

	if (!err)
		err = machine_add_slot(r, &v->machine, 1, CHANGED, BENCH_2M,
				       MACHINE_GMEM | MACHINE_HVA);
	if (!err)
		err = machine_add_vcpus(r, &v->machine, nr);
	if (err || !busy)
		return err;
	err = crew_make(nr, run_until, v, &v->crew);
	if (!err)
		crew_go(v->crew);
	return err;
}

static int change_setup(struct bench_run *r)
{
	struct vcpus *v = calloc(1, sizeof(*v));
	int err;

	if (!v)
		return -ENOMEM;
	err = change_open(r, v);
	r->own = v;
	if (err) {
		machine_close(&v->machine);
		free(v);
	}
	return err;
}

static void change_teardown(struct bench_run *r)
{
	struct vcpus *v = r->own;

	if (v->crew) {
		*stop_word(v) = 1;
		crew_wait(v->crew);
		crew_unmake(v->crew);
	}
	machine_close(&v->machine);
	free(v);
}

/* To private counts, and what follows does not. */
static int change_round(struct bench_run *r)
{
	struct vcpus *v = r->own;
	int err = 0;

	for (uint64_t i = 0; !err && i < r->nr; i++) {
		err = have_it_touched(v);
		bench_start(r);
		if (!err)
			err = machine_set_private(&v->machine, CHANGED, BENCH_PAGE, true);
		bench_stop(r);
		if (!err)
			err = machine_set_private(&v->machine, CHANGED, BENCH_PAGE, false);
	}
	return err;
}

static const struct bench_ops vcpus_ops = { vcpus_setup, vcpus_round, vcpus_teardown };
static const struct bench_ops change_ops = { change_setup, change_round, change_teardown };
static const uint64_t vcpus_axis[] = { 1, 2, 4, 8, 16, 32, 64, 0 };

/* ---- all --------------------------------------------------------------------------------------- */

#define SERIES(name_, what_, per_, axis_, axis_name_, limit_, ops_, data_)              \
	{                                                                               \
		.name = "scale/" name_, .what = what_, .unit = BENCH_TIME, .per = per_, \
		.slow = true, .axis = axis_, .axis_name = axis_name_,                   \
		.goals = { { .stat = BENCH_GROWTH, .limit = limit_ } },                 \
		.ways = { MACHINE_WAYS(ops_) }, .data = data_,                          \
	}
#define IS(value) (&(const bool){ value })
#define PART(value) (&(const enum slots_part){ value })

const struct bench_case bench_scale_cases[] = {
	SERIES("vms/bare", "made and ended, all alive in between", "VM", vms_axis, "VMs",
	       GROWTH_LIMIT, vms_ops, IS(false)),
	SERIES("vms/whole", "the same with a vCPU and a guest_memfd", "VM", vms_axis, "VMs",
	       GROWTH_LIMIT, vms_ops, IS(true)),
	SERIES("slots/add", "one after the other", "slot", slots_axis, "slots", GROWTH_LIMIT,
	       slots_ops, PART(SLOTS_ADD)),
	SERIES("slots/delete", "in the same order", "slot", slots_axis, "slots", GROWTH_LIMIT,
	       slots_ops, PART(SLOTS_DELETE)),
	SERIES("slots/fault", "guest faults all over them", "fault", slots_axis, "slots",
	       GROWTH_LIMIT, fault_ops, PART(SLOTS_FAULT)),
	SERIES("vcpus/create", "made, set up and ended with their VM", "vCPU", vcpus_axis, "vCPUs",
	       GROWTH_LIMIT, vcpus_ops, NULL),
	/* Each vCPU has to be told; with more that run than cores, each has to be scheduled first. */
	SERIES("vcpus/change/idle", "a touched page changes, no vCPU runs", "change", vcpus_axis,
	       "vCPUs", LINEAR_LIMIT, change_ops, IS(false)),
	SERIES("vcpus/change/busy", "a page changes that all vCPUs write", "change", vcpus_axis,
	       "vCPUs", LINEAR_LIMIT, change_ops, IS(true)),
	{ 0 },
};
