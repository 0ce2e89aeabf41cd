/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "race.h"

#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

void race_fail(struct table *t, const char *fmt, ...)
{
	va_list args;
	int n;

	t->stop = 1;
	if (t->failed++)
		return;
	n = snprintf(t->why, sizeof(t->why), "pid %d: ", (int)getpid());
	va_start(args, fmt);
	vsnprintf(t->why + n, sizeof(t->why) - (size_t)n, fmt, args);
	va_end(args);
}

uint64_t value_of(char kind, unsigned int writer, unsigned int page, uint32_t n)
{
	return (uint64_t)(uint8_t)kind << 56 | (uint64_t)writer << 48 | (uint64_t)page << 32 | n;
}

void linger(const struct table *t)
{
	bool ends = stopped(t) && t->phase == PHASE_RACE;
	int pid = t->lag_us && ends ? getpid() : 0;

	for (unsigned int i = 0; pid && i < NR_STAYING; i++)
		if (t->staying_pid[i] == pid)
			sleep_us(t->lag_us);
}

uint64_t before_word(const struct table *t, unsigned int page)
{
	uint64_t word = t->page[page].word;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	linger(t);
	return word;
}

void before_access(struct table *t, unsigned int page, struct before *b)
{
	for (unsigned int i = 0; i < NR_WRITERS; i++)
		b->done[i] = t->done[page][i];
	b->word = before_word(t, page);
}

static bool is_kind(uint64_t word, enum kind kind)
{
	return (word & 3) == (uint64_t)kind;
}

bool judge_access(const struct actor *a, unsigned int page, uint64_t word, bool ok,
		  const char *what)
{
	/* A store must have its place in memory before the word is looked at again. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (a->t->page[page].word != word || is_kind(word, MOVING))
		return true;
	if (is_kind(word, SHARED)) {
		count(a, IN_SHARED);
		return ok;
	}
	count(a, IN_PRIVATE);
	if (ok)
		race_fail(a->t,
			  "%s (place %d) succeeded on page %u, which was private all the time",
			  what, (int)a->place, page);
	return true;
}

/* ---- contents ---- */

static unsigned int writer_of(unsigned int word)
{
	return word >= WORD_BULK ? BULK_WRITER : word;
}

static bool has_writer(unsigned int word)
{
	return (word < NR_WRITERS && word != BULK_WRITER) || word >= WORD_BULK;
}

/* What a word may hold: what its writer wrote, from min to max, and zero. */
struct range {
	unsigned int page, writer;
	uint32_t min, max;
	bool zero;
};

static uint64_t written(const struct range *r, uint64_t n)
{
	return value_of(r->writer < NR_HOSTS ? 'H' : 'G', r->writer, r->page, (uint32_t)n);
}

/* Is the masked part of value that of something the word may hold? */
static bool is_part(const struct range *r, uint64_t value, uint64_t mask)
{
	if (r->zero && !(value & mask))
		return true;
	for (uint64_t n = r->min; n <= r->max; n++)
		if (!((value ^ written(r, n)) & mask))
			return true;
	return false;
}

/*
 * A system call's store of eight bytes is not one store. The kernel moves them by rep movsb, which may be
 * interrupted, and fault, behind any byte. On Linux 6.18 (FSRM) a plain memfd without gmem, which some map,
 * cover and punch while others read() words into it and write() from it, shows of 0x48000b2900000399 over
 * zeros the first byte alone, 0x99, until the rest comes, about once in a million; a punch in between leaves
 * 0x48000b2900000300.
 */
static bool is_torn(const struct range *r, uint64_t value)
{
	for (unsigned int bits = 8; bits < 64; bits += 8) {
		uint64_t low = ((uint64_t)1 << bits) - 1;

		if (is_part(r, value, low) && is_part(r, value, ~low))
			return true;
	}
	return false;
}

static bool count_is_right(struct table *t, unsigned int page, unsigned int writer, uint64_t done,
			   uint64_t value)
{
	uint32_t n = (uint32_t)value, min = (uint32_t)(done >> 32);
	struct range r = { page, writer, min, t->intent[page][writer] };
	bool punched = t->page[page].punch_begin != (uint32_t)done;

	if ((value == 0 || value == written(&r, n)) && n <= r.max && (n >= min || punched))
		return true;
	r.zero = punched || !min;
	return writer < NR_HOSTS && is_torn(&r, value);
}

static bool is_mark(uint64_t value, unsigned int page)
{
	return value >> 56 == 'P' && (value >> 32 & 0xffff) == page;
}

void judge_word(struct table *t, unsigned int page, const struct before *b, uint64_t value,
		unsigned int word, bool marks, const char *who)
{
	unsigned int w = writer_of(word);

	if (marks && is_mark(value, page))
		return;
	if (!marks && value >> 56 == 'P')
		race_fail(t, "%s read the mark 0x%llx in word %u of page %u: private contents", who,
			  (unsigned long long)value, word, page);
	if (!has_writer(word) || count_is_right(t, page, w, b->done[w], value))
		return;
	race_fail(
		t,
		"%s read 0x%llx in word %u of page %u, known written %llu, intended %u, punches then "
		"%u, begun %u",
		who, (unsigned long long)value, word, page, (unsigned long long)(b->done[w] >> 32),
		t->intent[page][w], (unsigned int)(uint32_t)b->done[w], t->page[page].punch_begin);
}

void judge_words(struct table *t, unsigned int page, const struct before *b, const uint64_t *words,
		 unsigned int first, unsigned int nr, bool marks, const char *who)
{
	for (unsigned int i = first; i < first + nr; i++)
		judge_word(t, page, b, words[i], i, marks, who);
}

uint32_t intend(struct table *t, unsigned int page, unsigned int writer, uint32_t nr,
		uint32_t *punches)
{
	uint32_t n = t->intent[page][writer] + 1;

	/* If a punch is on its way this is less than what has begun, and what is written proves nothing. */
	*punches = t->page[page].punch_end;
	t->intent[page][writer] = n + nr - 1;
	return n;
}

void settle(struct table *t, unsigned int page, unsigned int writer, uint32_t n, uint32_t punches)
{
	t->done[page][writer] = (uint64_t)n << 32 | punches;
}

/* ---- who has a page private ---- */

static void lock(struct page_state *p)
{
	while (atomic_exchange(&p->lock, 1))
		sched_yield();
}

static void unlock(struct page_state *p)
{
	p->lock = 0;
}

static enum kind kind_of(const struct page_state *p)
{
	return (enum kind)(p->word & 3);
}

static void step(struct page_state *p, enum kind kind)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	p->word = ((p->word >> 2) + 1) << 2 | (uint64_t)kind;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

unsigned int hold(struct table *t, unsigned int first, unsigned int nr)
{
	unsigned int i;
	bool can = true;

	for (i = 0; i < nr && can; i++) {
		struct page_state *p = &t->page[first + i];

		lock(p);
		/* Moving without a holder: somebody is sharing it. */
		can = kind_of(p) != MOVING || p->holders;
		if (can) {
			p->holders++;
			if (kind_of(p) == SHARED)
				step(p, MOVING);
		}
		unlock(p);
	}
	return can ? nr : i - 1;
}

void held(struct table *t, unsigned int first, unsigned int nr, bool ok)
{
	for (unsigned int i = first; i < first + nr; i++) {
		struct page_state *p = &t->page[i];

		lock(p);
		if (ok && kind_of(p) == MOVING)
			step(p, PRIVATE);
		unlock(p);
	}
	if (!ok)
		unhold(t, first, nr);
}

void unhold(struct table *t, unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++) {
		struct page_state *p = &t->page[i];

		lock(p);
		p->holders--;
		/* No conversion of any holder worked, and one that fails has changed nothing. */
		if (!p->holders && kind_of(p) == MOVING)
			step(p, SHARED);
		unlock(p);
	}
}

unsigned int share_begin(struct table *t, unsigned int first, unsigned int nr)
{
	unsigned int i;
	bool can = true;

	for (i = 0; i < nr && can; i++) {
		struct page_state *p = &t->page[first + i];

		lock(p);
		can = !p->holders && kind_of(p) != MOVING;
		if (can) {
			p->before = kind_of(p);
			step(p, MOVING);
		}
		unlock(p);
	}
	return can ? nr : i - 1;
}

void share_end(struct table *t, unsigned int first, unsigned int nr, bool ok)
{
	for (unsigned int i = first; i < first + nr; i++) {
		struct page_state *p = &t->page[i];

		lock(p);
		step(p, ok ? SHARED : p->before);
		unlock(p);
	}
}
