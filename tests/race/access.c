/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Host accesses to pages in any state, by the CPU and by system calls, each judged. */
#include "race.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define LATE_SECONDS 3.0

bool actor_make(struct actor *a, struct table *t, enum place place, int fd)
{
	int slot = slot_take(t, getpid());
	bool ok;

	*a = (struct actor){
		.t = t, .place = place, .fd = fd, .slot = (unsigned int)slot, .born = now()
	};
	a->seed = t->seed ^ ((uint64_t)slot + 1) << 32 ^ (uint64_t)place << 40;
	a->host =
		mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)t->base);
	a->scratch = memfd_create("scratch", MFD_CLOEXEC);
	ok = slot >= 0 && a->host != MAP_FAILED && a->scratch >= 0 &&
	     !pipe2(a->pipe, O_CLOEXEC | O_NONBLOCK);
	if (!ok)
		race_fail(t, "an actor (place %d) cannot be made: slot %d, window %p, errno %d",
			  (int)place, slot, (void *)a->host, errno);
	return ok;
}

void actor_free(struct actor *a)
{
	int32_t mine = getpid();

	munmap(a->host, NR_PAGES * PAGE);
	close(a->scratch);
	close(a->pipe[0]);
	close(a->pipe[1]);
	atomic_compare_exchange_strong(&a->t->slot_pid[a->slot], &mine, 0);
}

int slot_take(struct table *t, int pid)
{
	for (int i = 0; i < (int)BULK_WRITER; i++) {
		int32_t free = 0;

		if (atomic_compare_exchange_strong(&t->slot_pid[i], &free, pid))
			return i;
	}
	return -1;
}

void slots_drop(struct table *t, int pid)
{
	for (unsigned int i = 0; i < NR_HOSTS; i++) {
		int32_t expected = pid;

		atomic_compare_exchange_strong(&t->slot_pid[i], &expected, 0);
	}
}

static uint8_t *page_at(const struct actor *a, unsigned int page)
{
	return a->use + page * PAGE;
}

/*
 * It failed on a page that was shared all the time. At home that is wrong; another process may be late, and
 * has to come up within the time a conversion waits for it, and some.
 */
static void failed_on_shared(struct actor *a, unsigned int page, uint64_t word, const char *what)
{
	double end = now() + LATE_SECONDS;
	uint64_t value;

	if (a->place == HOME) {
		race_fail(a->t, "%s at home failed on page %u, which was shared all the time", what,
			  page);
		return;
	}
	count(a, RETRIED);
	while (now() < end) {
		if (host_load(page_at(a, page), &value) == TOUCHED || a->t->page[page].word != word)
			return;
		sleep_us(200);
	}
	race_fail(a->t, "%s (place %d) failed on page %u for %.0f s while it was shared", what,
		  (int)a->place, page, LATE_SECONDS);
}

static void judge(struct actor *a, unsigned int page, uint64_t word, bool ok, const char *what)
{
	if (!judge_access(a, page, word, ok, what))
		failed_on_shared(a, page, word, what);
}

static bool touched(struct actor *a, unsigned int page, enum touch r, const char *what)
{
	if (r == TOUCH_OTHER)
		race_fail(a->t, "%s (place %d) of page %u: %s", what, (int)a->place, page,
			  trap_text());
	return r == TOUCHED;
}

/* A system call's answer: all, or EFAULT. A short one is possible only while the page moves. */
static bool answered(struct actor *a, unsigned int page, ssize_t n, size_t size, const char *what)
{
	if (n < 0 && errno != EFAULT)
		race_fail(a->t, "%s (place %d) of page %u: errno %d, not EFAULT", what,
			  (int)a->place, page, errno);
	return n == (ssize_t)size;
}

/* ---- by the CPU ---- */

static void cpu_read(struct actor *a, unsigned int page)
{
	uint64_t words[PAGE_WORDS];
	struct before b;
	unsigned int nr;
	bool ok;

	before_access(a->t, page, &b);
	ok = touched(a, page, host_copy(words, page_at(a, page), PAGE_WORDS, &nr), "a load");
	judge(a, page, b.word, ok, "a load");
	judge_words(a->t, page, &b, words, 0, nr, false, "a load");
	count(a, ok ? CPU_READ_OK : CPU_READ_BUS);
}

static void cpu_write(struct actor *a, unsigned int page)
{
	uint32_t punches, n = intend(a->t, page, a->slot, 1, &punches);
	uint64_t word = before_word(a->t, page);
	bool ok =
		touched(a, page,
			host_store(page_at(a, page) + a->slot * 8, value_of('H', a->slot, page, n)),
			"a store");

	judge(a, page, word, ok, "a store");
	if (ok)
		settle(a->t, page, a->slot, n, punches);
	count(a, ok ? CPU_WRITE_OK : CPU_WRITE_BUS);
}

static void cpu_add(struct actor *a, unsigned int page)
{
	uint64_t word = before_word(a->t, page);
	bool ok;

	a->t->sum_intent[page]++;
	ok = touched(a, page, host_add(page_at(a, page) + WORD_SUM * 8, 1), "an addition");
	judge(a, page, word, ok, "an addition");
	if (ok)
		a->t->sum_done[page]++;
	else
		a->t->sum_intent[page]--;
	count(a, ok ? CPU_WRITE_OK : CPU_WRITE_BUS);
}

/* ---- by system calls ---- */

static void sys_read_page(struct actor *a, unsigned int page)
{
	uint64_t words[PAGE_WORDS];
	struct before b;
	ssize_t n;
	bool ok;

	before_access(a->t, page, &b);
	n = pwrite(a->scratch, page_at(a, page), PAGE, 0);
	ok = answered(a, page, n, PAGE, "write()");
	judge(a, page, b.word, ok, "write()");
	if (n > 0 && pread(a->scratch, words, (size_t)n, 0) == n)
		judge_words(a->t, page, &b, words, 0, (unsigned int)n / 8, false, "write()");
	count(a, ok ? SYS_READ_OK : SYS_READ_EFAULT);
}

static void sys_write_slot(struct actor *a, unsigned int page)
{
	uint32_t punches, n = intend(a->t, page, a->slot, 1, &punches);
	uint64_t value = value_of('H', a->slot, page, n), word;
	bool ok;

	if (pwrite(a->scratch, &value, 8, 0) != 8)
		race_fail(a->t, "the scratch file: errno %d", errno);
	word = before_word(a->t, page);
	ok = answered(a, page, pread(a->scratch, page_at(a, page) + a->slot * 8, 8, 0), 8,
		      "read()");
	judge(a, page, word, ok, "read()");
	if (ok)
		settle(a->t, page, a->slot, n, punches);
	count(a, ok ? SYS_WRITE_OK : SYS_WRITE_EFAULT);
}

static void sys_write_bulk(struct actor *a, unsigned int page)
{
	uint64_t words[BULK_WORDS], word;
	uint32_t punches, n;
	bool ok;

	if (!a->is_bulk)
		return;
	n = intend(a->t, page, BULK_WRITER, 1, &punches);
	for (unsigned int i = 0; i < BULK_WORDS; i++)
		words[i] = value_of('H', BULK_WRITER, page, n);
	if (pwrite(a->scratch, words, sizeof(words), 0) != sizeof(words))
		race_fail(a->t, "the scratch file: errno %d", errno);
	word = before_word(a->t, page);
	ok = answered(a, page,
		      pread(a->scratch, page_at(a, page) + WORD_BULK * 8, sizeof(words), 0),
		      sizeof(words), "a large read()");
	judge(a, page, word, ok, "a large read()");
	if (ok)
		settle(a->t, page, BULK_WRITER, n, punches);
	count(a, ok ? SYS_WRITE_OK : SYS_WRITE_EFAULT);
}

static void sys_read_span(struct actor *a, unsigned int page)
{
	static _Thread_local uint64_t words[4 * PAGE_WORDS];
	static _Thread_local struct before b[4];
	unsigned int nr = page + 4 > NR_PAGES ? NR_PAGES - page : 4, i;
	ssize_t n, left;

	for (i = 0; i < nr; i++)
		before_access(a->t, page + i, &b[i]);
	n = pwrite(a->scratch, page_at(a, page), nr * PAGE, 0);
	answered(a, page, n, nr * PAGE, "write() of pages");
	if (n > 0 && n < (ssize_t)(nr * PAGE))
		count(a, SPAN_SHORT);
	left = n > 0 ? pread(a->scratch, words, (size_t)n, 0) : 0;
	for (i = 0; i < nr && left > 0; i++, left -= (ssize_t)PAGE) {
		judge(a, page + i, b[i].word, left >= (ssize_t)PAGE, "write() of pages");
		judge_words(a->t, page + i, &b[i], words + i * PAGE_WORDS, 0,
			    left < (ssize_t)PAGE ? (unsigned int)left / 8 : PAGE_WORDS, false,
			    "write() of pages");
	}
	/* What it says of the first page holds when it read nothing at all. */
	if (n <= 0)
		judge(a, page, b[0].word, false, "write() of pages");
}

static void remote_read(struct actor *a, unsigned int page)
{
	bool self = a->place == HOME || rnd_below(&a->seed, 2);
	uint64_t words[PAGE_WORDS], home = a->t->home_host + page * PAGE;
	struct iovec to = { words, PAGE };
	struct iovec from = { self ? page_at(a, page) : (void *)(uintptr_t)home, PAGE };
	struct before b;
	ssize_t n;
	bool ok;

	before_access(a->t, page, &b);
	n = process_vm_readv(self ? getpid() : a->t->home_pid, &to, 1, &from, 1, 0);
	if (n < 0 && (errno == EPERM || errno == ESRCH || errno == ENOSYS))
		return;
	ok = answered(a, page, n, PAGE, "process_vm_readv()");
	judge(a, page, b.word, ok, "process_vm_readv()");
	if (n > 0)
		judge_words(a->t, page, &b, words, 0, (unsigned int)n / 8, false,
			    "process_vm_readv()");
	count(a, ok ? REMOTE_OK : REMOTE_EFAULT);
}

static void remote_write(struct actor *a, unsigned int page)
{
	bool self = a->place == HOME || rnd_below(&a->seed, 2);
	uint32_t punches, n = intend(a->t, page, a->slot, 1, &punches);
	uint64_t value = value_of('H', a->slot, page, n), at = page * PAGE + a->slot * 8, word;
	struct iovec from = { &value, 8 };
	struct iovec to = { self ? a->use + at : (void *)(uintptr_t)(a->t->home_host + at), 8 };
	ssize_t r;
	bool ok;

	word = before_word(a->t, page);
	r = process_vm_writev(self ? getpid() : a->t->home_pid, &from, 1, &to, 1, 0);
	if (r < 0 && (errno == EPERM || errno == ESRCH || errno == ENOSYS))
		return;
	ok = answered(a, page, r, 8, "process_vm_writev()");
	judge(a, page, word, ok, "process_vm_writev()");
	if (ok)
		settle(a->t, page, a->slot, n, punches);
	count(a, ok ? REMOTE_OK : REMOTE_EFAULT);
}

/* Between vmsplice() and the end of the read the page is pinned: nobody can have made it private. */
static void pipe_page(struct actor *a, unsigned int page)
{
	struct iovec v = { page_at(a, page), PAGE };
	uint32_t punches = a->t->page[page].punch_end; /* less than begun if one is on its way */
	uint64_t words[PAGE_WORDS];
	struct before b;
	ssize_t n;
	bool ok;

	before_access(a->t, page, &b);
	n = vmsplice(a->pipe[1], &v, 1, 0);
	ok = answered(a, page, n, PAGE, "vmsplice()");
	judge(a, page, b.word, ok, "vmsplice()");
	count(a, ok ? PIPE_OK : PIPE_EFAULT);
	if (n <= 0)
		return;
	if (rnd_below(&a->seed, 4) == 0)
		sleep_us(rnd_below(&a->seed, 300));
	if ((a->t->page[page].word & 3) == PRIVATE && a->t->page[page].punch_begin == punches)
		race_fail(a->t, "page %u became private while it was in a pipe (place %d)", page,
			  (int)a->place);
	count(a, PINS_HELD);
	n = read(a->pipe[0], words, PAGE);
	if (n != (ssize_t)PAGE)
		race_fail(a->t, "a page came out of the pipe as %zd bytes", n);
	else
		judge_words(a->t, page, &b, words, 0, PAGE_WORDS, false, "vmsplice()");
}

static void futex_page(struct actor *a, unsigned int page)
{
	struct timespec none = { 0 };
	uint64_t word = before_word(a->t, page);
	/* No count gets that high: EAGAIN tells that the word was read. */
	long r = syscall(SYS_futex, page_at(a, page) + a->slot * 8, FUTEX_WAIT, 0xfffffffeu, &none,
			 NULL, 0);
	bool ok = r < 0 && errno == EAGAIN;

	if (!ok && errno != EFAULT)
		race_fail(a->t, "futex() (place %d) of page %u: %ld, errno %d", (int)a->place, page,
			  r, errno);
	judge(a, page, word, ok, "futex()");
	count(a, ok ? FUTEX_OK : FUTEX_EFAULT);
}

/* Pages beside ours, which never change: odd ones private. */
static void read_beside(struct actor *a)
{
	uint64_t nr = a->t->size / PAGE, first = a->t->base / PAGE, page, value = 0;
	uint8_t *p;
	enum touch r;

	if (!a->t->is_alternating)
		return;
	page = rnd(&a->seed) % nr;
	if (page >= first && page < first + NR_PAGES)
		return;
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, (off_t)(page * PAGE));
	if (p == MAP_FAILED) {
		race_fail(a->t, "mmap of one page: errno %d", errno);
		return;
	}
	r = host_load(p, &value);
	if (r != (page & 1 ? TOUCH_BUS : TOUCHED) || value != 0)
		race_fail(a->t, "page %llu of the file (place %d): %d, 0x%llx, %s",
			  (unsigned long long)page, (int)a->place, (int)r,
			  (unsigned long long)value, trap_text());
	munmap(p, PAGE);
}

void access_one(struct actor *a)
{
	static void (*const accesses[])(struct actor * a, unsigned int page) = {
		cpu_read,	cpu_read,	cpu_read,	cpu_write,     cpu_write,
		cpu_write,	cpu_add,	cpu_add,	sys_read_page, sys_read_page,
		sys_write_slot, sys_write_slot, sys_write_bulk, sys_read_span, remote_read,
		remote_write,	pipe_page,	futex_page,
	};
	unsigned int nr = sizeof(accesses) / sizeof(accesses[0]);

	a->use = a->other && rnd_below(&a->seed, 2) ? a->other : a->host;
	accesses[rnd_below(&a->seed, nr)](a, rnd_below(&a->seed, NR_PAGES));
	if (rnd_below(&a->seed, 64) == 0)
		read_beside(a);
}

void access_for(struct actor *a, double seconds)
{
	double end = now() + seconds;

	while (!stopped(a->t) && now() < end) {
		for (int i = 0; i < 8; i++)
			access_one(a);
	}
}
