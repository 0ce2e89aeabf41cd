/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * gmem, where the VM says by gfn which page is private: the locks and steps of mmu/fault.c, invalidate.c,
 * consumer.c, memslot.c and core/file.c, on one guest page. A shared page is the program's own memory.
 *
 *	actors		CONVERT	to shared and back, by gfn, under the slots lock, with a window
 *			VMM_PUNCHES	with CONVERT: to shared, and then the VMM frees the private page
 *			PUNCH	under the file's invalidate lock, without one
 *			UNMAP	the program's page is taken away and another is put there, with a window by address
 *			DELETE	the slot, with a window; then it is unbound and freed
 *			CLOSE	the last descriptor: release
 *	orders that are not ours, to see that the model would tell
 *			NO_HOLD	a fault lets go of the file before its leaf is in
 *			NO_WINDOW	no window: only what was zapped counts
 *			NO_SEQUENCE	windows that have closed since are not looked at
 *			NO_OTHERS	who finds nothing to zap does not wait for the flush of another
 *			NO_SECOND_LOOK	a fault does not ask again, with the file's lock, whether the page is private
 *			VMM_PUNCHES_FIRST	the VMM frees the private page and converts then, not the other way round
 */
#include "world.pml"

#ifndef ACCESSES
#define ACCESSES 2
#endif

byte page = NONE, program = PROGRAM;
bool is_private = true;

bool slots_lock, mmu;
bool inval_written;
byte inval_readers;

/* Under the mmu lock. */
byte gfn_open, gfn_closed, hva_open, hva_closed;
bool slot = true, slot_invalid, slot_file = true;

/* Under the invalidate lock. */
bool bound = true, watched = true, released;
bool slot_freed;

/* ---- faults ---- */

inline install(t, by_hva)
{
	LOCK(mmu);
	d_step {
		if
#ifndef NO_WINDOW
		:: gfn_open || (by_hva && hva_open)
#endif
#ifndef NO_SEQUENCE
		:: gfn_closed != gfn_seen || (by_hva && hva_closed != hva_seen)
#endif
		:: else ->
			if
			:: slot_freed -> BROKEN("BROKEN: a fault looks at a slot that is freed\n")
			:: else
			fi;
			leaf = t;
			STORY("vCPU: maps page %d\n", t)
		fi
	}
	UNLOCK(mmu)
}

inline fault_file()
{
	READ_LOCK(inval);
	if
#ifndef NO_SECOND_LOOK
	:: gfn_closed != gfn_seen && !is_private
#endif
	:: released -> done = true
	:: else ->
		d_step {
			if
			:: page == NONE -> new_page(page, true)
			:: else
			fi;
			got = page;
			STORY("vCPU: gets page %d of the file\n", got)
		}
#ifdef NO_HOLD
		READ_UNLOCK(inval);
		install(got, false);
		READ_LOCK(inval);
#else
		install(got, false);
#endif
	fi;
	READ_UNLOCK(inval)
}

inline fault()
{
	byte gfn_seen, hva_seen, got;
	byte way;

	LOCK(mmu);
	d_step {
		gfn_seen = gfn_closed;
		hva_seen = hva_closed;
		if
		:: !slot -> way = 0
		:: slot && (slot_invalid || gfn_open) -> way = 1
		:: slot && !slot_invalid && !gfn_open && is_private -> way = (slot_file -> 2 : 0)
		:: slot && !slot_invalid && !gfn_open && !is_private -> way = 3
		fi
	}
	UNLOCK(mmu);
	if
	:: way == 0 -> done = true
	:: way == 1
	:: way == 2 -> fault_file()
	:: way == 3 ->
		d_step {
			got = program;
			STORY("vCPU: gets the program's page %d\n", got)
		}
		install(got, true)
	fi;
	d_step { gfn_seen = 0; hva_seen = 0; got = NONE; way = 0 }
}

GUEST(ACCESSES)

/* ---- those who change something ---- */

inline wait_for_flush()
{
#ifdef NO_OTHERS
	if
	:: hit -> shootdown(gen)
	:: else
	fi
#else
	shootdown(gen)
#endif
}

inline begin_by_gfn()
{
	LOCK(mmu);
	d_step {
		gfn_open++;
		hit = leaf != NONE
	}
	zap(gen);
	UNLOCK(mmu);
	wait_for_flush()
}

inline end_by_gfn()
{
	LOCK(mmu);
	d_step {
		gfn_open--;
		gfn_closed++
	}
	UNLOCK(mmu)
}

inline begin_by_file()
{
	LOCK(mmu);
	d_step {
		hit = bound && leaf != NONE && of_file[leaf];
		gen = wanted
	}
	if
	:: hit -> zap(gen)
	:: else
	fi;
	UNLOCK(mmu);
	wait_for_flush()
}

inline punch()
{
	WRITE_LOCK(inval);
	if
	:: watched -> begin_by_file()
	:: else
	fi;
	d_step {
		freed[page] = page != NONE;
		STORY("a punch frees page %d\n", page);
		page = NONE
	}
	WRITE_UNLOCK(inval)
}

#ifdef PUNCH
active proctype puncher()
{
	byte gen;
	bool hit;

	punch()
}
#endif

#ifdef CONVERT
inline to_shared()
{
	begin_by_gfn();
	d_step {
		no_private = true;
		no_shared = false;
		is_private = false;
		STORY("converter: the page is shared\n")
	}
	end_by_gfn()
}

inline to_private()
{
	begin_by_gfn();
	d_step {
		no_private = false;
		no_shared = true;
		is_private = true;
		STORY("converter: the page is private\n")
	}
	end_by_gfn()
}

active proctype converter()
{
	byte gen;
	bool hit;

#ifdef VMM_PUNCHES_FIRST
	punch();
#endif
	LOCK(slots_lock);
	to_shared();
	UNLOCK(slots_lock);
#ifdef VMM_PUNCHES
	punch();
#endif
#if defined(VMM_PUNCHES) || defined(VMM_PUNCHES_FIRST)
	d_step {
		if
		:: page != NONE -> BROKEN("BROKEN: a shared page keeps its private memory\n")
		:: else
		fi
	}
#else
	LOCK(slots_lock);
	to_private();
	UNLOCK(slots_lock)
#endif
}
#endif

#ifdef UNMAP
active proctype unmapper()
{
	byte gen;
	bool hit;

	LOCK(mmu);
	d_step {
		hva_open++;
		hit = slot && leaf != NONE;
		gen = wanted
	}
	if
	:: hit -> zap(gen)
	:: else
	fi;
	UNLOCK(mmu);
	wait_for_flush();
	d_step {
		freed[program] = true;
		new_page(program, false);
		STORY("unmapper: another page is in the program's place, %d\n", program)
	}
	LOCK(mmu);
	d_step {
		hva_open--;
		hva_closed++
	}
	UNLOCK(mmu)
}
#endif

#ifdef DELETE
active proctype deleter()
{
	byte gen;
	bool hit, had_file;

	LOCK(slots_lock);
	LOCK(mmu);
	slot_invalid = true;
	UNLOCK(mmu);
	begin_by_gfn();
	LOCK(mmu);
	slot = false;
	UNLOCK(mmu);
	d_step {
		no_slot = true;
		STORY("deleter: the slot is out of the table\n")
	}
	end_by_gfn();
	if
	:: slot_file ->
		WRITE_LOCK(inval);
		bound = false;
		WRITE_UNLOCK(inval);
		WRITE_LOCK(inval);
		watched = false;
		WRITE_UNLOCK(inval)
	:: else
	fi;
	slot_freed = true;
	UNLOCK(slots_lock)
}
#endif

#ifdef CLOSE
active proctype closer()
{
	byte gen;
	bool hit;

	LOCK(slots_lock);
	WRITE_LOCK(inval);
	if
	:: watched -> begin_by_file()
	:: else
	fi;
	d_step {
		released = true;
		freed[page] = page != NONE;
		page = NONE;
		no_private = true;
		STORY("closer: the file and all its pages are gone\n")
	}
	if
	:: watched ->
		LOCK(mmu);
		d_step {
			if
			:: bound && slot_freed -> BROKEN("BROKEN: release writes to a slot that is freed\n")
			:: else
			fi;
			slot_file = false
		}
		UNLOCK(mmu)
	:: else
	fi;
	bound = false;
	watched = false;
	WRITE_UNLOCK(inval);
	UNLOCK(slots_lock)
}
#endif
