/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Who is accounted, and the thread that looks. */
#include "kvm/account.h"

#include "core/gmem_file.h"
#include "core/range.h"
#include "kvm/vm.h"
#include "mmu/memslot.h"
#include "os/peer.h"
#include "os/signal.h"

#include <errno.h>

#define PERIOD_NS 100000000
#define SOON_MS 10
#define PAUSE_FACTOR 20 /* a look may cost a twentieth of the time */
/* For a look before what is looked at goes: it is a matter of microseconds, or the machine is very busy. */
#define PATIENCE_NS 5000000000

static struct {
	struct os_mutex lock;
	struct vm *vms;
	uint32_t last_number;
	bool blind;
	struct account_walker *walker;
	struct os_thread *thread; /* NULL: nobody looks */
	/* What the thread works with; stays from when there is a thread. */
	struct obs_region *region;
	struct account_area *area;
	bool has_no_room;     /* in the region, which has been told */
	_Atomic bool looks;   /* there is a thread, in this process */
	_Atomic bool is_last; /* what is made now is what the process leaves */
	_Atomic uint32_t waiting;
	_Atomic uint64_t looked; /* time stamp counter */
} account;

/* ---- the thread -------------------------------------------------------------------------------- */

/* Rows make room for others; this is what was worst of all. */
static void note_most(const struct account_snapshot *s)
{
	_Atomic uint64_t *most = &account.region->most_twice;

	for (uint32_t i = 0; i < s->nr_vms; i++) {
		uint64_t both = s->vms[i].peak.both, before = atomic_load(most);

		while (both > before && !atomic_compare_exchange_weak(most, &before, both))
			;
	}
}

static uint64_t publish(uint32_t wanted)
{
	uint64_t start = os_clock_ns();
	bool is_last = atomic_load(&account.is_last);
	struct account_snapshot *before, *to;

	os_mutex_lock(&account.lock);
	to = obs_account_begin(account.area, &before);
	account_walk(account.walker, account.vms, account.blind, before, to);
	os_mutex_unlock(&account.lock);
	to->flags |= is_last ? ACCOUNT_LAST : 0;
	to->number = before ? before->number + 1 : 0;
	to->time_ns = os_clock_ns();
	to->cost_ns = to->time_ns - start;
	note_most(to);
	obs_account_finish(account.area, to);
	atomic_store(&account.looked, os_tsc());
	atomic_store(&account.area->answered, wanted);
	if (atomic_load(&account.waiting))
		os_shared_wake(&account.area->answered);
	return to->cost_ns;
}

static int64_t pause_after(uint64_t cost)
{
	return cost * PAUSE_FACTOR > PERIOD_NS ? (int64_t)(cost * PAUSE_FACTOR) : PERIOD_NS;
}

/* The area may be another process's from here on. A thread's end is system calls, which a filter may kill for. */
static _Noreturn void wait_for_end(void)
{
	static _Atomic uint32_t nothing;

	for (;;)
		os_shared_wait(&nothing, 0, -1);
}

/* Who asks is answered at once. */
static void look_for_ever(void *arg)
{
	for (;;) {
		uint32_t wanted = atomic_load(&account.region->wants_snapshot);
		bool is_last = atomic_load(&account.is_last);
		uint64_t cost;

		os_signals_begin();
		cost = publish(wanted);
		os_signals_end();
		if (is_last)
			wait_for_end();
		os_shared_wait(&account.region->wants_snapshot, wanted, pause_after(cost));
	}
}

static void start_locked(struct obs_region *region)
{
	if (account.thread || account.has_no_room)
		return;
	account.region = region;
	if (!account.area && obs_own_process() < OBS_MAX_PROCESSES)
		account.area = obs_account_take(region, obs_own_process());
	if (!account.area) {
		account.has_no_room = true;
		atomic_fetch_add(&region->accounts_lost, 1);
	}
	leftover_get_ready();
	if (!account.area || (!account.walker && account_walker_create(&account.walker)))
		return;
	if (os_thread_create(look_for_ever, NULL, "gmem-account", &account.thread))
		os_log(OS_LOG_WARN, "no thread for the account of memory");
	else
		atomic_store(&account.looks, true);
}

void account_get_ready(void)
{
	struct obs_region *region = atomic_load(&obs_attached);

	if (!region)
		return;
	os_mutex_lock(&account.lock);
	start_locked(region);
	os_mutex_unlock(&account.lock);
}

void account_set_blind(bool blind)
{
	os_mutex_lock(&account.lock);
	account.blind = blind;
	os_mutex_unlock(&account.lock);
}

/* ---- who is accounted -------------------------------------------------------------------------- */

void account_add(struct vm *vm)
{
	os_mutex_lock(&account.lock);
	vm->account = (struct account_vm_link){ .next = account.vms,
						.pprev = &account.vms,
						.number = ++account.last_number };
	if (account.vms)
		account.vms->account.pprev = &vm->account.next;
	account.vms = vm;
	os_mutex_unlock(&account.lock);
	account_get_ready();
}

/* One that was made before a fork is in nobody's list in the child. */
void account_remove(struct vm *vm)
{
	os_mutex_lock(&account.lock);
	if (vm->account.pprev) {
		*vm->account.pprev = vm->account.next;
		if (vm->account.next)
			vm->account.next->account.pprev = vm->account.pprev;
		vm->account.pprev = NULL;
	}
	os_mutex_unlock(&account.lock);
}

void account_add_vcpu(struct vcpu *vcpu)
{
	struct vcpu **list = &vcpu->vm->account.vcpus;

	os_mutex_lock(&account.lock);
	vcpu->account.next = *list;
	vcpu->account.pprev = list;
	if (*list)
		(*list)->account.pprev = &vcpu->account.next;
	*list = vcpu;
	os_mutex_unlock(&account.lock);
}

void account_remove_vcpu(struct vcpu *vcpu)
{
	os_mutex_lock(&account.lock);
	*vcpu->account.pprev = vcpu->account.next;
	if (vcpu->account.next)
		vcpu->account.next->account.pprev = vcpu->account.pprev;
	os_mutex_unlock(&account.lock);
}

void account_exit(struct vcpu *vcpu, int r)
{
	uint32_t reason = r == -EINTR ? KVM_EXIT_INTR : vcpu->run->exit_reason;
	_Atomic uint64_t *nr;

	if (reason == kvm_memory_exit()->reason)
		reason = KVM_EXIT_MEMORY_FAULT;
	if (r < 0 && r != -EINTR && reason != KVM_EXIT_MEMORY_FAULT)
		reason = ACCOUNT_EXIT_ERROR;
	else if (reason >= ACCOUNT_EXIT_OTHER)
		reason = ACCOUNT_EXIT_OTHER;
	nr = &vcpu->account.exits[reason];
	os_racy_store(nr, os_racy_load(nr) + 1);
}

/* ---- who wants a look -------------------------------------------------------------------------- */

static uint32_t ask(void)
{
	uint32_t wanted = atomic_fetch_add(&account.region->wants_snapshot, 1) + 1;

	os_shared_wake(&account.region->wants_snapshot);
	return wanted;
}

static bool is_long_ago(uint64_t looked, uint64_t now)
{
	return now > looked + account.region->tsc_khz * SOON_MS;
}

void account_changed(void)
{
	uint64_t now, looked;

	if (!atomic_load_explicit(&account.looks, memory_order_relaxed))
		return;
	/* When the request began: the counter takes longer to read than all of this. */
	now = os_context()->told;
	looked = atomic_load_explicit(&account.looked, memory_order_relaxed);
	/* Of many who come now one asks. */
	if (is_long_ago(looked, now) &&
	    atomic_compare_exchange_strong(&account.looked, &looked, now))
		ask();
}

static void wait_for(uint32_t wanted)
{
	uint64_t end = os_clock_ns() + PATIENCE_NS;
	uint32_t answered;

	atomic_fetch_add(&account.waiting, 1);
	for (uint64_t now; (now = os_clock_ns()) < end;) {
		answered = atomic_load(&account.area->answered);
		if ((int32_t)(answered - wanted) >= 0)
			break;
		os_shared_wait(&account.area->answered, answered, (int64_t)(end - now));
	}
	atomic_fetch_sub(&account.waiting, 1);
}

/* What is about to go, and which slots have two memories behind them of which one goes with it. */
struct ending {
	const struct gmem_file *file; /* NULL: whatever is in [addr, end) of the program's memory */
	uint64_t addr, end;
	bool matters;
};

static void ask_slot(void *arg, struct memslot *slot)
{
	struct ending *e = arg;
	uint64_t end = slot->hva + (slot->nr_pages << OS_PAGE_SHIFT);

	if (slot->file && !slot->gmem_only && !(gmem_file_flags(slot->file) & GMEM_FILE_IN_PLACE) &&
	    (e->file ? slot->file == e->file : e->addr <= slot->hva && end <= e->end))
		e->matters = true;
}

static void ask_vm(struct vm *vm, struct ending *e)
{
	if (!vm->has_private || vm_in_place(vm))
		return;
	os_mutex_lock(&vm->slots_lock);
	memslot_for_each(vm->mmu, ask_slot, e);
	os_mutex_unlock(&vm->slots_lock);
}

static void look_before(const struct ending *e)
{
	if (e->matters)
		wait_for(ask());
}

void account_before_end(struct vm *vm, const struct gmem_file *file)
{
	struct ending e = { .file = file, .end = UINT64_MAX };

	if (!account_is_on())
		return;
	ask_vm(vm, &e);
	look_before(&e);
}

void account_before_unmap(uint64_t addr, uint64_t size)
{
	struct ending e = { .addr = addr, .end = range_top(addr, os_page_up(size)) };

	if (!account_is_on() || !hva_meets(addr, size))
		return;
	os_mutex_lock(&account.lock);
	for (struct vm *vm = account.vms; vm && !e.matters; vm = vm->account.next)
		ask_vm(vm, &e);
	os_mutex_unlock(&account.lock);
	look_before(&e);
}

bool account_is_on(void)
{
	return atomic_load(&account.looks);
}

void account_last(void)
{
	if (!account_is_on())
		return;
	os_mutex_lock(&account.lock);
	for (struct vm *vm = account.vms; vm; vm = vm->account.next)
		leftover_end(vm, NULL);
	os_mutex_unlock(&account.lock);
	atomic_store(&account.is_last, true);
	wait_for(ask());
	atomic_store(&account.looks, false);
}

/* ---- fork -------------------------------------------------------------------------------------- */

void account_before_fork(void)
{
	os_mutex_lock(&account.lock);
	leftover_before_fork();
}

void account_after_fork_in_parent(void)
{
	leftover_after_fork(false);
	os_mutex_unlock(&account.lock);
}

/* Descriptors that we have open on ourselves are of the parent. */
void account_after_fork_in_child(void)
{
	struct vm *vm;

	leftover_after_fork(true);
	while ((vm = account.vms)) {
		account.vms = vm->account.next;
		vm->account.pprev = NULL;
	}
	if (account.walker)
		account_walker_destroy(account.walker);
	account.walker = NULL;
	account.thread = NULL;
	account.area = NULL;
	account.has_no_room = false;
	account.blind = false;
	atomic_store(&account.looks, false);
	atomic_store(&account.is_last, false);
	atomic_store(&account.waiting, 0);
	os_mutex_unlock(&account.lock);
}
