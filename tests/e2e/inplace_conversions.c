/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Guests of several vCPUs that convert their own memory by hypercall while the host looks at it: what the
 * kernel's private_mem_conversions_test is about, with the one copy that in-place conversion has. Each vCPU has an
 * area of 2 MiB and one page; the areas are neighbours in one guest_memfd, in one slot or one each.
 *
 * The guest is a function of this program, copied into guest memory. It tells the host what must be so by a
 * mailbox and a port:
 *
 *	SHARED	the host finds want in every page of the range, and leaves leave there
 *	HIDDEN	each of its pages gives the host SIGBUS, for reading and for writing
 *	PUNCH	the range is punched
 *	FAILED	the guest found something wrong, in this line
 */
#include "inplace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_VCPUS 4
#define AREAS (1ull << 32) /* guest-physical address of the first area */
#define AREA_SIZE ((2ull << 20) + PAGE)
#define ROUNDS 2

/* Plain memory of the guest, slot 0. */
#define PLAIN_SIZE 0x40000ul
#define PML4 0x1000
#define PDPT 0x2000
#define LOW_PD 0x3000  /* the first GiB */
#define AREA_PD 0x4000 /* that of the areas */
#define MAILBOXES 0x10000
#define STACKS 0x18000 /* a page each, from the top down */
#define TEXT 0x20000

enum { SHARED = 1, HIDDEN, PUNCH_IT, FAILED, DONE };

struct range {
	uint64_t offset, size;
};

struct mailbox {
	uint64_t what, gpa, size, want, leave;
	uint64_t area, is_amd, nr_ranges;
	struct range ranges[6];
};

/* ---- the guest --------------------------------------------------------------------------------- */

#define GUEST static inline __attribute__((always_inline, target("general-regs-only")))
#define STEP 256 /* bytes between the ones that it looks at */

GUEST void tell(struct mailbox *m, uint64_t what, uint64_t gpa, uint64_t size, uint64_t want,
		uint64_t leave)
{
	m->what = what;
	m->gpa = gpa;
	m->size = size;
	m->want = want;
	m->leave = leave;
	__asm__ volatile("outb %0, %1" : : "a"((uint8_t)0), "i"(PORT) : "memory");
}

GUEST void fill(uint64_t gpa, uint64_t size, uint8_t value)
{
	for (uint64_t at = gpa; at < gpa + size; at += STEP)
		*(volatile uint8_t *)at = value;
}

GUEST void look_for(struct mailbox *m, uint64_t line, uint64_t gpa, uint64_t size, uint8_t value)
{
	for (uint64_t at = gpa; at < gpa + size; at += STEP)
		if (*(volatile uint8_t *)at != value)
			tell(m, FAILED, at, line, value, *(volatile uint8_t *)at);
}

GUEST void convert(struct mailbox *m, uint64_t line, uint64_t gpa, uint64_t size, int is_private)
{
	uint64_t ret = KVM_HC_MAP_GPA_RANGE, attributes = is_private ? 16 : 0;

	if (m->is_amd)
		__asm__ volatile("vmmcall"
				 : "+a"(ret)
				 : "b"(gpa), "c"(size / PAGE), "d"(attributes)
				 : "memory");
	else
		__asm__ volatile("vmcall"
				 : "+a"(ret)
				 : "b"(gpa), "c"(size / PAGE), "d"(attributes)
				 : "memory");
	if (ret)
		tell(m, FAILED, gpa, line, 0, ret);
}

/* What is beside the range stays shared and 'a'. */
GUEST void tell_neighbours(struct mailbox *m, uint64_t gpa, uint64_t size)
{
	uint64_t end = m->area + AREA_SIZE;

	if (gpa > m->area)
		tell(m, SHARED, m->area, gpa - m->area, 'a', 'a');
	if (gpa + size < end)
		tell(m, SHARED, gpa + size, end - gpa - size, 'a', 'a');
}

GUEST void play_range(struct mailbox *m, uint64_t gpa, uint64_t size)
{
	uint64_t half = size / PAGE / 2 * PAGE, middle = gpa + half;

	fill(m->area, AREA_SIZE, 'a');
	tell(m, SHARED, m->area, AREA_SIZE, 'a', 'a');

	convert(m, __LINE__, gpa, size, 1);
	look_for(m, __LINE__, gpa, size, 'a');
	tell(m, HIDDEN, gpa, size, 0, 0);
	fill(gpa, size, 'b');
	tell_neighbours(m, gpa, size);

	/* The second half goes, and comes back with what the host has left there. */
	convert(m, __LINE__, middle, size - half, 0);
	tell(m, SHARED, middle, size - half, 'b', 'c');
	look_for(m, __LINE__, middle, size - half, 'c');
	tell(m, HIDDEN, gpa, half, 0, 0);
	convert(m, __LINE__, gpa, size, 1);
	look_for(m, __LINE__, gpa, half, 'b');
	look_for(m, __LINE__, middle, size - half, 'c');

	/* A punch empties it and gives it to nobody. */
	tell(m, PUNCH_IT, gpa, size, 0, 0);
	tell(m, HIDDEN, gpa, size, 0, 0);
	look_for(m, __LINE__, gpa, size, 0);
	fill(gpa, size, 'd');

	convert(m, __LINE__, gpa, size, 0);
	tell(m, SHARED, gpa, size, 'd', 'e');
	look_for(m, __LINE__, gpa, size, 'e');
}

__attribute__((section("guest_text"), used, noinline, target("general-regs-only"))) static void
guest_main(struct mailbox *m)
{
	for (uint64_t round = 0; round < ROUNDS; round++)
		for (uint64_t i = 0; i < m->nr_ranges; i++)
			play_range(m, m->area + m->ranges[i].offset, m->ranges[i].size);
	for (;;)
		tell(m, DONE, 0, 0, 0, 0);
}

extern const uint8_t __start_guest_text[], __stop_guest_text[];

/* ---- the machine ------------------------------------------------------------------------------- */

struct machine {
	int kvm, vm, fd;
	unsigned int nr_vcpus;
	uint8_t *plain, *areas;
	size_t areas_size;
};

struct player {
	struct machine *m;
	unsigned int id;
	int vcpu;
	struct kvm_run *run;
	struct mailbox *mailbox;
	char wrong[200]; /* empty: all is well */
	unsigned int nr_exits;
};

static void set_slot(struct machine *m, uint32_t slot, uint64_t gpa, uint64_t size, void *hva,
		     int fd, uint64_t offset)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = fd < 0 ? 0 : KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd = fd < 0 ? 0 : (uint32_t)fd,
		.guest_memfd_offset = offset,
	};

	assert_int_equal(ioctl(m->vm, KVM_SET_USER_MEMORY_REGION2, &r), 0);
}

static void map_guest(struct machine *m)
{
	uint64_t *pml4 = (void *)(m->plain + PML4), *pdpt = (void *)(m->plain + PDPT);
	uint64_t *low = (void *)(m->plain + LOW_PD), *areas = (void *)(m->plain + AREA_PD);

	pml4[0] = PDPT | 3;
	pdpt[0] = LOW_PD | 3;
	pdpt[AREAS >> 30] = AREA_PD | 3;
	for (uint64_t i = 0; i < 512; i++) {
		low[i] = i << 21 | 0x83;
		areas[i] = (AREAS + (i << 21)) | 0x83;
	}
}

static void make_machine(struct machine *m, unsigned int nr_slots, unsigned int nr_vcpus)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_EXIT_HYPERCALL,
		.args = { 1 << KVM_HC_MAP_GPA_RANGE },
	};
	struct kvm_create_guest_memfd create = { .flags = SHARED_FIRST };
	uint64_t slot_size;

	m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	m->vm = ioctl(m->kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	assert_true(m->vm >= 0);
	assert_int_equal(ioctl(m->vm, KVM_ENABLE_CAP, &cap), 0);
	m->nr_vcpus = nr_vcpus;
	m->areas_size = create.size = nr_vcpus * AREA_SIZE;
	m->fd = ioctl(m->vm, KVM_CREATE_GUEST_MEMFD, &create);
	assert_true(m->fd >= 0);
	m->plain = guest_memory(PLAIN_SIZE);
	m->areas = mmap(NULL, m->areas_size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	assert_ptr_not_equal(m->areas, MAP_FAILED);
	set_slot(m, 0, 0, PLAIN_SIZE, m->plain, -1, 0);
	slot_size = m->areas_size / nr_slots;
	for (uint32_t i = 0; i < nr_slots; i++)
		set_slot(m, 1 + i, AREAS + i * slot_size, slot_size, m->areas + i * slot_size,
			 m->fd, i * slot_size);
	map_guest(m);
	memcpy(m->plain + TEXT, __start_guest_text,
	       (size_t)(__stop_guest_text - __start_guest_text));
}

static void free_machine(struct machine *m)
{
	munmap(m->areas, m->areas_size);
	munmap(m->plain, PLAIN_SIZE);
	close(m->fd);
	close(m->vm);
	close(m->kvm);
}

/* What the guest may ask of its CPU; also tells whose instruction a hypercall is. */
static bool set_cpuid(struct player *p)
{
	enum { NR = 128 };
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + NR * sizeof(cpuid->entries[0]));
	bool is_amd;

	cpuid->nent = NR;
	assert_int_equal(ioctl(p->m->kvm, KVM_GET_SUPPORTED_CPUID, cpuid), 0);
	assert_int_equal(ioctl(p->vcpu, KVM_SET_CPUID2, cpuid), 0);
	is_amd = cpuid->entries[0].ebx == 0x68747541;
	free(cpuid);
	return is_amd;
}

static void enter_long_mode(int vcpu)
{
	struct kvm_segment data = {
		.selector = 16, .limit = ~0u, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_segment code = {
		.selector = 8, .limit = ~0u, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1
	};
	struct kvm_sregs s;

	assert_int_equal(ioctl(vcpu, KVM_GET_SREGS, &s), 0);
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr3 = PML4;
	s.cr4 = 0x20;
	s.efer = 0x500;
	s.cr0 = 0x80010031;
	assert_int_equal(ioctl(vcpu, KVM_SET_SREGS, &s), 0);
}

/* Where page tables of 2 MiB and 4 KiB meet, from every side. */
static const struct range ranges[] = {
	{ 0, PAGE },	   { 0, 2 << 20 },    { PAGE, PAGE },
	{ PAGE, 2 << 20 }, { 2 << 20, PAGE }, { 0, AREA_SIZE },
};

static void make_player(struct player *p, struct machine *m, unsigned int id)
{
	struct kvm_regs regs = {
		.rip = TEXT + ((uintptr_t)guest_main - (uintptr_t)__start_guest_text),
		.rsp = STACKS + (id + 1) * PAGE - 8,
		.rdi = MAILBOXES + id * PAGE,
		.rflags = 2,
	};
	size_t run_size = (size_t)ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	*p = (struct player){ .m = m, .id = id };
	p->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, (long)id);
	assert_true(p->vcpu >= 0);
	p->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, p->vcpu, 0);
	assert_ptr_not_equal(p->run, MAP_FAILED);
	p->mailbox = (void *)(m->plain + MAILBOXES + id * PAGE);
	p->mailbox->is_amd = set_cpuid(p);
	p->mailbox->area = AREAS + id * AREA_SIZE;
	p->mailbox->nr_ranges = sizeof(ranges) / sizeof(ranges[0]);
	memcpy(p->mailbox->ranges, ranges, sizeof(ranges));
	enter_long_mode(p->vcpu);
	assert_int_equal(ioctl(p->vcpu, KVM_SET_REGS, &regs), 0);
}

static void free_player(struct player *p)
{
	munmap(p->run, (size_t)ioctl(p->m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	close(p->vcpu);
}

/* ---- what the host does ------------------------------------------------------------------------ */

#define WRONG(p, ...) (snprintf((p)->wrong, sizeof((p)->wrong), __VA_ARGS__), false)

static bool find_shared(struct player *p, const struct mailbox *m)
{
	uint8_t *at = p->m->areas + (m->gpa - AREAS), *end = at + m->size;
	uint8_t want = (uint8_t)m->want, value;

	for (; at < end; at += PAGE) {
		for (size_t i = 0; i < PAGE; i += PAGE - STEP)
			if (host_read(at + i, &value) || value != want)
				return WRONG(p, "a shared page at 0x%zx: no %c", at - p->m->areas,
					     want);
		memset(at, (int)m->leave, PAGE);
	}
	return true;
}

static bool find_hidden(struct player *p, const struct mailbox *m)
{
	uint8_t *at = p->m->areas + (m->gpa - AREAS), *end = at + m->size, value;

	for (; at < end; at += PAGE)
		if (host_read(at, &value) != SIGBUS || host_write(at, 'x') != SIGBUS)
			return WRONG(p, "a private page at 0x%zx: no SIGBUS", at - p->m->areas);
	return true;
}

static bool punch(struct player *p, const struct mailbox *m)
{
	if (fallocate(p->m->fd, PUNCH, (off_t)(m->gpa - AREAS), (off_t)m->size))
		return WRONG(p, "fallocate: %s", strerror(errno));
	return true;
}

/* False: the guest has played to the end, or something is wrong. */
static bool on_mailbox(struct player *p)
{
	const struct mailbox *m = p->mailbox;

	switch (m->what) {
	case SHARED:
		return find_shared(p, m);
	case HIDDEN:
		return find_hidden(p, m);
	case PUNCH_IT:
		return punch(p, m);
	case DONE:
		return false;
	default:
		return WRONG(p, "the guest, line %d: 0x%llx at 0x%llx and not 0x%llx", (int)m->size,
			     (unsigned long long)m->leave, (unsigned long long)m->gpa,
			     (unsigned long long)m->want);
	}
}

static bool on_hypercall(struct player *p)
{
	uint64_t gpa = p->run->hypercall.args[0], size = p->run->hypercall.args[1] * PAGE;
	uint64_t attributes = p->run->hypercall.args[2] & 16 ? PRIVATE : 0, where = 0;
	int r = 0;

	if (size)
		r = inplace_convert(p->m->fd, gpa - AREAS, size, attributes, &where);
	p->run->hypercall.ret = 0;
	if (r)
		return WRONG(p, "conversion of 0x%llx: %s at 0x%llx", (unsigned long long)gpa,
			     strerror(-r), (unsigned long long)where);
	return true;
}

static bool on_exit_of(struct player *p, int r)
{
	p->nr_exits++;
	if (r && errno == EINTR)
		return true;
	if (!r && p->run->exit_reason == KVM_EXIT_IO)
		return on_mailbox(p);
	if (!r && p->run->exit_reason == KVM_EXIT_HYPERCALL)
		return on_hypercall(p);
	return WRONG(p, "KVM_RUN: %s, exit reason %u", strerror(r ? errno : 0),
		     p->run->exit_reason);
}

static void *play(void *arg)
{
	struct player *p = arg;
	bool goes_on = true;

	while (goes_on)
		goes_on = on_exit_of(p, ioctl(p->vcpu, KVM_RUN, 0));
	return NULL;
}

static void convert_with(unsigned int nr_slots, unsigned int nr_vcpus)
{
	struct player players[MAX_VCPUS];
	pthread_t threads[MAX_VCPUS];
	struct machine m;
	unsigned int i;

	make_machine(&m, nr_slots, nr_vcpus);
	for (i = 0; i < nr_vcpus; i++)
		make_player(&players[i], &m, i);
	for (i = 0; i < nr_vcpus; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, play, &players[i]), 0);
	for (i = 0; i < nr_vcpus; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < nr_vcpus; i++) {
		if (players[i].wrong[0])
			fail_msg("vCPU %u: %s", i, players[i].wrong);
		assert_true(players[i].nr_exits > ROUNDS * 60);
		free_player(&players[i]);
	}
	free_machine(&m);
}

static void one_slot_one_vcpu(void **state)
{
	convert_with(1, 1);
}

static void one_slot_four_vcpus(void **state)
{
	convert_with(1, 4);
}

static void four_slots_four_vcpus(void **state)
{
	convert_with(4, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_slot_one_vcpu),
		cmocka_unit_test(one_slot_four_vcpus),
		cmocka_unit_test(four_slots_four_vcpus),
	};

	inplace_need();
	alarm(200);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
