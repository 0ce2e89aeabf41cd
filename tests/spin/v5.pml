/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * v5 (March 2022): a page that the private file has is private, any other is shared. Who looks a page up gets it
 * locked and installs it before it unlocks; a punch locks the page, invalidates, and frees it. That order is
 * right. What goes the other way is not: a page comes into the file, then KVM is told, which zaps the shared
 * translation but leaves its sequence as it was. So a fault that has found the page shared does not notice.
 *
 *	(nothing)	a punch beside faults
 *	-DPOPULATE	a conversion to private beside faults
 *	-DPOPULATE -DRAISE	the same, and the invalidation raises the sequence, as reviewers asked
 *	-DACCOUNT	two processes punch the same page, each with its own account: the second is paid, too
 */
#include "world.pml"

byte page = NONE;
bool page_locked, mmu;
byte sequence;

inline install(t)
{
	LOCK(mmu);
	d_step {
		leaf = t;
		STORY("vCPU: maps page %d\n", t)
	}
	UNLOCK(mmu)
}

inline fault_private()
{
	LOCK(page_locked);
	if
	:: page == NONE -> done = true
	:: else -> install(page)
	fi;
	UNLOCK(page_locked)
}

inline fault_shared()
{
	byte seen;

	seen = sequence;
	if
	:: page != NONE -> done = true
	:: else ->
		STORY("vCPU: faults; the private file has no such page, so it is the program's\n");
		LOCK(mmu);
		d_step {
			if
			:: seen == sequence ->
				leaf = PROGRAM;
				STORY("vCPU: maps the program's page %d\n", leaf)
			:: else
			fi
		}
		UNLOCK(mmu)
	fi;
	seen = 0
}

/* The guest says itself which kind of page it means. */
inline fault()
{
	if
	:: fault_private()
	:: fault_shared()
	fi
}

GUEST(2)

inline invalidate()
{
	byte gen;

	LOCK(mmu);
#ifdef RAISE
	sequence++;
#endif
	zap(gen);
	shootdown(gen);
	UNLOCK(mmu)
}

#ifdef POPULATE
active proctype converter()
{
	d_step {
		new_page(page, true);
		STORY("converter: page %d is in the private file now\n", page)
	}
	invalidate();
	d_step {
		no_shared = true;
		STORY("converter: KVM has dropped its translations; the page is private\n")
	}
}
#else
#ifdef ACCOUNT
#define PUNCHERS 2
#else
#define PUNCHERS 1
#endif

/* Pages that a process has been charged for: the first has allocated the one there is. */
short charged[2];
byte finished;

init
{
	d_step {
		new_page(page, true);
		charged[0] = 1
	}
}

active [PUNCHERS] proctype puncher()
{
	byte self = _pid - 2;

	(newest > PROGRAM);
	LOCK(page_locked);
	invalidate();
	d_step {
		freed[page] = page != NONE;
		page = NONE;
		charged[self]--;
		STORY("process %d: punches the page and is no longer charged for it\n", self)
	}
	UNLOCK(page_locked);
	d_step {
		finished++;
		if
		:: finished == PUNCHERS && charged[0] + charged[1] != 0 ->
			BROKEN("BROKEN: processes are charged for less than nothing\n")
		:: else
		fi
	}
}
#endif
