#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""prove.py: has Frama-C prove that the functions of core/range.h do what their comments promise, for all numbers,
and that none of them computes one that does not fit; and that it can prove that of none of those in wrong.h.

With one prover of z3 and cvc4 installed it takes that one; with both, either may answer.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SRC = os.path.normpath(os.path.join(HERE, '..', '..', 'src'))
RANGES = os.path.join(SRC, 'core', 'range.h')
WRONG = os.path.join(HERE, 'wrong.h')


def functions(path):
    with open(path, encoding='utf-8') as f:
        return re.findall(r'^static inline \w+ (\w+)\(', f.read(), re.M)


def proofs(path, provers, env, seconds):
    """The goals of each function in the file: {function: {goal: proved}}."""
    names = functions(path)
    cmd = ['frama-c', '-c11', '-machdep', 'gcc_x86_64', '-cpp-extra-args=-I' + SRC,
           '-wp', '-wp-rte', '-warn-unsigned-overflow', '-wp-fct', ','.join(names),
           '-wp-prover', ','.join(provers), '-wp-timeout', str(seconds), '-wp-par', '2', path]
    done = subprocess.run(cmd, env=env, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    goals = {name: {} for name in names}
    # typed_FUNCTION_GOAL; a name that begins another is the shorter one.
    for how, goal in re.findall(r'^\[wp\] \[([^\]]+)\] Goal typed_(\w+)', done.stdout, re.M):
        name = max((n for n in names if goal.startswith(n + '_')), key=len, default=None)
        if name:
            goals[name][goal[len(name) + 1:]] = how not in ('Failed', 'Timeout', 'Unknown')
    total = re.search(r'Proved goals: +(\d+) / (\d+)', done.stdout)
    seen = sum(len(g) for g in goals.values())
    if done.returncode or not total or int(total.group(2)) != seen:
        sys.exit(f'{" ".join(cmd)} ended with {done.returncode}, {seen} goals seen:\n{done.stdout}')
    return goals


def main():
    provers = [p for p in ('z3', 'cvc4') if shutil.which(p)]
    for tool in ('frama-c', 'why3'):
        if not shutil.which(tool):
            print(f'{tool} is not installed')
            sys.exit(77)
    if not provers:
        print('neither z3 nor cvc4 is installed')
        sys.exit(77)
    bad = 0
    with tempfile.TemporaryDirectory() as home:
        conf = os.path.join(home, 'why3.conf')
        env = dict(os.environ, HOME=home, WHY3CONFIG=conf)
        subprocess.run(['why3', 'config', 'detect', '-C', conf], env=env, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name, goals in proofs(RANGES, provers, env, 60).items():
            open_goals = [goal for goal, proved in goals.items() if not proved]
            print(f'{name}: {len(goals)} goals' + ''.join(f', NOT PROVED: {g}' for g in open_goals))
            bad += len(open_goals) + (not goals)
        for name, goals in proofs(WRONG, provers, env, 5).items():
            refused = [goal for goal, proved in goals.items() if not proved]
            print(f'{name}: not proved, as it must be: {" ".join(refused) or "NOTHING"}')
            bad += not refused
    print(f'{bad} not as expected')
    sys.exit(1 if bad else 0)


main()
