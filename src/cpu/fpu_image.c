/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#include "cpu/fpu_image.h"

#include <string.h>

void fxsave_fill(const struct cpu_state *s, bool wide, struct fxsave_image *image)
{
	memset(image, 0, sizeof(*image));
	image->fcw = s->fcw;
	image->fsw = s->fsw;
	image->ftw = s->ftw;
	image->fop = s->fop;
	image->fip = wide ? s->fip : (uint32_t)s->fip;
	image->fdp = wide ? s->fdp : (uint32_t)s->fdp;
	image->mxcsr = s->mxcsr;
	image->mxcsr_mask = MXCSR_LEGAL;
	for (unsigned int n = 0; n < 8; n++)
		memcpy(image->st[n], s->st[n], 10);
	memcpy(image->xmm, s->xmm, sizeof(image->xmm));
}

void x87_update_summary(struct cpu_state *s)
{
	s->fsw &= (uint16_t) ~(FSW_ES | FSW_BUSY);
	if (s->fsw & ~s->fcw & FSW_FLAGS)
		s->fsw |= FSW_ES | FSW_BUSY;
}

void fxsave_take_x87(struct cpu_state *s, bool wide, const struct fxsave_image *image)
{
	s->fcw = (image->fcw & FCW_LEGAL) | FCW_ALWAYS;
	s->fsw = image->fsw;
	s->ftw = image->ftw;
	s->fop = image->fop & FOP_LEGAL;
	s->fip = wide ? image->fip : (uint32_t)image->fip;
	s->fdp = wide ? image->fdp : (uint32_t)image->fdp;
	memset(s->st, 0, sizeof(s->st));
	for (unsigned int n = 0; n < 8; n++)
		memcpy(s->st[n], image->st[n], 10);
	x87_update_summary(s);
}

void fxsave_init_x87(struct cpu_state *s)
{
	s->fcw = FCW_DEFAULT;
	s->fsw = s->fop = 0;
	s->ftw = 0;
	s->fip = s->fdp = 0;
	memset(s->st, 0, sizeof(s->st));
}
