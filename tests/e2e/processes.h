/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Helper processes that have a guest_memfd in hand, each in its own way. A helper is this program with
 * "serve SOCKET", or a forked child; it does what it is told, one order a message.
 */
#ifndef GMEM_TESTS_E2E_PROCESSES_H
#define GMEM_TESTS_E2E_PROCESSES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <gmem/uapi.h>

#define PAGE 4096ul
#define PAGES 64ul
#define SIZE (PAGES * PAGE)
#define BUS (-1000)

/* The descriptor and its mapping, of this process. */
extern int fd;
extern volatile uint8_t *map;

enum op {
	PEEK,
	POKE,
	PEEK_BY_SYSCALL,
	CONVERT,
	PUNCH_PAGE,
	ALLOCATE,
	SIZE_OF,
	MAP,
	TAKE,	   /* the descriptor that comes with the order */
	TAKE_FROM, /* descriptor b of process a */
	OPEN_OF,
	FORK,
	PASS_ON, /* the descriptor, to the socket that comes with the order */
};
struct order {
	enum op op;
	long a, b, c;
};
struct helper {
	pid_t pid;
	int sock;
};

enum kind { FORKED, EXECUTED, OUTSIDE };

long peek(long page);
long poke(long page, long value);
long convert(long page, long nr, bool to_private);
long map_it(int prot, int flags);
long fork_to(int sock);
void serve(int sock);
long answer(const struct helper *h);
long tell_with(const struct helper *h, int other, enum op op, long a, long b, long c);
long tell(const struct helper *h, enum op op, long a, long b, long c);
struct helper start(enum kind kind, bool keep);
struct helper child_of(const struct helper *parent, enum op op);
void end(struct helper *h);
struct helper start_with_descriptor(void);
struct helper start_mapped(void);

#endif
