/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * All that gmem reads from words of somebody else: the environment, options of the command, names of descriptors,
 * names by which one process knows another's files, and programs that are to be started.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "kvm/kvm.h"
#include "kvm/profile.h"
#include "map/share.h"
#include "os/fail.h"
#include "os/os.h"
#include "os/paths.h"
#include "shim/elf_reach.h"
#include "shim/fdname.h"
#include "target.h"

/* What opts.c says to the user: nothing here. */
int cmd_usage_error(const struct cmd *cmd, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return EXIT_USAGE;
}

static void debug_words(const char *text)
{
	uint32_t both;

	os_paths_set(text);
	both = os_paths_off & os_paths_always;
	must(!both);
	os_fail_disarm(NULL);
	must(os_paths_set("slow") == 0 && os_paths_off == (1u << OS_PATH_NR) - 1);
	must(os_paths_set("fast") == 0 && !os_paths_off);
	os_paths_always = 0;
}

static void profile(const char *text)
{
	bool known = false;
	int ret = kvm_set_profile(text);

	for (unsigned int i = 0; kvm_profiles[i]; i++)
		known |= strcmp(kvm_profiles[i]->name, text) == 0;
	must(ret == (known ? 0 : -ENOENT));
}

static void pages(const char *text)
{
	static const char *const kinds[] = { "4k", "thp", "2m", "1g", "2m-shared", "1g-shared" };
	int ret = kvm_set_pages(text);
	bool known = false;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		known |= strcmp(kinds[i], text) == 0;

	must(ret == (known ? 0 : -EINVAL));
}

static void log_level(const char *text)
{
	os_log_set(text);
	os_log_set_why(false);
	os_log_set_level(OS_LOG_ERROR);
}

static void descriptor(const char *text)
{
	char again[FDNAME_MAX];
	int fd = fdname_parse(text);

	must(fd >= -1);
	if (fd < 0)
		return;
	fdname_of(fd, again);
	must(strlen(again) < FDNAME_MAX && fdname_parse(again) == fd);
}

/* The process that it names should be none, or one that knows nothing of it. */
static void share(const char *text)
{
	struct share_link *link;
	uint64_t id;

	must(share_find(text, &link, &id) < 0);
}

#define MAX_ARGS 16

/* One word a line. */
static void command_line(char *text)
{
	const char *value[2] = { NULL, NULL };
	bool flag = false;
	const struct opt opts[] = {
		{ "profile", "NAME", "", .value = &value[0] },
		{ "pages", "KIND", "", .value = &value[1] },
		{ "quiet", NULL, "", .flag = &flag },
		{ 0 },
	};
	const struct cmd cmd = { .name = "run", .opts = opts };
	char *argv[MAX_ARGS + 1] = { (char[]){ "run" } };
	int argc = 1, ret;

	for (char *word = strtok(text, "\n"); word && argc < MAX_ARGS; word = strtok(NULL, "\n"))
		argv[argc++] = word;
	opts_ask_for_help(argc, argv);
	ret = opts_parse(&cmd, argc, argv);
	must(ret == -1 || (ret >= 1 && ret <= argc));
	for (int i = 0; ret >= 1 && i < 2; i++)
		must(!value[i] || strlen(value[i]) < 65536);
}

static void program(const uint8_t *bytes, size_t size)
{
	static int fd = -1;
	struct elf_reach r = { 0 };
	int ret;

	if (fd < 0) {
		fd = memfd_create("program", 0);
		must(fd >= 0 && fchmod(fd, 0700) == 0);
	}
	must(ftruncate(fd, 0) == 0);
	must(pwrite(fd, bytes, size, 0) == (ssize_t)size);
	ret = elf_reach_at(fd, "", AT_EMPTY_PATH, "/lib/libgmem-kvm.so", &r);
	must(ret <= 0 && ret > -4096);
	if (!ret) {
		must(memchr(r.interp, 0, sizeof(r.interp)));
		must(elf_reach_text(r.why) || r.why == ELF_REACH_OK);
	}
}

void target(const uint8_t *data, size_t size)
{
	static void (*const texts[])(const char *) = { debug_words, profile,	pages,
						       log_level,   descriptor, share };
	const unsigned int nr = sizeof(texts) / sizeof(texts[0]);
	char *text;
	unsigned int which;

	if (!size)
		return;
	which = data[0] % (nr + 2);
	if (which == nr) {
		program(data + 1, size - 1);
		return;
	}
	text = malloc(size);
	must(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (which < nr)
		texts[which](text);
	else
		command_line(text);
	free(text);
}
