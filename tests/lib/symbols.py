#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What libgmem.so exports is what gmem.h declares and says something about, each with the version; it takes
nothing from libc's allocator or stdio; and libgmem.a has no other name for a program to meet.

    symbols.py gmem.h LIBGMEM.SO LIBGMEM.A SANITIZED
"""
import os
import re
import subprocess
import sys

VERSION = 'GMEM_0.2'
FORBIDDEN = re.compile(r'^(malloc|calloc|realloc|free|posix_memalign|aligned_alloc|strdup|strndup|v?asprintf|'
                       r'f(open|printf|puts|write|flush)|(v|s|sn|vsn)?printf|puts|perror|setenv)$')
COMPILER = re.compile(r'^(__|_init$|_fini$|_edata$|_end$|_GLOBAL_)')


def nm(library, *options):
    out = subprocess.run(['nm', *options, library], check=True, capture_output=True).stdout.decode()
    return [line.split()[-1] for line in out.splitlines() if line.split()]


def interface(header):
    """The text of gmem.h and of the headers that it is made of."""
    with open(header, encoding='utf-8') as f:
        text = f.read()
    for part in re.findall(r'(?m)^#include "(.*)"', text):
        with open(os.path.join(os.path.dirname(header), part), encoding='utf-8') as f:
            text += f.read()
    return text


def declared(header):
    """Function -> whether a comment ends right before it, or before the declaration it stands with."""
    text = interface(header)
    found = {}
    for match in re.finditer(r'(?m)^GMEM_API\s[^;]*?\b(gmem_\w+)\(', text):
        before = text[:match.start()].rstrip()
        found[match.group(1)] = before.endswith('*/') or before.endswith(';') and \
            text[:match.start()].endswith(';\n')
    return found


def judge(header, library, archive, sanitized):
    names = declared(header)
    exported = [s for s in nm(library, '-D', '--defined-only') if not COMPILER.match(s)]
    plain = {s.split('@')[0] for s in exported} - {VERSION}
    yield from (f'{n}: declared and not exported' for n in sorted(set(names) - plain))
    yield from (f'{n}: exported and not declared' for n in sorted(plain - set(names)))
    yield from (f'{n}: nothing is said about it' for n, said in sorted(names.items()) if not said)
    yield from (f'{s}: without version {VERSION}' for s in exported
                if s != VERSION and not s.endswith('@@' + VERSION) and not s.endswith(VERSION))
    if sanitized:
        return
    needed = {s.split('@')[0] for s in nm(library, '-D', '--undefined-only')}
    yield from (f'{library} calls {n}' for n in sorted(needed) if FORBIDDEN.match(n))
    visible = set(nm(archive, '-g', '--defined-only')) - {'libgmem.o:'}
    yield from (f'{archive} has {n}' for n in sorted(visible - set(names)))
    yield from (f'{archive} has no {n}' for n in sorted(set(names) - visible))


def main():
    header, library, archive, sanitized = sys.argv[1:5]
    complaints = list(judge(header, library, archive, sanitized == 'yes'))
    for complaint in complaints:
        print(complaint)
    print(f'{len(complaints)} violations in {len(declared(header))} functions')
    sys.exit(1 if complaints or not declared(header) else 0)


main()
