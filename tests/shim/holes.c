/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A hole that a program has made (munmap, mremap away) is the program's to fill: with one thread, nothing else can
 * have come there. Nor is anything new but what the program mapped itself where the kernel puts mappings.
 */
#include "t.h"

#define ROUNDS 12
#define ROOM (4ul << 20)
#define GMEM_SIZE (16 * PAGE)
#define NR_OWN 8192

struct range {
	uintptr_t start, end;
};

/* What is there without gmem's doing. */
static struct range own[NR_OWN];
static unsigned int nr_own;
static int vms[ROUNDS], files[ROUNDS];
static char *maps[ROUNDS];
static struct range holes[2 * ROUNDS];

static void note(const void *at, size_t size)
{
	CHECK(nr_own < NR_OWN);
	own[nr_own++] = (struct range){ (uintptr_t)at, (uintptr_t)at + size };
}

/* Beside the C library, which was put there by the kernel. */
static bool by_the_kernel(uintptr_t at)
{
	return ((uintptr_t)stdout ^ at) >> 40 == 0;
}

static bool is_hole(uintptr_t page)
{
	for (unsigned int i = 0; i < 2 * ROUNDS; i++)
		if (page >= holes[i].start && page < holes[i].end)
			return true;
	return false;
}

static bool is_own(uintptr_t page)
{
	for (unsigned int i = 0; i < nr_own; i++)
		if (page >= own[i].start && page < own[i].end)
			return true;
	return false;
}

static void each_mapping(void (*fn)(struct range r, const char *line))
{
	char line[512];
	struct range r;
	FILE *f = fopen("/proc/self/maps", "re");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &r.start, &r.end) == 2 && by_the_kernel(r.start))
			fn(r, line);
	fclose(f);
}

static void note_mapping(struct range r, const char *line)
{
	note((void *)r.start, r.end - r.start);
}

static void must_be_own(struct range r, const char *line)
{
	for (uintptr_t page = r.start; page < r.end; page += PAGE)
		if (is_hole(page) || !is_own(page)) {
			fprintf(stderr, "nobody asked for a mapping here: %s", line);
			exit(1);
		}
}

static char *map_own(size_t size)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED);
	note(at, size);
	return at;
}

/* Large ones, where gmem's threads and tables would fit, and small ones. Mapped first, all of them: the kernel puts what
 * the program maps into its own holes, too. */
static void make_holes(void)
{
	char *cut[ROUNDS], *from[ROUNDS], *to[ROUNDS];
	size_t size[ROUNDS];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		size[i] = ROOM >> i > 2 * PAGE ? ROOM >> i : 2 * PAGE;
		cut[i] = map_own(size[i] + 2 * PAGE) + PAGE;
		from[i] = map_own(size[i]);
		to[i] = map_own(size[i]);
		maps[i] = map_own(GMEM_SIZE);
	}
	for (unsigned int i = 0; i < ROUNDS; i++) {
		CHECK(munmap(cut[i], size[i]) == 0);
		CHECK(mremap(from[i], size[i], size[i], MREMAP_MAYMOVE | MREMAP_FIXED, to[i]) ==
		      to[i]);
		holes[2 * i] = (struct range){ (uintptr_t)cut[i], (uintptr_t)cut[i] + size[i] };
		holes[2 * i + 1] =
			(struct range){ (uintptr_t)from[i], (uintptr_t)from[i] + size[i] };
	}
}

static void fill_holes(void)
{
	for (unsigned int i = 0; i < 2 * ROUNDS; i++) {
		size_t size = holes[i].end - holes[i].start;
		void *at = (void *)holes[i].start;

		CHECK(mmap(at, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
		memset(at, 0xa5, size);
	}
}

static int convert(int gmem, uint64_t offset, bool to_private)
{
	struct kvm_memory_attributes2 a = {
		.offset = offset,
		.size = PAGE,
		.attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return ioctl(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a);
}

/* A VM, its slot, a vCPU that is not run, conversions. */
static void make_some(unsigned int i)
{
	struct kvm_userspace_memory_region2 slot = {
		.flags = KVM_MEM_GUEST_MEMFD,
		.memory_size = GMEM_SIZE,
	};

	vms[i] = make_vm(KVM_X86_SW_PROTECTED_VM);
	files[i] = make_gmem(vms[i], GMEM_SIZE, 3);
	CHECK(mmap(maps[i], GMEM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, files[i],
		   0) == maps[i]);
	slot.userspace_addr = (uintptr_t)maps[i];
	slot.guest_memfd = (unsigned int)files[i];
	CHECK(ioctl(vms[i], KVM_SET_USER_MEMORY_REGION2, &slot) == 0);
	for (int vcpu = 0; vcpu < 4; vcpu++)
		CHECK(ioctl(vms[i], KVM_CREATE_VCPU, vcpu) >= 0);
}

static void use(unsigned int i)
{
	for (uint64_t at = 0; at < GMEM_SIZE; at += PAGE)
		maps[i][at] = (char)(at / PAGE + i);
	for (uint64_t at = 0; at < GMEM_SIZE; at += 2 * PAGE)
		CHECK(convert(files[i], at, true) == 0);
	for (uint64_t at = PAGE; at < GMEM_SIZE; at += 2 * PAGE)
		CHECK(maps[i][at] == (char)(at / PAGE + i));
	for (uint64_t at = 0; at < GMEM_SIZE; at += 2 * PAGE)
		CHECK(convert(files[i], at, false) == 0 && maps[i][at] == (char)(at / PAGE + i));
}

/* A child that has the file in hand: gmem has threads here and there. */
static void in_a_child(unsigned int i)
{
	pid_t pid = fork();

	if (pid == 0) {
		use(i);
		fill_holes();
		use(i);
		_exit(0);
	}
	CHECK(exit_status(pid) == 0);
}

int main(void)
{
	each_mapping(note_mapping);
	make_holes();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		make_some(i);
		use(i);
	}
	in_a_child(0);
	/* The windows and what the program has are there; holes are not among them. */
	each_mapping(must_be_own);
	fill_holes();
	for (unsigned int i = 0; i < ROUNDS; i++) {
		use(i);
		in_a_child(i);
		close(files[i]);
		close(vms[i]);
		munmap(maps[i], GMEM_SIZE);
	}
	for (unsigned int i = 0; i < 2 * ROUNDS; i++)
		for (uintptr_t at = holes[i].start; at < holes[i].end; at += PAGE)
			CHECK(*(unsigned char *)at == 0xa5);
	return 0;
}
