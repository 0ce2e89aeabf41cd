/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "left.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_KEPT 2

/* A userfaultfd for marks and one to close huge pages with are there from the first need on. */
static bool is_kept(int dir, const char *name)
{
	char link[64] = "";

	return readlinkat(dir, name, link, sizeof(link) - 1) > 0 &&
	       !strcmp(link, "anon_inode:[userfaultfd]");
}

static uint64_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *e;
	uint64_t nr = 0, nr_kept = 0;

	while (dir && (e = readdir(dir)))
		nr += !is_kept(dirfd(dir), e->d_name) || ++nr_kept > MAX_KEPT;
	if (dir)
		closedir(dir);
	return nr;
}

static void count_mapping(struct left *l, const char *line)
{
	unsigned long long from, to, offset, inode;
	char rights[8];

	if (sscanf(line, "%llx-%llx %7s %llx %*s %llu", &from, &to, rights, &offset, &inode) != 5)
		return;
	if (strstr(line, "memfd:"))
		l->files++;
	else if (!inode && !strncmp(rights, "---", 3))
		l->reserved += to - from;
	else if (!inode && !strchr(line, '['))
		l->anonymous += to - from;
}

void left_look(struct left *l)
{
	char line[512];
	FILE *maps;

	memset(l, 0, sizeof(*l));
	l->fds = count_entries("/proc/self/fd");
	l->threads = count_entries("/proc/self/task");
	maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps))
		count_mapping(l, line);
	if (maps)
		fclose(maps);
}
