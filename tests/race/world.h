/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A VM for programs that convert guest memory in place and know the KVM interface alone: 64-bit guest code
 * of a few operations, one guest_memfd at GMEM_GPA, and host accesses that survive SIGBUS. Whatever must
 * work and does not ends the process with a message.
 */
#ifndef GMEM_TESTS_RACE_WORLD_H
#define GMEM_TESTS_RACE_WORLD_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <gmem/uapi.h>

#define PAGE 4096ul
#define PAGE_WORDS 512u
#define GMEM_GPA (1ul << 30)
#define MAX_GUESTS 8u

struct world {
	int kvm, vm, gmem;
	uint64_t size; /* of the guest_memfd, bytes */
	uint8_t *host; /* a mapping of all of it */
	uint8_t *ram;  /* slot 0: page tables, code, the buffers of the guests */
	bool is_v7;    /* capability 249 and the rules of that series */
};

struct guest {
	const struct world *world;
	int fd;
	unsigned int id;
	struct kvm_run *run;
	uint64_t *save, *look; /* a page each, guest memory that the host maps */
};

void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* flags: of the guest_memfd. The memory is bound as slot 1 and mapped when the flags allow. */
void world_make(struct world *w, uint64_t size, uint64_t flags);
void world_free(struct world *w);
/* As world_make() without guest_memfd. */
void world_make_vm(struct world *w, unsigned long type);
/* The capability is there; an in-place profile is what these programs are for. */
bool world_converts(int kvm, bool *is_v7);
int world_gmem(const struct world *w, uint64_t size, uint64_t flags);
int world_bind(const struct world *w, uint32_t slot, uint64_t gpa, uint64_t size, void *hva, int fd,
	       uint64_t offset);
uint8_t *world_map(int fd, uint64_t offset, uint64_t size);

/* KVM_SET_MEMORY_ATTRIBUTES2: 0 or -errno; *error_offset as the kernel left it, may be NULL. */
int convert(int fd, uint64_t offset, uint64_t size, bool to_private, uint64_t *error_offset);
int punch(int fd, uint64_t offset, uint64_t size);

/* ---- the guest's operations, by address in the file ---- */

void guest_make(struct guest *g, const struct world *w, unsigned int id);
void guest_free(struct guest *g);
uint64_t guest_load(struct guest *g, uint64_t offset);
void guest_store(struct guest *g, uint64_t offset, uint64_t value);
void guest_add(struct guest *g, uint64_t offset, uint64_t value);
/* Stores value, value + 1, ... nr times and reads each back; how many were read back right. */
uint64_t guest_count(struct guest *g, uint64_t offset, uint64_t value, uint64_t nr);
/* nr words from the file to a buffer of the guest (save or look), and back. */
void guest_fetch(struct guest *g, uint64_t *buffer, uint64_t offset, unsigned int first,
		 unsigned int nr);
void guest_put(struct guest *g, const uint64_t *buffer, uint64_t offset, unsigned int first,
	       unsigned int nr);
void guest_fill(struct guest *g, uint64_t offset, uint64_t value, unsigned int nr);
/* Runs until the operation is over; -errno of KVM_RUN if it is no EINTR, or 1: another exit than HLT. */
int guest_try_load(struct guest *g, uint64_t offset, uint64_t *value);
int guest_try_store(struct guest *g, uint64_t offset, uint64_t value);
/* After an exit for MMIO, before the next operation. */
void guest_complete(struct guest *g);

/* ---- host accesses ---- */

enum touch { TOUCHED, TOUCH_BUS, TOUCH_OTHER }; /* BUS: SIGBUS, BUS_ADRERR, the very address */
void trap_install(void);
enum touch host_load(const void *p, uint64_t *value);
enum touch host_store(void *p, uint64_t value);
enum touch host_add(void *p, uint64_t value);
/* Words one by one, until one faults; *nr: how many were read. */
enum touch host_copy(uint64_t *to, const void *from, unsigned int words, unsigned int *nr);
/* What the last signal was, when it was TOUCH_OTHER or TOUCH_BUS. */
const char *trap_text(void);

/* ---- numbers ---- */

double now(void);
uint64_t rnd(uint64_t *state);
static inline unsigned int rnd_below(uint64_t *state, unsigned int n)
{
	return (unsigned int)(rnd(state) % n);
}
void sleep_us(unsigned int us);
/* A number of /proc/self/status, kB ("VmRSS"); lines of /proc/self/maps. */
long status_kb(const char *name);
long count_vmas(void);

#endif
