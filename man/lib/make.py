#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Manual pages of the library, for scdoc, from what gmem.h says.

    make.py gmem.h pages.in NAME	the page NAME of pages.in
    make.py gmem.h PAGE.scd		a page by hand, in which @header TITLE is what the header says under that title
"""
import re
import sys

from header import Header

SPECIAL = '*_\\'


class Page:
    def __init__(self, names):
        self.names, self.does = names, ''
        self.about, self.after, self.constants, self.see, self.example = [], [], [], [], []


def read_pages(path):
    pages = []
    with open(path, encoding='utf-8') as f:
        for line in f.read().splitlines():
            key, _, words = line.partition(': ')
            if line.startswith('== '):
                pages.append(Page(line.split()[1:]))
            elif key in ('About', 'After', 'Constants', 'See', 'Example'):
                setattr(pages[-1], key.lower(), words.split())
            elif line and not line.startswith('#'):
                pages[-1].does = line
    return pages


def escaped(text):
    text = ''.join('\\' + c if c in SPECIAL else c for c in text)
    text = re.sub(r'\b(gmem(?:\\_\w+)+)\(\)', r'*\1*()', text)
    return re.sub(r'(?<![\w\\])(-E[A-Z0-9]+)\b', r'*\1*', text)


def line_of(text):
    """A line that scdoc takes for text, whatever it begins with."""
    text = escaped(text)
    return '\\' + text if text[:1] in '.#-|[];' else text


def code(lines):
    yield '```'
    yield from (line.expandtabs(8).rstrip() for line in lines)
    yield '```'


def error(names, text):
    if names == 'or':
        yield from ('Or ' + escaped(text), '')
    else:
        yield from (escaped(names), '\t' + line_of(text), '')


def paragraphs(said, errors=False):
    for kind, what in said.parts:
        if kind == 'text':
            yield from (line_of(what), '')
        elif kind == 'code':
            yield from code(what)
            yield ''
        elif errors:
            yield from error(*what)


def description(header, page):
    for name in page.about:
        yield from paragraphs(header.struct_said(name))
    told = []
    for name in page.names:
        _, said = header.functions[name]
        if said is None or said in told:
            continue
        told.append(said)
        if len(page.names) > 1:
            both = [n for n in page.names if header.functions[n][1] is said]
            yield '## ' + ', '.join(f'{n}()' for n in both)
            yield ''
        yield from paragraphs(said)
    for name in page.after:
        yield from (f'## struct {escaped(name)}', '')
        yield from paragraphs(header.struct_said(name))


def structures(header, page):
    wanted = []
    for name in page.names:
        for struct in re.findall(r'struct (\w+)', header.functions[name][0]):
            if struct not in wanted and header.struct(struct):
                wanted.append(struct)
    # What they point to, or are made of.
    for struct in wanted:
        for inner in re.findall(r'struct (\w+)', header.struct(struct)):
            if inner not in wanted and header.struct(inner):
                wanted.append(inner)
    return wanted


def definitions(header, page):
    wanted = structures(header, page)
    if not wanted and not page.constants:
        return
    yield '# DEFINITIONS'
    yield ''
    if page.constants:
        yield from code('\n'.join(header.constant(c) for c in page.constants).split('\n'))
        yield ''
    for struct in wanted:
        if struct not in page.about + page.after:
            yield from paragraphs(header.struct_said(struct))
        yield from code(header.struct(struct).split('\n'))
        yield ''


def result(header, page):
    yield '# RETURN VALUE'
    yield ''
    kinds = {header.functions[n][0].split('gmem_')[0].strip() for n in page.names}
    if 'int' in kinds:
        yield '0 or a negative errno; *errno* is not touched. A call that fails has changed nothing, unless it says'
        yield 'otherwise; *gmem\\_last\\_refusal*(3) tells why it did.'
    else:
        yield 'As said above; these cannot fail.'
    yield ''


def errors(header, page):
    told = []
    for name in page.names:
        _, said = header.functions[name]
        if not said or said in told or not said.errors:
            continue
        if not told:
            yield from ('# ERRORS', '', 'Beside those that any function may give, see *libgmem*(3):', '')
        told.append(said)
        if len(page.names) > 1:
            yield from (f'## {name}()', '')
        for names, text in said.errors:
            yield from error(names, text)


def attributes(header, page):
    yield from ('# ATTRIBUTES', '', 'In the words of *libgmem*(3), "IN SHORT":', '')
    sep = '[['
    for name in page.names:
        _, said = header.functions[name]
        words = said.bracket.split('; ') if said and said.bracket else ['inline', 'as what it calls']
        yield f'{sep} {escaped(name)}()'
        yield f':[ {escaped("; ".join(words))}'
        sep = '|['
    yield ''


def make(header, page):
    yield from (f'{page.names[0]}(3)', '', '; SPDX-License-Identifier: GPL-2.0-only OR MIT', '')
    yield from ('# NAME', '', f'{escaped(", ".join(page.names))} - {page.does}', '')
    yield from ('# SYNOPSIS', '')
    yield from code(['#include <gmem.h>', ''] + '\n'.join(header.functions[n][0] for n in page.names).split('\n'))
    yield from ('', '# DESCRIPTION', '')
    yield from description(header, page)
    yield from definitions(header, page)
    yield from result(header, page)
    yield from errors(header, page)
    yield from attributes(header, page)
    if page.example:
        names = ' and '.join(f'_{escaped(name)}_' for name in page.example)
        yield from ('# EXAMPLE', '', f'{names} of the examples that come with the library.', '')
    yield from ('# SEE ALSO', '')
    see = ['libgmem(3)'] + page.see
    yield ', '.join(re.sub(r'(.*)(\(\d\))', lambda m: f'*{escaped(m.group(1))}*{m.group(2)}', s) for s in see)


def by_hand(header, path):
    with open(path, encoding='utf-8') as f:
        for line in f.read().splitlines():
            if not line.startswith('@header '):
                yield line
                continue
            yield from paragraphs(header.section(line.split(' ', 1)[1]), errors=True)


def main():
    header = Header(sys.argv[1])
    if len(sys.argv) == 3:
        print('\n'.join(by_hand(header, sys.argv[2])))
        return
    page = next(p for p in read_pages(sys.argv[2]) if p.names[0] == sys.argv[3])
    print('\n'.join(make(header, page)))


if __name__ == '__main__':
    main()
