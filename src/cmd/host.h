/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* host: what this host's kernel offers that is not KVM but that memory for guests is made of. */
#ifndef GMEM_CMD_HOST_H
#define GMEM_CMD_HOST_H

#include "cmd/ask.h"

size_t host_nr_facts(void);
const char *host_fact_name(size_t i);
void host_fact(size_t i, char out[ASK_ANSWER_MAX]);

#endif
