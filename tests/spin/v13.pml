/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * v13 and what was merged (6.8): begin, free, end under the file's invalidate lock. A memslot holds no reference
 * on the file; when the last descriptor is closed, release() makes the memslots forget the file.
 *
 *	(nothing)	punch, conversion and slot deletion beside faults
 *	-DLAST_RANGE	as it was shortly before: a begin that meets two slots leaves only the last range on record
 *	-DCLOSE		the last close beside the deletion of a slot (CVE-2025-40274)
 *	-DCLOSE -DMENDED	the same, where a dying file is unbound, too
 *	-DTOGGLE	KVM_MEM_GUEST_MEMFD is taken from a live slot, which is deleted before the close (CVE-2025-68810)
 */
#include "world.pml"

byte page = NONE;
bool is_private = true;
bool slots_lock, invalidate, mmu;
byte in_progress, sequence, range;

/* The slot of our guest page is 1; 2 is another slot of the file. */
bool slot = true, slot_freed, slot_has_file = true, bound = true, slot_flag = true;
bool dying;

inline fault()
{
	byte seen, got;

	seen = sequence;
	if
	:: !slot -> done = true
	:: slot && is_private ->
		if
		:: !slot_has_file || dying -> done = true
		:: else ->
			d_step {
				if
				:: page == NONE -> new_page(page, true)
				:: else
				fi;
				got = page;
				STORY("vCPU: faults and gets page %d of the file\n", got)
			}
		fi
	:: slot && !is_private ->
		got = PROGRAM;
		STORY("vCPU: faults and gets the program's page %d\n", got)
	fi;
	if
	:: done
	:: else ->
		LOCK(mmu);
		d_step {
			if
			:: (in_progress && (range & 1)) || seen != sequence
			:: else -> leaf = got; STORY("vCPU: maps page %d\n", got)
			fi
		}
		UNLOCK(mmu)
	fi;
	d_step { seen = 0; got = NONE }
}

inline begin(slots)
{
	LOCK(mmu);
	in_progress++;
#ifdef LAST_RANGE
	range = (slots & 2 -> 2 : 1);
#else
	range = range | slots;
#endif
	zap(gen);
	shootdown(gen);
	UNLOCK(mmu)
}

inline end()
{
	LOCK(mmu);
	d_step {
		sequence++;
		in_progress--;
		if
		:: !in_progress -> range = 0
		:: else
		fi
	}
	UNLOCK(mmu)
}

#if !defined(CLOSE) && !defined(TOGGLE)
GUEST(2)

active proctype puncher()
{
	byte gen;
	bool began;

	LOCK(invalidate);
	if
	:: bound ->
		begin(3);
		began = true;
		STORY("puncher: begin, for both slots of the file\n")
	:: else
	fi;
	d_step {
		freed[page] = page != NONE;
		STORY("puncher: frees page %d\n", page);
		page = NONE
	}
	if
	:: began -> end()
	:: else
	fi;
	UNLOCK(invalidate)
}

#ifndef LAST_RANGE
active proctype converter()
{
	byte gen;

	LOCK(slots_lock);
	begin(1);
	is_private = false;
	no_private = true;
	end();
	begin(1);
	no_shared = true;
	no_private = false;
	is_private = true;
	end();
	UNLOCK(slots_lock)
}
#endif
#endif

inline delete_slot()
{
	LOCK(slots_lock);
#ifdef TOGGLE
	d_step {
		slot_flag = false;
		STORY("slots: the flag is taken from the slot, the binding stays\n")
	}
#endif
	begin(1);
	slot = false;
	end();
	no_slot = true;
	if
	:: !slot_flag ->
		STORY("slots: no guest_memfd by its flags, nothing to unbind\n")
	:: slot_flag && dying ->
		STORY("slots: the file is closed just now, nothing to unbind\n");
#ifdef MENDED
		LOCK(invalidate);
		bound = false;
		UNLOCK(invalidate)
#endif
	:: else ->
		LOCK(invalidate);
		bound = false;
		UNLOCK(invalidate)
	fi;
	d_step {
		slot_freed = true;
		STORY("slots: the slot is freed\n")
	}
	UNLOCK(slots_lock)
}

#ifndef LAST_RANGE
active proctype slots()
{
	byte gen;

	delete_slot()
}
#endif

#if defined(CLOSE) || defined(TOGGLE)
active proctype closer()
{
	byte gen;

	d_step {
		dying = true;
		STORY("closer: the last reference is dropped\n")
	}
	LOCK(slots_lock);
	LOCK(invalidate);
	if
	:: bound ->
		d_step {
			STORY("closer: makes the bound slot forget the file\n");
			if
			:: slot_freed -> BROKEN("BROKEN: release() writes to a slot that is freed\n")
			:: else
			fi;
			slot_has_file = false
		}
	:: else
	fi;
	UNLOCK(invalidate);
	UNLOCK(slots_lock)
}
#endif
