/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * v10 (December 2022): start, punch, end. Each of the three takes the mutex of the list of consumers for itself.
 *
 *	(nothing)	a memslot is bound beside the punch
 *	-DOUTSIDE	the same, with the mutex held from start to end
 *	-DPARTIAL	a change of attributes of two pages that can fail on the second
 */
#include "world.pml"

byte page = NONE;
bool bound, mutex, mmu;
short in_progress;
byte sequence;

inline fault()
{
	byte seen, got;

	seen = sequence;
	if
	:: !bound -> done = true
	:: else ->
		d_step {
			if
			:: page == NONE -> new_page(page, true)
			:: else
			fi;
			got = page;
			STORY("vCPU: faults and gets page %d of the file\n", got)
		}
		LOCK(mmu);
		d_step {
			if
			:: in_progress || seen != sequence
			:: else -> leaf = got; STORY("vCPU: maps page %d\n", got)
			fi
		}
		UNLOCK(mmu)
	fi;
	d_step { seen = 0; got = NONE }
}

#ifndef PARTIAL
GUEST(2)

#ifdef OUTSIDE
#define TAKE
#define GIVE
#else
#define TAKE LOCK(mutex)
#define GIVE UNLOCK(mutex)
#endif

active proctype puncher()
{
	byte gen;

#ifdef OUTSIDE
	LOCK(mutex);
#endif
	TAKE;
	if
	:: bound ->
		LOCK(mmu);
		in_progress++;
		zap(gen);
		shootdown(gen);
		STORY("puncher: start, told to the memslot\n");
		UNLOCK(mmu)
	:: else ->
		STORY("puncher: start, there is nobody to tell\n")
	fi;
	GIVE;
	d_step {
		freed[page] = page != NONE;
		page = NONE;
		STORY("puncher: punches\n")
	}
	TAKE;
	if
	:: bound ->
		LOCK(mmu);
		d_step {
			sequence++;
			in_progress--;
			STORY("puncher: end, told to the memslot\n");
			if
			:: in_progress < 0 -> BROKEN("BROKEN: an end without a start\n")
			:: else
			fi
		}
		UNLOCK(mmu)
	:: else
	fi;
	GIVE;
#ifdef OUTSIDE
	UNLOCK(mutex);
#endif
}

active proctype slots()
{
	LOCK(mutex);
	d_step {
		bound = true;
		STORY("slots: a memslot of the file is made and registered\n")
	}
	UNLOCK(mutex)
}
#else
/* What the call must leave as it was when it fails. */
bool is_private[2];

active proctype converter()
{
	byte failed;

	is_private[0] = true;
	STORY("converter: the first page is private\n");
	if
	:: is_private[1] = true
	:: failed = 1; STORY("converter: no memory for the second, the call fails\n")
	fi;
	d_step {
		if
		:: failed && is_private[0] -> BROKEN("BROKEN: a call that failed has changed something\n")
		:: else
		fi
	}
}
#endif
