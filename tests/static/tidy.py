#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""clang-tidy has nothing to say about the C files below FOLDERs. Its checks are those of .clang-tidy.

    tidy.py BUILD NAME FOLDER...

A file that was clean is looked at again when it, a header of it, its options or .clang-tidy have changed:
BUILD/tidy-NAME.json.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import static

VERSION = 'version 14.'
# The options are those of the compiler that builds, which may have warnings that clang has not heard of.
OPTIONS = ['--quiet', '--extra-arg=-Wno-unknown-warning-option',
           '--extra-arg=-Qunused-arguments']
# Paths through a function that the analyser follows: enough for all but a few of ours.
for option in ('-Xclang', '-analyzer-config', '-Xclang', 'max-nodes=8000'):
    OPTIONS.append(f'--extra-arg={option}')
MESSAGE = re.compile(r'^(\S+?):(\d+):\d+: (?:warning|error): (.*) \[([\w.,-]+)\]$')


def dependencies(build):
    """Object -> the files that it was made from, as ninja has noted them."""
    out = subprocess.run(['ninja', '-C', build, '-t', 'deps'], check=False, text=True,
                         capture_output=True).stdout
    found, files = {}, []
    for line in out.splitlines():
        if line.endswith('(VALID)'):
            files = found.setdefault(line.split(':')[0], [])
        elif line.startswith('    '):
            files.append(os.path.join(build, line.strip()))
    return found


def state(path):
    """What changes when a file does."""
    if os.path.realpath(path).startswith(static.ROOT):
        with open(path, 'rb') as f:
            return f.read()
    found = os.stat(path)
    return f'{found.st_size} {found.st_mtime_ns}'.encode()


def fingerprint(entry, deps, common):
    files = deps.get(entry['output'])
    if not files:
        return None
    sha = hashlib.sha256(common + entry['command'].encode())
    try:
        for path in sorted(files):
            sha.update(path.encode() + state(path))
    except OSError:
        return None
    return sha.hexdigest()


def configuration():
    """All that says what is checked, but the sources."""
    here = os.path.dirname(os.path.abspath(__file__))
    files = [__file__, os.path.join(here, 'static.py'), os.path.join(static.ROOT, '.clang-tidy')]
    for folder in ('src/bench', 'src/cmd', 'src/os/sim'):
        files.append(os.path.join(static.ROOT, folder, '.clang-tidy'))
    return b''.join(state(f) for f in files if os.path.exists(f))


def look(tool, build, path):
    """One file a run: of a second one it says that va_start() was not called."""
    done = subprocess.run([tool, '-p', build] + OPTIONS + [os.path.join(static.ROOT, path)],
                          check=False, text=True, capture_output=True)
    found = []
    for line in done.stdout.splitlines():
        match = MESSAGE.match(line)
        if match:
            path = os.path.relpath(os.path.realpath(os.path.join(build, match.group(1))), static.ROOT)
            found.append([path, int(match.group(2)), match.group(4).split(',')[0], match.group(3)])
    if done.returncode != 0 and not found:
        print(done.stdout + done.stderr)
        sys.exit(f'{tool} failed')
    return found


def main():
    build, name, folders = os.path.realpath(sys.argv[1]), sys.argv[2], sys.argv[3:]
    tool = shutil.which('clang-tidy-14') or shutil.which('clang-tidy')
    version = tool and subprocess.check_output([tool, '--version'])
    if not tool or VERSION.encode() not in version:
        static.skip('clang-tidy 14 is not installed')
    store = os.path.join(build, f'tidy-{name}.json')
    try:
        with open(store, encoding='utf-8') as f:
            clean = json.load(f)
    except (OSError, ValueError):
        clean = {}
    common, deps = version + configuration(), dependencies(build)
    files = static.commands(build, folders)
    prints = {p: fingerprint(e, deps, common) for p, e in files.items()}
    old = {p: clean[p] for p in files if prints[p] and clean.get(p, {}).get('print') == prints[p]}
    todo = sorted(files.keys() - old.keys())
    found = [f for p in old for f in old[p]['found']]
    for path in todo:
        some = look(tool, build, path)
        found += some
        old[path] = {'print': prints[path], 'found': some}
    with open(store, 'w', encoding='utf-8') as f:
        json.dump(old, f)
    static.finish('clang-tidy', folders, [tuple(f) for f in found], f'{len(files)} files, {len(todo)} of them looked at')


main()
