/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * record: one thing that happened, in 64 bytes; the same in the region's ring and in a trace file.
 *
 * Plain integers, little endian. Numbers of VMs and files count from 1 in the process that made them; 0: none. vcpu is
 * the vCPU's id + 1.
 * Kinds are only ever added at the end: what a number means is for ever (gmem-trace(5)).
 */
#ifndef GMEM_OBS_RECORD_H
#define GMEM_OBS_RECORD_H

#include <stdint.h>

/*
 * KIND(id, name, a, b, c): what it is called where it is printed, and what its three numbers are; "" is nothing.
 * What took a time has ticks.
 */
/* What nobody tells by itself is not in the list below, and so no probe (obs/probes.h); what comes new goes behind GAP. */
#define OBS_KINDS(KIND) \
	KIND(NONE, "none", "", "", "") OBS_KINDS_TOLD(KIND) KIND(GAP, "gap", "events", "", "")

#define OBS_KINDS_TOLD(KIND)                                             \
	KIND(CONVERT, "convert", "offset", "size", "attributes")         \
	KIND(PUNCH, "punch", "offset", "size", "")                       \
	KIND(ALLOCATE, "allocate", "offset", "size", "")                 \
	KIND(BIND, "bind", "offset", "size", "gfn")                      \
	KIND(UNBIND, "unbind", "offset", "size", "")                     \
	KIND(RELEASE, "release", "size", "", "")                         \
	KIND(INVALIDATE, "invalidate", "gfn", "pages", "")               \
	KIND(SHOOTDOWN, "shootdown", "vcpus", "", "")                    \
	KIND(GUEST_FAULT, "guest fault", "gpa", "access", "step")        \
	KIND(EXIT, "exit", "", "", "")                                   \
	KIND(REQUEST, "request", "request", "argument", "value")         \
	KIND(RUN_ENTER, "run enter", "immediate exit", "answers", "")    \
	KIND(RUN_EXIT, "run exit", "reason", "gpa", "detail")            \
	KIND(VM_CONVERT, "convert by gfn", "gpa", "size", "attributes")  \
	KIND(HOST_FAULT, "host fault", "address", "code", "")            \
	KIND(SLOT, "slot", "slot", "gpa", "size")                        \
	KIND(SLOT_HOST, "slot memory", "slot", "address", "file offset") \
	KIND(DISCARD, "discard", "address", "size", "call")              \
	KIND(PIN, "pin", "offset", "size", "")                           \
	KIND(UNPIN, "unpin", "offset", "size", "")                       \
	KIND(INJECT, "inject", "point", "line", "address")               \
	KIND(VM_MADE, "vm made", "type", "vm", "")                       \
	KIND(VM_GONE, "vm gone", "type", "vm", "")                       \
	KIND(VCPU_MADE, "vcpu made", "id", "vm", "")                     \
	KIND(VCPU_GONE, "vcpu gone", "id", "vm", "")                     \
	KIND(FILE_MADE, "file made", "size", "flags", "")                \
	KIND(FILE_GONE, "file gone", "size", "", "")                     \
	KIND(REFUSAL, "refusal", "number", "", "")                       \
	KIND(PROCESS_MADE, "process made", "pid", "parent", "closer")    \
	KIND(PROCESS_GONE, "process gone", "pid", "", "")                \
	KIND(ASKED, "conversion asked", "address", "size", "attributes") \
	KIND(GUEST_ASKED, "guest asked", "gpa", "pages", "flags")        \
	KIND(CLOSED, "closed", "type", "number", "vm")                   \
	KIND(LEFT, "left behind", "gpa", "size", "state")                \
	KIND(CALL, "call", "call", "at", "size")                         \
	KIND(MAPPED, "mapped", "address", "size", "offset")

enum obs_event {
#define OBS_KIND_ID(id, name, a, b, c) OBS_##id,
	OBS_KINDS(OBS_KIND_ID)
#undef OBS_KIND_ID
		OBS_NR_EVENTS
};

/*
 * REQUEST: an ioctl's number; or OBS_REQUEST_LIBRARY + the place in functions.def, from 1, of a function of libgmem(3),
 * with offset or address and size as argument and value.
 */
#define OBS_REQUEST_LIBRARY (1ull << 32)

/*
 * Those that are told only to who looks closer (obs_looks_closer()):
 *	ASKED		each conversion as the program has asked for it, with its result; address: gpa, or with a file its
 *			offset. One that failed is told to anybody.
 *	GUEST_ASKED	KVM_EXIT_HYPERCALL for KVM_HC_MAP_GPA_RANGE
 *	CLOSED		the process has no descriptor of this one any more; type: enum kvm_object_type
 *	LEFT		pages that have memory where their attribute does not look for it. state: 4: private, and memory is
 *			in the program's mapping; 0: shared, and it is in the guest_memfd; OBS_LEFT_AT_END: before the
 *			VM, the file or the process ends; else: a vCPU is entered after a conversion. OBS_LEFT_UNSEEN: nobody
 *			can look, from here on: the program filters its system calls; once in a process
 */
#define OBS_LEFT_PRIVATE 4u
#define OBS_LEFT_AT_END 0x100u
#define OBS_LEFT_UNSEEN 0x200u
/* RUN_ENTER: what KVM_RUN answers the guest on entry, a hypercall: bit 0; the answer is not 0: bit 1. */
#define OBS_ANSWERS_CALL 1u
#define OBS_ANSWERS_NO 2u

/*
 * CALL: a system call on a guest_memfd, at an offset, or on memory where one is mapped (munmap, mremap, mprotect,
 * pkey_mprotect, madvise, mlock, mbind, get_mempolicy, set_mempolicy_home_node), at an address. Its number as x86-64 has it;
 * above it mode, advice or protection, of mmap protection and, from bit 8 on, flags, of write and its like the bytes that
 * were written, of policies what shim/told.h says. What is mapped by mmap is told by MAPPED behind it.
 */
#define OBS_CALL_SHIFT 16
/*
 * GAP: so many events of this thread did not find room in the ring, between its record before this one and its next;
 * from the first to the last of them it took ticks. Those of threads that tell nothing afterwards are in the ring's
 * count of lost events alone.
 */
#define OBS_CALL_NUMBER(call) ((call)&0xffff)

/* DISCARD: which call of the program it was. */
enum obs_discard { OBS_DISCARD_MADVISE, OBS_DISCARD_MUNMAP, OBS_DISCARD_MMAP, OBS_DISCARD_PUNCH };

/* Lengths from 2^31 ticks on are told in units of 2^12; the longest is that long or longer. */
#define OBS_TICKS_LONG 0x80000000u
#define OBS_TICKS_SHIFT 12

struct obs_record {
	uint32_t
		sequence; /* low half of its number + 1; in the ring the last word that is written */
	uint32_t thread;
	uint64_t time;	      /* time stamp counter when it began */
	uint32_t ticks;	      /* how long it took: obs_record_ticks(); 0: has no length */
	uint32_t caller_low;  /* where in the program gmem was called from; 0: not known */
	uint16_t caller_high; /* its bits from 32 on */
	int16_t result;	      /* 0 or -errno */
	uint16_t kind;	      /* enum obs_event */
	uint16_t rule;	      /* that refused; 0: none, or one without a number */
	uint16_t process;     /* place in the table of processes */
	uint16_t vm;
	uint16_t vcpu; /* id + 1; 0: none */
	uint16_t file;
	uint64_t a, b, c;
};
_Static_assert(sizeof(struct obs_record) == 64, "a cache line");

static inline uint32_t obs_ticks_pack(uint64_t ticks)
{
	uint64_t units = ticks >> OBS_TICKS_SHIFT;

	if (ticks < OBS_TICKS_LONG)
		return (uint32_t)ticks;
	return units < OBS_TICKS_LONG ? (uint32_t)units | OBS_TICKS_LONG : UINT32_MAX;
}

static inline uint64_t obs_record_ticks(const struct obs_record *r)
{
	if (r->ticks & OBS_TICKS_LONG)
		return (uint64_t)(r->ticks & ~OBS_TICKS_LONG) << OBS_TICKS_SHIFT;
	return r->ticks;
}

static inline uint64_t obs_record_caller(const struct obs_record *r)
{
	return (uint64_t)r->caller_high << 32 | r->caller_low;
}

#endif
