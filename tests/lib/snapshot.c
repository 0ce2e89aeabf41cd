/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What is saved comes back: contents, states and holes, of one moment; or the file is refused as it should be. */
#include "snapshot.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "../core/pool_run.h"

#define NR_PAGES 1100u /* more than two huge pages, and more runs than an index has room for */

/* What has failed is left out; -EHWPOISON: *error_offset. */
static int save_rest(struct gmem *g, int fd, uint32_t flags, struct gmem_snapshot_args *args)
{
	*args = (struct gmem_snapshot_args){ .args_size = sizeof(*args), .flags = flags, .fd = fd };
	return gmem_snapshot(g, args);
}

static int restore_rest(struct gmem *g, int fd)
{
	struct gmem_restore_args args = { .args_size = sizeof(args),
					  .flags = GMEM_SNAPSHOT_LOST,
					  .fd = fd };

	return gmem_restore(g, &args);
}

static uint64_t draw(uint64_t *seed, uint64_t n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed % n;
}

/* States and contents at random; a third of the pages was never touched. */
static void scribble(struct gmem *g, uint64_t seed)
{
	for (uint64_t at = 0, nr; at < NR_PAGES; at += nr) {
		nr = 1 + draw(&seed, 4);
		if (nr > NR_PAGES - at)
			nr = NR_PAGES - at;
		if (draw(&seed, 2))
			t_private(g, at, nr);
		else
			t_shared(g, at, nr);
		for (uint64_t i = 0; i < nr && draw(&seed, 3); i++) {
			char *page = t_guest(g, at + i);

			for (uint64_t b = 0; b < PAGE; b += 64)
				page[b] = (char)draw(&seed, 256);
		}
	}
}

static void expect_same(struct gmem *a, struct gmem *b)
{
	for (uint64_t i = 0; i < NR_PAGES; i++) {
		assert_int_equal(t_state(a, i), t_state(b, i));
		assert_memory_equal(t_guest(a, i), t_guest(b, i), PAGE);
	}
}

static void comes_back(void **state)
{
	for (uint64_t seed = 1; seed < 4; seed++) {
		uint32_t pages = seed == 3 ? GMEM_THP : 0;
		struct gmem *a = t_create(NR_PAGES, BOTH | pages), *b = t_create(NR_PAGES, BOTH);
		struct gmem_snapshot_info info = { .args_size = sizeof(info) };
		int fd = temporary();

		scribble(a, seed);
		scribble(b, seed + 100);
		assert_int_equal(save(a, fd), 0);
		assert_int_equal(gmem_snapshot_check(fd, GMEM_CHECK_CONTENTS, &info), 0);
		assert_int_equal(info.size, NR_PAGES * PAGE);
		assert_int_equal(info.flags, BOTH | pages);
		assert_true(info.data_bytes && info.data_bytes < info.size);
		assert_int_equal(info.file_bytes, lseek(fd, 0, SEEK_END));
		assert_int_equal(restore(b, fd), 0);
		expect_same(a, b);
		close(fd);
		gmem_put(a);
		gmem_put(b);
	}
}

/* Also of a file with windows, whose block is of small pages while one of them is shared. */
static void huge_pages_come_back(void **state)
{
	static const uint32_t kinds[] = { GMEM_HUGETLB, GMEM_HUGETLB | GMEM_MMAP };

	for (unsigned int i = 0; i < 2; i++) {
		struct gmem_create_args args = { .args_size = sizeof(args),
						 .flags = kinds[i],
						 .size = 2ull << 20 };
		struct gmem *a, *b;
		int fd;

		if (gmem_create(&args, &a))
			skip();
		b = t_create(512, 0);
		fd = temporary();
		memset(t_guest(a, 7), 'x', PAGE);
		t_shared(a, 9, 1);
		assert_int_equal(save(a, fd), 0);
		assert_int_equal(restore(b, fd), 0);
		assert_int_equal(t_guest(b, 7)[4095], 'x');
		assert_int_equal(t_guest(b, 8)[0], 0);
		assert_int_equal(t_state(b, 9), 0);
		assert_int_equal(gmem_punch(a, 0, 512 * PAGE), 0);
		assert_int_equal(restore(a, fd), 0);
		assert_int_equal(t_guest(a, 7)[4095], 'x');
		assert_int_equal(t_state(a, 9), 0);
		close(fd);
		gmem_put(a);
		gmem_put(b);
	}
}

static void private_pages_stay_hidden(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	char *at = t_map(g, 0, 4);
	int fd = temporary();

	memset(at, 's', 4 * PAGE);
	t_private(g, 1, 1);
	assert_int_equal(save(g, fd), 0);
	t_shared(g, 1, 1);
	memset(at, 'o', 4 * PAGE);
	assert_int_equal(restore(g, fd), 0);
	t_hidden(at + PAGE);
	t_open(at);
	assert_int_equal(at[0], 's');
	assert_int_equal(t_guest(g, 1)[0], 's');
	t_shared(g, 1, 1);
	assert_int_equal(at[PAGE], 's');
	assert_int_equal(gmem_unmap(at, 4 * PAGE), 0);
	close(fd);
	gmem_put(g);
}

/* ---- one moment --------------------------------------------------------------------------------- */

struct guest {
	struct gmem *g;
	_Atomic bool stop;
	_Atomic uint64_t rounds;
};

/* Two pages that are always private together or shared together, and two that hold the same number. */
static void *convert_and_write(void *arg)
{
	struct guest *guest = arg;

	for (uint64_t n = 1; !atomic_load(&guest->stop); n++) {
		void *first, *last;

		assert_int_equal(gmem_fault_begin(guest->g), 0);
		assert_int_equal(gmem_page(guest->g, 0, &first, NULL), 0);
		assert_int_equal(gmem_page(guest->g, (NR_PAGES - 1) * PAGE, &last, NULL), 0);
		memcpy(first, &n, sizeof(n));
		memcpy(last, &n, sizeof(n));
		gmem_fault_end(guest->g);
		assert_int_equal(gmem_convert_simply(guest->g, 0, NR_PAGES * PAGE,
						     n & 1 ? PRIVATE : 0, NULL),
				 0);
		atomic_fetch_add(&guest->rounds, 1);
	}
	return NULL;
}

static void is_of_one_moment(void **state)
{
	struct guest guest = { .g = t_create(NR_PAGES, BOTH) };
	struct gmem *copy = t_create(NR_PAGES, 0);
	pthread_t thread;

	scribble(guest.g, 5);
	assert_int_equal(pthread_create(&thread, NULL, convert_and_write, &guest), 0);
	for (int i = 0; i < 12; i++) {
		uint64_t seen = atomic_load(&guest.rounds);
		int fd = temporary();

		while (atomic_load(&guest.rounds) == seen)
			sched_yield();
		assert_int_equal(save(guest.g, fd), 0);
		assert_int_equal(restore(copy, fd), 0);
		assert_memory_equal(t_guest(copy, 0), t_guest(copy, NR_PAGES - 1), 8);
		for (uint64_t page = 1; page < NR_PAGES; page++)
			assert_int_equal(t_state(copy, page), t_state(copy, 0));
		close(fd);
	}
	atomic_store(&guest.stop, true);
	pthread_join(thread, NULL);
	gmem_put(guest.g);
	gmem_put(copy);
}

static int told;
static int on_begin(void *data, const struct gmem_change *change)
{
	struct gmem_change_info info = { .args_size = sizeof(info) };

	assert_int_equal(gmem_change_describe(change, &info), 0);
	if (info.kind == GMEM_KIND_FREEZE && info.size == 4 * PAGE)
		told = 1;
	return 0;
}

static void on_end(void *data, const struct gmem_change *change)
{
	if (told == 1)
		told = 2;
}

static bool interrupts;

static int on_begin_interrupt(void *data, const struct gmem_change *change)
{
	if (interrupts)
		gmem_interrupt();
	return 0;
}

static void it_can_be_interrupted(void **state)
{
	struct gmem_consumer_callbacks ops = { .ops_size = sizeof(ops),
					       .begin = on_begin_interrupt,
					       .end = on_end };
	struct gmem *g = t_create(4, 0);
	struct gmem_consumer *c;
	int fd = temporary();

	assert_int_equal(gmem_consumer_add(g, &ops, NULL, &c), 0);
	interrupts = true;
	assert_int_equal(save(g, fd), -EINTR);
	interrupts = false;
	assert_int_equal(gmem_snapshot_check(fd, 0, NULL), -ENODATA);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(save(g, fd), 0);
	gmem_consumer_remove(g, c);
	close(fd);
	gmem_put(g);
}

static void consumers_are_told(void **state)
{
	struct gmem_consumer_callbacks ops = { .ops_size = sizeof(ops),
					       .begin = on_begin,
					       .end = on_end };
	struct gmem *g = t_create(4, 0);
	struct gmem_consumer *c;
	int fd = temporary();

	assert_int_equal(gmem_consumer_add(g, &ops, NULL, &c), 0);
	assert_int_equal(save(g, fd), 0);
	assert_int_equal(told, 2);
	gmem_consumer_remove(g, c);
	close(fd);
	gmem_put(g);
}

/* ---- pages that have failed ------------------------------------------------------------------------ */

static int page_result(struct gmem *g, uint64_t page)
{
	void *at;
	int err;

	assert_int_equal(gmem_fault_begin(g), 0);
	err = gmem_page(g, page * PAGE, &at, NULL);
	gmem_fault_end(g);
	return err;
}

/* Nowhere in the file, which is read as it is. */
static void expect_absent(int fd, char byte)
{
	char text[64], some[64];
	off_t end = lseek(fd, 0, SEEK_END);

	memset(text, byte, sizeof(text));
	for (off_t at = 0; at < end; at += 64) {
		assert_int_equal(pread(fd, some, 64, at), 64);
		assert_memory_not_equal(some, text, 64);
	}
}

static void what_has_failed_is_named_or_lost(void **state)
{
	struct gmem *g = t_create(8, BOTH), *to = t_create(8, BOTH);
	struct gmem_snapshot_info info = { .args_size = sizeof(info) };
	struct gmem_snapshot_args args;
	int fd = temporary();

	for (uint64_t i = 0; i < 8; i++)
		memset(t_guest(g, i), i == 4 || i == 5 ? 'x' : 'k', PAGE);
	t_private(g, 3, 4);
	assert_int_equal(gmem_poison(g, 4 * PAGE, 2 * PAGE), 0);
	assert_int_equal(save_rest(g, fd, 0, &args), -EHWPOISON);
	assert_int_equal(args.error_offset, 4 * PAGE);
	must_refuse("SNAPSHOT_POISONED");
	assert_int_equal(gmem_snapshot_check(fd, 0, NULL), -ENODATA);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(save_rest(g, fd, GMEM_SNAPSHOT_LOST, &args), 0);
	assert_int_equal(args.lost_bytes, 2 * PAGE);
	expect_absent(fd, 'x');
	assert_int_equal(gmem_snapshot_check(fd, GMEM_CHECK_CONTENTS, &info), 0);
	assert_int_equal(info.lost_bytes, 2 * PAGE);
	assert_int_equal(info.data_bytes, 6 * PAGE);
	assert_int_equal(restore(to, fd), 0);
	for (uint64_t i = 0; i < 8; i++) {
		assert_int_equal(page_result(to, i), i == 4 || i == 5 ? -EHWPOISON : 0);
		assert_int_equal(t_state(to, i), i > 2 && i < 7 ? PRIVATE : 0);
	}
	assert_int_equal(t_guest(to, 6)[99], 'k');
	assert_int_equal(restore_rest(to, fd), 0);
	assert_int_equal(t_guest(to, 5)[99], 0);
	assert_int_equal(t_state(to, 5), PRIVATE);
	assert_int_equal(t_guest(to, 6)[99], 'k');
	close(fd);
	gmem_put(g);
	gmem_put(to);
}

/* Shared, in a file that nobody can map; elsewhere a window could show it. */
static void what_has_failed_is_never_shown(void **state)
{
	struct gmem *g = t_create(4, GMEM_INIT_SHARED), *other = t_create(4, BOTH);
	struct gmem_snapshot_args args;
	int fd = temporary();

	assert_int_equal(gmem_poison(g, PAGE, PAGE), 0);
	memset(t_guest(other, 2), 'o', PAGE);
	assert_int_equal(save_rest(g, fd, GMEM_SNAPSHOT_LOST, &args), 0);
	assert_int_equal(restore(other, fd), -EOPNOTSUPP);
	must_refuse("SNAPSHOT_LOST_SHARED");
	assert_int_equal(t_guest(other, 2)[0], 'o');
	assert_int_equal(restore_rest(other, fd), 0);
	assert_int_equal(t_guest(other, 2)[0], 0);
	assert_int_equal(gmem_punch(g, 0, 4 * PAGE), 0);
	assert_int_equal(restore(g, fd), 0);
	assert_int_equal(page_result(g, 1), -EHWPOISON);
	assert_int_equal(t_state(g, 1), 0);
	close(fd);
	gmem_put(g);
	gmem_put(other);
}

/* ---- what is refused ------------------------------------------------------------------------------- */

static void arguments_are_checked(void **state)
{
	struct gmem *g = t_create(4, BOTH), *other = t_create(5, BOTH);
	struct gmem_snapshot_args args = { .args_size = sizeof(args), .flags = 2 };
	int fd = temporary(), fds[2];

	assert_int_equal(gmem_snapshot(g, &args), -EINVAL);
	must_refuse("SNAPSHOT_FLAGS");
	assert_int_equal(gmem_snapshot_check(fd, 2, NULL), -EINVAL);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(save(g, fds[1]), -EBADF);
	assert_int_equal(restore(g, fds[0]), -EBADF);
	must_refuse("SNAPSHOT_FD");
	assert_int_equal(restore(g, fd), -ENOEXEC);
	must_refuse("SNAPSHOT_OTHER");
	assert_int_equal(save(g, fd), 0);
	assert_int_equal(save(g, fd), -EEXIST);
	must_refuse("SNAPSHOT_NOT_EMPTY");
	assert_int_equal(pwrite(fd, "\2", 1, 8), 1);
	assert_int_equal(gmem_snapshot_check(fd, 0, NULL), -EBADMSG);
	assert_int_equal(pwrite(fd, "\3", 1, 8), 1);
	assert_int_equal(gmem_snapshot_check(fd, 0, NULL), -EPROTONOSUPPORT);
	must_refuse("SNAPSHOT_VERSION");
	assert_int_equal(pwrite(fd, "\1", 1, 8), 1);
	memset(t_guest(other, 1), 'k', PAGE);
	assert_int_equal(restore(other, fd), -ERANGE);
	must_refuse("SNAPSHOT_SIZE");
	assert_int_equal(t_guest(other, 1)[0], 'k');
	close(fd);
	close(fds[0]);
	close(fds[1]);
	gmem_put(g);
	gmem_put(other);
}

static void disks_that_are_full_are_said(void **state)
{
	struct gmem *g = t_create(64, BOTH);
	struct rlimit was, small = { 32 * PAGE, 32 * PAGE };
	int fd = temporary();

	for (uint64_t i = 0; i < 64; i++)
		memset(t_guest(g, i), 'f', PAGE);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small.rlim_max = was.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(save(g, fd), -EFBIG);
	must_refuse("SNAPSHOT_WRITE");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(restore(g, fd), -ENODATA);
	must_refuse("SNAPSHOT_UNFINISHED");
	assert_int_equal(t_guest(g, 63)[0], 'f');
	close(fd);
	gmem_put(g);
}

/* Cut anywhere, it is no snapshot; and the file that should have got it is as it was. */
static void cut_files_are_refused(void **state)
{
	struct gmem *g = t_create(NR_PAGES, BOTH), *kept = t_create(NR_PAGES, BOTH);
	struct gmem *same = t_create(NR_PAGES, BOTH);
	off_t size;
	int fd = temporary();

	scribble(g, 9);
	scribble(kept, 10);
	scribble(same, 10);
	assert_int_equal(save(g, fd), 0);
	size = lseek(fd, 0, SEEK_END);
	for (off_t cut = size - 1; cut > 0; cut = cut * 9 / 10 - 1) {
		assert_int_equal(ftruncate(fd, cut), 0);
		assert_int_equal(restore(kept, fd), cut < 8 ? -ENOEXEC : -ENODATA);
	}
	expect_same(kept, same);
	close(fd);
	gmem_put(g);
	gmem_put(kept);
	gmem_put(same);
}

/* What did not reach the disk before a crash is zero: any page, though all behind it is there. */
static void pages_that_were_never_written_are_found(void **state)
{
	struct gmem *g = t_create(64, BOTH);
	char zero[PAGE] = { 0 }, page[PAGE];
	int fd = temporary();
	off_t size;

	for (uint64_t i = 0; i < 64; i++) {
		memset(t_guest(g, i), (int)i, PAGE);
		if (i & 1)
			t_private(g, i, 1);
	}
	assert_int_equal(save(g, fd), 0);
	size = lseek(fd, 0, SEEK_END);
	assert_true(size > 64 * (off_t)PAGE);
	for (off_t at = 0; at < size; at += PAGE) {
		int err;

		assert_int_equal(pread(fd, page, PAGE, at), PAGE);
		assert_int_equal(pwrite(fd, zero, PAGE, at), PAGE);
		err = gmem_snapshot_check(fd, GMEM_CHECK_CONTENTS, NULL);
		assert_int_equal(err, at == 0			 ? -ENOEXEC
				      : at == size - (off_t)PAGE ? -ENODATA
								 : -EBADMSG);
		assert_int_equal(pwrite(fd, page, PAGE, at), PAGE);
	}
	assert_int_equal(gmem_snapshot_check(fd, GMEM_CHECK_CONTENTS, NULL), 0);
	close(fd);
	gmem_put(g);
}

/* Every bit that means something is under a checksum. */
static void damaged_files_are_refused(void **state)
{
	struct gmem *g = t_create(NR_PAGES, BOTH), *kept = t_create(NR_PAGES, BOTH);
	struct gmem *same = t_create(NR_PAGES, BOTH);
	uint64_t seed = 11;
	off_t size;
	int fd = temporary();

	scribble(g, 12);
	scribble(kept, 13);
	scribble(same, 13);
	assert_int_equal(save(g, fd), 0);
	size = lseek(fd, 0, SEEK_END);
	for (int i = 0; i < 60; i++) {
		/* Behind header and footer their pages are not used. */
		off_t at = i < 8    ? i * 8
			   : i < 20 ? size - 4096 + (i - 8) * 7
				    : 4096 + (off_t)draw(&seed, (uint64_t)size - 8192);
		char byte, bad;
		int err;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		bad = (char)(byte ^ (1 << draw(&seed, 8)));
		assert_int_equal(pwrite(fd, &bad, 1, at), 1);
		err = restore(kept, fd);
		assert_true(err == -EBADMSG || (at < 8 && err == -ENOEXEC) ||
			    (at >= 8 && at < 12 && err == -EPROTONOSUPPORT) ||
			    (at >= size - 4096 && err == -ENODATA));
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	expect_same(kept, same);
	assert_int_equal(restore(kept, fd), 0);
	expect_same(kept, g);
	close(fd);
	gmem_put(g);
	gmem_put(kept);
	gmem_put(same);
}

/* Of the same memory, byte for byte: what tells them apart is a number that each has of its own. */
static void halves_of_two_snapshots_are_none(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	int one = temporary(), other = temporary();
	char page[4096];

	memset(t_guest(g, 1), 'h', PAGE);
	assert_int_equal(save(g, one), 0);
	assert_int_equal(save(g, other), 0);
	assert_int_equal(pread(other, page, sizeof(page), 0), sizeof(page));
	assert_int_equal(pwrite(one, page, sizeof(page), 0), sizeof(page));
	assert_int_equal(restore(g, one), -EBADMSG);
	must_refuse("SNAPSHOT_DAMAGED");
	close(one);
	close(other);
	gmem_put(g);
}

/* Two pages without contents that are turned round: all totals are as they were. gmem-snapshot(5) has the places. */
static void pages_that_are_turned_round_are_noticed(void **state)
{
	struct gmem *g = t_create(2, BOTH);
	uint32_t first, second;
	off_t at = 4096 + 32 + 32; /* in the index: its head, and four fields of the run */
	int fd = temporary();

	t_private(g, 1, 1);
	assert_int_equal(save(g, fd), 0);
	assert_int_equal(pread(fd, &first, 4, at), 4);
	assert_int_equal(pread(fd, &second, 4, at + 40), 4);
	assert_int_equal(first, 0);
	assert_int_equal(second, PRIVATE);
	assert_int_equal(pwrite(fd, &second, 4, at), 4);
	assert_int_equal(pwrite(fd, &first, 4, at + 40), 4);
	assert_int_equal(gmem_snapshot_check(fd, 0, NULL), -EBADMSG);
	assert_int_equal(restore(g, fd), -EBADMSG);
	assert_int_equal(t_state(g, 1), PRIVATE);
	close(fd);
	gmem_put(g);
}

/* From here on, for this thread, no disk takes anything for good. */
static int let_disks_fail(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(rules) / sizeof(rules[0]), rules };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

struct saving {
	struct gmem *g;
	int fd, err, filtered;
};

static void *save_to_a_failing_disk(void *arg)
{
	struct saving *s = arg;

	s->filtered = let_disks_fail();
	s->err = save(s->g, s->fd);
	return NULL;
}

/* Nothing that says that it is whole was written before the rest was on the disk. */
static void what_is_not_on_the_disk_is_not_whole(void **state)
{
	struct saving s = { .g = t_create(4, BOTH), .fd = temporary() };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, save_to_a_failing_disk, &s), 0);
	pthread_join(thread, NULL);
	assert_int_equal(s.filtered, 0);
	assert_int_equal(s.err, -EIO);
	assert_int_equal(gmem_snapshot_check(s.fd, 0, NULL), -ENODATA);
	close(s.fd);
	gmem_put(s.g);
}

static void a_pinned_page_stops_it_before_it_begins(void **state)
{
	struct gmem *g = t_create(4, BOTH);
	struct gmem_pinned *pin;
	int fd = temporary();

	assert_int_equal(save(g, fd), 0);
	memset(t_guest(g, 0), 'p', PAGE);
	assert_int_equal(gmem_pin(g, 2 * PAGE, PAGE, &pin), 0);
	assert_int_equal(restore(g, fd), -EAGAIN);
	assert_int_equal(t_guest(g, 0)[0], 'p');
	assert_int_equal(t_state(g, 0), 0);
	gmem_unpin(pin);
	assert_int_equal(restore(g, fd), 0);
	assert_int_equal(t_guest(g, 0)[0], 0);
	close(fd);
	gmem_put(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back),
		cmocka_unit_test(huge_pages_come_back),
		cmocka_unit_test(private_pages_stay_hidden),
		cmocka_unit_test(is_of_one_moment),
		cmocka_unit_test(it_can_be_interrupted),
		cmocka_unit_test(consumers_are_told),
		cmocka_unit_test(what_has_failed_is_named_or_lost),
		cmocka_unit_test(what_has_failed_is_never_shown),
		cmocka_unit_test(arguments_are_checked),
		cmocka_unit_test(disks_that_are_full_are_said),
		cmocka_unit_test(cut_files_are_refused),
		cmocka_unit_test(pages_that_were_never_written_are_found),
		cmocka_unit_test(damaged_files_are_refused),
		cmocka_unit_test(halves_of_two_snapshots_are_none),
		cmocka_unit_test(pages_that_are_turned_round_are_noticed),
		cmocka_unit_test(a_pinned_page_stops_it_before_it_begins),
		/* The last: under gmem run a filter is one for what comes. */
		cmocka_unit_test(what_is_not_on_the_disk_is_not_whole),
	};

	return pool_run_or_without(4, tests);
}
