/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Which programs a preload reaches. Each case is a copy of this very program with a few bytes
 * changed, or a script.
 */
#include "shim/elf_reach.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/gmem-elf-reach.XXXXXX";
static char *image;
static size_t image_size;

static const char *in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *write_file(const char *name, const void *data, size_t size, mode_t mode)
{
	const char *path = in_dir(name);
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	return path;
}

static const char *write_script(const char *name, const char *text)
{
	return write_file(name, text, strlen(text), 0755);
}

static int judge(const char *path, struct elf_reach *r)
{
	memset(r, 0xee, sizeof(*r));
	return elf_reach_path(path, "/proc/self/exe", r);
}

static void expect(const char *path, enum elf_reach_why why)
{
	struct elf_reach r;

	assert_int_equal(judge(path, &r), 0);
	assert_string_equal(elf_reach_text(r.why), elf_reach_text(why));
}

static void expect_errno(const char *path, int error)
{
	struct elf_reach r;

	assert_int_equal(judge(path, &r), -error);
}

/* The program header of a type in the copy. */
static Elf64_Phdr *find_phdr(char *elf, uint32_t type)
{
	Elf64_Ehdr *eh = (Elf64_Ehdr *)elf;
	Elf64_Phdr *ph = (Elf64_Phdr *)(elf + eh->e_phoff);

	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == type)
			return &ph[i];
	}
	fail_msg("no program header of type %u", type);
	return NULL;
}

static char *copy(void)
{
	char *elf = malloc(image_size);

	assert_non_null(elf);
	memcpy(elf, image, image_size);
	return elf;
}

static void expect_elf(char *elf, enum elf_reach_why why)
{
	expect(write_file("program", elf, image_size, 0755), why);
	free(elf);
}

static void test_dynamic_program_is_reached(void **state)
{
	expect_elf(copy(), ELF_REACH_OK);
	expect("/proc/self/exe", ELF_REACH_OK);
}

static void test_loader_itself_is_reached(void **state)
{
	expect("/lib64/ld-linux-x86-64.so.2", ELF_REACH_OK);
}

static void test_static_program_is_not(void **state)
{
	char *elf = copy();

	find_phdr(elf, PT_INTERP)->p_type = PT_NULL;
	expect_elf(elf, ELF_REACH_STATIC);
}

static void test_other_loader_is_not(void **state)
{
	char *elf = copy();
	char *interp = elf + find_phdr(elf, PT_INTERP)->p_offset;

	memcpy(interp, "/bin/sh", sizeof("/bin/sh"));
	find_phdr(elf, PT_INTERP)->p_filesz = sizeof("/bin/sh");
	expect_elf(elf, ELF_REACH_LOADER);

	elf = copy();
	memcpy(elf + find_phdr(elf, PT_INTERP)->p_offset, "/lib/ld-musl", 12);
	expect_elf(elf, ELF_REACH_LOADER);
}

static void test_32bit_programs_are_not(void **state)
{
	char *elf = copy();

	elf[EI_CLASS] = ELFCLASS32; /* x32 */
	expect_elf(elf, ELF_REACH_32BIT);

	elf = copy();
	elf[EI_CLASS] = ELFCLASS32;
	((Elf64_Ehdr *)elf)->e_machine = EM_386;
	expect_elf(elf, ELF_REACH_32BIT);
}

static void test_other_processor_is_not(void **state)
{
	char *elf = copy();

	((Elf64_Ehdr *)elf)->e_machine = EM_AARCH64;
	expect_elf(elf, ELF_REACH_MACHINE);
}

static void test_go_program_is_not(void **state)
{
	static const char note[] = "\4\0\0\0\4\0\0\0\4\0\0\0Go\0\0";
	char *elf = copy();
	Elf64_Phdr *ph = find_phdr(elf, PT_NOTE);

	memcpy(elf + ph->p_offset, note, sizeof(note) - 1);
	expect_elf(elf, ELF_REACH_GO);
}

static void test_truncated_programs_are_not(void **state)
{
	char *elf = copy();

	((Elf64_Ehdr *)elf)->e_phoff = image_size;
	expect_elf(elf, ELF_REACH_STATIC);

	elf = copy();
	find_phdr(elf, PT_INTERP)->p_filesz = 1 << 20;
	expect_elf(elf, ELF_REACH_LOADER);
}

static void test_setid_program_of_another_is_not(void **state)
{
	const char *path = write_file("program", image, image_size, 0755);

	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(path, 12345, 0), 0);
	assert_int_equal(chmod(path, 04755), 0);
	expect(path, ELF_REACH_SETID);
	assert_int_equal(chown(path, 0, 12345), 0);
	assert_int_equal(chmod(path, 02755), 0);
	expect(path, ELF_REACH_SETID);
	/* Without the right to run it, the group's bit means something else. */
	assert_int_equal(chmod(path, 02745), 0);
	expect(path, ELF_REACH_OK);
}

static void test_setid_program_of_oneself_is_reached(void **state)
{
	const char *path = write_file("program", image, image_size, 0755);

	assert_int_equal(chmod(path, 06755), 0);
	expect(path, ELF_REACH_OK);
}

static void test_script_is_its_interpreter(void **state)
{
	struct elf_reach r;
	char text[300], *elf;

	expect(write_script("script", "#!/bin/sh -e\n"), ELF_REACH_OK);
	expect(write_script("script", "#! \t/bin/sh"), ELF_REACH_OK);

	elf = copy();
	find_phdr(elf, PT_INTERP)->p_type = PT_NULL;
	snprintf(text, sizeof(text), "#!%s\n", write_file("static", elf, image_size, 0755));
	free(elf);
	assert_int_equal(judge(write_script("script", text), &r), 0);
	assert_int_equal(r.why, ELF_REACH_STATIC);
	assert_string_equal(r.interp, in_dir("static"));
}

static void test_script_of_a_script(void **state)
{
	char text[300];

	snprintf(text, sizeof(text), "#!%s\n", in_dir("inner"));
	write_script("inner", "#!/bin/sh\n");
	expect(write_script("outer", text), ELF_REACH_OK);

	snprintf(text, sizeof(text), "#!%s\n", in_dir("loop"));
	expect_errno(write_script("loop", text), ELOOP);
}

static void test_what_exec_would_refuse(void **state)
{
	char endless[600] = "#!/";

	memset(endless + 3, 'x', sizeof(endless) - 4);
	expect_errno(in_dir("nothing"), ENOENT);
	expect_errno(dir, EACCES);
	expect_errno(write_file("data", image, image_size, 0644), EACCES);
	expect_errno(write_script("script", "#!\n"), ENOEXEC);
	expect_errno(write_script("script", endless), ENOEXEC);
	expect_errno(write_script("script", "#!/nowhere/at/all\n"), ENOENT);
	expect_errno(write_script("script", "echo no format\n"), ENOEXEC);
	expect_errno(write_script("script", ""), ENOEXEC);
}

static void test_missing_library_is_out_of_reach(void **state)
{
	struct elf_reach r;

	assert_int_equal(elf_reach_path("/bin/sh", "/nowhere/lib.so", &r), 0);
	assert_int_equal(r.why, ELF_REACH_LIBRARY);
}

static void test_by_descriptor_and_by_folder(void **state)
{
	struct elf_reach r;
	int fd;

	write_file("program", image, image_size, 0755);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(elf_reach_at(fd, "program", 0, "/bin/sh", &r), 0);
	assert_int_equal(r.why, ELF_REACH_OK);
	close(fd);
	fd = open(in_dir("program"), O_PATH | O_CLOEXEC);
	assert_int_equal(elf_reach_at(fd, "", AT_EMPTY_PATH, "/bin/sh", &r), 0);
	assert_int_equal(r.why, ELF_REACH_OK);
	close(fd);
	assert_int_equal(elf_reach_at(-1, "", AT_EMPTY_PATH, "/bin/sh", &r), -EBADF);
	assert_int_equal(symlink("program", in_dir("link")), 0);
	expect(in_dir("link"), ELF_REACH_OK);
	assert_int_equal(elf_reach_at(AT_FDCWD, in_dir("link"), AT_SYMLINK_NOFOLLOW, "/bin/sh", &r),
			 -ELOOP);
}

static int setup(void **state)
{
	FILE *self = fopen("/proc/self/exe", "re");
	struct stat st;

	assert_non_null(mkdtemp(dir));
	assert_non_null(self);
	assert_int_equal(fstat(fileno(self), &st), 0);
	image_size = (size_t)st.st_size;
	image = malloc(image_size);
	assert_non_null(image);
	assert_int_equal(fread(image, 1, image_size, self), image_size);
	fclose(self);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "program", "static", "script", "inner",
					     "outer",	"loop",	  "data",   "link" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_dir(names[i]));
	free(image);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dynamic_program_is_reached),
		cmocka_unit_test(test_loader_itself_is_reached),
		cmocka_unit_test(test_static_program_is_not),
		cmocka_unit_test(test_other_loader_is_not),
		cmocka_unit_test(test_32bit_programs_are_not),
		cmocka_unit_test(test_other_processor_is_not),
		cmocka_unit_test(test_go_program_is_not),
		cmocka_unit_test(test_truncated_programs_are_not),
		cmocka_unit_test(test_setid_program_of_another_is_not),
		cmocka_unit_test(test_setid_program_of_oneself_is_reached),
		cmocka_unit_test(test_script_is_its_interpreter),
		cmocka_unit_test(test_script_of_a_script),
		cmocka_unit_test(test_what_exec_would_refuse),
		cmocka_unit_test(test_missing_library_is_out_of_reach),
		cmocka_unit_test(test_by_descriptor_and_by_folder),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
