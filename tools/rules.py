# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The tables of rules and requests (src/obs/*.def), for scripts."""
import pathlib
import re

OBS = pathlib.Path(__file__).resolve().parent.parent / "src" / "obs"
CALL = re.compile(r"^(RULE|RULE_AS|REQUEST)\(", re.MULTILINE)
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[(),]|[^\s"(),]+')


class BadTable(Exception):
    pass


def arguments(text, at):
    """The arguments of a macro whose opening bracket lies before at."""
    args, parts = [], []
    for token in TOKEN.finditer(text, at):
        word = token.group()
        if word in ",)":
            args.append("".join(parts))
            parts = []
            if word == ")":
                return args
        elif word == "(":
            raise BadTable(f"a bracket in an argument at {token.start()}")
        else:
            parts.append(word[1:-1].replace('\\"', '"') if word[0] == '"' else word)
    raise BadTable("a macro without an end")


def included(path):
    text = path.read_text()
    for name in re.findall(r'^#include "obs/(.*)"', text, re.MULTILINE):
        text += included(path.parent / name)
    return text


def calls(name):
    text = included(OBS / name)
    for call in CALL.finditer(text):
        yield call.group(1), arguments(text, call.end())


class Rule:
    def __init__(self, kind, args):
        self.id, self.errors, self.text, self.since, requests, self.more = args
        self.fixed = kind == "RULE"
        self.requests = requests.split()

    def is_of(self, request):
        """How it belongs to a request: by name, by a set of requests, or not."""
        if request.name in self.requests:
            return "name"
        return "set" if any(f"*{s}" in self.requests for s in request.sets()) else None


class Request:
    def __init__(self, args):
        self.name, of, self.copy, self.what = args
        self.of = of.split()

    def sets(self):
        return self.of + {"INOUT": ["IN", "OUT"], "NONE": []}.get(self.copy, [self.copy])


def rules():
    return [Rule(kind, args) for kind, args in calls("rules.def")]


def requests():
    return [Request(args) for _, args in calls("requests.def")]
