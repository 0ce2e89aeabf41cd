/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* demangle: names of C++ and Rust as they are written in a program. */
#ifndef GMEM_SEE_DEMANGLE_H
#define GMEM_SEE_DEMANGLE_H

/* "Fd::call<kvm_enable_cap*>" of _ZNK2Fd4callIP14kvm_enable_capEEimT_; to be freed. NULL: it is no such name. */
char *see_demangle(const char *name);

#endif
