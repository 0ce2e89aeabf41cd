/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Two vCPUs, each on its own thread, on the same memory: LOCK forms lose nothing. And a vCPU that computes
 * can be stopped within a moment, whatever it computes. */
#include "harness.h"

#include <pthread.h>
#include <time.h>

#include "os/os.h"
#include "os/paths.h"

#define CELL GUEST_DATA /* what both change */

static pthread_barrier_t together;

/* Enough to meet on a busy machine. */
static uint64_t rounds(void)
{
	return os_path_off(OS_PATH_BLOCKS) ? 20000 : 2000000;
}

static void *run_together(void *arg)
{
	struct guest *g = arg;

	pthread_barrier_wait(&together);
	guest_run(g, 0);
	return NULL;
}

static void *run_thread(void *arg)
{
	struct guest *g = arg;

	guest_run(g, 0);
	return NULL;
}

/* Runs the code on both with RCX as many as there are rounds, RSI = where, to HLT. */
static void run_both(const uint8_t *code, size_t size, uint64_t where, struct guest *a,
		     struct guest *b)
{
	pthread_t thread;

	guest_make(a, GUEST_LONG);
	guest_make_beside(b, a, GUEST_LONG);
	guest_code(a, code, size);
	for (int n = 0; n < 2; n++) {
		struct guest *g = n ? b : a;

		g->s->gpr[CPU_RCX] = rounds();
		g->s->gpr[CPU_RSI] = where;
		g->s->gpr[CPU_RSP] = GUEST_STACK - 0x1000 * n;
		guest_changed(g);
	}
	pthread_barrier_init(&together, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, run_together, b), 0);
	run_together(a);
	pthread_join(thread, NULL);
	assert_int_equal(a->exit.reason, CPU_EXIT_HLT);
	assert_int_equal(b->exit.reason, CPU_EXIT_HLT);
}

static void end_both(struct guest *a, struct guest *b)
{
	guest_unmake_beside(b);
	guest_unmake(a);
}

#define COUNTS(name, where, ...)                                          \
	static void name(void **state)                                    \
	{                                                                 \
		static const uint8_t code[] = { __VA_ARGS__ };            \
		struct guest a, b;                                        \
                                                                          \
		run_both(code, sizeof(code), where, &a, &b);              \
		assert_int_equal(guest_read(&a, where, 8), 2 * rounds()); \
		end_both(&a, &b);                                         \
	}

/* lock inc qword [rsi]; dec ecx; jnz; hlt */
COUNTS(inc_loses_nothing, CELL, 0xf0, 0x48, 0xff, 0x06, 0xff, 0xc9, 0x75, 0xf8, 0xf4)
/* the same across two cache lines, and across two pages */
COUNTS(inc_across_lines_loses_nothing, CELL + 60, 0xf0, 0x48, 0xff, 0x06, 0xff, 0xc9, 0x75, 0xf8,
       0xf4)
COUNTS(inc_across_pages_loses_nothing, CELL + 4092, 0xf0, 0x48, 0xff, 0x06, 0xff, 0xc9, 0x75, 0xf8,
       0xf4)
/* mov eax, 1; lock xadd [rsi], rax; dec ecx; jnz; hlt */
COUNTS(xadd_loses_nothing, CELL, 0xb8, 1, 0, 0, 0, 0xf0, 0x48, 0x0f, 0xc1, 0x06, 0xff, 0xc9, 0x75,
       0xf2, 0xf4)
/* mov rax, [rsi]; lea rdx, [rax+1]; lock cmpxchg [rsi], rdx; jnz; dec ecx; jnz; hlt */
COUNTS(cmpxchg_loses_nothing, CELL, 0x48, 0x8b, 0x06, 0x48, 0x8d, 0x50, 0x01, 0xf0, 0x48, 0x0f,
       0xb1, 0x16, 0x75, 0xf2, 0xff, 0xc9, 0x75, 0xee, 0xf4)
/* l: mov eax, 1; xchg [rsi+64], eax; test eax, eax; jnz l; inc qword [rsi]; mov dword [rsi+64], 0;
 * dec ecx; jnz l; hlt */
COUNTS(xchg_makes_a_lock, CELL, 0xb8, 1, 0, 0, 0, 0x87, 0x46, 0x40, 0x85, 0xc0, 0x75, 0xf4, 0x48,
       0xff, 0x06, 0xc7, 0x46, 0x40, 0, 0, 0, 0, 0xff, 0xc9, 0x75, 0xe6, 0xf4)

static void cmpxchg16b_loses_nothing(void **state)
{
	/* l: mov rax, [rsi]; mov rdx, [rsi+8]; m: mov rbx, rax; mov r8, rcx; lea rcx, [rdx+1]; inc rbx;
	 * lock cmpxchg16b [rsi]; mov rcx, r8; jnz m; dec ecx; jnz l; hlt */
	static const uint8_t code[] = { 0x48, 0x8b, 0x06, 0x48, 0x8b, 0x56, 0x08, 0x48, 0x89,
					0xc3, 0x49, 0x89, 0xc8, 0x48, 0x8d, 0x4a, 0x01, 0x48,
					0xff, 0xc3, 0xf0, 0x48, 0x0f, 0xc7, 0x0e, 0x4c, 0x89,
					0xc1, 0x75, 0xe9, 0xff, 0xc9, 0x75, 0xde, 0xf4 };
	struct guest a, b;

	run_both(code, sizeof(code), CELL, &a, &b);
	assert_int_equal(guest_read(&a, CELL, 8), 2 * rounds());
	assert_int_equal(guest_read(&a, CELL + 8, 8), 2 * rounds());
	end_both(&a, &b);
}

/* ---- stopping ------------------------------------------------------------------------------------ */

static void sleep_us(long us)
{
	struct timespec t = { .tv_nsec = us * 1000 };

	nanosleep(&t, NULL);
}

static void a_jump_to_itself_stops(void **state)
{
	pthread_t thread;
	struct guest g;

	guest_make(&g, GUEST_LONG);
	GUEST_CODE_BYTES(&g, 0xeb, 0xfe);
	for (int n = 0; n < 20; n++) {
		assert_int_equal(pthread_create(&thread, NULL, run_thread, &g), 0);
		sleep_us(300);
		mmu_vcpu_request(g.v, MMU_REQ_KICK);
		pthread_join(thread, NULL);
		assert_int_equal(g.exit.reason, CPU_EXIT_KICK);
		assert_int_equal(g.s->rip, GUEST_CODE);
	}
	guest_unmake(&g);
}

/* REP STOSB over nearly all RAM, again and again by a count that never ends in time. */
static void rep_stosb_stops(void **state)
{
	struct guest g;
	pthread_t thread;
	uint64_t done;

	guest_make(&g, GUEST_LONG);
	/* l: mov edi, GUEST_DATA; mov ecx, 14 MiB; rep stosb; jmp l */
	GUEST_CODE_BYTES(&g, 0xbf, 0, 0, 0x10, 0, 0xb9, 0, 0, 0xe0, 0, 0xf3, 0xaa, 0xeb, 0xf2);
	for (int n = 0; n < 20; n++) {
		assert_int_equal(pthread_create(&thread, NULL, run_thread, &g), 0);
		sleep_us(500);
		mmu_vcpu_request(g.v, MMU_REQ_KICK);
		pthread_join(thread, NULL);
		assert_int_equal(g.exit.reason, CPU_EXIT_KICK);
		/* mostly inside the repetition; then exact */
		done = g.s->gpr[CPU_RDI] - GUEST_DATA;
		if (g.s->rip == GUEST_CODE + 10)
			assert_int_equal(done + g.s->gpr[CPU_RCX], 0xe00000);
	}
	guest_unmake(&g);
}

/* A request that was there before the run is not lost. */
static void an_early_request_is_kept(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	GUEST_CODE_BYTES(&g, 0xeb, 0xfe);
	mmu_vcpu_request(g.v, MMU_REQ_KICK);
	guest_run_to(&g, CPU_EXIT_KICK);
	assert_int_equal(mmu_vcpu_requests(g.v), 0);
	guest_unmake(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inc_loses_nothing),
		cmocka_unit_test(inc_across_lines_loses_nothing),
		cmocka_unit_test(inc_across_pages_loses_nothing),
		cmocka_unit_test(xadd_loses_nothing),
		cmocka_unit_test(cmpxchg_loses_nothing),
		cmocka_unit_test(xchg_makes_a_lock),
		cmocka_unit_test(cmpxchg16b_loses_nothing),
		cmocka_unit_test(a_jump_to_itself_stops),
		cmocka_unit_test(rep_stosb_stops),
		cmocka_unit_test(an_early_request_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
