/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What does not fit together, such as a folio that belongs to another file, is read again. */
#include "os/page_refs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mman.h>
#include <string.h>
#include <sys/uio.h>

#include "os/os.h"
#include "os/page_probe.h"
#include "os/sys.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define SCRATCH_SIZE ((size_t)4 << 20)

struct os_page_refs {
	struct os_mutex lock;
	struct page_layout at;
	int map_fd, prog_fd;
	struct look *look;
	void *scratch;
	bool drained_here, drained_all; /* in this call */
};

static int make_map(struct os_page_refs *r)
{
	union bpf_attr attr;
	void *at;
	long ret;
	int err;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = sizeof(struct look);
	attr.max_entries = 1;
	attr.map_flags = BPF_F_MMAPABLE;
	ret = os_bpf(BPF_MAP_CREATE, &attr);
	if (ret < 0)
		return (int)ret;
	r->map_fd = (int)ret;
	err = os_fd_adopt(&r->map_fd);
	if (err)
		return err;
	err = os_map_file(r->map_fd, 0, sizeof(struct look), 0,
			  OS_MAP_READ | OS_MAP_WRITE | OS_MAP_HIDDEN, &at);
	if (!err)
		r->look = at;
	return err;
}

/* ---- looking ----------------------------------------------------------------------------- */

static int run(struct os_page_refs *r, int fd, uint64_t index, uint64_t first, uint64_t last)
{
	union bpf_attr attr;
	long ret;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)r->prog_fd;
	r->look->fd = (uint64_t)fd;
	r->look->index = index;
	r->look->first = first;
	r->look->last = last;
	r->look->single = r->look->walked = 0;
	ret = os_bpf(BPF_PROG_TEST_RUN, &attr);
	if (ret < 0)
		return (int)ret;
	return r->look->walked ? 0 : -EAGAIN;
}

static uint64_t folio_long(const struct os_page_refs *r, uint64_t slot, uint32_t off)
{
	uint64_t value;

	memcpy(&value, r->look->folios[slot] + off, sizeof(value));
	return value;
}

static int64_t folio_int(const struct os_page_refs *r, uint64_t slot, uint32_t off)
{
	int32_t value;

	memcpy(&value, r->look->folios[slot] + off, sizeof(value));
	return value;
}

static bool is_sibling(uint64_t entry)
{
	return (entry & ENTRY_KIND) == ENTRY_INTERNAL && entry <= ENTRY_LAST_SIBLING;
}

enum verdict { NONE, EXTRA, UNCLEAR };

/* References are one for each page in the page cache, one for each entry of a page table, and extra. */
static enum verdict judge(const struct os_page_refs *r, uint64_t index, uint64_t slot)
{
	const struct page_layout *at = &r->at;
	uint64_t entry = r->look->slots[slot];
	uint64_t start;
	int64_t nr = 1, mapped;

	if (is_sibling(entry)) {
		slot = entry >> 2;
		entry = r->look->slots[slot];
	}
	/* Nothing there, or swapped out. */
	if (!entry || entry & 1)
		return NONE;
	if (entry & ENTRY_KIND || slot < r->look->first)
		return UNCLEAR;
	mapped = folio_int(r, slot, at->folio_mapcount) + 1;
	if (folio_long(r, slot, at->folio_flags) >> at->head_bit & 1) {
		nr = folio_int(r, slot, at->folio_nr_pages);
		mapped = folio_int(r, slot, at->folio_large_mapcount) + 1;
	}
	start = folio_long(r, slot, at->folio_index);
	if (folio_long(r, slot, at->folio_mapping) != r->look->mapping || index < start ||
	    index - start >= (uint64_t)nr || mapped < 0)
		return UNCLEAR;
	return folio_int(r, slot, at->folio_refcount) > mapped + nr ? EXTRA : NONE;
}

/* Pages wait in lists of each processor, with a reference, until the kernel puts them on its own: a call
 * that empties this processor's, and one that empties all, with nothing else to do. */
static void drain_here(struct os_page_refs *r)
{
	os_sys3(SYS_madvise, r->scratch, OS_PAGE_SIZE, MADV_COLD);
	r->drained_here = true;
}

static void drain_all(struct os_page_refs *r)
{
	os_sys3(SYS_madvise, (char *)r->scratch + OS_PAGE_SIZE, OS_PAGE_SIZE, MADV_COLLAPSE);
	r->drained_all = true;
}

#define TRIES 8

/* What cannot be made out after some tries counts as referenced. */
static bool look_at(struct os_page_refs *r, int fd, uint64_t index, enum verdict verdict)
{
	bool drained = false;

	for (int i = 0; i < TRIES; i++) {
		if (run(r, fd, index, verdict == UNCLEAR ? 0 : index % SLOTS,
			verdict == UNCLEAR ? SLOTS - 1 : index % SLOTS))
			continue;
		verdict = judge(r, index, r->look->single ? 0 : index % SLOTS);
		if (verdict == NONE)
			return false;
		if (!r->drained_here)
			drain_here(r);
		else if (i > 1 && !r->drained_all)
			drain_all(r);
		else if (verdict == EXTRA && drained)
			break;
		drained = r->drained_all;
	}
	return true;
}

struct teller {
	uint64_t start, nr;
	void (*fn)(void *arg, uint64_t pgoff, uint64_t nr);
	void *arg;
};

static void tell(struct teller *t, uint64_t pgoff, uint64_t nr)
{
	if (t->nr && t->start + t->nr == pgoff) {
		t->nr += nr;
		return;
	}
	if (t->nr)
		t->fn(t->arg, t->start, t->nr);
	t->start = pgoff;
	t->nr = nr;
}

/* Where what is known now of [pgoff, end) ends. */
static uint64_t end_of_look(const struct os_page_refs *r, uint64_t pgoff, uint64_t end)
{
	uint64_t covered = r->look->single ? ((uint64_t)1 << r->look->shift) - 1 : SLOTS - 1;
	uint64_t last = pgoff | covered;

	return last < end - 1 ? last + 1 : end;
}

static bool judge_all(const struct os_page_refs *r, uint64_t pgoff, uint64_t end,
		      enum verdict v[SLOTS])
{
	bool all_none = true;

	for (uint64_t i = pgoff; i < end; i++) {
		v[i - pgoff] = judge(r, i, i % SLOTS);
		all_none = all_none && v[i - pgoff] == NONE;
	}
	return all_none;
}

/* After one run; returns where to go on. */
static uint64_t look_at_node(struct os_page_refs *r, int fd, uint64_t pgoff, uint64_t end,
			     struct teller *t)
{
	enum verdict v[SLOTS];

	end = end_of_look(r, pgoff, end);
	if (r->look->single) {
		v[0] = judge(r, pgoff, 0);
		if (v[0] != NONE && look_at(r, fd, pgoff, v[0]))
			tell(t, pgoff, end - pgoff);
		return end;
	}
	if (judge_all(r, pgoff, end, v))
		return end;
	/* Often many at once wait for the same. */
	if (!r->drained_here) {
		drain_here(r);
		return pgoff;
	}
	for (uint64_t i = pgoff; i < end; i++)
		if (v[i - pgoff] != NONE && look_at(r, fd, i, v[i - pgoff]))
			tell(t, i, 1);
	return end;
}

static uint64_t last_slot(uint64_t pgoff, uint64_t end)
{
	return pgoff / SLOTS == (end - 1) / SLOTS ? (end - 1) % SLOTS : SLOTS - 1;
}

/* The first slot is always wanted, in case that what is there is one for all. */
static int look_at_range(struct os_page_refs *r, int fd, uint64_t pgoff, uint64_t end,
			 struct teller *t)
{
	int ret = 0, tries = 0;

	while (pgoff < end && !ret) {
		ret = run(r, fd, pgoff, pgoff % SLOTS, last_slot(pgoff, end));
		if (!ret && r->look->single && pgoff % SLOTS)
			ret = run(r, fd, pgoff, 0, SLOTS - 1);
		if (ret == -EAGAIN && ++tries < TRIES) {
			ret = 0;
			continue;
		}
		tries = 0;
		if (!ret)
			pgoff = look_at_node(r, fd, pgoff, end, t);
	}
	return ret;
}

int os_page_refs_extra(struct os_page_refs *r, int fd, uint64_t pgoff, uint64_t nr,
		       void (*fn)(void *arg, uint64_t pgoff, uint64_t nr), void *arg)
{
	struct teller t = { .fn = fn, .arg = arg };
	int ret;

	os_mutex_lock(&r->lock);
	r->drained_here = r->drained_all = false;
	ret = look_at_range(r, fd, pgoff, pgoff + nr, &t);
	if (t.nr)
		fn(arg, t.start, t.nr);
	os_mutex_unlock(&r->lock);
	return ret;
}

/* ---- the test at the start --------------------------------------------------------------- */

#define TEST_PAGES 8
#define TEST_PAGE 5

static void count_pages(void *arg, uint64_t pgoff, uint64_t nr)
{
	uint64_t *seen = arg;

	for (uint64_t i = pgoff; i < pgoff + nr && i < 64; i++)
		*seen |= (uint64_t)1 << i;
}

static bool sees(struct os_page_refs *r, int fd, uint64_t want)
{
	uint64_t seen = 0;

	return os_page_refs_extra(r, fd, 0, TEST_PAGES, count_pages, &seen) == 0 && seen == want;
}

static bool test_with_pipe(struct os_page_refs *r, int fd, char *at, const int pipe_fds[2])
{
	struct iovec iov = { .iov_base = at + TEST_PAGE * OS_PAGE_SIZE, .iov_len = OS_PAGE_SIZE };
	char *to = at + (TEST_PAGE + 1) * OS_PAGE_SIZE;

	at[0] = iov.iov_base ? 1 : 0;
	at[TEST_PAGE * OS_PAGE_SIZE] = 1;
	to[0] = 1;
	return sees(r, fd, 0) &&
	       os_sys4(SYS_vmsplice, pipe_fds[1], &iov, 1, 0) == (long)OS_PAGE_SIZE &&
	       sees(r, fd, (uint64_t)1 << TEST_PAGE) &&
	       os_sys3(SYS_read, pipe_fds[0], to, OS_PAGE_SIZE) == (long)OS_PAGE_SIZE &&
	       sees(r, fd, 0);
}

static int test(struct os_page_refs *r)
{
	int fd, pipe_fds[2], ret = os_memfd_create("gmem-test", TEST_PAGES * OS_PAGE_SIZE, &fd);
	bool right = false;
	void *at;

	if (ret)
		return ret;
	ret = os_map_file(fd, 0, TEST_PAGES * OS_PAGE_SIZE, 0,
			  OS_MAP_READ | OS_MAP_WRITE | OS_MAP_HIDDEN, &at);
	if (!ret && os_sys2(SYS_pipe2, pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0) {
		right = test_with_pipe(r, fd, at, pipe_fds);
		os_sys1(SYS_close, pipe_fds[0]);
		os_sys1(SYS_close, pipe_fds[1]);
	}
	if (!ret)
		os_unmap(at, TEST_PAGES * OS_PAGE_SIZE);
	os_fd_close(fd);
	return right ? 0 : -EIO;
}

/* ---- life -------------------------------------------------------------------------------- */

static int set_up(struct os_page_refs *r)
{
	int ret = make_map(r);

	/* Before the larger work: who may not make a map may not do the rest. */
	if (!ret)
		ret = os_page_layout(&r->at);
	if (!ret)
		ret = os_page_probe_load(&r->at, r->map_fd, &r->prog_fd);
	if (!ret)
		ret = os_map_anon(SCRATCH_SIZE, OS_MAP_READ | OS_MAP_WRITE | OS_MAP_HIDDEN,
				  &r->scratch);
	if (ret)
		return ret;
	/* Advice to collapse is for memory that has been used, and large enough. */
	*(char *)r->scratch = 1;
	return test(r);
}

int os_page_refs_open(struct os_page_refs **out)
{
	struct os_page_refs *r = os_alloc(sizeof(*r));
	int ret;

	if (!r)
		return -ENOMEM;
	os_mutex_init(&r->lock);
	r->map_fd = r->prog_fd = -1;
	ret = set_up(r);
	if (ret)
		os_page_refs_close(r);
	else
		*out = r;
	return ret;
}

void os_page_refs_close(struct os_page_refs *r)
{
	if (r->scratch)
		os_unmap(r->scratch, SCRATCH_SIZE);
	if (r->look)
		os_unmap(r->look, sizeof(struct look));
	if (r->prog_fd >= 0)
		os_fd_close(r->prog_fd);
	if (r->map_fd >= 0)
		os_fd_close(r->map_fd);
	os_free(r, sizeof(*r));
}
