/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * bystander: a process that does nothing but be in our process group. When a program and its watcher are in one group,
 * nothing in a signal says whether it was sent to the group, so that the program has it already, or to the watcher
 * alone, who is to pass it on. What the bystander has got as well was sent to all.
 *
 * One thread. What is asked about must be blocked before it begins, and stay so.
 */
#ifndef GMEM_CMD_BYSTANDER_H
#define GMEM_CMD_BYSTANDER_H

#include <stdbool.h>

struct bystander {
	int pid; /* 0: there is none, and nothing was heard */
	int fd;
};

void bystander_begin(struct bystander *b);
/* Has it got that signal since it was last asked about it? To be asked of each that we get. */
bool bystander_heard(struct bystander *b, int signo);
void bystander_end(struct bystander *b);

#endif
