/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Devices in memory, by re-execution: an instruction runs again after each piece, finds the pieces that
 * were done in the order it asks for them, and leaves at the first one that was not.
 */
#include "cpu/soft/io.h"
#include "cpu/soft/tlb.h"

/* What a device has answered stays a device's until the instruction is over, whatever is there by now. */
bool mmio_was_answered(const struct soft *c, uint64_t gpa, uint32_t access)
{
	for (unsigned int n = 0; n < c->nr_mmio; n++) {
		const struct soft_mmio_piece *p = &c->mmio[n];

		if (p->done && p->is_write == (access == MMU_WRITE) &&
		    (p->gpa & PAGE_MASK_4K) == (gpa & PAGE_MASK_4K))
			return true;
	}
	return false;
}

bool mmio_is_device(const struct soft *c, uint64_t gpa, uint32_t access)
{
	for (unsigned int n = 0; n < c->nr_mmio_pages && n < MMIO_MAX_PAGES; n++)
		if (c->mmio_pages[n] == ((gpa & PAGE_MASK_4K) | access))
			return true;
	return false;
}

void mmio_add_device(struct soft *c, uint64_t gpa, uint32_t access)
{
	c->mmio_pages[c->nr_mmio_pages++ % MMIO_MAX_PAGES] = (gpa & PAGE_MASK_4K) | access;
}

void mmio_forget(struct soft *c)
{
	c->nr_mmio = 0;
	c->mmio_next = 0;
}

void mmio_instruction_over(struct soft *c)
{
	mmio_forget(c);
	c->nr_mmio_pages = 0;
	c->half_done = false;
}

_Noreturn static void leave_with_piece(struct soft *c, struct soft_mmio_piece *p)
{
	struct cpu_exit *e = c->exit;

	e->reason = CPU_EXIT_MMIO;
	e->mmio.gpa = p->gpa;
	e->mmio.len = p->len;
	e->mmio.is_write = p->is_write;
	memset(e->mmio.data, 0, sizeof(e->mmio.data));
	if (p->is_write)
		memcpy(e->mmio.data, p->data, p->len);
	c->io_pending = IO_MMIO;
	c->io_rip = soft_rip(c);
	soft_leave(c, LEAVE_EXIT);
}

static struct soft_mmio_piece *next_piece(struct soft *c, uint64_t gpa, unsigned int len,
					  bool is_write)
{
	struct soft_mmio_piece *p = &c->mmio[c->mmio_next];

	if (c->mmio_next == MMIO_MAX_PIECES) {
		c->exit->reason = CPU_EXIT_EMULATION;
		c->exit->insn.nr_bytes = 0;
		soft_leave(c, LEAVE_EXIT);
	}
	/* It asks for something else than it did before: what was done belongs to another course. */
	if (c->mmio_next < c->nr_mmio &&
	    (!p->done || p->gpa != gpa || p->len != len || p->is_write != is_write))
		c->nr_mmio = c->mmio_next;
	if (c->mmio_next == c->nr_mmio) {
		*p = (struct soft_mmio_piece){ .gpa = gpa, .len = len, .is_write = is_write };
		c->nr_mmio++;
	}
	c->mmio_next++;
	return p;
}

void mmio_read(struct soft *c, uint64_t gpa, void *dst, unsigned int len)
{
	uint8_t *d = dst;

	while (len) {
		unsigned int n = len < 8 ? len : 8;
		struct soft_mmio_piece *p = next_piece(c, gpa, n, false);

		if (!p->done)
			leave_with_piece(c, p);
		memcpy(d, p->data, n);
		gpa += n;
		d += n;
		len -= n;
	}
}

void mmio_write(struct soft *c, uint64_t gpa, const void *src, unsigned int len)
{
	const uint8_t *s = src;

	while (len) {
		unsigned int n = len < 8 ? len : 8;
		struct soft_mmio_piece *p = next_piece(c, gpa, n, true);

		if (!p->done) {
			memcpy(p->data, s, n);
			leave_with_piece(c, p);
		}
		gpa += n;
		s += n;
		len -= n;
	}
}

void mmio_complete(struct soft *c, const void *data)
{
	struct soft_mmio_piece *p;

	if (!c->nr_mmio)
		return;
	p = &c->mmio[c->nr_mmio - 1];
	if (data && !p->is_write)
		memcpy(p->data, data, p->len);
	p->done = true;
}
