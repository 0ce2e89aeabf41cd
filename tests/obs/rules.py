#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The table of rules says what the code does: each rule is used, and as it is meant; each request that is dispatched is in
the table and in gmem-kvm(7); kvm/ returns no errno of which the table does not know."""
import errno
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "man" / "kvm")]
import make  # noqa: E402
import rules as table  # noqa: E402

PROFILES = re.findall(r'\.name = "([^"]+)"', (ROOT / "src/kvm/profile.c").read_text())
DISPATCHED = {"system.c": "SYSTEM", "early.c": "VM", "vm.c": "VM", "vcpu.c": "VCPU", "gmem_ioctl.c": "GMEM"}
# Told by os/, which knows no rules.
BY_TEXT = {"SPARE_MEMFDS": "src/os/spare.c", "INJECTED": "src/obs/inject.c"}
# What is returned there is no answer to the program.
INTERNAL = {("gmem.c", "-EINVAL"), ("limit.c", "-EINVAL"), ("msr.c", "-ENOENT"), ("run.c", "-EINVAL"), ("account_walk.c", "-ENOMEM"),
            ("hypercall.c", "-EINVAL")}
# They ask for words about what was asked before, and are told to nobody.
UNTOLD = {"gmem_change_describe", "gmem_explain"}
failures = []


def check(so, what):
    if not so:
        failures.append(what)


def errors_of(rule):
    """The errnos, and the profiles that some of them are for."""
    names, profiles = [], []
    for part in rule.errors.split(", "):
        name, _, where = part.partition(" in ")
        names.append(name)
        profiles += where.split()
    return names, profiles


def check_rule(rule, requests):
    names, profiles = errors_of(rule)
    sets = {f"*{s}" for s in ("SYSTEM", "VM", "VCPU", "GMEM", "IN", "OUT")}
    since = rule.since
    if since.startswith("in "):
        profiles += since[3:].split()
    else:
        since, _, also = since.partition(" ")
        profiles += also.split()
        check(since in ("any", "gmem") or re.fullmatch(r"\d+\.\d+", since), f"{rule.id}: since {since}")
    check(re.fullmatch(r"[A-Z][A-Z0-9_]+", rule.id), f"{rule.id} is no name")
    check(all(hasattr(errno, n) or n == "EHWPOISON" for n in names), f"{rule.id}: no errno: {rule.errors}")
    check(set(profiles) <= set(PROFILES), f"{rule.id}: no profile: {profiles}")
    check(rule.text and not rule.text.endswith("."), f"{rule.id}: a sentence without a full stop")
    check(rule.more.endswith("."), f"{rule.id}: more is whole sentences")
    for name in rule.requests:
        check(name in requests or name in sets, f"{rule.id}: no request: {name}")


def sources():
    for path in sorted((ROOT / "src").rglob("*.c")):
        if path.parent.name != "obs" or path.name == "rules.c":
            yield path, path.read_text()


def check_uses(rules):
    used = {}
    for path, text in sources():
        for name in re.findall(r"\bRULE_([A-Z0-9_]+)\b", text):
            used.setdefault(name, set()).add(path.name)
        for call, name in re.findall(r"\b(obs_refuse\w*)\(\s*RULE_([A-Z0-9_]+)", text):
            rule = rules.get(name)
            told_why = call in ("obs_refuse_as", "obs_refuse_unless_told")
            check(rule and told_why != rule.fixed, f"{path.name}: {call}({name})")
    for name in rules:
        if name in BY_TEXT:
            check(f'"{name}"' in (ROOT / BY_TEXT[name]).read_text(), f"{name} is not told")
        else:
            check(name in used, f"{name} is a rule that nothing is refused by")


def directions():
    text = "".join((ROOT / "include/gmem" / n).read_text() for n in ("uapi_nr.h", "ioctl.h", "early.h"))
    found = dict(re.findall(r"#define (\w+)\s+GMEM_UAPI_(NONE|IN|OUT|INOUT)\(", text))
    found.update({name: "INOUT" for name in re.findall(r"#define (\w+) _IOWR\(", text)})
    found.update({name: "NONE" for name in re.findall(r"#define (\w+) _IO\(", text)})
    return found


def check_requests(requests):
    of = {"KVM_RUN": {"VCPU"}}
    numbers = directions()
    for name, kind in DISPATCHED.items():
        for row, raw in re.findall(r"IOCTL_ROW\((\w+), \w+, (true|false)\)", (ROOT / "src/kvm" / name).read_text()):
            of.setdefault(row, set()).add(kind)
            copied = requests[row].copy if row in requests else None
            check(copied == numbers[row] or (raw == "true" and numbers[row] == "INOUT"),
                  f"{row}: copied {copied}, its number says {numbers[row]}")
    for name, request in requests.items():
        if not {"FILE", "LIBRARY"} & set(request.of):
            check(set(request.of) == of.pop(name, None), f"{name} is not dispatched as of {request.of}")
    check(not of, f"dispatched, and not in requests.def: {sorted(of)}")
    header = "".join(path.read_text() for path in (ROOT / "include/gmem").glob("*.h"))
    for name, request in requests.items():
        check("LIBRARY" not in request.of or re.search(rf"\b{name}\(", header), f"{name} is not in gmem.h")


def check_functions(requests):
    """What is asked of the library is a request to who observes."""
    told = re.findall(r"^FUNCTION\((\w+)\)$", (ROOT / "src/obs/functions.def").read_text(), re.M)
    of_library = {name for name, request in requests.items() if "LIBRARY" in request.of}
    check(len(told) == len(set(told)), "a function is told twice")
    check(set(told) == of_library - UNTOLD, f"told, or to be told: {set(told) ^ (of_library - UNTOLD)}")


def check_page(requests):
    hand = make.by_hand()
    for name, request in requests.items():
        if not {"FILE", "LIBRARY"} & set(request.of):
            check(hand.get(name), f"{name} has no text in man/kvm/requests.in")
    check(set(hand) <= set(requests), f"text of no request: {set(hand) - set(requests)}")
    page = make.page()
    for rule in table.rules():
        if not rule.id.startswith("LIB_") and not all(r.startswith("gmem_") for r in rule.requests or [""]):
            check(f": {rule.id}\n" in page, f"{rule.id} is not in gmem-kvm(7)")


def check_profiles():
    """The pages that tell of profiles tell of all."""
    for page in ("man/kvm/head.in", "man/gmem-profile.5.scd", "man/gmem-run.1.scd"):
        text = (ROOT / page).read_text()
        for name in PROFILES:
            check(f"*{name}*" in text, f"{page} does not know {name}")


def check_never_met(rules):
    for line in (ROOT / "tests/obs/never-met.txt").read_text().splitlines():
        check(not line or line.startswith("#") or line in rules, f"never-met.txt: no rule: {line}")


def check_bare_errnos():
    for path, text in sources():
        if path.parent.name != "kvm" or path.name == "profile.c":
            continue
        for line in re.findall(r"return [^;]*-E[A-Z0-9]+[^;]*;", text):
            name = re.search(r"-E[A-Z0-9]+", line).group()
            check((path.name, name) in INTERNAL, f"{path.name}: an errno without a rule: {line}")


def main():
    rules = table.rules()
    requests = {r.name: r for r in table.requests()}
    check(len(rules) > 200 and len(requests) > 80, "the tables are read")
    for list_of in (rules, table.requests()):
        names = [getattr(x, "id", getattr(x, "name", None)) for x in list_of]
        check(len(names) == len(set(names)), "a name is there twice")
    for rule in rules:
        check_rule(rule, requests)
    check_uses({r.id: r for r in rules})
    check_requests(requests)
    check_functions(requests)
    check_page(requests)
    check_profiles()
    check_never_met({r.id for r in rules})
    check_bare_errnos()
    for failure in failures:
        print(f"FAIL: {failure}")
    return 1 if failures else 0


sys.exit(main())
