#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# Makes src/bench/guest_mixed.h of mixed.c. By hand, when mixed.c changes: figures before and after are then
# not of the same guest. Usage: tests/cpu/guests/mixed.sh > src/bench/guest_mixed.h
set -eu
here=$(dirname "$0")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
gcc -std=gnu11 -O2 -ffreestanding -fno-stack-protector -fcf-protection=none -mno-red-zone \
	-fno-pic -no-pie -nostdlib -static -Wl,--build-id=none,--no-warn-rwx-segments -Wl,-z,noexecstack \
	-T "$here/mixed.ld" -o "$dir/mixed.elf" "$here/mixed.c"
objcopy -O binary "$dir/mixed.elf" "$dir/mixed.bin"
cat <<'END'
/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Made by tests/cpu/guests/mixed.sh of mixed.c: for 0x10000, in long mode, RDI: rounds; up to HLT. */
#ifndef GMEM_BENCH_GUEST_MIXED_H
#define GMEM_BENCH_GUEST_MIXED_H

#include <stdint.h>

/* clang-format off */
static const uint8_t guest_mixed[] = {
END
od -An -v -tx1 -w16 "$dir/mixed.bin" | sed 's/ \([0-9a-f][0-9a-f]\)/0x\1, /g; s/ $//; s/^/\t/'
cat <<'END'
};
/* clang-format on */

#endif
END
