/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/fdname.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "os/sys.h"

void fdname_of(int fd, char name[FDNAME_MAX])
{
	static const char prefix[] = "/proc/self/fd/";
	unsigned int rest = (unsigned int)fd;
	char digits[12];
	unsigned int n = 0;
	char *p = name;

	for (const char *c = prefix; *c; c++)
		*p++ = *c;
	do {
		digits[n++] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	while (n)
		*p++ = digits[--n];
	*p = '\0';
}

/* Steps over a prefix. */
static bool skip(const char **name, const char *prefix)
{
	const char *p = *name;

	while (*prefix)
		if (*p++ != *prefix++)
			return false;
	*name = p;
	return true;
}

/* Steps over a number; -1: there is none. */
static long skip_number(const char **name)
{
	const char *p = *name;
	long n = 0;

	if (*p < '0' || *p > '9')
		return -1;
	while (*p >= '0' && *p <= '9') {
		n = n * 10 + (*p++ - '0');
		if (n > INT_MAX)
			return -1;
	}
	*name = p;
	return n;
}

static bool skip_own_process(const char **name)
{
	if (!skip(name, "/proc/"))
		return false;
	if (skip(name, "self/") || skip(name, "thread-self/"))
		return true;
	return skip_number(name) == os_sys0(SYS_getpid) && skip(name, "/");
}

int fdname_parse(const char *name)
{
	long n;

	if (!skip(&name, "/dev/fd/") && !(skip_own_process(&name) && skip(&name, "fd/")))
		return -1;
	n = skip_number(&name);
	return *name == '\0' ? (int)n : -1;
}
