/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What a hidden page is to its program: no access and no system call moves a byte of it, and nothing is lost. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "guard_t.h"

#define NR 16

/* ---- system calls that move data ------------------------------------------------------------- */

struct fds {
	int file;    /* a page of data, read and written at 0 */
	int direct;  /* the same with O_DIRECT, -1: there is no such file here */
	int pipe[2]; /* as much again */
	int sock[2];
};

static long do_read(struct fds *f, void *p)
{
	return pread(f->file, p, 8, 0);
}

static long do_read_pipe(struct fds *f, void *p)
{
	T_EQ(write(f->pipe[1], "12345678", 8), 8);
	return read(f->pipe[0], p, 8);
}

static long do_write(struct fds *f, void *p)
{
	return write(f->pipe[1], p, 8);
}

static long do_pwrite(struct fds *f, void *p)
{
	return pwrite(f->file, p, 8, 0);
}

static long do_readv(struct fds *f, void *p)
{
	struct iovec v = { p, 8 };

	return preadv(f->file, &v, 1, 0);
}

static long do_writev(struct fds *f, void *p)
{
	struct iovec v = { p, 8 };

	return writev(f->pipe[1], &v, 1);
}

static long do_vmsplice(struct fds *f, void *p)
{
	struct iovec v = { p, 8 };

	return vmsplice(f->pipe[1], &v, 1, SPLICE_F_NONBLOCK);
}

static long do_vm_readv(struct fds *f, void *p)
{
	char here[8];
	struct iovec l = { here, 8 }, r = { p, 8 };

	return process_vm_readv(getpid(), &l, 1, &r, 1, 0);
}

static long do_vm_readv_into(struct fds *f, void *p)
{
	char there[8] = "thither";
	struct iovec l = { p, 8 }, r = { there, 8 };

	return process_vm_readv(getpid(), &l, 1, &r, 1, 0);
}

static long do_vm_writev(struct fds *f, void *p)
{
	char here[8] = "hither";
	struct iovec l = { here, 8 }, r = { p, 8 };

	return process_vm_writev(getpid(), &l, 1, &r, 1, 0);
}

static long do_futex(struct fds *f, void *p)
{
	long ret = syscall(SYS_futex, p, FUTEX_WAKE, 1, NULL, NULL, 0);

	return ret < 0 ? ret : 8;
}

static long do_getrandom(struct fds *f, void *p)
{
	return getrandom(p, 8, 0);
}

static long do_direct(struct fds *f, void *p)
{
	return f->direct < 0 ? -2 : pread(f->direct, p, PAGE, 0);
}

static long do_direct_write(struct fds *f, void *p)
{
	return f->direct < 0 ? -2 : pwrite(f->direct, p, PAGE, 0);
}

static long do_sendmsg(struct fds *f, void *p)
{
	struct iovec v = { p, 8 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	return sendmsg(f->sock[0], &m, MSG_DONTWAIT);
}

static long do_recvmsg(struct fds *f, void *p)
{
	struct iovec v = { p, 8 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	T_EQ(send(f->sock[0], "12345678", 8, 0), 8);
	return recvmsg(f->sock[1], &m, MSG_DONTWAIT);
}

static long do_open(struct fds *f, void *p)
{
	int fd = open(p, O_RDONLY);

	/* Any bytes are some path. */
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EFAULT ? -1 : 8;
}

static const struct {
	const char *name;
	long (*call)(struct fds *f, void *p);
} calls[] = {
	{ "pread", do_read },
	{ "read of a pipe", do_read_pipe },
	{ "write", do_write },
	{ "pwrite", do_pwrite },
	{ "preadv", do_readv },
	{ "writev", do_writev },
	{ "vmsplice", do_vmsplice },
	{ "process_vm_readv", do_vm_readv },
	{ "process_vm_readv into", do_vm_readv_into },
	{ "process_vm_writev", do_vm_writev },
	{ "futex", do_futex },
	{ "getrandom", do_getrandom },
	{ "O_DIRECT read", do_direct },
	{ "O_DIRECT write", do_direct_write },
	{ "sendmsg", do_sendmsg },
	{ "recvmsg", do_recvmsg },
	{ "open", do_open },
};

static void make_fds(struct fds *f)
{
	char path[] = "/var/tmp/gmem-guard-XXXXXX", page[4096] = "a page";

	f->direct = -1;
	f->file = mkstemp(path);
	if (f->file >= 0) {
		T_EQ(write(f->file, page, sizeof(page)), sizeof(page));
		f->direct = open(path, O_RDWR | O_DIRECT);
		unlink(path);
	} else {
		T_EQ(os_memfd_create("file", 4096, &f->file), 0);
	}
	T_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, f->sock), 0);
}

/* A fresh pipe and socket for every call: one that fails may leave its data. */
static void call_one(struct t *t, struct fds *f, size_t i, uint8_t *p, bool hidden)
{
	long ret;

	T_EQ(pipe(f->pipe), 0);
	T_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, f->sock), 0);
	errno = 0;
	ret = calls[i].call(f, p);
	if (ret != -2 && (hidden ? ret != -1 || errno != EFAULT : ret <= 0)) {
		fprintf(stderr, "# %s of a %s page: %ld, errno %d\n", calls[i].name,
			hidden ? "hidden" : "shown", ret, errno);
		t_fail(__FILE__, __LINE__, calls[i].name, ret, errno);
	}
	close(f->pipe[0]);
	close(f->pipe[1]);
	close(f->sock[0]);
	close(f->sock[1]);
}

static void no_system_call_moves_a_hidden_byte(struct t *t, enum mode mode)
{
	struct fds f;
	uint8_t before[4096], *w;

	t_init(t, mode, NR);
	make_fds(&f);
	w = t_map(t, 0, NR);
	for (int touched = 0; touched < 2; touched++) {
		memcpy(before, t->store + 3 * PAGE, PAGE);
		if (touched)
			T_EQ(t_write(t, w + 3 * PAGE, before[0]).signo, 0);
		T_EQ(t_hide(t, 3, 1), 0);
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			call_one(t, &f, i, w + 3 * PAGE, true);
		T_EQ(memcmp(before, t->store + 3 * PAGE, PAGE), 0);
		T_EQ(t_show(t, 3, 1), 0);
		for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			call_one(t, &f, i, w + 3 * PAGE, false);
	}
}

static void a_call_across_the_edge_is_cut_short(struct t *t, enum mode mode)
{
	uint8_t *w;
	int file;

	t_init(t, mode, NR);
	w = t_map(t, 0, NR);
	T_EQ(t_hide(t, 5, 1), 0);
	T_EQ(os_memfd_create("file", 0, &file), 0);
	T_EQ(write(file, w + 5 * PAGE - 8, 16), 8);
	T_EQ(pwrite(file, "0123456789abcdef", 16, 0), 16);
	T_EQ(pread(file, w + 5 * PAGE - 8, 16, 0), 8);
	T_EQ(memcmp(t->store + 5 * PAGE - 8, "01234567", 8), 0);
}

/* ---- the processor --------------------------------------------------------------------------- */

static void the_address_of_a_fault_is_exact(struct t *t, enum mode mode)
{
	static const uint64_t at[] = { 0, 1, 7, 2048, 4095 };
	uint8_t value, *w;

	t_init(t, mode, NR);
	w = t_map(t, 0, NR);
	T_EQ(t_hide(t, 2, 3), 0);
	for (uint64_t page = 2; page < 5; page++) {
		for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
			struct t_fault f = t_read(t, w + page * PAGE + at[i], &value);

			T_EQ(f.signo, SIGBUS);
			T_EQ(f.code, BUS_ADRERR);
			T_EQ(f.addr, (uintptr_t)w + page * PAGE + at[i]);
			f = t_write(t, w + page * PAGE + at[i], 1);
			T_EQ(f.signo, SIGBUS);
			T_EQ(f.addr, (uintptr_t)w + page * PAGE + at[i]);
		}
	}
	t_check_window(t, w, 0, NR);
}

static void contents_stay_where_they_are(struct t *t, enum mode mode)
{
	uint8_t value, *w;

	t_init(t, mode, NR);
	w = t_map(t, 0, NR);
	for (int i = 0; i < 20; i++) {
		T_EQ(t_write(t, w + 4 * PAGE + 9, (uint8_t)i).signo, 0);
		T_EQ(t_hide(t, 4, 1), 0);
		T_EQ(t->store[4 * PAGE + 9], i);
		/* The guest's own write is what the host sees afterwards. */
		t->store[4 * PAGE + 10] = (uint8_t)(i + 1);
		T_EQ(t_show(t, 4, 1), 0);
		T_EQ(t_read(t, w + 4 * PAGE + 9, &value).signo, 0);
		T_EQ(value, i);
		T_EQ(t_read(t, w + 4 * PAGE + 10, &value).signo, 0);
		T_EQ(value, i + 1);
	}
}

static void every_window_follows(struct t *t, enum mode mode)
{
	uint8_t *a, *b, *c;

	t_init(t, mode, NR);
	a = t_map(t, 0, NR);
	b = t_map(t, 4, 8);
	T_EQ(t_hide(t, 3, 4), 0);
	c = t_map(t, 2, 6);
	t_check_window(t, a, 0, NR);
	t_check_window(t, b, 4, 8);
	t_check_window(t, c, 2, 6);
	T_EQ(t_hide(t, 0, NR), 0);
	T_EQ(t_show(t, 5, 1), 0);
	t_check_window(t, a, 0, NR);
	t_check_window(t, b, 4, 8);
	t_check_window(t, c, 2, 6);
	T_EQ(t_show(t, 0, NR), 0);
	t_check_window(t, a, 0, NR);
	t_check_window(t, c, 2, 6);
}

static void a_window_beyond_the_end_is_hidden_there(struct t *t, enum mode mode)
{
	uint8_t *w;

	t_init(t, mode, 4);
	w = t_map(t, 0, 8);
	t_check_window(t, w, 0, 8);
	T_EQ(t_hide(t, 0, 4), 0);
	t_check_window(t, w, 0, 8);
	T_EQ(t_show(t, 1, 3), 0);
	t_check_window(t, w, 0, 8);
}

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Ranges of all sizes over several chunks of 2 MiB; the map is looked at in samples. */
#define BLOCK ((uint64_t)512)

/* As a store does it when the guest touches the first page of a block. */
static bool collapse(struct t *t, uint64_t page)
{
	uint8_t *area = mmap(NULL, 2 * BLOCK * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *at = area + (-(uintptr_t)area & (BLOCK * PAGE - 1));
	bool done;

	T_OK(mmap(at, BLOCK * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, t->f.store_fd,
		  (off_t)(page * PAGE)) == at);
	*(volatile uint8_t *)at = *(volatile uint8_t *)at;
	done = madvise(at, BLOCK * PAGE, 25 /* MADV_COLLAPSE */) == 0;
	munmap(area, 2 * BLOCK * PAGE);
	return done;
}

/* A page table that has only marks in it would be in the way of a huge page. */
static void a_huge_page_in_the_store_shows_nothing(struct t *t, enum mode mode)
{
	uint8_t *w;
	bool done;

	t_init(t, mode, 3 * BLOCK);
	w = t_map(t, 0, 3 * BLOCK);
	T_EQ((uintptr_t)w & (BLOCK * PAGE - 1), 0);
	T_EQ(t_hide(t, 5, 20), 0);
	T_EQ(t_hide(t, BLOCK + 100, BLOCK - 50), 0);
	done = collapse(t, 0) && collapse(t, BLOCK) && collapse(t, 2 * BLOCK);
	t_check_window(t, w, 0, 3 * BLOCK);
	T_EQ(t_hide(t, 2 * BLOCK + 200, 3), 0);
	T_EQ(t_show(t, 10, 5), 0);
	t_check_window(t, w, 0, 3 * BLOCK);
	if (!done)
		t_skip("the system has no huge pages for files in memory");
}

static void random_conversions_are_what_the_state_says(struct t *t, enum mode mode)
{
	uint64_t x = 99, nr_pages = 1600;
	uint8_t *w, *v;
	bool changes = mode == OVERLAID && t_has_marks();
	uint64_t before;

	t_init(t, mode, nr_pages);
	w = t_map(t, 0, nr_pages);
	v = t_map(t, 100, 1200);
	before = t_nr_mappings();
	for (int i = 0; i < 600; i++) {
		uint64_t page = next(&x) % nr_pages, nr = 1 + next(&x) % (next(&x) % 8 ? 9 : 700);

		if (i == 200 && changes)
			guard_set_limits(&t->m->guard, 60, 80);
		if (i == 450 && changes)
			guard_set_limits(&t->m->guard, 10000, 10000);
		nr = nr < nr_pages - page ? nr : nr_pages - page;
		T_EQ(next(&x) & 1 ? t_hide(t, page, nr) : t_show(t, page, nr), 0);
		for (int s = 0; s < 12; s++) {
			uint64_t p = next(&x) % nr_pages;

			t_check_window(t, w + p * PAGE, p, 1);
			p = 100 + next(&x) % 1200;
			t_check_window(t, v + (p - 100) * PAGE, p, 1);
		}
		T_EQ(t_nr_mappings() - before, t->m->guard.nr_mappings - 2);
	}
	t_check_window(t, w, 0, nr_pages);
	t_check_window(t, v, 100, 1200);
	T_EQ(t_show(t, 0, nr_pages), 0);
	T_EQ(t_nr_mappings(), before);
	T_EQ(t->m->guard.nr_mappings, 2);
}

const struct t_case t_semantics[] = {
	{ "no system call moves a hidden byte", no_system_call_moves_a_hidden_byte },
	{ "a call across the edge is cut short", a_call_across_the_edge_is_cut_short },
	{ "the address of a fault is exact", the_address_of_a_fault_is_exact },
	{ "contents stay where they are", contents_stay_where_they_are },
	{ "every window follows, made before and after", every_window_follows },
	{ "a window beyond the end is hidden there", a_window_beyond_the_end_is_hidden_there },
	{ "a huge page in the store shows nothing", a_huge_page_in_the_store_shows_nothing },
	{ "random conversions are what the state says",
	  random_conversions_are_what_the_state_says },
	{ 0 },
};
