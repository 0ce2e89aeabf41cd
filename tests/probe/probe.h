/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The probe asks a /dev/kvm many small questions and prints one line for each:
 *
 *	area | question | answer
 *
 * Nothing in a line may differ between two runs on one kernel: no address, pid, inode number or
 * time, only relations ("differs", "above 0"). It knows libc and the KVM interface, nothing of
 * gmem, so the same program runs on a real kernel and under "gmem run".
 *
 * A case is one function that asks some questions of one area. Each runs in a child process of
 * its own; a question that hangs is interrupted (see ask_deadline_hit), then the child is killed.
 */
#ifndef PROBE_H
#define PROBE_H

#include <errno.h>
#include <fcntl.h>
#include <gmem/uapi.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PG 4096UL
#define M2 (2UL << 20)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct probe_case {
	const char *area;
	const char *name;
	void (*fn)(void);
};

struct probe_list {
	const struct probe_case *cases;
	size_t nr;
};

/* ---- answers (probe.c) ---- */

/* Prints a line; the question may be made with qf(). */
void say(const char *question, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The errno's name when ret is negative, otherwise the value. */
void say_ret(const char *question, long ret);
/* The errno's name when ret is negative, otherwise "ok". */
void say_ok(const char *question, long ret);
/* As say_ok, and the descriptor is closed. */
void say_fd(const char *question, int fd);
/* The errno's name, or "ok". */
const char *err_str(long ret);
/* A formatted question, valid until the fourth next call. */
const char *qf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Whether the running question took too long; clears the mark. */
bool ask_deadline_hit(void);
/* Leaves the case: it cannot be asked here (no such VM type and the like). */
void cannot_ask(void) __attribute__((noreturn));

/* ---- touching memory that may fault (probe.c) ---- */

/* "ok", or the signal with its code and whether si_addr was the address. */
const char *touch_read(const volatile void *p);
const char *touch_write(volatile void *p, uint8_t value);
/* The byte there in hex, or what touch_read says. */
const char *peek(const volatile void *p);

/* ---- VMs and guests (guest.c) ---- */

int dev_open(void);
/* A new VM; leaves the case when the type does not exist. */
int vm_new(unsigned long type);
bool vm_type_exists(unsigned long type);
int gmem_new(int vm, uint64_t size, uint64_t flags);
/* As gmem_new, but leaves the case on failure. */
int gmem_need(int vm, uint64_t size, uint64_t flags);
void *anon_map(size_t size);
int slot_v1(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, const void *hva);
int slot_v2(int vm, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t size, const void *hva,
	    int fd, uint64_t offset);
int attr_set(int vm, uint64_t gpa, uint64_t size, uint64_t attributes);
int cap_enable(int fd, uint32_t cap, uint64_t arg0);

enum guest_mode { GUEST_REAL, GUEST_FLAT32, GUEST_LONG64 };

#define GUEST_CODE 0x1000
#define GUEST_IDT 0x9000
#define GUEST_STACK 0x8000
#define GUEST_MEM 0x10000UL

/*
 * A VM with one vCPU and 64 KiB of RAM in slot 0 at gpa 0. GUEST_LONG64 maps virtual 0-1G to the
 * same physical, 1G-2G to physical 4G-5G and 2G-3G to physical 3G-4G, in 2M pages.
 */
struct guest {
	int vm, vcpu;
	struct kvm_run *run;
	uint8_t *mem;
};

void guest_make(struct guest *g, unsigned long type, enum guest_mode mode);
/* Puts code at GUEST_CODE and the vCPU at its start. */
void guest_code(struct guest *g, const void *code, size_t len);
#define guest_load(g, ...) \
	guest_code(g, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
/* One KVM_RUN, described in words. */
const char *guest_go(struct guest *g);
/* The same for a run made by the caller. */
const char *guest_exit(struct guest *g, int ret, int error);
uint64_t guest_rip(struct guest *g);
uint64_t guest_rax(struct guest *g);
void guest_set_rax(struct guest *g, uint64_t value);
const char *exit_name(uint32_t reason);

/* ---- the areas ---- */

extern const struct probe_list cases_sys, cases_caps, cases_slot, cases_gmem, cases_gmem_map,
	cases_fault, cases_run, cases_hypercall, cases_log, cases_vcpu, cases_vcpu_more, cases_life,
	cases_attr, cases_live, cases_irq;

#endif
