/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A program that counts the signals it gets.
 *
 *	signalled wait SECONDS	says "ready", and after a line of input, or that time, how often each came
 *	signalled group		sends itself and its whole group some, likewise
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const int counted[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM };
#define NR_COUNTED (sizeof(counted) / sizeof(counted[0]))

static volatile sig_atomic_t nr[64];

static void count(int signo)
{
	nr[signo] = nr[signo] + 1;
}

static void wait_for(int seconds)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	time_t end = time(NULL) + seconds;

	while (time(NULL) <= end)
		if (poll(&p, 1, 100) == 1)
			return;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = count };

	for (size_t i = 0; i < NR_COUNTED; i++)
		sigaction(counted[i], &action, NULL);
	puts("ready");
	fflush(stdout);
	if (argc > 1 && !strcmp(argv[1], "group"))
		for (size_t i = 0; i < NR_COUNTED; i++)
			kill(0, counted[i]);
	wait_for(argc > 2 ? atoi(argv[2]) : 1);
	for (size_t i = 0; i < NR_COUNTED; i++)
		printf("%d ", (int)nr[counted[i]]);
	puts("");
	return 0;
}
