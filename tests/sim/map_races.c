/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Windows of a guest_memfd that converts in place: the program touches, pins, maps, moves and forks while pages
 * change. What a page of a window gives is asked of the system itself.
 */
#include "kvm_world.h"

#include <errno.h>
#include <sys/mman.h>

#include "map/pins.h"
#include "map/share.h"

#define MIXED (SIM_RANDOM | SIM_PCT)

static uint64_t windows[2]; /* 0: not mapped now */
static unsigned int pinned[NR_PAGES];

static struct gmem_file *the_file(void)
{
	struct kvm_object *o = kw_object(kw.gmem);
	struct gmem_file *file = o ? kvm_gmem_host_file(o)->file : NULL;

	if (o)
		kvm_object_put(o);
	return file;
}

/* ---- what must hold ---------------------------------------------------------------------------- */

/* False: SIGBUS, or EFAULT. */
static bool readable(uint64_t addr)
{
	uint64_t word;

	return !os_copy_in(&word, addr, sizeof(word));
}

/* Who converts lets the host in before the page is shared, when no guest has it any more: not then. */
static void look_at(uint64_t window, struct gmem_file *file)
{
	for (unsigned int i = 0; i < NR_PAGES; i++) {
		bool is_private = gmem_file_is_private(file, i * PAGE);

		if (is_private && pinned[i])
			sim_fail("host: page %u is private and pinned", i);
		if (window && is_private && readable(window + i * PAGE))
			sim_fail("host: page %u is private and can be read", i);
	}
}

static void observes(void *arg)
{
	struct kvm_object *o = kw_object(kw.gmem);
	struct gmem_file *file = o ? kvm_gmem_host_file(o)->file : NULL;

	for (int i = 0; i < 4 && file; i++) {
		gmem_file_fault_begin(file);
		sim_alone_begin();
		look_at(windows[0], file);
		look_at(windows[1], file);
		sim_alone_end();
		gmem_file_fault_end(file);
	}
	if (o)
		kvm_object_put(o);
}

static void teardown(void)
{
	struct gmem_file *file = the_file();

	for (unsigned int w = 0; w < 2; w++)
		for (unsigned int i = 0; i < NR_PAGES && windows[w]; i++)
			if (readable(windows[w] + i * PAGE) == gmem_file_is_private(file, i * PAGE))
				sim_fail("host: page %u is as it should not be at the end", i);
	for (unsigned int w = 0; w < 2; w++)
		if (windows[w])
			kw_unmap(windows[w], NR_PAGES * PAGE);
	kw_unmake();
}

static void setup(unsigned int nr_windows)
{
	kw_make("in-place", GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	__builtin_memset(pinned, 0, sizeof(pinned));
	for (unsigned int i = 0; i < 2; i++)
		windows[i] = i < nr_windows ? kw_map() : 0;
	sim_spawn("observer", observes, NULL);
}

/* ---- actors ------------------------------------------------------------------------------------ */

static void converts(void *arg)
{
	for (int i = 0; i < 3; i++) {
		unsigned int page = sim_choose(NR_PAGES);
		long ret = kw_convert(page, 1 + sim_choose(NR_PAGES - page), i % 2 == 0);

		sim_note("conversion: %ld", ret);
		sim_assert(!ret || ret == -EBADF || (ret == -EAGAIN && i % 2 == 0));
	}
}

/* As a system call, which takes a page that is hidden for one that is not there. */
static void touches(void *arg)
{
	for (int i = 0; i < 3; i++) {
		uint64_t word = 7, addr = windows[0] + sim_choose(NR_PAGES) * PAGE;

		sim_point();
		if (os_copy_out(addr + 64, &word, sizeof(word)))
			sim_note("EFAULT");
	}
}

/* The call that pins a page: takes it, if it can be touched. */
static bool take(unsigned int page)
{
	bool taken;

	sim_point();
	sim_alone_begin();
	taken = readable(windows[0] + page * PAGE);
	pinned[page] += taken;
	sim_alone_end();
	return taken;
}

static void pins(void *arg)
{
	struct kvm_object *o = kw_object(kw.gmem);

	for (int i = 0; i < 2; i++) {
		unsigned int page = sim_choose(NR_PAGES);
		struct pin *pin;

		sim_assert(!pin_intend(kvm_gmem_host_file(o), page * PAGE, PAGE, &pin));
		if (!take(page)) {
			pin_settle(pin, 0);
			continue;
		}
		pin_settle(pin, PAGE);
		sim_note("page %u is pinned", page);
		sim_point();
		sim_point();
		pinned[page]--;
		pin_drop(pin);
	}
	kvm_object_put(o);
}

/* Holds its page until the conversion has been answered: pinned, it must be refused. */
static struct sim_fibre *only_converter;
static long only_answer;

static bool is_answered(void *unused)
{
	return sim_fibre_done(only_converter);
}

static void pins_and_waits(void *arg)
{
	struct kvm_object *o = kw_object(kw.gmem);
	struct pin *pin;

	sim_assert(!pin_intend(kvm_gmem_host_file(o), 0, PAGE, &pin));
	if (take(0)) {
		pin_settle(pin, PAGE);
		sim_wait_for(is_answered, NULL, "the conversion");
		if (only_answer != -EAGAIN)
			sim_fail("host: a page becomes private, which is pinned");
		pinned[0]--;
		pin_drop(pin);
	} else {
		pin_settle(pin, 0);
	}
	kvm_object_put(o);
}

static void converts_once(void *arg)
{
	only_answer = kw_convert(0, 1, true);
	sim_assert(!only_answer || only_answer == -EAGAIN);
}

static void maps(void *arg)
{
	for (int i = 0; i < 2; i++) {
		uint64_t at = kw_map();

		sim_note("a window at %llx", (unsigned long long)at);
		windows[1] = at;
		sim_point();
		windows[1] = 0;
		kw_unmap(at, NR_PAGES * PAGE);
	}
}

/* Cut out of the middle, and mapped again; protected, and back. */
static void changes_mappings(void *arg)
{
	uint64_t at = windows[1];

	windows[1] = 0;
	os_mutex_lock(&kw.map_lock);
	sim_assert(!host_map_mprotect(kvm_host_map(), at, PAGE, PROT_READ, -1));
	os_mutex_unlock(&kw.map_lock);
	kw_unmap(at + PAGE, PAGE);
	os_mutex_lock(&kw.map_lock);
	sim_assert(!host_map_mprotect(kvm_host_map(), at, PAGE, PROT_READ | PROT_WRITE, -1));
	os_mutex_unlock(&kw.map_lock);
	kw_unmap(at, PAGE);
	kw_unmap(at + 2 * PAGE, PAGE);
}

static void moves(void *arg)
{
	for (int i = 0; i < 2; i++) {
		uint64_t from = windows[1];
		long to;

		windows[1] = 0;
		os_mutex_lock(&kw.map_lock);
		to = host_map_mremap(kvm_host_map(), from, NR_PAGES * PAGE, NR_PAGES * PAGE,
				     MREMAP_MAYMOVE | MREMAP_FIXED, 0x600000000000 + i * 16 * PAGE);
		os_mutex_unlock(&kw.map_lock);
		sim_assert(to > 0);
		windows[1] = (uint64_t)to;
		sim_point();
	}
}

/* What the shim does around a fork, in the parent. No conversion is under way in between. */
static void forks(void *arg)
{
	for (int i = 0; i < 2; i++) {
		os_mutex_lock(&kw.map_lock);
		share_before_fork(kvm_host_map());
		pins_before_fork();
		kvm_before_fork();
		sim_point();
		kvm_after_fork_in_parent();
		pins_after_fork_in_parent();
		share_after_fork_in_parent(kvm_host_map());
		os_mutex_unlock(&kw.map_lock);
		sim_point();
	}
}

static void runs(void *arg)
{
	for (int i = 0; i < 2; i++)
		sim_assert(!kw_value(kw.vcpu, KVM_RUN, 0));
}

static void closes(void *arg)
{
	kw_close(kw.gmem);
}

/* ---- scenarios --------------------------------------------------------------------------------- */

static void setup_touch(void)
{
	setup(1);
	sim_spawn("converter", converts, NULL);
	sim_spawn("toucher", touches, NULL);
	sim_spawn("vCPU", runs, NULL);
}

SIM_SCENARIO(map_touched_while_converting) = {
	.about =
		"the program touches a window and a vCPU runs while pages convert: who reads a private "
		"page is refused",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_touch,
	.teardown = teardown,
};

static void setup_pins(void)
{
	setup(1);
	sim_spawn("converter", converts, NULL);
	sim_spawn("pinner", pins, NULL);
}

SIM_SCENARIO(map_pinned_while_converting) = {
	.about =
		"pages are pinned through a window while they convert: the conversion or the pin is "
		"refused",
	.searches = MIXED,
	.share = 2,
	.threads_stay = true,
	.setup = setup_pins,
	.teardown = teardown,
};

static void setup_pinned_in_the_gap(void)
{
	kw_make("in-place", GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	__builtin_memset(pinned, 0, sizeof(pinned));
	windows[0] = kw_map();
	windows[1] = 0;
	only_converter = sim_spawn("converter", converts_once, NULL);
	sim_spawn("pinner", pins_and_waits, NULL);
}

SIM_SCENARIO(map_pinned_before_it_is_hidden) = {
	.about = "a page is pinned when a conversion has looked for pins and has not hidden it yet",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_pinned_in_the_gap,
	.teardown = teardown,
};

static void setup_mapped(void)
{
	setup(1);
	sim_spawn("converter", converts, NULL);
	sim_spawn("mapper", maps, NULL);
}

SIM_SCENARIO(map_mapped_while_converting) = {
	.about = "windows come and go while pages convert: a new one hides what is private",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_mapped,
	.teardown = teardown,
};

static void setup_cut(void)
{
	setup(2);
	sim_spawn("converter", converts, NULL);
	sim_spawn("cutter", changes_mappings, NULL);
}

SIM_SCENARIO(map_cut_while_converting) = {
	.about = "a window is protected and cut to pieces while pages convert",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_cut,
	.teardown = teardown,
};

static void setup_moved(void)
{
	setup(2);
	sim_spawn("converter", converts, NULL);
	sim_spawn("mover", moves, NULL);
}

SIM_SCENARIO(map_moved_while_converting) = {
	.about = "a window is moved while pages convert",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_moved,
	.teardown = teardown,
};

static void setup_fork(void)
{
	setup(1);
	sim_spawn("converter", converts, NULL);
	sim_spawn("forker", forks, NULL);
	sim_spawn("pinner", pins, NULL);
	sim_spawn("vCPU", runs, NULL);
}

SIM_SCENARIO(map_fork_while_converting) = {
	.about =
		"a fork takes every lock while pages convert, are pinned and run: nobody waits for good",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_fork,
	.teardown = teardown,
};

static void teardown_closed(void)
{
	kw_unmap(windows[0], NR_PAGES * PAGE);
	windows[0] = 0;
	kw_unmake();
}

static void setup_closed(void)
{
	setup(1);
	sim_spawn("converter", converts, NULL);
	sim_spawn("closer", closes, NULL);
	sim_spawn("vCPU", runs, NULL);
}

SIM_SCENARIO(map_closed_while_converting) = {
	.about =
		"the descriptor is closed while pages convert: the file lives as long as its window",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_closed,
	.teardown = teardown_closed,
};
