/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * rules: why a call is refused. rules.def has all of them; a place that refuses names its rule, and the rule
 * has the errno: return obs_refuse(RULE_MEMSLOT_FLAGS).
 *
 * Any thread, any lock held, from signal handlers; never blocks and allocates nothing. What the thread was refused
 * last is kept for it, without a lock.
 */
#ifndef GMEM_OBS_RULES_H
#define GMEM_OBS_RULES_H

#include <errno.h>
#include <stdint.h>

#include "os/context.h"

enum obs_rule {
	RULE_NONE,
#define RULE(id, ...) RULE_##id,
#define RULE_AS(id, ...) RULE_##id,
#include "obs/rules.def"
#undef RULE
#undef RULE_AS
	OBS_NR_RULES
};

/* What the program asked for: requests.def. */
enum obs_request {
	REQ_NONE,
#define REQUEST(name, ...) REQ_##name,
#include "obs/requests.def"
#undef REQUEST
	OBS_NR_REQUESTS
};

/* 0: the place that refuses knows it (RULE_AS). A constant wherever the rule is one: so the compiler sees that
 * a call which is refused does not succeed. */
static inline __attribute__((always_inline)) int obs_rule_errno(enum obs_rule rule)
{
	switch (rule) {
#define RULE(id, err, ...) \
	case RULE_##id:    \
		return err;
#define RULE_AS(id, ...)
#include "obs/rules.def"
#undef RULE
#undef RULE_AS
	default:
		return 0;
	}
}

/* Refuses by a rule whose errno the place knows. err is -errno; returns it. */
__attribute__((cold)) int obs_refuse_as(enum obs_rule rule, int err);

/* Refuses by this rule: returns -errno. */
static inline __attribute__((always_inline)) int obs_refuse(enum obs_rule rule)
{
	int err = -obs_rule_errno(rule);

	obs_refuse_as(rule, err);
	if (err >= 0)
		__builtin_unreachable(); /* such a rule is RULE_AS: tests/obs */
	return err;
}

/*
 * Who asks others, and is refused, has a rule of its own for when they gave none: who refused first knows best why, and
 * is told alone. Refusals of this thread so far; then, with that number, the rule if there is none since. err is
 * -errno; returns it.
 */
static inline uint32_t obs_refusals(void)
{
	return os_context()->refusals;
}

static inline int obs_refuse_unless_told(enum obs_rule rule, int err, uint32_t refusals)
{
	return obs_refusals() != refusals ? err : obs_refuse_as(rule, err);
}

/* As obs_refuse() for what is no mistake and happens often (KVM_RUN and a signal): told only to those who ask for everything. */
int obs_refuse_quietly(enum obs_rule rule);

/* Around a request of the program: refusals in between are this request's. Returns what was on before, for end. */
static inline enum obs_request obs_request_begin(enum obs_request request)
{
	struct os_context *me = os_context();
	enum obs_request before = (enum obs_request)me->request;

	me->request = (uint16_t)request;
	me->result = 0;
	return before;
}

/* An errno that no rule gave has one of the host's. */
__attribute__((cold)) void obs_request_failed(int err);

/* r: what the request returns. Returns r. */
static inline long obs_request_end(enum obs_request before, long r)
{
	struct os_context *me = os_context();

	if (__builtin_expect(r < 0, 0) && me->result != r)
		obs_request_failed((int)r);
	me->request = (uint16_t)before;
	return r;
}

struct obs_refusal {
	enum obs_rule rule; /* RULE_NONE: there was none yet */
	int err;	    /* -errno; 0: there was none since the last request began */
};

/* The thread's last one. */
struct obs_refusal obs_last_refusal(void);

/* "MEMSLOT_FLAGS"; its sentence; "KVM_RUN", NULL for REQ_NONE. */
const char *obs_rule_id(enum obs_rule rule);
const char *obs_rule_text(enum obs_rule rule);
const char *obs_request_name(enum obs_request request);

#endif
