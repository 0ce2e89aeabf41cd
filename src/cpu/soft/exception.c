/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Exceptions: raising one, what it becomes while another is being delivered, and delivery of a
 * pending event at an instruction boundary.
 *
 *	being delivered \ raised	benign		contributory	page fault
 *	benign, interrupt		the new one	the new one	the new one
 *	contributory			the new one	double fault	the new one
 *	page fault			the new one	double fault	double fault
 *	double fault			the new one	shutdown	shutdown
 */
#include "cpu/soft/sys.h"

#define VEC_CP 21

enum { CLASS_BENIGN, CLASS_CONTRIBUTORY, CLASS_PAGE_FAULT, CLASS_DOUBLE_FAULT };

#define VECTORS_CONTRIBUTORY \
	(1u << VEC_DE | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP | 1u << VEC_CP)
#define VECTORS_WITH_ERROR                                                                         \
	(1u << VEC_DF | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP | 1u << VEC_PF | \
	 1u << VEC_AC | 1u << VEC_CP)
/* Those that do not restart the instruction: RF is not set in the flags they push. */
#define VECTORS_NOT_FAULTS \
	(1u << VEC_DB | 1u << VEC_NMI | 1u << VEC_BP | 1u << VEC_OF | 1u << VEC_DF | 1u << VEC_MC)
/* An EXT bit belongs to selector and zero error codes only. */
#define VECTORS_WITH_EXT (1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP)

static unsigned int class_of(unsigned int vector)
{
	if (vector == VEC_DF)
		return CLASS_DOUBLE_FAULT;
	if (vector == VEC_PF)
		return CLASS_PAGE_FAULT;
	return VECTORS_CONTRIBUTORY >> vector & 1 ? CLASS_CONTRIBUTORY : CLASS_BENIGN;
}

static unsigned int delivering_type(const struct soft *c)
{
	return c->delivery_info >> 8 & 7;
}

static bool becomes_worse(const struct soft *c, unsigned int vector)
{
	unsigned int first, second = class_of(vector);

	if (!c->delivering || delivering_type(c) != EVENT_EXCEPTION)
		return false;
	first = class_of(c->delivery_info & 0xff);
	if (first == CLASS_CONTRIBUTORY)
		return second == CLASS_CONTRIBUTORY;
	return first != CLASS_BENIGN && second != CLASS_BENIGN;
}

static _Noreturn void shut_down(struct soft *c)
{
	c->state.exception = (struct cpu_event){ 0 };
	c->exit->reason = CPU_EXIT_SHUTDOWN;
	soft_leave(c, LEAVE_EXIT);
}

/* An event whose delivery raised an exception is gone, as it is on a processor. */
static void drop_delivery(struct soft *c)
{
	if (c->delivery_event) {
		c->delivery_event->pending = false;
		c->delivery_event->injected = false;
	}
	if (delivering_type(c) == EVENT_NMI) {
		c->state.nmi_injected = false;
		c->state.nmi_pending = false;
		c->state.nmi_masked = true;
	}
	delivery_end(c);
}

static _Noreturn void raise_event(struct soft *c, uint8_t vector, uint32_t error)
{
	unsigned int type = delivering_type(c);
	bool external = c->delivering && type < EVENT_INT_N;
	bool worse = becomes_worse(c, vector);
	bool shutdown = worse && (c->delivery_info & 0xff) == VEC_DF;

	if (c->delivering)
		drop_delivery(c);
	if (shutdown)
		shut_down(c);
	if (worse) {
		vector = VEC_DF;
		error = 0;
	}
	if (external && (VECTORS_WITH_EXT >> vector & 1))
		error |= 1;
	c->state.exception = (struct cpu_event){
		.pending = true,
		.vector = vector,
		.has_error = sys_protected(c) && (VECTORS_WITH_ERROR >> vector & 1),
		.error = error,
	};
	soft_leave(c, LEAVE_EXCEPTION);
}

void soft_raise(struct soft *c, uint8_t vector)
{
	raise_event(c, vector, 0);
}

void soft_raise_error(struct soft *c, uint8_t vector, uint32_t error)
{
	raise_event(c, vector, error);
}

void soft_raise_page_fault(struct soft *c, uint64_t gva, uint32_t error)
{
	c->state.cr2 = gva;
	raise_event(c, VEC_PF, error);
}

void delivery_begin(struct soft *c, struct cpu_event *event, uint8_t vector, unsigned int type)
{
	c->delivering = true;
	c->delivery_event = event;
	c->delivery_info = 1u << 31 | type << 8 | vector;
	if (event && event->has_error)
		c->delivery_info |= 1u << 11;
}

void delivery_end(struct soft *c)
{
	c->delivering = false;
	c->delivery_event = NULL;
}

static unsigned int event_type(const struct cpu_event *e, bool is_exception)
{
	if (is_exception)
		return EVENT_EXCEPTION;
	if (e->soft)
		return EVENT_INT_N;
	return e->vector == VEC_NMI ? EVENT_NMI : EVENT_EXTERNAL;
}

bool soft_deliver(struct soft *c, struct cpu_event *event, bool is_exception)
{
	/* soft_leave() goes by the current instruction: at a boundary, one of no length at RIP. */
	static const struct insn boundary;
	struct cpu_state *s = &c->state;
	struct delivery d = {
		.vector = event->vector,
		.software = event->soft,
		.has_error = event->has_error,
		.error = event->error,
		.rip = s->rip,
		.flags = soft_rflags(c),
	};

	c->cur = &boundary;
	c->block_rip = s->rip;
	if (is_exception && event->vector < 32 && !(VECTORS_NOT_FAULTS >> event->vector & 1))
		d.flags |= RFLAGS_RF;
	delivery_begin(c, event, event->vector, event_type(event, is_exception));
	s->rip = deliver_event(c, &d);
	delivery_end(c);
	if (is_exception && event->vector == VEC_DB)
		s->dr7 &= ~DR7_GD;
	event->pending = false;
	event->injected = false;
	s->interrupt_shadow = 0;
	s->halted = false;
	soft_attend(c);
	return true;
}
