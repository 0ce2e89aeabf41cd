#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The library from Python, by ctypes alone: nothing is compiled.  python.py [LIBGMEM.SO]"""
import _ctypes
import ctypes
import errno
import mmap
import os
import subprocess
import sys
import time

PAGE = 4096
MMAP, INIT_SHARED, PRIVATE = 1, 2, 8
u32, u64, pointer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p


class Sized(ctypes.Structure):
    """Structures of the library begin with their own size."""
    def __init__(self, **fields):
        super().__init__(ctypes.sizeof(self), **fields)


class CreateArgs(Sized):
    _fields_ = [('args_size', u32), ('flags', u32), ('size', u64), ('type', pointer), ('type_data', pointer)]


class MapArgs(Sized):
    _fields_ = [('args_size', u32), ('flags', ctypes.c_int32), ('prot', ctypes.c_int32), ('reserved', u32),
                ('addr', u64), ('size', u64), ('offset', u64)]


class ConvertArgs(Sized):
    _fields_ = [('args_size', u32), ('flags', u32), ('offset', u64), ('size', u64), ('attributes', u64),
                ('error_offset', u64), ('refused', pointer), ('max_refused', u32), ('nr_refused', u32)]


class Extent(ctypes.Structure):
    _fields_ = [('offset', u64), ('size', u64), ('attributes', u32), ('reserved', u32)]


class Refusal(Sized):
    _fields_ = [('args_size', u32), ('error', ctypes.c_int32), ('rule', ctypes.c_char_p), ('reason', ctypes.c_char_p),
                ('since', ctypes.c_char_p), ('advice', ctypes.c_char_p)]


class ChangeInfo(Sized):
    _fields_ = [('args_size', u32), ('kind', u32), ('offset', u64), ('size', u64), ('attributes', u32),
                ('leaves', u32), ('generation', u64), ('aborted', u32), ('reserved', u32)]


CALL = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer)
END = ctypes.CFUNCTYPE(None, pointer, pointer)


class Callbacks(Sized):
    _fields_ = [('ops_size', u32), ('reserved', u32), ('prepare', CALL), ('begin', CALL), ('end', END)]


class Refused(Exception):
    """What a call returned, and the rule behind it."""
    def __init__(self, result):
        why = Refusal()
        lib.gmem_last_refusal(ctypes.byref(why))
        self.error, self.rule = -result, why.rule.decode()
        super().__init__(why.reason.decode())


def must(result):
    if result < 0:
        raise Refused(result)
    return result


def refused(call, *args):
    try:
        call(*args)
    except Refused as why:
        return why
    raise AssertionError(f'{call.__name__}{args} was not refused')


class Memory:
    def __init__(self, size, flags=MMAP | INIT_SHARED):
        self.size, self.handle = size, pointer()
        must(lib.gmem_create(ctypes.byref(CreateArgs(size=size, flags=flags)), ctypes.byref(self.handle)))

    def window(self):
        at = pointer()
        args = MapArgs(size=self.size, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        must(lib.gmem_map(self.handle, ctypes.byref(args), ctypes.byref(at)))
        return (ctypes.c_char * self.size).from_address(at.value)

    def convert(self, offset, size, attributes):
        must(lib.gmem_convert(self.handle, ctypes.byref(
            ConvertArgs(offset=offset, size=size, attributes=attributes))))

    def extents(self):
        found, nr = (Extent * 16)(), u32()
        must(lib.gmem_query(self.handle, u64(0), u64(self.size), found, u32(16), ctypes.byref(nr)))
        return [(e.offset // PAGE, e.size // PAGE, e.attributes) for e in found[:nr.value]]

    def put(self):
        lib.gmem_put(self.handle)


def reaches(window, offset):
    """Whether a system call gets it; Python itself would be killed by SIGBUS."""
    read_end, write_end = os.pipe()
    try:
        return libc.write(write_end, ctypes.byref(window, offset), 1) == 1
    finally:
        os.close(read_end)
        os.close(write_end)


def test_pages_are_hidden_and_come_back():
    memory = Memory(8 * PAGE)
    window = memory.window()
    window[2 * PAGE:2 * PAGE + 5] = b'hello'
    memory.convert(2 * PAGE, 3 * PAGE, PRIVATE)
    assert memory.extents() == [(0, 2, 0), (2, 3, PRIVATE), (5, 3, 0)]
    assert not reaches(window, 2 * PAGE) and ctypes.get_errno() == errno.EFAULT
    assert reaches(window, PAGE) and lib.gmem_is_hidden(ctypes.byref(window, 2 * PAGE))
    memory.convert(0, 8 * PAGE, 0)
    assert window[2 * PAGE:2 * PAGE + 5] == b'hello'
    must(lib.gmem_unmap(ctypes.byref(window), u64(memory.size)))
    memory.put()


def test_refusals_have_reasons():
    memory = Memory(4 * PAGE, INIT_SHARED)
    assert refused(memory.window).error == errno.ENODEV
    assert refused(memory.convert, 0, PAGE, 1).rule == 'LIB_CONVERT_ATTRIBUTES'
    pin = pointer()
    must(lib.gmem_pin(memory.handle, u64(PAGE), u64(1), ctypes.byref(pin)))
    assert refused(memory.convert, 0, 4 * PAGE, PRIVATE).error == errno.EAGAIN
    lib.gmem_unpin(pin)
    memory.convert(0, 4 * PAGE, PRIVATE)
    why = Refusal()
    must(lib.gmem_explain(b'LIB_CONVERT_ATTRIBUTES', ctypes.byref(why)))
    assert why.error == -errno.EINVAL and b'PRIVATE' in why.advice
    assert lib.gmem_explain(b'NO_SUCH', ctypes.byref(why)) == -errno.ENOENT
    assert lib.gmem_strerror(-errno.EAGAIN) != lib.gmem_strerror(-errno.EINVAL)
    memory.put()


def test_a_consumer_in_python_is_asked_and_told():
    memory, seen, answer = Memory(4 * PAGE), [], [0]

    def note(what, change):
        info = ChangeInfo()
        must(lib.gmem_change_describe(pointer(change), ctypes.byref(info)))
        seen.append((what, info.offset // PAGE, info.size // PAGE, info.attributes))

    def prepare(_, change):
        note('prepare', change)
        if answer[0]:
            lib.gmem_change_refuse_part(pointer(change), u64(PAGE), u64(PAGE))
        return answer[0]

    def begin(_, change):
        note('begin', change)
        return 0

    callbacks = Callbacks(prepare=CALL(prepare), begin=CALL(begin), end=END(lambda _, change: note('end', change)))
    consumer = pointer()
    must(lib.gmem_consumer_add(memory.handle, ctypes.byref(callbacks), None, ctypes.byref(consumer)))
    memory.convert(PAGE, 2 * PAGE, PRIVATE)
    memory.convert(PAGE, PAGE, 0)
    assert seen == [('prepare', 1, 2, PRIVATE), ('begin', 1, 2, PRIVATE), ('end', 1, 2, PRIVATE),
                    ('begin', 1, 1, 0), ('end', 1, 1, 0)], seen
    answer[0] = -errno.EAGAIN
    args = ConvertArgs(size=4 * PAGE, attributes=PRIVATE)
    assert lib.gmem_convert(memory.handle, ctypes.byref(args)) == -errno.EAGAIN and args.error_offset == PAGE
    lib.gmem_consumer_remove(memory.handle, consumer)
    memory.put()


def test_a_forked_child_takes_part():
    memory = Memory(2 * PAGE)
    window = memory.window()
    child = os.fork()
    if child == 0:
        window[0] = b'c'
        memory.convert(PAGE, PAGE, PRIVATE)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert window[0] == b'c' and memory.extents() == [(0, 1, 0), (1, 1, PRIVATE)]
    assert not reaches(window, PAGE)
    memory.put()


def close_and_go_on():
    """Of a process of its own: there are threads of the library, and handlers of fork, when it is closed."""
    memory, fd = Memory(2 * PAGE), ctypes.c_int()
    must(lib.gmem_descriptor(memory.handle, ctypes.byref(fd)))
    child = os.fork()
    if child == 0:
        memory.convert(0, PAGE, PRIVATE)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    _ctypes.dlclose(lib._handle)
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    time.sleep(0.05)
    os._exit(0)


def test_closing_the_library_leaves_a_process_that_goes_on():
    assert subprocess.run([sys.executable, __file__, lib._name, 'close']).returncode == 0


libc = ctypes.CDLL(None, use_errno=True)
lib = ctypes.CDLL(sys.argv[1] if len(sys.argv) > 1 else 'libgmem.so.0')
lib.gmem_strerror.restype = ctypes.c_char_p
lib.gmem_is_hidden.restype = ctypes.c_bool

if sys.argv[2:] == ['close']:
    close_and_go_on()
tests = [f for name, f in sorted(globals().items()) if name.startswith('test_')]
for test in tests:
    test()
print(f'Python: {len(tests)} of {len(tests)} hold')
