/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/outfile.h"

#include "cmd/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FILES 64

/* ---- the same twice --------------------------------------------------------------------------- */

static char *claimed[MAX_FILES];
static size_t nr_claimed;

/* A plain file's path without links; of one that is not there yet, its folder's, and its name. NULL: something else. */
char *outfile_place(const char *path)
{
	const char *name = strrchr(path, '/');
	char folder[PATH_MAX], full[PATH_MAX];
	struct stat st;

	if (!stat(path, &st))
		return S_ISREG(st.st_mode) ? realpath(path, NULL) : NULL;
	if (errno != ENOENT || !lstat(path, &st))
		return NULL;
	name = name ? name + 1 : path;
	if (snprintf(full, sizeof(full), "%.*s.", (int)(name - path), path) >= (int)sizeof(full) ||
	    !realpath(full, folder))
		return NULL;
	if (snprintf(full, sizeof(full), "%s/%s", folder, name) >= (int)sizeof(full))
		return NULL;
	return strdup(full);
}

int outfile_claim(const struct cmd *cmd, const char *path)
{
	char *full = outfile_place(path);

	for (size_t i = 0; full && i < nr_claimed; i++) {
		if (strcmp(full, claimed[i]))
			continue;
		free(full);
		return cmd_usage_error(cmd, "%s is to be written twice", path);
	}
	if (full && nr_claimed < MAX_FILES)
		claimed[nr_claimed++] = full;
	else
		free(full);
	return EXIT_OK;
}

/* ---- who ends us ------------------------------------------------------------------------------- */

static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
static const char *volatile temporaries[MAX_FILES];
static volatile sig_atomic_t owner;

/* Also in a child that is not another program yet: then they are its parent's. */
static void on_end(int signo)
{
	for (size_t i = 0; i < MAX_FILES && owner == getpid(); i++)
		if (temporaries[i])
			unlink(temporaries[i]);
	signal(signo, SIG_DFL);
	raise(signo);
}

static void take_care(void)
{
	struct sigaction old;

	owner = getpid();
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (!sigaction(ends[i], NULL, &old) && old.sa_handler == SIG_DFL)
			signal(ends[i], on_end);
}

static bool remember(const char *temporary)
{
	for (size_t i = 0; i < MAX_FILES; i++) {
		if (temporaries[i])
			continue;
		temporaries[i] = temporary;
		return true;
	}
	return false;
}

void outfile_remember(const char *temporary)
{
	take_care();
	remember(temporary);
}

void outfile_forget(const char *temporary)
{
	for (size_t i = 0; i < MAX_FILES; i++)
		if (temporaries[i] == temporary)
			temporaries[i] = NULL;
}

/* ---- a file ------------------------------------------------------------------------------------ */

/* As who would have opened it: of an older one its mode and owner, as far as that may be given. */
static void set_mode(int fd, const char *target)
{
	mode_t mask = umask(0);
	struct stat st;

	umask(mask);
	if (stat(target, &st)) {
		fchmod(fd, 0666 & ~mask);
		return;
	}
	if (fchown(fd, st.st_uid, st.st_gid))
		st.st_mode &= 0777;
	fchmod(fd, st.st_mode & 07777);
}

static void leave_temporary(struct outfile *o)
{
	if (o->f)
		fclose(o->f);
	o->f = NULL;
	if (o->temporary) {
		unlink(o->temporary);
		outfile_forget(o->temporary);
	}
	free(o->temporary);
	free(o->target);
	o->temporary = o->target = NULL;
}

/* Beside its place. False: it cannot be written so. */
static bool open_beside(struct outfile *o)
{
	size_t size;
	int fd;

	o->target = outfile_place(o->path);
	if (!o->target || (!access(o->target, F_OK) && access(o->target, W_OK)))
		return false;
	size = strlen(o->target) + sizeof(".XXXXXX");
	o->temporary = malloc(size);
	if (!o->temporary)
		return false;
	snprintf(o->temporary, size, "%s.XXXXXX", o->target);
	fd = mkostemp(o->temporary, O_CLOEXEC);
	if (fd < 0) {
		free(o->temporary);
		o->temporary = NULL;
		return false;
	}
	set_mode(fd, o->target);
	o->f = fdopen(fd, "w");
	if (!o->f)
		close(fd);
	return o->f && remember(o->temporary) && (!unlink(o->target) || errno == ENOENT);
}

int outfile_open(const struct cmd *cmd, const char *path, struct outfile *out)
{
	*out = (struct outfile){ .path = path };
	take_care();
	if (open_beside(out))
		return EXIT_OK;
	leave_temporary(out);
	out->f = fopen(path, "we");
	if (out->f)
		return EXIT_OK;
	cmd_complain(cmd, "%s cannot be written: %s", path, strerror(errno));
	out->path = NULL;
	return EXIT_FAILED;
}

bool outfile_finish(const struct cmd *cmd, struct outfile *out)
{
	/* Why an earlier write failed is not known any more. */
	bool ok = !ferror(out->f);
	int err = 0;

	if (fclose(out->f) && ok)
		err = errno;
	out->f = NULL;
	if (ok && !err && out->temporary && rename(out->temporary, out->target))
		err = errno;
	ok &= !err;
	if (!ok)
		cmd_complain(cmd, "%s is not complete%s%s", out->path, err ? ": " : "",
			     err ? strerror(err) : "");
	if (ok && out->temporary) {
		outfile_forget(out->temporary);
		free(out->temporary);
		out->temporary = NULL;
	}
	leave_temporary(out);
	out->path = NULL;
	return ok;
}

void outfile_drop(struct outfile *out)
{
	leave_temporary(out);
	out->path = NULL;
}
