#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""C files are as clang-format leaves them (`make format`). Versions differ in taste: 14 is ours."""
import shutil
import subprocess
import sys

import house

VERSION = 'version 14.'


def main():
    tool = shutil.which('clang-format-14') or shutil.which('clang-format')
    if not tool or VERSION not in subprocess.check_output([tool, '--version'], text=True):
        print('clang-format 14 is not installed')
        sys.exit(77)
    files = [f for f in house.project_files() if f.endswith(('.c', '.h'))]
    done = subprocess.run([tool, '--dry-run', '-Werror'] + files, cwd=house.ROOT, text=True,
                          stderr=subprocess.PIPE, check=False)
    complaints = sorted({line.split(':')[0] + ': not formatted' for line in
                         done.stderr.splitlines() if ': error:' in line})
    house.finish(complaints, f'{len(files)} files')


main()
