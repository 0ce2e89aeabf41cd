/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The page tables are asked through /proc/self/pagemap, by PAGEMAP_SCAN (kernel 6.7), which passes over what is empty,
 * or else entry by entry. Of shared memory mincore() says what its file has in memory.
 */
#include "os/resident.h"

#include <errno.h>
#include <fcntl.h>

#include "os/fail.h"
#include "os/os.h"
#include "os/sys.h"

#define NR_REGIONS 512
#define NR_ENTRIES 16384
#define NR_SHARED 4096
#define TEXT_SIZE 16384

/* pagemap: the form of an entry, and of PAGEMAP_SCAN. */
#define ENTRY_PRESENT ((uint64_t)1 << 63)
#define ENTRY_SWAPPED ((uint64_t)1 << 62)
#define ENTRY_FILE ((uint64_t)1 << 61)
#define SCAN_FILE 4u
#define SCAN_PRESENT 8u
#define SCAN_SWAPPED 16u
#define SCAN_ZERO 32u
struct scan_region {
	uint64_t start, end, categories;
};
struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, all_of, any_of, wanted;
};
#define PAGEMAP_SCAN_REQUEST 0xc0606610u

struct span {
	uint64_t start, end;
};

struct os_resident {
	int pagemap, maps;
	bool no_scan;
	bool cut;
	uint64_t cache_left; /* bytes that mincore() is still asked about */
	uint32_t nr_shared;
	/* What was found last, and how far it goes: [known.start, known.end) has no runs but these. */
	struct span known;
	uint32_t nr_runs, at;
	union {
		struct scan_region regions[NR_REGIONS];
		uint64_t entries[NR_ENTRIES];
		uint8_t in_cache[NR_ENTRIES];
		char text[TEXT_SIZE];
	};
	struct span runs[NR_ENTRIES / 2 + 1];
	struct span shared[NR_SHARED];
};

static int open_file(const char *path, int *fd)
{
	long ret = os_fail(OS_FAIL_FD);

	if (!ret)
		ret = os_sys3(SYS_open, path, O_RDONLY | O_CLOEXEC, 0);
	if (ret < 0)
		return (int)ret;
	*fd = (int)ret;
	return os_fd_adopt(fd);
}

int os_resident_open(struct os_resident **out)
{
	struct os_resident *r = os_alloc(sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->maps = -1;
	err = open_file("/proc/self/pagemap", &r->pagemap);
	if (!err)
		err = open_file("/proc/self/maps", &r->maps);
	if (!err) {
		*out = r;
		return 0;
	}
	if (r->maps < 0 && r->pagemap > 0)
		os_fd_close(r->pagemap);
	os_free(r, sizeof(*r));
	return err;
}

void os_resident_close(struct os_resident *r)
{
	os_fd_close(r->pagemap);
	os_fd_close(r->maps);
	os_free(r, sizeof(*r));
}

/* ---- what is shared: "START-END rw-s ..." ------------------------------------------------------------- */

static bool parse_hex(const char **at, const char *end, uint64_t *value)
{
	const char *p = *at;

	for (*value = 0; p < end; p++) {
		if (*p >= '0' && *p <= '9')
			*value = *value << 4 | (uint64_t)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			*value = *value << 4 | (uint64_t)(*p - 'a' + 10);
		else
			break;
	}
	if (p == *at || p == end)
		return false;
	*at = p + 1;
	return true;
}

static void note_line(struct os_resident *r, const char *line, const char *end)
{
	struct span s;

	if (!parse_hex(&line, end, &s.start) || !parse_hex(&line, end, &s.end) || end - line < 4 ||
	    line[3] != 's')
		return;
	if (r->nr_shared && r->shared[r->nr_shared - 1].end == s.start)
		r->shared[r->nr_shared - 1].end = s.end;
	else if (r->nr_shared < NR_SHARED)
		r->shared[r->nr_shared++] = s;
}

/* The whole lines of text; how many bytes of a line that is not whole are left, moved to the front. */
static size_t note_lines(struct os_resident *r, size_t size)
{
	size_t begin = 0;

	for (size_t i = 0; i < size; i++)
		if (r->text[i] == '\n') {
			note_line(r, r->text + begin, r->text + i);
			begin = i + 1;
		}
	__builtin_memmove(r->text, r->text + begin, size - begin);
	return size - begin;
}

int os_resident_refresh(struct os_resident *r)
{
	size_t left = 0;
	long ret = os_sys3(SYS_lseek, r->maps, 0, 0 /* SEEK_SET */);

	r->nr_shared = 0;
	r->cache_left = OS_RESIDENT_CACHE_MAX;
	r->cut = false;
	r->known = (struct span){ 0, 0 };
	while (ret >= 0) {
		/* Longer than any line can be. */
		left = left == TEXT_SIZE ? 0 : left;
		ret = os_sys3(SYS_read, r->maps, r->text + left, TEXT_SIZE - left);
		if (ret <= 0)
			break;
		left = note_lines(r, left + (size_t)ret);
	}
	return (int)ret;
}

/* Is addr in shared memory? *end becomes where that changes. */
static bool is_shared(const struct os_resident *r, uint64_t addr, uint64_t *end)
{
	uint32_t low = 0, high = r->nr_shared;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (r->shared[middle].end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == r->nr_shared)
		return false;
	if (r->shared[low].start > addr) {
		*end = r->shared[low].start < *end ? r->shared[low].start : *end;
		return false;
	}
	*end = r->shared[low].end < *end ? r->shared[low].end : *end;
	return true;
}

/* ---- a piece of the range ---------------------------------------------------------------------------- */

static void add(struct os_resident *r, uint64_t start, uint64_t end)
{
	if (r->nr_runs && r->runs[r->nr_runs - 1].end == start)
		r->runs[r->nr_runs - 1].end = end;
	else
		r->runs[r->nr_runs++] = (struct span){ start, end };
}

/* As far as it came. */
static int scan(struct os_resident *r, uint64_t start, uint64_t *end, bool shared)
{
	uint64_t neither = shared ? SCAN_ZERO : SCAN_FILE | SCAN_ZERO;
	struct scan q = {
		.size = sizeof(q),
		.start = start,
		.end = *end,
		.vec = (uintptr_t)r->regions,
		.vec_len = NR_REGIONS,
		.inverted = neither,
		.all_of = neither,
		.any_of = SCAN_PRESENT | SCAN_SWAPPED,
		.wanted = SCAN_PRESENT,
	};
	long nr = os_sys3(SYS_ioctl, r->pagemap, PAGEMAP_SCAN_REQUEST, &q);

	if (nr < 0)
		return (int)nr;
	for (long i = 0; i < nr; i++)
		add(r, r->regions[i].start, r->regions[i].end);
	*end = q.walk_end;
	return 0;
}

static bool counts(uint64_t entry, bool shared)
{
	return entry & (ENTRY_PRESENT | ENTRY_SWAPPED) && (shared || !(entry & ENTRY_FILE));
}

static int read_entries(struct os_resident *r, uint64_t start, uint64_t *end, bool shared)
{
	uint64_t nr = (*end - start) / OS_PAGE_SIZE;
	long got;

	nr = nr < NR_ENTRIES ? nr : NR_ENTRIES;
	got = os_sys4(SYS_pread64, r->pagemap, r->entries, nr * sizeof(uint64_t),
		      start / OS_PAGE_SIZE * sizeof(uint64_t));
	if (got < (long)sizeof(uint64_t))
		return got < 0 ? (int)got : -EFAULT;
	nr = (uint64_t)got / sizeof(uint64_t);
	for (uint64_t i = 0; i < nr; i++)
		if (counts(r->entries[i], shared))
			add(r, start + i * OS_PAGE_SIZE, start + (i + 1) * OS_PAGE_SIZE);
	*end = start + nr * OS_PAGE_SIZE;
	return 0;
}

static int look_at_tables(struct os_resident *r, uint64_t start, uint64_t *end, bool shared)
{
	int err = r->no_scan ? -ENOTTY : scan(r, start, end, shared);

	/* An older kernel, or one that refuses the request. */
	if (err == -ENOTTY || err == -EINVAL) {
		r->no_scan = true;
		err = read_entries(r, start, end, shared);
	}
	return err;
}

static int look_at_cache(struct os_resident *r, uint64_t start, uint64_t *end)
{
	uint64_t nr = (*end - start) / OS_PAGE_SIZE;
	long err;

	nr = nr < NR_ENTRIES ? nr : NR_ENTRIES;
	*end = start + nr * OS_PAGE_SIZE;
	r->cache_left -= nr * OS_PAGE_SIZE < r->cache_left ? nr * OS_PAGE_SIZE : r->cache_left;
	err = os_sys3(SYS_mincore, start, nr * OS_PAGE_SIZE, r->in_cache);
	for (uint64_t i = 0; !err && i < nr; i++)
		if (r->in_cache[i] & 1)
			add(r, start + i * OS_PAGE_SIZE, start + (i + 1) * OS_PAGE_SIZE);
	return (int)err;
}

/* What cannot be asked has nothing: it has just been unmapped. */
static void look(struct os_resident *r, uint64_t start, uint64_t end)
{
	uint64_t to = end;
	bool shared = is_shared(r, start, &to);
	uint64_t limit = to;
	int err;

	r->nr_runs = r->at = 0;
	if (shared && r->cache_left)
		err = look_at_cache(r, start, &to);
	else
		err = look_at_tables(r, start, &to, shared);
	r->cut = r->cut || (shared && !r->cache_left);
	r->known = (struct span){ start, err || to <= start ? limit : to };
}

bool os_resident_next(struct os_resident *r, uint64_t *addr, uint64_t end, uint64_t *size)
{
	while (*addr < end) {
		if (*addr < r->known.start || *addr >= r->known.end)
			look(r, *addr, end);
		while (r->at < r->nr_runs && r->runs[r->at].end <= *addr)
			r->at++;
		if (r->at < r->nr_runs && r->runs[r->at].start < end) {
			struct span s = r->runs[r->at];

			*addr = s.start > *addr ? s.start : *addr;
			*size = (s.end < end ? s.end : end) - *addr;
			return true;
		}
		if (r->at < r->nr_runs)
			return false;
		*addr = r->known.end;
	}
	return false;
}

bool os_resident_was_cut(const struct os_resident *r)
{
	return r->cut;
}
