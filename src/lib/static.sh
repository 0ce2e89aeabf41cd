#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# One archive of one object in which only the names of the interface are left: static.sh OUT.a ARCHIVE...
set -eu

out=$1
shift
object=${out%.a}.o
ld -r -o "$object" --whole-archive "$@"
objcopy --localize-hidden "$object"
rm -f "$out"
ar rcs "$out" "$object"
