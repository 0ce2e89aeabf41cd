/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The screen of gmem top. It is drawn anew as a whole, and curses sends what has changed: a frame like the one before
 * costs nothing. */
#include "cmd/top.h"

#include "cmd/cmd.h"
#include "cmd/tty.h"

#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WIDE 106
/* Columns that an arrow to a side moves by: a number's. */
#define ASIDE 8u

static const char *const help_lines[] = {
	"q  quit                    p, space  pause",
	"arrows, pages, Home, End   scroll; to the sides where lines are cut: < >",
	"s  sort slots by: number, address, size, backed, both",
	"u  units: as fits, KiB, pages, bytes",
	"v, Tab  next VM, then all  g  show what is gone",
	"h, ?  this help",
	"",
	"PRIVATE, SHARED  what the guest's pages are        PINNED  cannot become private",
	"BACKED  memory held for them: in the guest_memfd and in the program",
	"BOTH  held in both, that is twice                  NEITHER  held nowhere",
	"PEAK  the most that was seen, sampled              ALLOC  with pages never touched",
	"BOUND  in some slot",
};

struct screen {
	struct top *top;
	struct text text;
	size_t scroll; /* first line shown */
	size_t aside;  /* first column of a line shown */
	bool paused, help, colours;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- drawing ----------------------------------------------------------------------------------- */

static attr_t attribute(const struct screen *s, enum text_style style)
{
	switch (style) {
	case TEXT_TITLE:
		return A_BOLD;
	case TEXT_HEAD:
		return A_REVERSE;
	case TEXT_ALARM:
		return s->colours ? (attr_t)COLOR_PAIR(1) | A_BOLD : A_BOLD;
	case TEXT_DIM:
		return A_DIM;
	default:
		return A_NORMAL;
	}
}

/* The last place of the screen is left alone: some terminals scroll there. */
static void put(const struct screen *s, int row, enum text_style style, const char *text)
{
	int room = COLS - (row == LINES - 1);

	if (row < 0 || row >= LINES || room <= 0)
		return;
	attrset(attribute(s, style));
	mvaddnstr(row, 0, text, room);
	for (int at = (int)strlen(text); style == TEXT_HEAD && at < room; at++)
		addch(' ');
	attrset(A_NORMAL);
}

static void draw_title(const struct screen *s)
{
	const struct top *t = s->top;
	char line[TEXT_LINE_MAX], vm[32] = "all VMs";

	if (t->style.vm)
		snprintf(vm, sizeof(vm), "VM %u", t->style.vm);
	snprintf(line, sizeof(line), "gmem top  %d %s  %s  sort %s  %s%s%s", t->program.pid,
		 t->program.name, vm, account_sort_name(t->style.sort),
		 text_unit_name(t->style.unit), s->paused ? "  PAUSED" : "",
		 t->has_ended ? "  HAS ENDED" : "");
	put(s, 0, TEXT_TITLE, line);
}

static void draw_help(const struct screen *s)
{
	for (size_t i = 0; i < sizeof(help_lines) / sizeof(help_lines[0]); i++)
		put(s, 1 + (int)i, TEXT_PLAIN, help_lines[i]);
}

static size_t longest(const struct text *t)
{
	size_t most = 0;

	for (size_t i = 0; i < t->nr; i++) {
		size_t len = strlen(t->lines[i].text);

		most = len > most ? len : most;
	}
	return most;
}

static bool has_more_aside(const struct screen *s)
{
	return longest(&s->text) > s->aside + (size_t)COLS;
}

static const char *from_aside(const struct screen *s, const char *text)
{
	size_t len = strlen(text);

	return text + (s->aside < len ? s->aside : len);
}

static size_t rows(void)
{
	return LINES > 2 ? (size_t)LINES - 2 : 1;
}

static void draw_foot(const struct screen *s)
{
	char line[TEXT_LINE_MAX];
	size_t last = s->scroll + rows();

	snprintf(line, sizeof(line), "h help  q quit  lines %zu-%zu of %zu%s%s", s->scroll + 1,
		 last < s->text.nr ? last : s->text.nr, s->text.nr, s->aside ? " <" : "",
		 has_more_aside(s) ? " >" : "");
	put(s, LINES - 1, TEXT_DIM, s->help ? "any key: back" : line);
}

static void draw(struct screen *s)
{
	s->top->style.wide = COLS >= WIDE;
	text_clear(&s->text);
	top_text(s->top, &s->text);
	if (s->scroll + rows() > s->text.nr)
		s->scroll = s->text.nr > rows() ? s->text.nr - rows() : 0;
	while (s->aside && longest(&s->text) <= s->aside)
		s->aside -= s->aside < ASIDE ? s->aside : ASIDE;
	erase();
	draw_title(s);
	if (s->help)
		draw_help(s);
	for (size_t i = 0; !s->help && i < rows() && s->scroll + i < s->text.nr; i++)
		put(s, 1 + (int)i, s->text.lines[s->scroll + i].style,
		    from_aside(s, s->text.lines[s->scroll + i].text));
	draw_foot(s);
	refresh();
}

/* ---- keys -------------------------------------------------------------------------------------- */

/* The next number there is; behind the last all. */
static uint32_t next_vm(const struct top *t)
{
	uint32_t next = 0;

	for (uint32_t i = 0; t->has_any && i < t->now->nr_vms; i++) {
		uint32_t number = t->now->vms[i].number;

		if (t->now->vms[i].flags & ACCOUNT_GONE && !t->style.with_gone)
			continue;
		if (number > t->style.vm && (!next || number < next))
			next = number;
	}
	return next;
}

static void scroll_by(struct screen *s, long by)
{
	if (by < 0 && s->scroll < (size_t)-by)
		s->scroll = 0;
	else
		s->scroll += (size_t)by;
}

static void change(struct screen *s, int key)
{
	struct account_style *style = &s->top->style;

	switch (key) {
	case 's':
		style->sort = (style->sort + 1) % NR_SORTS;
		break;
	case 'u':
		style->unit = (style->unit + 1) % TEXT_NR_UNITS;
		break;
	case 'v':
	case '\t':
		style->vm = next_vm(s->top);
		break;
	case 'g':
		style->with_gone = !style->with_gone;
		break;
	case 'p':
	case ' ':
		s->paused = !s->paused;
		break;
	case 'h':
	case '?':
		s->help = true;
		break;
	default:
		break;
	}
}

/* False: it is enough. */
static bool obey(struct screen *s, int key)
{
	if (key == 'q' || key == 'Q')
		return false;
	if (s->help && key != KEY_RESIZE) {
		s->help = false;
		return true;
	}
	switch (key) {
	case KEY_UP:
		scroll_by(s, -1);
		break;
	case KEY_DOWN:
		scroll_by(s, 1);
		break;
	case KEY_LEFT:
		s->aside -= s->aside < ASIDE ? s->aside : ASIDE;
		break;
	case KEY_RIGHT:
		s->aside += has_more_aside(s) ? ASIDE : 0;
		break;
	case KEY_PPAGE:
		scroll_by(s, -(long)rows());
		break;
	case KEY_NPAGE:
		scroll_by(s, (long)rows());
		break;
	case KEY_HOME:
		s->scroll = 0;
		break;
	case KEY_END:
		s->scroll = s->text.nr;
		break;
	default:
		change(s, key);
	}
	return true;
}

static void run(struct screen *s, unsigned int interval)
{
	uint64_t next = now_ms();
	int key = ERR, too_early = 0;

	do {
		uint64_t now = now_ms();

		if (now >= next) {
			if (!s->paused)
				top_look(s->top);
			next = now + interval;
		}
		draw(s);
		now = now_ms();
		timeout(next > now ? (int)(next - now) : 0);
		key = getch();
		/* A terminal that has gone says nothing at once, again and again. */
		too_early = key == ERR && now_ms() + 2 < next ? too_early + 1 : 0;
		if (too_early > 50)
			return;
	} while (key == ERR || obey(s, key));
}

int top_screen(struct top *t, unsigned int interval_ms)
{
	struct screen s = { .top = t };
	SCREEN *terminal = newterm(NULL, stdout, stdin);

	if (!terminal || !top_can_draw()) {
		cmd_complain(t->cmd, "%s (TERM=%s): --once or --batch N prints",
			     terminal ? "the terminal cannot move its cursor"
				      : "the terminal is not known",
			     getenv("TERM") ? getenv("TERM") : "");
		if (terminal)
			delscreen(terminal);
		return EXIT_FAILED;
	}
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	if (has_colors() && tty_may_colour()) {
		start_color();
		use_default_colors();
		s.colours = init_pair(1, COLOR_RED, -1) == OK;
	}
	run(&s, interval_ms);
	endwin();
	delscreen(terminal);
	text_free(&s.text);
	return EXIT_OK;
}
