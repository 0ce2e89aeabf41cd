#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Every file says its licence in its first lines, or beside itself in FILE.license."""
import house

# It may have one line, and no file beside it.
EXEMPT = {'debian/source/format'}
TAG = 'SPDX-License-' + 'Identifier: GPL-2.0-only OR MIT'


def says(path):
    return any(TAG in line for line in house.lines(path)[:3])


def main():
    files = house.project_files()
    beside = {f for f in files if f.endswith('.license')}
    complaints = [f'{path}: no SPDX line' for path in files
                  if not path.startswith('LICENSES/') and f'{path}.license' not in beside
                  and path not in EXEMPT and not says(path)]
    house.finish(complaints, f'{len(files)} files')


main()
