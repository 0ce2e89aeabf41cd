/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Places in the program, by file and line: addr2line is asked, where it is installed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/sim/sim_private.h"

#define MAX_PLACES 512
#define PLACE_SIZE 100

extern const char __executable_start[];

struct place {
	uintptr_t pc;
	char text[PLACE_SIZE];
};

static struct place places[MAX_PLACES];
static unsigned int nr_places;

static struct place *place_of(uintptr_t pc)
{
	unsigned int i;

	for (i = 0; i < nr_places; i++)
		if (places[i].pc == pc)
			return &places[i];
	if (nr_places == MAX_PLACES)
		return NULL;
	places[nr_places].pc = pc;
	snprintf(places[nr_places].text, PLACE_SIZE, "0x%llx", (unsigned long long)pc);
	return &places[nr_places++];
}

/* The next {0x...} of the text from at on. */
static const char *token(const char *at, uintptr_t *pc, const char **end)
{
	while ((at = strstr(at, "{0x"))) {
		char *stop;

		*pc = strtoull(at + 1, &stop, 16);
		if (*stop == '}') {
			*end = stop + 1;
			return at;
		}
		at++;
	}
	return NULL;
}

/* "function at /where/it/was/built/src/mmu/fault.c:12 (discriminator 3)" */
static void keep(struct place *p, char *line)
{
	char *at = strstr(line, " at "), *file, *end;

	line[strcspn(line, "\n")] = 0;
	if (!at || line[0] == '?')
		return;
	*at = 0;
	file = at + 4;
	end = strstr(file, " (discriminator");
	if (end)
		*end = 0;
	end = strstr(file, "/src/");
	if (!end)
		end = strstr(file, "/tests/");
	if (end)
		file = end + 1;
	snprintf(p->text, PLACE_SIZE, "%.40s, %.56s", line, file);
}

static void look_up(void)
{
	char *command, line[600];
	size_t size;
	FILE *out = open_memstream(&command, &size), *in;
	unsigned int i;

	if (!out)
		return;
	fprintf(out, "addr2line -f -p -e /proc/%d/exe", (int)getpid());
	for (i = 0; i < nr_places; i++)
		fprintf(out, " 0x%llx",
			(unsigned long long)(places[i].pc - 1 - (uintptr_t)__executable_start));
	fprintf(out, " 2>/dev/null");
	fclose(out);
	in = popen(command, "r");
	for (i = 0; in && i < nr_places && fgets(line, sizeof(line), in); i++)
		keep(&places[i], line);
	if (in)
		pclose(in);
	free(command);
}

void sim_print_where(const char *text)
{
	const char *at, *next, *end;
	uintptr_t pc;

	nr_places = 0;
	for (at = text; (next = token(at, &pc, &end)); at = end)
		place_of(pc);
	if (nr_places)
		look_up();
	for (at = text; (next = token(at, &pc, &end)); at = end) {
		struct place *p = place_of(pc);

		fwrite(at, 1, (size_t)(next - at), stdout);
		if (p)
			fprintf(stdout, "(%s)", p->text);
	}
	fputs(at, stdout);
	fflush(stdout);
}
