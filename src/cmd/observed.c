/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/observed.h"

#include "cmd/cmd.h"
#include "cmd/launch.h"
#include "obs/attach.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_FOUND 64
#define WAIT_MS 3000

struct found {
	int pid;
	char name[64];
};

/* ---- /proc ------------------------------------------------------------------------------------- */

static FILE *open_proc(int pid, const char *what)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	return fopen(path, "re");
}

static void read_name(int pid, char name[64])
{
	FILE *f = open_proc(pid, "comm");

	strcpy(name, "?");
	if (f && fgets(name, 64, f))
		name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
}

/* Is the library mapped there? Its inode, too: another gmem's library knows other signals. */
static bool maps_library(int pid, uint64_t *inode)
{
	FILE *f = open_proc(pid, "maps");
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (f && !found && getline(&line, &size, f) > 0) {
		unsigned long long number;

		found = strstr(line, "/libgmem-kvm.so") &&
			sscanf(line, "%*s %*s %*s %*s %llu", &number) == 1;
		if (found)
			*inode = number;
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

static uint64_t own_library(void)
{
	char path[PATH_MAX];
	struct stat st;

	if (!launch_find("libgmem-kvm.so", "libgmem-kvm.so", path) || stat(path, &st))
		return 0;
	return st.st_ino;
}

/* A number in /proc/PID/status; 0: it is not there. */
static uint64_t status_of(int pid, const char *key, int base)
{
	FILE *f = open_proc(pid, "status");
	char line[256];
	uint64_t value = 0;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = strtoull(line + strlen(key), NULL, base);
	if (f)
		fclose(f);
	return value;
}

/* ---- the region -------------------------------------------------------------------------------- */

/* The path that the program was started with. */
static bool path_in_environment(int pid, char path[PATH_MAX])
{
	FILE *f = open_proc(pid, "environ");
	char *entry = NULL;
	size_t size = 0;
	bool found = false;

	while (f && !found && getdelim(&entry, &size, '\0', f) > 0)
		if (!strncmp(entry, "GMEM_OBS=", 9)) {
			snprintf(path, PATH_MAX, "%s", entry + 9);
			found = true;
		}
	free(entry);
	if (f)
		fclose(f);
	return found;
}

/* One that it has made itself, since somebody asked. */
static bool path_in_descriptors(int pid, char path[PATH_MAX])
{
	char dir[64], link[64];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%d/fd", pid);
	d = opendir(dir);
	while (d && !found && (e = readdir(d))) {
		ssize_t n;

		snprintf(path, PATH_MAX, "%s/%s", dir, e->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		found = !strncmp(link, "/memfd:" ATTACH_NAME, strlen("/memfd:" ATTACH_NAME));
	}
	if (d)
		closedir(d);
	return found;
}

/* The library's part of the process has no VMs. */
static bool is_library(const struct obs_process *p)
{
	size_t size = strnlen(p->name, sizeof(p->name)), end = strlen(OBS_LIBRARY_SUFFIX);

	return size >= end && !memcmp(p->name + size - end, OBS_LIBRARY_SUFFIX, end);
}

static bool find_process(struct observed *o)
{
	uint32_t nr = atomic_load(&o->region.r->nr_processes);
	bool found = false;

	for (uint32_t i = nr < OBS_MAX_PROCESSES ? nr : OBS_MAX_PROCESSES; i-- > 0;) {
		const struct obs_process *p = obs_process_at(o->region.r, i);

		if (atomic_load(&p->state) != OBS_STATE_LIVES || p->pid != (uint32_t)o->pid)
			continue;
		if (!found || !is_library(p))
			o->process = i;
		found = true;
		if (!is_library(p))
			break;
	}
	return found;
}

static int open_path(struct observed *o, const char *path)
{
	int err = see_region_open(path, &o->region);

	if (!err && !find_process(o)) {
		see_region_close(&o->region);
		err = -ESRCH;
	}
	return err;
}

static int open_region(struct observed *o)
{
	char path[PATH_MAX];
	int err = -ENOENT;

	if (path_in_environment(o->pid, path))
		err = open_path(o, path);
	if (err && path_in_descriptors(o->pid, path)) {
		err = open_path(o, path);
		o->is_late = !err;
	}
	return err;
}

/* ---- one that nobody observes ------------------------------------------------------------------ */

static const char *why_not_to_ask(int pid)
{
	uint64_t inode = 0;

	if (!maps_library(pid, &inode))
		return "does not run under gmem";
	if (inode != own_library())
		return "runs under another gmem than this one";
	if (status_of(pid, "Seccomp_filters:", 10) >
	    status_of((int)getpid(), "Seccomp_filters:", 10))
		return "filters its system calls, so it cannot be observed any more: start it by `gmem "
		       "run --observe`";
	if (!(status_of(pid, "SigCgt:", 16) >> (SIGBUS - 1) & 1))
		return "is just starting or ending";
	return NULL;
}

static int ask(struct observed *o)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	union sigval value = { .sival_ptr = (void *)(uintptr_t)ATTACH_VALUE };
	int err = sigqueue(o->pid, SIGBUS, value) ? -errno : -ENOENT;

	o->was_asked = err == -ENOENT;
	for (int ms = 0; err == -ENOENT && ms < WAIT_MS; ms += 10) {
		nanosleep(&pause, NULL);
		err = open_region(o);
		if (err == -EPROTO || err == -ESRCH)
			err = -ENOENT;
	}
	return err;
}

static int complain(const struct cmd *cmd, int pid, int err)
{
	if (err == -ESRCH)
		cmd_complain(cmd, "there is no process %d", pid);
	else if (err == -ENOENT)
		cmd_complain(cmd,
			     "process %d does not answer: it has not called gmem for some time, or "
			     "its observer has ended",
			     pid);
	else if (err == -EPROTO)
		cmd_complain(cmd, "process %d is observed by another gmem than this one", pid);
	else
		cmd_complain(cmd, "process %d cannot be looked at: %s", pid, strerror(-err));
	return EXIT_FAILED;
}

static int open_one(const struct cmd *cmd, int pid, struct observed *o)
{
	const char *why;
	int err;

	*o = (struct observed){ .pid = pid };
	if (kill(pid, 0))
		return complain(cmd, pid, -errno);
	read_name(pid, o->name);
	err = open_region(o);
	if (!err)
		return EXIT_OK;
	if (err == -EPROTO)
		return complain(cmd, pid, err);
	why = why_not_to_ask(pid);
	if (why) {
		cmd_complain(cmd, "process %d (%s) %s", pid, o->name, why);
		return EXIT_FAILED;
	}
	err = ask(o);
	return err ? complain(cmd, pid, err) : EXIT_OK;
}

/* ---- the only one ------------------------------------------------------------------------------ */

static bool is_mine(int pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return !stat(path, &st) && st.st_uid == getuid();
}

/* gmem's own processes are programs, too, but run none. */
static size_t find_all(struct found list[MAX_FOUND])
{
	struct dirent *e;
	DIR *d = opendir("/proc");
	uint64_t inode;
	size_t nr = 0;

	while (d && nr < MAX_FOUND && (e = readdir(d))) {
		int pid = atoi(e->d_name);

		if (!isdigit((unsigned char)e->d_name[0]) || !is_mine(pid) ||
		    !maps_library(pid, &inode))
			continue;
		list[nr].pid = pid;
		read_name(pid, list[nr++].name);
	}
	if (d)
		closedir(d);
	return nr;
}

int observed_open(const struct cmd *cmd, int pid, struct observed *o)
{
	struct found list[MAX_FOUND];
	size_t nr;

	if (pid)
		return open_one(cmd, pid, o);
	nr = find_all(list);
	if (nr == 1)
		return open_one(cmd, list[0].pid, o);
	if (!nr) {
		cmd_complain(cmd, "you run no program under gmem");
		return EXIT_FAILED;
	}
	cmd_complain(cmd, "you run several programs under gmem; say which:");
	for (size_t i = 0; i < nr; i++)
		fprintf(stderr, "  %d  %s\n", list[i].pid, list[i].name);
	return EXIT_FAILED;
}

void observed_close(struct observed *o)
{
	see_region_close(&o->region);
}

bool observed_lives(const struct observed *o)
{
	return atomic_load(&obs_process_at(o->region.r, o->process)->state) == OBS_STATE_LIVES &&
	       !kill(o->pid, 0);
}
