/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a guest's access to each kind of memory gives, on a default VM. */
#include "probe.h"

#include <pthread.h>
#include <sys/wait.h>

#define BASE 0xc0000000UL
#define RW (PROT_READ | PROT_WRITE)

#define ADDR(a) (a) & 255, (a) >> 8 & 255, (a) >> 16 & 255, (uint32_t)(a) >> 24

/* One instruction on memory at gpa, size 1, 2, 4; then hlt. */
static const char *load(struct guest *g, uint32_t gpa, int size)
{
	if (size == 1)
		guest_load(g, 0xa0, ADDR(gpa), 0xf4);
	else if (size == 2)
		guest_load(g, 0x66, 0xa1, ADDR(gpa), 0xf4);
	else
		guest_load(g, 0xa1, ADDR(gpa), 0xf4);
	return guest_go(g);
}

static const char *store(struct guest *g, uint32_t gpa, uint32_t value)
{
	guest_load(g, 0xb8, ADDR(value), 0xa3, ADDR(gpa), 0xf4);
	return guest_go(g);
}

/* ---- no slot: MMIO ---- */

static void mmio_sizes(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	for (int size = 1; size <= 4; size *= 2)
		say(qf("load of %d where no slot is", size), "%s", load(&g, BASE + 0x10, size));
	say("rip at the exit", "%#lx", guest_rip(&g));
	say("store of 4 where no slot is", "%s", store(&g, BASE, 0x11223344));
	say("and on", "%s", guest_go(&g));
	guest_load(&g, 0xa1, ADDR(BASE + 0xffe), 0xf4);
	say("load of 4 over a page border: first part", "%s", guest_go(&g));
	say("second part", "%s", guest_go(&g));
	say("and on again", "%s", guest_go(&g));
	say("load of 4 above every slot and below 4 GiB", "%s", load(&g, 0xfffffff0, 4));
}

static void mmio_data(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	load(&g, BASE, 4);
	memcpy(g.run->mmio.data, "\x78\x56\x34\x12", 4);
	say("load completed with data of ours", "%s", guest_go(&g));
	say("eax after it", "%#lx", guest_rax(&g));
	/* movzx eax, byte [BASE] */
	guest_load(&g, 0x0f, 0xb6, 0x05, ADDR(BASE), 0xf4);
	say("movzx from nothing", "%s", guest_go(&g));
	g.run->mmio.data[0] = 0xfe;
	guest_go(&g);
	say("eax after movzx", "%#lx", guest_rax(&g));
	/* movsx eax, byte [BASE] */
	guest_load(&g, 0x0f, 0xbe, 0x05, ADDR(BASE), 0xf4);
	guest_go(&g);
	g.run->mmio.data[0] = 0xfe;
	guest_go(&g);
	say("eax after movsx", "%#lx", guest_rax(&g));
	/* add dword [BASE], 5 */
	guest_load(&g, 0x83, 0x05, ADDR(BASE), 5, 0xf4);
	say("read and write in one: the read", "%s", guest_go(&g));
	memcpy(g.run->mmio.data, "\x02\0\0", 4);
	say("read and write in one: the write", "%s", guest_go(&g));
	say("read and write in one: the end", "%s", guest_go(&g));
	/* push dword [BASE] */
	guest_load(&g, 0xff, 0x35, ADDR(BASE), 0xf4);
	guest_go(&g);
	memcpy(g.run->mmio.data, "\x0d\xf0\xad\x0b", 4);
	guest_go(&g);
	say("what a push from nothing pushed", "%#x", *(uint32_t *)(g.mem + GUEST_STACK - 4));
}

static void mmio_strings(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	/* mov edi, BASE; mov eax, 0x77; mov ecx, 3; rep stosb; hlt */
	guest_load(&g, 0xbf, ADDR(BASE), 0xb8, 0x77, 0, 0, 0, 0xb9, 3, 0, 0, 0, 0xf3, 0xaa, 0xf4);
	for (int i = 0; i < 4; i++)
		say(qf("rep stosb of 3 to nothing: exit %d", i + 1), "%s", guest_go(&g));
	/* jmp to nothing */
	guest_load(&g, 0xb8, ADDR(BASE), 0xff, 0xe0);
	say("jump to where no slot is", "%s", guest_go(&g));
	/* lgdt-like data access of 6 bytes: fnstcw is 2, cmpxchg8b is 8 */
	guest_load(&g, 0x0f, 0xc7, 0x0d, ADDR(BASE), 0xf4);
	say("cmpxchg8b on nothing", "%s", guest_go(&g));
}

static void mmio_long(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_LONG64);
	/* mov rax, [0x40000000] (physical 4 GiB); hlt */
	guest_load(&g, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0x40, 0xf4);
	say("load of 8 at 4 GiB", "%s", guest_go(&g));
	memcpy(g.run->mmio.data, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	say("its end", "%s", guest_go(&g));
	say("rax", "%#lx", guest_rax(&g));
	/* movups xmm0, [0x40000000] */
	guest_load(&g, 0x0f, 0x10, 0x04, 0x25, 0, 0, 0, 0x40, 0xf4);
	say("load of 16: first part", "%s", guest_go(&g));
	say("load of 16: second part", "%s", guest_go(&g));
	say("load of 16: end", "%s", guest_go(&g));
	/* mov [0x40000ffc], rax */
	guest_load(&g, 0x48, 0x89, 0x04, 0x25, 0xfc, 0x0f, 0, 0x40, 0xf4);
	guest_set_rax(&g, 0x8877665544332211);
	say("store of 8 over a page border: first part", "%s", guest_go(&g));
	say("store of 8 over a page border: second part", "%s", guest_go(&g));
}

/* ---- memory behind userspace_addr ---- */

static void readonly_slot(void)
{
	struct guest g;
	uint8_t *mem = anon_map(PG);

	guest_make(&g, 0, GUEST_FLAT32);
	memcpy(mem, "\x21\x43\x65\x87", 4);
	say_ok("make a read only slot", slot_v1(g.vm, 1, KVM_MEM_READONLY, BASE, PG, mem));
	say("load from it", "%s", load(&g, BASE, 4));
	say("eax from a read only slot", "%#lx", guest_rax(&g));
	say("store to it", "%s", store(&g, BASE, 0x99));
	say("and on", "%s", guest_go(&g));
	say("it did not change", "%s", peek(mem));
	mprotect(mem, PG, PROT_READ);
	say("load when the host's page is read only too", "%s", load(&g, BASE, 4));
}

static void broken_hva(void)
{
	struct guest g;
	uint8_t *mem = anon_map(4 * PG), *file;
	int m = memfd_create("m", 0);

	guest_make(&g, 0, GUEST_FLAT32);
	slot_v1(g.vm, 1, 0, BASE, 4 * PG, mem);
	say("store to good memory", "%s", store(&g, BASE, 0x99));
	munmap(mem, PG);
	say("load from unmapped memory", "%s", load(&g, BASE, 4));
	say("rip after it", "%#lx", guest_rip(&g));
	say("store to unmapped memory", "%s", store(&g, BASE, 1));
	mprotect(mem + PG, PG, PROT_READ);
	say("load from read only memory", "%s", load(&g, BASE + PG, 4));
	say("store to read only memory", "%s", store(&g, BASE + PG, 1));
	mprotect(mem + PG, PG, PROT_NONE);
	say("load from memory without access", "%s", load(&g, BASE + PG, 4));
	mprotect(mem + PG, PG, RW);
	say("and when access is back", "%s", load(&g, BASE + PG, 4));
	if (ftruncate(m, PG))
		_exit(1);
	file = mmap(mem + 2 * PG, PG, RW, MAP_SHARED | MAP_FIXED, m, 0);
	file[0] = 0x3c;
	load(&g, BASE + 2 * PG, 1);
	say("al from a file mapped into the slot later", "%#lx", guest_rax(&g) & 255);
	if (ftruncate(m, 0))
		_exit(1);
	say("load after that file was cut", "%s", load(&g, BASE + 2 * PG, 4));
	mmap(mem, PG, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	say("load after new memory was mapped there", "%s", load(&g, BASE, 4));
	say("eax from new memory", "%#lx", guest_rax(&g));
}

static void broken_code(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	guest_load(&g, 0xf4);
	mprotect(g.mem + GUEST_CODE, PG, PROT_NONE);
	say("code page without access", "%s", guest_go(&g));
	mprotect(g.mem + GUEST_CODE, PG, RW);
	say("code page back", "%s", guest_go(&g));
	guest_make(&g, 0, GUEST_LONG64);
	guest_load(&g, 0xf4);
	mprotect(g.mem + 0x2000, PG, PROT_NONE);
	say("page table without access", "%s", guest_go(&g));
	mprotect(g.mem + 0x2000, PG, PROT_READ);
	say("page table read only", "%s", guest_go(&g));
}

static void notifier(void)
{
	struct guest g;
	uint8_t *mem = anon_map(2 * PG);

	guest_make(&g, 0, GUEST_FLAT32);
	slot_v1(g.vm, 1, 0, BASE, 2 * PG, mem);
	store(&g, BASE, 0xabcd);
	madvise(mem, PG, MADV_DONTNEED);
	load(&g, BASE, 4);
	say("eax after the host dropped the page", "%#lx", guest_rax(&g));
	store(&g, BASE, 0xabcd);
	memcpy(mem + PG, "\x0f\x0e\x0d\x0c", 4);
	if (mremap(mem + PG, PG, PG, MREMAP_MAYMOVE | MREMAP_FIXED, mem) == MAP_FAILED)
		_exit(1);
	load(&g, BASE, 4);
	say("eax after another page was moved there", "%#lx", guest_rax(&g));
	say("load from where that page was", "%s", load(&g, BASE + PG, 4));
}

/* ---- guest_memfd on a default VM ---- */

static void gmem_kinds(void)
{
	for (uint64_t flags = 0; flags < 4; flags++) {
		struct guest g;
		uint8_t *mem = anon_map(PG), *map;
		int f;

		guest_make(&g, 0, GUEST_FLAT32);
		f = gmem_need(g.vm, PG, flags);
		mem[0] = 0x10;
		slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, PG, mem, f, 0);
		load(&g, BASE, 1);
		say(qf("flags %lu: the guest reads", flags), "%s",
		    guest_rax(&g) & 255 ? "userspace_addr" : "the file");
		say(qf("flags %lu: the guest writes", flags), "%s", store(&g, BASE, 0x44));
		say(qf("flags %lu: userspace_addr then holds", flags), "%s", peek(mem));
		map = mmap(NULL, PG, RW, MAP_SHARED, f, 0);
		if (map != MAP_FAILED)
			say(qf("flags %lu: a mapping of the file holds", flags), "%s", peek(map));
		close(f);
		if (map != MAP_FAILED)
			munmap(map, PG);
		say(qf("flags %lu: load after the last close", flags), "%s", load(&g, BASE, 1));
		say(qf("flags %lu: store after the last close", flags), "%s", store(&g, BASE, 1));
		slot_v1(g.vm, 1, 0, 0, 0, NULL);
		say(qf("flags %lu: load after the slot's delete", flags), "%s", load(&g, BASE, 1));
	}
}

static void gmem_null_hva(void)
{
	struct guest g;
	int f;

	guest_make(&g, 0, GUEST_FLAT32);
	f = gmem_need(g.vm, 2 * PG, 3);
	slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, PG, NULL, f, PG);
	say("file with MMAP, userspace_addr 0: store", "%s", store(&g, BASE, 0x44));
	slot_v2(g.vm, 2, KVM_MEM_GUEST_MEMFD, BASE + M2, PG, NULL, gmem_need(g.vm, PG, 0), 0);
	say("file without MMAP, userspace_addr 0: store", "%s", store(&g, BASE + M2, 0x44));
	slot_v1(g.vm, 3, 0, BASE + 2 * M2, PG, NULL);
	say("no file, userspace_addr 0: load", "%s", load(&g, BASE + 2 * M2, 4));
}

static void gmem_punch(void)
{
	struct guest g;
	uint8_t *map;
	int f;

	guest_make(&g, 0, GUEST_FLAT32);
	f = gmem_need(g.vm, 2 * PG, 3);
	map = mmap(NULL, 2 * PG, RW, MAP_SHARED, f, 0);
	slot_v2(g.vm, 1, KVM_MEM_GUEST_MEMFD, BASE, 2 * PG, map, f, 0);
	store(&g, BASE, 0x44);
	store(&g, BASE + PG, 0x45);
	fallocate(f, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PG);
	load(&g, BASE, 4);
	say("guest after a punch", "%#lx", guest_rax(&g));
	load(&g, BASE + PG, 4);
	say("guest beside the punch", "%#lx", guest_rax(&g));
	store(&g, BASE, 0x46);
	madvise(map, PG, MADV_REMOVE);
	load(&g, BASE, 4);
	say("guest after MADV_REMOVE", "%#lx", guest_rax(&g));
	map[0] = 0x47;
	load(&g, BASE, 1);
	say("guest reads what the host wrote", "%#lx", guest_rax(&g) & 255);
	if (fork() == 0) {
		fallocate(f, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PG);
		_exit(0);
	}
	wait(NULL);
	load(&g, BASE, 1);
	say("guest after a punch by a forked child", "%#lx", guest_rax(&g) & 255);
	say("host after it", "%s", peek(map));
}

static void second_space(void)
{
	struct guest g;
	uint8_t *mem = anon_map(PG);

	guest_make(&g, 0, GUEST_FLAT32);
	if (slot_v1(g.vm, 1 | 1 << 16, 0, BASE, PG, mem))
		cannot_ask();
	say("load from a slot of address space 1", "%s", load(&g, BASE, 4));
}

/* ---- a slot deleted while the guest runs in it ---- */

static void *run_loop(void *arg)
{
	struct guest *g = arg;

	while (ioctl(g->vcpu, KVM_RUN, 0) < 0 && errno == EINTR)
		;
	return NULL;
}

static void deleted_under_way(void)
{
	struct guest g;
	pthread_t thread;
	uint8_t *mem = anon_map(PG);

	guest_make(&g, 0, GUEST_FLAT32);
	slot_v1(g.vm, 1, 0, BASE, PG, mem);
	/* again: mov eax, [BASE]; inc dword [0x5000]; jmp again */
	guest_load(&g, 0xa1, ADDR(BASE), 0xff, 0x05, 0, 0x50, 0, 0, 0xeb, 0xf3);
	if (pthread_create(&thread, NULL, run_loop, &g))
		_exit(1);
	while (!*(volatile uint32_t *)(g.mem + 0x5000))
		usleep(1000);
	say_ok("delete a slot the guest reads in a loop", slot_v1(g.vm, 1, 0, 0, 0, NULL));
	pthread_join(thread, NULL);
	say("the guest's exit", "%s", guest_exit(&g, 0, 0));
	munmap(mem, PG);
	say("the guest goes on", "%s", guest_go(&g));
}

static const struct probe_case list[] = {
	{ "mmio", "sizes", mmio_sizes },
	{ "mmio", "data", mmio_data },
	{ "mmio", "strings", mmio_strings },
	{ "mmio", "long mode", mmio_long },
	{ "fault", "readonly slot", readonly_slot },
	{ "fault", "broken hva", broken_hva },
	{ "fault", "broken code", broken_code },
	{ "fault", "notifier", notifier },
	{ "fault-gmem", "kinds", gmem_kinds },
	{ "fault-gmem", "null hva", gmem_null_hva },
	{ "fault-gmem", "punch", gmem_punch },
	{ "fault", "second address space", second_space },
	{ "fault", "deleted under way", deleted_under_way },
};

const struct probe_list cases_fault = { list, COUNT(list) };
