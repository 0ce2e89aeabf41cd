/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Files with memory of guests that no VM makes and none owns: what there was before guest_memfd (kvm_early of the
 * profile). Each is a gmem_file of core/ that is longer than anybody needs; its size, as the program sees it, is a
 * number beside it. Slots bind parts of it, of any VM, and count it; it ends with its last descriptor and slot.
 *
 * Where the file says what is private (KVM_TRUTH_ALLOCATED), what is allocated is private in the attribute map of a
 * file that converts in place: an allocation gives memory and then converts, a punch converts and then frees, each
 * in the bracket of core/. Allocations, punches and sizings of one file exclude each other, so that the two never
 * differ for who can tell; a guest that comes between finds the page shared, and is told so.
 */
#include "kvm/memfd.h"

#include "core/range.h"
#include "kvm/early.h"
#include "kvm/limit.h"
#include "kvm/memlock.h"
#include "kvm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/memfd.h>
#include <unistd.h>

#include <gmem/early.h>

/* What one table of windows reaches. */
#define MAX_CAPACITY ((uint64_t)2 << 40)
#define NAME_MAX_LENGTH 249u
#define FIRST_INO 0x1000000
#define HUGE_SIZE_BITS (0x3fu << 26)
#define ALL_SEALS                                                                 \
	(unsigned int)(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | \
		       F_SEAL_FUTURE_WRITE)

struct memfd {
	struct kvm_object object;
	struct gmem_file *file;
	struct os_mutex lock; /* size, and what is allocated; before the file's own */
	_Atomic uint64_t size;
	_Atomic int64_t position;
	uint64_t ino;
	uint32_t uid, gid;
	int64_t made_ns;
	_Atomic int64_t changed_ns;
	char name[NAME_MAX_LENGTH + 1];
};

static const struct kvm_early *early(void)
{
	return kvm_profile()->early;
}

static struct memfd *memfd_of(struct kvm_object *o)
{
	return (struct memfd *)o;
}

static bool is_foreign(const struct kvm_object *o)
{
	return o->home != os_home_token();
}

static bool is_plain_file(void)
{
	return early()->memfd == KVM_MEMFD_PLAIN;
}

/* What it can ever hold. */
static uint64_t capacity(const struct memfd *m)
{
	return gmem_file_size(m->file);
}

/* ---- making and ending ----------------------------------------------------------------------------- */

static unsigned int file_flags(void)
{
	unsigned int flags = gmem_page_flags();

	if (early()->truth == KVM_TRUTH_ALLOCATED)
		flags |= GMEM_FILE_IN_PLACE | GMEM_FILE_INIT_SHARED;
	return flags;
}

/* A file as long as none may be would end the program. */
static uint64_t most_there_may_be(void)
{
	uint64_t most = min_u64(os_file_limit(), MAX_CAPACITY) & ~(uint64_t)(OS_PAGE_SIZE - 1);

	return max_u64(most, OS_PAGE_SIZE);
}

static int make(const char *name, struct memfd **out)
{
	static _Atomic uint64_t next_ino;
	struct memfd *m = os_alloc(sizeof(*m));
	struct gmem_limit *limit;
	int err;

	if (!m)
		return obs_refuse(RULE_NO_MEMORY);
	err = limit_of_files(&limit);
	if (!err)
		err = gmem_file_create(most_there_may_be(), file_flags(), &m->file);
	if (err) {
		os_free(m, sizeof(*m));
		return obs_refuse_as(RULE_MEMFD_NO_MEMORY, err);
	}
	if (limit)
		gmem_file_set_limit(m->file, limit);
	kvm_object_init(&m->object, KVM_OBJECT_MEMFD);
	os_mutex_init(&m->lock);
	m->ino = FIRST_INO + atomic_fetch_add(&next_ino, 1);
	m->uid = os_fs_uid();
	m->gid = os_fs_gid();
	m->made_ns = (int64_t)os_wallclock_ns();
	atomic_init(&m->changed_ns, m->made_ns);
	for (uint32_t i = 0; name[i]; i++)
		m->name[i] = name[i];
	*out = m;
	return 0;
}

/* Pages of the range with this value in the file's own map. */
static uint64_t count(struct memfd *m, uint64_t offset, uint64_t size, uint32_t value)
{
	struct attr_map *map = gmem_file_attributes(m->file);
	uint64_t at = offset >> OS_PAGE_SHIFT, end = (offset + size) >> OS_PAGE_SHIFT, run, nr = 0;
	uint32_t found;

	for (; at < end; at += run) {
		run = attr_map_run(map, at, end - at, &found);
		nr += found == value ? run : 0;
	}
	return nr;
}

/* No slot has it any more: they count it, and the account was made when the last one went. */
void memfd_destroy(struct kvm_object *o)
{
	struct memfd *m = memfd_of(o);

	if (early()->memlock && !is_foreign(o))
		memlock_return(count(m, 0, capacity(m), ATTR_PRIVATE));
	gmem_file_release(m->file);
	gmem_file_put(m->file);
	os_free(m, sizeof(*m));
}

static long install(const char *name, bool cloexec)
{
	struct memfd *m = NULL;
	int fd, err = kvm_fds->reserve(cloexec, NULL, &fd);

	if (err)
		return obs_refuse_as(RULE_NO_DESCRIPTOR, err);
	err = make(name, &m);
	if (err) {
		kvm_fds->cancel(fd);
		return err;
	}
	kvm_fds->commit(fd, &m->object);
	return fd;
}

bool kvm_memfd_is_asked(unsigned int flags)
{
	return early() && early()->memfd != KVM_MEMFD_RESTRICTED && flags & MFD_INACCESSIBLE;
}

static int check_flags(unsigned int flags)
{
	unsigned int known = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_INACCESSIBLE;

	if (flags & MFD_HUGETLB)
		known |= HUGE_SIZE_BITS;
	if (flags & ~known)
		return obs_refuse(RULE_MEMFD_FLAGS);
	if (flags & MFD_ALLOW_SEALING)
		return obs_refuse(RULE_MEMFD_SEALING);
	if (flags & MFD_HUGETLB && !is_plain_file())
		return obs_refuse(RULE_MEMFD_HUGETLB);
	return 0;
}

static int copy_name(uint64_t from, char name[NAME_MAX_LENGTH + 1])
{
	for (uint32_t i = 0; i <= NAME_MAX_LENGTH; i++) {
		if (os_copy_in(&name[i], from + i, 1))
			return obs_refuse(RULE_ARGUMENT_UNREADABLE);
		if (!name[i])
			return 0;
	}
	return obs_refuse(RULE_MEMFD_NAME);
}

/* Of huge pages it is nothing special: nobody has taught those the flag. */
long kvm_memfd_create(uint64_t from, unsigned int *flags, bool *is_plain)
{
	char name[NAME_MAX_LENGTH + 1];
	int err = check_flags(*flags);

	*is_plain = !err && *flags & MFD_HUGETLB;
	if (*is_plain)
		*flags &= ~MFD_INACCESSIBLE;
	if (err || *is_plain)
		return err;
	err = copy_name(from, name);
	return err ? err : install(name, *flags & MFD_CLOEXEC);
}

bool kvm_memfd_has_restricted(void)
{
	return early() && early()->memfd == KVM_MEMFD_RESTRICTED;
}

/* It was never closed on exec: the series had no flag for that. */
long kvm_memfd_restricted(unsigned int flags)
{
	if (!kvm_memfd_has_restricted())
		return -NO_SUCH_REQUEST;
	if (flags)
		return obs_refuse(RULE_MEMFD_RESTRICTED_FLAGS);
	return install("", false);
}

/* ---- for slots ------------------------------------------------------------------------------------- */

struct gmem_file *memfd_file(struct kvm_object *o)
{
	return memfd_of(o)->file;
}

void memfd_link(struct kvm_object *o, const char **prefix, const char **name, const char **end)
{
	bool has_own = early()->link;

	*prefix = has_own ? early()->link : "/memfd:";
	*name = has_own ? "" : memfd_of(o)->name;
	*end = has_own ? "" : " (deleted)";
}

/* ---- calls on the descriptor ------------------------------------------------------------------------ */

static bool is_past_end(const struct memfd *m, int64_t at)
{
	return (uint64_t)at >= atomic_load(&m->size);
}

/* The refusal of reads stands behind the look at the size, as it was posted. */
long kvm_memfd_data_at(struct kvm_object *o, bool is_write, int64_t at)
{
	if (at < 0)
		return obs_refuse(RULE_FILE_OFFSET);
	if (!is_plain_file())
		return obs_refuse(RULE_FILE_NO_POSITION);
	if (!is_write && is_past_end(memfd_of(o), at))
		return 0;
	return obs_refuse(RULE_MEMFD_INACCESSIBLE);
}

long kvm_memfd_data(struct kvm_object *o, bool is_write)
{
	if (!is_plain_file())
		return obs_refuse(RULE_FILE_NO_DATA);
	return kvm_memfd_data_at(o, is_write, atomic_load(&memfd_of(o)->position));
}

/* To the next page that is allocated, or that is not. */
static long find(struct memfd *m, int64_t at, bool data)
{
	struct attr_map *map = gmem_file_attributes(m->file);
	uint64_t size = atomic_load(&m->size), first = (uint64_t)at >> OS_PAGE_SHIFT;
	uint64_t end = os_page_up(size) >> OS_PAGE_SHIFT, run;
	uint32_t value = 0;

	if (at < 0 || is_past_end(m, at))
		return obs_refuse(RULE_MEMFD_SEEK_PAST_END);
	for (; first < end; first += run) {
		run = attr_map_run(map, first, end - first, &value);
		if (!!value == data)
			return (long)max_u64((uint64_t)at, first << OS_PAGE_SHIFT);
	}
	return data ? obs_refuse(RULE_MEMFD_SEEK_PAST_END) : (long)size;
}

long kvm_memfd_seek(struct kvm_object *o, int64_t offset, int whence)
{
	struct memfd *m = memfd_of(o);
	long to = offset;

	if (!is_plain_file())
		return obs_refuse(RULE_FILE_NO_POSITION);
	if (whence == SEEK_CUR)
		to += atomic_load(&m->position);
	else if (whence == SEEK_END)
		to += (long)atomic_load(&m->size);
	else if (whence == SEEK_DATA || whence == SEEK_HOLE)
		to = find(m, offset, whence == SEEK_DATA);
	if (to < 0 && (whence == SEEK_DATA || whence == SEEK_HOLE))
		return to;
	if (to < 0)
		return obs_refuse(RULE_MEMFD_SEEK_NEGATIVE);
	atomic_store(&m->position, to);
	return to;
}

static int set_size(struct memfd *m, uint64_t size)
{
	if (atomic_load(&m->size))
		return obs_refuse(RULE_MEMFD_SIZED);
	if (size & (OS_PAGE_SIZE - 1))
		return obs_refuse(RULE_MEMFD_SIZE_UNALIGNED);
	if (size > capacity(m))
		return obs_refuse(RULE_MEMFD_TOO_LARGE);
	atomic_store(&m->size, size);
	return 0;
}

long kvm_memfd_truncate(struct kvm_object *o, int64_t size)
{
	struct memfd *m = memfd_of(o);
	int err;

	if (is_foreign(o))
		return obs_refuse(RULE_MEMFD_FOREIGN);
	if (size < 0)
		return obs_refuse(RULE_MEMFD_SIZE_NEGATIVE);
	os_mutex_lock(&m->lock);
	err = set_size(m, (uint64_t)size);
	os_mutex_unlock(&m->lock);
	return err;
}

long kvm_memfd_get_seals(struct kvm_object *o)
{
	return is_plain_file() ? F_SEAL_SEAL : obs_refuse(RULE_FILE_NO_SEALS);
}

long kvm_memfd_add_seals(struct kvm_object *o, unsigned int seals)
{
	if (!is_plain_file())
		return obs_refuse(RULE_FILE_NO_SEALS);
	return obs_refuse(seals & ~ALL_SEALS ? RULE_MEMFD_SEAL_UNKNOWN : RULE_MEMFD_SEALED);
}

long kvm_memfd_sync(struct kvm_object *o)
{
	return is_plain_file() ? 0 : obs_refuse(RULE_FILE_NO_SYNC);
}

int memfd_mmap(void)
{
	return obs_refuse(is_plain_file() ? RULE_MEMFD_INACCESSIBLE : RULE_MEMFD_NOT_MAPPABLE);
}

void kvm_memfd_stat(struct kvm_object *o, struct kvm_gmem_stat *st)
{
	struct memfd *m = memfd_of(o);

	st->size = atomic_load(&m->size);
	st->backed = is_foreign(o) ? 0 : store_backed(gmem_file_store(m->file));
	st->ino = m->ino;
	st->uid = m->uid;
	st->gid = m->gid;
	st->atime_ns = m->made_ns;
	st->mtime_ns = st->ctime_ns = atomic_load(&m->changed_ns);
}

uint64_t kvm_memfd_fs_magic(void)
{
	return early()->fs_magic;
}

/* ---- fallocate ------------------------------------------------------------------------------------- */

static bool says_itself(const struct memfd *m)
{
	return gmem_file_flags(m->file) & GMEM_FILE_IN_PLACE;
}

static int convert(struct memfd *m, uint64_t offset, uint64_t size, uint32_t attributes)
{
	struct gmem_conversion c = { .offset = offset, .size = size, .attributes = attributes };

	return says_itself(m) ? gmem_file_convert(m->file, &c) : 0;
}

/* An allocation that fails leaves nothing of its own. */
static void undo(struct memfd *m, uint64_t offset, uint64_t size)
{
	struct attr_map *map = gmem_file_attributes(m->file);
	uint64_t at = offset >> OS_PAGE_SHIFT, end = (offset + size) >> OS_PAGE_SHIFT, run;
	uint32_t value;

	for (; says_itself(m) && at < end; at += run) {
		run = attr_map_run(map, at, end - at, &value);
		if (!value)
			gmem_file_punch(m->file, at << OS_PAGE_SHIFT, run << OS_PAGE_SHIFT);
	}
}

static int charge(struct memfd *m, uint64_t offset, uint64_t size, uint64_t *nr_pages)
{
	*nr_pages = 0;
	if (!early()->memlock)
		return 0;
	*nr_pages = count(m, offset, size, 0);
	return memlock_charge(*nr_pages);
}

static int allocate_charged(struct memfd *m, uint64_t offset, uint64_t size)
{
	int err = gmem_file_allocate(m->file, offset, size);

	if (!err)
		err = convert(m, offset, size, ATTR_PRIVATE);
	if (err)
		undo(m, offset, size);
	return err;
}

static int allocate(struct memfd *m, uint64_t offset, uint64_t size)
{
	uint64_t nr_pages;
	int err = charge(m, offset, size, &nr_pages);

	if (err)
		return err;
	err = allocate_charged(m, offset, size);
	if (err)
		memlock_return(nr_pages);
	return err;
}

/* What lies in part in the range is meant, too; and the file grows, unless that is forbidden. */
static int allocate_range(struct memfd *m, int mode, uint64_t offset, uint64_t size)
{
	uint64_t first = offset & ~(uint64_t)(OS_PAGE_SIZE - 1), end = offset + size;
	int err;

	if (end > capacity(m))
		return obs_refuse(RULE_MEMFD_TOO_LARGE);
	err = allocate(m, first, os_page_up(end) - first);
	if (!err && !(mode & FALLOC_FL_KEEP_SIZE) && end > atomic_load(&m->size))
		atomic_store(&m->size, end);
	return err;
}

/* All of the range, holes too: that is how it was posted. Behind the end, where there may be no end of holes, what there is. */
static uint64_t pages_to_return(struct memfd *m, uint64_t offset, uint64_t size)
{
	uint64_t end = offset + size, file_end = os_page_up(atomic_load(&m->size));
	uint64_t inside = offset < file_end ? min_u64(end, file_end) - offset : 0;

	if (!early()->memlock)
		return 0;
	offset += inside;
	return (inside >> OS_PAGE_SHIFT) + count(m, offset, end - offset, ATTR_PRIVATE);
}

/* Shared first: from then on nobody can reach what is freed. */
static int punch_range(struct memfd *m, uint64_t offset, uint64_t size)
{
	uint64_t nr_pages;
	int err;

	if (offset >= capacity(m))
		return 0;
	size = min_u64(size, capacity(m) - offset);
	nr_pages = pages_to_return(m, offset, size);
	err = convert(m, offset, size, 0);
	if (!err)
		err = gmem_file_punch(m->file, offset, size);
	if (!err)
		memlock_return(nr_pages);
	return err;
}

static int check_fallocate(int mode, int64_t offset, int64_t size)
{
	int err = fallocate_check_vfs(mode, offset, size);

	if (err)
		return err;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return obs_refuse(RULE_MEMFD_FALLOCATE_MODE);
	if (mode & FALLOC_FL_PUNCH_HOLE && (offset | size) & (int64_t)(OS_PAGE_SIZE - 1))
		return obs_refuse(RULE_MEMFD_PUNCH_UNALIGNED);
	return 0;
}

long kvm_memfd_fallocate(struct kvm_object *o, int mode, int64_t offset, int64_t size)
{
	struct memfd *m = memfd_of(o);
	int err = check_fallocate(mode, offset, size);

	if (err)
		return err;
	if (is_foreign(o))
		return obs_refuse(RULE_MEMFD_FOREIGN);
	account_changed();
	os_mutex_lock(&m->lock);
	if (mode & FALLOC_FL_PUNCH_HOLE)
		err = punch_range(m, (uint64_t)offset, (uint64_t)size);
	else
		err = allocate_range(m, mode, (uint64_t)offset, (uint64_t)size);
	os_mutex_unlock(&m->lock);
	if (!err)
		atomic_store(&m->changed_ns, (int64_t)os_wallclock_ns());
	return err;
}
