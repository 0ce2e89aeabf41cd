/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Whoever changes pages: converters, guests, punchers, and who moves windows about. */
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t offset_of(const struct table *t, unsigned int page)
{
	return t->base + page * PAGE;
}

/* The ioctl, its answer judged; true: done. */
static bool set(struct actor *a, unsigned int first, unsigned int nr, bool to_private)
{
	uint64_t start = offset_of(a->t, first), at = 0x12345;
	int r;

	linger(a->t);
	r = convert(a->fd, start, nr * PAGE, to_private, &at);
	if (r == 0) {
		count(a, to_private ? TO_PRIVATE_OK : TO_SHARED_OK);
		return true;
	}
	if (r == -EINTR) {
		count(a, CONVERT_EINTR);
	} else if (r == -EAGAIN && to_private) {
		count(a, TO_PRIVATE_EAGAIN);
		if (at % PAGE || at < start || at >= start + nr * PAGE)
			race_fail(a->t, "EAGAIN with error_offset 0x%llx", (unsigned long long)at);
	} else {
		race_fail(a->t, "conversion of pages %u to %u %s (place %d): errno %d", first,
			  first + nr - 1, to_private ? "to private" : "to shared", (int)a->place,
			  -r);
	}
	return false;
}

static void dwell(struct actor *a)
{
	unsigned int n = rnd_below(&a->seed, 8);

	if (n < 3)
		sleep_us(rnd_below(&a->seed, 200));
	else if (n == 3)
		sleep_us(rnd_below(&a->seed, 2000));
}

/* ---- marks ---- */

/* What belongs to hosts: two ranges of words. */
static const struct {
	unsigned int first, nr;
} host_words[] = { { 0, NR_HOSTS }, { WORD_SUM, 1 }, { WORD_BULK, BULK_WORDS } };
#define NR_RANGES (sizeof(host_words) / sizeof(host_words[0]))

static void put_marks(const struct actor *a, struct guest *g, unsigned int page, uint64_t mark)
{
	uint64_t at = offset_of(a->t, page);

	for (unsigned int i = 0; i < NR_RANGES; i++)
		guest_fill(g, at + host_words[i].first * 8, mark, host_words[i].nr);
}

static void check_marks(struct actor *a, struct guest *g, unsigned int page, uint64_t mark,
			uint32_t punches)
{
	guest_fetch(g, g->look, offset_of(a->t, page), 0, PAGE_WORDS);
	for (unsigned int i = 0; i < NR_RANGES; i++) {
		for (unsigned int w = host_words[i].first;
		     w < host_words[i].first + host_words[i].nr; w++) {
			uint64_t value = g->look[w];

			if (value == mark)
				continue;
			if (value == 0 && a->t->page[page].punch_begin != punches)
				continue;
			race_fail(
				a->t,
				"word %u of page %u holds 0x%llx where the guest had put 0x%llx while "
				"it was private",
				w, page, (unsigned long long)value, (unsigned long long)mark);
			return;
		}
	}
}

/* The page is private and we hold it: nobody but guests may touch it. */
static void mark_page(struct actor *a, struct guest *g, unsigned int page)
{
	uint64_t mark = value_of('P', g->id, page, (uint32_t)rnd(&a->seed) | 1);
	uint64_t at = offset_of(a->t, page);
	struct before b;
	uint32_t punches;

	if (atomic_exchange(&a->t->page[page].marker, 1))
		return;
	before_access(a->t, page, &b);
	guest_fetch(g, g->save, at, 0, PAGE_WORDS);
	judge_words(a->t, page, &b, g->save, 0, NR_HOSTS, false, "the guest of a private page");
	judge_words(a->t, page, &b, g->save, WORD_BULK, BULK_WORDS, false,
		    "the guest of a private page");
	punches = a->t->page[page].punch_end;
	put_marks(a, g, page, mark);
	dwell(a);
	check_marks(a, g, page, mark, punches);
	for (unsigned int i = 0; i < NR_RANGES; i++)
		guest_put(g, g->save, at, host_words[i].first, host_words[i].nr);
	count(a, MARKS);
	a->t->page[page].marker = 0;
}

/* ---- conversions ---- */

static unsigned int some_range(struct actor *a, unsigned int begin, unsigned int end,
			       unsigned int *nr)
{
	unsigned int first = begin + rnd_below(&a->seed, end - begin), max = end - first;
	unsigned int wish = rnd_below(&a->seed, 3) ? 1 : 1 + rnd_below(&a->seed, 16);

	*nr = wish < max ? wish : max;
	return first;
}

static void share_some(struct actor *a)
{
	unsigned int nr, first = some_range(a, 0, WILD, &nr);

	nr = share_begin(a->t, first, nr);
	if (nr)
		share_end(a->t, first, nr, set(a, first, nr, false));
}

void convert_some(struct actor *a, struct guest *g)
{
	unsigned int nr, first = some_range(a, 0, WILD, &nr), i;
	bool ok;

	nr = hold(a->t, first, nr);
	if (nr) {
		ok = set(a, first, nr, true);
		held(a->t, first, nr, ok);
		if (ok) {
			for (i = 0; g && i < nr && i < 3; i++)
				mark_page(a, g, first + i);
			dwell(a);
			unhold(a->t, first, nr);
		}
	}
	share_some(a);
	if (rnd_below(&a->seed, 2))
		share_some(a);
}

void convert_wildly(struct actor *a)
{
	unsigned int nr, first = some_range(a, WILD, NR_PAGES, &nr);

	set(a, first, nr, rnd_below(&a->seed, 2));
	if (rnd_below(&a->seed, 4) == 0)
		sleep_us(rnd_below(&a->seed, 100));
}

/* Every fourth page is never punched, so that the sums can be told in the end. */
void punch_some(struct actor *a)
{
	struct table *t = a->t;
	unsigned int group = rnd_below(&a->seed, NR_PAGES / 4) * 4, i;
	unsigned int first = group + 1 + rnd_below(&a->seed, 3);
	unsigned int end = first + 1 + rnd_below(&a->seed, group + 4 - first);
	int r;

	if (rnd_below(&a->seed, 8) == 0) {
		if (fallocate(a->fd, FALLOC_FL_KEEP_SIZE, (off_t)offset_of(t, group), 4 * PAGE))
			race_fail(t, "fallocate(): errno %d", errno);
		count(a, ALLOCATES);
	}
	for (i = first; i < end; i++) {
		t->page[i].ever_punched = 1;
		t->page[i].punch_begin++;
	}
	if (rnd_below(&a->seed, 4))
		r = punch(a->fd, offset_of(t, first), (end - first) * PAGE);
	else
		r = madvise(a->host + first * PAGE, (end - first) * PAGE, MADV_REMOVE) ? -errno : 0;
	if (r && r != -EINTR)
		race_fail(t, "punch (place %d): errno %d", (int)a->place, -r);
	for (i = first; i < end; i++)
		t->page[i].punch_end++;
	count(a, PUNCHES);
}

/* ---- guests ---- */

void guest_some(struct actor *a, struct guest *g)
{
	unsigned int page = rnd_below(&a->seed, NR_PAGES), writer = NR_HOSTS + g->id, word;
	uint64_t at = offset_of(a->t, page), nr = 1 + rnd_below(&a->seed, 64), good, value;
	uint32_t punches, n;
	struct before b;

	n = intend(a->t, page, writer, (uint32_t)nr, &punches);
	good = guest_count(g, at + writer * 8, value_of('G', writer, page, n), nr);
	if (good == nr)
		settle(a->t, page, writer, n + (uint32_t)nr - 1, punches);
	else if (a->t->page[page].punch_begin == punches)
		race_fail(a->t, "guest %u lost what it wrote to page %u", g->id, page);
	count(a, GUEST_STORES);
	guest_add(g, at + WORD_GUEST_SUM * 8, 1);
	a->t->guest_sum[page]++;
	word = rnd_below(&a->seed, 2) ? rnd_below(&a->seed, NR_WRITERS)
				      : WORD_BULK + rnd_below(&a->seed, BULK_WORDS);
	before_access(a->t, page, &b);
	value = guest_load(g, at + word * 8);
	judge_word(a->t, page, &b, value, word, true, "a guest");
	count(a, GUEST_LOADS);
}

/* ---- windows ---- */

static void look(struct actor *a, uint8_t *host, unsigned int times)
{
	struct actor here = *a;

	here.host = here.other = host;
	while (times-- && !stopped(a->t))
		access_one(&here);
	a->seed = here.seed;
}

/* Only pages [first, first + nr) of the window are there: cpu reads, and nothing else is touched. */
static void look_at_part(struct actor *a, uint8_t *part, unsigned int first, unsigned int nr)
{
	struct before b;
	uint64_t value;
	enum touch r;

	for (unsigned int i = 0; i < nr; i++) {
		before_access(a->t, first + i, &b);
		r = host_load(part + i * PAGE + a->slot * 8, &value);
		if (r == TOUCH_OTHER)
			race_fail(a->t, "a load through a window that was changed: %s",
				  trap_text());
		if (!judge_access(a, first + i, b.word, r == TOUCHED,
				  "a load of a changed window") &&
		    a->place == HOME)
			race_fail(a->t,
				  "a load of page %u through a window that was changed failed",
				  first + i);
		if (r == TOUCHED)
			judge_word(a->t, first + i, &b, value, a->slot, false, "a changed window");
	}
}

static uint8_t *moved(struct actor *a, uint8_t *w, uint64_t old_size, uint64_t size)
{
	uint8_t *to = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *r = to == MAP_FAILED
			     ? MAP_FAILED
			     : mremap(w, old_size, size, MREMAP_MAYMOVE | MREMAP_FIXED, to);

	if (r == MAP_FAILED)
		race_fail(a->t, "mremap of a window: errno %d", errno);
	return r;
}

static void must(struct actor *a, int r, const char *what)
{
	if (r)
		race_fail(a->t, "%s of a window: errno %d", what, errno);
}

void remap_some(struct actor *a)
{
	uint64_t size = NR_PAGES * PAGE;
	unsigned int cut = 8 + rnd_below(&a->seed, NR_PAGES - 16);
	uint8_t *w = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, (off_t)a->t->base);

	if (w == MAP_FAILED) {
		race_fail(a->t, "mmap of a window: errno %d", errno);
		return;
	}
	look(a, w, 4);
	must(a, madvise(w, size, MADV_DONTNEED), "MADV_DONTNEED");
	look(a, w, 4);
	w = moved(a, w, size, size);
	if (w == MAP_FAILED)
		return;
	look(a, w, 4);
	must(a, mprotect(w, cut * PAGE, PROT_READ), "mprotect");
	look_at_part(a, w, 0, NR_PAGES);
	must(a, mprotect(w, size, PROT_READ | PROT_WRITE), "mprotect");
	/* A hole, and what is left of it moved and grown over it again. */
	must(a, munmap(w + cut * PAGE, 4 * PAGE), "munmap");
	look_at_part(a, w, 0, cut);
	look_at_part(a, w + (cut + 4) * PAGE, cut + 4, NR_PAGES - cut - 4);
	must(a, munmap(w + (cut + 4) * PAGE, (NR_PAGES - cut - 4) * PAGE), "munmap");
	w = moved(a, w, cut * PAGE, size);
	if (w == MAP_FAILED)
		return;
	look(a, w, 4);
	/* Something else over a part of it. */
	if (mmap(w + cut * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		race_fail(a->t, "MAP_FIXED over a window: errno %d", errno);
	look_at_part(a, w, 0, cut);
	must(a, munmap(w, size), "munmap");
	count(a, REMAPS);
}
