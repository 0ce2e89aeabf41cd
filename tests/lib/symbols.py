#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What libgmem.so exports is what gmem.h declares and says something about, each with the version since which it is
there; who may call it is said in words that the header explains; the library takes nothing from libc's allocator or
stdio; and libgmem.a has no other name for a program to meet.

    symbols.py gmem.h LIBGMEM.SO LIBGMEM.A SANITIZED
"""
import os
import re
import subprocess
import sys

# The last line about a function: [who; home only; may wait; since 0.2].
BRACKET = re.compile(r'\[(any thread(?:, (?:callbacks|signal handlers) too)?|callbacks only|faults only|callbacks and '
                     r'faults only)(?:; home only)?(?:; may wait)?; since (\d+\.\d+)\]$')
FORBIDDEN = re.compile(r'^(malloc|calloc|realloc|free|posix_memalign|aligned_alloc|strdup|strndup|v?asprintf|'
                       r'st[rp]n?c(py|at)|'  # nor, unhardened, what hardened headers have a copy of
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
    """Function -> what is said of it: the comment right before it, or before the declaration it stands with."""
    text = interface(header)
    found = {}
    for match in re.finditer(r'(?m)^GMEM_API\s[^;]*?\b(gmem_\w+)\(', text):
        before = text[:match.start()]
        if before.endswith('*/\n'):
            said = before[before.rindex('/*'):]
        elif not before.endswith(';\n'):
            said = ''
        found[match.group(1)] = said
    return found


def since(said):
    """The symbol version that a function must have; None: it does not say so, or not who may call it."""
    bracket = BRACKET.search(said.rstrip().removesuffix('*/').rstrip())
    return f'GMEM_{bracket.group(2)}' if bracket else None


def judge(header, library, archive, sanitized):
    names = declared(header)
    exported = [s for s in nm(library, '-D', '--defined-only') if not COMPILER.match(s)]
    version = dict(s.split('@@') for s in exported if '@@' in s)
    nodes = {s for s in exported if s in version.values() or re.fullmatch(r'GMEM_[\d.]+(@@.*)?', s)}
    plain = {s.split('@')[0] for s in exported if s not in nodes}
    yield from (f'{n}: declared and not exported' for n in sorted(set(names) - plain))
    yield from (f'{n}: exported and not declared' for n in sorted(plain - set(names)))
    yield from (f'{n}: nothing is said about it' for n, said in sorted(names.items()) if not said)
    yield from (f'{n}: who may call it, and since when, is not said: {BRACKET.pattern}'
                for n, said in sorted(names.items()) if said and not since(said))
    yield from (f'{n}: its symbol is of {version.get(n)}, the header says {since(said)}'
                for n, said in sorted(names.items()) if since(said) and version.get(n) != since(said))
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
