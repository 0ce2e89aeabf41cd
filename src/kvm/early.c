/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "kvm/early.h"

#include "core/range.h"
#include "kvm/memfd.h"
#include "kvm/vm.h"

#include <errno.h>

#include <gmem/early.h>

#define ATTRIBUTES_STEP ((uint64_t)1 << 30)

static const struct kvm_early *early(void)
{
	return kvm_profile()->early;
}

static bool has_truth(enum kvm_truth truth)
{
	return early() && early()->truth == truth;
}

void early_configure(const struct vm *vm, struct mmu_config *config)
{
	bool encrypted = vm->has_private && has_truth(KVM_TRUTH_ENCRYPTED);

	config->starts_private = encrypted;
	config->private_with_file = encrypted;
	config->guest_says = vm->has_private && early();
}

bool early_private_with_file(void)
{
	return has_truth(KVM_TRUTH_ENCRYPTED);
}

bool early_lacks(unsigned int cmd)
{
	return early() && (cmd == KVM_CREATE_GUEST_MEMFD || cmd == KVM_SET_USER_MEMORY_REGION2 ||
			   cmd == KVM_SET_MEMORY_ATTRIBUTES);
}

/* ---- memslots --------------------------------------------------------------------------------------- */

_Static_assert(offsetof(struct kvm_userspace_memory_region_v5, private_fd) ==
			       offsetof(struct kvm_userspace_memory_region2, guest_memfd) &&
		       offsetof(struct kvm_userspace_memory_region_v10, restricted_fd) ==
			       offsetof(struct kvm_userspace_memory_region2, guest_memfd),
	       "the structure that came of them begins as they do");

/* What has been read is not read again, so that flags cannot change in between. */
long early_set_region(struct vm *vm, const struct kvm_userspace_memory_region *r, uint64_t arg)
{
	struct kvm_userspace_memory_region2 whole = { 0 };
	uint64_t known = sizeof(*r);

	__builtin_memcpy(&whole, r, known);
	if (r->flags & KVM_MEM_PRIVATE && vm->has_private &&
	    os_copy_in((char *)&whole + known, arg + known, early()->slot_size - known))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	return memory_set_region(vm, &whole, false);
}

static void note_bound(void *arg, void *owner, uint64_t offset, uint64_t size)
{
	*(bool *)arg = true;
}

/* The kernels took a range that others had, and left open what that means. */
static int check_range(struct gmem_file *file, uint64_t offset, uint64_t size)
{
	bool bound = false;

	if (!range_inside(offset, size, gmem_file_size(file)))
		return obs_refuse(RULE_PRIVATE_TOO_FAR);
	gmem_file_fault_begin(file);
	gmem_file_for_bindings(file, offset, size, note_bound, &bound);
	gmem_file_fault_end(file);
	return bound ? obs_refuse(RULE_PRIVATE_BOUND) : 0;
}

static int look_up(int fd, struct kvm_object **out)
{
	if (kvm_fds->lookup(fd, out))
		return obs_refuse(RULE_PRIVATE_FD_CLOSED);
	if (*out && (*out)->type == KVM_OBJECT_MEMFD && (*out)->home == os_home_token())
		return 0;
	if (*out)
		kvm_object_put(*out);
	return obs_refuse_as(RULE_PRIVATE_FD_OTHER, early()->fd_other);
}

int early_find_file(int fd, uint64_t *offset, uint64_t size, struct kvm_object **out)
{
	struct kvm_object *o;
	int err = look_up(fd, &o);

	if (err)
		return err;
	/* Pages were counted from a number that was cut. */
	*offset &= ~(uint64_t)(OS_PAGE_SIZE - 1);
	err = check_range(memfd_file(o), *offset, size);
	if (err)
		kvm_object_put(o);
	else
		*out = o;
	return err;
}

/* ---- who says what a page is ------------------------------------------------------------------------ */

static int check_encrypt(const struct kvm_enc_region *r)
{
	if (!r->size || range_wraps(r->addr, r->size))
		return obs_refuse(RULE_ENCRYPT_RANGE);
	if ((r->addr | r->size) & (OS_PAGE_SIZE - 1))
		return obs_refuse(RULE_ENCRYPT_UNALIGNED);
	return 0;
}

static int set_range(struct vm *vm, uint64_t gpa, uint64_t size, uint32_t attributes)
{
	int err;

	account_changed();
	os_mutex_lock(&vm->slots_lock);
	err = mmu_set_attributes(vm->mmu, gpa >> OS_PAGE_SHIFT, size >> OS_PAGE_SHIFT, attributes);
	os_mutex_unlock(&vm->slots_lock);
	return err;
}

/*
 * Shared was noted page by page, and private was that nothing is noted. When there was no memory for the last note the
 * ones before were taken back, those too that had been there: what was shared became private.
 */
static void take_back_too_much(struct vm *vm, const struct kvm_enc_region *r)
{
	uint64_t before = r->size - OS_PAGE_SIZE;

	if (before)
		set_range(vm, r->addr, before, ATTR_PRIVATE);
}

static long convert_region(struct vm *vm, uint64_t arg, bool is_private)
{
	struct kvm_enc_region r;
	int err;

	if (!vm->has_private || !has_truth(KVM_TRUTH_ENCRYPTED))
		return -NO_SUCH_REQUEST;
	if (os_copy_in(&r, arg, sizeof(r)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	err = check_encrypt(&r);
	if (err)
		return err;
	err = set_range(vm, r.addr, r.size, is_private ? ATTR_PRIVATE : 0);
	if (err && !is_private)
		take_back_too_much(vm, &r);
	if (err)
		return obs_refuse_as(RULE_ENCRYPT_NO_MEMORY, err);
	leftover_note(vm, r.addr, r.size);
	return 0;
}

static long encrypt_reg(void *object, void *data, uint64_t arg)
{
	return convert_region(object, arg, true);
}

static long encrypt_unreg(void *object, void *data, uint64_t arg)
{
	return convert_region(object, arg, false);
}

static long get_supported(void *object, void *data, uint64_t arg)
{
	struct vm *vm = object;

	if (!has_truth(KVM_TRUTH_ATTRIBUTES))
		return -NO_SUCH_REQUEST;
	*(uint64_t *)data = vm->has_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	return 0;
}

/* What is wrong as a whole is refused as a whole. */
static uint64_t next_step(const struct kvm_memory_attributes *a)
{
	bool is_wrong =
		range_wraps(a->address, a->size) || (a->address | a->size) & (OS_PAGE_SIZE - 1);

	return is_wrong ? a->size : min_u64(a->size, ATTRIBUTES_STEP);
}

/* They were set one page after the other. It told how far it came, and that it came less far than asked was no failure. */
static long set_attributes(void *object, void *data, uint64_t arg)
{
	struct kvm_memory_attributes a, step;
	long err;

	if (!has_truth(KVM_TRUTH_ATTRIBUTES))
		return -NO_SUCH_REQUEST;
	if (os_copy_in(&a, arg, sizeof(a)))
		return obs_refuse(RULE_ARGUMENT_UNREADABLE);
	do {
		step = a;
		step.size = next_step(&a);
		err = memory_set_attributes(object, &step);
		a.address += err ? 0 : step.size;
		a.size -= err ? 0 : step.size;
	} while (!err && a.size);
	if (err && err != -ENOMEM)
		return err;
	return os_copy_out(arg, &a, sizeof(a)) ? obs_refuse(RULE_ARGUMENT_UNWRITABLE) : 0;
}

static const struct ioctl_row rows[] = {
	IOCTL_ROW(KVM_MEMORY_ENCRYPT_REG_REGION, encrypt_reg, true),
	IOCTL_ROW(KVM_MEMORY_ENCRYPT_UNREG_REGION, encrypt_unreg, true),
	IOCTL_ROW(KVM_GET_SUPPORTED_MEMORY_ATTRIBUTES, get_supported, false),
	IOCTL_ROW(KVM_SET_MEMORY_ATTRIBUTES_V10, set_attributes, true),
};

long early_ioctl(struct vm *vm, unsigned int cmd, uint64_t arg)
{
	return early() ? ioctl_run(rows, NR_ROWS(rows), vm, cmd, arg) : -NO_SUCH_REQUEST;
}

/* ---- the guest -------------------------------------------------------------------------------------- */

/*
 * Under TDX and SNP each access says whether it takes the page for private. The guests of the tests that came with
 * these series had no such hardware, and told KVM by a hypercall instead.
 */
bool early_guest_says(struct vm *vm, uint64_t gpa, uint64_t pages, bool is_private)
{
	enum inject_kind kind = is_private ? INJECT_PRIVATE : INJECT_SHARED;
	bool kept;

	if (!early() || !vm->has_private)
		return false;
	os_mutex_lock(&vm->slots_lock);
	kept = mmu_set_guest_kind(vm->mmu, gpa >> OS_PAGE_SHIFT, pages, kind);
	os_mutex_unlock(&vm->slots_lock);
	return kept;
}
