/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* A guest memory's life as the header promises it. */
#include "t.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static void create_refuses_what_kvm_refuses(void **state)
{
	struct gmem_create_args args = { .args_size = sizeof(args), .size = PAGE };
	struct gmem *g = (struct gmem *)&args;

	assert_int_equal(gmem_create(NULL, &g), -EINVAL);
	assert_int_equal(gmem_create(&args, NULL), -EINVAL);
	args.flags = 32;
	assert_int_equal(gmem_create(&args, &g), -EINVAL);
	args.flags = GMEM_HUGETLB | GMEM_THP;
	assert_int_equal(gmem_create(&args, &g), -EINVAL);
	args.flags = GMEM_HUGETLB_1G;
	assert_int_equal(gmem_create(&args, &g), -EINVAL);
	args.flags = 0;
	for (int i = 0; i < 5; i++) {
		static const uint64_t sizes[] = { 0, 1, 4095, PAGE + 1, (uint64_t)1 << 63 };

		args.size = sizes[i];
		assert_int_equal(gmem_create(&args, &g), -EINVAL);
	}
	assert_ptr_equal(g, &args);
	args.size = ((uint64_t)1 << 63) - PAGE;
	assert_int_equal(gmem_create(&args, &g), 0);
	gmem_put(g);
}

static void a_structure_says_how_long_it_is(void **state)
{
	struct {
		struct gmem_create_args args;
		uint64_t of_a_later_version;
	} longer = { .args = { .args_size = sizeof(longer), .size = PAGE } };
	struct gmem *g;

	assert_int_equal(gmem_create(&longer.args, &g), 0);
	gmem_put(g);
	longer.of_a_later_version = 1;
	assert_int_equal(gmem_create(&longer.args, &g), -E2BIG);
	longer.args.args_size = sizeof(longer.args);
	assert_int_equal(gmem_create(&longer.args, &g), 0);
	gmem_put(g);
	/* The first version. */
	longer.args.args_size = offsetof(struct gmem_create_args, limit);
	assert_int_equal(gmem_create(&longer.args, &g), 0);
	gmem_put(g);
	longer.args.args_size--;
	assert_int_equal(gmem_create(&longer.args, &g), -EINVAL);
	longer.args.args_size = 0;
	assert_int_equal(gmem_create(&longer.args, &g), -EINVAL);
	longer.args.args_size = 4097;
	assert_int_equal(gmem_create(&longer.args, &g), -EINVAL);
}

static void the_version_is_that_of_the_header(void **state)
{
	assert_int_equal(gmem_version(), GMEM_VERSION_MAJOR << 16 | GMEM_VERSION_MINOR);
}

static void info_is_what_was_asked_for(void **state)
{
	struct gmem *a = t_create(3, GMEM_MMAP), *b = t_create(1, BOTH);
	struct gmem_info i = { .args_size = sizeof(i) }, k = { .args_size = sizeof(k) };

	assert_int_equal(gmem_get_info(a, &i), 0);
	assert_int_equal(gmem_get_info(b, &k), 0);
	assert_int_equal(i.size, 3 * PAGE);
	assert_int_equal(i.flags, GMEM_MMAP);
	assert_int_equal(k.flags, BOTH);
	assert_int_equal(i.is_home, 1);
	assert_int_not_equal(i.id, k.id);
	assert_int_equal(i.args_size, sizeof(i));
	assert_int_equal(gmem_get_info(NULL, &i), -EINVAL);
	assert_int_equal(gmem_get_info(a, NULL), -EINVAL);
	i.args_size = 8;
	assert_int_equal(gmem_get_info(a, &i), -EINVAL);
	gmem_put(a);
	gmem_put(b);
}

static void the_descriptor_is_of_an_empty_sealed_file(void **state)
{
	struct gmem *g = t_create(2, BOTH);
	char *window = t_map(g, 0, 2), *other, byte;
	struct stat st;
	int fd = -1;

	*window = 'x';
	assert_int_equal(gmem_descriptor(g, &fd), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(pread(fd, &byte, 1, 0), 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 4096), -1);
	other = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(other, MAP_FAILED);
	assert_int_equal(t_touch(other, 0), SIGBUS);
	munmap(other, PAGE);
	close(fd);
	assert_int_equal(gmem_descriptor(NULL, &fd), -EINVAL);
	assert_int_equal(gmem_descriptor(g, NULL), -EINVAL);
	gmem_unmap(window, 2 * PAGE);
	gmem_put(g);
}

static void a_file_of_this_process_is_found_again(void **state)
{
	struct gmem *g = t_create(2, BOTH), *again = NULL;
	char *window = t_map(g, 0, 2);
	int fd;

	assert_int_equal(gmem_descriptor(g, &fd), 0);
	assert_int_equal(gmem_open(fd, 0, &again), 0);
	assert_ptr_equal(again, g);
	gmem_put(again);
	strcpy(window, "still here");
	assert_string_equal(window, "still here");
	gmem_unmap(window, 2 * PAGE);
	gmem_put(g);
	assert_int_equal(gmem_open(fd, 0, &again), -ESTALE);
	close(fd);
}

static void open_refuses_what_is_no_guest_memory(void **state)
{
	struct gmem *g;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(gmem_open(fds[0], 0, &g), -ENOENT);
	assert_int_equal(gmem_open(fds[0], 1, &g), -EINVAL);
	assert_int_equal(gmem_open(fds[0], 0, NULL), -EINVAL);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(gmem_open(fds[0], 0, &g), -EBADF);
	assert_int_equal(gmem_open(-1, 0, &g), -EBADF);
}

static unsigned int nr_of(const char *folder)
{
	DIR *dir = opendir(folder);
	unsigned int nr = 0;

	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr;
}

static unsigned int nr_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int nr = 0;
	int c;

	while ((c = fgetc(f)) != EOF)
		nr += c == '\n';
	fclose(f);
	return nr;
}

static void live_once(void)
{
	struct gmem *g = t_create(64, BOTH);
	char *window = t_map(g, 0, 64);
	struct gmem_pinned *pin;
	void *now;
	int fd;

	memset(window, 1, 64 * PAGE);
	assert_int_equal(gmem_descriptor(g, &fd), 0);
	assert_int_equal(gmem_pin(g, 0, PAGE, &pin), 0);
	gmem_unpin(pin);
	t_private(g, 3, 5);
	t_guest(g, 4);
	assert_int_equal(gmem_advise(window, PAGE, MADV_REMOVE), 0);
	assert_int_equal(gmem_remap(window, 64 * PAGE, 32 * PAGE, 0, NULL, &now), 0);
	close(fd);
	gmem_get(g);
	gmem_put(g);
	assert_int_equal(gmem_unmap(window, 32 * PAGE), 0);
	gmem_put(g);
}

static void nothing_is_left_of_a_file(void **state)
{
	unsigned int fds, mappings;

	live_once();
	fds = nr_of("/proc/self/fd");
	mappings = nr_mappings();
	for (int i = 0; i < 200; i++)
		live_once();
	assert_int_equal(nr_of("/proc/self/fd"), fds);
	assert_in_range(nr_mappings(), mappings > 10 ? mappings - 10 : 0, mappings + 10);
}

static void a_window_keeps_its_file(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	char *window = t_map(g, 0, 4);

	gmem_put(g);
	strcpy(window + PAGE, "alive");
	assert_string_equal(window + PAGE, "alive");
	assert_int_equal(gmem_unmap(window, 4 * PAGE), 0);
	gmem_put(NULL);
}

static void the_accounts_follow_what_happens(void **state)
{
	struct gmem *g = t_create(512, BOTH);
	char *window = t_map(g, 0, 512);
	struct gmem_stats s = { .args_size = sizeof(s) };
	struct gmem_pinned *pin;

	assert_int_equal(gmem_get_stats(g, &s), 0);
	assert_int_equal(s.size, 512 * PAGE);
	assert_int_equal(s.backed_bytes, 0);
	assert_int_equal(s.private_bytes, 0);
	assert_int_equal(s.nr_pins, 0);
	memset(window, 1, 10 * PAGE);
	t_private(g, 100, 7);
	assert_int_equal(gmem_pin(g, 0, 1, &pin), 0);
	assert_int_equal(gmem_get_stats(g, &s), 0);
	assert_int_equal(s.backed_bytes, 10 * PAGE);
	assert_int_equal(s.private_bytes, 7 * PAGE);
	assert_int_equal(s.nr_pins, 1);
	assert_in_range(s.attribute_bytes, 1, 512 << 10);
	gmem_unpin(pin);
	assert_int_equal(gmem_get_stats(NULL, &s), -EINVAL);
	assert_int_equal(gmem_get_stats(g, NULL), -EINVAL);
	gmem_unmap(window, 512 * PAGE);
	gmem_put(g);
}

static void a_limit_holds_and_what_is_punched_can_be_taken_again(void **state)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .size = 64 * PAGE,
					 .limit = 4 * PAGE };
	struct gmem *g;

	assert_int_equal(gmem_create(&args, &g), 0);
	assert_int_equal(gmem_allocate(g, 0, 5 * PAGE), -ENOMEM);
	assert_int_equal(gmem_allocate(g, 8 * PAGE, 4 * PAGE), 0);
	assert_int_equal(gmem_allocate(g, 0, PAGE), -ENOMEM);
	assert_int_equal(gmem_punch(g, 9 * PAGE, PAGE), 0);
	assert_int_equal(gmem_allocate(g, 0, PAGE), 0);
	gmem_put(g);
}

static int look(struct gmem *g, uint64_t offset)
{
	void *at;
	uint64_t size;
	int err;

	assert_int_equal(gmem_fault_begin(g), 0);
	err = gmem_page(g, offset, &at, &size);
	gmem_fault_end(g);
	return err;
}

static struct gmem_change_info lost;

static int on_lost(void *data, const struct gmem_change *change)
{
	lost.args_size = sizeof(lost);
	return gmem_change_describe(change, &lost);
}

static void on_end(void *data, const struct gmem_change *change)
{
}

static void memory_that_has_failed_is_not_handed_out(void **state)
{
	static const struct gmem_consumer_callbacks ops = { .ops_size = sizeof(ops),
							    .begin = on_lost,
							    .end = on_end };
	struct gmem_create_args args = { .args_size = sizeof(args), .size = 8 * PAGE };
	struct gmem_consumer *c;
	struct gmem *g;

	assert_int_equal(gmem_create(&args, &g), 0);
	assert_int_equal(gmem_consumer_add(g, &ops, NULL, &c), 0);
	assert_int_equal(gmem_poison(g, 2 * PAGE, PAGE), 0);
	assert_int_equal(lost.kind, GMEM_KIND_DISCARD);
	assert_int_equal(lost.offset, 2 * PAGE);
	assert_int_equal(lost.size, PAGE);
	gmem_consumer_remove(g, c);
	assert_int_equal(look(g, PAGE), 0);
	assert_int_equal(look(g, 2 * PAGE), -EHWPOISON);
	assert_int_equal(gmem_punch(g, 2 * PAGE, PAGE), 0);
	assert_int_equal(look(g, 2 * PAGE), 0);
	assert_int_equal(gmem_poison(g, 8 * PAGE, PAGE), -EINVAL);
	assert_int_equal(gmem_poison(g, 0, 0), -EINVAL);
	assert_int_equal(gmem_poison(NULL, 0, PAGE), -EINVAL);
	gmem_put(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_refuses_what_kvm_refuses),
		cmocka_unit_test(a_structure_says_how_long_it_is),
		cmocka_unit_test(the_version_is_that_of_the_header),
		cmocka_unit_test(info_is_what_was_asked_for),
		cmocka_unit_test(the_descriptor_is_of_an_empty_sealed_file),
		cmocka_unit_test(a_file_of_this_process_is_found_again),
		cmocka_unit_test(open_refuses_what_is_no_guest_memory),
		cmocka_unit_test(nothing_is_left_of_a_file),
		cmocka_unit_test(a_window_keeps_its_file),
		cmocka_unit_test(a_limit_holds_and_what_is_punched_can_be_taken_again),
		cmocka_unit_test(memory_that_has_failed_is_not_handed_out),
		cmocka_unit_test(the_accounts_follow_what_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
