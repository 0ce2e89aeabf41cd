/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define AREA_ROOM ((AREA_PAGES + GUARD_PAGES) * PAGE)
#define M2 (2ull << 20)

static const struct host *host;
static const struct uapi *u;
static int kvm;
static struct guest_vm vms[NR_VMS];
static int files[NR_FILES];
static uint8_t *areas;
static int scratch_fd;
static struct page *scratch;
static uint32_t cap_in_place;
static const bool *ignored;

/* ---- beginning and end --------------------------------------------------------------------------- */

static int make_places(void)
{
	size_t size = NR_AREAS * AREA_ROOM + M2;
	uint8_t *at =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	scratch_fd = memfd_create("model", MFD_CLOEXEC);
	if (at == MAP_FAILED || scratch_fd < 0 || ftruncate(scratch_fd, PAGE))
		return -errno;
	areas = at + (-(uintptr_t)at & (M2 - 1));
	scratch = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, scratch_fd, 0);
	return scratch == MAP_FAILED ? -errno : 0;
}

int target_open(const struct host *h, const char *profile)
{
	int err;

	host = h;
	u = h->u;
	/* Asked for also where there is none. */
	cap_in_place = rules_find(profile)->cap_in_place;
	cap_in_place = cap_in_place ? cap_in_place : KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES;
	err = host->start(profile);
	kvm = err ? err : u->open();
	if (kvm < 0) {
		fprintf(stderr, "no KVM: %s\n", strerror(-kvm));
		return kvm;
	}
	for (int i = 0; i < NR_FILES; i++)
		files[i] = -1;
	err = u->ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD) ? make_places() : -EOPNOTSUPP;
	for (int i = 0; !err && i < NR_VMS; i++)
		err = guest_prepare(&vms[i], u, kvm);
	if (err)
		fprintf(stderr, "no place to run programs in: %s\n", strerror(-err));
	return err;
}

void target_limit(struct rules *r)
{
	long (*const ask)(int, unsigned int, uint64_t) = u->ioctl;
	long spaces = ask(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE);

	r->vm_types &= (uint32_t)ask(kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES) | 1;
	r->attributes &= ask(kvm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES) != 0;
	r->prefault &= ask(kvm, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY) != 0;
	r->hypercalls &=
		(ask(kvm, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_HYPERCALL) >> KVM_HC_MAP_GPA_RANGE) & 1;
	if (r->in_place && ask(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES))
		r->cap_in_place = cap_in_place = KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES;
	/* Without nested paging (6.18 with PVM) guests are emulated, and no hypercall comes out. */
	r->hypercalls &= r->prefault;
	r->emulated = !r->prefault;
	r->pins_outlive_punch = false;
	r->mmio_lingers = true;
	r->log_has_reads = true;
	r->range_pages = 1 << 18;
	r->offset_signed = !strcmp(r->name, "linux-6.18");
	r->spaces = spaces ? (uint32_t)spaces : 1;
}

static int64_t close_file(uint64_t number)
{
	int64_t ret = number < NR_FILES && files[number] >= 0 ? u->close(files[number]) : -EBADF;

	if (number < NR_FILES)
		files[number] = -1;
	return ret;
}

void target_ignore(const bool *pages)
{
	ignored = pages;
}

void target_reset(void)
{
	for (unsigned int i = 0; i < NR_PINS; i++)
		host->unpin(i);
	for (uint64_t i = 0; i < NR_FILES; i++)
		close_file(i);
	for (int i = 0; i < NR_VMS; i++)
		guest_end(&vms[i]);
	for (int i = 0; i < NR_AREAS; i++)
		u->map_at(areas + i * AREA_ROOM, UAPI_NOTHING, 0, AREA_PAGES * PAGE);
}

/* ---- calls --------------------------------------------------------------------------------------- */

static uint8_t *address(const struct op *op)
{
	return op->area == AREA_RAW ? (uint8_t *)(uintptr_t)op->at
				    : areas + op->area * AREA_ROOM + op->at;
}

static int descriptor(uint64_t number)
{
	return number == NO_FILE ? kvm : number < NR_FILES ? files[number] : -1;
}

static struct guest_vm *vm_of(const struct op *op)
{
	return op->vm < NR_VMS && vms[op->vm].vm >= 0 ? &vms[op->vm] : NULL;
}

static int64_t create_file(const struct op *op)
{
	struct kvm_create_guest_memfd args = { .size = op->size, .flags = op->flags };
	struct guest_vm *m = vm_of(op);
	long ret;

	close_file(op->file);
	ret = m ? uapi_ioctl(u, m->vm, KVM_CREATE_GUEST_MEMFD, &args) : -EBADF;
	if (ret >= 0)
		files[op->file] = (int)ret;
	return ret < 0 ? ret : 0;
}

/* As dup2(). */
static int64_t copy_number(const struct op *op)
{
	int copy = op->n < NR_FILES && files[op->n] >= 0 ? u->dup(files[op->n]) : -EBADF;

	if (copy < 0)
		return copy;
	close_file(op->file);
	files[op->file] = copy;
	return 0;
}

static int64_t set_region(const struct op *op)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = (uint32_t)op->id,
		.flags = (uint32_t)op->flags,
		.guest_phys_addr = op->gpa,
		.memory_size = op->size,
		.userspace_addr = (uintptr_t)address(op),
		.guest_memfd_offset = op->offset,
		.guest_memfd = (uint32_t)descriptor(op->file),
	};
	struct guest_vm *m = vm_of(op);

	if (!m)
		return -EBADF;
	return uapi_ioctl(u, m->vm,
			  op->n ? KVM_SET_USER_MEMORY_REGION : KVM_SET_USER_MEMORY_REGION2, &r);
}

static int64_t set_attributes(const struct op *op)
{
	struct kvm_memory_attributes a = { op->gpa, op->size, op->attributes, op->flags };
	struct guest_vm *m = vm_of(op);

	return m ? uapi_ioctl(u, m->vm, KVM_SET_MEMORY_ATTRIBUTES, &a) : -EBADF;
}

/* error_offset is only told where a conversion failed: else it stays what it was. */
static void convert(const struct op *op, struct answer *a)
{
	const uint64_t before = 0x5a5a5a5a5a5a5a5aull;
	struct kvm_memory_attributes2 c = {
		.offset = op->offset,
		.size = op->size,
		.attributes = op->attributes,
		.flags = op->flags,
		.error_offset = before,
	};
	int fd = descriptor(op->file);

	c.reserved[sizeof(c.reserved) / sizeof(c.reserved[0]) - 1] = op->n;
	a->ret = fd < 0 || fd == kvm ? -EBADF : uapi_ioctl(u, fd, KVM_SET_MEMORY_ATTRIBUTES2, &c);
	a->value = c.error_offset == before ? 0 : c.error_offset;
}

static int64_t fallocate_file(const struct op *op)
{
	int fd = descriptor(op->file);

	if (fd < 0 || fd == kvm)
		return -EBADF;
	return u->fallocate(fd, (int)op->mode, (int64_t)op->offset, (int64_t)op->size);
}

static int64_t change_mapping(const struct op *op)
{
	int fd = op->file == NO_FILE ? -1 : descriptor(op->file), err;

	switch (op->kind) {
	case OP_UNMAP:
		return u->map_at(address(op), UAPI_NOTHING, 0, op->n * PAGE);
	case OP_DISCARD:
		return u->madvise(address(op), op->n * PAGE, MADV_DONTNEED);
	default:
		if (op->file != NO_FILE && fd < 0)
			return -EBADF;
		err = u->map_at(address(op), fd, op->offset, op->n * PAGE);
		if (err)
			u->map_at(address(op), UAPI_NOTHING, 0, op->n * PAGE);
		return err;
	}
}

static int64_t move_mapping(const struct op *op)
{
	int err = u->move(address(op), op->n * PAGE, areas + op->to_area * AREA_ROOM + op->to);

	return err ? err : u->map_at(address(op), UAPI_NOTHING, 0, op->n * PAGE);
}

struct touch {
	volatile uint64_t *word;
	uint64_t value;
	bool write;
};

static void touch_word(void *arg)
{
	struct touch *t = arg;

	if (t->write)
		*t->word = t->value;
	t->value = *t->word;
}

static void touch(const struct op *op, struct answer *a)
{
	struct touch t = {
		.word = (uint64_t *)(address(op) + (op->word ? PAGE - sizeof(uint64_t) : 0)),
		.value = op->value,
		.write = op->kind == OP_POKE,
	};

	a->ret = host->touch(touch_word, &t);
	a->value = a->ret ? 0 : t.value;
}

/* By a system call: the kernel's way to memory must see the same. */
static const struct page *copy_page(const void *addr, struct page *p)
{
	const uint8_t *bytes = (const uint8_t *)scratch;
	const size_t word = sizeof(p->word[0]);

	if (pwrite(scratch_fd, addr, PAGE, 0) != (ssize_t)PAGE)
		return NULL;
	memcpy(&p->word[0], bytes, word);
	memcpy(&p->word[1], bytes + PAGE - word, word);
	/* All between is zero, or the digest is wrong. */
	if (bytes[word] || memcmp(bytes + word, bytes + word + 1, PAGE - 2 * word - 1))
		p->word[0] = ~p->word[0];
	return p;
}

static void digest(const struct op *op, struct answer *a)
{
	struct page p;

	for (uint64_t i = 0; i < op->n; i++)
		a->value = model_digest(a->value, copy_page(address(op) + i * PAGE, &p));
}

static int64_t clear_log(const struct op *op)
{
	uint64_t bits[GUEST_PAGES / 64];
	struct kvm_clear_dirty_log log = { .slot = (uint32_t)op->id,
					   .num_pages = (uint32_t)op->n,
					   .first_page = op->offset,
					   .dirty_bitmap = bits };
	struct guest_vm *m = vm_of(op);

	for (unsigned int i = 0; i < GUEST_PAGES / 64; i++)
		bits[i] = op->value;
	return m ? uapi_ioctl(u, m->vm, KVM_CLEAR_DIRTY_LOG, &log) : -EBADF;
}

static void dirty_log(const struct op *op, struct answer *a)
{
	uint8_t bits[GUEST_PAGES / 8] = { 0 };
	struct kvm_dirty_log log = { .slot = (uint32_t)op->id, .dirty_bitmap = bits };
	struct guest_vm *m = vm_of(op);

	a->ret = m ? uapi_ioctl(u, m->vm, KVM_GET_DIRTY_LOG, &log) : -EBADF;
	for (uint64_t i = 0; i < GUEST_PAGES; i++)
		a->value += !ignored[i] * (bits[i / 8] >> (i % 8) & 1) * (i * i + 1);
}

bool target_step(const struct op *op, struct answer *a)
{
	struct guest_vm *m = vm_of(op);
	bool runs = op->vcpu < NR_VCPUS;

	*a = (struct answer){ 0 };
	switch (op->kind) {
	case OP_VM:
		guest_end(&vms[op->vm]);
		return guest_begin(&vms[op->vm], op, cap_in_place, a);
	case OP_END:
		a->ret = m ? 0 : -EBADF;
		guest_end(&vms[op->vm < NR_VMS ? op->vm : 0]);
		break;
	case OP_FILE:
		a->ret = create_file(op);
		break;
	case OP_CLOSE:
		a->ret = close_file(op->file);
		break;
	case OP_DUP:
		a->ret = copy_number(op);
		break;
	case OP_MOVE:
		a->ret = move_mapping(op);
		break;
	case OP_CLEAR:
		a->ret = clear_log(op);
		break;
	case OP_ENABLE:
		a->ret = m ? guest_enable(m, op->n, op->value, op->flags) : -EBADF;
		break;
	case OP_SLOT:
		a->ret = set_region(op);
		break;
	case OP_ATTR:
		a->ret = set_attributes(op);
		break;
	case OP_CONVERT:
		convert(op, a);
		break;
	case OP_FALLOC:
		a->ret = fallocate_file(op);
		break;
	case OP_MAP:
	case OP_UNMAP:
	case OP_DISCARD:
		a->ret = change_mapping(op);
		break;
	case OP_PEEK:
	case OP_POKE:
		touch(op, a);
		break;
	case OP_DIGEST:
		digest(op, a);
		break;
	case OP_RUN:
	case OP_RESUME:
		a->ret = m && runs ? 0 : -EBADF;
		return !m || !runs || guest_run(m, op, a);
	case OP_PREFAULT:
		a->ret = m && runs ? 0 : -EBADF;
		if (m && runs)
			guest_prefault(m, op, a);
		break;
	case OP_LOG:
		dirty_log(op, a);
		break;
	case OP_CAP:
		a->ret = m ? u->ioctl(m->vm, KVM_CHECK_EXTENSION, op->n) : -EBADF;
		break;
	case OP_PIN:
		host->unpin((unsigned int)op->pin);
		a->ret = host->pin((unsigned int)op->pin, address(op));
		if (a->ret)
			host->unpin((unsigned int)op->pin);
		break;
	case OP_UNPIN:
		host->unpin((unsigned int)op->pin);
		break;
	case NR_OPS:
		break;
	}
	return true;
}
