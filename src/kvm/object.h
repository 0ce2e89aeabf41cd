/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The objects of kvm/ as its own files see them.
 *
 * Locks, outermost first: vcpu->lock -> vm->lock -> vm->slots_lock -> (file invalidate, mmu, store). vm->lock
 * guards the ids of vCPUs, the number of guest_memfds, and what ENABLE_CAP and the irqchip calls set. What VMs
 * stand on has a reader-writer lock of its own (hva.c), taken first.
 */
#ifndef GMEM_KVM_OBJECT_H
#define GMEM_KVM_OBJECT_H

#include <gmem/uapi.h>

#include "cpu/cpu.h"
#include "kvm/account.h"
#include "kvm/kvm.h"
#include "kvm/leftover.h"
#include "kvm/profile.h"
#include "map/host_file.h"
#include "mmu/interval.h"
#include "mmu/memslot.h"
#include "mmu/mmu.h"
#include "obs/obs.h"
#include "os/fault.h"
#include "os/os.h"
#include "os/process.h"

#define KVM_NR_USER_SLOTS 32764u
#define KVM_MAX_VCPU_ID 4096u
#define KVM_MAX_NR_VCPUS 1024u
#define KVM_GPA_BITS 46
#define VCPU_NR_PAGES 3 /* kvm_run, port data, coalesced MMIO ring */

struct vm;
struct vcpu;

/* What one machine type is. */
struct vm_type {
	uint64_t type;	  /* KVM_X86_*_VM */
	bool has_private; /* it has private memory */
	const struct gmem_type_ops
		*gmem; /* what it wants to be told of its guest_memfds; NULL: nothing */
};
/* vm_type.c; NULL: gmem does not know it. */
const struct vm_type *vm_type_find(uint64_t type);

/* A write to an address that signals an eventfd instead of leaving to the program. */
struct ioeventfd {
	struct ioeventfd *next;
	uint64_t addr, datamatch;
	uint32_t len;
	bool pio, match;
	int fd;		  /* ours */
	uint64_t ino_key; /* which eventfd it is, to find it again */
};

struct coalesced_zone {
	struct coalesced_zone *next;
	uint64_t addr;
	uint32_t size;
	bool pio;
};

struct vm {
	struct kvm_object object;
	struct account_vm_link account;
	struct interval hva; /* around what its slots stand on; empty: it has had none (hva.c) */
	const struct vm_type *type;
	bool has_private;
	bool in_place; /* its guest_memfds say what a page is; changes under both locks, before any is made */
	struct mmu *mmu;
	struct gmem_limit *limit; /* of its guest_memfds; NULL: none */

	struct os_mutex slots_lock;
	struct leftover leftover;

	struct os_mutex lock;
	/* What CREATE_VCPU has given out: an id is not free again when its vCPU is gone. */
	uint64_t vcpu_ids[KVM_MAX_VCPU_ID / 64];
	unsigned int nr_vcpus;
	unsigned int nr_gmems; /* guest_memfds there are */
	bool irqchip;
	uint32_t boot_cpu_id;
	uint32_t max_vcpu_id;	  /* KVM_CAP_MAX_VCPU_ID; 0: not set */
	uint64_t hypercall_exits; /* KVM_CAP_EXIT_HYPERCALL: bit a hypercall number */
	uint64_t dirty_protect;	  /* KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
	int64_t clock_offset;

	struct os_rwlock io_lock;
	_Atomic uint32_t
		nr_io; /* both lists; most VMs have none, and no guest write asks for the lock */
	struct ioeventfd *ioeventfds;
	struct coalesced_zone *zones;
	struct os_mutex ring_lock;
};

enum vcpu_pending { PENDING_NONE, PENDING_IO, PENDING_MMIO, PENDING_HYPERCALL };

struct vcpu {
	struct kvm_object object;
	struct vm *vm;
	struct account_vcpu_link account;
	uint32_t id;
	struct os_mutex lock;

	const struct cpu_ops *ops;
	struct cpu *cpu;
	struct mmu_vcpu *mmu;

	int run_fd;
	struct kvm_run *run; /* VCPU_NR_PAGES pages, shared with the program */

	uint32_t mp_state;
	bool has_run;
	enum vcpu_pending pending;
	struct cpu_exit exit; /* the last one; what is pending refers to it */

	bool has_sigmask;
	uint64_t sigmask;

	struct kvm_cpuid_entry2 *cpuid;
	uint32_t nr_cpuid;
};

/* vm and file are for the process that made it, its home; anywhere else all goes through host, which knows
 * the way there. One that came from another process has neither. */
struct gmem {
	struct kvm_object object;
	struct vm *vm;
	struct gmem_file *file;
	struct host_file *host;
	uint64_t ino;
	uint32_t uid, gid;
	int64_t atime_ns;
	_Atomic int64_t position; /* of write() */
};

extern const struct kvm_fd_ops *kvm_fds;
const struct kvm_profile *kvm_profile(void);
/* The profile's; never NULL. */
const struct kvm_memory_exit *kvm_memory_exit(void);

void kvm_object_init(struct kvm_object *o, enum kvm_object_type type);
static inline struct vm *vm_of(struct kvm_object *o)
{
	return (struct vm *)o;
}
static inline struct vcpu *vcpu_of(struct kvm_object *o)
{
	return (struct vcpu *)o;
}
static inline struct gmem *gmem_of(struct kvm_object *o)
{
	return (struct gmem *)o;
}

/* Destructors: the last count is gone. */
void vm_destroy(struct vm *vm);
void vcpu_destroy(struct vcpu *vcpu);
void gmem_destroy(struct gmem *gmem);

/* KVM_CHECK_EXTENSION; vm NULL: asked of /dev/kvm. */
long caps_check(const struct vm *vm, uint64_t cap);
long caps_enable(struct vm *vm, const struct kvm_enable_cap *cap);

/* The four tables of requests. */
long system_ioctl(unsigned int cmd, uint64_t arg);
long vm_ioctl(struct vm *vm, unsigned int cmd, uint64_t arg);
long vcpu_ioctl(struct vcpu *vcpu, unsigned int cmd, uint64_t arg);
/* In every process: what is behind it may be elsewhere. */
long gmem_ioctl(struct gmem *gmem, unsigned int cmd, uint64_t arg);

#define NR_ROWS(rows) (sizeof(rows) / sizeof((rows)[0]))
/* One row of a table of requests: the structure is copied in and out around the handler as the direction
 * bits of the number say. A handler of a request without a structure gets the bare argument. */
#define IOCTL_MAX_SIZE 4096
struct ioctl_row {
	unsigned int cmd;
	long (*fn)(void *object, void *data, uint64_t arg);
	bool raw; /* the handler copies by itself: a structure with a tail, or none needed */
	uint16_t request; /* obs/requests.def */
};
#define IOCTL_ROW(cmd, fn, raw)         \
	{                               \
		cmd, fn, raw, REQ_##cmd \
	}
/* -NO_SUCH_REQUEST when no row has the number: each kind of descriptor has its errno for that. */
#define NO_SUCH_REQUEST 515
long ioctl_run(const struct ioctl_row *rows, unsigned int nr, void *object, unsigned int cmd,
	       uint64_t arg);

#endif
