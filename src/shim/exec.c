/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/exec.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "os/os.h"
#include "shim/elf_reach.h"
#include "shim/observe.h"
#include "shim/shim.h"
#include "shim/signal.h"

#define PRELOAD "LD_PRELOAD="
#define OBSERVER "GMEM_OBS="
#define PRELOAD_MAX (PATH_MAX + 256)

/* As they were when the program started: "LD_PRELOAD=...", and so on; empty: it was not set. */
static char preload[PRELOAD_MAX];
static char library[PATH_MAX];
static struct {
	const char *name;
	char text[256];
} ours[] = {
	{ "GMEM_PROFILE", "" },	      { "GMEM_LOG", "" },   { "GMEM_PAGES", "" },
	{ "GMEM_PINS", "" },	      { "GMEM_DEBUG", "" }, { "GMEM_OBS", "" },
	{ "GMEM_RESTRICTED_NR", "" }, { "GMEM_LIMIT", "" }, { "GMEM_PREALLOC", "" },
};
#define NR_OURS (sizeof(ours) / sizeof(ours[0]))

static void remember(char *out, size_t size, const char *name)
{
	const char *value = getenv(name);

	if (!value || strlen(name) + strlen(value) + 2 > size)
		return;
	strcpy(out, name);
	strcat(out, "=");
	strcat(out, value);
}

void exec_init(void)
{
	Dl_info info;

	remember(preload, sizeof(preload), "LD_PRELOAD");
	for (size_t i = 0; i < NR_OURS; i++)
		remember(ours[i].text, sizeof(ours[i].text), ours[i].name);
	if (dladdr(preload, &info) && strlen(info.dli_fname) < sizeof(library))
		strcpy(library, info.dli_fname);
	/* Loaded in another way than by LD_PRELOAD. */
	if (!strstr(preload, library)) {
		strcpy(preload, PRELOAD);
		strcat(preload, library);
	}
}

/* ---- the environment --------------------------------------------------------------------- */

static bool sets(const char *entry, const char *assignment)
{
	size_t n = (size_t)(strchr(assignment, '=') - assignment) + 1;

	return strncmp(entry, assignment, n) == 0;
}

static bool has(char *const envp[], const char *assignment)
{
	for (; envp && *envp; envp++)
		if (sets(*envp, assignment))
			return true;
	return false;
}

size_t exec_nr_pointers(char *const envp[])
{
	size_t n = 0;

	while (envp && envp[n])
		n++;
	return n + 2 + NR_OURS;
}

size_t exec_text_size(char *const envp[])
{
	size_t size = strlen(preload) + 2;

	for (; envp && *envp; envp++)
		if (sets(*envp, preload))
			size += strlen(*envp);
	return size;
}

/* Puts ours before what the program itself wants to preload. */
static char *with_preload(char *entry, char *text)
{
	if (strstr(entry, library))
		return entry;
	strcpy(text, preload);
	if (entry[sizeof(PRELOAD) - 1]) {
		strcat(text, ":");
		strcat(text, entry + sizeof(PRELOAD) - 1);
	}
	return text;
}

void exec_environment(char *const envp[], char **pointers, char *text)
{
	bool is_preloaded = false, is_observed = observe_may_pass_on();

	/* Of two the loader takes the first. */
	for (char *const *e = envp; e && *e; e++) {
		bool first = !is_preloaded && sets(*e, preload);

		if (!is_observed && sets(*e, OBSERVER))
			continue;
		*pointers++ = first ? with_preload(*e, text) : *e;
		is_preloaded |= first;
	}
	if (!is_preloaded)
		*pointers++ = preload;
	for (size_t i = 0; i < NR_OURS; i++)
		if (ours[i].text[0] && !has(envp, ours[i].text) &&
		    (is_observed || !sets(ours[i].text, OBSERVER)))
			*pointers++ = ours[i].text;
	*pointers = NULL;
}

/* ---- run --------------------------------------------------------------------------------- */

static void say_refused(const char *path, const struct elf_reach *r)
{
	bool script = r->interp[0];

	os_log(OS_LOG_ERROR, "%s%s%s%s %s: out of gmem's reach, so it is not run", path,
	       script ? " (its interpreter " : "", r->interp, script ? ")" : "",
	       elf_reach_text(r->why));
}

int exec_judge(int dirfd, const char *path, int flags)
{
	struct elf_reach r;
	int ret = elf_reach_at(dirfd, path, flags, library, &r);

	if (ret || r.why == ELF_REACH_OK)
		return ret;
	say_refused(path, &r);
	return -EACCES;
}

long exec_run(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	char **pointers;
	char *text;
	long failed;
	int ret = exec_judge(dirfd, path, flags);

	os_log_end();
	if (ret)
		return ret;
	pointers = __builtin_alloca(exec_nr_pointers(envp) * sizeof(*pointers));
	text = __builtin_alloca(exec_text_size(envp));
	exec_environment(envp, pointers, text);
	signal_before_exec();
	if (dirfd == AT_FDCWD && !flags)
		failed = os_sys3(SYS_execve, path, argv, pointers);
	else
		failed = os_sys5(SYS_execveat, dirfd, path, argv, pointers, flags);
	signal_exec_failed();
	return failed;
}
