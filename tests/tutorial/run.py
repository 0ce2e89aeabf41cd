#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The tutorial does what it says: every command of the page is run, in order, in one shell, and must print what the
page shows.

    run.py [--update] GMEM SOURCES [PAGE]

In the page, blocks of ```console are commands and what they print. `...` in a line stands for anything but
nothing, a line `...` for any lines, or none; how many blanks there are does not matter. A comment before a block
that is no commands says the file it is: <!-- file: NAME -->. <!-- wait: TEXT in FILE --> waits until it is there.
--update writes what was printed into the page, where it is not what the page shows.
"""
import difflib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PATIENCE = 120
MARK = '@@done@@'
# What a shell says of its background jobs depends on when it looks.
JOB_ENDED = re.compile(r'.*: line \d+: +\d+ Terminated .*')


class Block:
    """Commands, each with the lines that the page shows after it."""

    def __init__(self):
        self.steps = []

    def add(self, line):
        if line.startswith('$ '):
            self.steps.append([line[2:], []])
        elif line.startswith('> ') and self.steps and not self.steps[-1][1]:
            self.steps[-1][0] += '\n' + line[2:]
        elif self.steps:
            self.steps[-1][1].append(line)
        else:
            sys.exit(f'a block of commands begins with: {line}')


def parse(text):
    """What there is to do, in order: ('file', name, text), ('wait', text, name), ('run', block)."""
    todo, fence, name, block, lines = [], None, None, None, []
    for line in text.splitlines():
        if fence is not None:
            if line == '```':
                if block:
                    todo.append(('run', block))
                elif name:
                    todo.append(('file', name, ''.join(part + '\n' for part in lines)))
                    name = None
                fence = None
            elif block:
                block.add(line)
            else:
                lines.append(line)
        elif line.startswith('```'):
            fence, lines = line[3:], []
            block = Block() if fence == 'console' else None
        elif match := re.fullmatch(r'<!-- file: (\S+) -->', line):
            name = match[1]
        elif match := re.fullmatch(r'<!-- wait: (.+) in (\S+) -->', line):
            todo.append(('wait', match[1], match[2]))
    return todo


def pattern_of(lines):
    """A regular expression of what a page shows."""
    out = ''
    for line in lines:
        if line.strip() == '...':
            out += r'(?:[^\n]*\n)*?'
            continue
        words = [r'[^\n]+?'.join(map(re.escape, word.split('...'))) for word in line.split()]
        out += (r'[ \t]*' + r'[ \t]+'.join(words) + r'[ \t]*\n') if words else r'[ \t]*\n'
    return re.compile(out)


class Shell:
    """One shell for all commands, in a folder of its own."""

    def __init__(self, folder):
        script, self.script = os.pipe()
        environment = {name: value for name, value in os.environ.items()
                       if name in ('PATH', 'HOME', 'TMPDIR', 'USER')}
        environment['LC_ALL'] = 'C.UTF-8'
        self.process = subprocess.Popen(['bash', '--norc', f'/dev/fd/{script}'], cwd=folder, env=environment,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, pass_fds=[script], start_new_session=True)
        os.close(script)
        self.tell('cd .')

    def tell(self, text):
        os.write(self.script, (text + '\n').encode())

    def run(self, command):
        """What it prints. Its status stays $? for the next one."""
        self.tell(f'{command}\nstatus_=$?; printf "{MARK}\\n"; (exit $status_)')
        got, end = b'', time.monotonic() + PATIENCE
        while not got.endswith((MARK + '\n').encode()):
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                sys.exit(f'$ {command}\n{got.decode()}... and did not end in {PATIENCE} seconds')
            part = os.read(self.process.stdout.fileno(), 65536)
            if not part:
                sys.exit(f'$ {command}\n{got.decode()}... and the shell has gone')
            got += part
        lines = got.decode()[:-len(MARK) - 1].splitlines()
        return [line for line in lines if not JOB_ENDED.fullmatch(line)]

    def where(self):
        return os.readlink(f'/proc/{self.process.pid}/cwd')

    def end(self):
        os.close(self.script)
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def wait(shell, text, name):
    path = os.path.join(shell.where(), name)
    end = time.monotonic() + PATIENCE
    while not os.path.exists(path) or text not in open(path, encoding='utf-8').read():
        if time.monotonic() > end:
            sys.exit(f'there is no "{text}" in {name}')
        time.sleep(0.02)


def run_block(shell, block):
    """The same, as it was; whether it was as shown."""
    same, text = True, []
    for command, shown in block.steps:
        got = shell.run(command)
        is_same = pattern_of(shown).fullmatch(''.join(line + '\n' for line in got))
        text.append('$ ' + command.replace('\n', '\n> '))
        text += shown if is_same else got
        if not is_same:
            same = False
            print(f'FAILED: $ {command}')
            print('\n'.join(difflib.unified_diff(shown, got, 'the page', 'what was printed', lineterm='')))
    return text, same


def run_page(shell, page):
    failed, nr = [], 0
    for what, *how in parse(page):
        if what == 'file':
            with open(os.path.join(shell.where(), how[0]), 'w', encoding='utf-8') as f:
                f.write(how[1])
        elif what == 'wait':
            wait(shell, *how)
        else:
            text, same = run_block(shell, how[0])
            nr += len(how[0].steps)
            if not same:
                failed.append((how[0], text))
    return failed, nr


def updated(page, failed):
    for block, text in failed:
        old = []
        for command, shown in block.steps:
            old += ['$ ' + command.replace('\n', '\n> '), *shown]
        page = page.replace('\n'.join(['```console', *old, '```']), '\n'.join(['```console', *text, '```']), 1)
    return page


def main():
    args = sys.argv[1:]
    update = '--update' in args and not args.remove('--update')
    gmem, sources = (os.path.abspath(path) for path in args[:2])
    path = args[2] if len(args) > 2 else os.path.join(sources, 'docs/tutorial.md')
    with open(path, encoding='utf-8') as f:
        page = f.read()
    for tool in ('bash', 'cc', 'make', 'patch'):
        if not shutil.which(tool):
            print(f'there is no {tool} here')
            sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(os.path.dirname(gmem), os.path.join(folder, 'build'))
        for name in ('examples', 'include'):
            os.symlink(os.path.join(sources, name), os.path.join(folder, name))
        shell = Shell(folder)
        try:
            failed, nr = run_page(shell, page)
        finally:
            shell.end()
    if update and failed:
        with open(path, 'w', encoding='utf-8') as f:
            f.write(updated(page, failed))
    print(f'{nr} commands, {len(failed)} blocks not as shown')
    sys.exit(1 if failed or not nr else 0)


if __name__ == '__main__':
    main()
