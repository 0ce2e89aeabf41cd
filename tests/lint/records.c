/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "records.h"

/* One tick is a nanosecond. */
#define TSC_KHZ 1000000u
/* enum kvm_object_type */
enum { A_VM = 1, A_VCPU, A_FILE };

static struct {
	struct lint *lint;
	uint64_t now;
	uint16_t process;
	uint32_t thread, nr;
	bool ended;
} run;

int run_begin(void **state)
{
	run.lint = lint_new(TSC_KHZ);
	assert_non_null(run.lint);
	run.now = run.thread = 1000;
	run.process = 0;
	run.ended = false;
	process_is(0, true);
	return 0;
}

int run_end(void **state)
{
	lint_free(run.lint);
	return 0;
}

void by_process(unsigned int place)
{
	run.process = (uint16_t)place;
}

void by_thread(uint32_t thread)
{
	run.thread = thread;
}

void time_passes(uint64_t ticks)
{
	run.now += ticks;
}

void records_lost(uint64_t nr)
{
	lint_lost(run.lint, nr);
}

static void tell(struct obs_record r, uint64_t place)
{
	r.sequence = ++run.nr;
	r.time = run.now++;
	r.thread = run.thread;
	r.process = run.process;
	r.caller_low = (uint32_t)place;
	r.caller_high = (uint16_t)(place >> 32);
	lint_record(run.lint, &r);
}

void process_is(unsigned int place, bool closer)
{
	uint16_t before = run.process;

	run.process = (uint16_t)place;
	tell((struct obs_record){ .kind = OBS_PROCESS_MADE, .a = 100 + place, .c = closer }, 0);
	run.process = before;
}

/* ---- the program ------------------------------------------------------------------------------------ */

void make_vcpu(uint16_t vm, uint32_t id, uint64_t place)
{
	tell((struct obs_record){ .kind = OBS_VCPU_MADE, .vm = vm, .a = id, .b = vm }, place);
}

void make_file(uint16_t vm, uint16_t file, uint64_t flags, uint64_t place)
{
	tell(
		(struct obs_record){
			.kind = OBS_FILE_MADE, .vm = vm, .file = file, .a = RAM_SIZE, .b = flags },
		place);
}

void set_slot(uint16_t vm, const struct slot *s, uint64_t place)
{
	struct obs_record r = { .kind = OBS_SLOT, .vm = vm, .file = s->file };

	r.a = s->id;
	r.b = s->gpa;
	r.c = s->size;
	tell(r, place);
	if (!s->size)
		return;
	r.kind = OBS_SLOT_HOST;
	r.b = s->hva;
	r.c = s->offset;
	tell(r, place);
}

void delete_slot(uint16_t vm, uint32_t id)
{
	set_slot(vm, &(struct slot){ .id = id }, 0);
}

static void make_one(uint64_t flags)
{
	const struct slot ram = { 0, RAM, RAM_SIZE, HVA, 0, 1 };

	tell((struct obs_record){ .kind = OBS_VM_MADE, .vm = 1, .b = 1 }, 0);
	make_file(1, 1, flags, 1);
	set_slot(1, &ram, 2);
	make_vcpu(1, 0, 3);
}

void make_vm(void)
{
	make_one(0);
}

void make_vm_in_place(void)
{
	make_one(GMEM_FILE_MMAP | GMEM_FILE_INIT_SHARED | GMEM_FILE_IN_PLACE);
}

static void request_of(uint16_t file, uint64_t nr, int err, uint64_t place)
{
	tell((struct obs_record){ .kind = OBS_REQUEST,
				  .file = file,
				  .a = (uint32_t)nr,
				  .result = (int16_t)err },
	     place);
}

void request(uint64_t nr, int err, uint64_t place)
{
	request_of(0, nr, err, place);
}

static void asked(struct obs_record r, bool is_private, int err, uint64_t place)
{
	r.kind = OBS_ASKED;
	r.c = is_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	r.result = (int16_t)err;
	tell(r, place);
	request_of(r.file, r.file ? KVM_SET_MEMORY_ATTRIBUTES2 : KVM_SET_MEMORY_ATTRIBUTES, err,
		   place);
}

void convert_fails(uint16_t vm, uint64_t gpa, uint64_t size, bool is_private, int err,
		   uint64_t place)
{
	asked((struct obs_record){ .vm = vm, .a = gpa, .b = size }, is_private, err, place);
}

void convert(uint16_t vm, uint64_t gpa, uint64_t size, bool is_private, uint64_t place)
{
	convert_fails(vm, gpa, size, is_private, 0, place);
}

void convert_file_fails(uint16_t file, uint64_t offset, uint64_t size, bool is_private, int err,
			uint64_t place)
{
	asked((struct obs_record){ .file = file, .a = offset, .b = size }, is_private, err, place);
}

void convert_file(uint16_t file, uint64_t offset, uint64_t size, bool is_private, uint64_t place)
{
	convert_file_fails(file, offset, size, is_private, 0, place);
}

static void on_file(enum obs_event kind, uint16_t file, uint64_t offset, uint64_t size,
		    uint64_t place)
{
	tell((struct obs_record){ .kind = (uint16_t)kind, .file = file, .a = offset, .b = size },
	     place);
}

void punch(uint16_t file, uint64_t offset, uint64_t size, uint64_t place)
{
	on_file(OBS_PUNCH, file, offset, size, place);
}

void allocate(uint16_t file, uint64_t offset, uint64_t size, uint64_t place)
{
	on_file(OBS_ALLOCATE, file, offset, size, place);
}

void unpin(uint16_t file, uint64_t offset, uint64_t size)
{
	on_file(OBS_UNPIN, file, offset, size, 0);
}

static void discard_by(enum obs_discard call, uint64_t address, uint64_t size, uint64_t place)
{
	tell((struct obs_record){ .kind = OBS_DISCARD, .a = address, .b = size, .c = call }, place);
}

void discard(uint64_t address, uint64_t size, uint64_t place)
{
	discard_by(OBS_DISCARD_MADVISE, address, size, place);
}

void punch_memfd(uint64_t offset, uint64_t size, uint64_t place)
{
	discard_by(OBS_DISCARD_PUNCH, offset, size, place);
}

static void closed(uint64_t type, uint64_t number, uint16_t vm)
{
	tell((struct obs_record){ .kind = OBS_CLOSED, .a = type, .b = number, .c = vm }, 0);
}

void close_vm(uint16_t vm)
{
	closed(A_VM, vm, vm);
}

void close_vcpu(uint16_t vm, uint32_t id)
{
	closed(A_VCPU, id, vm);
}

void close_file(uint16_t vm, uint16_t file)
{
	closed(A_FILE, file, vm);
}

void vm_gone(uint16_t vm)
{
	tell((struct obs_record){ .kind = OBS_VM_GONE, .vm = vm, .b = vm }, 0);
}

/* ---- the guest ---------------------------------------------------------------------------------------- */

static void enter_with(uint16_t vm, uint32_t vcpu, uint64_t immediate_exit, uint64_t answers)
{
	tell((struct obs_record){ .kind = OBS_RUN_ENTER,
				  .vm = vm,
				  .vcpu = (uint16_t)(vcpu + 1),
				  .a = immediate_exit,
				  .b = answers },
	     0);
}

void enter(uint16_t vm, uint32_t vcpu)
{
	enter_with(vm, vcpu, 0, 0);
}

void enter_refusing(uint16_t vm, uint32_t vcpu)
{
	enter_with(vm, vcpu, 0, OBS_ANSWERS_CALL | OBS_ANSWERS_NO);
}

void enter_at_once_out(uint16_t vm, uint32_t vcpu)
{
	enter_with(vm, vcpu, 1, 0);
}

static void leave_with(struct obs_record r, uint16_t vm, uint32_t vcpu, uint64_t place)
{
	r.kind = OBS_RUN_EXIT;
	r.vm = vm;
	r.vcpu = (uint16_t)(vcpu + 1);
	tell(r, place);
}

void leave(uint16_t vm, uint32_t vcpu, uint64_t reason)
{
	leave_with((struct obs_record){ .a = reason,
					.result = reason == KVM_EXIT_INTR ? -EINTR : 0 },
		   vm, vcpu, 0);
}

void leave_fault(uint16_t vm, uint32_t vcpu, uint64_t gpa, bool is_private, uint64_t place)
{
	leave_with((struct obs_record){ .a = KVM_EXIT_MEMORY_FAULT,
					.b = gpa,
					.c = is_private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0,
					.result = -EFAULT },
		   vm, vcpu, place);
}

void leave_call(uint16_t vm, uint32_t vcpu, uint64_t gpa, uint64_t size, uint64_t flags)
{
	tell((struct obs_record){ .kind = OBS_GUEST_ASKED,
				  .vm = vm,
				  .vcpu = (uint16_t)(vcpu + 1),
				  .a = gpa,
				  .b = size / PAGE,
				  .c = flags },
	     0);
	leave_with(
		(struct obs_record){ .a = KVM_EXIT_HYPERCALL, .b = KVM_HC_MAP_GPA_RANGE, .c = gpa },
		vm, vcpu, 0);
}

void left(uint16_t vm, uint64_t gpa, uint64_t size, bool is_private, enum when when)
{
	tell((struct obs_record){ .kind = OBS_LEFT,
				  .vm = vm,
				  .a = gpa,
				  .b = size,
				  .c = (is_private ? OBS_LEFT_PRIVATE : 0) |
				       (when == AT_END ? OBS_LEFT_AT_END : 0) },
	     0);
}

/* ---- what is said of it --------------------------------------------------------------------------------- */

static const struct lint_finding *found(size_t *nr)
{
	if (!run.ended)
		lint_end(run.lint);
	run.ended = true;
	return lint_findings(run.lint, nr);
}

void assert_nr_found(size_t wanted)
{
	size_t nr;
	const struct lint_finding *f = found(&nr);

	for (size_t i = 0; i < nr && nr != wanted; i++)
		print_message("found: L%u at %llu, %llu times, %llu bytes\n", f[i].code,
			      (unsigned long long)f[i].caller, (unsigned long long)f[i].nr,
			      (unsigned long long)f[i].bytes);
	assert_int_equal(nr, wanted);
}

void assert_silent(void)
{
	assert_nr_found(0);
}

void assert_found(unsigned int code, uint64_t place, uint64_t times, uint64_t bytes)
{
	size_t nr;
	const struct lint_finding *f = found(&nr);

	for (size_t i = 0; i < nr; i++) {
		if (f[i].code != code || f[i].caller != place)
			continue;
		assert_int_equal(f[i].nr, times);
		assert_int_equal(f[i].bytes, bytes);
		return;
	}
	fail_msg("L%u at %llu was not found", code, (unsigned long long)place);
}

void assert_only(unsigned int code, uint64_t place, uint64_t times, uint64_t bytes)
{
	assert_nr_found(1);
	assert_found(code, place, times, bytes);
}
