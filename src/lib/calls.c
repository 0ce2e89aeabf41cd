/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The functions of gmem.h that ask for something: each is a request to who observes. */
#include "lib/calls.h"

#include <stddef.h>
#include <string.h>

#include "lib/lib.h"
#include "lib/observed.h"
#include "obs/join.h"

enum function {
	FUNCTION_NONE,
#define FUNCTION(name) FUNCTION_##name,
#include "obs/functions.def"
#undef FUNCTION
};

/* What a consumer's callback calls is inside of another. */
struct call {
	uint64_t start, caller;
	uint32_t refusals;
	uint16_t request;
};

static __attribute__((noinline, cold)) struct call begin(enum obs_request request, void *from)
{
	struct os_context *me = os_context();
	struct call c = { .start = os_tsc(),
			  .caller = me->caller,
			  .refusals = obs_refusals(),
			  .request = me->request };

	me->request = (uint16_t)request;
	if (obs_on())
		obs_note_caller((uintptr_t)from);
	return c;
}

/* What no rule has refused the system has, or a signal: gmem_last_refusal() is of each call that fails. */
static __attribute__((noinline, cold)) int name_refusal(int err, uint32_t refusals)
{
	if (obs_refusals() != refusals)
		return err;
	if (err == -EINTR)
		return obs_refuse(RULE_LIB_INTERRUPTED);
	obs_request_failed(err);
	return err;
}

static __attribute__((noinline, cold)) void end(const struct call *c, enum function function,
						uint64_t at, uint64_t size, int err)
{
	struct os_context *me = os_context();

	if (err < 0)
		name_refusal(err, c->refusals);
	if (function)
		obs_span(OBS_REQUEST, c->start, err, OBS_REQUEST_LIBRARY + function, at, size);
	me->request = c->request;
	me->caller = c->caller;
}

/* In exported functions alone: who called them is who asks. */
#define ASK(name, at, size, ask)                                                        \
	do {                                                                            \
		uint32_t refusals = obs_refusals();                                     \
		struct call own;                                                        \
		int err;                                                                \
                                                                                        \
		if (!obs_wanted()) {                                                    \
			err = ask;                                                      \
			return err < 0 ? name_refusal(err, refusals) : err;             \
		}                                                                       \
		own = begin(REQ_gmem_##name, __builtin_return_address(0));              \
		err = ask;                                                              \
		end(&own, FUNCTION_gmem_##name, (uint64_t)(at), (uint64_t)(size), err); \
		return err;                                                             \
	} while (0)

/* What takes the lock of the file, which callbacks are called with. */
#define ALONE(g, ask)                                        \
	__extension__({                                      \
		const void *before;                          \
		int alone_err = lib_go_inside((g), &before); \
                                                             \
		if (!alone_err) {                            \
			alone_err = ask;                     \
			lib_come_out(before);                \
		}                                            \
		alone_err;                                   \
	})

/* What cannot fail is no request, but its events have a place. */
#define DO(ask)                                                     \
	do {                                                        \
		struct call own;                                    \
                                                                    \
		if (!obs_wanted()) {                                \
			ask;                                        \
			return;                                     \
		}                                                   \
		own = begin(REQ_NONE, __builtin_return_address(0)); \
		ask;                                                \
		end(&own, FUNCTION_NONE, 0, 0, 0);                  \
	} while (0)

/* Arguments that are refused may be shorter than they should be, or none. */
static uint64_t field(const void *args, size_t offset)
{
	uint32_t size;
	uint64_t value;

	if (!args)
		return 0;
	memcpy(&size, args, sizeof(size));
	if (size < offset + sizeof(value))
		return 0;
	memcpy(&value, (const char *)args + offset, sizeof(value));
	return value;
}

#define FIELD(type, args, name) field(args, offsetof(struct type, name))

/* ---- files ------------------------------------------------------------------------------------- */

int gmem_create(const struct gmem_create_args *args, struct gmem **out)
{
	lib_observe();
	ASK(create, 0, FIELD(gmem_create_args, args, size), lib_create(args, out));
}

int gmem_open(int fd, uint32_t flags, struct gmem **out)
{
	lib_observe();
	ASK(open, 0, 0, lib_open(fd, flags, out));
}

void gmem_put(struct gmem *g)
{
	DO(lib_put(g));
}

int gmem_descriptor(struct gmem *g, int *fd)
{
	ASK(descriptor, 0, 0, lib_descriptor(g, fd));
}

int gmem_get_info(struct gmem *g, struct gmem_info *info)
{
	ASK(get_info, 0, 0, lib_get_info(g, info));
}

int gmem_get_stats(struct gmem *g, struct gmem_stats *stats)
{
	ASK(get_stats, 0, 0, ALONE(g, lib_get_stats(g, stats)));
}

/* ---- what pages are ---------------------------------------------------------------------------- */

int gmem_convert(struct gmem *g, struct gmem_convert_args *args)
{
	ASK(convert, FIELD(gmem_convert_args, args, offset), FIELD(gmem_convert_args, args, size),
	    ALONE(g, lib_convert(g, args)));
}

int gmem_set_patience(uint32_t milliseconds)
{
	ASK(set_patience, 0, 0, lib_set_patience(milliseconds));
}

int gmem_attributes(struct gmem *g, uint64_t offset, uint32_t *attributes)
{
	ASK(attributes, offset, 0, lib_attributes(g, offset, attributes));
}

int gmem_query(struct gmem *g, uint64_t offset, uint64_t size, struct gmem_extent *extents,
	       uint32_t max, uint32_t *nr)
{
	ASK(query, offset, size, ALONE(g, lib_query(g, offset, size, extents, max, nr)));
}

int gmem_punch(struct gmem *g, uint64_t offset, uint64_t size)
{
	ASK(punch, offset, size, ALONE(g, lib_punch(g, offset, size)));
}

int gmem_allocate(struct gmem *g, uint64_t offset, uint64_t size)
{
	ASK(allocate, offset, size, ALONE(g, lib_allocate(g, offset, size)));
}

int gmem_set_policy(struct gmem *g, uint64_t offset, uint64_t size, int mode,
		    const unsigned long *nodes, unsigned long max_node, uint32_t flags)
{
	ASK(set_policy, offset, size,
	    lib_set_policy(g, offset, size, mode, nodes, max_node, flags));
}

int gmem_get_policy(struct gmem *g, uint64_t offset, int *mode, unsigned long *nodes,
		    unsigned long max_node, uint32_t flags)
{
	ASK(get_policy, offset, 0, lib_get_policy(g, offset, mode, nodes, max_node, flags));
}

int gmem_poison(struct gmem *g, uint64_t offset, uint64_t size)
{
	ASK(poison, offset, size, ALONE(g, lib_poison(g, offset, size)));
}

int gmem_move(struct gmem *g, uint64_t offset, uint64_t size,
	      int (*move)(void *arg, uint64_t offset, uint64_t size), void *arg)
{
	ASK(move, offset, size, ALONE(g, lib_move(g, offset, size, move, arg)));
}

/* ---- contents ---------------------------------------------------------------------------------- */

int gmem_populate(struct gmem *g, struct gmem_populate_args *args)
{
	ASK(populate, FIELD(gmem_populate_args, args, offset),
	    FIELD(gmem_populate_args, args, size), ALONE(g, lib_populate(g, args)));
}

int gmem_snapshot(struct gmem *g, struct gmem_snapshot_args *args)
{
	ASK(snapshot, 0, 0, ALONE(g, lib_snapshot(g, args)));
}

int gmem_restore(struct gmem *g, const struct gmem_restore_args *args)
{
	ASK(restore, 0, 0, ALONE(g, lib_restore(g, args)));
}

int gmem_snapshot_check(int fd, uint32_t flags, struct gmem_snapshot_info *info)
{
	ASK(snapshot_check, 0, 0, lib_snapshot_check(fd, flags, info));
}

/* ---- windows ----------------------------------------------------------------------------------- */

int gmem_map(struct gmem *g, const struct gmem_map_args *args, void **addr)
{
	ASK(map, FIELD(gmem_map_args, args, offset), FIELD(gmem_map_args, args, size),
	    ALONE(g, lib_map(g, args, addr)));
}

int gmem_unmap(void *addr, uint64_t size)
{
	ASK(unmap, (uintptr_t)addr, size, lib_unmap(addr, size));
}

int gmem_remap(void *addr, uint64_t old_size, uint64_t size, int flags, void *to, void **out)
{
	ASK(remap, (uintptr_t)addr, size, lib_remap(addr, old_size, size, flags, to, out));
}

int gmem_protect(void *addr, uint64_t size, int prot)
{
	ASK(protect, (uintptr_t)addr, size, lib_protect(addr, size, prot));
}

int gmem_advise(void *addr, uint64_t size, int advice)
{
	ASK(advise, (uintptr_t)addr, size, lib_advise(addr, size, advice));
}

int gmem_lock(void *addr, uint64_t size, int flags)
{
	ASK(lock, (uintptr_t)addr, size, lib_lock(addr, size, flags));
}

int gmem_unlock(void *addr, uint64_t size)
{
	ASK(unlock, (uintptr_t)addr, size, lib_unlock(addr, size));
}

/* ---- pins -------------------------------------------------------------------------------------- */

int gmem_pin(struct gmem *g, uint64_t offset, uint64_t size, struct gmem_pinned **out)
{
	ASK(pin, offset, size, ALONE(g, lib_pin(g, offset, size, out)));
}

void gmem_pin_trim(struct gmem_pinned *p, uint64_t size)
{
	DO(lib_pin_trim(p, size));
}

void gmem_unpin(struct gmem_pinned *p)
{
	DO(lib_unpin(p));
}

int gmem_count_references(void)
{
	ASK(count_references, 0, 0, lib_count_references());
}

/* ---- the guest's side -------------------------------------------------------------------------- */

int gmem_page(struct gmem *g, uint64_t offset, void **addr, uint64_t *size)
{
	ASK(page, offset, 0, lib_page(g, offset, addr, size));
}

int gmem_find_block(struct gmem *g, uint64_t offset, struct gmem_block *block)
{
	ASK(find_block, offset, 0, lib_find_block(g, offset, block));
}

int gmem_fault_begin(struct gmem *g)
{
	ASK(fault_begin, 0, 0, ALONE(g, lib_fault_begin(g)));
}

int gmem_bind(struct gmem *g, uint64_t offset, uint64_t size, void *owner,
	      struct gmem_binding **out)
{
	ASK(bind, offset, size, ALONE(g, lib_bind(g, offset, size, owner, out)));
}

void gmem_unbind(struct gmem *g, struct gmem_binding *binding)
{
	DO(lib_unbind(g, binding));
}

int gmem_for_bindings(struct gmem *g, uint64_t offset, uint64_t size,
		      void (*fn)(void *arg, void *owner, uint64_t offset, uint64_t size), void *arg)
{
	ASK(for_bindings, offset, size, lib_for_bindings(g, offset, size, fn, arg));
}

int gmem_consumer_add(struct gmem *g, const struct gmem_consumer_callbacks *ops, void *data,
		      struct gmem_consumer **out)
{
	ASK(consumer_add, 0, 0, lib_consumer_add(g, ops, data, out));
}

int gmem_consumer_add_several(const struct gmem_consumer_file *files, uint32_t nr,
			      const struct gmem_consumer_callbacks *ops, struct gmem_consumer **out)
{
	ASK(consumer_add_several, 0, 0, lib_consumer_add_several(files, nr, ops, out));
}
