#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What a layer's library needs from outside it: docs/design.md, 2.

    symbols.py LAYER LIBRARY [LIBRARY-BELOW...]

core and mmu: nothing but os_*, obs_* and the four mem functions, and no data that can be written.
map, cpu, kvm and lib: also pure functions of libc. None of them but lib has thread-local data.
"""
import re
import sys

import house

MEM = r'memcpy|memmove|memset|memcmp'
# Functions that take no lock, allocate nothing and keep no state.
PURE = (r'str(len|nlen|cmp|ncmp|chr|rchr|str|spn|cspn)|memchr|memrchr|bsearch|l?labs|abs|'
        r'strto(u?ll?|u?imax)|_?_?sigsetjmp|_setjmp|(_?_)?longjmp(_chk)?|siglongjmp|'
        r'fe[a-z]+|sqrtf?l?|rintf?l?|nearbyintf?l?|l?lrintf?l?|floorf?l?|ceilf?l?|truncf?l?|'
        r'fmaf?l?|fabsf?l?|fmodf?l?|remainderf?l?|ldexpl?|frexpl?|scalbnl?|log2l?|log1pl?|exp2l?|'
        r'expm1l?|atan2?l?|sinl?|cosl?|tanl?|__mem[a-z]+_chk|__stack_chk_fail')
# What compilers add by themselves, with and without sanitizers and coverage.
COMPILER = (r'__(asan|ubsan|tsan|sanitizer|gcov|llvm|lsan)_.*|_GLOBAL_OFFSET_TABLE_|__gcov_.*|'
            r'__start___sancov.*|__stop___sancov.*|__tls_get_addr|__popcountdi2|__udivti3|'
            r'__umodti3|__divti3|__modti3|__udivmodti4')
BY_LAYER = {'core': '', 'mmu': '', 'map': PURE, 'cpu': PURE + r'|Zydis\w+|Zyan\w+', 'kvm': PURE,
            'lib': PURE + '|(secure_)?getenv|pthread_atfork|__register_atfork'}
NO_GLOBALS = {'core', 'mmu'}
# Of a thread that gmem_interrupt() finds inside a call.
THREAD_LOCAL = {'lib'}


def judge_needed(layer, library, below):
    known = {name for lib in [library] + below for name in house.symbols(lib, undefined=False)}
    allowed = re.compile(f'^((os|obs)_\\w+|{MEM}|{BY_LAYER[layer]}|{COMPILER})$')
    for name, (member, _) in sorted(house.symbols(library, undefined=True).items()):
        if name not in known and not (allowed.match(name) and name):
            yield f'{member}: needs {name}, which {layer} must not call'


def judge_data(layer, library):
    for name, (member, section) in sorted(house.symbols(library, undefined=False).items()):
        if re.match(r'^\.t(data|bss)', section) and layer not in THREAD_LOCAL:
            yield f'{member}: {name} is thread-local'
        if layer in NO_GLOBALS and re.match(r'^(\.data(?!\.rel\.ro)|\.bss|\*COM\*)', section):
            yield f'{member}: {name} is a global that can be written'


def main():
    layer, library, below = sys.argv[1], sys.argv[2], sys.argv[3:]
    complaints = list(judge_needed(layer, library, below)) + list(judge_data(layer, library))
    house.finish(complaints, f'the symbols of {layer}')


main()
