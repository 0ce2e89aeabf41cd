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
import tempfile
import time

PAGE = 4096
MMAP, INIT_SHARED, PRIVATE = 1, 2, 8
EHWPOISON = 133
u32, u64, pointer = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_void_p


class Sized(ctypes.Structure):
    """Structures of the library begin with their own size."""
    def __init__(self, **fields):
        super().__init__(ctypes.sizeof(self), **fields)


class CreateArgs02(Sized):
    """Of version 0.2: programs that were built with that are taken as they are."""
    _fields_ = [('args_size', u32), ('flags', u32), ('size', u64), ('type', pointer), ('type_data', pointer)]


class CreateArgs(Sized):
    _fields_ = CreateArgs02._fields_ + [('limit', u64), ('store', pointer)]


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


class ConsumerFile(ctypes.Structure):
    _fields_ = [('g', pointer), ('data', pointer), ('flags', u32), ('reserved', u32)]


class PopulateArgs(Sized):
    _fields_ = [('args_size', u32), ('flags', u32), ('offset', u64), ('size', u64), ('source', ctypes.c_char_p),
                ('populated', u64)]


class SnapshotArgs(Sized):
    _fields_ = [('args_size', u32), ('flags', u32), ('fd', ctypes.c_int32), ('reserved', u32), ('file_bytes', u64),
                ('frozen_ns', u64)]


class RestoreArgs(Sized):
    _fields_ = [('args_size', u32), ('flags', u32), ('fd', ctypes.c_int32), ('reserved', u32)]


class SnapshotInfo(Sized):
    _fields_ = [('args_size', u32), ('version', u32), ('flags', u32), ('reserved', u32), ('size', u64),
                ('data_bytes', u64), ('private_bytes', u64), ('nr_runs', u64), ('file_bytes', u64)]


class Block(Sized):
    _fields_ = [('args_size', u32), ('order', u32), ('offset', u64), ('addr', pointer), ('attributes', u32),
                ('reserved', u32)]


class Stats(Sized):
    _fields_ = [('args_size', u32), ('nr_pins', u32), ('size', u64), ('backed_bytes', u64), ('private_bytes', u64),
                ('attribute_bytes', u64)]


ADDRESS = ctypes.CFUNCTYPE(ctypes.c_int, pointer, u64, ctypes.POINTER(pointer))
ORDER = ctypes.CFUNCTYPE(u32, pointer, u64)
RANGE = ctypes.CFUNCTYPE(ctypes.c_int, pointer, u64, u64)
NEXT = ctypes.CFUNCTYPE(ctypes.c_int, pointer, ctypes.POINTER(u64), u64, ctypes.POINTER(u64))
BACKED = ctypes.CFUNCTYPE(u64, pointer)
GONE = ctypes.CFUNCTYPE(None, pointer)


class StoreOps(Sized):
    _fields_ = [('ops_size', u32), ('reserved', u32), ('address', ADDRESS), ('order', ORDER), ('allocate', RANGE),
                ('punch', RANGE), ('next_present', NEXT), ('backed', BACKED), ('release', GONE), ('destroy', GONE)]


class Store(Sized):
    _fields_ = [('args_size', u32), ('fd', ctypes.c_int32), ('ops', ctypes.POINTER(StoreOps)), ('data', pointer)]


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
    def __init__(self, size, flags=MMAP | INIT_SHARED, of=CreateArgs, **more):
        self.size, self.handle = size, pointer()
        must(lib.gmem_create(ctypes.byref(of(size=size, flags=flags, **more)), ctypes.byref(self.handle)))

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

    def block(self, offset):
        """As a guest reaches it, private or shared."""
        found = Block()
        must(lib.gmem_fault_begin(self.handle))
        try:
            must(lib.gmem_find_block(self.handle, u64(offset), ctypes.byref(found)))
        finally:
            lib.gmem_fault_end(self.handle)
        return found

    def populate(self, offset, contents):
        args = PopulateArgs(offset=offset, size=len(contents), source=contents)
        must(lib.gmem_populate(self.handle, ctypes.byref(args)))
        return args.populated

    def guest(self, offset, size):
        at = self.block(offset)
        return ctypes.string_at(at.addr + offset - at.offset, size)

    def stats(self):
        found = Stats()
        must(lib.gmem_get_stats(self.handle, ctypes.byref(found)))
        return found

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


def test_one_consumer_of_several_files():
    memories, seen = [Memory(4 * PAGE), Memory(2 * PAGE)], []

    def begin(data, _):
        seen.append(data)
        return 0

    callbacks = Callbacks(begin=CALL(begin), end=END(lambda data, _: seen.append(-data)))
    files, consumers = (ConsumerFile * 2)(), (pointer * 2)()
    for i, memory in enumerate(memories):
        files[i].g, files[i].data = memory.handle, i + 1
    files[1].reserved = 1
    add = lambda: must(lib.gmem_consumer_add_several(files, u32(2), ctypes.byref(callbacks), consumers))  # noqa: E731
    assert refused(add).rule == 'LIB_CONSUMER_FLAGS'
    files[1].reserved = 0
    add()
    memories[1].convert(0, PAGE, PRIVATE)
    memories[0].convert(0, PAGE, PRIVATE)
    lib.gmem_consumer_remove(memories[1].handle, pointer(consumers[1]))
    memories[1].convert(0, PAGE, 0)
    must(lib.gmem_punch(memories[0].handle, u64(0), u64(PAGE)))
    assert seen == [2, -2, 1, -1, 1, -1], seen
    lib.gmem_consumer_remove(memories[0].handle, pointer(consumers[0]))
    for memory in memories:
        memory.put()


class OwnStore:
    """Pages of a store in Python: some memory, and what was asked of it."""
    def __init__(self, size):
        self.room = mmap.mmap(-1, 2 * size)
        self.at = ctypes.addressof(ctypes.c_char.from_buffer(self.room))
        self.size, self.asked, self.answer = size, [], 0
        self.ops = StoreOps(address=ADDRESS(self.address), order=ORDER(lambda *_: 0), allocate=RANGE(self.allocate),
                            punch=RANGE(self.punch), backed=BACKED(lambda _: 3 * PAGE),
                            release=GONE(lambda _: self.asked.append('release')),
                            destroy=GONE(lambda _: self.asked.append('destroy')))
        self.store = Store(fd=-1, ops=ctypes.pointer(self.ops))

    def address(self, _, offset, addr):
        addr[0] = self.at + offset
        return 0

    def allocate(self, _, offset, size):
        self.asked.append(('allocate', offset // PAGE, size // PAGE))
        return self.answer

    def punch(self, _, offset, size):
        self.asked.append(('punch', offset // PAGE, size // PAGE))
        ctypes.memset(self.at + offset, 0, size)
        return 0

    def move(self, _, offset, size):
        ctypes.memmove(self.at + self.size, self.at, self.size)
        ctypes.memset(self.at, 0xee, self.size)
        self.at += self.size
        return 0


def test_a_store_in_python_has_the_pages():
    own = OwnStore(8 * PAGE)
    assert refused(lambda: Memory(own.size, MMAP, store=ctypes.addressof(own.store))).rule == 'LIB_STORE_WINDOWS'
    memory = Memory(own.size, 0, store=ctypes.addressof(own.store))
    assert memory.populate(2 * PAGE, b'first image'.ljust(PAGE, b'.')) == PAGE
    assert own.room[2 * PAGE:2 * PAGE + 11] == b'first image'
    block = memory.block(2 * PAGE + 5)
    assert (block.addr, block.order, block.attributes) == (own.at + 2 * PAGE, 0, PRIVATE)
    allocate = lambda: must(lib.gmem_allocate(memory.handle, u64(0), u64(4 * PAGE)))  # noqa: E731
    allocate()
    own.answer = -errno.ENOSPC
    assert refused(allocate).error == errno.ENOSPC
    assert memory.stats().backed_bytes == 3 * PAGE
    move = RANGE(own.move)
    must(lib.gmem_move(memory.handle, u64(0), u64(own.size), move, None))
    assert memory.guest(2 * PAGE, 11) == b'first image' and memory.block(0).addr == own.at
    must(lib.gmem_punch(memory.handle, u64(2 * PAGE), u64(PAGE)))
    assert memory.guest(2 * PAGE, 11) == bytes(11)
    memory.put()
    asked = [('allocate', 0, 4), ('allocate', 0, 4), ('punch', 2, 1), 'release', 'destroy']
    assert own.asked[-5:] == asked, own.asked


def test_what_is_saved_comes_back():
    memory, other = Memory(8 * PAGE), Memory(8 * PAGE)
    window = memory.window()
    window[PAGE:PAGE + 6] = b'shared'
    memory.convert(4 * PAGE, 2 * PAGE, PRIVATE)
    assert memory.populate(5 * PAGE, b'private'.ljust(PAGE, b'.')) == PAGE
    assert refused(memory.populate, PAGE, bytes(PAGE)).error == errno.EINVAL
    with tempfile.TemporaryFile() as file:
        args, info = SnapshotArgs(fd=file.fileno()), SnapshotInfo()
        must(lib.gmem_snapshot(memory.handle, ctypes.byref(args)))
        assert args.file_bytes == os.fstat(file.fileno()).st_size and args.frozen_ns
        must(lib.gmem_snapshot_check(file.fileno(), u32(1), ctypes.byref(info)))
        assert (info.size, info.private_bytes, info.data_bytes) == (8 * PAGE, 2 * PAGE, 2 * PAGE)
        must(lib.gmem_restore(other.handle, ctypes.byref(RestoreArgs(fd=file.fileno()))))
        assert other.extents() == memory.extents() == [(0, 4, 0), (4, 2, PRIVATE), (6, 2, 0)]
        assert other.guest(PAGE, 6) == b'shared' and other.guest(5 * PAGE, 8) == b'private.'
        file.truncate(args.file_bytes - 1)
        assert lib.gmem_snapshot_check(file.fileno(), u32(0), None) == -errno.ENODATA
        restore = lambda: must(lib.gmem_restore(other.handle, ctypes.byref(RestoreArgs(fd=file.fileno()))))  # noqa: E731
        assert refused(restore).error == errno.ENODATA
    must(lib.gmem_unmap(ctypes.byref(window), u64(memory.size)))
    memory.put()
    other.put()


def test_pages_fail_and_are_mended():
    memory = Memory(4 * PAGE, 0)
    must(lib.gmem_poison(memory.handle, u64(PAGE), u64(PAGE)))
    assert refused(memory.block, PAGE).error == EHWPOISON
    must(lib.gmem_punch(memory.handle, u64(PAGE), u64(PAGE)))
    assert memory.guest(PAGE, 4) == bytes(4)
    memory.put()


def test_policies_belong_to_pages():
    memory, mode, nodes = Memory(4 * PAGE), ctypes.c_int(-1), (ctypes.c_ulong * 16)()
    bind = 2  # MPOL_BIND
    nodes[0] = 1
    result = lib.gmem_set_policy(memory.handle, u64(PAGE), u64(PAGE), bind, nodes, ctypes.c_ulong(64), u32(0))
    if result != -errno.ENOSYS:
        must(result)
        for page, wanted in enumerate((0, bind, 0)):
            must(lib.gmem_get_policy(memory.handle, u64(page * PAGE), ctypes.byref(mode), nodes, ctypes.c_ulong(1024),
                                     u32(0)))
            assert mode.value == wanted
    memory.put()


def test_structures_of_version_0_2_are_taken():
    memory = Memory(4 * PAGE, of=CreateArgs02)
    assert ctypes.sizeof(CreateArgs02) < ctypes.sizeof(CreateArgs) and memory.stats().size == 4 * PAGE
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
