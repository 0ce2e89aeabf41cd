#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Nothing in the sources is marked as to be done some day, and C comments have one form."""
import re

import house

MARKS = re.compile(r'\b(' + '|'.join(['TO' + 'DO', 'FIX' + 'ME', 'X' * 3, 'HA' + 'CK']) + r')\b|' +
                   r'\b(st' + r'ubs?|st' + r'ubbed)\b', re.IGNORECASE)
LINE_COMMENT = re.compile(r'^\s*//|[;{})]\s*//')


def main():
    complaints = []
    for path in house.sources():
        for number, line in enumerate(house.lines(path), 1):
            if MARKS.search(line):
                complaints.append(f'{path}:{number}: {line.strip()}')
            if LINE_COMMENT.search(line):
                complaints.append(f'{path}:{number}: a comment that begins with two slashes')
    house.finish(complaints, 'sources')


main()
