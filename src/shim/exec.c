/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "shim/exec.h"

void exec_init(void)
{
}
