# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What the house tests share: the files of the project, and how a test ends."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def project_files():
    """Every file that is part of the project, by path from the root."""
    try:
        out = subprocess.run(['git', '-C', ROOT, 'ls-files', '-z', '--cached', '--others',
                              '--exclude-standard'], check=True, capture_output=True).stdout
        files = out.decode().split('\0')
    except (OSError, subprocess.CalledProcessError):
        files = [os.path.relpath(os.path.join(d, f), ROOT)
                 for d, _, fs in os.walk(ROOT) for f in fs]
        files = [f for f in files if not f.startswith(('build', '.git/'))]
    return sorted(f for f in files if f and os.path.isfile(os.path.join(ROOT, f)))


def sources(folder='src'):
    return [f for f in project_files() if f.startswith(folder + '/') and f.endswith(('.c', '.h'))]


def lines(path):
    with open(os.path.join(ROOT, path), encoding='utf-8', errors='replace') as f:
        return f.read().splitlines()


def symbols(archive, undefined):
    """Name -> (member, section) of the symbols of a static library or an object."""
    what = '--undefined-only' if undefined else '--defined-only'
    out = subprocess.run(['nm', '--format=sysv', what, archive], check=True,
                         capture_output=True).stdout.decode()
    found, member = {}, ''
    for line in out.splitlines():
        heading = re.match(r'^(?:Undefined symbols|Symbols) from (.*):$', line)
        if heading:
            member = heading.group(1)
        cells = [c.strip() for c in line.split('|')]
        if len(cells) == 7 and cells[0] != 'Name':
            found.setdefault(cells[0], (member, cells[6]))
    return found


def skip(reason):
    print(reason)
    sys.exit(77)


def finish(complaints, what):
    for complaint in complaints:
        print(complaint)
    print(f'{len(complaints)} violations in {what}')
    sys.exit(1 if complaints else 0)
