/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* NUMA policy of a guest memory, also on a machine with one node. */
#include "t.h"

#include <linux/mempolicy.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "../core/pool_run.h"

static unsigned long node_0 = 1;

static void expect_policy(struct gmem *g, uint64_t page, int wanted)
{
	unsigned long nodes[16] = { 0 };
	int mode = -1;

	assert_int_equal(gmem_get_policy(g, page * PAGE, &mode, nodes, 1024, 0), 0);
	assert_int_equal(mode, wanted);
	assert_int_equal(nodes[0], wanted == MPOL_DEFAULT ? 0 : node_0);
}

static void it_is_of_pages_whatever_they_are(void **state)
{
	struct gmem *g = t_create(16, BOTH);

	assert_int_equal(gmem_convert_simply(g, 0, 3 * PAGE, PRIVATE, NULL), 0);
	assert_int_equal(gmem_set_policy(g, 2 * PAGE, 2 * PAGE, MPOL_BIND, &node_0, 64, 0), 0);
	expect_policy(g, 1, MPOL_DEFAULT);
	expect_policy(g, 2, MPOL_BIND);
	expect_policy(g, 3, MPOL_BIND);
	expect_policy(g, 4, MPOL_DEFAULT);
	assert_int_equal(gmem_set_policy(g, 3 * PAGE, PAGE, MPOL_DEFAULT, NULL, 0, 0), 0);
	expect_policy(g, 2, MPOL_BIND);
	expect_policy(g, 3, MPOL_DEFAULT);
	gmem_put(g);
}

static unsigned int nr_store_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned int nr = 0;
	char line[512];

	while (fgets(line, sizeof(line), f))
		nr += strstr(line, "gmem-store") != NULL;
	fclose(f);
	return nr;
}

/* One page of 2 MiB, with windows or without; what is behind the last of them is small where there are windows. */
static void a_huge_page_has_one(void **state)
{
	static const uint32_t kinds[] = { GMEM_HUGETLB, GMEM_HUGETLB | GMEM_MMAP };
	unsigned int nr = nr_store_mappings();

	for (unsigned int i = 0; i < 2; i++) {
		struct gmem_create_args args = { .args_size = sizeof(args),
						 .flags = kinds[i],
						 .size = 1026 * PAGE };
		struct gmem *g;

		if (gmem_create(&args, &g))
			skip(); /* the system's own huge pages are few */
		assert_int_equal(gmem_set_policy(g, 513 * PAGE, PAGE, MPOL_BIND, &node_0, 64, 0),
				 0);
		expect_policy(g, 513, MPOL_BIND);
		expect_policy(g, 100, MPOL_DEFAULT);
		assert_int_equal(
			gmem_set_policy(g, 1000 * PAGE, 26 * PAGE, MPOL_BIND, &node_0, 64, 0), 0);
		expect_policy(g, 1025, MPOL_BIND);
		assert_int_equal(gmem_set_policy(g, 0, 1026 * PAGE, MPOL_DEFAULT, NULL, 0, 0), 0);
		expect_policy(g, 513, MPOL_DEFAULT);
		gmem_put(g);
		assert_int_equal(nr_store_mappings(), nr);
	}
}

static void what_is_wrong_is_refused(void **state)
{
	struct gmem *g = t_create(4, 0);
	int mode;

	assert_int_equal(gmem_set_policy(NULL, 0, PAGE, MPOL_BIND, &node_0, 64, 0), -EINVAL);
	assert_int_equal(gmem_set_policy(g, 1, PAGE, MPOL_BIND, &node_0, 64, 0), -EINVAL);
	assert_int_equal(gmem_set_policy(g, 4 * PAGE, PAGE, MPOL_BIND, &node_0, 64, 0), -EINVAL);
	assert_int_equal(gmem_set_policy(g, 0, PAGE, 99, &node_0, 64, 0), -EINVAL);
	assert_int_equal(gmem_set_policy(g, 0, PAGE, MPOL_BIND, NULL, 0, 0), -EINVAL);
	assert_int_equal(gmem_set_policy(g, 0, PAGE, MPOL_BIND, &node_0, 64, 1), -EINVAL);
	must_refuse("LIB_POLICY_FLAGS");
	assert_int_equal(gmem_get_policy(g, 0, &mode, NULL, 0, 1), -EINVAL);
	must_refuse("LIB_POLICY_FLAGS");
	assert_int_equal(gmem_get_policy(NULL, 0, &mode, NULL, 0, 0), -EINVAL);
	assert_int_equal(gmem_get_policy(g, 4 * PAGE, &mode, NULL, 0, 0), -EINVAL);
	expect_policy(g, 0, MPOL_DEFAULT);
	gmem_put(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_of_pages_whatever_they_are),
		cmocka_unit_test(a_huge_page_has_one),
		cmocka_unit_test(what_is_wrong_is_refused),
	};

	if (syscall(SYS_get_mempolicy, NULL, NULL, 0, NULL, 0)) {
		printf("the host's kernel knows no nodes\n");
		return 77;
	}
	return pool_run_or_without(4, tests);
}
