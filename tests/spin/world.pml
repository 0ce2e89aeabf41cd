/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * What all the models share: one guest page, one vCPU with a TLB, a nested page table of one entry, and pages
 * that are freed. A translation is the number of a page; 0 is none. Pages are never used again after they are
 * freed, so whoever touches a freed one is caught, whatever it has become.
 *
 * How a vCPU is made to drop what it remembers is here in short: a generation, a request, and a wait for a vCPU
 * that is inside the guest. shootdown.pml has it at length.
 */
#define NONE 0
#define PROGRAM 1 /* the first page of the program's memory, which is what a shared page is */
#define NR_PAGES 8

byte leaf = NONE, tlb = NONE;
bool inside, request;
byte wanted, flushed;

bool freed[NR_PAGES];
bool of_file[NR_PAGES];
byte newest = PROGRAM;

/* Set when a call has promised that the vCPU cannot use such a page any more. */
bool no_shared, no_private, no_slot;

#define STORY(...) printf(__VA_ARGS__)
#define BROKEN(what) printf(what); assert(false)

#define LOCK(l) atomic { !l -> l = true }
#define UNLOCK(l) l = false
#define WRITE_LOCK(l) atomic { !l##_written && !l##_readers -> l##_written = true }
#define WRITE_UNLOCK(l) l##_written = false
#define READ_LOCK(l) atomic { !l##_written -> l##_readers++ }
#define READ_UNLOCK(l) atomic { l##_readers-- }

/* A page that nobody had before. */
inline new_page(place, file)
{
	newest++;
	place = newest;
	of_file[newest] = file
}

/* Under the lock of the page table: gen is the flush that makes the zap true for the vCPU. */
inline zap(gen)
{
	d_step {
		wanted = wanted + (leaf != NONE);
		leaf = NONE;
		gen = wanted
	}
}

/* Waits until the vCPU uses nothing that was zapped before gen. */
inline shootdown(gen)
{
	d_step {
		request = request || flushed < gen
	}
	(!inside || flushed >= gen)
}

inline look_at_requests()
{
	d_step {
		if
		:: request ->
			request = false;
			tlb = NONE;
			flushed = wanted
		:: else
		fi
	}
}

#ifndef OWN_USE
/* One access of the guest to the page t. */
inline use(t)
{
	d_step {
		STORY("vCPU: uses page %d\n", t);
		if
		:: freed[t] -> BROKEN("BROKEN: the guest uses a page that is freed\n")
		:: no_slot -> BROKEN("BROKEN: the guest uses a page of a slot that is gone\n")
		:: no_shared && !of_file[t] -> BROKEN("BROKEN: the guest uses the shared page, which is private now\n")
		:: no_private && of_file[t] -> BROKEN("BROKEN: the guest uses the private page, which it no longer has\n")
		:: else
		fi
	}
}
#endif

/* The guest's side of all models, which say what fault() is. It leaves done = true when it has told the VMM. */
#define GUEST(accesses)                                                                         \
	active proctype vcpu()                                                                  \
	{                                                                                       \
		byte n, t;                                                                      \
		bool done;                                                                      \
		do                                                                              \
		:: n == accesses -> break                                                       \
		:: else ->                                                                      \
			done = false;                                                           \
			do                                                                      \
			:: done -> break                                                        \
			:: else ->                                                              \
				atomic { inside = true; look_at_requests() }                    \
				d_step {                                                        \
					if                                                      \
					:: tlb == NONE -> tlb = leaf                            \
					:: else                                                 \
					fi;                                                     \
					t = tlb                                                 \
				}                                                               \
				if                                                              \
				:: t != NONE -> use(t); done = true                             \
				:: else                                                         \
				fi;                                                             \
				inside = false;                                                 \
				if                                                              \
				:: !done -> fault()                                             \
				:: else                                                         \
				fi                                                              \
			od;                                                                     \
			n++                                                                     \
		od                                                                              \
	}
