/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "os/fail.h"

#include <errno.h>
#include <string.h>

#include "os/os.h"

#define MAX_VARIANTS 3
#define NO_POINT UINT32_MAX

_Atomic uint32_t os_fail_points;

static const struct {
	const char *name;
	int errors[MAX_VARIANTS]; /* the first counts for variants that are not there */
} points[OS_FAIL_NR] = {
	[OS_FAIL_ALLOC] = { "alloc", { -ENOMEM } },
	[OS_FAIL_MEMFD] = { "memfd", { -EMFILE, -ENOMEM } },
	[OS_FAIL_FD] = { "fd", { -EMFILE, -ENFILE } },
	[OS_FAIL_RESIZE] = { "resize", { -ENOMEM } },
	[OS_FAIL_ALLOCATE] = { "allocate", { -ENOSPC, -ENOMEM, -EINTR } },
	[OS_FAIL_MAP] = { "map", { -ENOMEM } },
	[OS_FAIL_UNMAP] = { "unmap", { -ENOMEM } },
	[OS_FAIL_MOVE] = { "move", { -ENOMEM } },
	[OS_FAIL_PROTECT] = { "protect", { -ENOMEM } },
	[OS_FAIL_LOCK] = { "lock", { -ENOMEM, -EAGAIN } },
	[OS_FAIL_ADVISE] = { "advise", { -ENOMEM, -EAGAIN } },
	[OS_FAIL_POPULATE] = { "populate", { -EFAULT } },
	[OS_FAIL_COLLAPSE] = { "collapse", { -EAGAIN, -ENOMEM, -EINVAL } },
	[OS_FAIL_MARKS] = { "marks", { -EMFILE, -EPERM, -ENOMEM } },
	[OS_FAIL_WATCH] = { "watch", { -ENOMEM } },
	[OS_FAIL_MARK] = { "mark", { -EAGAIN, -ENOMEM } },
	[OS_FAIL_THREAD] = { "thread", { -EAGAIN } },
	[OS_FAIL_WAIT] = { "wait", { -EINTR } },
	[OS_FAIL_PEER_LOCK] = { "peer-lock", { -ENOLCK } },
	[OS_FAIL_SPARE] = { "spare", { -EMFILE } },
	[OS_FAIL_SIGNAL] = { "signal", { -EINTR } },
	[OS_FAIL_DISK] = { "disk", { -EIO } },
};

/* Written while os_fail_points is 0. */
static struct os_fail_plan armed;
static _Atomic uint64_t nr_calls, nr_failed;
static _Atomic uint32_t first_point;
static _Atomic bool relieved; /* what failed is there again */

static int error_of(enum os_fail_point point)
{
	unsigned int variant = armed.variant < MAX_VARIANTS ? armed.variant : 0;
	int err = points[point].errors[variant];

	return err ? err : points[point].errors[0];
}

int os_fail_now(enum os_fail_point point)
{
	uint64_t call;
	int err;

	if (!(atomic_load_explicit(&os_fail_points, memory_order_acquire) >> point & 1))
		return 0;
	call = atomic_fetch_add(&nr_calls, 1);
	if (!armed.nr && armed.announce)
		os_log(OS_LOG_ERROR, "can fail: %s", points[point].name);
	if (call < armed.first || call - armed.first >= armed.nr || atomic_load(&relieved))
		return 0;
	err = error_of(point);
	if (atomic_fetch_add(&nr_failed, 1) == 0) {
		atomic_store(&first_point, point);
		if (armed.announce)
			os_log(OS_LOG_ERROR, "made to fail: %s, call %llu, error %d",
			       points[point].name, (unsigned long long)call + 1, -err);
	}
	return err;
}

void os_fail_relieve(void)
{
	uint32_t point = atomic_load(&first_point);

	if (point < OS_FAIL_NR && OS_FAIL_MAPPINGS >> point & 1)
		atomic_store(&relieved, true);
}

void os_fail_arm(const struct os_fail_plan *plan)
{
	os_fail_disarm(NULL);
	armed = *plan;
	atomic_store(&nr_calls, 0);
	atomic_store(&nr_failed, 0);
	atomic_store(&first_point, NO_POINT);
	atomic_store(&relieved, false);
	atomic_store_explicit(&os_fail_points, plan->points, memory_order_release);
}

void os_fail_look(struct os_fail_seen *seen)
{
	seen->nr_calls = atomic_load(&nr_calls);
	seen->nr_failed = atomic_load(&nr_failed);
	seen->point = atomic_load(&first_point);
	seen->err = seen->point < OS_FAIL_NR ? error_of(seen->point) : 0;
}

void os_fail_disarm(struct os_fail_seen *seen)
{
	atomic_store(&os_fail_points, 0);
	if (seen)
		os_fail_look(seen);
}

const char *os_fail_name(enum os_fail_point point)
{
	return point < OS_FAIL_NR ? points[point].name : "nothing";
}

unsigned int os_fail_variants(enum os_fail_point point)
{
	unsigned int nr = 0;

	while (nr < MAX_VARIANTS && points[point].errors[nr])
		nr++;
	return nr;
}

/* ---- words ----------------------------------------------------------------------------------- */

/* A decimal number, at least one digit; *text goes behind it. */
static bool number(const char **text, const char *end, uint64_t *value)
{
	const char *from = *text;

	for (*value = 0; *text < end && **text >= '0' && **text <= '9'; ++*text)
		*value = *value * 10 + (uint64_t)(**text - '0');
	return *text > from;
}

/* "" stands for all that need no name. 0: no such kind. */
static uint32_t points_of(const char *word, size_t len)
{
	if (!len)
		return OS_FAIL_UNNAMED;
	for (unsigned int i = 0; *word == '-' && i < OS_FAIL_NR; i++)
		if (strlen(points[i].name) == len - 1 &&
		    !strncmp(points[i].name, word + 1, len - 1))
			return 1u << i;
	return 0;
}

/* Which calls: "3", "3+", or "?". */
static int which(const char *at, const char *end, struct os_fail_plan *plan)
{
	uint64_t value;

	plan->announce = true;
	plan->first = plan->nr = 0;
	if (at < end && *at == '?')
		return at + 1 == end ? 0 : -EINVAL;
	if (!number(&at, end, &value) || !value)
		return -EINVAL;
	plan->first = value - 1;
	plan->nr = at < end && *at == '+' ? UINT64_MAX : 1;
	return at + (plan->nr > 1) == end ? 0 : -EINVAL;
}

int os_fail_word(const char *word, size_t len)
{
	const char *end = word + len, *at = word + 4, *kind = at;
	struct os_fail_plan plan = armed;
	uint64_t value;

	if (len < 6 || strncmp(word, "fail", 4))
		return -EINVAL;
	if (*at == '.') {
		at++;
		if (!number(&at, end, &value) || at != end)
			return -EINVAL;
		armed.variant = (unsigned int)value;
		return 0;
	}
	while (at < end && *at != '=')
		at++;
	plan.points = points_of(kind, (size_t)(at - kind));
	if (!plan.points || at++ == end || which(at, end, &plan))
		return -EINVAL;
	os_fail_arm(&plan);
	return 0;
}
