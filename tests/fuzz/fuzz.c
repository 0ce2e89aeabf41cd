/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "fuzz.h"

#include <dirent.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>

static uint64_t seed, slice_nr;

uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *r, uint64_t limit)
{
	return rng_next(r) % limit;
}

bool rng_one_in(struct rng *r, unsigned int n)
{
	return rng_below(r, n) == 0;
}

void rng_fill(struct rng *r, void *buf, size_t len)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)rng_next(r);
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "FAILED: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\nrepeat with GMEM_FUZZ_SEED=%llu GMEM_FUZZ_SLICE=%llu\n",
		(unsigned long long)seed, (unsigned long long)slice_nr);
	va_end(ap);
	_exit(1);
}

void skip(const char *why)
{
	printf("skipped: %s\n", why);
	exit(77);
}

/* One of each is made when it is first needed, and stays. */
static bool is_of_the_process(int dir, const char *name, bool seen[2])
{
	static const char *const links[] = { "anon_inode:[userfaultfd]",
					     "/memfd:gmem-empty (deleted)" };
	char link[64] = "";

	if (readlinkat(dir, name, link, sizeof(link) - 1) < 0)
		return false;
	for (int i = 0; i < 2; i++) {
		if (seen[i] || strcmp(link, links[i]) != 0)
			continue;
		return seen[i] = true;
	}
	return false;
}

unsigned int nr_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	bool seen[2] = { false, false };
	struct dirent *e;
	unsigned int n = 0;

	if (!d)
		return 0;
	while ((e = readdir(d)))
		n += !is_of_the_process(dirfd(d), e->d_name, seen);
	closedir(d);
	return n;
}

void list_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	char target[100];
	struct dirent *e;
	ssize_t n;

	while (d && (e = readdir(d))) {
		n = readlinkat(dirfd(d), e->d_name, target, sizeof(target));
		fprintf(stderr, "    %s -> %.*s\n", e->d_name, n > 0 ? (int)n : 0, target);
	}
	if (d)
		closedir(d);
}

long rss_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long size = 0, resident = 0;

	if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (long)(PG / 1024);
}

static uint64_t from_env(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* Each slice's own seed: neighbours must have nothing in common. */
static uint64_t slice_seed(void)
{
	struct rng r = { seed ^ (slice_nr * 0x2545f4914f6cdd1d) };

	return rng_next(&r);
}

static void wait_for(const char *name, pid_t pid, uint64_t deadline)
{
	int status = 0;
	pid_t got;

	while ((got = waitpid(pid, &status, WNOHANG)) == 0 && now_ms() < deadline)
		usleep(2000);
	if (got == 0) {
		kill(pid, SIGABRT);
		usleep(200000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		fail("%s: slice %llu hangs", name, (unsigned long long)slice_nr);
	}
	if (got < 0)
		fail("%s: waitpid: %s", name, strerror(errno));
	if (WIFSIGNALED(status))
		fail("%s: slice %llu died of signal %d", name, (unsigned long long)slice_nr,
		     WTERMSIG(status));
	if (WEXITSTATUS(status) == 77)
		exit(77);
	if (WEXITSTATUS(status))
		fail("%s: slice %llu ended with status %d", name, (unsigned long long)slice_nr,
		     WEXITSTATUS(status));
}

int fuzz_main(const char *name, unsigned int slice_ms, unsigned int grace_ms,
	      void (*slice)(uint64_t seed, uint64_t until_ms))
{
	uint64_t start = now_ms(),
		 end = start + from_env("GMEM_SOAK", from_env("GMEM_FUZZ_SECONDS", 15)) * 1000;
	pid_t pid;

	seed = from_env("GMEM_FUZZ_SEED", (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid());
	printf("%s: seed %llu\n", name, (unsigned long long)seed);
	fflush(stdout);
	if (getenv("GMEM_FUZZ_SLICE")) {
		slice_nr = from_env("GMEM_FUZZ_SLICE", 0);
		slice(slice_seed(), now_ms() + slice_ms);
		return 0;
	}
	for (slice_nr = 0; now_ms() < end; slice_nr++) {
		pid = fork();
		if (pid < 0)
			fail("%s: fork: %s", name, strerror(errno));
		if (pid == 0) {
			slice(slice_seed(), now_ms() + slice_ms);
			exit(0);
		}
		wait_for(name, pid, now_ms() + slice_ms + grace_ms);
	}
	printf("%s: %llu slices in %llu s, nothing broke\n", name, (unsigned long long)slice_nr,
	       (unsigned long long)(now_ms() - start) / 1000);
	return 0;
}
