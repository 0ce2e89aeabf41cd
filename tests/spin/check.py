#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""check.py MODEL...: has spin look at every state of a model, in each of its variants.

A variant that is right must have none that breaks a promise, and none in which somebody waits for ever. Of one that
is known to be wrong the shortest way to its race is printed as a story; it fails when that is not found, or is
another one. GMEM_SOAK: the guest makes one access more.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
STUCK = 'somebody waits for ever'
FREED = 'the guest uses a page that is freed'
LATE_SHARED = 'the guest uses the shared page, which is private now'
LATE_PRIVATE = 'the guest uses the private page, which it no longer has'

# What is defined, and which race is known of it; None: none.
VARIANTS = {
    'v5': [
        ('', None),
        ('POPULATE', LATE_SHARED),
        ('POPULATE RAISE', None),
        ('ACCOUNT', 'processes are charged for less than nothing'),
    ],
    'v8': [
        ('', FREED),
        ('FIRST', FREED),
        ('BRACKET', None),
    ],
    'v10': [
        ('', 'an end without a start'),
        ('OUTSIDE', None),
        ('PARTIAL', 'a call that failed has changed something'),
    ],
    'v13': [
        ('', None),
        ('LAST_RANGE', FREED),
        ('CLOSE', 'release() writes to a slot that is freed'),
        ('CLOSE MENDED', None),
        ('TOGGLE', 'release() writes to a slot that is freed'),
    ],
    'gmem': [
        ('CONVERT PUNCH UNMAP', None),
        ('CONVERT PUNCH DELETE CLOSE', None),
        ('CONVERT VMM_PUNCHES', None),
        ('UNMAP DELETE CLOSE', None),
        ('PUNCH NO_HOLD', FREED),
        ('CONVERT NO_WINDOW', LATE_PRIVATE),
        ('CONVERT NO_SEQUENCE', LATE_PRIVATE),
        ('UNMAP CONVERT NO_SEQUENCE', LATE_PRIVATE),
        ('CONVERT PUNCH NO_OTHERS', FREED),
        ('CONVERT VMM_PUNCHES NO_SECOND_LOOK', 'a shared page keeps its private memory'),
        ('CONVERT VMM_PUNCHES_FIRST', 'a shared page keeps its private memory'),
    ],
    'in_place': [
        ('CONVERT PUNCH MAP', None),
        ('CONVERT PUNCH MAP SHARED_FIRST', None),
        ('CONVERT PIN MAP SHARED_FIRST', None),
        ('CONVERT PUNCH HVA', None),
        ('CONVERT PUNCH HVA SHARED_FIRST', None),
        ('CONVERT PUNCH CLOSE DELETE', None),
        ('CONVERT PUNCH CLOSE DELETE SHARED_FIRST HVA', None),
        ('CONVERT NO_SECOND_LOOK', 'the guest uses the page as private, which it is not'),
        ('CONVERT HVA SHARED_FIRST NO_SECOND_LOOK',
         'the guest uses the page as shared, which it is not'),
        ('CONVERT MAP HOST_FIRST', "the host sees a page that is the guest's alone"),
        ('CONVERT PIN SHARED_FIRST ONE_LOOK_AT_PINS',
         'the guest uses a private page that somebody has pinned'),
        ('CONVERT PIN SHARED_FIRST NO_INTENT',
         'the guest uses a private page that somebody has pinned'),
        ('CONVERT MAP SHARED_FIRST MAP_UNHELD', 'the host sees a private page'),
    ],
    'shootdown': [
        ('', None),
        ('LOAD_REQUESTS', FREED),
        ('CLEAR_LAST', STUCK),
        ('LAZY_LEAVE', STUCK),
        ('LATE_WAITER', STUCK),
    ],
}


def run(cmd, folder):
    done = subprocess.run(cmd, cwd=folder, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    return done.returncode, done.stdout


def verify(model, defines, folder):
    """States seen, and how it ended: None or what is broken, and the way there."""
    for cmd in (['spin'] + defines + ['-a', model + '.pml'],
                # Breadth first: what is found first is the shortest.
                ['gcc', '-O0', '-w', '-DSAFETY', '-DBFS', '-DMEMLIM=2000', '-o', 'pan', 'pan.c']):
        status, out = run(cmd, folder)
        if status or 'Error' in out:
            sys.exit(f'{" ".join(cmd)}:\n{out}')
    _, out = run(['./pan'], folder)
    states = re.search(r'^\s*(\d+) states, stored', out, re.M)
    errors = re.search(r'errors: (\d+)', out)
    if not states or not errors or 'Search not completed' in out and errors.group(1) == '0':
        sys.exit(f'{model} {defines}: the search did not end\n{out}')
    if errors.group(1) == '0':
        return int(states.group(1)), None, []
    _, story = run(['spin'] + defines + ['-t', '-T', '-B', model + '.pml'], folder)
    lines = [line for line in story.splitlines() if ': ' in line and not line.startswith('spin:')]
    lines = [line for line in lines if not re.match(r'^\s*\d+:\s+proc', line)]
    broken = [line[len('BROKEN: '):] for line in lines if line.startswith('BROKEN: ')]
    what = broken[0] if broken else STUCK
    return int(states.group(1)), what, [s for s in lines if not s.startswith('BROKEN: ')]


def check(model, words, expected):
    with tempfile.TemporaryDirectory() as folder:
        for name in os.listdir(HERE):
            if name.endswith('.pml'):
                shutil.copy(os.path.join(HERE, name), folder)
        more = ['-DACCESSES=3'] if os.environ.get('GMEM_SOAK') else []
        defines = ['-D' + w for w in words.split()] + more
        states, found, story = verify(model, defines, folder)
    print(f'{model} {words or "as it is"}: {states} states, {found or "nothing is broken"}')
    for line in story:
        print('      ' + line)
    if found:
        print(f'   => {found}')
    if found != expected:
        print(f'FAILED: {model} {words}: expected was: {expected or "nothing"}')
    return states, found == expected


def main():
    for tool in ('spin', 'gcc'):
        if not shutil.which(tool):
            print(f'{tool} is not installed')
            sys.exit(77)
    done = [check(model, words, expected) for model in sys.argv[1:] or VARIANTS
            for words, expected in VARIANTS[model]]
    print(f'{len(done)} variants, {sum(states for states, _ in done)} states, '
          f'{sum(not good for _, good in done)} not as expected')
    sys.exit(0 if all(good for _, good in done) else 1)


main()
