#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""A file of a layer includes headers of its own layer and of layers below: docs/design.md, 2."""
import re

import house

# Lowest first. cpu is one layer with its engines in folders.
LAYERS = ['os', 'obs', 'core', 'map', 'mmu', 'cpu', 'kvm', 'lib', 'shim', 'bench', 'see', 'cmd']
# The library and the KVM interface stand side by side on map.
LIB_BUILDS_ON = {'os', 'obs', 'core', 'map', 'lib'}
ABOVE_LIB = {'lib', 'bench', 'cmd'}

# What a compiler without a C library has, the declarations of memcpy and its like, and the names of
# error numbers.
FREESTANDING = {
    'float.h', 'iso646.h', 'limits.h', 'stdalign.h', 'stdarg.h', 'stdatomic.h', 'stdbool.h',
    'stddef.h', 'stdint.h', 'stdnoreturn.h', 'string.h', 'errno.h',
}
FREESTANDING_LAYERS = {'core', 'mmu'}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def judge_own(layer, name):
    """A complaint about #include "name" in a file of that layer, or None."""
    target = name.split('/')[0]
    if target == 'gmem':
        return judge_system(layer, name)
    if target == 'gmem.h':
        return None if layer in ABOVE_LIB else f'"{name}" is the interface of lib'
    if '/' not in name or target not in LAYERS:
        return f'"{name}" does not name a layer (write "layer/file.h")'
    if LAYERS.index(target) > LAYERS.index(layer):
        return f'"{name}" is of a layer above {layer}'
    if layer in FREESTANDING_LAYERS and target not in {'os', 'obs', 'core', layer}:
        return f'"{name}": {layer} builds on os, obs and core alone'
    if (layer == 'lib' and target not in LIB_BUILDS_ON) or (target == 'lib' and
                                                            layer not in ABOVE_LIB):
        return f'"{name}": {layer} and {target} have nothing to do with each other'
    return None


def judge_system(layer, name):
    if layer in FREESTANDING_LAYERS and name not in FREESTANDING:
        return f'<{name}> is not for {layer}, which has no C library'
    if name.startswith('Zydis') and layer != 'cpu':
        return f'<{name}>: only cpu decodes instructions'
    return None


def main():
    complaints = []
    for path in house.sources():
        layer = path.split('/')[1]
        if layer not in LAYERS:
            complaints.append(f'{path}: src/{layer} is no layer of the design')
            continue
        for number, line in enumerate(house.lines(path), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            judge = judge_own if match.group(1) == '"' else judge_system
            complaint = judge(layer, match.group(2))
            if complaint:
                complaints.append(f'{path}:{number}: {complaint}')
    house.finish(complaints, 'includes')


main()
