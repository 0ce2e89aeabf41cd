/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * The machine types. Hardware that guards pages itself (SNP, TDX) has to be told when a page changes hands:
 * a type that simulates it puts its functions here. The two there are keep private memory by software alone.
 */
#include "kvm/object.h"

static const struct vm_type types[] = {
	{ .type = KVM_X86_DEFAULT_VM },
	{ .type = KVM_X86_SW_PROTECTED_VM, .has_private = true },
};

const struct vm_type *vm_type_find(uint64_t type)
{
	unsigned int i;

	for (i = 0; i < NR_ROWS(types); i++) {
		if (types[i].type == type)
			return &types[i];
	}
	return NULL;
}
