/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "see/demangle.h"

#include <libiberty/demangle.h>
#include <stddef.h>
#include <string.h>

/* No name that people have written is longer; what is may take longer than anybody waits. */
#define NAME_MAX_LEN 8192

/* Without the types of parameters, and without Rust's hashes. */
char *see_demangle(const char *name)
{
	if (name[0] != '_' || strnlen(name, NAME_MAX_LEN) == NAME_MAX_LEN)
		return NULL;
	return cplus_demangle(name, DMGL_ANSI | DMGL_AUTO);
}
