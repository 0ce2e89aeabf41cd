/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Atomic accesses of code that was compiled with -fsanitize=thread: the compiler has turned each of them into a
 * call of a function named so, and the functions are ours.
 */
#include <string.h>

#include "os/sim/sim_private.h"

/* As the compiler passes memory orders. */
enum order { RELAXED, CONSUME, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST };

#define HERE __builtin_return_address(0)

void __tsan_init(void);
void __tsan_func_entry(void *pc);
void __tsan_func_exit(void);
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_signal_fence(int order);

void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc)
{
}

void __tsan_func_exit(void)
{
}

void __tsan_atomic_thread_fence(int order)
{
	sim_step(SIM_FENCE, NULL, 0, HERE);
	if (sim.self)
		sim_race_fence(order);
	if (order == SEQ_CST)
		sim_stores_drain();
}

void __tsan_atomic_signal_fence(int order)
{
}

static void before(enum sim_kind kind, const volatile void *addr, uint32_t size, const void *pc)
{
	sim_touch(addr, size, false, pc);
	sim_step(kind, addr, size, pc);
	/* Somebody else may have run in between. */
	sim_touch(addr, size, false, pc);
	sim_race_atomic(addr, size, pc);
}

static inline uint64_t load(const volatile void *addr, uint32_t size, int order, const void *pc)
{
	uint64_t value = 0;

	before(SIM_LOAD, addr, size, pc);
	if (sim.self && !sim.in_check)
		sim_race_load(addr, order);
	if (!sim.in_check && sim.self && sim.self->nr_stores &&
	    sim_stores_forward(addr, size, &value))
		return value;
	memcpy(&value, (const void *)(uintptr_t)addr, size);
	return value;
}

/* Before and after the actors there is nobody who could miss it. */
static bool may_hold(const struct sim_fibre *f)
{
	return f->index && sim.actors_left && sim_decide(SIM_HOLD, 0, 3, true);
}

static inline void store(volatile void *addr, uint32_t size, uint64_t value, int order,
			 const void *pc)
{
	struct sim_fibre *f;

	before(SIM_STORE, addr, size, pc);
	f = sim.self;
	if (f && !sim.in_check)
		sim_race_store(addr, order);
	if (order == SEQ_CST || sim.quiet)
		sim_stores_drain();
	else if (f->nr_stores || may_hold(f)) {
		sim_stores_push(addr, size, value);
		return;
	}
	memcpy((void *)(uintptr_t)addr, &value, size);
}

static inline void before_rmw(volatile void *addr, uint32_t size, int order, const void *pc)
{
	before(SIM_RMW, addr, size, pc);
	if (sim.self && !sim.in_check)
		sim_race_rmw(addr, order);
	sim_stores_drain();
}

#define SIM_RMW_OP(bits, type, name, expr)                                         \
	type __tsan_atomic##bits##_##name(volatile type *addr, type v, int order); \
	type __tsan_atomic##bits##_##name(volatile type *addr, type v, int order)  \
	{                                                                          \
		type old;                                                          \
                                                                                   \
		before_rmw(addr, sizeof(type), order, HERE);                       \
		old = *addr;                                                       \
		*addr = (type)(expr);                                              \
		return old;                                                        \
	}

#define SIM_CAS(bits, type, name)                                                                  \
	int __tsan_atomic##bits##_compare_exchange_##name(volatile type *addr, type *want, type v, \
							  int order, int fail_order);              \
	int __tsan_atomic##bits##_compare_exchange_##name(volatile type *addr, type *want, type v, \
							  int order, int fail_order)               \
	{                                                                                          \
		before_rmw(addr, sizeof(type), order, HERE);                                       \
		if (*addr == *want) {                                                              \
			*addr = v;                                                                 \
			return 1;                                                                  \
		}                                                                                  \
		*want = *addr;                                                                     \
		return 0;                                                                          \
	}

#define SIM_ATOMICS(bits, type)                                                                 \
	type __tsan_atomic##bits##_load(const volatile type *addr, int order);                  \
	type __tsan_atomic##bits##_load(const volatile type *addr, int order)                   \
	{                                                                                       \
		return (type)load(addr, sizeof(type), order, HERE);                             \
	}                                                                                       \
	void __tsan_atomic##bits##_store(volatile type *addr, type v, int order);               \
	void __tsan_atomic##bits##_store(volatile type *addr, type v, int order)                \
	{                                                                                       \
		store(addr, sizeof(type), v, order, HERE);                                      \
	}                                                                                       \
	SIM_RMW_OP(bits, type, exchange, v)                                                     \
	SIM_RMW_OP(bits, type, fetch_add, old + v)                                              \
	SIM_RMW_OP(bits, type, fetch_sub, old - v)                                              \
	SIM_RMW_OP(bits, type, fetch_and, old &v)                                               \
	SIM_RMW_OP(bits, type, fetch_or, old | v)                                               \
	SIM_RMW_OP(bits, type, fetch_xor, old ^ v)                                              \
	SIM_RMW_OP(bits, type, fetch_nand, ~(old & v))                                          \
	SIM_CAS(bits, type, strong)                                                             \
	SIM_CAS(bits, type, weak)                                                               \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *addr, type want, type v, \
							int order, int fail_order);             \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *addr, type want, type v, \
							int order, int fail_order)              \
	{                                                                                       \
		type old;                                                                       \
                                                                                                \
		before_rmw(addr, sizeof(type), order, HERE);                                    \
		old = *addr;                                                                    \
		if (old == want)                                                                \
			*addr = v;                                                              \
		return old;                                                                     \
	}

SIM_ATOMICS(8, uint8_t)
SIM_ATOMICS(16, uint16_t)
SIM_ATOMICS(32, uint32_t)
SIM_ATOMICS(64, uint64_t)
