/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/obs.h"

#include <errno.h>
#include <stddef.h>

#include "os/context.h"
#include "os/os.h"

struct rule {
	const char *id, *text;
	const char *requests;
};

static const struct rule rules[OBS_NR_RULES] = {
	[RULE_NONE] = { "NONE", "nothing was refused", "" },
#define RULE(id, err, text, since, requests, more) [RULE_##id] = { #id, text, requests },
#define RULE_AS(id, errs, text, since, requests, more) [RULE_##id] = { #id, text, requests },
#include "obs/rules.def"
#undef RULE
#undef RULE_AS
};

static const char *const requests[OBS_NR_REQUESTS] = {
#define REQUEST(name, ...) [REQ_##name] = #name,
#include "obs/requests.def"
#undef REQUEST
};

const char *obs_rule_id(enum obs_rule rule)
{
	return rules[rule].id;
}

const char *obs_rule_text(enum obs_rule rule)
{
	return rules[rule].text;
}

const char *obs_request_name(enum obs_request request)
{
	return requests[request];
}

/* What a rule belongs to when that is one request; NULL when it is several, or a set. */
static const char *only_request(const char *list)
{
	for (const char *p = list; *p; p++) {
		if (*p == ' ' || *p == '*')
			return NULL;
	}
	return *list ? list : NULL;
}

static void tell(enum obs_rule rule, int err)
{
	const char *request = requests[os_context()->request];

	if (!request)
		request = only_request(rules[rule].requests);
	os_log_refusal(err, request, rules[rule].text, rules[rule].id);
}

int obs_refuse_as(enum obs_rule rule, int err)
{
	os_assert(rule > RULE_NONE && rule < OBS_NR_RULES && err < 0);
	if (os_log_why())
		tell(rule, err);
	obs_refused(err, (uint16_t)rule);
	return err;
}

int obs_refuse_quietly(enum obs_rule rule)
{
	struct os_context *me = os_context();
	int err = -obs_rule_errno(rule);

	os_assert(err < 0);
	me->rule = (uint16_t)rule;
	me->result = (int16_t)err;
	if (os_log_enabled(OS_LOG_DEBUG))
		tell(rule, err);
	return err;
}

void obs_request_failed(int err)
{
	obs_refuse_as(err == -ENOMEM ? RULE_NO_MEMORY : RULE_PLATFORM, err);
}

struct obs_refusal obs_last_refusal(void)
{
	const struct os_context *me = os_context();

	return (struct obs_refusal){ .rule = me->rule, .err = me->result };
}
