/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * kvm: KVM's objects as the shim sees them: /dev/kvm, VMs, vCPUs and guest_memfds, each behind a
 * descriptor, each counted.
 *
 * The shim knows which descriptor is which object; it passes calls on descriptors of ours down and
 * returns what comes back (a value, or -errno). Every function here may be called from any thread,
 * with signals held by the caller (os_signal_pending() tells that one waits). None touches errno.
 *
 * References: an object lives as long as somebody counts it. A descriptor (all its duplicates together)
 * is one count, taken over from install and given back with kvm_object_put() at the last close. A vCPU
 * counts its VM, a guest_memfd counts its VM. A mapping of a guest_memfd is one more count of it.
 * The last put of a guest_memfd unbinds it (kernel 7.2: release of the file).
 */
#ifndef GMEM_KVM_KVM_H
#define GMEM_KVM_KVM_H

#include <stdbool.h>
#include <stdint.h>

#include "core/gmem_file.h"

enum kvm_object_type {
	KVM_OBJECT_SYSTEM,
	KVM_OBJECT_VM,
	KVM_OBJECT_VCPU,
	KVM_OBJECT_GMEM,
	KVM_OBJECT_MEMFD, /* what there was before guest_memfd */
};

struct kvm_object {
	enum kvm_object_type type;
	_Atomic uint32_t refs;
	uint64_t home; /* os_home_token() of the process that made it */
};

void kvm_object_get(struct kvm_object *o);
void kvm_object_put(struct kvm_object *o);
/* This process has no descriptor of it any more: an event for who observes. */
void kvm_tell_closed(const struct kvm_object *o);

/* What the shim does for kvm/. Set once, before anything is opened. */
struct kvm_fd_ops {
	/* Makes a new descriptor (-EMFILE, -ENFILE, -ENOMEM); commit makes it the object's (and takes
	 * over the caller's count), cancel closes it again. name: of the memfd that is the handle, by which
	 * another process knows what it was sent (host_file_name()); NULL: nothing to know. */
	int (*reserve)(bool cloexec, const char *name, int *fd);
	void (*commit)(int fd, struct kvm_object *o);
	void (*cancel)(int fd);
	/* The object behind a descriptor, counted: 0 and NULL for a descriptor that is open but not
	 * ours, -EBADF for one that is not open. */
	int (*lookup)(int fd, struct kvm_object **o);
};
void kvm_set_fd_ops(const struct kvm_fd_ops *ops);

/* Chooses the kernel we answer like: profile.c has the names; NULL: the default.
 * -ENOENT: no such profile. Before the first kvm_open(). */
int kvm_set_profile(const char *name);
/* What guest_memfds are made of: "4k", "thp", "2m" or "1g" (core/store.h), "2m-shared" or "1g-shared" (core/blocks.c);
 * NULL: 4k. Those that can be mapped and do not convert have thp instead of the pool's. -EINVAL: none of these. Before the first one is made. */
int kvm_set_pages(const char *pages);
/* Guest_memfds have all their memory from the start, or are not made: -ENOMEM, -EINTR. Before the first one. */
void kvm_set_prealloc(bool wanted);
/* How much memory the guest_memfds of a VM may have together, "65536" or "64K" to "1T"; NULL: no limit. Files that no VM
 * makes have one together. -EINVAL. Before the first VM. */
int kvm_set_limit(const char *size);

/* open("/dev/kvm"): an object of type SYSTEM with one count. */
int kvm_open(struct kvm_object **out);

/* Value >= 0 or -errno. arg is the program's, untrusted. */
long kvm_ioctl(struct kvm_object *o, unsigned int cmd, uint64_t arg);

/* The next KVM_RUN of this vCPU, or the one that runs, returns -EINTR soon. From a signal handler too. */
void kvm_kick(struct kvm_object *vcpu);

/* ---- mmap of a descriptor ------------------------------------------------------------------- */

/* May this be mapped so? -errno as the kernel's mmap answers (-ENODEV, -EINVAL, -EPERM ...). size is rounded
 * up to pages. For VCPU and GMEM; -ENODEV for the others. prot and flags are mmap's. A VCPU: which descriptor
 * to map instead, at which offset. A GMEM (-1 in *backing_fd): host_map_mmap() with kvm_gmem_host_file(). */
int kvm_mmap(struct kvm_object *o, uint64_t size, int prot, int flags, uint64_t offset,
	     int *backing_fd, uint64_t *backing_offset);

/* The program's mappings of guest_memfds (map/host_map.h), to be told of every change. */
struct host_map *kvm_host_map(void);

/* munmap, mremap, mprotect, MAP_FIXED, madvise(DONTNEED, REMOVE, FREE ...) of the program over
 * [addr, addr + size): around the change, on every VM of this process (KVM's MMU notifier). begin
 * returns a cookie for end; 0 when nothing was hit and end need not be called. */
uint64_t kvm_hva_change_begin(uint64_t addr, uint64_t size);
void kvm_hva_change_end(uint64_t addr, uint64_t size, uint64_t cookie);

/* ---- guest_memfd ---------------------------------------------------------------------------- */

struct kvm_gmem_stat {
	uint64_t size, ino;
	uint64_t backed; /* bytes; told of memfds only */
	uint32_t uid, gid;
	int64_t atime_ns, mtime_ns, ctime_ns; /* since the epoch */
};
void kvm_gmem_stat(struct kvm_object *gmem, struct kvm_gmem_stat *st);
/* As records have it; 0: its home is another process. */
uint16_t kvm_gmem_number(struct kvm_object *gmem);
/* fallocate(2) with the checks of VFS and of guest_memfd, in their order. */
int kvm_gmem_fallocate(struct kvm_object *gmem, int mode, int64_t offset, int64_t size);
/* write() and lseek(), where the profile has them for this object: a count, or -errno. from: the program's; offset:
 * KVM_GMEM_POSITION: at the file's own position, which is one for all descriptors of a process, and where that was is told. */
#define KVM_GMEM_POSITION ((int64_t)-1)
bool kvm_gmem_takes_data(struct kvm_object *o);
long kvm_gmem_write(struct kvm_object *gmem, uint64_t from, uint64_t size, int64_t *offset);
long kvm_gmem_seek(struct kvm_object *gmem, int64_t offset, int whence);
/* The checks alone. */
int kvm_gmem_check_fallocate(struct kvm_object *gmem, int mode, int64_t offset, int64_t size);
/* Mappings, and requests that go home when the home is elsewhere: the file, for map/. */
struct host_file *kvm_gmem_host_file(struct kvm_object *gmem);
/* A guest_memfd whose home is another process: f as host_file_adopt() gave it, the count of it is taken over. It
 * has no VM here. -ENOMEM, and f is still the caller's. */
int kvm_gmem_adopt(struct host_file *f, struct kvm_object **out);
/* Of the profile: statfs f_type, and the text behind /proc/self/fd ("/[kvm-gmem] (deleted)" or
 * "anon_inode:[kvm-gmem]"; for a VM and a vCPU "anon_inode:kvm-vm", "anon_inode:kvm-vcpu:0"). */
uint64_t kvm_gmem_fs_magic(void);
void kvm_object_link(struct kvm_object *o, char *text, uint64_t size);

/* ---- files of generations before guest_memfd (memfd.c) ------------------------------------------- */

/* Is memfd_create() with these flags ours to answer? Only in profiles that have MFD_INACCESSIBLE. */
bool kvm_memfd_is_asked(unsigned int flags);
/* memfd_create(name, flags); name is the program's, untrusted. A descriptor, or -errno. *is_plain: it is a plain file
 * of the system's after all, to be made with *flags, and nothing was done. */
long kvm_memfd_create(uint64_t name, unsigned int *flags, bool *is_plain);
bool kvm_memfd_has_restricted(void);
/* memfd_restricted(flags). In profiles without it a number that is no errno. */
long kvm_memfd_restricted(unsigned int flags);

/* What system calls on one answer, with the checks of that generation. */
long kvm_memfd_data(struct kvm_object *memfd, bool is_write);
long kvm_memfd_data_at(struct kvm_object *memfd, bool is_write, int64_t offset);
long kvm_memfd_seek(struct kvm_object *memfd, int64_t offset, int whence);
long kvm_memfd_truncate(struct kvm_object *memfd, int64_t size);
long kvm_memfd_fallocate(struct kvm_object *memfd, int mode, int64_t offset, int64_t size);
long kvm_memfd_get_seals(struct kvm_object *memfd);
long kvm_memfd_add_seals(struct kvm_object *memfd, unsigned int seals);
long kvm_memfd_sync(struct kvm_object *memfd);
void kvm_memfd_stat(struct kvm_object *memfd, struct kvm_gmem_stat *st);
uint64_t kvm_memfd_fs_magic(void);

/* ---- fork ------------------------------------------------------------------------------------ */

/* In the child of a fork: locks are made anew; objects of the parent answer -EIO (VM, vCPU), requests on its
 * guest_memfds go to it (host_file.h). */
void kvm_after_fork_in_child(void);
/* No lock of kvm/ and below is held by another thread between these two (parent). */
void kvm_before_fork(void);
void kvm_after_fork_in_parent(void);

#endif
