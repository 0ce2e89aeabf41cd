/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Waits on words, short waits, threads, signals that are pending. */
#include <errno.h>

#include "os/fail.h"
#include "os/internal.h"
#include "os/peer.h"
#include "os/signal.h"
#include "os/sim/sim_private.h"

#define HERE __builtin_return_address(0)
#define NS_PER_RELAX 1000

static int word_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns, const void *pc)
{
	struct sim_fibre *f = sim.self;
	int err = os_fail(OS_FAIL_WAIT);

	if (err)
		return err;
	sim_touch(word, 4, false, pc);
	sim_step(SIM_WAIT, word, 4, pc);
	sim_touch(word, 4, false, pc);
	sim_stores_drain();
	if (atomic_load(word) != expected)
		return 0;
	if (f->signal)
		return -EINTR;
	if (!timeout_ns)
		return -ETIMEDOUT;
	f->forever = timeout_ns < 0;
	f->deadline = sim.clock + (uint64_t)timeout_ns;
	f->expected = expected;
	f->result = 0;
	f->pc = pc;
	sim_block(SIM_ON_WORD, word);
	return f->result;
}

int os_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
	return word_wait(word, expected, timeout_ns, HERE);
}

int os_shared_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
	return word_wait(word, expected, timeout_ns, HERE);
}

static struct sim_fibre *longest_waiter(const volatile void *word)
{
	struct sim_fibre *first = NULL;
	unsigned int i;

	for (i = 0; i < sim.nr_fibres; i++) {
		struct sim_fibre *f = &sim.fibres[i];

		if (f->blocked && !f->done && f->why == SIM_ON_WORD && f->on == word &&
		    (!first || f->order < first->order))
			first = f;
	}
	return first;
}

static void word_wake(_Atomic uint32_t *word, uint32_t nr, const void *pc)
{
	struct sim_fibre *f;

	sim_step(SIM_WAKE, word, 4, pc);
	sim_stores_drain();
	for (; nr && (f = longest_waiter(word)); nr--)
		sim_unblock(f);
}

void os_wake(_Atomic uint32_t *word, uint32_t nr_waiters)
{
	word_wake(word, nr_waiters, HERE);
}

void os_wake_all(_Atomic uint32_t *word)
{
	word_wake(word, UINT32_MAX, HERE);
}

void os_shared_wake(_Atomic uint32_t *word)
{
	word_wake(word, UINT32_MAX, HERE);
}

void os_relax(void)
{
	sim.clock += NS_PER_RELAX;
	sim_step(SIM_YIELD, NULL, 0, HERE);
}

void os_yield(void)
{
	sim.clock += NS_PER_RELAX;
	sim_step(SIM_YIELD, NULL, 0, HERE);
}

/* ---- threads --------------------------------------------------------------------------------- */

struct os_thread {
	struct sim_fibre *fibre;
};

int os_thread_create(void (*fn)(void *), void *arg, const char *name, struct os_thread **out)
{
	int err = os_fail(OS_FAIL_THREAD);
	struct os_thread *t;

	if (err)
		return err;
	t = os_alloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->fibre = sim_fibre_new(name, fn, arg, false);
	*out = t;
	sim_step(SIM_SPAWN, NULL, 0, HERE);
	return 0;
}

void os_thread_join(struct os_thread *t)
{
	sim_join(t->fibre);
	os_free(t, sizeof(*t));
}

void os_thread_detach(struct os_thread *t)
{
	os_free(t, sizeof(*t));
}

void os_thread_after_fork(void)
{
}

/* ---- time and chance ------------------------------------------------------------------------- */

#define NS_PER_LOOK 500
#define EPOCH_NS 1700000000000000000ull
#define TSC_KHZ 2000000

uint64_t os_clock_ns(void)
{
	return sim.clock += NS_PER_LOOK;
}

uint64_t os_wallclock_ns(void)
{
	return EPOCH_NS + os_clock_ns();
}

uint64_t os_tsc(void)
{
	return os_clock_ns() * (TSC_KHZ / 1000000);
}

uint64_t os_tsc_khz(void)
{
	return TSC_KHZ;
}

uint64_t os_random(void)
{
	return sim_rng(&sim.random);
}

/* ---- signals --------------------------------------------------------------------------------- */

bool os_signal_pending(void)
{
	return sim.self && sim.self->signal;
}

void os_signal_set_pending(bool pending)
{
	sim.self->signal = pending;
}

void os_signals_begin(void)
{
}

void os_signals_end(void)
{
}

bool os_signals_begun(void)
{
	return true;
}

int os_signal_mask_swap(uint64_t mask, uint64_t *old)
{
	if (old)
		*old = 0;
	return 0;
}

void os_signal_mask_changed(void)
{
}
