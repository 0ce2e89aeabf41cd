/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* gmem snapshot: guest memory of a process that runs, to a file and back. */
#include "cmd/cmd.h"
#include "cmd/mapped.h"
#include "cmd/opts.h"
#include "cmd/outfile.h"
#include "cmd/snapshot_shown.h"
#include "lib/lib.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_MS 5000
#define PATH_SIZE 4096

static bool as_json, quiet, lost;

static const struct opt save_opts[] = {
	{ "lost", NULL, "go on when pages have failed: what was in them is lost", .flag = &lost },
	{ "quiet", NULL, "do not say what was saved", .flag = &quiet, .letter = 'q' },
	{ 0 },
};

static const struct opt restore_opts[] = {
	{ "lost", NULL, "pages that had failed become zero", .flag = &lost },
	{ 0 },
};

static const struct opt show_opts[] = {
	{ "json", NULL, "as JSON, for programs", .flag = &as_json },
	{ 0 },
};

/* ---- whose memory -------------------------------------------------------------------------------- */

static bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	return !errno && !*end && text[0] >= '0' && text[0] <= '9' && *value && *value <= max;
}

static int complain_of_process(const struct cmd *cmd, int pid, int err)
{
	if (err == -ESRCH)
		cmd_complain(cmd, "there is no process %d", pid);
	else if (err == -ENOENT)
		cmd_complain(cmd, "process %d has made no such guest_memfd", pid);
	else
		cmd_complain(cmd, "process %d: %s", pid, gmem_strerror(err));
	return EXIT_FAILED;
}

/* The only file there is, when none is named. */
static int find_only(const struct cmd *cmd, int pid, uint64_t *id)
{
	struct mapped m;
	int err = mapped_read(pid, 0, false, &m);

	if (err)
		return complain_of_process(cmd, pid, err);
	if (m.nr_files == 1)
		*id = m.files[0].id;
	else if (m.nr_files)
		cmd_complain(cmd,
			     "process %d has %zu guest_memfds: name one, as `gmem map %d` does",
			     pid, m.nr_files, pid);
	else
		cmd_complain(cmd, "process %d has no guest_memfd", pid);
	err = m.nr_files == 1 ? EXIT_OK : EXIT_FAILED;
	mapped_free(&m);
	return err;
}

static int open_memory(const struct cmd *cmd, int pid, uint64_t id, struct gmem **g)
{
	int err;

	if (!id && find_only(cmd, pid, &id) != EXIT_OK)
		return EXIT_FAILED;
	gmem_set_patience(PATIENCE_MS);
	err = lib_open_listed((uint32_t)pid, id, g);
	return err ? complain_of_process(cmd, pid, err) : EXIT_OK;
}

struct words {
	uint64_t pid, id;
	const char *path;
};

/* PID [NUMBER] FILE */
static int parse_words(const struct cmd *cmd, int argc, char **argv, struct words *w)
{
	int first = opts_parse(cmd, argc, argv);

	*w = (struct words){ .path = argv[argc - 1] };
	if (first < 0)
		return EXIT_USAGE;
	if (argc - first < 2 || argc - first > 3)
		return cmd_usage_error(cmd,
				       "a process, perhaps the number of a guest_memfd, a file");
	if (!parse_number(argv[first], INT32_MAX, &w->pid))
		return cmd_usage_error(cmd, "'%s' is not the number of a process", argv[first]);
	if (argc - first == 3 && !parse_number(argv[first + 1], UINT64_MAX - 1, &w->id))
		return cmd_usage_error(cmd, "'%s' is not the number of a guest_memfd",
				       argv[first + 1]);
	return EXIT_OK;
}

/* ---- saving -------------------------------------------------------------------------------------- */

static int complain_of_call(const struct cmd *cmd, const char *path, int err)
{
	struct gmem_refusal why = { .args_size = sizeof(why) };

	if (!gmem_last_refusal(&why) && why.error == err)
		cmd_complain(cmd, "%s: %s (%s)%s", path, why.reason, why.rule, snapshot_where());
	else
		cmd_complain(cmd, "%s: %s", path, gmem_strerror(err));
	return EXIT_FAILED;
}

static int complain_of_save(const struct cmd *cmd, const char *path,
			    const struct gmem_snapshot_args *args, int err)
{
	if (err != -EHWPOISON)
		return complain_of_call(cmd, path, err);
	cmd_complain(cmd,
		     "%s: the page at 0x%" PRIx64
		     " has failed, --lost saves the rest (SNAPSHOT_POISONED)",
		     path, args->error_offset);
	return EXIT_FAILED;
}

static void tell_save(const char *path, const struct gmem_snapshot_args *args)
{
	printf("%s: %" PRIu64 " bytes; the guest memory stood still for %.3f ms\n", path,
	       args->file_bytes, (double)args->frozen_ns / 1e6);
	snapshot_tell_lost(path, args->lost_bytes);
}

/* That the new file has the name must be on the disk, too. */
static int sync_folder(const char *path)
{
	char folder[PATH_SIZE];
	char *slash;
	int fd, err;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) ? -errno : 0;
	close(fd);
	/* A file system that cannot do it has nothing to be done. */
	return err == -EINVAL ? 0 : err;
}

/* What is not whole is private memory on a disk: it goes, whatever ends us. */
static int drop(const char *temporary)
{
	unlink(temporary);
	outfile_forget(temporary);
	return EXIT_FAILED;
}

static int save_beside(const struct cmd *cmd, struct gmem *g, const char *path, const char *place)
{
	struct gmem_snapshot_args args = { .args_size = sizeof(args),
					   .flags = lost ? GMEM_SNAPSHOT_LOST : 0 };
	char temporary[PATH_SIZE];
	int err;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", place) >=
	    sizeof(temporary)) {
		cmd_complain(cmd, "the name of the file is too long");
		return EXIT_FAILED;
	}
	outfile_remember(temporary);
	args.fd = mkostemp(temporary, O_CLOEXEC);
	if (args.fd < 0) {
		cmd_complain(cmd, "%s: %s", path, strerror(errno));
		outfile_forget(temporary);
		return EXIT_FAILED;
	}
	err = gmem_snapshot(g, &args);
	close(args.fd);
	if (err) {
		drop(temporary);
		return complain_of_save(cmd, path, &args, err);
	}
	if (rename(temporary, place) || sync_folder(place)) {
		cmd_complain(cmd, "%s: %s", path, strerror(errno));
		return drop(temporary);
	}
	outfile_forget(temporary);
	if (!quiet)
		tell_save(path, &args);
	return EXIT_OK;
}

/* A device, a pipe or a folder is not to be replaced by a file. */
static int save_into(const struct cmd *cmd, struct gmem *g, const char *path)
{
	char *place = outfile_place(path);
	struct stat st;
	int ret;

	if (place) {
		ret = save_beside(cmd, g, path, place);
		free(place);
		return ret;
	}
	if (lstat(path, &st))
		cmd_complain(cmd, "%s: %s", path, strerror(errno));
	else
		cmd_complain(cmd, "%s is no plain file, which a snapshot is written to", path);
	return EXIT_FAILED;
}

/* What does something with the memory and the file that the words name. */
static int with_memory(const struct cmd *cmd, int argc, char **argv,
		       int (*work)(const struct cmd *cmd, struct gmem *g, const char *path))
{
	struct words w;
	struct gmem *g;
	int ret = parse_words(cmd, argc, argv, &w);

	if (ret == EXIT_OK)
		ret = open_memory(cmd, (int)w.pid, w.id, &g);
	if (ret != EXIT_OK)
		return ret;
	ret = work(cmd, g, w.path);
	gmem_put(g);
	return ret;
}

static int save(const struct cmd *cmd, int argc, char **argv)
{
	return with_memory(cmd, argc, argv, save_into);
}

/* ---- the way back -------------------------------------------------------------------------------- */

static int open_file(const struct cmd *cmd, const char *path, int *fd)
{
	/* A pipe is no snapshot, and shall not keep us until somebody writes to it. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd >= 0)
		return EXIT_OK;
	cmd_complain(cmd, "%s: %s", path, strerror(errno));
	return EXIT_FAILED;
}

static int restore_from(const struct cmd *cmd, struct gmem *g, const char *path)
{
	struct gmem_restore_args args = { .args_size = sizeof(args),
					  .flags = lost ? GMEM_SNAPSHOT_LOST : 0 };
	int ret = open_file(cmd, path, &args.fd), err;

	if (ret != EXIT_OK)
		return ret;
	err = gmem_restore(g, &args);
	close(args.fd);
	return err ? complain_of_call(cmd, path, err) : EXIT_OK;
}

static int restore(const struct cmd *cmd, int argc, char **argv)
{
	return with_memory(cmd, argc, argv, restore_from);
}

/* ---- looking at a file --------------------------------------------------------------------------- */

static int with_file(const struct cmd *cmd, int argc, char **argv,
		     int (*fn)(const char *path, int fd))
{
	int first = opts_parse(cmd, argc, argv);
	int fd, ret, err;

	if (first < 0)
		return EXIT_USAGE;
	if (first + 1 != argc)
		return cmd_usage_error(cmd, "one file");
	ret = open_file(cmd, argv[first], &fd);
	if (ret != EXIT_OK)
		return ret;
	err = fn(argv[first], fd);
	close(fd);
	return err ? complain_of_call(cmd, argv[first], err) : EXIT_OK;
}

static int show_one(const char *path, int fd)
{
	return as_json ? snapshot_show_json(fd) : snapshot_show_text(path, fd);
}

static int show(const struct cmd *cmd, int argc, char **argv)
{
	return with_file(cmd, argc, argv, show_one);
}

static int verify(const struct cmd *cmd, int argc, char **argv)
{
	return with_file(cmd, argc, argv, snapshot_verify);
}

/* ---- the four ------------------------------------------------------------------------------------ */

static const struct cmd parts[] = {
	{
		.name = "snapshot save",
		.synopsis = "[OPTION...] PID [NUMBER] FILE",
		.summary = "write a guest_memfd of a process that runs into a file",
		.details =
			"NUMBER is that of `gmem map PID`; without it the process has one only.\n"
			"FILE is replaced when the new one is complete.\n",
		.opts = save_opts,
		.run = save,
	},
	{
		.name = "snapshot restore",
		.synopsis = "[OPTION...] PID [NUMBER] FILE",
		.summary = "make a guest_memfd what was saved; stop its guest first",
		.opts = restore_opts,
		.run = restore,
	},
	{
		.name = "snapshot show",
		.synopsis = "[OPTION...] FILE",
		.summary = "show what is in a snapshot: its runs of private and shared pages",
		.opts = show_opts,
		.run = show,
	},
	{
		.name = "snapshot verify",
		.synopsis = "FILE",
		.summary = "read all of a snapshot and compare its checksums",
		.run = verify,
	},
	{ 0 },
};

static int run(const struct cmd *cmd, int argc, char **argv)
{
	if (argc < 2)
		return cmd_usage_error(cmd, "save, restore, show or verify?");
	for (size_t i = 0; parts[i].name; i++) {
		if (strcmp(parts[i].name + strlen("snapshot "), argv[1]))
			continue;
		if (opts_ask_for_help(argc - 1, argv + 1)) {
			cmd_print_help(stdout, &parts[i]);
			return EXIT_OK;
		}
		return parts[i].run(&parts[i], argc - 1, argv + 1);
	}
	return cmd_usage_error(cmd, "unknown command '%s' (there are: save, restore, show, verify)",
			       argv[1]);
}

const struct cmd cmd_snapshot = {
	.name = "snapshot",
	.synopsis = "save|restore|show|verify [OPTION...] ...",
	.summary = "save guest memory to a file, private pages too, and bring it back",
	.details = "gmem snapshot save [--lost] [-q] PID [NUMBER] FILE\n"
		   "gmem snapshot restore [--lost] PID [NUMBER] FILE\n"
		   "gmem snapshot show [--json] FILE\n"
		   "gmem snapshot verify FILE\n"
		   "Each has a --help of its own; gmem-snapshot(5) describes the file.\n",
	.parts = parts,
	.run = run,
};
