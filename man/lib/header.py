# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What gmem.h and the headers that it is made of say: functions, structures, constants, and the comments before them."""
import os
import re


class Said:
    """A comment, in parts: text (a paragraph), code (lines), error (names, text); and the bracket that sums it up."""
    def __init__(self, comment):
        self.parts, self.bracket = [], ''
        text = []
        for line in plain_lines(comment):
            self.add(line, text)
        self.paragraph(text)

    def add(self, line, text):
        error = re.match(r'\t(-E\w+(?:, -E\w+)*|or)\s+(.*)', line)
        if re.match(r'\t\[.*since [\d.]+\]$', line):
            self.bracket = line.strip()[1:-1]
        elif error:
            self.paragraph(text)
            self.parts.append(('error', [error.group(1), error.group(2)]))
        elif line.startswith(('\t ', '\t\t')) and self.parts and self.parts[-1][0] == 'error':
            self.parts[-1][1][1] += ' ' + line.strip()
        elif line.startswith('\t'):
            self.paragraph(text)
            if not self.parts or self.parts[-1][0] != 'code':
                self.parts.append(('code', []))
            self.parts[-1][1].append(line[1:])
        elif line.strip():
            text.append(line.strip())
        else:
            self.paragraph(text)

    @property
    def errors(self):
        return [what for kind, what in self.parts if kind == 'error']

    def paragraph(self, text):
        if text:
            self.parts.append(('text', ' '.join(text)))
            text.clear()


def plain_lines(comment):
    comment = re.sub(r'^/\*\s?|\s*\*/$', '', comment)
    return [re.sub(r'^\s*\* ?', '', line) for line in comment.split('\n')]


def read(header):
    """The text of gmem.h and of its parts."""
    with open(header, encoding='utf-8') as f:
        text = f.read()
    for part in re.findall(r'(?m)^#include "(.*)"', text):
        with open(os.path.join(os.path.dirname(header), part), encoding='utf-8') as f:
            text += f.read()
    return text


def comment_before(text, at):
    """One that has its lines for itself."""
    before = text[:at]
    start = before.rfind('/*')
    if not before.endswith('*/\n') or not before[:start].endswith('\n'):
        return ''
    return before[start:-1]


class Header:
    def __init__(self, path):
        self.text = read(path)
        self.functions = {}  # name: (prototype, Said)
        self.exported = set()
        said = None
        for match in re.finditer(r'(?m)^(GMEM_API|static inline)\s([^;{]*?\b(gmem_\w+)\([^;{]*\))(;|\n\{)', self.text):
            own = comment_before(self.text, match.start())
            if own or not self.text[:match.start()].endswith((';\n', '}\n\n')):
                said = Said(own)
            prototype = re.sub(r'\n\s+', '\n    ', match.group(2))
            self.functions[match.group(3)] = (prototype + ';', said)
            if match.group(1) == 'GMEM_API':
                self.exported.add(match.group(3))

    def struct(self, name):
        """Its definition, or None where it is opaque."""
        match = re.search(rf'(?m)^struct {name} \{{\n(?:.*\n)*?\}};$', self.text)
        return match and match.group(0)

    def struct_said(self, name):
        match = re.search(rf'(?m)^struct {name}( \{{|;)', self.text)
        return Said(comment_before(self.text, match.start()))

    def constant(self, name):
        match = re.search(rf'(?m)^#define {name} .*$', self.text)
        comment = comment_before(self.text, match.start())
        return (comment + '\n' if comment else '') + match.group(0)

    def section(self, title):
        """A paragraph of the overview, and those that belong to it: up to the next title."""
        match = re.search(rf'(?m)^ \* {title}\. ((?:.*\n)*?)(?= \* [A-Z][A-Z ]+(?:gmem run)?\. | \*/)', self.text)
        return Said(match.group(1))
