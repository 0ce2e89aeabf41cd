/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Messages go into the timeline; an assertion that does not hold fails the schedule. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "os/sim/sim_private.h"

_Atomic uint32_t os_wanted;

void os_log_set_level(enum os_log_level level)
{
}

bool os_log_enabled(enum os_log_level level)
{
	return sim.recording && level <= OS_LOG_WARN;
}

void os_log_set_why(bool why)
{
}

void os_log_set(const char *wanted)
{
}

bool os_log_why(void)
{
	return sim.recording;
}

void os_log_set_fd(int fd)
{
}

void os_log(enum os_log_level level, const char *fmt, ...)
{
	va_list args;
	char text[256];

	if (!sim.recording)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	sim_record_text(text);
}

void os_log_refusal(int err, const char *request, const char *rule, const char *id)
{
	sim_note("refused, %d: %s", err, id);
}

void os_log_end(void)
{
}

void os_log_after_fork(void)
{
}

/* The folders before ours are the builder's. */
static const char *source(const char *file)
{
	const char *at = strstr(file, "src/");

	if (!at)
		at = strstr(file, "tests/");
	return at ? at : file;
}

_Noreturn void os_panic(const char *file, int line, const char *what)
{
	sim_fail("assertion (%s line %d): does not hold: %s, in %s", source(file), line, what,
		 sim.self ? sim.self->name : "nobody");
}

_Noreturn void sim_assert_failed(const char *file, int line, const char *what)
{
	sim_fail("scenario (%s line %d): does not hold: %s, in %s", source(file), line, what,
		 sim.self ? sim.self->name : "nobody");
}
