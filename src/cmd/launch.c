/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/launch.h"

#include "cmd/cmd.h"
#include "kvm/profile.h"
#include "see/text.h"
#include "shim/elf_reach.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A sanitizer's runtime must come before everything else that is loaded. */
#ifndef GMEM_PRELOAD_FIRST
#define GMEM_PRELOAD_FIRST ""
#endif

static const char *const log_levels[] = { "error", "warn", "info", "why", "debug" };

static int check_profile(const struct cmd *cmd, const char *name)
{
	char list[LAUNCH_LIST_MAX];

	for (size_t i = 0; kvm_profiles[i]; i++) {
		if (strcmp(kvm_profiles[i]->name, name) == 0)
			return EXIT_OK;
	}
	launch_list_profiles(list);
	return cmd_usage_error(cmd, "unknown profile '%s' (there are: %s)", name, list);
}

static int check_log(const struct cmd *cmd, const char *level)
{
	for (size_t i = 0; level && i < sizeof(log_levels) / sizeof(log_levels[0]); i++) {
		if (strcmp(log_levels[i], level) == 0)
			return EXIT_OK;
	}
	return level ? cmd_usage_error(
			       cmd,
			       "unknown log level '%s' (there are: error, warn, info, why, debug)",
			       level)
		     : EXIT_OK;
}

static int check_pages(const struct cmd *cmd, const char *pages)
{
	static const char *const kinds[] = { "4k", "thp", "2m", "1g", "2m-shared", "1g-shared" };

	for (size_t i = 0; pages && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i], pages) == 0)
			return EXIT_OK;
	return pages ? cmd_usage_error(
			       cmd,
			       "unknown pages '%s' (there are: 4k, thp, 2m, 1g, 2m-shared, 1g-shared)",
			       pages)
		     : EXIT_OK;
}

static int check_limit(const struct cmd *cmd, const char *limit)
{
	uint64_t bytes;
	const char *end;

	if (!limit || (text_read_size(limit, &bytes, &end) && !*end && bytes))
		return EXIT_OK;
	return cmd_usage_error(cmd, "--limit is no size: '%s'", limit);
}

int launch_check(const struct cmd *cmd, const struct launch *l)
{
	int ret = check_profile(cmd, launch_profile(l));

	if (ret == EXIT_OK)
		ret = check_log(cmd, l->log);
	if (ret == EXIT_OK)
		ret = check_limit(cmd, l->limit ? l->limit : getenv("GMEM_LIMIT"));
	return ret ? ret : check_pages(cmd, l->pages ? l->pages : getenv("GMEM_PAGES"));
}

void launch_list_profiles(char list[LAUNCH_LIST_MAX])
{
	int n = 0;

	for (size_t i = 0; kvm_profiles[i] && n < LAUNCH_LIST_MAX; i++)
		n += snprintf(list + n, (size_t)(LAUNCH_LIST_MAX - n), "%s%s", i ? ", " : "",
			      kvm_profiles[i]->name);
}

const char *launch_profile(const struct launch *l)
{
	const char *profile = l->profile ? l->profile : getenv("GMEM_PROFILE");

	return profile ? profile : kvm_profiles[0]->name;
}

static bool join(char path[PATH_MAX], const char *dir, const char *name)
{
	return snprintf(path, PATH_MAX, "%s/%s", dir, name) < PATH_MAX && access(path, R_OK) == 0;
}

/* An installation that was moved, or is tried where it was staged, is found from the command. */
static bool join_from(char path[PATH_MAX], const char *self, const char *installed)
{
	char dir[PATH_MAX];

	return join(path, self, GMEM_FROM_BINDIR) && realpath(path, dir) &&
	       join(path, dir, installed);
}

bool launch_find(const char *beside, const char *installed, char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		*slash = '\0';
		if (join(path, self, beside) || join_from(path, self, installed))
			return true;
	}
	return join(path, GMEM_LIBDIR, installed);
}

/* Finds what argv[0] means, as execvp() would. 0 or -errno. */
static int find_program(const char *name, char path[PATH_MAX])
{
	const char *dirs = getenv("PATH");
	int err = -ENOENT;

	if (strchr(name, '/')) {
		snprintf(path, PATH_MAX, "%s", name);
		return access(path, F_OK) ? -errno : access(path, X_OK) ? -EACCES : 0;
	}
	if (!dirs)
		dirs = "/bin:/usr/bin";
	while (*name) {
		size_t n = strcspn(dirs, ":");

		snprintf(path, PATH_MAX, "%.*s/%s", n ? (int)n : 1, n ? dirs : ".", name);
		if (access(path, X_OK) == 0)
			return 0;
		if (errno == EACCES)
			err = -EACCES;
		if (dirs[n] == '\0')
			break;
		dirs += n + 1;
	}
	return err;
}

static int complain_exec(const struct cmd *cmd, const char *name, int err)
{
	cmd_complain(cmd, "%s: %s", name, strerror(err));
	return err == ENOENT || err == ENOTDIR ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

/* A file without a known format is what a shell takes for a script. */
static int judge(const char *path, const char *library, struct elf_reach *r, bool *by_shell)
{
	int ret = elf_reach_path(path, library, r);

	*by_shell = ret == -ENOEXEC;
	if (*by_shell)
		ret = elf_reach_path("/bin/sh", library, r);
	return ret;
}

static int refuse(const struct cmd *cmd, const char *path, const struct elf_reach *r)
{
	cmd_complain(cmd, "%s%s%s%s %s: out of gmem's reach, so it is not run", path,
		     r->interp[0] ? " (its interpreter " : "", r->interp, r->interp[0] ? ")" : "",
		     elf_reach_text(r->why));
	return EXIT_CANNOT_RUN;
}

static void prepend_preload(const char *library)
{
	const char *old = getenv("LD_PRELOAD");
	size_t size = strlen(GMEM_PRELOAD_FIRST) + strlen(library) + (old ? strlen(old) : 0) + 3;
	char *value = malloc(size);

	if (!value)
		abort();
	snprintf(value, size, "%s%s%s%s%s", GMEM_PRELOAD_FIRST, GMEM_PRELOAD_FIRST[0] ? ":" : "",
		 library, old && old[0] ? ":" : "", old ? old : "");
	setenv("LD_PRELOAD", value, 1);
	free(value);
}

/* In bytes, whichever way it was said. */
static void set_limit(const char *limit)
{
	char text[24];
	const char *end;
	uint64_t bytes;

	if (!text_read_size(limit, &bytes, &end))
		return;
	snprintf(text, sizeof(text), "%" PRIu64, bytes);
	setenv("GMEM_LIMIT", text, 1);
}

static void set_environment(const struct launch *l, const char *library)
{
	prepend_preload(library);
	if (l->profile)
		setenv("GMEM_PROFILE", l->profile, 1);
	if (l->log)
		setenv("GMEM_LOG", l->log, 1);
	if (l->limit)
		set_limit(l->limit);
	if (l->prealloc)
		setenv("GMEM_PREALLOC", "1", 1);
	if (l->pages)
		setenv("GMEM_PAGES", l->pages, 1);
}

static void announce(const struct launch *l)
{
	if (l->quiet)
		return;
	fprintf(stderr,
		"gmem: /dev/kvm is simulated (%s); private pages are safe from accidents, not from "
		"hostile code in the same process\n",
		launch_profile(l));
}

static int find_library(const struct cmd *cmd, char library[PATH_MAX])
{
	if (!launch_find("libgmem-kvm.so", "libgmem-kvm.so", library)) {
		cmd_complain(cmd, "libgmem-kvm.so is neither beside the command nor in %s",
			     GMEM_LIBDIR);
		return EXIT_CANNOT_RUN;
	}
	/* The loader takes both for the end of a name and knows no way to quote them. */
	if (strpbrk(library, " :")) {
		cmd_complain(cmd, "%s cannot be preloaded: its path has a space or a colon",
			     library);
		return EXIT_CANNOT_RUN;
	}
	return EXIT_OK;
}

/* What is to be executed, and how. */
struct plan {
	char library[PATH_MAX], path[PATH_MAX];
	bool by_shell;
};

static int make_plan(const struct cmd *cmd, const char *program, struct plan *p)
{
	struct elf_reach r = { 0 };
	int ret = find_library(cmd, p->library);

	if (ret != EXIT_OK)
		return ret;
	ret = find_program(program, p->path);
	if (ret == 0)
		ret = judge(p->path, p->library, &r, &p->by_shell);
	if (ret < 0)
		return complain_exec(cmd, program, -ret);
	return r.why == ELF_REACH_OK ? EXIT_OK : refuse(cmd, p->path, &r);
}

int launch_look(const struct cmd *cmd, const char *program)
{
	struct plan p;

	return make_plan(cmd, program, &p);
}

int launch_exec(const struct cmd *cmd, const struct launch *l, char **argv)
{
	struct plan p;
	int ret = make_plan(cmd, argv[0], &p);

	if (ret != EXIT_OK)
		return ret;
	set_environment(l, p.library);
	announce(l);
	if (p.by_shell)
		execvp(p.path, argv); /* hands it to /bin/sh */
	else
		execv(p.path, argv);
	return complain_exec(cmd, argv[0], errno);
}
