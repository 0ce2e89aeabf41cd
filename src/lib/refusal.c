/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Why a call failed: the rule that refused it, what a rule says, and what an errno means here. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/lib.h"
#include "obs/rules.h"

/* What only those who ask are told; the rest is where calls are refused. */
static const struct advice {
	const char *since, *advice;
} advices[OBS_NR_RULES] = {
	[RULE_NONE] = { "", "" },
#define RULE(id, err, text, since, requests, more) [RULE_##id] = { since, more },
#define RULE_AS(id, errs, text, since, requests, more) [RULE_##id] = { since, more },
#include "obs/rules.def"
#undef RULE
#undef RULE_AS
};

static int tell(enum obs_rule rule, int err, struct gmem_refusal *refusal)
{
	struct gmem_refusal r = { .error = err,
				  .rule = obs_rule_id(rule),
				  .reason = obs_rule_text(rule),
				  .since = advices[rule].since,
				  .advice = advices[rule].advice };

	return lib_args_out(refusal, &r, sizeof(r), LIB_MIN_OF(struct gmem_refusal, reason));
}

int gmem_last_refusal(struct gmem_refusal *refusal)
{
	/* Read before the arguments are checked, which may refuse. */
	struct obs_refusal last = obs_last_refusal();

	if (!refusal)
		return obs_refuse(RULE_LIB_NO_ANSWER_ROOM);
	return last.rule == RULE_NONE ? -ENOENT : tell(last.rule, last.err, refusal);
}

int gmem_explain(const char *rule, struct gmem_refusal *refusal)
{
	if (!rule)
		return obs_refuse(RULE_LIB_NO_RULE);
	if (!refusal)
		return obs_refuse(RULE_LIB_NO_ANSWER_ROOM);
	for (int i = RULE_NONE + 1; i < OBS_NR_RULES; i++)
		if (!strcmp(obs_rule_id((enum obs_rule)i), rule))
			return tell((enum obs_rule)i, -obs_rule_errno((enum obs_rule)i), refusal);
	return obs_refuse(RULE_LIB_RULE_UNKNOWN);
}

const char *gmem_strerror(int error)
{
	switch (error < 0 ? -(int64_t)error : 0) {
	case 0:
		return "done";
	case E2BIG:
		return "arguments of a later version of the library";
	case EACCES:
		return "the file's home cannot be reached by this process, or a mapping cannot be executed";
	case EAGAIN:
		return "somebody holds a page, or a process did not answer in time; it may go a moment later";
	case EBADF:
		return "no such descriptor is open";
	case EBADMSG:
		return "a snapshot is damaged";
	case EDEADLK:
		return "a call from a callback that would wait for it";
	case EEXIST:
		return "something is there already";
	case EFAULT:
		return "a page is private, or nothing is there";
	case EINTR:
		return "interrupted before anything was changed";
	case EINVAL:
		return "an argument that cannot be";
	case EHWPOISON:
		return "the memory of a page has failed";
	case EIO:
		return "the file's home is gone; what was private stays hidden";
	case EMFILE:
		return "this process has no descriptor left";
	case ENFILE:
		return "the system has no file left";
	case ENODATA:
		return "a snapshot was not written to its end";
	case ENODEV:
		return "the file was not made to be mapped";
	case ENOENT:
		return "there is none";
	case ENOEXEC:
		return "the file is no snapshot";
	case ENOMEM:
		return "no memory, or no room for another mapping";
	case ENOSPC:
		return "no space, or the file's home serves as many processes as it can";
	case ENOSYS:
		return "the system cannot do it";
	case EOPNOTSUPP:
		return "the state of the file's pages is the VM's";
	case EPERM:
		return "this process may not do that";
	case EPROTONOSUPPORT:
		return "a snapshot of a later version";
	case ERANGE:
		return "a number outside of what is allowed";
	case EREMOTE:
		return "possible only in the process that made the file";
	case ESTALE:
		return "the file is gone";
	case ETIMEDOUT:
		return "it took longer than a file may stand still";
	default:
		return "an error that is none of gmem's";
	}
}
