# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What the static checks share: the files to look at, what is accepted (accepted.txt), and the end."""
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ACCEPTED = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'accepted.txt')
SKIPPED = 77


def skip(reason):
    print(reason)
    sys.exit(SKIPPED)


def commands(build, folders):
    """Path from the root -> how it is compiled, of the C files below these folders."""
    found = {}
    with open(os.path.join(build, 'compile_commands.json'), encoding='utf-8') as f:
        for entry in json.load(f):
            path = os.path.realpath(os.path.join(entry['directory'], entry['file']))
            path = os.path.relpath(path, ROOT)
            if any(path.startswith(folder + '/') for folder in folders):
                # As it ships, where it is also compiled for the simulator.
                if path not in found or '-fsanitize' in found[path]['command']:
                    found[path] = entry
    return found


def accepted(tool, folders):
    """(file, check, line of the source) -> reason. The lines above an entry up to an empty one say it."""
    entries, reason, used = {}, '', False
    with open(ACCEPTED, encoding='utf-8') as f:
        for number, line in enumerate(f.read().splitlines(), 1):
            match = re.match(r'^(\S+): ([\w.-]+) ([\w.-]+): (.*)$', line)
            if line.startswith('#') or not line.strip():
                reason, used = (reason + line[1:], False) if line and not used else (line[1:], False)
            elif not match or not reason.strip():
                print(f'tests/static/accepted.txt:{number}: not "FILE: TOOL CHECK: LINE", or without a reason')
                sys.exit(1)
            else:
                used = True
                path, of, check, text = match.groups()
                if of == tool and any(path.startswith(folder + '/') for folder in folders):
                    entries[(path, check, text.strip())] = number
    return entries


def text_of(path, line):
    with open(os.path.join(ROOT, path), encoding='utf-8', errors='replace') as f:
        lines = f.read().splitlines()
    return lines[line - 1].strip() if 0 < line <= len(lines) else ''


def finish(tool, folders, found, what):
    """found: (file, line, check, message). Each is accepted or a failure; so is what is accepted in vain."""
    entries = accepted(tool, folders)
    met, failures = set(), 0
    for path, line, check, message in sorted(set(found)):
        key = (path, check, text_of(path, line))
        if key in entries:
            met.add(key)
            continue
        print(f'{path}:{line}: {message} [{check}]')
        print(f'\t{key[2]}')
        failures += 1
    for key in entries.keys() - met:
        print(f'tests/static/accepted.txt:{entries[key]}: {tool} does not say {key[1]} there any more')
        failures += 1
    print(f'{failures} complaints in {what}, {len(met)} lines accepted for a reason')
    sys.exit(1 if failures else 0)
