/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * One guest's life in each generation, told line by line for docs/generations.md: a page that begins as the generation
 * has it, that the guest takes for private, then for shared again; and what that generation got wrong. The argument
 * says which: v5, v8, v10, v13. Lines that are told begin with a bar.
 */
#include "gen.h"

#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const char *generation;

static bool is(const char *name)
{
	return !strcmp(generation, name);
}

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
	va_list args;

	printf("| ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

/* What a call returned: 0 or more, or its errno. */
static const char *result(long ret)
{
	static char text[32];

	if (ret < 0)
		return strerrorname_np(errno);
	snprintf(text, sizeof(text), "%ld", ret);
	return text;
}

static const char *done(long ret)
{
	return ret < 0 ? strerrorname_np(errno) : "done";
}

/* ---- the file and the slot ---------------------------------------------------------------------------- */

static int make(struct guest *g)
{
	struct kvm_create_guest_memfd c = { .size = PAGE };
	int fd;

	if (is("v13")) {
		fd = ioctl(g->vm, KVM_CREATE_GUEST_MEMFD, &c);
		tell("ioctl(vm, KVM_CREATE_GUEST_MEMFD, { .size = 4096 }): %s",
		     fd < 0 ? result(fd) : "a descriptor");
		return fd;
	}
	fd = is("v10") ? memfd_restricted(0) : memfd_create("guest", MFD_INACCESSIBLE);
	tell("%s: %s",
	     is("v10") ? "memfd_restricted(0)" : "memfd_create(\"guest\", MFD_INACCESSIBLE)",
	     fd < 0 ? result(fd) : "a descriptor");
	tell("ftruncate(fd, 4096): %s", done(ftruncate(fd, PAGE)));
	return fd;
}

static void look_at_file(int fd)
{
	void *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	char text[256], byte;

	tell("mmap(fd): %s", map == MAP_FAILED ? result(-1) : "mapped");
	tell("read(fd): %s", result(read(fd, &byte, 1)));
	gen_link(fd, text);
	tell("readlink(/proc/self/fd/FD): %s", text);
}

static void set_slot(struct guest *g, uint8_t *hva, int fd)
{
	/* Each structure begins as this one. */
	struct kvm_userspace_memory_region2 r = {
		.slot = 1,
		.flags = KVM_MEM_PRIVATE,
		.guest_phys_addr = DATA,
		.memory_size = PAGE,
		.userspace_addr = (uintptr_t)hva,
		.guest_memfd = (uint32_t)fd,
	};
	bool two = is("v13");
	int ret = ioctl(g->vm, two ? KVM_SET_USER_MEMORY_REGION2 : KVM_SET_USER_MEMORY_REGION, &r);

	tell("ioctl(vm, %s, KVM_MEM_PRIVATE, %s): %s",
	     two ? "KVM_SET_USER_MEMORY_REGION2" : "KVM_SET_USER_MEMORY_REGION",
	     two	 ? "guest_memfd"
	     : is("v10") ? "restricted_fd"
			 : "private_fd",
	     done(ret));
}

/* ---- the guest ---------------------------------------------------------------------------------------- */

static void touch(struct guest *g, const uint8_t *hva, int fd, uint8_t value)
{
	uint8_t found = 0;
	int err = gen_try(g, value, &found);
	char answer[32] = "0";

	if (!err && g->run->exit_reason == KVM_EXIT_IO) {
		if (is("v13") || fd < 0)
			tell("the guest finds %u and writes %u; its program sees %u", found, value,
			     hva[0]);
		else
			tell("the guest finds %u and writes %u; its program sees %u; the file has %u bytes of memory",
			     found, value, hva[0], (unsigned int)gen_backed(fd));
		return;
	}
	if (err)
		snprintf(answer, sizeof(answer), "%s", strerrorname_np(-err));
	tell("the guest touches it. KVM_RUN: %s; exit_reason %u, flags %#llx, gpa %#llx, size %#llx",
	     answer, g->run->exit_reason, (unsigned long long)g->run->memory_fault.flags,
	     (unsigned long long)g->run->memory_fault.gpa,
	     (unsigned long long)g->run->memory_fault.size);
}

static void takes(struct guest *g, bool for_private)
{
	if (is("v13"))
		return;
	gen_guest_takes(g, 0, for_private);
	tell("the guest takes the page for %s from now on", for_private ? "private" : "shared");
}

/* ---- conversions -------------------------------------------------------------------------------------- */

static void convert_v5(int fd, bool to_private)
{
	int ret = fallocate(fd, to_private ? 0 : PUNCH, 0, PAGE);

	tell("fallocate(fd, %s, 0, 4096): %s", to_private ? "0" : "PUNCH_HOLE | KEEP_SIZE",
	     done(ret));
}

static void convert_v8(struct guest *g, bool to_private)
{
	struct kvm_enc_region r = { .addr = DATA, .size = PAGE };
	int ret =
		ioctl(g->vm,
		      to_private ? KVM_MEMORY_ENCRYPT_REG_REGION : KVM_MEMORY_ENCRYPT_UNREG_REGION,
		      &r);

	tell("ioctl(vm, KVM_MEMORY_ENCRYPT_%sREG_REGION, gpa 0x8000): %s", to_private ? "" : "UN",
	     done(ret));
}

static void convert_v10(struct guest *g, bool to_private)
{
	struct kvm_memory_attributes a = { DATA, PAGE,
					   to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0, 0 };
	int ret = ioctl(g->vm,
			is("v10") ? KVM_SET_MEMORY_ATTRIBUTES_V10 : KVM_SET_MEMORY_ATTRIBUTES, &a);

	if (is("v10"))
		tell("ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, %s, gpa 0x8000): %s, size is %llu now",
		     to_private ? "PRIVATE" : "0", done(ret), (unsigned long long)a.size);
	else
		tell("ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, %s, gpa 0x8000): %s",
		     to_private ? "PRIVATE" : "0", done(ret));
}

static void convert(struct guest *g, int fd, bool to_private)
{
	if (is("v5"))
		convert_v5(fd, to_private);
	else if (is("v8"))
		convert_v8(g, to_private);
	else
		convert_v10(g, to_private);
}

static void life(void **state)
{
	uint8_t *hva = guest_memory(PAGE);
	struct guest g;
	int fd;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM);
	fd = make(&g);
	look_at_file(fd);
	set_slot(&g, hva, fd);
	touch(&g, hva, fd, 1);
	if (is("v8"))
		convert(&g, fd, false);
	takes(&g, true);
	if (!is("v13"))
		touch(&g, hva, fd, 2);
	convert(&g, fd, true);
	touch(&g, hva, fd, 2);
	takes(&g, false);
	if (!is("v13"))
		touch(&g, hva, fd, 3);
	convert(&g, fd, false);
	touch(&g, hva, fd, 3);
	takes(&g, true);
	convert(&g, fd, true);
	tell("close(fd): %s", done(close(fd)));
	touch(&g, hva, -1, 4);
	guest_free(&g);
}

/* ---- what it got wrong -------------------------------------------------------------------------------- */

static void wrong_size(int fd)
{
	int ret;

	tell("ftruncate(fd, 8192): %s", done(ftruncate(fd, 2 * PAGE)));
	ret = fallocate(fd, 0, PAGE, PAGE);
	tell("fallocate(fd, 0, 4096, 4096): %s; the file has %u bytes now", done(ret),
	     (unsigned int)gen_size(fd));
}

static void wrong_v5(struct guest *g, uint8_t *hva)
{
	int fd = make(g);

	wrong_size(fd);
	tell("lseek(fd, 0, SEEK_DATA): %s: who has the file sees what is private",
	     result(lseek(fd, 0, SEEK_DATA)));
	set_slot(g, hva, fd);
	convert(g, fd, true);
	hva[0] = 9;
	tell("the program writes to the half that the guest does not see: the page is there twice");
	touch(g, hva, fd, 1);
	close(fd);
}

static void wrong_v8(struct guest *g, uint8_t *hva)
{
	struct kvm_enc_region r = { .addr = DATA, .size = 2 * PAGE };
	int fd = make(g), ret;

	wrong_size(fd);
	set_slot(g, hva, fd);
	convert(g, fd, false);
	touch(g, hva, fd, 1);
	ret = ioctl(g->vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, &r);
	tell("ioctl(vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, gpa 0x8000 and a page more): %s",
	     done(ret));
	touch(g, hva, fd, 2);
	close(fd);
}

static void wrong_v10(struct guest *g, uint8_t *hva)
{
	int fd = make(g);

	wrong_size(fd);
	set_slot(g, hva, fd);
	convert(g, fd, true);
	touch(g, hva, fd, 1);
	close(fd);
}

static void wrong_v13(struct guest *g, uint8_t *hva)
{
	struct kvm_create_guest_memfd c = { 0 };
	int fd = ioctl(g->vm, KVM_CREATE_GUEST_MEMFD, &c);

	tell("ioctl(vm, KVM_CREATE_GUEST_MEMFD, { .size = 0 }): %s",
	     fd < 0 ? result(fd) : "a descriptor");
	set_slot(g, hva, fd);
	close(fd);
}

static void wrong(void **state)
{
	static void (*const fn[])(struct guest *, uint8_t *) = { wrong_v5, wrong_v8, wrong_v10,
								 wrong_v13 };
	static const char *const names[] = { "v5", "v8", "v10", "v13" };
	uint8_t *hva = guest_memory(2 * PAGE);
	struct guest g;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM);
	for (int i = 0; i < 4; i++)
		if (is(names[i]))
			fn[i](&g, hva);
	guest_free(&g);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest life_tests[] = { cmocka_unit_test(life) };
	const struct CMUnitTest wrong_tests[] = { cmocka_unit_test(wrong) };

	if (argc < 2)
		return 2;
	generation = argv[1];
	if (argc > 2 && !strcmp(argv[2], "wrong"))
		return cmocka_run_group_tests(wrong_tests, NULL, NULL);
	return cmocka_run_group_tests(life_tests, NULL, NULL);
}
