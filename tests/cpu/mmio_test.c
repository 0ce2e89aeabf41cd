/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Devices in memory: what the owner is asked, in which pieces, and that the instruction ends as if done. */
#include "harness.h"

#define DEVICE 0x2000000u	/* behind the RAM */
#define LAST (GUEST_RAM - 4096) /* last page of RAM */

/* A device: some pages of bytes, and what was asked. */
struct device {
	uint8_t bytes[0x4000];
	unsigned int nr;
	struct {
		uint64_t gpa;
		uint32_t len;
		bool is_write;
	} asked[16];
};

/* Runs to HLT, the device answering. */
static void run(struct guest *g, struct device *d, uint64_t base)
{
	memset(d->asked, 0, sizeof(d->asked));
	d->nr = 0;
	while (guest_run(g, 0) == CPU_EXIT_MMIO) {
		uint64_t off = g->exit.mmio.gpa - base;

		assert_true(off + g->exit.mmio.len <= sizeof(d->bytes));
		assert_int_equal(g->s->rip, GUEST_CODE);
		assert_true(d->nr < 16);
		d->asked[d->nr].gpa = g->exit.mmio.gpa;
		d->asked[d->nr].len = g->exit.mmio.len;
		d->asked[d->nr++].is_write = g->exit.mmio.is_write;
		if (g->exit.mmio.is_write)
			memcpy(d->bytes + off, g->exit.mmio.data, g->exit.mmio.len);
		guest_complete(g, g->exit.mmio.is_write ? NULL : d->bytes + off);
	}
	assert_int_equal(g->exit.reason, CPU_EXIT_HLT);
}

static void asked(const struct device *d, unsigned int n, uint64_t gpa, uint32_t len, bool is_write)
{
	assert_true(n < d->nr);
	assert_int_equal(d->asked[n].gpa, gpa);
	assert_int_equal(d->asked[n].len, len);
	assert_int_equal(d->asked[n].is_write, is_write);
}

static void begin(struct guest *g, struct device *d)
{
	guest_make(g, GUEST_LONG);
	for (unsigned int n = 0; n < sizeof(d->bytes); n++)
		d->bytes[n] = n * 7 + 1;
	g->s->gpr[CPU_RSI] = g->s->gpr[CPU_RDI] = DEVICE + 0x10;
	g->s->gpr[CPU_RAX] = 0x1122334455667788;
}

static uint64_t bytes_at(const struct device *d, unsigned int at, unsigned int size)
{
	uint64_t v = 0;

	memcpy(&v, d->bytes + at, size);
	return v;
}

static void a_read_of_each_size(void **state)
{
	static const uint8_t code[4][5] = { { 0x8a, 0x06, 0xf4 },
					    { 0x66, 0x8b, 0x06, 0xf4 },
					    { 0x8b, 0x06, 0xf4 },
					    { 0x48, 0x8b, 0x06, 0xf4 } };
	static const uint64_t kept[4] = { 0x1122334455667700, 0x1122334455660000, 0, 0 };

	for (int n = 0; n < 4; n++) {
		struct device d;
		struct guest g;

		begin(&g, &d);
		guest_code(&g, code[n], 5);
		run(&g, &d, DEVICE);
		assert_int_equal(d.nr, 1);
		asked(&d, 0, DEVICE + 0x10, 1u << n, false);
		assert_int_equal(g.s->gpr[CPU_RAX], kept[n] | bytes_at(&d, 0x10, 1u << n));
		guest_unmake(&g);
	}
}

static void a_write(void **state)
{
	struct device d;
	struct guest g;

	begin(&g, &d);
	GUEST_CODE_BYTES(&g, 0x89, 0x06, 0xf4);
	run(&g, &d, DEVICE);
	assert_int_equal(d.nr, 1);
	asked(&d, 0, DEVICE + 0x10, 4, true);
	assert_int_equal(bytes_at(&d, 0x10, 4), 0x55667788);
	guest_unmake(&g);
}

static void read_modify_write_and_its_flags(void **state)
{
	struct device d;
	struct guest g;

	begin(&g, &d);
	memset(d.bytes, 0xff, 32);
	GUEST_CODE_BYTES(&g, 0xf0, 0xff, 0x06, 0xf4); /* lock inc dword [rsi] */
	run(&g, &d, DEVICE);
	assert_int_equal(d.nr, 2);
	asked(&d, 0, DEVICE + 0x10, 4, false);
	asked(&d, 1, DEVICE + 0x10, 4, true);
	assert_int_equal(bytes_at(&d, 0x10, 4), 0);
	assert_true(g.s->rflags & 0x40);
	guest_unmake(&g);
}

static void xchg_and_push_from_a_device(void **state)
{
	struct device d;
	struct guest g;

	begin(&g, &d);
	GUEST_CODE_BYTES(&g, 0x87, 0x06, 0xf4); /* xchg [rsi], eax */
	run(&g, &d, DEVICE);
	assert_int_equal(d.nr, 2);
	assert_int_equal(bytes_at(&d, 0x10, 4), 0x55667788);
	guest_unmake(&g);
	begin(&g, &d);
	GUEST_CODE_BYTES(&g, 0xff, 0x36, 0xf4); /* push [rsi] */
	run(&g, &d, DEVICE);
	assert_int_equal(d.nr, 1);
	assert_int_equal(guest_read(&g, GUEST_STACK - 8, 8), bytes_at(&d, 0x10, 8));
	guest_unmake(&g);
}

/* From the last page of RAM into the device: the device's part is a piece, the RAM's part is stored at the
 * end only. */
static void a_store_that_crosses_from_memory(void **state)
{
	struct device d;
	struct guest g;

	begin(&g, &d);
	g.s->gpr[CPU_RSI] = GUEST_RAM - 3;
	GUEST_CODE_BYTES(&g, 0x48, 0x89, 0x06, 0xf4);
	guest_run_to(&g, CPU_EXIT_MMIO);
	assert_int_equal(g.exit.mmio.gpa, GUEST_RAM);
	assert_int_equal(g.exit.mmio.len, 5);
	assert_memory_equal(g.exit.mmio.data, "\x55\x44\x33\x22\x11", 5);
	assert_int_equal(guest_read(&g, GUEST_RAM - 3, 3), 0);
	guest_complete(&g, NULL);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(guest_read(&g, GUEST_RAM - 3, 3), 0x667788);
	guest_unmake(&g);
}

static void sixteen_bytes_are_two_pieces(void **state)
{
	struct device d;
	struct guest g;

	begin(&g, &d);
	GUEST_CODE_BYTES(&g, 0x0f, 0x10, 0x06, 0xf4); /* movups xmm0, [rsi] */
	run(&g, &d, DEVICE);
	assert_int_equal(d.nr, 2);
	asked(&d, 0, DEVICE + 0x10, 8, false);
	asked(&d, 1, DEVICE + 0x18, 8, false);
	assert_memory_equal(&g.s->xmm[0], d.bytes + 0x10, 16);
	guest_unmake(&g);
}

static void a_crossing_inside_the_device(void **state)
{
	struct device d;
	struct guest g;

	begin(&g, &d);
	g.s->gpr[CPU_RSI] = DEVICE + 0xffe;
	GUEST_CODE_BYTES(&g, 0x8b, 0x06, 0xf4);
	run(&g, &d, DEVICE);
	assert_int_equal(d.nr, 2);
	asked(&d, 0, DEVICE + 0xffe, 2, false);
	asked(&d, 1, DEVICE + 0x1000, 2, false);
	assert_int_equal(g.s->gpr[CPU_RAX], bytes_at(&d, 0xffe, 4));
	guest_unmake(&g);
}

/* REP MOVSW from device to device: two exits an element, the registers move with the elements. */
static void rep_goes_element_by_element(void **state)
{
	struct device d;
	struct guest g;

	begin(&g, &d);
	GUEST_CODE_BYTES(&g, 0xf3, 0x66, 0xa5, 0xf4);
	g.s->gpr[CPU_RDI] = DEVICE + 0x100;
	g.s->gpr[CPU_RCX] = 3;
	for (int n = 0; n < 3; n++) {
		guest_run_to(&g, CPU_EXIT_MMIO);
		assert_false(g.exit.mmio.is_write);
		assert_int_equal(g.exit.mmio.gpa, DEVICE + 0x10 + 2 * n);
		assert_int_equal(g.s->gpr[CPU_RCX], 3 - n);
		assert_int_equal(g.s->gpr[CPU_RSI], DEVICE + 0x10 + 2 * n);
		guest_complete(&g, d.bytes + 2 * n);
		guest_run_to(&g, CPU_EXIT_MMIO);
		assert_true(g.exit.mmio.is_write);
		assert_int_equal(g.exit.mmio.gpa, DEVICE + 0x100 + 2 * n);
		assert_memory_equal(g.exit.mmio.data, d.bytes + 2 * n, 2);
		guest_complete(&g, NULL);
	}
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RCX], 0);
	guest_unmake(&g);
}

/* Both sides of a move cross device pages: four pieces, on pages that all must be known at once. */
static void a_move_that_crosses_on_both_sides(void **state)
{
	struct device d;
	struct guest g;

	begin(&g, &d);
	GUEST_CODE_BYTES(&g, 0x48, 0xa5, 0xf4);
	g.s->gpr[CPU_RSI] = DEVICE + 0xffc;
	g.s->gpr[CPU_RDI] = DEVICE + 0x2ffe;
	run(&g, &d, DEVICE);
	assert_int_equal(d.nr, 4);
	asked(&d, 0, DEVICE + 0xffc, 4, false);
	asked(&d, 1, DEVICE + 0x1000, 4, false);
	asked(&d, 2, DEVICE + 0x2ffe, 2, true);
	asked(&d, 3, DEVICE + 0x3000, 6, true);
	assert_memory_equal(d.bytes + 0xffc, d.bytes + 0x2ffe, 8);
	guest_unmake(&g);
}

/* Across more device pages than the engine remembers. */
static void rep_stos_over_many_device_pages(void **state)
{
	struct guest g;
	unsigned int n = 0;

	guest_make(&g, GUEST_LONG);
	GUEST_CODE_BYTES(&g, 0xf3, 0x48, 0xab, 0xf4);
	g.s->gpr[CPU_RDI] = DEVICE;
	g.s->gpr[CPU_RCX] = 20 * 512;
	while (guest_run(&g, 0) == CPU_EXIT_MMIO) {
		assert_int_equal(g.exit.mmio.gpa, DEVICE + 8 * n++);
		guest_complete(&g, NULL);
	}
	assert_int_equal(g.exit.reason, CPU_EXIT_HLT);
	assert_int_equal(n, 20 * 512);
	guest_unmake(&g);
}

/* RIP was changed after the exit: the answer is dropped, and nothing of it is left. */
static void the_owner_may_go_elsewhere(void **state)
{
	struct device d;
	struct guest g;

	begin(&g, &d);
	GUEST_CODE_BYTES(&g, 0x8b, 0x06, 0xf4);
	guest_run_to(&g, CPU_EXIT_MMIO);
	g.s->rip = GUEST_CODE + 2;
	guest_changed(&g);
	guest_complete(&g, d.bytes);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 0x1122334455667788);
	guest_unmake(&g);
}

/* What was a device becomes memory between two runs. */
static void memory_may_appear(void **state)
{
	struct memslot slot = { .id = 1, .gfn = DEVICE >> 12, .nr_pages = 1 };
	struct device d;
	struct guest g;

	begin(&g, &d);
	GUEST_CODE_BYTES(&g, 0x8b, 0x06, 0x89, 0x06, 0xf4);
	guest_run_to(&g, CPU_EXIT_MMIO);
	slot.hva = (uint64_t)(uintptr_t)(g.ram + 0x700000);
	assert_int_equal(memslot_create(g.mmu, &slot, false), 0);
	guest_write(&g, 0x700010, 4, 0xabcdef);
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RAX], 0xabcdef);
	guest_unmake(&g);
}

static void code_in_a_device_is_refused(void **state)
{
	struct guest g;

	guest_make(&g, GUEST_LONG);
	g.s->rip = DEVICE;
	guest_changed(&g);
	guest_run_to(&g, CPU_EXIT_EMULATION);
	assert_int_equal(g.s->rip, DEVICE);
	guest_unmake(&g);
}

/* INS and OUTS: batches inside a page in, single elements out. */
static void string_port_io(void **state)
{
	uint8_t in[1024];
	struct guest g;

	guest_make(&g, GUEST_LONG);
	GUEST_CODE_BYTES(&g, 0xf3, 0x66, 0x6d, 0xf3, 0x6e, 0xf4); /* rep insw; rep outsb */
	memset(in, 0x3c, sizeof(in));
	g.s->gpr[CPU_RDX] = 0x1f0;
	g.s->gpr[CPU_RDI] = GUEST_DATA + 0xff0;
	g.s->gpr[CPU_RSI] = GUEST_DATA + 0xff0;
	g.s->gpr[CPU_RCX] = 20;
	guest_run_to(&g, CPU_EXIT_IO);
	assert_true(g.exit.io.in);
	assert_int_equal(g.exit.io.size, 2);
	assert_int_equal(g.exit.io.count, 8);
	guest_complete(&g, in);
	guest_run_to(&g, CPU_EXIT_IO);
	assert_int_equal(g.exit.io.count, 12);
	assert_int_equal(g.s->gpr[CPU_RCX], 12);
	assert_int_equal(g.s->gpr[CPU_RDI], GUEST_DATA + 0x1000);
	guest_complete(&g, in);
	g.s->gpr[CPU_RCX] = 12;
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RDI], GUEST_DATA + 0x1000 + 24);
	assert_int_equal(g.s->gpr[CPU_RCX], 0);
	for (int n = 0; n < 40; n++)
		assert_int_equal(g.ram[GUEST_DATA + 0xff0 + n], 0x3c);
	g.s->rip = GUEST_CODE + 3;
	g.s->gpr[CPU_RCX] = 2;
	guest_changed(&g);
	for (int n = 0; n < 2; n++) {
		guest_run_to(&g, CPU_EXIT_IO);
		assert_false(g.exit.io.in);
		assert_int_equal(g.exit.io.count, 1);
		assert_int_equal(g.exit.io.data[0], 0x3c);
		assert_int_equal(g.s->gpr[CPU_RCX], 2 - n);
		guest_complete(&g, NULL);
	}
	guest_run_to(&g, CPU_EXIT_HLT);
	assert_int_equal(g.s->gpr[CPU_RSI], GUEST_DATA + 0xff2);
	guest_unmake(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_of_each_size),
		cmocka_unit_test(a_write),
		cmocka_unit_test(read_modify_write_and_its_flags),
		cmocka_unit_test(xchg_and_push_from_a_device),
		cmocka_unit_test(a_store_that_crosses_from_memory),
		cmocka_unit_test(sixteen_bytes_are_two_pieces),
		cmocka_unit_test(a_crossing_inside_the_device),
		cmocka_unit_test(rep_goes_element_by_element),
		cmocka_unit_test(a_move_that_crosses_on_both_sides),
		cmocka_unit_test(rep_stos_over_many_device_pages),
		cmocka_unit_test(the_owner_may_go_elsewhere),
		cmocka_unit_test(memory_may_appear),
		cmocka_unit_test(code_in_a_device_is_refused),
		cmocka_unit_test(string_port_io),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
