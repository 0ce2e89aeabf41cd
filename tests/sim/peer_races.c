/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Two processes that have the same guest_memfd: conversions at home and from elsewhere, windows in both, pins, lateness
 * and death, with the messages between them on their way for any time. */
#include <errno.h>

#include "map/pins.h"
#include "peer.h"

#define MIXED (SIM_RANDOM | SIM_PCT)
#define LATE_NS 3000000 /* the patience is a millisecond */

static struct peer peer, other;
static uint64_t window; /* of the home */

/* ---- what must hold ---------------------------------------------------------------------------- */

static bool readable(uint64_t addr)
{
	uint64_t word;

	return !os_copy_in(&word, addr, sizeof(word));
}

static void none_reads_private(struct gmem_file *file)
{
	uint64_t windows[] = { window, peer.window, other.window };

	for (unsigned int i = 0; i < NR_PAGES; i++)
		for (unsigned int w = 0; w < 3 && gmem_file_is_private(file, i * PAGE); w++)
			if (windows[w] && readable(windows[w] + i * PAGE))
				sim_fail("host: page %u is private and can be read %s", i,
					 w ? "elsewhere" : "at home");
}

/* Held: no conversion is under way, and what the last has told is done. */
static void observes(void *arg)
{
	struct gmem_file *file = peer_home_file()->file;

	for (int i = 0; i < 4; i++) {
		gmem_file_fault_begin(file);
		sim_alone_begin();
		none_reads_private(file);
		sim_alone_end();
		gmem_file_fault_end(file);
	}
}

static void all_agree(const struct peer *p, struct gmem_file *file)
{
	for (unsigned int i = 0; i < NR_PAGES && p->window; i++)
		if (readable(p->window + i * PAGE) == gmem_file_is_private(file, i * PAGE))
			sim_fail("host: page %u is elsewhere as it should not be at the end", i);
}

/* The late have caught up. */
static void teardown(void)
{
	struct gmem_file *file = peer_home_file()->file;
	struct peer *peers[] = { &peer, &other };

	for (unsigned int i = 0; i < 2; i++)
		if (peers[i]->file && !peers[i]->dead)
			peer_settle(peers[i]);
	gmem_file_fault_begin(file);
	none_reads_private(file);
	all_agree(&peer, file);
	all_agree(&other, file);
	gmem_file_fault_end(file);
	for (unsigned int i = 0; i < 2; i++)
		if (peers[i]->file)
			peer_unmake(peers[i]);
	kw_unmap(window, NR_PAGES * PAGE);
	kw_unmake();
}

static void setup(void)
{
	other = (struct peer){ 0 };
	kw_make("in-place", GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	window = kw_map();
	peer_make(&peer);
	sim_spawn("observer", observes, NULL);
}

/* ---- actors ------------------------------------------------------------------------------------ */

static void converts(void *arg)
{
	for (int i = 0; i < 3; i++) {
		unsigned int page = sim_choose(NR_PAGES);
		long ret = kw_convert(page, 1 + sim_choose(NR_PAGES - page), i % 2 == 0);

		sim_note("conversion: %ld", ret);
		sim_assert(!ret || (ret == -EAGAIN && i % 2 == 0));
	}
}

static void converts_elsewhere(void *arg)
{
	for (int i = 0; i < 3; i++) {
		unsigned int page = sim_choose(NR_PAGES);
		int ret = peer_convert(&peer, page, 1 + sim_choose(NR_PAGES - page), i % 2 == 0);

		sim_note("conversion from elsewhere: %d", ret);
		sim_assert(!ret || ret == -EAGAIN);
	}
}

static void maps_elsewhere(void *arg)
{
	for (int i = 0; i < 2; i++) {
		uint64_t at = peer_map(&peer);

		other.window = at;
		sim_point();
		other.window = 0;
		peer_unmap(&peer, at);
	}
}

static void dies(void *arg)
{
	peer_kill(&peer);
}

static void comes(void *arg)
{
	struct peer p;

	peer_make(&p);
	other = p;
}

static void pause_for(uint64_t ns)
{
	_Atomic uint32_t never = 0;
	uint64_t end = os_clock_ns() + ns;

	while (os_clock_ns() < end)
		os_wait(&never, 0, (int64_t)ns);
}

/* Its agent has to wait. */
static void is_late(void *arg)
{
	for (int i = 0; i < 2; i++) {
		os_mutex_lock(&peer.link->apply);
		pause_for(LATE_NS);
		os_mutex_unlock(&peer.link->apply);
		sim_point();
	}
}

/* ---- scenarios --------------------------------------------------------------------------------- */

static void setup_both_convert(void)
{
	setup();
	sim_spawn("converter at home", converts, NULL);
	sim_spawn("converter elsewhere", converts_elsewhere, NULL);
}

SIM_SCENARIO(peer_both_convert) = {
	.about = "a process and the home convert pages that both have mapped",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_both_convert,
	.teardown = teardown,
};

static void setup_maps(void)
{
	setup();
	sim_spawn("converter", converts, NULL);
	sim_spawn("mapper elsewhere", maps_elsewhere, NULL);
}

SIM_SCENARIO(peer_maps_while_converting) = {
	.about = "a process maps the file, and unmaps it, while the home converts",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_maps,
	.teardown = teardown,
};

static void setup_comes(void)
{
	setup();
	sim_spawn("converter", converts, NULL);
	sim_spawn("newcomer", comes, NULL);
}

SIM_SCENARIO(peer_comes_while_converting) = {
	.about =
		"a process gets the file, asks what is shared and maps it, while the home converts",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_comes,
	.teardown = teardown,
};

static void setup_dies(void)
{
	setup();
	sim_spawn("converter", converts, NULL);
	sim_spawn("killer", dies, NULL);
	sim_spawn("newcomer", comes, NULL);
}

SIM_SCENARIO(peer_dies_and_another_comes) = {
	.about = "a process is killed while it is told to hide, and another takes its place: the "
		 "dead is not waited for, the new is told all",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_dies,
	.teardown = teardown,
};

static void setup_late(void)
{
	setup();
	atomic_store(&host_file_patience_ms, 1);
	sim_spawn("converter", converts, NULL);
	sim_spawn("late", is_late, NULL);
}

SIM_SCENARIO(peer_is_late) = {
	.about = "a process does not hide in time: the conversion is refused, and it has all of it "
		 "again",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_late,
	.teardown = teardown,
};

/* ---- forks ------------------------------------------------------------------------------------- */

static bool forked;

static bool is_forked(void *unused)
{
	return forked;
}

static void forks(void *arg)
{
	peer_fork(arg, &other);
	forked = true;
}

static void is_child(void *arg)
{
	sim_wait_for(is_forked, NULL, "the fork");
	peer_is_born(&other);
}

static void setup_forks(struct peer *parent)
{
	setup();
	peer_make_unborn(&other);
	forked = false;
	sim_spawn("converter", converts, NULL);
	sim_spawn("forker", forks, parent);
	sim_spawn("child", is_child, NULL);
}

static void setup_home_forks(void)
{
	setup_forks(NULL);
}

SIM_SCENARIO(peer_is_forked_by_the_home) = {
	.about = "the home forks while it converts: the child has what was shared when it was "
		 "forked, and is told what becomes of it",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_home_forks,
	.teardown = teardown,
};

static void setup_peer_forks(void)
{
	setup_forks(&peer);
}

SIM_SCENARIO(peer_forks_while_converting) = {
	.about = "a process forks that may not have been told yet: its child is told, and waited "
		 "for",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_peer_forks,
	.teardown = teardown,
};

static void setup_late_peer_forks(void)
{
	setup_forks(&peer);
	atomic_store(&host_file_patience_ms, 1);
	sim_spawn("late", is_late, NULL);
}

SIM_SCENARIO(peer_forks_when_it_is_late) = {
	.about = "a process forks that has missed what it was to be told: its child is told that, "
		 "too",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_late_peer_forks,
	.teardown = teardown,
};

/* ---- pins elsewhere ---------------------------------------------------------------------------- */

static struct sim_fibre *only_converter;
static long only_answer;

static bool is_answered(void *unused)
{
	return sim_fibre_done(only_converter);
}

/* Holds its page until the conversion has been answered: pinned, it must be refused. */
static void pins_and_waits(void *arg)
{
	struct pin *pin;
	bool taken;

	sim_assert(!pin_intend(peer.file, 0, PAGE, &pin));
	sim_point();
	taken = readable(peer.window);
	pin_settle(pin, taken ? PAGE : 0);
	if (!taken)
		return;
	sim_wait_for(is_answered, NULL, "the conversion");
	if (only_answer != -EAGAIN)
		sim_fail("host: a page becomes private, which is pinned elsewhere");
	pin_drop(pin);
}

static void converts_once(void *arg)
{
	only_answer = kw_convert(0, 1, true);
	sim_assert(!only_answer || only_answer == -EAGAIN);
}

static void setup_pins(void)
{
	setup();
	only_converter = sim_spawn("converter", converts_once, NULL);
	sim_spawn("pinner", pins_and_waits, NULL);
}

SIM_SCENARIO(peer_pins_before_it_hides) = {
	.about = "a process pins a page that the home converts: one of the two is refused",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_pins,
	.teardown = teardown,
};

/* ---- punches from elsewhere -------------------------------------------------------------------- */

#define BEFORE 5u
#define AFTER 7u

static uint64_t word_of(uint64_t page)
{
	uint64_t word = 0;

	sim_assert(!os_copy_in(&word, window + page * PAGE, sizeof(word)));
	return word;
}

static void set_word(uint64_t at, uint64_t word)
{
	sim_assert(!os_copy_out(at, &word, sizeof(word)));
}

/* What is written after it is not freed by it. */
static void punches_and_writes(void *arg)
{
	int ret = host_file_punch(peer.file, PAGE, PAGE);

	sim_note("punch: %d", ret);
	sim_assert(!ret || ret == -EAGAIN);
	if (!ret && word_of(1) != 0)
		sim_fail("contents: a page is not zero, which was punched from elsewhere");
	set_word(peer.window + PAGE, AFTER);
}

static void holds_the_file(void *arg)
{
	struct host_file *f = peer_home_file();

	host_file_hold(f);
	pause_for(2 * LATE_NS);
	host_file_let(f);
}

/* Until what was asked for is done or never will be: what comes after it is answered after it. */
static void settle_requests(void)
{
	struct gmem_run run;
	uint32_t nr;

	while (host_file_query(peer.file, 0, PAGE, &run, 1, &nr) || !nr)
		os_yield();
}

static void teardown_punched(void)
{
	settle_requests();
	if (word_of(1) != AFTER)
		sim_fail("contents: what was written after a punch is gone");
	teardown();
}

static void setup_punches(void)
{
	setup();
	atomic_store(&host_file_patience_ms, 1);
	set_word(window + PAGE, BEFORE);
	sim_spawn("puncher", punches_and_writes, NULL);
	sim_spawn("holder", holds_the_file, NULL);
}

SIM_SCENARIO(peer_punches_and_writes) = {
	.about = "a process asks a slow home for a punch, and writes to the page when it is "
		 "answered",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_punches,
	.teardown = teardown_punched,
};

/* ---- what is taken back -------------------------------------------------------------------------- */

static int answer;

/* Nobody else converts: it is so, or not, for good. */
static void asks_once(void *arg)
{
	answer = peer_convert(&peer, 0, 1, true);
	sim_note("conversion from elsewhere: %d", answer);
	sim_assert(!answer || answer == -EAGAIN);
}

static void teardown_taken_back(void)
{
	struct host_file *f = peer_home_file();

	settle_requests();
	if (gmem_file_is_private(f->file, 0) != !answer)
		sim_fail("conversion: answered with %d, and page 0 is %s", answer,
			 answer ? "private" : "shared");
	teardown();
}

static void setup_taken_back(void)
{
	setup();
	atomic_store(&host_file_patience_ms, 1);
	sim_spawn("asker", asks_once, NULL);
	sim_spawn("holder", holds_the_file, NULL);
}

SIM_SCENARIO(peer_takes_back) = {
	.about = "a process asks for a conversion and gives it up while the home is at it: it is "
		 "made, or never is, as the process was told",
	.searches = MIXED,
	.threads_stay = true,
	.setup = setup_taken_back,
	.teardown = teardown_taken_back,
};
