/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HUGEPAGES "/sys/kernel/mm/hugepages/"

static void put(char *out, const char *text)
{
	snprintf(out, ASK_ANSWER_MAX, "%s", text);
}

static void put_fd(char *out, int fd)
{
	put(out, fd >= 0 ? "yes" : strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* The first line of a small file, or "no". */
static void put_file(char *out, const char *path)
{
	FILE *f = fopen(path, "re");

	put(out, "no");
	if (!f)
		return;
	if (!fgets(out, ASK_ANSWER_MAX, f))
		put(out, "no");
	out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

static void memfd(char *out)
{
	put_fd(out, memfd_create("gmem features", MFD_CLOEXEC));
}

static void memfd_huge(char *out)
{
	put_fd(out, memfd_create("gmem features", MFD_CLOEXEC | MFD_HUGETLB));
}

static void uffd(char *out)
{
	put_fd(out, (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
}

static void uffd_user(char *out)
{
	put_fd(out, (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1));
}

static void huge_2m(char *out)
{
	put_file(out, HUGEPAGES "hugepages-2048kB/free_hugepages");
}

static void huge_1g(char *out)
{
	put_file(out, HUGEPAGES "hugepages-1048576kB/free_hugepages");
}

static void thp(char *out)
{
	put_file(out, "/sys/kernel/mm/transparent_hugepage/enabled");
}

static void thp_shmem(char *out)
{
	put_file(out, "/sys/kernel/mm/transparent_hugepage/shmem_enabled");
}

static const struct {
	const char *name;
	void (*find)(char *out);
} facts[] = {
	{ "memfd", memfd },
	{ "memfd of huge pages", memfd_huge },
	{ "free huge pages of 2 MiB", huge_2m },
	{ "free huge pages of 1 GiB", huge_1g },
	{ "transparent huge pages", thp },
	{ "transparent huge pages in memfds", thp_shmem },
	{ "userfaultfd", uffd },
	{ "userfaultfd without privileges", uffd_user },
};

size_t host_nr_facts(void)
{
	return sizeof(facts) / sizeof(facts[0]);
}

const char *host_fact_name(size_t i)
{
	return facts[i].name;
}

void host_fact(size_t i, char out[ASK_ANSWER_MAX])
{
	facts[i].find(out);
}
