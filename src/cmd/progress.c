/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cmd/progress.h"

#include "cmd/tty.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#define FIRST_MS 500
#define EACH_MS 100
#define BAR 24u
#define LINE_MAX_LEN 256

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, const char *what, uint64_t total)
{
	*p = (struct progress){ .what = what, .total = total, .is_on = tty_is_one(stderr) };
	p->begun_ms = p->is_on ? now_ms() : 0;
}

static unsigned int columns(void)
{
	struct winsize size = { 0 };

	if (ioctl(fileno(stderr), TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return size.ws_col < LINE_MAX_LEN ? size.ws_col : LINE_MAX_LEN;
}

static void make_bar(const struct progress *p, uint64_t done, char bar[BAR + 16])
{
	unsigned int full = 0;

	*bar = '\0';
	if (!p->total)
		return;
	if (done > p->total)
		done = p->total;
	full = (unsigned int)((double)done / (double)p->total * BAR);
	snprintf(bar, BAR + 16, " [%.*s%*s] %3u %%", (int)full, "########################",
		 (int)(BAR - full), "", (unsigned int)((double)done / (double)p->total * 100));
}

/* A line that is as long as the terminal is wide would begin another one. */
static void show(struct progress *p, uint64_t done, const char *name, uint64_t elapsed)
{
	char line[LINE_MAX_LEN], bar[BAR + 16];

	make_bar(p, done, bar);
	snprintf(line, sizeof(line), "%s%s %u s%s%s", p->what, bar, (unsigned int)(elapsed / 1000),
		 name ? "  " : "", name ? name : "");
	fprintf(stderr, "\r%.*s\033[K", (int)columns() - 1, line);
	fflush(stderr);
	p->is_shown = true;
}

void progress_at(struct progress *p, uint64_t done, const char *name)
{
	uint64_t now;

	if (!p->is_on)
		return;
	now = now_ms();
	if (now - p->begun_ms < FIRST_MS || now - p->shown_ms < EACH_MS)
		return;
	p->shown_ms = now;
	show(p, done, name, now - p->begun_ms);
}

void progress_hide(struct progress *p)
{
	if (!p->is_shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->is_shown = false;
	p->shown_ms = 0;
}

void progress_end(struct progress *p)
{
	progress_hide(p);
	p->is_on = false;
}
