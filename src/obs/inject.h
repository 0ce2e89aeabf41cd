/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * inject: failures on purpose. Who observes has written rules into the region (gmem-inject(5)); where such a failure
 * can really happen the code asks whether it shall happen now:
 *
 *	if (obs_injects(INJECT_PUNCH))			one load and a branch when nobody wants it
 *		obs_inject(&key, &what)			counts the event with every rule that it fits
 *
 * What is injected is a record, and what fails a refusal by RULE_INJECTED that names the line of the rule.
 *
 * Any thread, any lock held; never blocks. Rules do not change while programs run; their two counters are shared by all
 * processes that are observed together. Which events a chance picks depends on the seed, the rule and the number of the
 * event alone: the same program does the same again, as far as its threads come in the same order.
 */
#ifndef GMEM_OBS_INJECT_H
#define GMEM_OBS_INJECT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct obs_region;

/* POINT(id, name): where; the name is the first word of a rule. Numbers are in records: only add at the end. */
#define INJECT_POINTS(POINT)          \
	POINT(CONVERT, "convert")     \
	POINT(PUNCH, "punch")         \
	POINT(ALLOCATE, "allocate")   \
	POINT(RUN, "run")             \
	POINT(FAULT, "fault")         \
	POINT(GUEST, "guest")         \
	POINT(HYPERCALL, "hypercall") \
	POINT(SHOOTDOWN, "shootdown") \
	POINT(POISON, "poison")       \
	POINT(PREFAULT, "prefault")

enum inject_point {
#define INJECT_POINT_ID(id, name) INJECT_##id,
	INJECT_POINTS(INJECT_POINT_ID)
#undef INJECT_POINT_ID
		INJECT_NR_POINTS
};

enum inject_action {
	INJECT_NOTHING,
	INJECT_FAIL,		  /* with err; value: convert's error_offset, or INJECT_NOWHERE */
	INJECT_EXIT_INTR,	  /* KVM_RUN ends as by a signal that nobody sent */
	INJECT_EXIT_MEMORY_FAULT, /* KVM_RUN tells a memory fault that is none any more, at key.gpa */
	INJECT_EXIT_ANY,	  /* one of these two; obs_inject() says which */
	INJECT_TOUCH_SHARED,	  /* the guest means the page to be that */
	INJECT_TOUCH_PRIVATE,
	INJECT_IMPLICIT, /* no hypercall exit: the guest just touches the page as what it asked for */
	INJECT_DELAY,	 /* value: ns */
	INJECT_SHORT,	 /* value: pages */
};

#define INJECT_NOWHERE UINT64_MAX
#define INJECT_MAX_RULES 256u
#define INJECT_ANY_SLOT (-1)
#define INJECT_ANY_VCPU (-1)

enum inject_kind { INJECT_ANY_KIND, INJECT_SHARED, INJECT_PRIVATE };

/* ---- the table in the region ------------------------------------------------------------------- */

/* What is 0 (of slot and vcpu -1; of a range start == end) is not asked for. */
struct inject_rule {
	uint16_t point, action;
	int16_t err; /* -errno */
	uint16_t vm, file, kind;
	uint32_t line;
	int32_t vcpu, slot;
	uint64_t gpa, gpa_end, offset, offset_end;
	/* Which of the events that fit. */
	uint64_t after, nth, every, count, chance, chance_of;
	uint64_t value;
	_Atomic uint64_t met, made;
};

struct inject_table {
	uint32_t nr;
	uint32_t pad;
	uint64_t seed;
	char source[128]; /* what the rules were read from */
	struct inject_rule rules[INJECT_MAX_RULES];
};

/* ---- in the program ------------------------------------------------------------------------------ */

/* A bit for each point that some rule is about. */
extern _Atomic uint32_t obs_injected_points;

static inline bool obs_injects(enum inject_point point)
{
	return __builtin_expect(
		atomic_load_explicit(&obs_injected_points, memory_order_relaxed) >> point & 1, 0);
}

/* Is there a rule about single pages that guests touch? Then each has a fault of its own. */
static inline bool obs_injects_pages(void)
{
	return __builtin_expect((atomic_load_explicit(&obs_injected_points, memory_order_relaxed) &
				 (1u << INJECT_FAULT | 1u << INJECT_GUEST | 1u << INJECT_POISON |
				  1u << INJECT_HYPERCALL)) != 0,
				0);
}

/* An event. VM and vCPU are the thread's (os/context.h). */
struct inject_key {
	enum inject_point point;
	enum inject_kind kind; /* that pages shall have, or, of a touch, have */
	uint16_t file;	       /* 0: the thread's */
	bool has_slot, has_gpa, has_offset;
	uint32_t slot;
	uint64_t gpa, offset, size;
};

struct inject {
	enum inject_action action;
	int err; /* -errno that the call is to end with, and that has been told; or 0 */
	uint64_t value;
};

/* True when something is to be done. The first rule that wants to has it; those below do not hear of the event. */
bool obs_inject(const struct inject_key *key, struct inject *what);
/* The same where nothing but failing is known: 0 or -errno. */
int obs_inject_error(const struct inject_key *key);
/* Is the page bad? It is so from the start and stays so: nothing is counted, and told only when wanted. */
bool obs_inject_poison(const struct inject_key *key, bool tell);

/* Once the process is attached to this region. */
void obs_inject_begin(struct obs_region *region);
void obs_inject_end(void);

#endif
