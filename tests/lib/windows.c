/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Windows through the library: what each call refuses, and that none of them opens what is hidden. */
#include "t.h"

#include <linux/mman.h>
#include <stdio.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static int map(struct gmem *g, int flags, int prot, uint64_t size, uint64_t offset)
{
	struct gmem_map_args args = { .args_size = sizeof(args),
				      .flags = flags,
				      .prot = prot,
				      .size = size,
				      .offset = offset };
	void *at;
	int err = gmem_map(g, &args, &at);

	if (!err)
		assert_int_equal(gmem_unmap(at, size), 0);
	return err;
}

static void a_window_is_refused_as_kvm_refuses_it(void **state)
{
	struct gmem *g = t_create(4, BOTH), *unmappable = t_create(4, GMEM_INIT_SHARED);
	struct gmem_map_args args = { .args_size = sizeof(args), .size = PAGE };
	int prot = PROT_READ | PROT_WRITE;
	void *at;

	assert_int_equal(map(unmappable, 0, prot, PAGE, 0), -ENODEV);
	assert_int_equal(map(g, 0, prot | PROT_EXEC, PAGE, 0), -EPERM);
	assert_int_equal(map(g, 0, 0x100, PAGE, 0), -EINVAL);
	assert_int_equal(map(g, MAP_PRIVATE, prot, PAGE, 0), -EINVAL);
	assert_int_equal(map(g, MAP_ANONYMOUS, prot, PAGE, 0), -EINVAL);
	assert_int_equal(map(g, 0, prot, 0, 0), -EINVAL);
	assert_int_equal(map(g, 0, prot, PAGE, 1), -EINVAL);
	assert_int_equal(map(g, 0, prot, UINT64_MAX, 0), -EINVAL);
	assert_int_equal(map(g, MAP_SHARED | MAP_NORESERVE, prot, 100, 0), 0);
	assert_int_equal(map(g, MAP_POPULATE, PROT_READ, 4 * PAGE, 0), 0);
	assert_int_equal(gmem_map(g, NULL, &at), -EINVAL);
	assert_int_equal(gmem_map(g, &args, NULL), -EINVAL);
	assert_int_equal(gmem_map(NULL, &args, &at), -EINVAL);
	args.reserved = 1;
	assert_int_equal(gmem_map(g, &args, &at), -EINVAL);
	gmem_put(g);
	gmem_put(unmappable);
}

static void a_place_can_be_asked_for(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	char *window = t_map(g, 0, 4);
	struct gmem_map_args args = { .args_size = sizeof(args),
				      .flags = MAP_FIXED_NOREPLACE,
				      .prot = PROT_READ | PROT_WRITE,
				      .addr = (uintptr_t)window + 2 * PAGE,
				      .size = PAGE };
	void *at;

	strcpy(window, "page 0");
	assert_int_equal(gmem_map(g, &args, &at), -EEXIST);
	args.flags = MAP_FIXED;
	assert_int_equal(gmem_map(g, &args, &at), 0);
	assert_ptr_equal(at, window + 2 * PAGE);
	assert_string_equal(at, "page 0");
	t_private(g, 0, 1);
	t_hidden(window);
	t_hidden(window + 2 * PAGE);
	t_open(window + 3 * PAGE);
	args.addr++;
	assert_int_equal(gmem_map(g, &args, &at), -EINVAL);
	assert_int_equal(gmem_unmap(window, 4 * PAGE), 0);
	gmem_put(g);
}

static void every_window_hides_a_private_page(void **state)
{
	struct gmem *g = t_create(8, BOTH);
	char *before = t_map(g, 0, 8), *after;

	t_private(g, 5, 2);
	after = t_map(g, 4, 4);
	t_hidden(before + 5 * PAGE);
	t_hidden(after + 2 * PAGE);
	t_open(after);
	t_shared(g, 6, 1);
	t_open(before + 6 * PAGE);
	t_open(after + 2 * PAGE);
	t_hidden(after + PAGE);
	gmem_unmap(before, 8 * PAGE);
	gmem_unmap(after, 4 * PAGE);
	gmem_put(g);
}

static void past_the_end_is_sigbus(void **state)
{
	struct gmem *g = t_create(2, BOTH);
	char *window = t_map(g, 1, 2);

	t_open(window);
	assert_int_equal(t_touch(window + PAGE, 0), SIGBUS);
	gmem_unmap(window, 2 * PAGE);
	gmem_put(g);
}

static void parts_can_be_unmapped(void **state)
{
	struct gmem *g = t_create(6, BOTH);
	char *window = t_map(g, 0, 6);

	t_private(g, 1, 4);
	assert_int_equal(gmem_unmap(window + 2 * PAGE, 2 * PAGE), 0);
	assert_int_equal(t_touch(window + 2 * PAGE, 0), SIGSEGV);
	t_hidden(window + PAGE);
	t_shared(g, 0, 6);
	t_open(window + PAGE);
	assert_int_equal(t_touch(window + 3 * PAGE, 0), SIGSEGV);
	assert_int_equal(gmem_unmap(window + 1, PAGE), -EINVAL);
	gmem_unmap(window, 6 * PAGE);
	gmem_put(g);
}

static void a_window_moves_with_what_is_hidden(void **state)
{
	struct gmem *g = t_create(8, BOTH);
	char *window = t_map(g, 0, 4);
	void *place = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *now = NULL;
	char *at;

	t_private(g, 1, 1);
	assert_int_equal(gmem_remap(window, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				    place, &now),
			 0);
	assert_ptr_equal(now, place);
	at = now;
	t_open(at);
	t_hidden(at + PAGE);
	t_open(at + 7 * PAGE);
	t_private(g, 7, 1);
	t_hidden(at + 7 * PAGE);
	assert_int_equal(gmem_remap(at, 8 * PAGE, 2 * PAGE, 0, NULL, &now), 0);
	assert_ptr_equal(now, at);
	assert_int_equal(t_touch(at + 2 * PAGE, 0), SIGSEGV);
	assert_int_equal(gmem_remap(window, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL, &now), -EFAULT);
	place = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(gmem_remap(place, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL, &now), -EFAULT);
	munmap(place, PAGE);
	assert_int_equal(gmem_remap(at, PAGE, PAGE, 4, NULL, &now), -EINVAL);
	assert_int_equal(gmem_remap(at, PAGE, PAGE, 0, NULL, NULL), -EINVAL);
	gmem_unmap(at, 2 * PAGE);
	gmem_put(g);
}

static void protection_stays_through_conversions(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	char *window = t_map(g, 0, 4);

	t_private(g, 1, 1);
	assert_int_equal(gmem_protect(window, 4 * PAGE, PROT_READ), 0);
	assert_int_equal(t_touch(window + PAGE, 0), SIGBUS);
	t_shared(g, 1, 1);
	assert_int_equal(t_touch(window + PAGE, 0), 0);
	assert_int_equal(t_touch(window + PAGE, 1), SIGSEGV);
	assert_int_equal(gmem_protect(window, PAGE, PROT_READ | PROT_EXEC), -EACCES);
	assert_int_equal(gmem_protect(window, PAGE, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(t_touch(window, 1), 0);
	gmem_unmap(window, 4 * PAGE);
	gmem_put(g);
}

static uint64_t locked_kib(void)
{
	char line[128];
	unsigned long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof(line), f))
		sscanf(line, "VmLck: %lu", &kib);
	fclose(f);
	return kib;
}

static void a_lock_comes_back_with_the_page(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	char *window = t_map(g, 0, 4);
	uint64_t before = locked_kib();

	assert_int_equal(gmem_lock(window, 4 * PAGE, 0), 0);
	assert_int_equal(locked_kib(), before + 16);
	t_private(g, 1, 1);
	t_shared(g, 1, 1);
	assert_int_equal(locked_kib(), before + 16);
	assert_int_equal(gmem_unlock(window, 4 * PAGE), 0);
	assert_int_equal(locked_kib(), before);
	assert_int_equal(gmem_lock(window, PAGE, 0x100), -EINVAL);
	gmem_unmap(window, 4 * PAGE);
	gmem_put(g);
}

static void advice_never_opens_a_page(void **state)
{
	struct gmem *g = t_create(512, BOTH);
	char *window = t_map(g, 0, 512);
	struct gmem_stats s = { .args_size = sizeof(s) };

	memset(window, 'x', 512 * PAGE);
	t_private(g, 1, 1);
	assert_int_equal(gmem_advise(window, 512 * PAGE, MADV_DONTNEED), 0);
	t_hidden(window + PAGE);
	assert_int_equal(window[0], 'x');
	assert_int_equal(gmem_advise(window, 512 * PAGE, MADV_COLLAPSE), -EINVAL);
	assert_int_equal(gmem_advise(window, PAGE, MADV_FREE), -EINVAL);
	/* A punch, also of what is hidden. */
	assert_int_equal(gmem_advise(window, 2 * PAGE, MADV_REMOVE), 0);
	assert_int_equal(gmem_get_stats(g, &s), 0);
	assert_int_equal(s.backed_bytes, 510 * PAGE);
	assert_int_equal(window[0], 0);
	t_hidden(window + PAGE);
	assert_int_equal(gmem_advise(window + 1, PAGE, MADV_REMOVE), -EINVAL);
	gmem_unmap(window, 512 * PAGE);
	gmem_put(g);
}

static void what_is_no_window_is_not_hidden(void **state)
{
	char here = 0;

	assert_false(gmem_is_hidden(&here));
	assert_false(gmem_is_hidden(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_window_is_not_hidden),
		cmocka_unit_test(a_window_is_refused_as_kvm_refuses_it),
		cmocka_unit_test(a_place_can_be_asked_for),
		cmocka_unit_test(every_window_hides_a_private_page),
		cmocka_unit_test(past_the_end_is_sigbus),
		cmocka_unit_test(parts_can_be_unmapped),
		cmocka_unit_test(a_window_moves_with_what_is_hidden),
		cmocka_unit_test(protection_stays_through_conversions),
		cmocka_unit_test(a_lock_comes_back_with_the_page),
		cmocka_unit_test(advice_never_opens_a_page),
	};

	/* Before there is anything: an answer, not a crash. */
	if (gmem_unmap(NULL, PAGE) != -EINVAL || gmem_protect(NULL, PAGE, 0) != -EINVAL ||
	    gmem_lock(NULL, PAGE, 0) != -EINVAL || gmem_unlock(NULL, PAGE) != -EINVAL ||
	    gmem_advise(NULL, PAGE, 0) != -EINVAL)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
