/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest_memfd mapped by its program: mmap and its rules, madvise and its kin, kernel copies. */
#include "probe.h"

#include <linux/userfaultfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define SIZE (4 * PG)
#define RW (PROT_READ | PROT_WRITE)

#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static uint8_t *map_need(int f, size_t size, off_t offset)
{
	uint8_t *p = mmap(NULL, size, RW, MAP_SHARED, f, offset);

	if (p == MAP_FAILED)
		cannot_ask();
	return p;
}

static void punch(int f, off_t offset, off_t len)
{
	fallocate(f, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, len);
}

/* ---- what maps ---- */

static void mmap_rows(void)
{
	static const struct {
		const char *name;
		int prot, flags;
		size_t size;
		off_t offset;
	} rows[] = {
		{ "shared", RW, MAP_SHARED, SIZE, 0 },
		{ "shared read only", PROT_READ, MAP_SHARED, SIZE, 0 },
		{ "shared no access", PROT_NONE, MAP_SHARED, SIZE, 0 },
		{ "shared write only", PROT_WRITE, MAP_SHARED, SIZE, 0 },
		{ "shared validate", RW, MAP_SHARED_VALIDATE, SIZE, 0 },
		{ "shared validate sync", RW, MAP_SHARED_VALIDATE | MAP_SYNC, SIZE, 0 },
		{ "private", RW, MAP_PRIVATE, SIZE, 0 },
		{ "private read only", PROT_READ, MAP_PRIVATE, SIZE, 0 },
		{ "neither shared nor private", RW, 0, SIZE, 0 },
		{ "executable", PROT_READ | PROT_EXEC, MAP_SHARED, SIZE, 0 },
		{ "executable private", PROT_READ | PROT_EXEC, MAP_PRIVATE, SIZE, 0 },
		{ "populate", RW, MAP_SHARED | MAP_POPULATE, SIZE, 0 },
		{ "locked", RW, MAP_SHARED | MAP_LOCKED, SIZE, 0 },
		{ "huge", RW, MAP_SHARED | MAP_HUGETLB, M2, 0 },
		{ "noreserve", RW, MAP_SHARED | MAP_NORESERVE, SIZE, 0 },
		{ "last page", RW, MAP_SHARED, PG, 3 * PG },
		{ "longer than the file", RW, MAP_SHARED, 4 * SIZE, 0 },
		{ "from the end", RW, MAP_SHARED, PG, SIZE },
		{ "far past the end", RW, MAP_SHARED, PG, 1L << 40 },
		{ "not a multiple of a page", RW, MAP_SHARED, 100, 0 },
		{ "length 0", RW, MAP_SHARED, 0, 0 },
		{ "offset misaligned", RW, MAP_SHARED, PG, 100 },
		{ "offset negative", RW, MAP_SHARED, PG, -4096 },
	};
	int vm = vm_new(0);

	for (uint64_t flags = 0; flags < 4; flags++) {
		int f = gmem_need(vm, SIZE, flags);

		for (size_t i = 0; i < COUNT(rows); i++) {
			void *p = mmap(NULL, rows[i].size, rows[i].prot, rows[i].flags, f,
				       rows[i].offset);

			say_ok(qf("flags %lu: %s", flags, rows[i].name), p == MAP_FAILED ? -1 : 0);
			if (p != MAP_FAILED)
				munmap(p, rows[i].size);
		}
	}
}

static void touching_shared(void)
{
	int f = gmem_need(vm_new(0), SIZE, 3);
	uint8_t *p = map_need(f, 8 * PG, 0), *q;

	say("fresh page", "%s", peek(p));
	say("write page 0", "%s", touch_write(p, 0xaa));
	say("read it back", "%s", peek(p));
	say("last byte of the file", "%s", touch_write(p + SIZE - 1, 0xbb));
	say("first byte past the end, read", "%s", touch_read(p + SIZE));
	say("first byte past the end, write", "%s", touch_write(p + SIZE, 1));
	say("last byte of the mapping", "%s", touch_read(p + 8 * PG - 1));
	q = map_need(f, SIZE, 0);
	say("a second mapping sees it", "%s", peek(q));
	touch_write(q + 1, 0xcc);
	say("and is seen by the first", "%s", peek(p + 1));
	munmap(q, SIZE);
	munmap(p, 8 * PG);
	p = map_need(f, SIZE, 0);
	say("contents survive munmap", "%s", peek(p));
	punch(f, 0, PG);
	say("zero after a punch", "%s", peek(p));
	say("neighbour kept", "%s", peek(p + SIZE - 1));
	touch_write(p, 0x11);
	fallocate(f, FALLOC_FL_KEEP_SIZE, 0, SIZE);
	say("kept by an allocation", "%s", peek(p));
	p = mmap(NULL, PG, PROT_READ, MAP_SHARED, f, 0);
	say("write through a read only mapping", "%s", touch_write(p, 1));
	close(f);
	say("read after close", "%s", peek(p));
}

static void touching_private(void)
{
	int f = gmem_need(vm_new(0), SIZE, 1);
	uint8_t *p = map_need(f, 8 * PG, 0);

	say("private: read", "%s", touch_read(p));
	say("private: write", "%s", touch_write(p + 5, 1));
	say("private: last page", "%s", touch_read(p + 3 * PG));
	fallocate(f, FALLOC_FL_KEEP_SIZE, 0, SIZE);
	say("private: read after allocation", "%s", touch_read(p));
	say("private: past the end", "%s", touch_read(p + SIZE));
	say_ok("private: mprotect to none", mprotect(p, PG, PROT_NONE));
	say("private: read of none", "%s", touch_read(p));
}

/* ---- madvise ---- */

static const struct {
	const char *name;
	int advice;
} advices[] = {
	{ "NORMAL", MADV_NORMAL },
	{ "RANDOM", MADV_RANDOM },
	{ "WILLNEED", MADV_WILLNEED },
	{ "DONTNEED", MADV_DONTNEED },
	{ "FREE", MADV_FREE },
	{ "DONTFORK", MADV_DONTFORK },
	{ "DOFORK", MADV_DOFORK },
	{ "MERGEABLE", MADV_MERGEABLE },
	{ "HUGEPAGE", MADV_HUGEPAGE },
	{ "NOHUGEPAGE", MADV_NOHUGEPAGE },
	{ "DONTDUMP", MADV_DONTDUMP },
	{ "DODUMP", MADV_DODUMP },
	{ "WIPEONFORK", MADV_WIPEONFORK },
	{ "COLD", MADV_COLD },
	{ "PAGEOUT", MADV_PAGEOUT },
	{ "POPULATE_READ", MADV_POPULATE_READ },
	{ "POPULATE_WRITE", MADV_POPULATE_WRITE },
	{ "COLLAPSE", MADV_COLLAPSE },
	{ "REMOVE", MADV_REMOVE },
	{ "advice 99", 99 },
};

static void advise(const char *what, uint64_t flags)
{
	int f = gmem_need(vm_new(0), M2, flags);
	uint8_t *area = mmap(NULL, 2 * M2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = (uint8_t *)(((uintptr_t)area + M2 - 1) & ~(M2 - 1));
	uint8_t *p = mmap(at, M2, RW, MAP_SHARED | MAP_FIXED, f, 0);

	if (p == MAP_FAILED)
		cannot_ask();
	for (size_t i = 0; i < COUNT(advices); i++) {
		touch_write(p, 0x77);
		say_ok(qf("%s: madvise %s", what, advices[i].name),
		       madvise(p, advices[i].advice == MADV_COLLAPSE ? M2 : PG, advices[i].advice));
		say(qf("%s: byte after %s", what, advices[i].name), "%s", peek(p));
	}
}

static void madvise_shared(void)
{
	advise("shared", 3);
}

static void madvise_private(void)
{
	advise("private", 1);
}

static void madvise_edges(void)
{
	int f = gmem_need(vm_new(0), SIZE, 3);
	uint8_t *p = map_need(f, 8 * PG, 0), *r;

	memset(p, 0x55, SIZE);
	say_ok("REMOVE two pages over the end", madvise(p + 3 * PG, 2 * PG, MADV_REMOVE));
	say("last page after it", "%s", peek(p + 3 * PG));
	say_ok("POPULATE_READ over the end", madvise(p, 8 * PG, MADV_POPULATE_READ));
	say_ok("POPULATE_WRITE past the end", madvise(p + SIZE, PG, MADV_POPULATE_WRITE));
	say_ok("DONTNEED misaligned", madvise(p + 1, PG, MADV_DONTNEED));
	r = mmap(NULL, PG, PROT_READ, MAP_SHARED, f, 0);
	say_ok("REMOVE through a read only mapping", madvise(r, PG, MADV_REMOVE));
	say_ok("POPULATE_WRITE through a read only mapping", madvise(r, PG, MADV_POPULATE_WRITE));
}

/* ---- mprotect, mremap, mlock, msync ---- */

static void protect(void)
{
	int f = gmem_need(vm_new(0), SIZE, 3);
	uint8_t *p = map_need(f, SIZE, 0);

	touch_write(p, 0x42);
	say_ok("mprotect read only", mprotect(p, PG, PROT_READ));
	say("write to it", "%s", touch_write(p, 1));
	say("read of it", "%s", peek(p));
	say_ok("mprotect none", mprotect(p, PG, PROT_NONE));
	say("read of none", "%s", touch_read(p));
	say_ok("mprotect back", mprotect(p, PG, RW));
	say("read again", "%s", peek(p));
	say_ok("mprotect with exec", mprotect(p, PG, PROT_READ | PROT_EXEC));
	say_ok("mlock", mlock(p, SIZE));
	say_ok("munlock", munlock(p, SIZE));
	say_ok("mlock2 on fault", mlock2(p, SIZE, MLOCK_ONFAULT));
	say_ok("msync MS_SYNC", msync(p, SIZE, MS_SYNC));
	say_ok("msync MS_ASYNC", msync(p, SIZE, MS_ASYNC));
	say_ok("msync MS_INVALIDATE", msync(p, SIZE, MS_INVALIDATE));
	f = gmem_need(vm_new(0), SIZE, 1);
	p = map_need(f, SIZE, 0);
	say_ok("private: mlock", mlock(p, SIZE));
	say_ok("private: mprotect read only", mprotect(p, PG, PROT_READ));
	say_ok("private: msync MS_SYNC", msync(p, SIZE, MS_SYNC));
}

static void residence(void)
{
	int f = gmem_need(vm_new(0), SIZE, 3);
	uint8_t *p = map_need(f, SIZE, 0);
	unsigned char vec[4] = { 9, 9, 9, 9 };

	touch_write(p, 1);
	say_ok("mincore", mincore(p, SIZE, vec));
	say("mincore: vector", "%d %d %d %d", vec[0], vec[1], vec[2], vec[3]);
}

static void remap(void)
{
	int f = gmem_need(vm_new(0), SIZE, 3);
	uint8_t *p = map_need(f, PG, 0), *q;

	touch_write(p, 0x31);
	q = mremap(p, PG, 8 * PG, MREMAP_MAYMOVE);
	say_ok("mremap grow", q == MAP_FAILED ? -1 : 0);
	say("contents after it", "%s", peek(q));
	say("grown part within the file", "%s", peek(q + PG));
	say("grown part past the end", "%s", touch_read(q + SIZE));
	p = mremap(q, 8 * PG, 2 * PG, 0);
	say_ok("mremap shrink", p == MAP_FAILED ? -1 : 0);
	say("contents after it again", "%s", peek(p));
	say("what was cut off", "%s", touch_read(p + 2 * PG));
	q = mremap(p, 0, PG, MREMAP_MAYMOVE);
	say_ok("mremap of size 0 duplicates", q == MAP_FAILED ? -1 : 0);
	say("the duplicate reads", "%s", peek(q));
	say("the original reads", "%s", peek(p));
	q = mremap(p, 2 * PG, 2 * PG, MREMAP_MAYMOVE | 4);
	say_ok("mremap DONTUNMAP", q == MAP_FAILED ? -1 : 0);
	say("the new place reads", "%s", peek(q));
	say("the old place reads", "%s", peek(p));
	punch(f, 0, PG);
	say("moved mapping after a punch", "%s", peek(q));
}

static void fixed(void)
{
	int f = gmem_need(vm_new(0), SIZE, 3);
	uint8_t *p = map_need(f, SIZE, 0), *q;

	touch_write(p + PG, 0x22);
	q = mmap(p, PG, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	say("anonymous memory over page 0", "%s", q == p ? peek(p) : "elsewhere");
	say("page 1 beside it", "%s", peek(p + PG));
	q = mmap(p, PG, RW, MAP_SHARED | MAP_FIXED, f, PG);
	say("page 1 of the file mapped over it", "%s", q == p ? peek(p) : "elsewhere");
	say_ok("munmap of the middle", munmap(p + PG, PG));
	say("read of the hole", "%s", touch_read(p + PG));
	say("read behind the hole", "%s", peek(p + 2 * PG));
	q = mmap(p, PG, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, f, 0);
	say_ok("FIXED_NOREPLACE onto it", q == MAP_FAILED ? -1 : 0);
}

/* ---- the kernel copies through a mapping ---- */

static ssize_t own_memory(uint8_t *p, bool out)
{
	int fd = open("/proc/self/mem", O_RDWR);
	char buf[8] = "";
	ssize_t n = out ? pread(fd, buf, 8, (uintptr_t)p) : pwrite(fd, buf, 8, (uintptr_t)p);

	close(fd);
	return n;
}

static void copies(const char *what, uint64_t flags, size_t at)
{
	int f = gmem_need(vm_new(0), SIZE, flags), m = memfd_create("m", 0), pipes[2];
	uint8_t *p = map_need(f, 8 * PG, 0) + at;
	char buf[64] = "";
	struct iovec l = { buf, 64 }, r = { p, 64 };

	if (pipe(pipes) || write(m, buf, 64) != 64)
		_exit(1);
	say_ret(qf("%s: write from it to a pipe", what), write(pipes[1], p, 64));
	say_ret(qf("%s: write from it to a file", what), pwrite(m, p, 64, 0));
	say_ret(qf("%s: read into it from a file", what), pread(m, p, 64, 0));
	say_ret(qf("%s: process_vm_readv", what), process_vm_readv(getpid(), &l, 1, &r, 1, 0));
	say_ret(qf("%s: process_vm_writev", what), process_vm_writev(getpid(), &l, 1, &r, 1, 0));
	say_ret(qf("%s: read of /proc/self/mem", what), own_memory(p, true));
	say_ret(qf("%s: write to /proc/self/mem", what), own_memory(p, false));
	say_ret(qf("%s: vmsplice", what), vmsplice(pipes[1], &r, 1, 0));
	say_ok(qf("%s: as a path", what), access((char *)p, F_OK));
	say_ok(qf("%s: as an ioctl's argument", what),
	       ioctl(vm_new(0), KVM_SET_USER_MEMORY_REGION, p));
	say_ok(qf("%s: fstat into it", what), fstat(m, (struct stat *)(void *)p));
}

static void copies_shared(void)
{
	copies("shared", 3, 0);
}

static void copies_private(void)
{
	copies("private", 1, 0);
}

static void copies_past_end(void)
{
	copies("past the end", 3, SIZE);
}

static void uffd(void)
{
	int f = gmem_need(vm_new(0), SIZE, 3);
	uint8_t *p = map_need(f, SIZE, 0);
	int u = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)p, SIZE } };

	if (u < 0 || ioctl(u, UFFDIO_API, &api))
		cannot_ask();
	reg.mode = UFFDIO_REGISTER_MODE_MISSING;
	say_ok("userfaultfd register missing", ioctl(u, UFFDIO_REGISTER, &reg));
	reg.mode = UFFDIO_REGISTER_MODE_WP;
	say_ok("userfaultfd register write protect", ioctl(u, UFFDIO_REGISTER, &reg));
	reg.mode = UFFDIO_REGISTER_MODE_MINOR;
	say_ok("userfaultfd register minor", ioctl(u, UFFDIO_REGISTER, &reg));
}

static int policy_at(const uint8_t *p)
{
	int mode = -1;

	return syscall(SYS_get_mempolicy, &mode, NULL, 0, p, 2) ? -errno : mode;
}

static void policy(void)
{
	int f = gmem_need(vm_new(0), SIZE, 3), mode = -1;
	uint8_t *p = map_need(f, SIZE, 0);
	unsigned long nodes = 1;

	if (syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0))
		cannot_ask();
	say("get_mempolicy", "%d", policy_at(p));
	say_ok("mbind BIND node 0", syscall(SYS_mbind, p, 2 * PG, 2, &nodes, 8, 0));
	say("get_mempolicy after it", "%d", policy_at(p));
	say("get_mempolicy beside it", "%d", policy_at(p + 2 * PG));
	munmap(p, SIZE);
	p = map_need(f, SIZE, 0);
	say("get_mempolicy of a new mapping", "%d", policy_at(p));
	say_ok("mbind mode 999", syscall(SYS_mbind, p, PG, 999, &nodes, 8, 0));
	say_ok("mbind BIND no node", syscall(SYS_mbind, p, PG, 2, &nodes, 0, 0));
	say_ok("mbind DEFAULT", syscall(SYS_mbind, p, SIZE, 0, NULL, 0, 0));
	say("get_mempolicy after DEFAULT", "%d", policy_at(p));
}

static const struct probe_case list[] = {
	{ "gmem-mmap", "rows", mmap_rows },
	{ "gmem-touch", "shared", touching_shared },
	{ "gmem-touch", "private", touching_private },
	{ "gmem-madvise", "shared", madvise_shared },
	{ "gmem-madvise", "private", madvise_private },
	{ "gmem-madvise", "edges", madvise_edges },
	{ "gmem-protect", "protect", protect },
	{ "gmem-protect", "residence", residence },
	{ "gmem-remap", "remap", remap },
	{ "gmem-remap", "fixed", fixed },
	{ "gmem-copy", "shared", copies_shared },
	{ "gmem-copy", "private", copies_private },
	{ "gmem-copy", "past the end", copies_past_end },
	{ "gmem-uffd", "userfaultfd", uffd },
	{ "gmem-policy", "numa policy", policy },
};

const struct probe_list cases_gmem_map = { list, COUNT(list) };
