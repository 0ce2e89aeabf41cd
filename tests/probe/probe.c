/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Runs the cases, one child each, and prints the answers.
 *
 *	probe            everything
 *	probe -l         the names of the areas
 *	probe AREA...    these areas
 */
#include "probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/wait.h>

#define DEADLINE 12 /* seconds for one question; a booted oracle is slow at times */

static const struct probe_list *const all[] = {
	&cases_sys,  &cases_caps,  &cases_slot,	     &cases_gmem, &cases_gmem_map,
	&cases_attr, &cases_fault, &cases_live,	     &cases_run,  &cases_hypercall,
	&cases_log,  &cases_vcpu,  &cases_vcpu_more, &cases_life, &cases_irq,
};

static const struct {
	int nr;
	const char *name;
} errnos[] = {
	{ EPERM, "EPERM" },	    { ENOENT, "ENOENT" },
	{ EINTR, "EINTR" },	    { EIO, "EIO" },
	{ ENXIO, "ENXIO" },	    { E2BIG, "E2BIG" },
	{ EBADF, "EBADF" },	    { EAGAIN, "EAGAIN" },
	{ ENOMEM, "ENOMEM" },	    { EACCES, "EACCES" },
	{ EFAULT, "EFAULT" },	    { EBUSY, "EBUSY" },
	{ EEXIST, "EEXIST" },	    { EXDEV, "EXDEV" },
	{ ENODEV, "ENODEV" },	    { EINVAL, "EINVAL" },
	{ EMFILE, "EMFILE" },	    { ENOTTY, "ENOTTY" },
	{ ETXTBSY, "ETXTBSY" },	    { EFBIG, "EFBIG" },
	{ ENOSPC, "ENOSPC" },	    { ESPIPE, "ESPIPE" },
	{ EROFS, "EROFS" },	    { ERANGE, "ERANGE" },
	{ ENOSYS, "ENOSYS" },	    { ENODATA, "ENODATA" },
	{ EOVERFLOW, "EOVERFLOW" }, { EOPNOTSUPP, "EOPNOTSUPP" },
	{ ENOTSOCK, "ENOTSOCK" },   { EHWPOISON, "EHWPOISON" },
	{ EISDIR, "EISDIR" },	    { ENOTDIR, "ENOTDIR" },
	{ ELOOP, "ELOOP" },	    { ESRCH, "ESRCH" },
	{ EBADFD, "EBADFD" },	    { EPIPE, "EPIPE" },
};

static const char *area;
static volatile sig_atomic_t deadline_hit;

/* ---- answers ---- */

static const char *errno_name(int nr)
{
	static char other[24];

	for (size_t i = 0; i < COUNT(errnos); i++)
		if (errnos[i].nr == nr)
			return errnos[i].name;
	snprintf(other, sizeof(other), "errno %d", nr);
	return other;
}

const char *err_str(long ret)
{
	return ret < 0 ? errno_name(errno) : "ok";
}

const char *qf(const char *fmt, ...)
{
	static char bufs[4][200];
	static unsigned int next;
	char *buf = bufs[next++ % COUNT(bufs)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(bufs[0]), fmt, ap);
	va_end(ap);
	return buf;
}

void say(const char *question, const char *fmt, ...)
{
	char line[700];
	int n = snprintf(line, 300, "%s | %s | ", area, question);
	va_list ap;

	va_start(ap, fmt);
	n += vsnprintf(line + n, 380, fmt, ap);
	va_end(ap);
	if (deadline_hit)
		n += snprintf(line + n, 16, " (too long)");
	line[n++] = '\n';
	if (write(STDOUT_FILENO, line, n) != n)
		_exit(3);
	deadline_hit = 0;
	alarm(DEADLINE);
}

void say_ret(const char *question, long ret)
{
	if (ret < 0)
		say(question, "%s", err_str(ret));
	else
		say(question, "%ld", ret);
}

void say_ok(const char *question, long ret)
{
	say(question, "%s", err_str(ret));
}

void say_fd(const char *question, int fd)
{
	say(question, "%s", err_str(fd));
	if (fd >= 0)
		close(fd);
}

bool ask_deadline_hit(void)
{
	bool hit = deadline_hit;

	deadline_hit = 0;
	return hit;
}

void cannot_ask(void)
{
	_exit(0);
}

/* ---- faults ---- */

static sigjmp_buf fault_jump;
static volatile sig_atomic_t fault_armed;
static siginfo_t fault_info;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (!fault_armed) {
		signal(sig, SIG_DFL);
		return;
	}
	fault_info = *info;
	siglongjmp(fault_jump, sig);
}

static const char *fault_text(int sig, const volatile void *p)
{
	static char text[80];

	snprintf(text, sizeof(text), "%s code %d address %s", sig == SIGBUS ? "SIGBUS" : "SIGSEGV",
		 fault_info.si_code,
		 fault_info.si_addr == (const void *)(uintptr_t)p ? "there" : "elsewhere");
	return text;
}

static const char *touch(volatile uint8_t *p, int value, uint8_t *got)
{
	int sig = sigsetjmp(fault_jump, 1);

	if (sig) {
		fault_armed = 0;
		return fault_text(sig, p);
	}
	fault_armed = 1;
	if (value >= 0)
		*p = (uint8_t)value;
	else
		*got = *p;
	fault_armed = 0;
	return "ok";
}

const char *touch_read(const volatile void *p)
{
	uint8_t got;

	return touch((volatile uint8_t *)(uintptr_t)p, -1, &got);
}

const char *touch_write(volatile void *p, uint8_t value)
{
	return touch(p, value, NULL);
}

const char *peek(const volatile void *p)
{
	static char text[8];
	uint8_t got = 0;
	const char *res = touch((volatile uint8_t *)(uintptr_t)p, -1, &got);

	if (strcmp(res, "ok"))
		return res;
	snprintf(text, sizeof(text), "0x%02x", got);
	return text;
}

/* ---- running the cases ---- */

/* The first alarm interrupts whatever the question waits in, the second one ends the case. */
static void on_alarm(int sig)
{
	(void)sig;
	deadline_hit = 1;
	signal(SIGALRM, SIG_DFL);
	alarm(3);
}

static void child(const struct probe_case *c)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	struct sigaction al = { .sa_handler = on_alarm };

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGALRM, &al, NULL);
	area = c->area;
	alarm(DEADLINE);
	c->fn();
	_exit(0);
}

/* Returns whether the case ended by itself. */
static bool run_case(const struct probe_case *c)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		child(c);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	area = c->area;
	if (WIFSIGNALED(status))
		say(qf("%s: how the case ended", c->name), "signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		say(qf("%s: how the case ended", c->name), "status %d", WEXITSTATUS(status));
	alarm(0);
	return status == 0;
}

static bool wanted(const char *name, char **names, int nr)
{
	for (int i = 0; i < nr; i++)
		if (!strcmp(names[i], name))
			return true;
	return nr == 0;
}

static void list_areas(void)
{
	const char *last = "";

	for (size_t i = 0; i < COUNT(all); i++)
		for (size_t j = 0; j < all[i]->nr; j++) {
			if (strcmp(last, all[i]->cases[j].area))
				puts(all[i]->cases[j].area);
			last = all[i]->cases[j].area;
		}
}

int main(int argc, char **argv)
{
	int bad = 0;

	if (argc == 2 && !strcmp(argv[1], "-l")) {
		list_areas();
		return 0;
	}
	if (argc > 1 && argv[1][0] == '-') {
		fprintf(stderr, "usage: probe [-l | AREA...]\n");
		return 2;
	}
	for (size_t i = 0; i < COUNT(all); i++)
		for (size_t j = 0; j < all[i]->nr; j++)
			if (wanted(all[i]->cases[j].area, argv + 1, argc - 1))
				bad += !run_case(&all[i]->cases[j]);
	return bad ? 1 : 0;
}
