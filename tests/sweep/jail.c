/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * A program that forbids itself what it needs no longer, once it has a VM: a filter of system calls kills who
 * makes a memfd, a userfaultfd, a socket or a thread. What is made from then on comes from what was made before.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "../jail_filter.h"
#include "helper.h"
#include "steps.h"

/* So few that what is made before is not very much. */
#define NR_DESCRIPTORS 80

struct own {
	struct helper helper; /* there before the filter */
	bool maps;
};

static struct own *own(struct world *w)
{
	return w->own;
}

static struct world *make(void)
{
	struct rlimit limit = { NR_DESCRIPTORS, NR_DESCRIPTORS };
	struct world *w = world_make();

	w->own = calloc(1, sizeof(struct own));
	if (!w->own || setrlimit(RLIMIT_NOFILE, &limit))
		abort();
	return w;
}

static void unmake(struct world *w)
{
	helper_end(&own(w)->helper);
	free(w->own);
	world_unmake(w);
}

static void look(struct world *w, struct text *t)
{
	world_look(w, t);
	if (!own(w)->maps)
		return;
	text_add(t, "\n  helper:");
	helper_look(&own(w)->helper, t);
}

/* ---- steps ------------------------------------------------------------------------------------- */

static int early_helper(struct world *w)
{
	return helper_fork(&own(w)->helper, -1, NULL);
}

static int filter(struct world *w)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &jail_program, 0, 0) ? -errno : 0;
}

GUEST_WRITES(write_shared, 2, 0x22)
GUEST_WRITES(write_private, 4, 0x44)
CONVERT(to_private, 1, 320, true)
CONVERT(share_3, 3, 1, false)
CONVERT(share_64, 64, 36, false)
CONVERT(all_to_shared, 0, NR_PAGES, false)

static int send_file(struct world *w)
{
	int err = helper_tell(&own(w)->helper, ORDER_MAP, 0, 0, w->file);

	own(w)->maps = !err;
	return err;
}

static int converted_by_helper(struct world *w)
{
	return helper_tell(&own(w)->helper, ORDER_TO_PRIVATE, 50, 1, -1);
}

static int another_vm(struct world *w)
{
	long vm = w->u->ioctl(w->kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);

	if (vm < 0)
		return (int)vm;
	return w->u->close((int)vm);
}

static const struct step steps[] = {
	{ "early helper", early_helper },
	STEPS_TO_RUN,
	{ "filter", filter },
	{ "file", step_shared_file },
	{ "map all", step_map_all },
	{ "map part", step_map_part },
	{ "bind", step_bind },
	{ "guest writes shared", write_shared },
	{ "to private", to_private },
	{ "guest writes private", write_private },
	{ "share 3", share_3 },
	{ "send", send_file },
	{ "share 64", share_64 },
	{ "helper converts", converted_by_helper },
	{ "second vcpu", step_second_vcpu },
	{ "another vm", another_vm },
	{ "punch", step_punch },
	{ "all to shared", all_to_shared },
	{ "unbind", step_unbind },
};

const struct scenario jail = {
	.name = "jail",
	.profile = "in-place",
	STEPS(steps),
	.make = make,
	.look = look,
	.unmake = unmake,
};
