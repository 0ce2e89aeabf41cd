#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""A manual page of a command, for scdoc: what stands in PAGE.scd, and what the command itself says: page.py GMEM PAGE.scd

	@name			gmem-run - what help says of it
	@synopsis		how it is called; of a command with parts, of each part
	@options COMMAND	its options, as the command has them; up to @end follow those with a text of their own:
	@option NAME		... and the text, instead of the one that help has
	@commands		all commands
"""
import re
import subprocess
import sys


class Command:
    def __init__(self, name, synopsis, summary):
        self.name, self.synopsis, self.summary, self.options = name, synopsis, summary, {}


def tables(gmem):
    commands = {}
    out = subprocess.run([gmem, '__tables'], check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        kind, *cells = line.split('\t')
        if kind == 'command':
            commands[cells[0]] = Command(*cells)
        else:
            name, letter, arg, optional, text = cells[1:]
            commands[cells[0]].options[name] = (letter, arg, optional, text)
    return commands


def escaped(text):
    """`gmem run` is bold; nothing else is meant to be."""
    return re.sub('`([^`]*)`', r'*\1*', text.replace('\\', '\\\\').replace('*', '\\*').replace('_', '\\_'))


def called(command):
    words = re.sub('([A-Z]+)', r'_\1_', command.synopsis.replace('[--]', '[*--*]').replace('|', ' | '))
    words = re.sub(r'\b(?<!_)([a-z]+)\b', r'*\1*', words)
    return f'*gmem {command.name}* {words}'.strip()


def definition(name, option):
    letter, arg, optional, _ = option
    long = f'*--{name}*' + (f'[=_{arg}_]' if optional else f' _{arg}_' if arg else '')
    return (f'*-{letter}*' + (f' _{arg}_, ' if arg else ', ') if letter else '') + long


def sentence(text):
    text = text[0].upper() + text[1:]
    return escaped(text) + ('' if text.endswith('.') else '.')


def options(command, texts):
    unknown = set(texts) - set(command.options)
    if unknown:
        sys.exit(f'gmem {command.name} has no option {", ".join(sorted(unknown))}')
    for name, option in command.options.items():
        yield definition(name, option)
        text = texts.get(name) or [sentence(option[3])]
        yield from ('\t' + line if line else '' for line in text)
        yield ''
    yield '*--help*, *-h*'
    yield '\tTells all this in short.'


def read_texts(lines):
    texts, text = {}, []
    for line in lines:
        if line == '@end':
            break
        if line.startswith('@option '):
            text = texts[line.split()[1]] = []
        else:
            text.append(line)
    for text in texts.values():
        while text and not text[-1]:
            text.pop()
    return texts


def commands_list(commands):
    for c in commands.values():
        if ' ' not in c.name:
            yield f'*gmem-{c.name}*(1)'
            yield '\t' + sentence(c.summary)
            yield ''


def make(commands, name, lines):
    own = [c for n, c in commands.items() if n == name or n.startswith(name + ' ')]
    for line in lines:
        if line == '@name':
            yield f'gmem-{name} - {own[0].summary}'
        elif line == '@synopsis':
            for c in own[1:] or own:
                yield from (called(c), '')
        elif line.startswith('@options '):
            yield from options(commands[line.split(' ', 1)[1]], read_texts(lines))
        elif line == '@commands':
            yield from commands_list(commands)
        else:
            yield line


def main():
    gmem, path = sys.argv[1:3]
    name = re.sub(r'.*/gmem-?([a-z]*)\.1\.scd$', r'\1', path)
    with open(path) as f:
        lines = iter(f.read().splitlines())
    print('\n'.join(make(tables(gmem), name, lines)))


main()
