#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""run.py TARGET CORPUS.txt          fuzzes for GMEM_SOAK, or GMEM_FUZZ_SECONDS, or 20 seconds
run.py --grow TARGET CORPUS.txt      the same, and keeps in the corpus what reached something new
run.py --seconds N TARGET CORPUS.txt  that long if the environment does not say
run.py --unpack CORPUS.txt FOLDER    one file an input, as libFuzzer and AFL++ want them

An input that breaks the target is printed as a line of the corpus, where it stays as a test once it is mended.
GMEM_FUZZ_SEED: which numbers libFuzzer draws.
"""
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time

CORPUS_MAX = 280 * 1024
INPUT_MAX = 4096
KEPT = '# What once broke it:'
FOUND = '# What reaches something new:'


def read(corpus):
    """Comments at the head, lines that once broke it, and the others."""
    head, kept, found, at = [], [], [], 'head'
    with open(corpus, encoding='ascii') as f:
        for line in f.read().splitlines():
            if line in (KEPT, FOUND):
                at = line
            elif line.startswith('#') or not line:
                head += [line] if at == 'head' else []
            else:
                (kept if at == KEPT else found).append(line.split()[0])
    return head, kept, found


def unpack(corpus, folder):
    _, kept, found = read(corpus)
    for n, line in enumerate(kept + found):
        with open(os.path.join(folder, f'{n:05}'), 'wb') as f:
            f.write(bytes.fromhex(line))


def fuzz(target, folder, work, seconds, more=()):
    """Status, output, and the input that was tried last."""
    note = os.path.join(work, 'last')
    seed = os.environ.get('GMEM_FUZZ_SEED', str(int(time.time()) & 0x7fffffff))
    print(f'{os.path.basename(target)}: seed {seed}, {seconds} s', flush=True)
    env = dict(os.environ, GMEM_FUZZ_LAST=note,
               ASAN_OPTIONS='detect_leaks=0:allocator_may_return_null=1:handle_segv=1')
    cmd = [target, f'-max_total_time={seconds}', f'-seed={seed}', f'-max_len={INPUT_MAX}',
           '-timeout=20', '-rss_limit_mb=3000', f'-artifact_prefix={work}/', '-verbosity=1',
           '-print_final_stats=1', *more, folder]
    with subprocess.Popen(cmd, env=env, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True) as proc:
        try:
            out, _ = proc.communicate(timeout=seconds + 120)
        except subprocess.TimeoutExpired:
            os.killpg(proc.pid, signal.SIGKILL)
            out, _ = proc.communicate()
    last = b''
    if os.path.exists(note):
        with open(note, 'rb') as f:
            size, = struct.unpack('<I', f.read(4))
            last = f.read(size)
    return proc.returncode, out.decode(errors='replace'), last


def report(status, out, last):
    number = {k: re.search(rf'stat::{k}:\s*(\d+)', out)
              for k in ('number_of_executed_units', 'new_units_added')}
    cov = re.findall(r'cov: (\d+)', out)
    if status == 0:
        print(f'{number["number_of_executed_units"].group(1)} inputs tried, '
              f'{number["new_units_added"].group(1)} reached something new, '
              f'{cov[-1] if cov else "?"} places seen; nothing broke')
        return
    lines = [line for line in out.splitlines() if not re.match(r'#\d+\s', line)]
    print('\n'.join(lines[-60:]))
    print(f'FAILED (status {status}). The input, a line for the corpus:')
    print(last.hex())


def grow(target, corpus, folder, work):
    """libFuzzer's own choice of the smallest set, and of that the shortest as far as there is room."""
    chosen = os.path.join(work, 'chosen')
    os.mkdir(chosen)
    subprocess.run([target, '-merge=1', f'-max_len={INPUT_MAX}', '-rss_limit_mb=3000', chosen,
                    folder], cwd=work, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL,
                   env=dict(os.environ, ASAN_OPTIONS='detect_leaks=0'))
    found = []
    for name in os.listdir(chosen):
        with open(os.path.join(chosen, name), 'rb') as f:
            found.append(f.read().hex())
    found = sorted(set(found), key=lambda line: (len(line), line))
    head, kept, before = read(corpus)
    room = CORPUS_MAX - sum(len(line) + 1 for line in head + kept)
    with open(corpus, 'w', encoding='ascii') as f:
        f.write('\n'.join(head + [KEPT] + kept + [FOUND]) + '\n')
        nr = 0
        for line in found:
            room -= len(line) + 1
            if room > 0 and line and line not in kept:
                f.write(line + '\n')
                nr += 1
    print(f'{len(before)} inputs before, {nr} now')


def main():
    args = sys.argv[1:]
    if args[0] == '--unpack':
        unpack(args[1], args[2])
        return 0
    usual = 20
    if args[0] == '--seconds':
        usual = int(args[1])
    target, corpus = (os.path.abspath(p) for p in args[-2:])
    seconds = int(os.environ.get('GMEM_SOAK') or os.environ.get('GMEM_FUZZ_SECONDS') or usual)
    with tempfile.TemporaryDirectory() as work:
        folder = os.path.join(work, 'corpus')
        os.mkdir(folder)
        unpack(corpus, folder)
        status, out, last = fuzz(target, folder, work, seconds)
        report(status, out, last)
        if status == 0 and args[0] == '--grow':
            grow(target, corpus, folder, work)
    return 1 if status else 0


sys.exit(main())
