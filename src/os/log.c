/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Messages: one line, one write. And the end, when an assertion fails. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "os/format.h"
#include "os/internal.h"
#include "os/os.h"
#include "os/sys.h"

#define LINE_SIZE 1024

/* A tracer looks for its count in the file, not in what is only zero. Nothing that is written shares its cache line. */
_Alignas(64) _Atomic uint32_t os_wanted __attribute__((section(".probes"), used));

static _Atomic int log_level = OS_LOG_WARN;
static _Atomic bool log_why;
static _Atomic int log_fd = 2;

void os_log_set_level(enum os_log_level level)
{
	os_racy_store(&log_level, (int)level);
	if (level == OS_LOG_DEBUG)
		atomic_fetch_or(&os_wanted, OS_WANTED_BY_LOG);
	else
		atomic_fetch_and(&os_wanted, ~OS_WANTED_BY_LOG);
}

bool os_log_enabled(enum os_log_level level)
{
	return (int)level <= os_racy_load(&log_level);
}

void os_log_set_why(bool why)
{
	os_racy_store(&log_why, why);
}

void os_log_set(const char *wanted)
{
	static const char *const levels[] = { "error", "warn", "info", "debug" };

	if (!wanted)
		return;
	if (strcmp(wanted, "why") == 0)
		os_log_set_why(true);
	for (unsigned int i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strcmp(wanted, levels[i]) == 0)
			os_log_set_level((enum os_log_level)i);
}

bool os_log_why(void)
{
	return os_racy_load(&log_why) || os_log_enabled(OS_LOG_DEBUG);
}

void os_log_set_fd(int fd)
{
	os_racy_store(&log_fd, fd);
}

static void emit(char *line, size_t len)
{
	/* The place for it was kept. */
	line[len] = '\n';
	os_sys3(SYS_write, os_racy_load(&log_fd), line, len + 1);
}

static size_t start(char *line)
{
	return os_format(line, LINE_SIZE, "gmem: ");
}

void os_log(enum os_log_level level, const char *fmt, ...)
{
	char line[LINE_SIZE + 1];
	va_list args;
	size_t len;

	if (!os_log_enabled(level))
		return;
	len = start(line);
	va_start(args, fmt);
	len += os_vformat(line + len, LINE_SIZE - len, fmt, args);
	va_end(args);
	emit(line, len);
}

/* Of the errnos that KVM and guest_memfd refuse with; NULL for others. */
static const char *errno_name(int err)
{
#define NAME(e) [e] = #e
	static const char *const names[] = {
		NAME(EPERM),  NAME(ENOENT),	NAME(EINTR),	 NAME(EIO),    NAME(ENXIO),
		NAME(E2BIG),  NAME(EBADF),	NAME(EAGAIN),	 NAME(ENOMEM), NAME(EACCES),
		NAME(EFAULT), NAME(EBUSY),	NAME(EEXIST),	 NAME(ENODEV), NAME(EINVAL),
		NAME(ENFILE), NAME(EMFILE),	NAME(ENOTTY),	 NAME(EFBIG),  NAME(ENOSPC),
		NAME(ESPIPE), NAME(EOPNOTSUPP), NAME(EHWPOISON), NAME(ERANGE), NAME(EREMOTE),
		NAME(EXDEV),  NAME(EOVERFLOW),
	};
#undef NAME

	return (size_t)err < sizeof(names) / sizeof(names[0]) ? names[err] : NULL;
}

/* ---- a refusal, again and again ------------------------------------------------------------- */

/* Which line was the last, by its sum, and how often it came again since it was said: in one word, so that any thread
 * and signal handler may change it, and each time is told once. */
#define AGAIN_BITS 24
#define AGAIN_MAX (((uint64_t)1 << AGAIN_BITS) - 1)
static _Atomic uint64_t last_refusal;

static uint64_t sum_of(const char *line, size_t len)
{
	uint64_t sum = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ (unsigned char)line[i]) * 0x100000001b3ull;
	return sum & ~AGAIN_MAX;
}

static void say_again(uint64_t nr)
{
	char line[LINE_SIZE + 1];
	size_t len = start(line);

	len += os_format(line + len, LINE_SIZE - len, "... again, %llu time%s",
			 (unsigned long long)nr, nr == 1 ? "" : "s");
	emit(line, len);
}

static bool is_new(const char *line, size_t len)
{
	uint64_t sum = sum_of(line, len), old = atomic_load(&last_refusal), next;
	bool same;

	do {
		same = (old & ~AGAIN_MAX) == sum && (old & AGAIN_MAX) != AGAIN_MAX;
		next = same ? old + 1 : sum;
	} while (!atomic_compare_exchange_weak(&last_refusal, &old, next));
	if (!same && (old & AGAIN_MAX))
		say_again(old & AGAIN_MAX);
	return !same;
}

void os_log_end(void)
{
	uint64_t old = atomic_exchange(&last_refusal, 0);

	if (old & AGAIN_MAX)
		say_again(old & AGAIN_MAX);
}

void os_log_after_fork(void)
{
	atomic_store(&last_refusal, 0);
}

/* Of a program that has no shim. */
__attribute__((destructor)) static void at_exit(void)
{
	os_log_end();
}

void os_log_refusal(int err, const char *request, const char *rule, const char *id)
{
	char line[LINE_SIZE + 1];
	size_t len = start(line);
	const char *name = errno_name(-err);

	if (name)
		len += os_format(line + len, LINE_SIZE - len, "%s: ", name);
	else
		len += os_format(line + len, LINE_SIZE - len, "errno %d: ", -err);
	if (request)
		len += os_format(line + len, LINE_SIZE - len, "%s: ", request);
	len += os_format(line + len, LINE_SIZE - len, "%s [%s]", rule, id);
	if (os_log_enabled(OS_LOG_DEBUG) || is_new(line, len))
		emit(line, len);
}

_Noreturn void os_panic(const char *file, int line, const char *what)
{
	struct os_kernel_sigaction dfl = { 0 };
	uint64_t abort_bit = (uint64_t)1 << (SIGABRT - 1);
	char text[LINE_SIZE + 1];
	size_t len = start(text);

	len += os_format(text + len, LINE_SIZE - len, "%s:%d: does not hold: %s", file, line, what);
	emit(text, len);
	os_sys4(SYS_rt_sigaction, SIGABRT, &dfl, NULL, sizeof(dfl.mask));
	os_sys4(SYS_rt_sigprocmask, SIG_UNBLOCK, &abort_bit, NULL, sizeof(abort_bit));
	os_sys3(SYS_tgkill, os_sys0(SYS_getpid), os_sys0(SYS_gettid), SIGABRT);
	for (;;)
		os_sys1(SYS_exit_group, 134);
}
