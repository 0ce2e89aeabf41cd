/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Guest physical memory of slot 0. Guests find themselves in 64-bit mode, 4 GiB mapped one to one. */
#define RAM_SIZE 0x20000ul
#define PML4 0x1000ul
#define PDPT 0x2000ul
#define PAGE_DIRS 0x3000ul /* four of them */
#define CODE 0x7000ul
#define BUFFERS 0x10000ul /* two pages a guest */
#define CAP_V7 249

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "pid %d: ", (int)getpid());
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	_exit(1);
}

/* ---- the VM ---- */

bool world_converts(int kvm, bool *is_v7)
{
	*is_v7 = ioctl(kvm, KVM_CHECK_EXTENSION, CAP_V7) == KVM_MEMORY_ATTRIBUTE_PRIVATE;
	return *is_v7 || ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) ==
				 KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

static void page_tables(uint8_t *ram)
{
	uint64_t *pml4 = (void *)(ram + PML4), *pdpt = (void *)(ram + PDPT);
	uint64_t *pd = (void *)(ram + PAGE_DIRS);

	pml4[0] = PDPT | 3;
	for (unsigned int i = 0; i < 4; i++)
		pdpt[i] = (PAGE_DIRS + i * PAGE) | 3;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | 0x83;
}

/* Each operation ends with hlt; what it needs is in the registers. */
extern const uint8_t code_begin[], code_copy[], code_fill[], code_load[], code_store[], code_add[],
	code_count[], code_end[];
__asm__(".pushsection .rodata\n"
	"code_begin:\n"
	"code_copy:	rep movsq\n	hlt\n"
	"code_fill:	rep stosq\n	hlt\n"
	"code_load:	mov (%rdi), %rax\n	hlt\n"
	"code_store:	mov %rax, (%rdi)\n	hlt\n"
	"code_add:	lock add %rax, (%rdi)\n	hlt\n"
	"code_count:\n"
	"1:	mov %rax, (%rdi)\n"
	"	mov (%rdi), %rdx\n"
	"	cmp %rax, %rdx\n"
	"	jne 2f\n"
	"	inc %rax\n"
	"	dec %rcx\n"
	"	jnz 1b\n"
	"2:	hlt\n"
	"code_end:\n"
	".popsection");

void world_make_vm(struct world *w, unsigned long type)
{
	memset(w, 0, sizeof(*w));
	w->gmem = -1;
	w->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (w->kvm < 0)
		die("/dev/kvm: errno %d", errno);
	if (!world_converts(w->kvm, &w->is_v7))
		die("no conversion in place here: run with gmem run --profile in-place");
	w->vm = ioctl(w->kvm, KVM_CREATE_VM, type);
	if (w->vm < 0)
		die("KVM_CREATE_VM: errno %d", errno);
	w->ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->ram == MAP_FAILED)
		die("guest RAM: errno %d", errno);
	page_tables(w->ram);
	memcpy(w->ram + CODE, code_begin, (size_t)(code_end - code_begin));
	if (world_bind(w, 0, 0, RAM_SIZE, w->ram, -1, 0))
		die("slot 0: errno %d", errno);
}

int world_gmem(const struct world *w, uint64_t size, uint64_t flags)
{
	struct kvm_create_guest_memfd c = { .size = size, .flags = flags };
	int fd = ioctl(w->vm, KVM_CREATE_GUEST_MEMFD, &c);

	return fd < 0 ? -errno : fd;
}

int world_bind(const struct world *w, uint32_t slot, uint64_t gpa, uint64_t size, void *hva, int fd,
	       uint64_t offset)
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

	return ioctl(w->vm, KVM_SET_USER_MEMORY_REGION2, &r) ? -errno : 0;
}

uint8_t *world_map(int fd, uint64_t offset, uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);

	if (p == MAP_FAILED)
		die("mmap of a guest_memfd: errno %d", errno);
	return p;
}

void world_make(struct world *w, uint64_t size, uint64_t flags)
{
	int r;

	world_make_vm(w, KVM_X86_SW_PROTECTED_VM);
	w->size = size;
	w->gmem = world_gmem(w, size, flags);
	if (w->gmem < 0)
		die("KVM_CREATE_GUEST_MEMFD: errno %d", -w->gmem);
	if (flags & GUEST_MEMFD_FLAG_MMAP)
		w->host = world_map(w->gmem, 0, size);
	r = world_bind(w, 1, GMEM_GPA, size, w->host ? w->host : w->ram, w->gmem, 0);
	if (r)
		die("slot 1: errno %d", -r);
}

void world_free(struct world *w)
{
	if (w->host)
		munmap(w->host, w->size);
	if (w->gmem >= 0)
		close(w->gmem);
	close(w->vm);
	close(w->kvm);
	munmap(w->ram, RAM_SIZE);
}

int convert(int fd, uint64_t offset, uint64_t size, bool to_private, uint64_t *error_offset)
{
	struct kvm_memory_attributes2 a = {
		.offset = offset,
		.size = size,
		.attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.error_offset = error_offset ? *error_offset : 0,
	};
	int r = ioctl(fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? -errno : 0;

	if (error_offset)
		*error_offset = a.error_offset;
	return r;
}

int punch(int fd, uint64_t offset, uint64_t size)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size)
		       ? -errno
		       : 0;
}

/* ---- guests ---- */

static void set_cpuid(const struct guest *g)
{
	size_t nr = 256, size = sizeof(struct kvm_cpuid2) + nr * sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *c = calloc(1, size);

	c->nent = (uint32_t)nr;
	if (ioctl(g->world->kvm, KVM_GET_SUPPORTED_CPUID, c) || ioctl(g->fd, KVM_SET_CPUID2, c))
		die("CPUID: errno %d", errno);
	free(c);
}

static void set_long_mode(const struct guest *g)
{
	struct kvm_segment data = {
		.limit = ~0u, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1
	};
	struct kvm_sregs s;

	if (ioctl(g->fd, KVM_GET_SREGS, &s))
		die("KVM_GET_SREGS: errno %d", errno);
	data.selector = 0x10;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cs = data;
	s.cs.selector = 8;
	s.cs.type = 11;
	s.cs.db = 0;
	s.cs.l = 1;
	s.cr3 = PML4;
	s.cr4 = 1 << 5;		   /* PAE */
	s.cr0 = 1ul << 31 | 1;	   /* PG, PE */
	s.efer = 1 << 8 | 1 << 10; /* LME, LMA */
	if (ioctl(g->fd, KVM_SET_SREGS, &s))
		die("KVM_SET_SREGS: errno %d", errno);
}

static size_t run_size(const struct guest *g)
{
	return (size_t)ioctl(g->world->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
}

void guest_make(struct guest *g, const struct world *w, unsigned int id)
{
	uint8_t *buffers = w->ram + BUFFERS + id * 2 * PAGE;

	if (id >= MAX_GUESTS)
		die("too many guests");
	*g = (struct guest){ .world = w, .id = id };
	g->fd = ioctl(w->vm, KVM_CREATE_VCPU, id);
	if (g->fd < 0)
		die("KVM_CREATE_VCPU: errno %d", errno);
	g->run = mmap(NULL, run_size(g), PROT_READ | PROT_WRITE, MAP_SHARED, g->fd, 0);
	if (g->run == MAP_FAILED)
		die("struct kvm_run: errno %d", errno);
	g->save = (void *)buffers;
	g->look = (void *)(buffers + PAGE);
	set_cpuid(g);
	set_long_mode(g);
}

void guest_free(struct guest *g)
{
	munmap(g->run, run_size(g));
	close(g->fd);
}

/* regs: all but rip and rflags. */
static int operate(struct guest *g, const uint8_t *code, struct kvm_regs *regs)
{
	regs->rip = CODE + (uint64_t)(code - code_begin);
	regs->rflags = 2;
	if (ioctl(g->fd, KVM_SET_REGS, regs))
		die("KVM_SET_REGS: errno %d", errno);
	while (ioctl(g->fd, KVM_RUN, 0)) {
		if (errno != EINTR)
			return -errno;
	}
	if (g->run->exit_reason != KVM_EXIT_HLT)
		return 1;
	if (ioctl(g->fd, KVM_GET_REGS, regs))
		die("KVM_GET_REGS: errno %d", errno);
	return 0;
}

void guest_complete(struct guest *g)
{
	g->run->immediate_exit = 1;
	if (ioctl(g->fd, KVM_RUN, 0) != -1 || errno != EINTR)
		die("a KVM_RUN that exits at once: errno %d", errno);
	g->run->immediate_exit = 0;
}

static void must_operate(struct guest *g, const char *what, const uint8_t *code,
			 struct kvm_regs *regs)
{
	int r = operate(g, code, regs);

	if (r)
		die("guest %u, %s at 0x%llx: %d, exit reason %u, gpa 0x%llx flags 0x%llx", g->id,
		    what, (unsigned long long)regs->rdi, r, g->run->exit_reason,
		    (unsigned long long)g->run->memory_fault.gpa,
		    (unsigned long long)g->run->memory_fault.flags);
}

static uint64_t buffer_gpa(const struct guest *g, const uint64_t *at)
{
	return (uint64_t)((const uint8_t *)at - g->world->ram);
}

int guest_try_load(struct guest *g, uint64_t offset, uint64_t *value)
{
	struct kvm_regs r = { .rdi = GMEM_GPA + offset };
	int ret = operate(g, code_load, &r);

	*value = r.rax;
	return ret;
}

int guest_try_store(struct guest *g, uint64_t offset, uint64_t value)
{
	struct kvm_regs r = { .rdi = GMEM_GPA + offset, .rax = value };

	return operate(g, code_store, &r);
}

uint64_t guest_load(struct guest *g, uint64_t offset)
{
	struct kvm_regs r = { .rdi = GMEM_GPA + offset };

	must_operate(g, "load", code_load, &r);
	return r.rax;
}

void guest_store(struct guest *g, uint64_t offset, uint64_t value)
{
	struct kvm_regs r = { .rdi = GMEM_GPA + offset, .rax = value };

	must_operate(g, "store", code_store, &r);
}

void guest_add(struct guest *g, uint64_t offset, uint64_t value)
{
	struct kvm_regs r = { .rdi = GMEM_GPA + offset, .rax = value };

	must_operate(g, "add", code_add, &r);
}

uint64_t guest_count(struct guest *g, uint64_t offset, uint64_t value, uint64_t nr)
{
	struct kvm_regs r = { .rdi = GMEM_GPA + offset, .rax = value, .rcx = nr };

	must_operate(g, "count", code_count, &r);
	return r.rax - value;
}

void guest_fetch(struct guest *g, uint64_t *buffer, uint64_t offset, unsigned int first,
		 unsigned int nr)
{
	struct kvm_regs r = {
		.rsi = GMEM_GPA + offset + first * 8ul,
		.rdi = buffer_gpa(g, buffer + first),
		.rcx = nr,
	};

	must_operate(g, "fetch", code_copy, &r);
}

void guest_put(struct guest *g, const uint64_t *buffer, uint64_t offset, unsigned int first,
	       unsigned int nr)
{
	struct kvm_regs r = {
		.rsi = buffer_gpa(g, buffer + first),
		.rdi = GMEM_GPA + offset + first * 8ul,
		.rcx = nr,
	};

	must_operate(g, "put", code_copy, &r);
}

void guest_fill(struct guest *g, uint64_t offset, uint64_t value, unsigned int nr)
{
	struct kvm_regs r = { .rdi = GMEM_GPA + offset, .rax = value, .rcx = nr };

	must_operate(g, "fill", code_fill, &r);
}

/* ---- numbers ---- */

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

uint64_t rnd(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

void sleep_us(unsigned int us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000l };

	nanosleep(&t, NULL);
}

/* Calls line for each line of a file; no allocation, since a test may have used up the address space. */
static void each_line(const char *path, void (*line)(const char *text, void *arg), void *arg)
{
	char buffer[16384], text[256];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n;

	if (fd < 0)
		die("%s: errno %d", path, errno);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (buffer[i] != '\n') {
				if (at < sizeof(text) - 1)
					text[at++] = buffer[i];
				continue;
			}
			text[at] = 0;
			line(text, arg);
			at = 0;
		}
	}
	close(fd);
}

struct wanted {
	const char *name;
	long kb;
};

static void find_number(const char *text, void *arg)
{
	struct wanted *w = arg;
	size_t n = strlen(w->name);

	if (strncmp(text, w->name, n) == 0 && text[n] == ':')
		w->kb = strtol(text + n + 1, NULL, 10);
}

long status_kb(const char *name)
{
	struct wanted w = { .name = name };

	each_line("/proc/self/status", find_number, &w);
	return w.kb;
}

static void count_line(const char *text, void *arg)
{
	++*(long *)arg;
}

long count_vmas(void)
{
	long nr = 0;

	each_line("/proc/self/maps", count_line, &nr);
	return nr;
}
