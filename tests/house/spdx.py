#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Every file says its licence in its first lines, or beside itself in FILE.license."""
import house

TAG = 'SPDX-License-Identifier: ' + 'GPL-2.0-only OR MIT'


def says(path):
    return any(TAG in line for line in house.lines(path)[:3])


def main():
    files = house.project_files()
    beside = {f for f in files if f.endswith('.license')}
    complaints = [f'{path}: no SPDX line' for path in files
                  if not path.startswith('LICENSES/') and f'{path}.license' not in beside
                  and not says(path)]
    house.finish(complaints, f'{len(files)} files')


main()
