/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * mmu/shootdown.c step by step, on a processor that keeps stores back (x86-TSO): what a vCPU stores with less than
 * sequential consistency is seen by others some time later, but before its next read-modify-write. Two threads
 * zap, one vCPU enters, translates, polls, leaves. No one waits for ever, which spin tells by itself.
 *
 *	orders that are not ours
 *		LOAD_REQUESTS	a vCPU that enters looks at its requests by a plain load
 *		CLEAR_LAST	a flush clears the request when all is done
 *		LAZY_LEAVE	leaving is a release store: the look at waiters may come before it
 *		LATE_WAITER	who waits looks at the vCPU before it says that it waits
 */
#define NONE 0
#define NR_PAGES 5
#define BROKEN(what) printf(what); assert(false)
#define STORY(...) printf(__VA_ARGS__)
#define LOCK(l) atomic { !l -> l = true }
#define UNLOCK(l) l = false

bool mmu;
byte leaf, newest;
bool freed[NR_PAGES];

byte wanted;
bool request;
byte inside, flushed, waiters, progress;

/* The vCPU's store to inside that nobody else sees yet. */
#define NOTHING 2
byte kept = NOTHING;

/* The processor lets go of it sooner or later. */
active proctype store_buffer()
{
end:
	do
	:: atomic { kept != NOTHING -> inside = kept; kept = NOTHING }
	od
}

#define DRAINED (kept == NOTHING)

/* ---- the vCPU ---- */

byte tlb, now;
bool must_flush;
byte done;

inline wake_waiters()
{
	if
	:: waiters -> atomic { DRAINED -> progress++ }
	:: else
	fi
}

inline flush()
{
#ifndef CLEAR_LAST
	atomic { DRAINED -> request = false }
#endif
	reach = wanted;
	tlb = NONE;
	atomic { DRAINED -> flushed = reach }
#ifdef CLEAR_LAST
	atomic { DRAINED -> request = false }
#endif
	wake_waiters()
}

inline enter()
{
	atomic { DRAINED -> kept = 1 }
#ifdef LOAD_REQUESTS
	must_flush = request;
#else
	atomic { DRAINED -> must_flush = request }
#endif
	if
	:: must_flush -> flush()
	:: else
	fi
}

inline leave()
{
#ifdef LAZY_LEAVE
	atomic { DRAINED -> kept = 0 }
#else
	atomic { DRAINED -> inside = 0 }
#endif
	wake_waiters()
}

inline use(t)
{
	d_step {
		STORY("vCPU: uses page %d\n", t);
		if
		:: freed[t] -> BROKEN("BROKEN: the guest uses a page that is freed\n")
		:: else
		fi
	}
}

inline translate()
{
	if
	:: tlb != NONE -> now = tlb
	:: else ->
		now = leaf;
		STORY("vCPU: reads the table, page %d\n", now);
		tlb = now
	fi;
	if
	:: now != NONE -> use(now)
	:: else
	fi
}

active proctype vcpu()
{
	byte n, reach;

	do
	:: n == 2 -> break
	:: else ->
		n++;
		enter();
		translate();
		if
		:: request -> flush(); translate()
		:: n == 1
		:: n == 2 ->
			/* A guest that does not leave by itself. */
			do
			:: request -> flush(); translate()
			:: done == 2 -> break
			od
		fi;
		leave();
		LOCK(mmu);
		d_step {
			if
			:: leaf == NONE ->
				newest++;
				leaf = newest;
				STORY("vCPU: maps page %d\n", leaf)
			:: else
			fi
		}
		UNLOCK(mmu)
	od
}

/* ---- those who zap ---- */

#define CLEAN (!inside || flushed >= gen)

active [2] proctype zapper()
{
	byte old, gen, seen;
	bool clean, counted;

	LOCK(mmu);
	atomic {
		old = leaf;
		leaf = NONE;
		/* If not this page, then another may have been in the range. */
		if
		:: wanted++
		:: old == NONE
		fi;
		gen = wanted;
		STORY("zapper: takes page %d out of the table\n", old)
	}
	UNLOCK(mmu);
	d_step {
		request = request || flushed < gen
	}
	clean = CLEAN;
	if
	:: !clean ->
#ifndef LATE_WAITER
		d_step {
			waiters++;
			counted = true
		}
#endif
		do
		:: true ->
			seen = progress;
			clean = CLEAN;
			if
			:: clean -> break
			:: else
			fi;
#ifdef LATE_WAITER
			d_step {
				waiters = waiters + !counted;
				counted = true
			}
#endif
			/* Asleep until somebody moves progress. */
			(progress != seen)
		od;
		waiters = waiters - counted
	:: else
	fi;
	d_step {
		freed[old] = old != NONE;
		done++;
		STORY("zapper: no vCPU has page %d any more; it is freed\n", old)
	}
}
