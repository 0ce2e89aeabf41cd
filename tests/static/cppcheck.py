#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""cppcheck has nothing to say about the C files below FOLDERs.

    cppcheck.py BUILD NAME FOLDER...

It keeps what it knows of each file in BUILD/cppcheck-NAME, and looks again at those that have changed.
"""
import json
import os
import re
import shutil
import subprocess
import sys

import static

OPTIONS = [
    '--quiet', '--std=c11', '--platform=unix64', '--enable=warning,portability,performance',
    # One configuration, the one that is built: without these it tries what each #if could be.
    '-D__x86_64__=1', '-D__linux__=1', '-D__GNUC__=12',
    # Of <limits.h>, which it does not read, and without which libpng's header does not go on.
    '-DCHAR_BIT=8', '-DUCHAR_MAX=255', '-DSHRT_MIN=-32768', '-DSHRT_MAX=32767', '-DUSHRT_MAX=65535',
    '-DINT_MIN=(-2147483647-1)', '-DINT_MAX=2147483647', '-DUINT_MAX=4294967295U',
    '--suppress=missingIncludeSystem', '--suppress=normalCheckLevelMaxBranches',
    '--template={file}:{line}: {id}: {message}', '--template-location=',
]
MESSAGE = re.compile(r'^(\S+?):(\d+): ([\w-]+): (.*)$')


def main():
    build, name, folders = os.path.realpath(sys.argv[1]), sys.argv[2], sys.argv[3:]
    tool = shutil.which('cppcheck')
    if not tool:
        static.skip('cppcheck is not installed')
    files = static.commands(build, folders)
    kept = os.path.join(build, f'cppcheck-{name}')
    os.makedirs(kept, exist_ok=True)
    project = os.path.join(kept, 'project.json')
    with open(project, 'w', encoding='utf-8') as f:
        json.dump([dict(e, file=os.path.join(static.ROOT, p)) for p, e in sorted(files.items())], f)
    done = subprocess.run([tool, f'--project={project}', f'--cppcheck-build-dir={kept}'] + OPTIONS,
                          check=False, text=True, capture_output=True)
    if done.returncode != 0:
        print(done.stdout + done.stderr)
        sys.exit('cppcheck failed')
    found = []
    for line in done.stderr.splitlines():
        match = MESSAGE.match(line)
        if match:
            path = os.path.relpath(os.path.realpath(match.group(1)), static.ROOT)
            found.append((path, int(match.group(2)), match.group(3), match.group(4)))
    static.finish('cppcheck', folders, found, f'{len(files)} files')


main()
