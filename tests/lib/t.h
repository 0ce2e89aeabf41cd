/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the tests of the library share: a file to begin with, and whether an access faults. */
#ifndef GMEM_TESTS_LIB_T_H
#define GMEM_TESTS_LIB_T_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include <gmem.h>

#define PAGE ((uint64_t)4096)
#define PRIVATE GMEM_ATTRIBUTE_PRIVATE
#define BOTH (GMEM_MMAP | GMEM_INIT_SHARED)

/* The last call that failed did so by this rule. */
static inline void must_refuse(const char *rule)
{
	struct gmem_refusal why = { .args_size = sizeof(why) };

	assert_int_equal(gmem_last_refusal(&why), 0);
	assert_string_equal(why.rule, rule);
}

static inline struct gmem *t_create(uint64_t nr_pages, uint32_t flags)
{
	struct gmem_create_args args = { .args_size = sizeof(args),
					 .flags = flags,
					 .size = nr_pages * PAGE };
	struct gmem *g = NULL;

	assert_int_equal(gmem_create(&args, &g), 0);
	return g;
}

static inline char *t_map(struct gmem *g, uint64_t first, uint64_t nr)
{
	struct gmem_map_args args = { .args_size = sizeof(args),
				      .prot = PROT_READ | PROT_WRITE,
				      .size = nr * PAGE,
				      .offset = first * PAGE };
	void *at = NULL;

	assert_int_equal(gmem_map(g, &args, &at), 0);
	return at;
}

static inline void t_private(struct gmem *g, uint64_t first, uint64_t nr)
{
	assert_int_equal(gmem_make_private(g, first * PAGE, nr * PAGE, NULL), 0);
}

static inline void t_shared(struct gmem *g, uint64_t first, uint64_t nr)
{
	assert_int_equal(gmem_make_shared(g, first * PAGE, nr * PAGE, NULL), 0);
}

static inline uint32_t t_state(struct gmem *g, uint64_t page)
{
	uint32_t attributes = ~0u;

	assert_int_equal(gmem_attributes(g, page * PAGE, &attributes), 0);
	return attributes;
}

static sigjmp_buf t_out;
static volatile int t_signal;
static void *volatile t_fault_address;

static inline void t_on_fault(int signo, siginfo_t *info, void *context)
{
	(void)context;
	t_signal = signo;
	t_fault_address = info->si_addr;
	siglongjmp(t_out, 1);
}

/* The signal that an access gives; 0: none. */
static inline int t_touch(volatile char *at, int write)
{
	struct sigaction sa, bus, segv;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = t_on_fault;
	sa.sa_flags = SA_SIGINFO;
	sigaction(SIGBUS, &sa, &bus);
	sigaction(SIGSEGV, &sa, &segv);
	t_signal = 0;
	if (!sigsetjmp(t_out, 1)) {
		if (write)
			*at = 'w';
		else
			(void)*at;
	}
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGSEGV, &segv, NULL);
	return t_signal;
}

/* What a system call that reads from there says. */
static inline int t_syscall(const char *at)
{
	int fds[2], err = 0;

	assert_int_equal(pipe(fds), 0);
	if (write(fds[1], at, 8) != 8)
		err = -errno;
	close(fds[0]);
	close(fds[1]);
	return err;
}

static inline void t_hidden(char *at)
{
	assert_int_equal(t_touch(at, 0), SIGBUS);
	assert_ptr_equal(t_fault_address, at);
	assert_int_equal(t_touch(at, 1), SIGBUS);
	assert_int_equal(t_syscall(at), -EFAULT);
	assert_true(gmem_is_hidden(at));
}

static inline void t_open(char *at)
{
	assert_int_equal(t_touch(at, 0), 0);
	assert_int_equal(t_syscall(at), 0);
	assert_false(gmem_is_hidden(at));
}

/* A consumer's way to a page; the file's home only. */
static inline char *t_guest(struct gmem *g, uint64_t page)
{
	void *at = NULL;

	assert_int_equal(gmem_fault_begin(g), 0);
	assert_int_equal(gmem_page(g, page * PAGE, &at, NULL), 0);
	gmem_fault_end(g);
	return at;
}

#endif
