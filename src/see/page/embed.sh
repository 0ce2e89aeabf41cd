#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR MIT
# embed.sh OUTPUT PAGE STYLE SCRIPT...: the page with style and scripts in their places, as a C array.
set -eu
out=$1 page=$2 style=$3
shift 3
{
	echo '/* SPDX-License-''Identifier: GPL-2.0-only OR MIT */'
	echo 'static const char map_page[] = {'
	while IFS= read -r line; do
		case $line in
		@STYLE@) cat "$style" ;;
		@SCRIPT@) cat "$@" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done <"$page" | od -An -v -tu1 | sed 's/  *\([0-9][0-9]*\)/\1,/g'
	echo '0};'
} >"$out"
