#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""No file has 700 lines, no function 100: docs/design.md, 8."""
import json
import os
import shutil
import subprocess

import house

FILE_MAX, FUNCTION_MAX = 699, 99


def code_files():
    return [f for f in house.project_files()
            if f.endswith(('.c', '.h', '.py', '.S')) or f.startswith('tools/')]


def long_files(paths):
    for path in paths:
        count = len(house.lines(path))
        if count > FILE_MAX:
            yield f'{path}: {count} lines'


def functions(paths):
    out = subprocess.run(['ctags', '--languages=C', '--langmap=C:.c.h', '--kinds-C=f',
                          '--fields=+ne', '--output-format=json', '-L', '-', '-f', '-'],
                         input='\n'.join(paths).encode(), cwd=house.ROOT, check=True,
                         capture_output=True).stdout.decode()
    return [json.loads(line) for line in out.splitlines()]


def long_functions(paths):
    for f in functions([p for p in paths if p.endswith(('.c', '.h'))]):
        count = f.get('end', f['line']) - f['line'] + 1
        if count > FUNCTION_MAX:
            yield f"{f['path']}:{f['line']}: {f['name']}() has {count} lines"


def has_ctags():
    path = shutil.which('ctags')
    return path and b'Universal' in subprocess.run([path, '--version'], capture_output=True).stdout


def main():
    paths = code_files()
    complaints = list(long_files(paths))
    if not complaints and not has_ctags():
        house.skip('universal-ctags is not installed, so functions cannot be measured')
    house.finish(complaints + list(long_functions(paths)), f'{len(paths)} files of code')


os.environ['LC_ALL'] = 'C.UTF-8'
main()
