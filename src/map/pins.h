/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * pins: who of this process holds pages of a file so that they cannot become private now.
 *
 *	pin_intend()	before the call that pins (vmsplice, ...): counted, so that a conversion which
 *			looks afterwards sees it. No lock is held while the call runs, it may block.
 *	pin_settle()	after the call: what it really took
 *	pin_drop()
 *
 * A conversion looks twice: in prepare, where a pin refuses before anything was touched, and once the
 * range is hidden from every mapping, when no new pin is possible. An intent that is counted between the two
 * looks either finds the pages hidden (EFAULT) or is found by the second look.
 */
#ifndef GMEM_MAP_PINS_H
#define GMEM_MAP_PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

struct gmem_change;
struct host_file;
struct pin;

struct pins { /* of one host_file */
	struct os_mutex lock;
	struct pin *list;
	_Atomic uint32_t nr; /* also shown to the home, by who has the file from elsewhere */
};

/* [offset, offset + size) of f, bytes. -ENOMEM: then the call must not be made. */
int pin_intend(struct host_file *f, uint64_t offset, uint64_t size, struct pin **out);
/* The first size bytes were taken, the rest was not; 0: none, and the pin is gone. */
void pin_settle(struct pin *p, uint64_t size);
void pin_drop(struct pin *p);

/* Every pinned range in [offset, offset + size) is told to refuse(arg, offset, size), rounded to pages;
 * how many. Pins that end by themselves (a drained pipe) are looked up and dropped here. */
uint64_t pins_check(struct host_file *f, uint64_t offset, uint64_t size,
		    void (*refuse)(void *arg, uint64_t offset, uint64_t size), void *arg);

#endif
