# SPDX-License-Identifier: GPL-2.0
"""Plain blocks: their bytes, and how long these live."""

import copy
import gc
import os

import numpy

import bitmem
from support import PoolCase, python


class Blocks(PoolCase):
    def test_what_it_is(self):
        with self.pool.alloc(1000, 4096, zeroed=True) as block:
            self.assertEqual((1000, 1000, 0, False),
                             (block.nbytes, len(block), block.address % 4096, block.closed))
            self.assertGreaterEqual(block.usable, 1000)
            view = block.memoryview()
            self.assertEqual((b"\0" * 1000, "B", (1000,)),
                             (view.tobytes(), view.format, view.shape))
            array = numpy.frombuffer(view, numpy.uint8)
            array[3] = 7
            self.assertEqual(7, block.memoryview(readonly=True)[3])
            with self.assertRaises(TypeError):
                block.memoryview(readonly=True)[0] = 1
            self.assertEqual((1, 1000), (self.pool.stats().live, self.pool.stats().live_bytes))
            self.assertEqual("<bitmem.Block 1000 bytes>", repr(block))
            del view, array
        self.assertEqual(("<bitmem.Block 1000 bytes closed>", 0), (repr(block), self.live()))
        for use in (block.memoryview, block.__enter__, lambda: block.address):
            with self.assertRaises(bitmem.ClosedError):
                use()
        block.close()

    def test_zeroed_where_it_was_not(self):
        for size in (64, 100_000, 3 << 20):
            self.pool.alloc(size).memoryview()[:] = b"x" * size
            with self.subTest(size=size), self.pool.alloc(size, zeroed=True) as block:
                self.assertFalse(any(block.memoryview()))

    def test_the_memory_stays_for_views(self):
        view = self.pool.alloc(100).memoryview()
        view[:3] = b"abc"
        part = view[1:]
        del view
        gc.collect()
        self.assertEqual((b"bc", 1), (part[:2].tobytes(), self.live()))
        del part
        self.assertEqual(0, self.live())

    def test_the_memory_stays_when_the_pool_is_closed(self):
        block = self.pool.alloc(100)
        self.pool.close()
        block.memoryview()[:] = b"x" * 100
        self.assertEqual(b"x" * 100, block.memoryview().tobytes())
        block.close()

    def test_of_a_part(self):
        where = self.pool.add()
        with self.pool.alloc(5000, where=where) as block, \
                self.pool.alloc(50, zeroed=True, where=where):
            self.assertEqual(2, self.pool.usage(where).blocks)
            self.assertEqual("block", self.pool.snapshot()[0].kind)
            self.assertEqual(5000, block.nbytes)

    def test_refused(self):
        for arguments, kind in (((0,), ValueError), ((-1,), ValueError), ((1, 3), ValueError),
                                ((1, 1 << 40), ValueError), ((1 << 62,), MemoryError),
                                ((1.5,), TypeError), ((1 << 64,), ValueError)):
            with self.subTest(arguments=arguments), self.assertRaises(kind):
                self.pool.alloc(*arguments)
        with self.assertRaises(bitmem.NotFoundError):
            self.pool.alloc(1, where=7)
        block = self.pool.alloc(1)
        with self.assertRaises(TypeError):
            copy.deepcopy(block)
        block.close()
        self.assertEqual(0, self.live())

    def test_places(self):
        block = self.pool.alloc(10)
        self.assertEqual("test_places", self.pool.snapshot()[0].place.function)
        block.close()

    def test_a_child_drops_nothing(self):
        block = self.pool.alloc(10, zeroed=True)
        pid = os.fork()
        if not pid:
            block.memoryview()[0] = 9
            block.close()
            gc.collect()
            os._exit(0)
        self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        self.assertEqual((9, 1), (block.memoryview()[0], self.live()))
        block.close()

    def test_at_the_end_of_the_interpreter(self):
        self.assertEqual((0, "", ""), python("""
            import bitmem
            pool = bitmem.open()
            block = pool.alloc(10)
            view = pool.alloc(10).memoryview()
            """))
