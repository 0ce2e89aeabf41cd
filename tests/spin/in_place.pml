/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * gmem, where the file says which of its pages are private: core/convert.c and bracket.c, the consumers of
 * mmu/consumer.c and map/host_file.c, mmu/fault.c, map/pins.h, on one page. A translation of the vCPU is twice the
 * page, plus one when it was made because the page was private.
 *
 *	actors		CONVERT	to shared, to private, to shared
 *			PUNCH, CLOSE, DELETE
 *			MAP	a thread makes a window of the file and touches it, twice
 *			PIN	a thread counts an intent, and then pins what its window shows
 *			HVA	the slot takes shared pages from the program's memory, not from the file
 *			SHARED_FIRST	the page begins shared
 *	orders that are not ours
 *			NO_SECOND_LOOK	a fault believes what it has read without the file's lock
 *			HOST_FIRST	the host sees the page before the guest has lost it
 *			ONE_LOOK_AT_PINS	only before the pages are hidden
 *			NO_INTENT	a pin counts when it is there, not from before
 *			MAP_UNHELD	a window is made without the file's lock
 */
#define OWN_USE
#include "world.pml"

#ifndef ACCESSES
#define ACCESSES 2
#endif

byte page = NONE;
#ifdef SHARED_FIRST
bool is_private = false;
#else
bool is_private = true;
#endif

bool slots_lock, mmu, registry;
bool inval_written;
byte inval_readers;

byte gfn_open, gfn_closed;
bool slot = true, slot_invalid, slot_file = true;
bool bound = true, watched = true, released;
bool slot_freed;

bool window, shown; /* there is one; it shows the page */
byte intents, pinned;

/* A conversion to private has said so, and none to shared is on its way that has taken the page from the guest. */
bool no_host;

#define PRIVATE(t) (t % 2)

/* Has the vCPU, now, a private translation that it may still use? */
#define GUEST_HAS_PRIVATE (PRIVATE(leaf) || (PRIVATE(tlb) && (inside || !request)))

inline use(t)
{
	d_step {
		STORY("vCPU: uses page %d\n", t / 2);
		if
		:: freed[t / 2] -> BROKEN("BROKEN: the guest uses a page that is freed\n")
		:: no_slot -> BROKEN("BROKEN: the guest uses a page of a slot that is gone\n")
		:: no_private && PRIVATE(t) -> BROKEN("BROKEN: the guest uses the page as private, which it is not\n")
		:: no_shared && !PRIVATE(t) -> BROKEN("BROKEN: the guest uses the page as shared, which it is not\n")
		:: PRIVATE(t) && shown -> BROKEN("BROKEN: the guest uses a private page that the host sees\n")
		:: PRIVATE(t) && pinned -> BROKEN("BROKEN: the guest uses a private page that somebody has pinned\n")
		:: else
		fi
	}
}

/* ---- faults ---- */

inline install(t)
{
	LOCK(mmu);
	d_step {
		if
		:: gfn_open || gfn_closed != gfn_seen
		:: else ->
			if
			:: slot_freed -> BROKEN("BROKEN: a fault looks at a slot that is freed\n")
			:: else
			fi;
			leaf = t;
			STORY("vCPU: maps page %d\n", t / 2)
		fi
	}
	UNLOCK(mmu)
}

inline fault_held(from_file)
{
	if
#ifndef NO_SECOND_LOOK
	:: (is_private && !released) != saw_private
#endif
	:: from_file && released -> done = true
	:: else ->
		d_step {
			if
			:: from_file && page == NONE -> new_page(page, true)
			:: else
			fi;
			got = (from_file -> 2 * page + saw_private : 2 * PROGRAM);
			STORY("vCPU: gets page %d\n", got / 2)
		}
		install(got)
	fi
}

inline fault()
{
	byte gfn_seen, got, way;
	bool saw_private;

	LOCK(mmu);
	d_step {
		gfn_seen = gfn_closed;
		saw_private = slot_file && is_private && !released;
		if
		:: !slot -> way = 0
		:: slot && (slot_invalid || gfn_open) -> way = 1
		:: slot && !slot_invalid && !gfn_open && slot_file -> way = 2
		:: slot && !slot_invalid && !gfn_open && !slot_file -> way = 0
		fi
	}
	UNLOCK(mmu);
	if
	:: way == 0 -> done = true
	:: way == 1
	:: way == 2 ->
		READ_LOCK(inval);
#ifdef HVA
		fault_held(saw_private);
#else
		fault_held(true);
#endif
		READ_UNLOCK(inval)
	fi;
	d_step { gfn_seen = 0; got = NONE; way = 0; saw_private = false }
}

GUEST(ACCESSES)

/* ---- the bracket ---- */

inline begin_by_file()
{
	if
	:: watched ->
		LOCK(mmu);
		d_step {
			gen = wanted;
			hit = bound && leaf != NONE
		}
		if
		:: hit -> zap(gen)
		:: else
		fi;
		UNLOCK(mmu);
		shootdown(gen)
	:: else
	fi
}

#ifdef CONVERT
inline show_window()
{
	LOCK(registry);
	shown = window;
	UNLOCK(registry)
}

inline to_shared()
{
	WRITE_LOCK(inval);
	if
	:: released
	:: else ->
#ifdef HOST_FIRST
		no_host = false;
		show_window();
		begin_by_file();
#else
		begin_by_file();
		no_host = false;
		show_window();
#endif
		d_step {
			no_private = true;
			no_shared = false;
			is_private = false;
			STORY("converter: the page is shared\n")
		}
	fi;
	WRITE_UNLOCK(inval)
}

inline to_private()
{
	WRITE_LOCK(inval);
	if
	:: released
	:: intents && !released -> STORY("converter: refused, the page is pinned\n")
	:: else ->
		begin_by_file();
		LOCK(registry);
		shown = false;
		UNLOCK(registry);
		d_step {
			STORY("converter: the page is hidden\n");
#ifdef ONE_LOOK_AT_PINS
			again = false
#else
			again = intents
#endif
		}
		if
		:: again ->
			STORY("converter: refused, the page was pinned meanwhile\n");
			show_window()
		:: else ->
			d_step {
				no_private = false;
				no_shared = true;
				no_host = true;
				is_private = true;
				STORY("converter: the page is private\n")
			}
		fi
	fi;
	WRITE_UNLOCK(inval)
}

active proctype converter()
{
	byte gen;
	bool hit, again;

#ifndef SHARED_FIRST
	to_shared();
#endif
	to_private();
#ifdef SHARED_FIRST
	to_shared();
#endif
	gen = 0
}
#endif

#ifdef PUNCH
active proctype puncher()
{
	byte gen;
	bool hit;

	WRITE_LOCK(inval);
	begin_by_file();
	d_step {
		freed[page] = page != NONE;
		STORY("puncher: frees page %d\n", page);
		page = NONE
	}
	WRITE_UNLOCK(inval)
}
#endif

#ifdef CLOSE
active proctype closer()
{
	byte gen;
	bool hit;

	LOCK(slots_lock);
	WRITE_LOCK(inval);
	begin_by_file();
	d_step {
		released = true;
		freed[page] = page != NONE;
		page = NONE;
		no_private = true;
		/* A page whose file is gone is shared: what the slot has of the program's memory. */
		no_shared = false;
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

#ifdef DELETE
active proctype deleter()
{
	byte gen;

	LOCK(slots_lock);
	LOCK(mmu);
	slot_invalid = true;
	gfn_open++;
	zap(gen);
	UNLOCK(mmu);
	shootdown(gen);
	LOCK(mmu);
	slot = false;
	UNLOCK(mmu);
	no_slot = true;
	LOCK(mmu);
	d_step {
		gfn_open--;
		gfn_closed++
	}
	UNLOCK(mmu);
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

/* ---- the host ---- */

inline make_window()
{
#ifndef MAP_UNHELD
	READ_LOCK(inval);
#endif
	saw_private = is_private;
	LOCK(registry);
	d_step {
		window = true;
		shown = !saw_private
	}
	UNLOCK(registry);
#ifndef MAP_UNHELD
	READ_UNLOCK(inval)
#endif
}

#ifdef MAP
active proctype host()
{
	byte n;
	bool saw_private;

	make_window();
	do
	:: n == 2 -> break
	:: else ->
		d_step {
			n++;
			if
			:: shown && GUEST_HAS_PRIVATE ->
				BROKEN("BROKEN: the host sees a page that is the guest's alone\n")
			:: shown && no_host ->
				BROKEN("BROKEN: the host sees a private page\n")
			:: else
			fi
		}
	od
}
#endif

#ifdef PIN
active proctype pinner()
{
	bool saw_private, taken;

	make_window();
#ifndef NO_INTENT
	d_step {
		intents++;
		STORY("pinner: says what it is about to pin\n")
	}
#endif
	d_step {
		taken = shown;
		pinned = pinned + taken;
		if
		:: taken -> STORY("pinner: pins page %d\n", page)
		:: else
		fi
	}
#ifdef NO_INTENT
	intents = intents + taken;
#endif
	/* For a while. */
	if
	:: taken ->
		d_step {
			pinned--;
			STORY("pinner: lets go\n")
		}
	:: else
	fi;
	d_step {
		intents = intents - (intents > 0)
	}
}
#endif
