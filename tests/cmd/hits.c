/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A tracer of the system in small: hits FILE OFFSET COUNT PROGRAM... prints how often the program came to that offset of
 * the file, as the kernel has counted it. COUNT: the offset of the word that the kernel adds to while somebody
 * traces. Of one thread: who inherits such an event cannot fork. 77: no tracing here.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77
#define TYPE "/sys/bus/event_source/devices/uprobe/type"
#define COUNT_SHIFT 32

static void skip(const char *why)
{
	fprintf(stderr, "hits: %s: %s\n", why, strerror(errno));
	exit(SKIPPED);
}

static uint32_t kind_of_event(void)
{
	FILE *f = fopen(TYPE, "r");
	char line[16] = "";

	if (!f || !fgets(line, sizeof(line), f))
		skip(TYPE);
	fclose(f);
	return (uint32_t)atoi(line);
}

static int trace(pid_t pid, char **argv)
{
	struct perf_event_attr a = { .size = sizeof(a), .type = kind_of_event() };
	long fd;

	a.config = strtoull(argv[3], NULL, 0) << COUNT_SHIFT;
	a.uprobe_path = (uintptr_t)argv[1];
	a.probe_offset = strtoull(argv[2], NULL, 0);
	fd = syscall(SYS_perf_event_open, &a, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return (int)fd;
}

/* Begins when a byte can be read. */
static pid_t start(char **argv, int gate[2])
{
	pid_t pid = fork();

	if (pid)
		return pid;
	close(gate[1]);
	if (read(gate[0], &(char){ 0 }, 1) == 1)
		execvp(argv[4], argv + 4);
	_exit(SKIPPED);
}

int main(int argc, char **argv)
{
	int gate[2], fd, status;
	uint64_t hits;
	pid_t pid;

	if (argc < 5 || pipe(gate))
		return 2;
	pid = start(argv, gate);
	close(gate[0]);
	fd = pid > 0 ? trace(pid, argv) : -1;
	if (fd < 0)
		skip("perf_event_open");
	if (write(gate[1], "", 1) != 1 || waitpid(pid, &status, 0) != pid)
		return 2;
	if (read(fd, &hits, sizeof(hits)) != sizeof(hits))
		return 2;
	printf("%llu\n", (unsigned long long)hits);
	return WIFEXITED(status) ? 0 : 2;
}
