/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What minivmm shows in the terminal: the scenes, the map of the pages, what the host can read. */
#include "minivmm.h"

#include <gmem/uapi.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAP_COLUMNS 64ul
#define MAP_ROWS_MAX 4ul

/* The picture must not need its colours. */
static const struct kind {
	char sign;
	const char *colour;
} shared = { '.', "\033[32m" }, private = { '#', "\033[31m" }, mixed = { '+', "\033[33m" };

static const struct kind *kind_of(const bool *is_private, size_t nr_pages)
{
	size_t nr_private = 0;

	for (size_t i = 0; i < nr_pages; i++)
		nr_private += is_private[i];
	return nr_private == 0 ? &shared : nr_private == nr_pages ? &private : &mixed;
}

static void draw_row(const struct region *r, size_t page, size_t block, bool in_colour)
{
	size_t end = r->size / PAGE;
	const struct kind *last = NULL, *kind;

	printf("   %-6s %6zu  ", page ? "" : r->id, page);
	for (size_t column = 0; column < MAP_COLUMNS && page < end; column++, page += block) {
		kind = kind_of(r->is_private + page, page + block > end ? end - page : block);
		if (in_colour && kind != last)
			fputs(kind->colour, stdout);
		putchar(kind->sign);
		last = kind;
	}
	puts(in_colour ? "\033[0m" : "");
}

static void draw_region(const struct region *r)
{
	const char *no_colour = getenv("NO_COLOR");
	bool in_colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
	size_t nr_pages = r->size / PAGE, max = MAP_COLUMNS * MAP_ROWS_MAX;
	size_t block = (nr_pages + max - 1) / max;

	for (size_t page = 0; page < nr_pages; page += block * MAP_COLUMNS)
		draw_row(r, page, block, in_colour);
}

static void draw_map(const struct vmm *v)
{
	for (size_t i = 0; i < v->nr_regions; i++)
		draw_region(&v->regions[i]);
}

void show_scene(unsigned char scene)
{
	static const char *const titles[] = {
		[SCENE_SHARED] = "All memory is shared at first.",
		[SCENE_SECRET] = "The guest makes 64 pages private and keeps a secret in one.",
		[SCENE_STRIPES] = "Page by page: every second page of a range.",
		[SCENE_BACK] = "The guest gives half of the first range back.",
		[SCENE_VAULT] = "Memory with share=on: the host has the guest_memfd itself mapped.",
		[SCENE_BARE] = "A page is made private where there is no private memory.",
	};

	if (scene < sizeof(titles) / sizeof(titles[0]))
		printf("\n%d. %s\n", scene + 1, titles[scene]);
}

static sigjmp_buf bus_env;
static siginfo_t bus_info;

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	bus_info = *info;
	siglongjmp(bus_env, signo);
}

/* Reads a page through the host's mapping, which is what a bug or an attacker would do. */
static void host_reads(const struct region *r, unsigned int page)
{
	const char *at = r->host + page * PAGE;
	char text[TEXT_MAX] = "";

	if (sigsetjmp(bus_env, 1) != 0) {
		printf("   host:  reading page %u of %s: SIGBUS (%s), page %u\n", page, r->id,
		       bus_info.si_code == BUS_ADRERR ? "BUS_ADRERR" : "another code",
		       (unsigned int)(((char *)bus_info.si_addr - r->host) / (long)PAGE));
		return;
	}
	memcpy(text, at, sizeof(text) - 1);
	printf("   host:  page %u of %s says: %s\n", page, r->id, text[0] ? text : "(zeroes)");
}

void show_look(struct vmm *v, unsigned char scene)
{
	struct region *ram = &v->regions[0];

	if (scene == SCENE_SHARED || scene == SCENE_SECRET)
		host_reads(ram, SECRET_PAGE);
	if (scene == SCENE_BACK && v->in_place)
		host_reads(ram, SECRET_PAGE);
	if (scene == SCENE_SECRET && !ram->share) {
		strcpy(ram->host + SECRET_PAGE * PAGE, "the host was here");
		puts("   host:  I write to my copy of page 20: the host was here");
	}
	if (scene == SCENE_VAULT)
		host_reads(&v->regions[1], VAULT_PAGE);
	if (scene != SCENE_BARE)
		draw_map(v);
}

void show_console(struct vmm *v, char c)
{
	if (v->at_line_start)
		fputs("   guest: ", stdout);
	putchar(c);
	v->at_line_start = c == '\n';
}

void show_prepare(void)
{
	struct sigaction bus = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	sigaction(SIGBUS, &bus, NULL);
	puts("A page is drawn '.' when it is shared, '#' when it is private.");
}
