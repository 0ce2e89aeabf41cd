/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "obs/probes.h"

#include "obs/tell.h"

/* The form of the note is that of SystemTap, version 3: address, base, semaphore, and three texts. */
#define PROBE(name, result, a, b, c, file)                                               \
	__asm__ volatile(                                                                \
		"990:	nop\n"                                                             \
		"	.pushsection .note.stapsdt,\"\",\"note\"\n"                            \
		"	.balign 4\n"                                                           \
		"	.4byte 992f-991f, 994f-993f, 3\n"                                      \
		"991:	.asciz \"stapsdt\"\n"                                              \
		"992:	.balign 4\n"                                                       \
		"993:	.8byte 990b\n"                                                     \
		"	.8byte _.stapsdt.base\n"                                               \
		"	.8byte os_wanted\n"                                                    \
		"	.asciz \"gmem\"\n"                                                     \
		"	.asciz \"" name "\"\n"                                           \
		"	.asciz \"-8@%0 8@%1 8@%2 8@%3 8@%4\"\n"                                \
		"994:	.balign 4\n"                                                       \
		"	.popsection\n"                                                         \
		"	.ifndef _.stapsdt.base\n"                                              \
		"	.pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
		"	.weak _.stapsdt.base\n"                                                \
		"	.hidden _.stapsdt.base\n"                                              \
		"_.stapsdt.base:\n"                                                      \
		"	.space 1\n"                                                            \
		"	.size _.stapsdt.base, 1\n"                                             \
		"	.popsection\n"                                                         \
		"	.endif\n"                                                              \
		:                                                                        \
		: "r"(result), "r"(a), "r"(b), "r"(c), "r"(file))

void obs_probe(const struct obs_told *t)
{
	uint64_t file = t->file;

	switch (t->kind) {
#define PROBE_OF(id, name, a_, b_, c_)                         \
	case OBS_##id:                                         \
		PROBE(#id, t->result, t->a, t->b, t->c, file); \
		break;
		OBS_KINDS_TOLD(PROBE_OF)
#undef PROBE_OF
	default:
		break;
	}
}
