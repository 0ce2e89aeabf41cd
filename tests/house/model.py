#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The model is small enough to be read: docs/model.md. Lines that are neither empty nor a comment count."""
import re

import house

MODEL = ['model.c', 'model.h', 'rules.h']
CODE_MAX = 600
# What the model may ask for: numbers, and memset.
MAY_INCLUDE = {'<errno.h>', '<fcntl.h>', '<stdbool.h>', '<stdint.h>', '<string.h>', '<gmem/uapi.h>',
               '"model.h"', '"model_around.h"', '"op.h"', '"rules.h"'}


def code(path):
    text = re.sub(r'/\*.*?\*/', '', '\n'.join(house.lines(path)), flags=re.S)
    return [line for line in text.split('\n') if line.strip()]


def main():
    counts, complaints = {}, []
    for name in MODEL:
        path = f'tests/model/{name}'
        found = code(path)
        counts[name] = len(found)
        for line in found:
            what = re.match(r'#include (.*)', line)
            if what and what.group(1).strip() not in MAY_INCLUDE:
                complaints.append(f'{path}: {line}')
    total = sum(counts.values())
    if total > CODE_MAX:
        complaints.append(f'{counts}: {total} lines of code, at most {CODE_MAX}')
    house.finish(complaints, f'{total} lines of the model')


main()
