/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Conversion in place by KVM's request: which rule wins, what becomes of the pages, and what is written back. */
#include "conversion.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/os.h"

static const char *const in_place_profiles[] = { "in-place", "in-place-v7" };

/* ---- which rule refused ------------------------------------------------------------------------ */

static int log_fd;

static void listen_to_rules(void)
{
	log_fd = memfd_create("log", 0);
	assert_true(log_fd >= 0);
	os_log_set_fd(log_fd);
	os_log_set_why(true);
}

static void stop_listening(void)
{
	os_log_set_why(false);
	os_log_set_fd(2);
	close(log_fd);
}

/* The first refusal since the last call has said this. */
static void expect_rule(const char *rule)
{
	char text[1024] = "";
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	assert_true(n > 0);
	text[strcspn(text, "\n")] = 0;
	if (!strstr(text, rule))
		fail_msg("refused by \"%s\" and not by \"%s\"", text, rule);
	/* The next one is said, also if it is the same. */
	os_log_end();
	assert_int_equal(ftruncate(log_fd, 0), 0);
	lseek(log_fd, 0, SEEK_SET);
}

/* ---- the table of errors ----------------------------------------------------------------------- */

static void set_flags(struct kvm_memory_attributes2 *a)
{
	a->flags = 1;
}
static void set_high_flag(struct kvm_memory_attributes2 *a)
{
	a->flags = 1ull << 63;
}
static void set_first_reserved(struct kvm_memory_attributes2 *a)
{
	a->reserved[0] = 1;
}
static void set_last_reserved(struct kvm_memory_attributes2 *a)
{
	a->reserved[10] = 1ull << 63;
}
static void set_read(struct kvm_memory_attributes2 *a)
{
	a->attributes |= 1;
}
static void set_high_attribute(struct kvm_memory_attributes2 *a)
{
	a->attributes |= 1ull << 35;
}
static void make_empty(struct kvm_memory_attributes2 *a)
{
	a->size = 0;
}
static void make_wrapping(struct kvm_memory_attributes2 *a)
{
	a->offset |= PAGE;
	a->size = -PAGE;
}
static void misalign_offset(struct kvm_memory_attributes2 *a)
{
	a->offset += 1;
}
static void misalign_size(struct kvm_memory_attributes2 *a)
{
	a->size += a->size ? 1 : 0;
}
static void start_at_end(struct kvm_memory_attributes2 *a)
{
	a->offset += NR * PAGE;
}
static void end_behind(struct kvm_memory_attributes2 *a)
{
	a->size += a->size ? NR * PAGE : 0;
}

/* In the order in which they are looked at; what is on one line has one place. */
static const struct fault {
	int place;
	void (*make)(struct kvm_memory_attributes2 *a);
	const char *rule;
} faults[] = {
	{ 1, set_flags, ".flags must be 0" },
	{ 1, set_high_flag, ".flags must be 0" },
	{ 2, set_first_reserved, ".reserved must be 0" },
	{ 2, set_last_reserved, ".reserved must be 0" },
	{ 3, set_read, "lacks an attribute" },
	{ 3, set_high_attribute, "lacks an attribute" },
	{ 4, make_empty, "empty or wraps" },
	{ 4, make_wrapping, "empty or wraps" },
	{ 5, misalign_offset, "not page aligned" },
	{ 5, misalign_size, "not page aligned" },
	{ 6, start_at_end, "ends behind" },
	{ 6, end_behind, "ends behind" },
};
#define NR_FAULTS (sizeof(faults) / sizeof(faults[0]))

static void expect_refused(int gmem, struct kvm_memory_attributes2 a, const char *rule)
{
	struct kvm_memory_attributes2 before = a;

	assert_int_equal(call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a), -EINVAL);
	expect_rule(rule);
	assert_memory_equal(&a, &before, sizeof(a));
	assert_int_equal(privates(gmem), 0);
}

static void of_two_faults_the_first_wins(void **state)
{
	for (unsigned int p = 0; p < 2; p++) {
		int vm, gmem;

		fixture_start(in_place_profiles[p]);
		vm = make_vm(KVM_X86_SW_PROTECTED_VM);
		gmem = make_gmem(vm, NR * PAGE, SHARED_FILE);
		listen_to_rules();
		for (unsigned int i = 0; i < NR_FAULTS; i++)
			for (unsigned int j = i; j < NR_FAULTS; j++) {
				struct kvm_memory_attributes2 a = request(0, PAGE, PRIVATE);

				if (j > i && faults[j].place == faults[i].place)
					continue;
				/* The earlier one has the last word on what both write. */
				faults[j].make(&a);
				faults[i].make(&a);
				expect_refused(gmem, a, faults[i].rule);
			}
		stop_listening();
		fixture_close(gmem);
		fixture_close(vm);
		fixture_end();
	}
}

/* A page that can be read in its first half only as far as the structure goes. */
static char *two_pages(int second)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(mprotect(p + PAGE, PAGE, second), 0);
	return p;
}

static void an_unreadable_structure_comes_before_all_but_the_mode(void **state)
{
	char *pages = two_pages(PROT_NONE);
	struct kvm_memory_attributes2 *half = (void *)(pages + PAGE - 64);
	int vm, gmem;

	half->flags = 1;
	for (unsigned int p = 0; p < 2; p++) {
		fixture_start(in_place_profiles[p]);
		vm = make_vm(KVM_X86_SW_PROTECTED_VM);
		gmem = make_gmem(vm, NR * PAGE, SHARED_FILE);
		assert_int_equal(call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, NULL), -EFAULT);
		assert_int_equal(call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, half), -EFAULT);
		fixture_close(gmem);
		fixture_close(vm);
	}
	fixture_start("linux-7.2");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, NR * PAGE, GUEST_MEMFD_FLAG_MMAP);
	assert_int_equal(call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, NULL), -ENOTTY);
	assert_int_equal(call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, half), -ENOTTY);
	fixture_close(gmem);
	fixture_close(vm);
	munmap(pages, 2 * PAGE);
	fixture_end();
}

static void only_a_guest_memfd_knows_the_request(void **state)
{
	struct kvm_memory_attributes2 a = request(0, PAGE, PRIVATE);
	int kvm, vm, vcpu;

	fixture_start("in-place");
	kvm = fixture_open();
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	vcpu = make_vcpu(vm);
	assert_int_equal(call(vm, KVM_SET_MEMORY_ATTRIBUTES2, &a), -ENOTTY);
	assert_int_equal(call(vcpu, KVM_SET_MEMORY_ATTRIBUTES2, &a), -EINVAL);
	assert_int_equal(call(kvm, KVM_SET_MEMORY_ATTRIBUTES2, &a), -EINVAL);
	fixture_close(vcpu);
	fixture_close(vm);
	fixture_close(kvm);
	fixture_end();
}

static void the_request_on_the_vm(void **state)
{
	struct kvm_memory_attributes bad = { .flags = 1 };
	int vm;

	/* The seventh version has none in place, and says so before it reads. */
	fixture_start("in-place-v7");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	assert_int_equal(set_private(vm, 0, PAGE, false), -ENOTTY);
	assert_int_equal(set_private(vm, 0, PAGE, true), -ENOTTY);
	assert_int_equal(call(vm, KVM_SET_MEMORY_ATTRIBUTES, NULL), -ENOTTY);
	fixture_close(vm);
	/* The eighth has one that knows no attribute. */
	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	assert_int_equal(set_private(vm, 0, PAGE, true), -EINVAL);
	assert_int_equal(set_private(vm, 0, PAGE, false), 0);
	assert_int_equal(set_private(vm, 1, PAGE, false), -EINVAL);
	assert_int_equal(set_private(vm, 0, 0, false), -EINVAL);
	assert_int_equal(call(vm, KVM_SET_MEMORY_ATTRIBUTES, &bad), -EINVAL);
	assert_int_equal(call(vm, KVM_SET_MEMORY_ATTRIBUTES, NULL), -EFAULT);
	fixture_close(vm);
	fixture_end();
}

static void a_vm_without_private_memory(void **state)
{
	int vm, gmem;

	fixture_start("in-place-v7");
	vm = make_vm(KVM_X86_DEFAULT_VM);
	gmem = make_gmem(vm, NR * PAGE, GUEST_MEMFD_FLAG_MMAP);
	assert_int_equal(convert(gmem, 0, PAGE, PRIVATE), -EINVAL);
	assert_int_equal(convert(gmem, 0, PAGE, 0), 0);
	assert_false(is_private(gmem, 0));
	assert_true(is_private(gmem, 1));
	assert_int_equal(convert(gmem, 0, PAGE, PRIVATE), -EINVAL);
	fixture_close(gmem);
	fixture_close(vm);
	fixture_start("in-place");
	vm = make_vm(KVM_X86_DEFAULT_VM);
	gmem = make_gmem(vm, NR * PAGE, GUEST_MEMFD_FLAG_MMAP);
	listen_to_rules();
	assert_int_equal(convert(gmem, 0, PAGE, 0), -EINVAL);
	expect_rule("no private memory");
	assert_int_equal(convert(gmem, 0, PAGE, 1), -EINVAL);
	expect_rule("no private memory");
	assert_int_equal(convert(gmem, 1, 0, 1), -EINVAL);
	expect_rule("no private memory");
	stop_listening();
	assert_true(is_private(gmem, 0));
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

/* ---- what a conversion does -------------------------------------------------------------------- */

static void pages_become_what_is_asked(void **state)
{
	for (unsigned int p = 0; p < 2; p++) {
		int vm, gmem;

		fixture_start(in_place_profiles[p]);
		vm = make_vm(KVM_X86_SW_PROTECTED_VM);
		gmem = make_gmem(vm, NR * PAGE, SHARED_FILE);
		/* Neither a slot nor the VM's own descriptor is needed. */
		fixture_close(vm);
		assert_int_equal(privates(gmem), 0);
		assert_int_equal(convert(gmem, 2 * PAGE, 3 * PAGE, PRIVATE), 0);
		assert_int_equal(privates(gmem), 0x1c);
		assert_int_equal(convert(gmem, 0, NR * PAGE, PRIVATE), 0);
		assert_int_equal(privates(gmem), 0xff);
		assert_int_equal(convert(gmem, 0, NR * PAGE, PRIVATE), 0);
		assert_int_equal(convert(gmem, 7 * PAGE, PAGE, 0), 0);
		assert_int_equal(privates(gmem), 0x7f);
		fixture_close(gmem);
		fixture_end();
	}
}

static void it_needs_no_flag_of_the_file(void **state)
{
	int vm, gmem;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, NR * PAGE, 0);
	assert_int_equal(privates(gmem), 0xff);
	assert_int_equal(convert(gmem, 0, PAGE, 0), 0);
	assert_int_equal(privates(gmem), 0xfe);
	fixture_close(gmem);
	gmem = make_gmem(vm, NR * PAGE, GUEST_MEMFD_FLAG_INIT_SHARED);
	assert_int_equal(privates(gmem), 0);
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
}

static void error_offset_is_told_when_the_conversion_fails_by_itself(void **state)
{
	struct kvm_memory_attributes2 a = request(PAGE, 7 * PAGE, PRIVATE), before = a;
	struct held_file f;

	hold_pages(&f, 3, 5);
	assert_int_equal(call(f.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a), -EAGAIN);
	assert_int_equal(a.error_offset, 3 * PAGE);
	before.error_offset = a.error_offset;
	assert_memory_equal(&a, &before, sizeof(a));
	assert_int_equal(privates(f.gmem), 0);
	/* From the middle of what is held: the first page that was asked for. */
	a = request(6 * PAGE, PAGE, PRIVATE);
	assert_int_equal(call(f.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a), -EAGAIN);
	assert_int_equal(a.error_offset, 6 * PAGE);
	/* Beside it, and to shared, nobody is asked. */
	assert_int_equal(convert(f.gmem, 0, 3 * PAGE, PRIVATE), 0);
	f.holder.asked = 0;
	assert_int_equal(convert(f.gmem, 0, NR * PAGE, 0), 0);
	assert_int_equal(f.holder.asked, 0);
	/* No memory: the start of what was asked for. */
	f.holder.err = -ENOMEM;
	a = request(2 * PAGE, PAGE, PRIVATE);
	assert_int_equal(call(f.gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a), -ENOMEM);
	assert_int_equal(a.error_offset, 2 * PAGE);
	let_go(&f);
}

static void what_is_so_already_is_not_asked_for(void **state)
{
	struct held_file f;

	hold_pages(&f, 0, 6);
	f.holder.held[1] = f.holder.held[0];
	assert_int_equal(convert(f.gmem, PAGE, 7 * PAGE, PRIVATE), 0);
	f.holder.asked = 0;
	f.holder.held[0].offset = 4 * PAGE;
	f.holder.held[1].offset = 4 * PAGE;
	assert_int_equal(convert(f.gmem, PAGE, 7 * PAGE, PRIVATE), 0);
	assert_int_equal(f.holder.asked, 0);
	let_go(&f);
}

static void a_structure_that_cannot_be_written_back(void **state)
{
	char *pages = two_pages(PROT_READ | PROT_WRITE);
	struct kvm_memory_attributes2 *a = (void *)(pages + PAGE);
	struct held_file f;

	hold_pages(&f, 3, 5);
	*a = request(0, NR * PAGE, PRIVATE);
	assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_READ), 0);
	/* That is why it fails, not the page that is held; and nothing has changed. */
	assert_int_equal(call(f.gmem, KVM_SET_MEMORY_ATTRIBUTES2, a), -EFAULT);
	assert_int_equal(privates(f.gmem), 0);
	/* Nothing is written when there is nothing to tell. */
	f.holder.held[0].offset = f.holder.held[1].offset = NR * PAGE;
	assert_int_equal(call(f.gmem, KVM_SET_MEMORY_ATTRIBUTES2, a), 0);
	assert_int_equal(privates(f.gmem), 0xff);
	assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE), 0);
	a->flags = 1;
	assert_int_equal(mprotect(pages + PAGE, PAGE, PROT_READ), 0);
	assert_int_equal(call(f.gmem, KVM_SET_MEMORY_ATTRIBUTES2, a), -EINVAL);
	munmap(pages, 2 * PAGE);
	let_go(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_two_faults_the_first_wins),
		cmocka_unit_test(an_unreadable_structure_comes_before_all_but_the_mode),
		cmocka_unit_test(only_a_guest_memfd_knows_the_request),
		cmocka_unit_test(the_request_on_the_vm),
		cmocka_unit_test(a_vm_without_private_memory),
		cmocka_unit_test(pages_become_what_is_asked),
		cmocka_unit_test(it_needs_no_flag_of_the_file),
		cmocka_unit_test(error_offset_is_told_when_the_conversion_fails_by_itself),
		cmocka_unit_test(what_is_so_already_is_not_asked_for),
		cmocka_unit_test(a_structure_that_cannot_be_written_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
