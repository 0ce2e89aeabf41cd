/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Memory that changes while the guest spins on it: the guest reads a word in a loop until it is
 * no longer 1, then says what it found. Whatever takes the page away must reach the running vCPU.
 */
#include "probe.h"

#include <pthread.h>

#define BASE 0xc0000000UL
#define TURNS 0x5000 /* the guest counts its turns here */

struct spin {
	struct guest g;
	pthread_t thread;
	int ret, error;
};

static void *run_once(void *arg)
{
	struct spin *s = arg;

	s->ret = ioctl(s->g.vcpu, KVM_RUN, 0);
	s->error = errno;
	return NULL;
}

/* mov eax, [BASE]; inc dword [TURNS]; cmp eax, 1; je back; out 0x10, eax; hlt */
static void spin_start(struct spin *s)
{
	volatile uint32_t *turns = (uint32_t *)(void *)(s->g.mem + TURNS);

	guest_load(&s->g, 0xa1, 0, 0, 0, 0xc0, 0xff, 0x05, 0, 0x50, 0, 0, 0x3d, 1, 0, 0, 0, 0x74,
		   0xee, 0xe7, 0x10, 0xf4);
	*turns = 0;
	if (pthread_create(&s->thread, NULL, run_once, s))
		_exit(1);
	while (*turns < 3)
		usleep(100);
}

static void spin_say(struct spin *s, const char *what)
{
	pthread_join(s->thread, NULL);
	say(what, "%s", guest_exit(&s->g, s->ret, s->error));
}

static uint8_t *plain_make(struct spin *s)
{
	uint8_t *mem = anon_map(PG);

	guest_make(&s->g, 0, GUEST_FLAT32);
	mem[0] = 1;
	if (slot_v1(s->g.vm, 1, 0, BASE, PG, mem))
		_exit(1);
	spin_start(s);
	return mem;
}

static void plain(void)
{
	struct spin s;
	uint8_t *mem;

	mem = plain_make(&s);
	*(volatile uint32_t *)(void *)mem = 0x1234;
	spin_say(&s, "the host writes");
	mem = plain_make(&s);
	madvise(mem, PG, MADV_DONTNEED);
	spin_say(&s, "the host drops the page");
	mem = plain_make(&s);
	munmap(mem, PG);
	spin_say(&s, "the host unmaps it");
	mem = plain_make(&s);
	mprotect(mem, PG, PROT_NONE);
	spin_say(&s, "the host takes all access");
	mem = plain_make(&s);
	mmap(mem, PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	spin_say(&s, "the host maps other memory there");
	plain_make(&s);
	slot_v1(s.g.vm, 1, 0, BASE + M2, PG, mem);
	slot_v1(s.g.vm, 1, 0, 0, 0, NULL);
	spin_say(&s, "the slot is deleted");
}

static int gmem_make(struct spin *s)
{
	uint8_t *map;
	int f;

	guest_make(&s->g, 0, GUEST_FLAT32);
	f = gmem_need(s->g.vm, PG, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	map = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	map[0] = 1;
	munmap(map, PG);
	if (slot_v2(s->g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, PG, NULL, f, 0))
		_exit(1);
	spin_start(s);
	return f;
}

static void gmem(void)
{
	struct spin s;
	uint8_t *map;
	int f;

	f = gmem_make(&s);
	fallocate(f, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PG);
	spin_say(&s, "the file is punched");
	f = gmem_make(&s);
	map = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	*(volatile uint32_t *)(void *)map = 0x4321;
	spin_say(&s, "the host writes to the file");
	f = gmem_make(&s);
	close(f);
	spin_say(&s, "the file is closed");
}

/* A page with 1 as its shared and 2 as its private contents. */
static uint8_t *both_make(struct spin *s, uint64_t attribute)
{
	uint8_t *mem = anon_map(PG);
	int f;

	guest_make(&s->g, KVM_X86_SW_PROTECTED_VM, GUEST_FLAT32);
	f = gmem_need(s->g.vm, PG, 0);
	if (slot_v2(s->g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, PG, mem, f, 0))
		_exit(1);
	attr_set(s->g.vm, BASE, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	guest_load(&s->g, 0xc6, 0x05, 0, 0, 0, 0xc0, attribute ? 1 : 2, 0xf4);
	guest_go(&s->g);
	attr_set(s->g.vm, BASE, PG, attribute);
	mem[0] = attribute ? 2 : 1;
	spin_start(s);
	return mem;
}

static void conversion(void)
{
	struct spin s;

	both_make(&s, 0);
	attr_set(s.g.vm, BASE, PG, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	spin_say(&s, "a shared page becomes private");
	both_make(&s, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	attr_set(s.g.vm, BASE, PG, 0);
	spin_say(&s, "a private page becomes shared");
	both_make(&s, KVM_MEMORY_ATTRIBUTE_PRIVATE);
	slot_v1(s.g.vm, 1, 0, 0, 0, NULL);
	spin_say(&s, "the slot of a private page is deleted");
	both_make(&s, 0);
	slot_v1(s.g.vm, 1, 0, 0, 0, NULL);
	spin_say(&s, "the slot of a shared page is deleted");
}

static const struct probe_case list[] = {
	{ "live", "plain memory", plain },
	{ "live", "guest_memfd", gmem },
	{ "live-protected", "conversion", conversion },
};

const struct probe_list cases_live = { list, COUNT(list) };
