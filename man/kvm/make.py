#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Writes gmem-kvm(7): what is said by hand of each request (requests.in) and the checks of the table of rules."""
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tools"))
import rules as table  # noqa: E402

MADE_ON = {
    "SYSTEM": "_/dev/kvm_",
    "VM": "a VM",
    "VCPU": "a vCPU",
    "GMEM": "a guest_memfd",
    "FILE": "a descriptor or mapping",
}


def by_hand():
    """The text of each request, from requests.in."""
    parts = re.split(r"^## (\S+)\n", (HERE / "requests.in").read_text(), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2])}


def escaped(text):
    return re.sub(r"([*\\])", r"\\\1", text).replace("~", "\\~")


def holds_since(rule):
    if rule.since == "any":
        return ""
    if rule.since == "gmem":
        return " _gmem_."
    if rule.since.startswith("in "):
        return f" {', '.join(rule.since[3:].split())}."
    version, _, profiles = rule.since.partition(" ")
    return f" _Linux {version}_{', ' if profiles else ''}{', '.join(profiles.split())}."


def as_sentence(text):
    """The names of fields stay as they are."""
    first = text.split()[0]
    return (text.capitalize()[0] if first.isalpha() else text[0]) + text[1:] + "."


def entry(rule):
    return (f"*{escaped(rule.errors)}*: {rule.id}\n"
            f"\t{escaped(as_sentence(rule.text))}{holds_since(rule)} "
            f"{escaped(rule.more)}\n\n")


def checks(request, rules):
    """Those of the request's own, and in one line those that stand at the beginning of the page."""
    own = [r for r in rules if r.is_of(request) == "name"]
    common = [r for r in rules if r.is_of(request) == "set"]
    text = ""
    if common:
        text += "Checks of all requests: " + ", ".join(f"{r.id} ({r.errors})" for r in common) + ".\n\n"
    return text + "".join(entry(r) for r in own)


def section(request, rules, hand):
    on = " or ".join(MADE_ON[o] for o in request.of)
    return f"## {request.name}\n\nOn {on}: {request.what}.\n\n{hand}\n\n{checks(request, rules)}"


def page():
    rules, hand = table.rules(), by_hand()
    requests = [r for r in table.requests() if "LIBRARY" not in r.of]
    ioctls = [r for r in requests if "FILE" not in r.of]
    text = (HERE / "head.in").read_text()
    for rule in rules:
        if not rule.requests or any(r.startswith("*") for r in rule.requests):
            text += entry(rule)
    text += "# REQUESTS\n\n"
    text += "".join(section(r, rules, hand[r.name]) for r in ioctls)
    text += "# SYSTEM CALLS ON DESCRIPTORS AND MAPPINGS\n\n"
    text += "".join(section(r, rules, hand.get(r.name, "")) for r in requests if "FILE" in r.of)
    text += (HERE / "tail.in").read_text()
    return re.sub(r"\n{3,}", "\n\n", text)


if __name__ == "__main__":
    sys.stdout.write(page())
