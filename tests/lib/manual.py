#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Each function that the library exports, and each inline one of its headers, has a manual page, alone or with others,
and no other name has; pages are found under each name, and say of every function how it is called, who may, and each
error that its header names: manual.py SOURCE FOLDER"""
import os
import re
import subprocess
import sys

SOURCE, FOLDER = sys.argv[1:3]
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(SOURCE, 'man/lib'))
from header import Header  # noqa: E402
from make import read_pages  # noqa: E402

complaints = []


def check(what, truth):
    if not truth:
        complaints.append(what)


def symbols():
    with open(os.path.join(SOURCE, 'src/lib/libgmem.map'), encoding='utf-8') as f:
        return set(re.findall(r'^\t(gmem_\w+);', f.read(), re.MULTILINE))


def plain(name):
    env = {**os.environ, 'MANWIDTH': '2000', 'LC_ALL': 'C.UTF-8', 'MAN_KEEP_FORMATTING': ''}
    out = subprocess.run(['man', '-l', os.path.join(FOLDER, name + '.3')], env=env, capture_output=True, text=True,
                         check=True).stdout
    return re.sub('.\b', '', out).replace('\u2010', '-').replace('\u2212', '-')


def words(text):
    return re.sub(r'\s+', ' ', text)


def check_page(header, page):
    text = words(plain(page.names[0]))
    for name in page.names:
        prototype, said = header.functions[name]
        check(f'{page.names[0]}(3) calls {name} otherwise', words(prototype) in text)
        check(f'{page.names[0]}(3) does not say who may call {name}',
              said is None or not said.bracket or words(said.bracket) in text)
        for error, why in said.errors if said else []:
            check(f'{page.names[0]}(3) does not say of {name}: {error} {why}', words(why) in text)
    for name in page.names[1:]:
        with open(os.path.join(FOLDER, name + '.3'), encoding='utf-8') as f:
            check(f'{name}(3) leads elsewhere', f'.so man3/{page.names[0]}.3\n' in f.read())


def main():
    if not os.path.exists(os.path.join(FOLDER, 'libgmem.3')):
        print('scdoc was not installed when gmem was built')
        sys.exit(77)
    header = Header(os.path.join(SOURCE, 'include/gmem.h'))
    pages = read_pages(os.path.join(SOURCE, 'man/lib/pages.in'))
    names = [name for page in pages for name in page.names]
    for name in sorted(symbols() | set(header.functions)):
        check(f'{name} is on {names.count(name)} pages of man/lib/pages.in', names.count(name) == 1)
    for name in sorted(set(names) - set(header.functions)):
        check(f'{name} is on a page, and in no header', False)
    overview = plain('libgmem')
    for page in pages:
        if set(page.names) <= set(header.functions):
            check_page(header, page)
            check(f'libgmem(3) does not name {page.names[0]}(3)', f'{page.names[0]}(3)' in overview)
    print('\n'.join(complaints + [f'{len(complaints)} complaints of {len(pages)} pages on {len(names)} functions']))
    sys.exit(1 if complaints else 0)


main()
