/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Dirty logging by bitmap and by ring. */
#include "probe.h"

#include <sys/wait.h>

#define BASE 0xc0000000UL
#define ADDR(a) (a) & 255, (a) >> 8 & 255, (a) >> 16 & 255, (uint32_t)(a) >> 24

static uint64_t bitmap[64];

static int log_get(int vm, uint32_t slot, void *map)
{
	struct kvm_dirty_log l = { .slot = slot };

	l.dirty_bitmap = map;
	return ioctl(vm, KVM_GET_DIRTY_LOG, &l);
}

static int log_clear(int vm, uint32_t slot, uint64_t first, uint32_t nr, void *map)
{
	struct kvm_clear_dirty_log l = { .slot = slot, .first_page = first, .num_pages = nr };

	l.dirty_bitmap = map;
	return ioctl(vm, KVM_CLEAR_DIRTY_LOG, &l);
}

static void dirty(struct guest *g, uint32_t page)
{
	uint32_t gpa = BASE + page * PG;

	guest_load(g, 0xc6, 0x05, ADDR(gpa), 0x77, 0xf4);
	guest_go(g);
}

static const char *bits(struct guest *g, uint32_t slot)
{
	static char texts[4][60];
	static unsigned int next;
	char *t = texts[next++ % COUNT(texts)];
	int ret;

	memset(bitmap, 0xee, sizeof(bitmap));
	ret = log_get(g->vm, slot, bitmap);
	if (ret < 0)
		return err_str(ret);
	snprintf(t, sizeof(texts[0]), "%#llx %#llx", (unsigned long long)bitmap[0],
		 (unsigned long long)bitmap[1]);
	return t;
}

static void plain(void)
{
	struct guest g;
	uint8_t *mem = anon_map(128 * PG);

	guest_make(&g, 0, GUEST_FLAT32);
	slot_v1(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, 128 * PG, mem);
	say("fresh log", "%s", bits(&g, 1));
	dirty(&g, 0);
	dirty(&g, 5);
	dirty(&g, 64);
	say("pages 0, 5 and 64 written", "%s", bits(&g, 1));
	say("read again", "%s", bits(&g, 1));
	dirty(&g, 5);
	say("page 5 written again", "%s", bits(&g, 1));
	mem[6 * PG] = 1;
	say("page 6 written by the host", "%s", bits(&g, 1));
	guest_load(&g, 0xa0, ADDR(BASE + 7 * PG), 0xf4);
	guest_go(&g);
	say("page 7 read by the guest", "%s", bits(&g, 1));
	dirty(&g, 8);
	slot_v1(g.vm, 1, 0, BASE, 128 * PG, mem);
	say("logging switched off", "%s", bits(&g, 1));
	slot_v1(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, 128 * PG, mem);
	say("and on again", "%s", bits(&g, 1));
}

static void small(void)
{
	struct guest g;

	guest_make(&g, 0, GUEST_FLAT32);
	slot_v1(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, 3 * PG, anon_map(3 * PG));
	dirty(&g, 2);
	say("bitmap of 3 pages, word behind it", "%s", bits(&g, 1));
	guest_load(&g, 0x0f, 0xab, 0x05, ADDR(BASE), 0xf4);
	guest_go(&g);
	say("bts", "%s", bits(&g, 1));
	guest_load(&g, 0x68, 1, 0, 0, 0, 0x8f, 0x05, ADDR(BASE + PG), 0xf4);
	guest_go(&g);
	say("pop to memory", "%s", bits(&g, 1));
}

static void mistakes(void)
{
	struct guest g;
	uint8_t *mem = anon_map(128 * PG);

	guest_make(&g, 0, GUEST_FLAT32);
	slot_v1(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, 128 * PG, mem);
	say_ok("GET NULL", ioctl(g.vm, KVM_GET_DIRTY_LOG, NULL));
	say_ok("GET of a slot without log", log_get(g.vm, 0, bitmap));
	say_ok("GET of no slot", log_get(g.vm, 9, bitmap));
	say_ok("GET of slot id 32764", log_get(g.vm, 32764, bitmap));
	say_ok("GET of address space 1", log_get(g.vm, 1 | 1 << 16, bitmap));
	say_ok("GET of address space 2", log_get(g.vm, 1 | 2 << 16, bitmap));
	say_ok("GET into NULL", log_get(g.vm, 1, NULL));
	say_ok("CLEAR NULL", ioctl(g.vm, KVM_CLEAR_DIRTY_LOG, NULL));
	say_ok("CLEAR of a slot without log", log_clear(g.vm, 0, 0, 64, bitmap));
	say_ok("CLEAR of no slot", log_clear(g.vm, 9, 0, 64, bitmap));
	say_ok("CLEAR first page 1", log_clear(g.vm, 1, 1, 64, bitmap));
	say_ok("CLEAR first page 1 of no slot", log_clear(g.vm, 9, 1, 64, bitmap));
	say_ok("CLEAR 10 pages in the middle", log_clear(g.vm, 1, 0, 10, bitmap));
	say_ok("CLEAR to the end", log_clear(g.vm, 1, 64, 64, bitmap));
	say_ok("CLEAR past the end", log_clear(g.vm, 1, 64, 65, bitmap));
	say_ok("CLEAR from the end, none", log_clear(g.vm, 1, 128, 0, bitmap));
	say_ok("CLEAR from behind the end", log_clear(g.vm, 1, 192, 0, bitmap));
	say_ok("CLEAR from NULL", log_clear(g.vm, 1, 0, 64, NULL));
	slot_v1(g.vm, 2, KVM_MEM_LOG_DIRTY_PAGES, BASE + M2, 100 * PG, mem);
	say_ok("CLEAR the odd tail of 100 pages", log_clear(g.vm, 2, 64, 36, bitmap));
	say_ok("CLEAR more than the odd tail", log_clear(g.vm, 2, 64, 64, bitmap));
}

static void manual(void)
{
	struct guest g;
	uint64_t one = 1;

	guest_make(&g, 0, GUEST_FLAT32);
	say_ok("enable manual protect", cap_enable(g.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1));
	slot_v1(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, 128 * PG, anon_map(128 * PG));
	say("fresh manual log", "%s", bits(&g, 1));
	dirty(&g, 0);
	dirty(&g, 1);
	say("pages 0 and 1 written", "%s", bits(&g, 1));
	say("get does not clear", "%s", bits(&g, 1));
	say_ok("clear page 0", log_clear(g.vm, 1, 0, 64, &one));
	say("page 1 stays", "%s", bits(&g, 1));
	dirty(&g, 0);
	say("page 0 again", "%s", bits(&g, 1));
	guest_make(&g, 0, GUEST_FLAT32);
	cap_enable(g.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3);
	slot_v1(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, 100 * PG, anon_map(100 * PG));
	say("initially set, 100 pages", "%s", bits(&g, 1));
	log_clear(g.vm, 1, 0, 64, &one);
	say("initially set, page 0 cleared", "%s", bits(&g, 1));
}

static void ring_mappings(void)
{
	struct guest g = { .vm = vm_new(0) };
	static const struct {
		const char *name;
		int prot, flags;
	} rows[] = {
		{ "shared", PROT_READ | PROT_WRITE, MAP_SHARED },
		{ "shared read only", PROT_READ, MAP_SHARED },
		{ "private", PROT_READ, MAP_PRIVATE },
		{ "executable", PROT_READ | PROT_EXEC, MAP_SHARED },
	};

	if (cap_enable(g.vm, KVM_CAP_DIRTY_LOG_RING, 65536))
		cannot_ask();
	say_ok("ring enabled twice", cap_enable(g.vm, KVM_CAP_DIRTY_LOG_RING, 65536));
	g.vcpu = ioctl(g.vm, KVM_CREATE_VCPU, 0);
	for (size_t i = 0; i < COUNT(rows); i++) {
		void *p = mmap(NULL, 16 * PG, rows[i].prot, rows[i].flags, g.vcpu, 64 * PG);

		say_ok(qf("ring mapped %s", rows[i].name), p == MAP_FAILED ? -1 : 0);
	}
	slot_v1(g.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, BASE, 128 * PG, anon_map(128 * PG));
	say_ok("GET_DIRTY_LOG with a ring", log_get(g.vm, 1, bitmap));
	say_ok("CLEAR_DIRTY_LOG with a ring", log_clear(g.vm, 1, 0, 64, bitmap));
	say_ok("RESET_DIRTY_RINGS with nothing", ioctl(g.vm, KVM_RESET_DIRTY_RINGS, 0));
}

/* ---- a forked child holds the descriptors of its parent ---- */

static void child_asks(struct guest *g, int f, int dev)
{
	struct stat st;
	uint8_t *p;

	say_ok("child: CHECK_EXTENSION on /dev/kvm",
	       ioctl(dev, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) == 1 ? 0 : -1);
	say_fd("child: CREATE_VM", ioctl(dev, KVM_CREATE_VM, 0));
	say_ok("child: CHECK_EXTENSION on the VM", ioctl(g->vm, KVM_CHECK_EXTENSION, 3));
	say_ok("child: SET_USER_MEMORY_REGION", slot_v1(g->vm, 5, 0, 1UL << 32, PG, g->mem));
	say_ok("child: SET_USER_MEMORY_REGION2(NULL)",
	       ioctl(g->vm, KVM_SET_USER_MEMORY_REGION2, NULL));
	say_ok("child: CREATE_GUEST_MEMFD", gmem_new(g->vm, PG, 0));
	say_ok("child: SET_MEMORY_ATTRIBUTES", attr_set(g->vm, 0, PG, 0));
	say_ok("child: CREATE_VCPU", ioctl(g->vm, KVM_CREATE_VCPU, 3));
	say_ok("child: unknown ioctl on the VM", ioctl(g->vm, 0xaeff, 0));
	say_ok("child: KVM_RUN", ioctl(g->vcpu, KVM_RUN, 0));
	say_ok("child: GET_REGS", ioctl(g->vcpu, KVM_GET_REGS, NULL));
	say_ok("child: unknown ioctl on the vCPU", ioctl(g->vcpu, 0xaeff, 0));
	say_ok("child: mmap of the vCPU",
	       mmap(NULL, PG, PROT_READ, MAP_SHARED, g->vcpu, 0) == MAP_FAILED ? -1 : 0);
	say_ok("child: fstat of the gmem", fstat(f, &st));
	say("child: st_size of the gmem", "%ld", (long)st.st_size);
	say_ok("child: allocate", fallocate(f, FALLOC_FL_KEEP_SIZE, 0, 2 * PG));
	p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	say_ok("child: mmap of the gmem", p == MAP_FAILED ? -1 : 0);
	if (p == MAP_FAILED)
		return;
	say("child: reads what the parent wrote", "%s", peek(p));
	say("child: writes", "%s", touch_write(p + 1, 0x62));
	say("child: past the end", "%s", touch_read(p + PG));
	say_ok("child: punch of page 1", fallocate(f, 3, PG, PG));
}

static void forked(void)
{
	struct guest g;
	int f, dev = dev_open();
	uint8_t *p;
	pid_t pid;

	guest_make(&g, 0, GUEST_FLAT32);
	f = gmem_need(g.vm, 2 * PG, 3);
	p = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0);
	p[0] = 0x61;
	p[PG] = 0x63;
	pid = fork();
	if (pid == 0) {
		child_asks(&g, f, dev);
		say("child: reads through the parent's mapping", "%s", peek(p));
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	say("parent: sees the child's write", "%s", peek(p + 1));
	say("parent: page 1 after the child's punch", "%s", peek(p + PG));
	guest_load(&g, 0xf4);
	say("parent: KVM_RUN goes on", "%s", guest_go(&g));
	say("parent: own memory", "%s", peek(p));
}

static const struct probe_case list[] = {
	{ "log", "plain", plain },
	{ "log", "small", small },
	{ "log", "mistakes", mistakes },
	{ "log", "manual", manual },
	{ "ring", "mappings", ring_mappings },
	{ "fork", "forked", forked },
};

const struct probe_list cases_log = { list, COUNT(list) };
