/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * NUMA policy of a guest_memfd: by mbind() of a mapping, for the file, page by page, whatever its pages are. A machine with one
 * node has it, too: what is asked for comes back, and what is wrong is refused as for any shared file.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "window.h"

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif
#define NODE_0 1ul

static int result(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

static int bind_pages(uint8_t *p, size_t nr, int mode, unsigned long nodes, unsigned int flags)
{
	return result(syscall(SYS_mbind, p, nr * PAGE, mode, &nodes, 64, flags));
}

/* The mode, or -errno; *nodes. */
static int policy_of(const uint8_t *p, unsigned long *nodes)
{
	unsigned long mask[16] = { 0 };
	int mode = -1;

	if (syscall(SYS_get_mempolicy, &mode, mask, 1024, p, MPOL_F_ADDR))
		return -errno;
	*nodes = mask[0];
	return mode;
}

static int node_of(const uint8_t *p)
{
	int node = -1;

	if (syscall(SYS_get_mempolicy, &node, NULL, 0, p, MPOL_F_ADDR | MPOL_F_NODE))
		return -errno;
	return node;
}

static int home_node(uint8_t *p, size_t nr, unsigned long node)
{
	return result(syscall(SYS_set_mempolicy_home_node, p, nr * PAGE, node, 0ul));
}

static void expect_policy(const uint8_t *p, int mode)
{
	unsigned long nodes = 0;

	assert_int_equal(policy_of(p, &nodes), mode);
	assert_int_equal(nodes, mode == MPOL_DEFAULT ? 0 : NODE_0);
}

static void it_is_set_page_by_page(void **state)
{
	struct window *w = *state;

	assert_int_equal(bind_pages(w->map + 4 * PAGE, 4, MPOL_BIND, NODE_0, 0), 0);
	assert_int_equal(bind_pages(w->map + 6 * PAGE, 1, MPOL_INTERLEAVE, NODE_0, 0), 0);
	expect_policy(w->map + 3 * PAGE, MPOL_DEFAULT);
	expect_policy(w->map + 4 * PAGE, MPOL_BIND);
	expect_policy(w->map + 5 * PAGE + 17, MPOL_BIND);
	expect_policy(w->map + 6 * PAGE, MPOL_INTERLEAVE);
	expect_policy(w->map + 7 * PAGE, MPOL_BIND);
	expect_policy(w->map + 8 * PAGE, MPOL_DEFAULT);
	assert_int_equal(bind_pages(w->map + 5 * PAGE, 1, MPOL_DEFAULT, 0, 0), 0);
	expect_policy(w->map + 5 * PAGE, MPOL_DEFAULT);
	expect_shown(w->map + 4 * PAGE, 5);
}

static void it_is_the_files_and_not_the_mappings(void **state)
{
	struct window *w = *state;
	uint8_t *other = window_map(w);

	assert_int_equal(bind_pages(w->map + 4 * PAGE, 2, MPOL_BIND, NODE_0, 0), 0);
	expect_policy(other + 5 * PAGE, MPOL_BIND);
	munmap(w->map, w->size);
	w->map = window_map(w);
	expect_policy(w->map + 5 * PAGE, MPOL_BIND);
	expect_policy(w->map + 6 * PAGE, MPOL_DEFAULT);
	munmap(other, w->size);
}

static void private_pages_have_one_and_keep_it(void **state)
{
	struct window *w = *state;

	window_hide(w, 2, 4);
	assert_int_equal(bind_pages(w->map + PAGE, 4, MPOL_BIND, NODE_0, 0), 0);
	expect_policy(w->map + 2 * PAGE, MPOL_BIND);
	expect_hidden(w->map + 2 * PAGE);
	assert_int_equal(node_of(w->map + 2 * PAGE), -EFAULT);
	assert_int_equal(node_of(w->map + PAGE), 0);
	window_show(w, 2, 4);
	expect_policy(w->map + 2 * PAGE, MPOL_BIND);
	expect_policy(w->map + 5 * PAGE, MPOL_DEFAULT);
	expect_shown(w->map + 2 * PAGE, 3);
	assert_int_equal(node_of(w->map + 2 * PAGE), 0);
}

static void a_range_may_have_other_memory_beside_it(void **state)
{
	struct window *w = *state;
	uint8_t *both =
		mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_equal(mmap(both + 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, w->fd, 10 * PAGE),
			 both + 2 * PAGE);
	assert_int_equal(bind_pages(both, 6, MPOL_BIND, NODE_0, 0), 0);
	for (int i = 0; i < 8; i++)
		expect_policy(both + (size_t)i * PAGE, i < 6 ? MPOL_BIND : MPOL_DEFAULT);
	expect_policy(w->map + 10 * PAGE, MPOL_BIND);
	expect_policy(w->map + 12 * PAGE, MPOL_DEFAULT);
	munmap(both + 5 * PAGE, PAGE);
	assert_int_equal(bind_pages(both, 8, MPOL_INTERLEAVE, NODE_0, 0), -EFAULT);
	munmap(both, 8 * PAGE);
}

/* A range of the file and one of a plain shared file, which the kernel serves: the same answers. */
static void what_is_wrong_is_refused_as_for_any_shared_file(void **state)
{
	struct window *w = *state;
	int fd = memfd_create("plain", 0);
	uint8_t *at[2] = { w->map };

	assert_int_equal(ftruncate(fd, 8 * PAGE), 0);
	at[1] = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	for (int i = 0; i < 2; i++) {
		unsigned long nodes = NODE_0;
		int mode;

		assert_int_equal(bind_pages(at[i] + 1, 1, MPOL_BIND, NODE_0, 0), -EINVAL);
		assert_int_equal(bind_pages(at[i], 1, 99, NODE_0, 0), -EINVAL);
		assert_int_equal(bind_pages(at[i], 1, MPOL_BIND, 0, 0), -EINVAL);
		assert_int_equal(bind_pages(at[i], 1, MPOL_DEFAULT, NODE_0, 0), -EINVAL);
		assert_int_equal(bind_pages(at[i], 1, MPOL_BIND, NODE_0, 1u << 9), -EINVAL);
		assert_int_equal(bind_pages(at[i], 0, MPOL_BIND, NODE_0, 0), 0);
		assert_int_equal(bind_pages(at[i], (1ul << 52) - 1, MPOL_BIND, NODE_0, 0), -EINVAL);
		assert_int_equal(result(syscall(SYS_mbind, at[i], PAGE, MPOL_BIND, 8ul, 64, 0)),
				 -EFAULT);
		assert_int_equal(
			result(syscall(SYS_get_mempolicy, &mode, &nodes, 1024, at[i], 1u << 9)),
			-EINVAL);
		assert_int_equal(
			result(syscall(SYS_get_mempolicy, 8ul, NULL, 0, at[i], MPOL_F_ADDR)),
			-EFAULT);
		expect_policy(at[i], MPOL_DEFAULT);
	}
	munmap(at[1], 8 * PAGE);
	close(fd);
}

static void the_home_node_is_one_of_policies_that_can_have_it(void **state)
{
	struct window *w = *state;

	if (home_node(w->map, 1, 0) == -ENOSYS)
		skip();
	assert_int_equal(home_node(w->map, 4, 0), -ENOENT);
	assert_int_equal(home_node(w->map, 4, 1000), -EINVAL);
	assert_int_equal(bind_pages(w->map + PAGE, 2, MPOL_BIND, NODE_0, 0), 0);
	assert_int_equal(home_node(w->map, 4, 0), 0);
	expect_policy(w->map + 2 * PAGE, MPOL_BIND);
	assert_int_equal(bind_pages(w->map + 2 * PAGE, 1, MPOL_INTERLEAVE, NODE_0, 0), 0);
	assert_int_equal(home_node(w->map, 4, 0), -EOPNOTSUPP);
	expect_policy(w->map + PAGE, MPOL_BIND);
	expect_policy(w->map + 2 * PAGE, MPOL_INTERLEAVE);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		WINDOW_TEST(it_is_set_page_by_page),
		WINDOW_TEST(it_is_the_files_and_not_the_mappings),
		WINDOW_TEST(private_pages_have_one_and_keep_it),
		WINDOW_TEST(a_range_may_have_other_memory_beside_it),
		WINDOW_TEST(what_is_wrong_is_refused_as_for_any_shared_file),
		WINDOW_TEST(the_home_node_is_one_of_policies_that_can_have_it),
	};

	if (syscall(SYS_get_mempolicy, NULL, NULL, 0, NULL, 0)) {
		print_message("the host's kernel knows no nodes\n");
		return 77;
	}
	window_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
