/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "host.h"

#include <errno.h>
#include <signal.h>

#include "kvm/kvm.h"
#include "map/host_map.h"
#include "map/pins.h"
#include "os/fault.h"

static struct pin *pins[NR_PINS];

static int64_t touch(void (*fn)(void *arg), void *arg)
{
	struct os_catch c;

	if (os_catch(&c))
		return c.signo == SIGBUS ? ANSWER_SIGBUS : ANSWER_SIGSEGV;
	fn(arg);
	os_catch_end(&c);
	return 0;
}

static void read_byte(void *addr)
{
	(void)*(volatile uint8_t *)addr;
}

/* As the shim does around vmsplice: the intent first. */
static int pin(unsigned int i, void *addr)
{
	struct host_map_range r;
	int err;

	if (!host_map_find(kvm_host_map(), (uintptr_t)addr, PAGE, &r))
		return touch(read_byte, addr) ? -EFAULT : 0;
	host_map_clip(&r, (uintptr_t)addr, (uintptr_t)addr + PAGE);
	err = pin_intend(r.file, r.offset, PAGE, &pins[i]);
	if (!err && touch(read_byte, addr)) {
		pin_settle(pins[i], 0);
		pins[i] = NULL;
		err = -EFAULT;
	} else if (!err) {
		pin_settle(pins[i], PAGE);
	}
	kvm_object_put(r.owner);
	return err;
}

static void unpin(unsigned int i)
{
	if (pins[i])
		pin_drop(pins[i]);
	pins[i] = NULL;
}

const struct host host_linked = {
	.u = &uapi_linked,
	.start = kvm_set_profile,
	.touch = touch,
	.pin = pin,
	.unpin = unpin,
};
