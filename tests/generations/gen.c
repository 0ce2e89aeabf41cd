/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "gen.h"

#include <fnmatch.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>

int gen_start(void **state)
{
	static struct guest g;

	guest_make(&g, KVM_X86_SW_PROTECTED_VM);
	*state = &g;
	return 0;
}

int gen_stop(void **state)
{
	guest_free(*state);
	return 0;
}

int gen_run_only(const struct CMUnitTest *tests, size_t nr)
{
	const char *pattern = getenv("GENERATION_ONLY");
	size_t i = 0;

	while (i < nr && fnmatch(pattern, tests[i].name, 0))
		i++;
	if (i == nr)
		return 1;
	cmocka_set_test_filter(pattern);
	return _cmocka_run_group_tests(pattern, tests, nr, NULL, NULL);
}

uint64_t gen_backed(int fd)
{
	struct stat st;

	WORKS(fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

uint64_t gen_size(int fd)
{
	struct stat st;

	WORKS(fstat(fd, &st));
	return (uint64_t)st.st_size;
}

void gen_link(int fd, char text[256])
{
	char name[64];
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, text, 255);
	assert_true(n > 0);
	text[n] = '\0';
}

long gen_fs_type(int fd)
{
	struct statfs fs;

	WORKS(fstatfs(fd, &fs));
	return (long)fs.f_type;
}

int gen_try_at(struct guest *g, unsigned int page, uint8_t value, uint8_t *found)
{
	/* mov bl, al; mov al, [DATA]; xchg al, bl; mov [DATA], al; mov al, bl; out PORT, al */
	static uint8_t code[] = { MOV_AL(0), 0x88, 0xc3, LOAD_AL, 0x86, 0xc3,
				  STORE_AL,  0x88, 0xd8, OUT_AL,  HLT };
	int err;

	code[1] = value;
	code[6] = code[11] = (uint8_t)(0x80 + page * 0x10);
	guest_code(g, code, sizeof(code));
	err = guest_run(g);
	if (!err && g->run->exit_reason == KVM_EXIT_IO)
		*found = *((uint8_t *)g->run + g->run->io.data_offset);
	return err;
}

uint8_t gen_exchange_at(struct guest *g, unsigned int page, uint8_t value)
{
	uint8_t found = 0;

	WORKS(gen_try_at(g, page, value, &found));
	assert_int_equal(g->run->exit_reason, KVM_EXIT_IO);
	return found;
}

static void put32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

void gen_guest_takes(struct guest *g, unsigned int page, bool for_private)
{
	/* mov eax, 12; mov ebx, gpa; mov ecx, 1; mov edx, kind; vmcall; out PORT, al */
	uint8_t code[] = { 0x66, 0xb8, 0,    0,	   0,	 0,    0x66, 0xbb,   0,	   0,
			   0,	 0,    0x66, 0xb9, 0,	 0,    0,    0,	     0x66, 0xba,
			   0,	 0,    0,    0,	   0x0f, 0x01, 0xc1, OUT_AL, HLT };

	put32(code + 2, KVM_HC_MAP_GPA_RANGE);
	put32(code + 8, (uint32_t)(DATA + page * PAGE));
	put32(code + 14, 1);
	put32(code + 20, for_private ? KVM_MAP_GPA_RANGE_ENCRYPTED : 0);
	guest_code(g, code, sizeof(code));
	WORKS(guest_run(g));
	assert_int_equal(g->run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(*((uint8_t *)g->run + g->run->io.data_offset), 0);
}

void gen_expect_exit(struct guest *g, uint32_t reason, uint64_t flags, uint64_t gpa)
{
	assert_int_equal(g->run->exit_reason, reason);
	assert_int_equal(g->run->memory_fault.flags, flags);
	assert_int_equal(g->run->memory_fault.gpa, gpa);
	assert_int_equal(g->run->memory_fault.size, PAGE);
}
