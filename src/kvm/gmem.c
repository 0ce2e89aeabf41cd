/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * guest_memfd: the descriptor. Creation, fallocate, what stat tells, and the end: the last descriptor and
 * mapping gone releases the file, the memslots that were bound to it stay and have nothing behind them.
 */
#include "core/range.h"
#include "kvm/memfd.h"
#include "kvm/vm.h"
#include "map/host_map.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_FILE ((uint64_t)INT64_MAX)
#define FIRST_INO 0x10000
#define HUGE_PAGE_SIZE ((uint64_t)2 << 20)

static void gmem_init(struct gmem *g, struct host_file *host)
{
	kvm_object_init(&g->object, KVM_OBJECT_GMEM);
	g->host = host;
	/* The same in every process that has it. */
	g->ino = FIRST_INO + host->id;
	g->uid = os_fs_uid();
	g->gid = os_fs_gid();
	g->atime_ns = (int64_t)os_wallclock_ns();
}

static unsigned int page_flags, page_flags_mapped;
static bool allocates_at_once;

int kvm_set_pages(const char *pages)
{
	static const struct {
		const char *name;
		unsigned int flags, flags_mapped;
	} kinds[] = {
		{ "4k", 0, 0 },
		{ "thp", GMEM_FILE_THP, GMEM_FILE_THP },
		{ "2m", GMEM_FILE_HUGETLB, GMEM_FILE_THP },
		{ "1g", GMEM_FILE_HUGETLB | GMEM_FILE_HUGETLB_1G, GMEM_FILE_THP },
		{ "2m-shared", GMEM_FILE_HUGETLB | GMEM_FILE_HUGE_WINDOWS, GMEM_FILE_THP },
		{ "1g-shared", GMEM_FILE_HUGETLB | GMEM_FILE_HUGETLB_1G | GMEM_FILE_HUGE_WINDOWS,
		  GMEM_FILE_THP },
	};

	for (size_t i = 0; pages && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, pages))
			continue;
		page_flags = kinds[i].flags;
		page_flags_mapped = kinds[i].flags_mapped;
		return 0;
	}
	return pages ? -EINVAL : 0;
}

void kvm_set_prealloc(bool wanted)
{
	allocates_at_once = wanted;
}

unsigned int gmem_page_flags(void)
{
	return page_flags_mapped;
}

static unsigned int file_flags(const struct vm *vm, uint64_t flags, bool in_place)
{
	uint64_t huge = flags & kvm_profile()->gmem_hugepage;

	flags &= ~huge;
	if (in_place)
		flags |= GMEM_FILE_IN_PLACE;
	if (!vm->has_private)
		flags |= GMEM_FILE_NO_PRIVATE;
	/* One that is never private has its memory in windows alone. */
	if (flags & GMEM_FILE_MMAP && !(in_place && vm->has_private))
		flags |= page_flags_mapped;
	else
		flags |= page_flags;
	if (huge && !(flags & GMEM_FILE_HUGETLB))
		flags |= GMEM_FILE_THP;
	return (unsigned int)flags;
}

/* The file with its host side: one reference on each. */
static int make_file(struct vm *vm, const struct kvm_create_guest_memfd *args, bool in_place,
		     struct gmem *g, struct host_file **host)
{
	unsigned int flags = file_flags(vm, args->flags, in_place);
	int err;

	/* A page that nobody can reach. */
	if (!args->size)
		err = gmem_file_create(OS_PAGE_SIZE, flags | GMEM_FILE_EMPTY, &g->file);
	else
		err = gmem_file_create(args->size, flags, &g->file);
	if (err)
		return err;
	if (vm->limit)
		gmem_file_set_limit(g->file, vm->limit);
	if (vm->type->gmem)
		gmem_file_set_type(g->file, vm->type->gmem, vm);
	if (allocates_at_once && args->size)
		err = gmem_file_allocate(g->file, 0, args->size);
	if (!err)
		err = host_file_create(kvm_host_map(), g->file, host);
	if (err)
		gmem_file_put(g->file);
	return err;
}

static int gmem_alloc(struct vm *vm, const struct kvm_create_guest_memfd *args, bool in_place,
		      struct gmem **out)
{
	struct gmem *g = os_alloc(sizeof(*g));
	struct host_file *host;
	int err;

	if (!g)
		return obs_refuse(RULE_NO_MEMORY);
	err = make_file(vm, args, in_place, g, &host);
	if (err) {
		os_free(g, sizeof(*g));
		return err;
	}
	gmem_init(g, host);
	kvm_object_get(&vm->object);
	g->vm = vm;
	*out = g;
	return 0;
}

uint64_t gmem_legal_flags(const struct vm *vm)
{
	const struct kvm_profile *p = kvm_profile();

	return vm && vm->has_private && !vm_in_place(vm) ? p->gmem_flags_private : p->gmem_flags;
}

static int check_create(const struct vm *vm, const struct kvm_create_guest_memfd *args)
{
	if (args->flags & ~gmem_legal_flags(vm))
		return obs_refuse(RULE_GMEM_FLAGS);
	if (!args->size && kvm_profile()->gmem_empty)
		return 0;
	if (!args->size || args->size > MAX_FILE || args->size & (OS_PAGE_SIZE - 1))
		return obs_refuse(RULE_GMEM_SIZE);
	if (args->flags & kvm_profile()->gmem_hugepage && args->size & (HUGE_PAGE_SIZE - 1))
		return obs_refuse(RULE_GMEM_HUGE_SIZE);
	return 0;
}

/* The descriptor comes last: its name says where the file is. */
static long gmem_install(struct gmem *g)
{
	char name[HOST_FILE_NAME_MAX];
	int fd, err = host_file_name(g->host, name);

	if (!err)
		err = kvm_fds->reserve(false, name, &fd);
	if (err) {
		kvm_object_put(&g->object);
		return obs_refuse_as(RULE_GMEM_NO_DESCRIPTOR, err);
	}
	kvm_fds->commit(fd, &g->object);
	return fd;
}

/* Counted from here on, so that the VM's mode stays what it is now. */
static bool count_gmem(struct vm *vm)
{
	bool in_place;

	os_mutex_lock(&vm->lock);
	vm->nr_gmems++;
	in_place = vm->in_place;
	os_mutex_unlock(&vm->lock);
	return in_place;
}

static void uncount_gmem(struct vm *vm)
{
	os_mutex_lock(&vm->lock);
	vm->nr_gmems--;
	os_mutex_unlock(&vm->lock);
}

long gmem_create(struct vm *vm, const struct kvm_create_guest_memfd *args)
{
	bool in_place = count_gmem(vm);
	struct gmem *g;
	int err = check_create(vm, args);

	if (!err)
		err = gmem_alloc(vm, args, in_place, &g);
	if (err) {
		uncount_gmem(vm);
		return err;
	}
	return gmem_install(g);
}

int kvm_gmem_adopt(struct host_file *f, struct kvm_object **out)
{
	struct gmem *g = os_alloc(sizeof(*g));

	if (!g)
		return obs_refuse(RULE_NO_MEMORY);
	gmem_init(g, f);
	*out = &g->object;
	return 0;
}

int gmem_lookup(struct vm *vm, int fd, struct gmem **out)
{
	struct kvm_object *o;
	int err = kvm_fds->lookup(fd, &o);

	if (err)
		return obs_refuse_as(RULE_GMEM_FD_CLOSED, err);
	if (!o)
		return obs_refuse(RULE_GMEM_FD_OTHER);
	if (o->type != KVM_OBJECT_GMEM || gmem_of(o)->vm != vm) {
		kvm_object_put(o);
		return obs_refuse(RULE_GMEM_FD_OTHER_VM);
	}
	*out = gmem_of(o);
	return 0;
}

/* At home. The VM outlives the call: the count that the file has of it is given back last. */
static void release_file(struct gmem *g)
{
	account_before_end(g->vm, g->file);
	leftover_end(g->vm, g->file);
	os_mutex_lock(&g->vm->slots_lock);
	gmem_file_release(g->file);
	os_mutex_unlock(&g->vm->slots_lock);
	uncount_gmem(g->vm);
}

void gmem_destroy(struct gmem *g)
{
	struct vm *vm = g->vm;
	struct gmem_file *file = g->file;

	if (vm)
		release_file(g);
	host_file_put(g->host);
	if (file)
		gmem_file_put(file);
	os_free(g, sizeof(*g));
	if (vm)
		kvm_object_put(&vm->object);
}

/* As the program sees it. */
static uint64_t size_of(const struct gmem *g)
{
	return g->host->flags & GMEM_FILE_EMPTY ? 0 : g->host->size;
}

void kvm_gmem_stat(struct kvm_object *o, struct kvm_gmem_stat *st)
{
	struct gmem *g = gmem_of(o);
	int64_t changed = atomic_load(&g->host->changed_ns);

	st->size = size_of(g);
	st->ino = g->ino;
	st->uid = g->uid;
	st->gid = g->gid;
	st->atime_ns = g->atime_ns;
	st->mtime_ns = st->ctime_ns = changed > g->atime_ns ? changed : g->atime_ns;
}

uint16_t kvm_gmem_number(struct kvm_object *o)
{
	const struct gmem_file *f = gmem_of(o)->file;

	return f ? gmem_file_number(f) : 0;
}

struct host_file *kvm_gmem_host_file(struct kvm_object *o)
{
	return gmem_of(o)->host;
}

uint64_t kvm_gmem_fs_magic(void)
{
	return kvm_profile()->gmem_own_fs ? 0x474d454d : 0x09041934;
}

/* ---- fallocate ---------------------------------------------------------------------------------- */

/* What the VFS refuses before it asks the file system. */
int fallocate_check_vfs(int mode, int64_t offset, int64_t size)
{
	const int known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE |
			  FALLOC_FL_ZERO_RANGE | FALLOC_FL_INSERT_RANGE | FALLOC_FL_UNSHARE_RANGE;

	if (offset < 0 || size <= 0)
		return obs_refuse(RULE_FALLOCATE_NEGATIVE);
	if (mode & ~known)
		return obs_refuse(RULE_FALLOCATE_MODE);
	if (mode & FALLOC_FL_PUNCH_HOLE && !(mode & FALLOC_FL_KEEP_SIZE))
		return obs_refuse(RULE_FALLOCATE_PUNCH_KEEPS);
	if (offset > INT64_MAX - size)
		return obs_refuse(RULE_FALLOCATE_TOO_FAR);
	return 0;
}

static int check_gmem(const struct gmem *g, int mode, int64_t offset, int64_t size)
{
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		return obs_refuse(RULE_FALLOCATE_KEEP_SIZE);
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return obs_refuse(RULE_FALLOCATE_GMEM_MODE);
	if ((offset | size) & (int64_t)(OS_PAGE_SIZE - 1))
		return obs_refuse(RULE_FALLOCATE_UNALIGNED);
	if (!(mode & FALLOC_FL_PUNCH_HOLE) &&
	    !range_inside((uint64_t)offset, (uint64_t)size, size_of(g)))
		return obs_refuse(RULE_FALLOCATE_PAST_END);
	return 0;
}

int kvm_gmem_check_fallocate(struct kvm_object *o, int mode, int64_t offset, int64_t size)
{
	int err = fallocate_check_vfs(mode, offset, size);

	return err ? err : check_gmem(gmem_of(o), mode, offset, size);
}

static int punch(struct host_file *host, uint64_t offset, uint64_t size)
{
	uint64_t at_most = size < host->size ? size : host->size;
	int err;

	account_punch_begin(at_most);
	err = host_file_punch(host, offset, size);
	account_punch_end(at_most);
	return err;
}

int kvm_gmem_fallocate(struct kvm_object *o, int mode, int64_t offset, int64_t size)
{
	struct gmem *g = gmem_of(o);
	int err = kvm_gmem_check_fallocate(o, mode, offset, size);

	if (err)
		return err;
	account_changed();
	if (mode & FALLOC_FL_PUNCH_HOLE)
		return punch(g->host, (uint64_t)offset, (uint64_t)size);
	return host_file_allocate(g->host, (uint64_t)offset, (uint64_t)size);
}

/* ---- mmap ---------------------------------------------------------------------------------------- */

static void map_get(void *owner)
{
	kvm_object_get(owner);
}
static void map_put(void *owner)
{
	kvm_object_put(owner);
}

struct host_map *kvm_host_map(void)
{
	static const struct host_map_ops ops = { .get = map_get, .put = map_put };
	static struct os_mutex lock;
	static _Atomic(struct host_map *) made;
	struct host_map *m = atomic_load_explicit(&made, memory_order_acquire);

	if (m)
		return m;
	os_mutex_lock(&lock);
	m = atomic_load(&made);
	if (!m) {
		m = host_map_of_process(&ops);
		atomic_store_explicit(&made, m, memory_order_release);
	}
	os_mutex_unlock(&lock);
	return m;
}

/* What mmap(2) refuses before it asks the file. */
static int check_mmap(int prot, int flags)
{
	int type = flags & MAP_TYPE;

	if (flags & MAP_HUGETLB)
		return obs_refuse(RULE_MMAP_HUGETLB);
	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return obs_refuse(RULE_MMAP_NO_TYPE);
	if (type == MAP_SHARED_VALIDATE && flags & MAP_SYNC)
		return obs_refuse(RULE_MMAP_SYNC);
	if (prot & PROT_EXEC)
		return obs_refuse(RULE_MMAP_EXEC);
	return 0;
}

static int mmap_gmem(struct gmem *g, int flags, int *fd)
{
	if (!(g->host->flags & GMEM_FILE_MMAP))
		return obs_refuse(RULE_GMEM_NOT_MAPPABLE);
	if ((flags & MAP_TYPE) == MAP_PRIVATE)
		return obs_refuse(RULE_GMEM_MAP_PRIVATE);
	*fd = -1;
	return 0;
}

/* The vCPU's pages can be mapped privately too; past them there is nothing (SIGBUS). */
int kvm_mmap(struct kvm_object *o, uint64_t size, int prot, int flags, uint64_t offset,
	     int *backing_fd, uint64_t *backing_offset)
{
	int err = check_mmap(prot, flags);

	if (err)
		return err;
	*backing_offset = offset;
	switch (o->type) {
	case KVM_OBJECT_GMEM:
		return mmap_gmem(gmem_of(o), flags, backing_fd);
	case KVM_OBJECT_VCPU:
		*backing_fd = vcpu_of(o)->run_fd;
		return 0;
	case KVM_OBJECT_MEMFD:
		return memfd_mmap();
	default:
		return obs_refuse(RULE_MMAP_NOT_MAPPABLE);
	}
}
