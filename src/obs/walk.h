/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * walk: from the frame of the function that was called to the place outside of wrappers, and its callers. The observed
 * program walks its own stack by what the region says of code, the observer a copy by what it knows itself: by the same
 * steps, so both come to the same. What the region says can lead to a wrong place, never out of the bytes.
 */
#ifndef GMEM_OBS_WALK_H
#define GMEM_OBS_WALK_H

#include "obs/region.h"

#define OBS_WALK_FRAMES 16

struct obs_places {
	uint64_t places[OBS_CHAIN]; /* addresses behind calls: the place, its caller, ... */
	uint32_t nr;		    /* 0: there is none, and the first is where gmem was called */
};

/* In both, own is the caller's. */
struct obs_walker {
	/* What is known of an address; false: that is not said (yet). */
	bool (*look)(void *own, uint64_t address, struct obs_frame_code *out);
	/* A word of the stack; false: it is not within OBS_STACK_BYTES of the frame, or cannot be read. */
	bool (*load)(void *own, uint64_t address, uint64_t *value);
	void *own;
};

struct obs_walk_at {
	uint64_t pc, rsp, rbp;
};

static inline __attribute__((always_inline)) bool obs_walk_step(const struct obs_walker *w,
								const struct obs_frame_code *c,
								struct obs_walk_at *at)
{
	bool by_rbp = c->state & OBS_CODE_BY_RBP;
	uint64_t cfa = (by_rbp ? at->rbp : at->rsp) + (uint64_t)(int64_t)c->offset;

	if (cfa <= at->rsp - sizeof(uint64_t) ||
	    !w->load(w->own, cfa + (uint64_t)(int64_t)c->return_at, &at->pc))
		return false;
	if ((c->state & OBS_CODE_SAVES_RBP) &&
	    !w->load(w->own, cfa + (uint64_t)(int64_t)c->rbp_at, &at->rbp))
		return false;
	at->rsp = cfa;
	return true;
}

/* false: something on the way is not known yet. */
static inline __attribute__((always_inline)) bool obs_walk(const struct obs_walker *w,
							   uint64_t frame, uint64_t caller,
							   struct obs_places *out)
{
	struct obs_walk_at at = { .rsp = frame + 16 };
	struct obs_frame_code c;

	out->nr = 0;
	out->places[0] = caller;
	if (!w->load(w->own, frame, &at.rbp) || !w->load(w->own, frame + 8, &at.pc) ||
	    at.pc != caller)
		return true;
	for (int i = 0; i < OBS_WALK_FRAMES; i++) {
		if (!w->look(w->own, at.pc, &c))
			return false;
		if (!(c.state & OBS_CODE_KNOWN))
			break;
		if (out->nr || !(c.state & OBS_CODE_WRAPS))
			out->places[out->nr++] = at.pc;
		if (out->nr == OBS_CHAIN || !(c.state & OBS_CODE_RULED) ||
		    !obs_walk_step(w, &c, &at))
			break;
	}
	return true;
}

static inline uint64_t obs_mix(uint64_t h, uint64_t value)
{
	h = (h ^ value) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 32;
}

/* Of code. */
static inline uint32_t obs_code_hash(uint32_t process, uint64_t address)
{
	return (uint32_t)obs_mix(process, address);
}

/* Of a chain; never 0. */
static inline uint64_t obs_chain_key(uint32_t process, const struct obs_places *p)
{
	uint64_t h = obs_mix(process, p->nr);

	for (uint32_t i = 0; i == 0 || i < p->nr; i++)
		h = obs_mix(h, p->places[i]);
	return h | 1;
}

/* Its number, or that of a free place for it (*is_there false); OBS_NR_CHAINS: there is no room. */
static inline uint32_t obs_chain_find(const struct obs_region *r, uint64_t key, bool *is_there)
{
	uint32_t h = (uint32_t)(key >> 32);

	for (uint32_t i = h; i != h + OBS_NR_PROBES; i++) {
		uint64_t there = atomic_load_explicit(obs_chain_at(r, i), memory_order_acquire);

		*is_there = there == key;
		if (*is_there || !there)
			return i & (OBS_NR_CHAINS - 1);
	}
	return OBS_NR_CHAINS;
}

#endif
