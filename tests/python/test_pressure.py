# SPDX-License-Identifier: GPL-2.0
"""How tight memory is, and who is told of it."""

import os
import selectors
import signal
import sys
import threading
import time
import unittest

import bitmem
from bitmem import Pressure
from support import LIMIT, ON_DEVICE, PoolCase, python


class Watches(PoolCase):
    def setUp(self):
        super().setUp()
        self.pool.strategy = bitmem.Strategy(bitmem.Return(0), sample_ms=10)

    def test_made_and_ended(self):
        fds = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            with self.pool.watch(Pressure.CRITICAL) as watch, \
                    self.pool.watch(Pressure.LOW, lambda _: None) as other:
                self.assertFalse(watch.closed or other.closed)
                self.assertIsInstance(watch.read(), list)
                with self.assertRaises(ValueError):
                    other.fileno()
            self.assertTrue(watch.closed and other.closed)
            watch.close()
            self.assertEqual([], watch.read())
        del watch
        self.pool.close()
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), fds)

    def test_levels_that_are_none(self):
        for level in (Pressure.NONE, 7, -1):
            with self.subTest(level=level), self.assertRaises(bitmem.InvalidError):
                self.pool.watch(level)
        self.assertIsInstance(self.pool.pressure(), Pressure)

    def test_the_pools_end_is_theirs(self):
        watch, told = self.pool.watch(), self.pool.watch(callback=lambda _: None)
        thread = threading.Thread(target=lambda: list(watch))
        thread.start()
        self.pool.close()
        thread.join(LIMIT)
        self.assertFalse(thread.is_alive())
        self.assertTrue(watch.closed and told.closed)


@unittest.skipUnless(ON_DEVICE, "the host's memory is not the test's to fill")
class Levels(PoolCase):
    """On the device pressure is what is taken of its pools."""

    def setUp(self):
        super().setUp()
        self.pool.strategy = bitmem.Strategy(bitmem.Return(0), sample_ms=10)
        self.taken = []
        self.addCleanup(self.release)

    def press(self, level=Pressure.LOW):
        while self.pool.pressure() < level:
            self.taken.append(self.pool.empty(8 << 20, "U8"))

    def release(self):
        self.taken.clear()
        if not self.pool.closed:
            self.pool.trim()

    def wait(self, condition):
        end = time.monotonic() + LIMIT
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_callbacks(self):
        seen, threads = [], set()

        def told(level):
            seen.append(level)
            threads.add(threading.get_ident())

        self.pool.watch(Pressure.LOW, told)
        self.press()
        self.wait(lambda: seen)
        self.release()
        self.wait(lambda: seen[-1] == Pressure.NONE)
        self.assertEqual(Pressure.LOW, seen[0])
        self.assertNotIn(threading.get_ident(), threads)

    def test_a_selector(self):
        watch = self.pool.watch(Pressure.LOW)
        with selectors.DefaultSelector() as selector:
            selector.register(watch, selectors.EVENT_READ)
            self.assertEqual([], selector.select(0.2))
            self.press()
            self.assertEqual([watch], [key.fileobj for key, _ in selector.select(LIMIT)])
        self.assertEqual(Pressure.LOW, watch.read()[0])

    def test_an_iterator(self):
        seen = []
        watch = self.pool.watch(Pressure.LOW)
        thread = threading.Thread(target=lambda: seen.extend(watch))
        thread.start()
        self.press()
        self.wait(lambda: seen)
        self.release()
        self.wait(lambda: seen[-1] == Pressure.NONE)
        watch.close()
        thread.join(LIMIT)
        self.assertFalse(thread.is_alive())

    def test_a_callback_that_uses_the_pool(self):
        done = []

        def told(level):
            self.pool.tensor(10).numpy()[:] = 1
            watch.close()
            done.append(self.pool.stats().live)

        watch = self.pool.watch(Pressure.LOW, told)
        self.press()
        self.wait(lambda: done)
        self.assertTrue(watch.closed)

    def test_a_callback_that_closes_the_pool(self):
        self.pool.watch(Pressure.LOW, lambda _: self.pool.close())
        try:
            self.press()
        except bitmem.ClosedError:
            pass
        self.wait(lambda: self.pool.closed)

    def test_forks_while_it_is_told(self):
        """Neither waits for the other for ever, and the child is told nothing."""
        going = threading.Event()

        def told(_):
            going.set()
            time.sleep(0.3)

        self.pool.watch(Pressure.LOW, told)
        self.press()
        self.assertTrue(going.wait(LIMIT))
        for _ in range(5):
            child = os.fork()
            if not child:
                signal.alarm(LIMIT)
                status = 1
                try:
                    with bitmem.open() as pool:
                        pool.copy(b"abc").close()
                    self.pool.close()
                    status = 0
                finally:
                    os._exit(status)
            self.assertEqual(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

    def test_the_interpreter_ends_while_it_is_told(self):
        status, _, stderr = python("""
            import bitmem, threading, time
            pool, going = bitmem.open(), threading.Event()
            pool.strategy = bitmem.Strategy(bitmem.Return(0), sample_ms=10)
            def told(level):
                going.set()
                time.sleep(0.3)
            pool.watch(bitmem.Pressure.LOW, told)
            taken = []
            while pool.pressure() < bitmem.Pressure.LOW:
                taken.append(pool.empty(8 << 20, "U8"))
            going.wait()
            """)
        self.assertEqual((0, ""), (status, stderr))

    def test_what_a_callback_raises(self):
        caught = []
        before, sys.unraisablehook = sys.unraisablehook, caught.append
        try:
            with self.pool.watch(Pressure.LOW, lambda _: 1 // 0):
                self.press()
                self.wait(lambda: caught)
        finally:
            sys.unraisablehook = before
        self.assertIs(ZeroDivisionError, caught[0].exc_type)
        self.assertEqual(Pressure.LOW, self.pool.pressure())
