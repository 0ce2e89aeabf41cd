/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Signals that come at any moment of KVM_RUN and KVM_PRE_FAULT_MEMORY, one each time: the handler does what the
 * shim's does. And a request whose structure another thread keeps changing.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "kvm/object.h"
#include "os/os.h"

#define RUN_NS 700000000ull
#define LOST_NS 8000000000ull

static struct mmu_vcpu *kicked;

static void handler(int signo)
{
	os_signal_set_pending(true);
	mmu_vcpu_request(kicked, MMU_REQ_KICK);
}

static void handle(int signo)
{
	struct sigaction act = { .sa_handler = handler };

	assert_int_equal(sigaction(signo, &act, NULL), 0);
}

static int make_kicked(int vm)
{
	int vcpu = make_vcpu(vm);

	kicked = vcpu_of(object_of(vcpu))->mmu;
	return vcpu;
}

/* ---- one signal for one run ----------------------------------------------------------------------- */

struct run {
	pthread_t runner;
	_Atomic uint32_t begun, ended; /* runs */
	_Atomic bool stop;
};

static void let_pass(uint64_t ns)
{
	uint64_t begin = os_clock_ns();

	while (os_clock_ns() - begin < ns)
		os_relax();
}

/* Ends the program when a run does not end. */
static void *send(void *arg)
{
	struct run *r = arg;

	for (uint32_t nr = 1;; nr++) {
		uint64_t begin;

		while (atomic_load(&r->begun) < nr && !atomic_load(&r->stop))
			os_relax();
		if (atomic_load(&r->stop))
			return NULL;
		let_pass(nr * 2654435761u % 2000);
		pthread_kill(r->runner, SIGUSR1);
		begin = os_clock_ns();
		while (atomic_load(&r->ended) < nr) {
			if (os_clock_ns() - begin > LOST_NS)
				abort();
			os_yield();
		}
	}
}

static void a_run_ends_with_its_signal(void **state)
{
	static char ram[4096] __attribute__((aligned(4096)));
	int vm = make_vm(KVM_X86_DEFAULT_VM), vcpu = make_kicked(vm);
	struct run r = { .runner = pthread_self() };
	uint64_t start = os_clock_ns();
	pthread_t sender;

	make_loop(vm, vcpu, ram);
	handle(SIGUSR1);
	assert_int_equal(pthread_create(&sender, NULL, send, &r), 0);
	while (os_clock_ns() - start < RUN_NS) {
		atomic_fetch_add(&r.begun, 1);
		/* It takes the signal a while to come: before the run, too. */
		let_pass(r.begun * 40503u % 6000);
		assert_int_equal(call_value(vcpu, KVM_RUN, 0), -EINTR);
		os_signal_set_pending(false);
		atomic_fetch_add(&r.ended, 1);
	}
	atomic_store(&r.stop, true);
	assert_int_equal(pthread_join(sender, NULL), 0);
	end_vm(vm, vcpu);
}

/* By the processor time of the call itself, however busy the machine is. */
static void a_long_prefault_gives_way(void **state)
{
	const uint64_t size = 16 * GB;
	void *ram = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int vm = make_vm(KVM_X86_DEFAULT_VM), vcpu = make_kicked(vm);
	struct kvm_pre_fault_memory p = { .gpa = GB, .size = size };
	struct itimerval timer = { .it_value = { .tv_usec = 2000 } };
	long r;

	assert_ptr_not_equal(ram, MAP_FAILED);
	assert_int_equal(set_slot(vm, 0, 0, GB, size, ram, -1, 0), 0);
	handle(SIGPROF);
	do { /* it may come before the first page */
		os_signal_set_pending(false);
		assert_int_equal(setitimer(ITIMER_PROF, &timer, NULL), 0);
		r = call(vcpu, KVM_PRE_FAULT_MEMORY, &p);
	} while (r == -EINTR);
	assert_int_equal(r, 0);
	assert_true(p.size && p.size < size);
	os_signal_set_pending(false);
	fixture_close(vcpu);
	fixture_close(vm);
	munmap(ram, size);
	fixture_end();
}

/* A bracket on the guest's code that this thread itself would have to close. */
static void a_run_that_cannot_go_on_ends_with_its_signal(void **state)
{
	static char ram[4096] __attribute__((aligned(4096)));
	int vm = make_vm(KVM_X86_DEFAULT_VM), vcpu = make_kicked(vm);
	struct itimerval timer = { .it_value = { .tv_usec = 5000 } };
	uint64_t cookie;

	make_loop(vm, vcpu, ram);
	handle(SIGALRM);
	cookie = kvm_hva_change_begin((uintptr_t)ram, PAGE);
	assert_int_not_equal(cookie, 0);
	assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
	assert_int_equal(call_value(vcpu, KVM_RUN, 0), -EINTR);
	kvm_hva_change_end((uintptr_t)ram, PAGE, cookie);
	os_signal_set_pending(false);
	end_vm(vm, vcpu);
}

/* In either direction: to private the host would look for signals, too. */
static void a_long_conversion_gives_way(void **state)
{
	struct kvm_memory_attributes2 a = { .size = 64 * GB };
	struct itimerval timer = { .it_value = { .tv_usec = 1000 } };
	int vm, vcpu, gmem;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	vcpu = make_kicked(vm);
	gmem = make_gmem(vm, 64 * GB, SHARED_FILE);
	handle(SIGALRM);
	for (int i = 0; i < 4; i++) {
		a.attributes = i & 1 ? 0 : KVM_MEMORY_ATTRIBUTE_PRIVATE;
		assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
		while (!os_signal_pending())
			os_relax();
		assert_int_equal(call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a), -EINTR);
		os_signal_set_pending(false);
		assert_int_equal(call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &a), 0);
	}
	fixture_close(gmem);
	end_vm(vm, vcpu);
	fixture_start(NULL);
}

/* ---- a structure that changes --------------------------------------------------------------------- */

struct flipping {
	struct kvm_memory_attributes2 a;
	_Atomic bool stop;
};

static void *flip(void *arg)
{
	struct flipping *f = arg;
	volatile uint64_t *offset = (volatile uint64_t *)&f->a.offset;

	for (uint64_t i = 0; !atomic_load(&f->stop); i++)
		*offset = i & 1 ? 1ull << 40 : PAGE;
	return NULL;
}

/* The range is one that was checked, or the call is refused. */
static void a_request_that_changes_while_it_is_made(void **state)
{
	struct flipping f = { .a = { .size = PAGE } };
	uint64_t start = os_clock_ns();
	pthread_t thread;
	int vm, gmem;

	fixture_start("in-place");
	vm = make_vm(KVM_X86_SW_PROTECTED_VM);
	gmem = make_gmem(vm, 4 * PAGE, SHARED_FILE);
	assert_int_equal(pthread_create(&thread, NULL, flip, &f), 0);
	for (uint64_t i = 0; os_clock_ns() - start < RUN_NS; i++) {
		long r;

		f.a.attributes = i & 1 ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
		r = call(gmem, KVM_SET_MEMORY_ATTRIBUTES2, &f.a);
		assert_true(!r || r == -EINVAL);
	}
	atomic_store(&f.stop, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	fixture_close(gmem);
	fixture_close(vm);
	fixture_end();
	fixture_start(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_ends_with_its_signal),
		cmocka_unit_test(a_long_prefault_gives_way),
		cmocka_unit_test(a_run_that_cannot_go_on_ends_with_its_signal),
		cmocka_unit_test(a_long_conversion_gives_way),
		cmocka_unit_test(a_request_that_changes_while_it_is_made),
	};

	return cmocka_run_group_tests(tests, fixture_setup, NULL);
}
