#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The preloaded library takes nothing from libc's allocator or stdio: a program's signal handler
may enter it in the middle of the program's own malloc(). It exports no name that it need not.

    no_alloc.py LIBRARY
"""
import re
import subprocess
import sys

import house

FORBIDDEN = re.compile(
    r'^(malloc|calloc|realloc|reallocarray|free|cfree|posix_memalign|aligned_alloc|memalign|valloc|'
    r'pvalloc|strdup|strndup|__strdup|v?asprintf|__v?asprintf_chk|getline|getdelim|f(open|dopen|'
    r'close|printf|puts|putc|write|read|gets|flush)(64)?|_IO_.*|(v|s|vs|sn|vsn|d|vd)?printf|puts|'
    r'putchar|perror|syslog|qsort|tmpfile|opendir|readdir|scandir|popen|getaddrinfo|setenv|putenv|'
    r'std(in|out|err)|__[a-z]*printf_chk)$')
# What only calls of the program's lead to that allocate anyway: fopen() of a path that we answer for,
# and system() and popen(), whose shell finds the way to us in the environment.
ALLOWED = {'fdopen', 'setenv'}
PRIVATE = re.compile(r'^(os|obs|core|gmem|mmu|map|kvm|cpu|Zydis|Zyan)(_|[A-Z])')


def dynamic(library, what):
    out = subprocess.run(['nm', '-D', what, library], check=True, capture_output=True)
    return sorted(line.split()[-1].split('@')[0] for line in out.stdout.decode().splitlines())


def main():
    library = sys.argv[1]
    complaints = [f'{library} calls {name}' for name in dynamic(library, '--undefined-only')
                  if FORBIDDEN.match(name) and name not in ALLOWED]
    complaints += [f'{library} exports {name}' for name in dynamic(library, '--defined-only')
                   if PRIVATE.match(name)]
    house.finish(complaints, 'what the preloaded library calls and exports')


main()
