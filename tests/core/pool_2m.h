/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The system's pool of huge pages, made larger for the time of a test that has its stores of them. One test program
 * at a time: two who give back what they found would take each other's.
 */
#ifndef GMEM_TESTS_CORE_POOL_2M_H
#define GMEM_TESTS_CORE_POOL_2M_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Of pages of 2 MiB, unless a test says another. */
#ifndef POOL_PATH
#define POOL_PATH "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#endif

static int pool_fd = -1;
static long pool_was;

static inline long pool_read(void)
{
	char text[32] = "";

	return pread(pool_fd, text, sizeof(text) - 1, 0) > 0 ? strtol(text, NULL, 10) : -1;
}

static inline void pool_write(long nr)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%ld\n", nr);

	if (pwrite(pool_fd, text, (size_t)len, 0) != len)
		perror(POOL_PATH);
}

/* What stands in the file of that name beside POOL_PATH. */
static inline long pool_beside(const char *name)
{
	char path[256] = POOL_PATH;
	long nr = -1;
	FILE *f;

	strcpy(strrchr(path, '/') + 1, name);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (fscanf(f, "%ld", &nr) != 1)
		nr = -1;
	fclose(f);
	return nr;
}

/* NULL: there are nr more, or where memory is too scattered for that, as many that nobody uses; else why not. */
static inline const char *pool_open(long nr)
{
	pool_fd = open(POOL_PATH, O_RDWR);
	if (pool_fd < 0)
		return POOL_PATH " cannot be written";
	if (flock(pool_fd, LOCK_EX))
		return POOL_PATH " cannot be locked";
	pool_was = pool_read();
	pool_write(pool_was + nr);
	if (pool_read() >= pool_was + nr)
		return NULL;
	pool_write(pool_was);
	if (pool_beside("free_hugepages") - pool_beside("resv_hugepages") >= nr)
		return NULL;
	return "the system has no huge pages to spare";
}

/* Pages of 2 MiB that are free, and not set aside for anybody. */
static inline long pool_free(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long nr = -1, reserved = 0;

	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "HugePages_Free: %ld", &nr);
		sscanf(line, "HugePages_Rsvd: %ld", &reserved);
	}
	fclose(f);
	return nr - reserved;
}

static inline void pool_close(void)
{
	pool_write(pool_was);
}

#endif
