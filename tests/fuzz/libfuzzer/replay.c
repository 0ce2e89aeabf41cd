/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* replay FILE...: tries every input of the files, one a line in hexadecimal; empty lines and "#" are no inputs. */
#include <ctype.h>

#include "target.h"

#define LINE_SIZE 200000

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* In memory of exactly its size, so that a sanitizer sees a look behind its end. */
static void try_line(const char *line)
{
	size_t nr = 0;
	uint8_t *data;

	while (isxdigit((unsigned char)line[nr]))
		nr++;
	must(nr % 2 == 0);
	data = malloc(nr / 2 + !nr);
	must(data);
	for (size_t i = 0; i < nr / 2; i++)
		data[i] = (uint8_t)(digit(line[2 * i]) << 4 | digit(line[2 * i + 1]));
	LLVMFuzzerTestOneInput(data, nr / 2);
	free(data);
}

static unsigned int try_file(const char *name)
{
	static char line[LINE_SIZE];
	unsigned int nr = 0, at = 0;
	FILE *f = fopen(name, "r");

	must(f);
	while (fgets(line, sizeof(line), f)) {
		at++;
		must(strchr(line, '\n'));
		if (!isxdigit((unsigned char)line[0]))
			continue;
		/* Should this be the last that is said: the line that broke it. */
		printf("\r%s:%u", name, at);
		fflush(stdout);
		try_line(line);
		nr++;
	}
	fclose(f);
	return nr;
}

int main(int argc, char **argv)
{
	unsigned int nr = 0;

	for (int i = 1; i < argc; i++)
		nr += try_file(argv[i]);
	printf("\n%u inputs\n", nr);
	return nr ? 0 : 1;
}
