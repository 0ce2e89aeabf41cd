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

uint64_t before_word(const struct table *t, unsigned int page)
{
	uint64_t word = t->page[page].word;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
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

static bool count_is_right(struct table *t, unsigned int page, unsigned int writer, uint64_t done,
			   uint64_t value)
{
	uint32_t n = (uint32_t)value, seen = (uint32_t)done, min = (uint32_t)(done >> 32);
	char kind = writer < NR_HOSTS ? 'H' : 'G';

	if (value != 0 && value != value_of(kind, writer, page, n))
		return false;
	if (n > t->intent[page][writer])
		return false;
	return n >= min || t->page[page].punch_begin != seen;
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
