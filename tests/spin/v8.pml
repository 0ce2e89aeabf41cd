/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * v8 (September 2022): a punch is forwarded to the hidden file first, and then the consumers are told.
 *
 *	(nothing)	as it was: punch, then invalidate
 *	-DFIRST		the other way round, and no more: invalidate, then punch
 *	-DBRACKET	begin, punch, end: no fault installs anything in between
 *
 * A fault notes the sequence, gets the page with a reference, and installs it under the mmu lock if the sequence
 * has not moved; then it drops the reference. A page is free when it has left the file and nobody refers to it.
 */
#include "world.pml"

byte page = NONE, references;
bool mmu;
byte sequence, in_progress;

inline fault()
{
	byte seen, got;

	seen = sequence;
	d_step {
		if
		:: page == NONE -> new_page(page, true)
		:: else
		fi;
		got = page;
		references++;
		STORY("vCPU: faults and gets page %d of the file\n", got)
	}
	LOCK(mmu);
	d_step {
		if
		:: in_progress || seen != sequence ->
			STORY("vCPU: starts over, something was invalidated meanwhile\n")
		:: else ->
			leaf = got;
			STORY("vCPU: maps page %d\n", got)
		fi
	}
	UNLOCK(mmu);
	d_step {
		references--;
		freed[got] = page != got;
		seen = 0;
		got = NONE
	}
}

GUEST(2)

inline punch()
{
	d_step {
		if
		:: page != NONE ->
			freed[page] = !references;
			STORY("puncher: takes page %d out of the file\n", page);
			page = NONE
		:: else
		fi
	}
}

inline begin()
{
	LOCK(mmu);
	in_progress++;
	zap(gen);
	shootdown(gen);
	STORY("puncher: has told KVM, which has dropped its translations\n");
	UNLOCK(mmu)
}

inline end()
{
	LOCK(mmu);
	sequence++;
	in_progress--;
	UNLOCK(mmu)
}

active proctype puncher()
{
	byte gen;

#if defined(BRACKET)
	begin();
	punch();
	end()
#elif defined(FIRST)
	begin();
	end();
	punch()
#else
	punch();
	begin();
	end()
#endif
}
