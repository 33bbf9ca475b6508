# SPDX-License-Identifier: GPL-2.0
"""Pools: options, parts, figures, giving back, and use after close."""

import errno
import os
import threading

import numpy

import bitmem
from support import ON_DEVICE, PoolCase, python


class Options(PoolCase):
    def test_backends(self):
        self.assertEqual("device" if ON_DEVICE else "memfd", self.pool.backend)
        with bitmem.open("memfd") as pool:
            self.assertEqual("memfd", pool.backend)
            self.assertIn("memfd", repr(pool))
        self.assertIn("closed", repr(pool))

    def test_a_device_that_is_not_there(self):
        with self.assertRaises(FileNotFoundError) as caught:
            bitmem.open("device", device="/nonexistent/bitmem")
        self.assertIn("/nonexistent/bitmem", str(caught.exception))
        with self.assertRaises(bitmem.Error):
            bitmem.open("device", device="/dev/null")

    def test_options_that_are_refused(self):
        for options, word in (({"backend": "hugetlb"}, "backend"), ({"node": -1}, "node"),
                              ({"node": 4096}, "4096"), ({"tracking": "most"}, "tracking"),
                              ({"segment_size": -1}, "segment_size"),
                              ({"segment_size": 1 << 64}, "segment_size"),
                              ({"segment_size": (1 << 64) - 1}, "segment_size")):
            with self.subTest(options=options), self.assertRaises(ValueError) as caught:
                bitmem.open(**options)
            self.assertIn(word, str(caught.exception))
        with self.assertRaises(TypeError):
            bitmem.open(segment_size="64M")
        status, _, stderr = python("import bitmem; bitmem.open()", env={"BITMEM_BACKEND": "disk"})
        self.assertEqual(1, status)
        self.assertIn("BITMEM_BACKEND", stderr)

    def test_segments_and_nodes(self):
        with bitmem.open(segment_size=32 << 20, node=0) as pool:
            tensor = pool.tensor(1)
            self.assertEqual(32 << 20, pool.stats().committed_bytes)
            del tensor

    def test_tracking(self):
        for level in ("counters", "sites", "full"):
            with self.subTest(level=level), bitmem.open(tracking=level) as pool:
                tensor = pool.tensor(1)
                place = pool.snapshot()[0].place
                self.assertEqual(None if level == "counters" else __file__, place.file)
                self.assertEqual(level == "full", bool(place.stack))
                del tensor


class Closing(PoolCase):
    def test_use_after_close(self):
        tensor, scope = self.pool.tensor(1), self.pool.scope()
        self.pool.close()
        self.pool.close()
        self.assertTrue(self.pool.closed)
        pool = self.pool
        for use in (pool.stats, pool.trim, pool.compact, pool.snapshot, pool.mark, pool.leaks,
                    pool.audit, pool.pressure, pool.returned, pool.usage, pool.scope, pool.add,
                    pool.watch, pool.__enter__, lambda: pool.tensor(1), lambda: pool.empty(1),
                    lambda: pool.zeros(1), lambda: pool.copy(b"x"), lambda: pool.copy(tensor),
                    lambda: pool.find("x"), lambda: pool.receive(0), lambda: pool.strategy,
                    lambda: setattr(pool, "strategy", bitmem.Strategy()),
                    lambda: pool.where(tensor), lambda: pool.from_dlpack(numpy.zeros(1)),
                    lambda: pool.pressure(0), lambda: pool.tensor(1, shareable=True),
                    lambda: scope.tensor(1), lambda: bitmem.load("/dev/null", pool)):
            with self.assertRaises(bitmem.ClosedError) as caught:
                use()
            self.assertEqual(errno.EBADF, caught.exception.errno)
        tensor.numpy()[0] = 1

    def test_closed_while_others_use_it(self):
        for _ in range(20):
            pool = bitmem.open(segment_size=2 << 20)
            errors, kept = [], []

            def work(pool=pool, errors=errors, kept=kept):
                try:
                    while True:
                        tensor = pool.tensor((3, 1000), "U8")
                        tensor.numpy()[:] = 1
                        kept.append(tensor[1])
                        pool.stats()
                        pool.snapshot()
                except bitmem.ClosedError:
                    pass
                except BaseException as e:
                    errors.append(e)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            while len(kept) < 20:
                pass
            pool.close()
            for thread in threads:
                thread.join()
            self.assertEqual([], errors)
            self.assertTrue(all(view.numpy().all() for view in kept))

    def test_a_pool_that_is_dropped_is_closed(self):
        fds = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            bitmem.open().tensor(1)
        self.assertEqual(fds, len(os.listdir("/proc/self/fd")))


class Parts(PoolCase):
    def test_parts(self):
        part = self.pool.add()
        self.assertEqual(1, part)
        with self.pool.tensor(100, "U8", where=part) as tensor, \
                self.pool.empty(200, "U8", where=part) as other:
            self.assertEqual((part, part), (self.pool.where(tensor), self.pool.where(other)))
            usage = self.pool.usage(part)
            self.assertEqual((2, 300), (usage.blocks, usage.live))
            self.assertEqual(0, self.pool.usage(0).blocks)
            self.assertEqual(2, self.pool.usage().blocks)
            self.assertEqual(usage.committed, usage.room + usage.cached + usage.slack + usage.free +
                             usage.kept + usage.moving)
        self.assertIsInstance(self.pool.pressure(part), bitmem.Pressure)
        self.assertEqual(2, self.pool.add(node=0, bind=False))

    def test_policies(self):
        first, second = self.pool.add(), self.pool.add(node=0)
        self.assertEqual([None, None, 0], [part.node for part in self.pool.parts()])
        self.pool.set_policy("interleave", [first, second], where=first)
        tensors = [self.pool.tensor(10, where=first) for _ in range(4)]
        self.assertEqual([first, first, second, second],
                         sorted(self.pool.where(tensor) for tensor in tensors))
        self.pool.set_policy()
        tensors = [self.pool.tensor(10, where=first) for _ in range(4)]
        self.assertEqual({first}, {self.pool.where(tensor) for tensor in tensors})
        for args, options in ((("best",), {}), (("fallback", [9]), {}),
                              (("fallback", [first, first]), {}), (("fallback", [-1]), {}),
                              (("fallback", range(9)), {}), ((), {"level": 9})):
            with self.subTest(args=args, options=options), self.assertRaises(bitmem.InvalidError):
                self.pool.set_policy(*args, **options)
        with self.assertRaises(bitmem.NotFoundError):
            self.pool.set_policy(where=7)

    def test_parts_that_are_not_there(self):
        for use in (lambda: self.pool.tensor(1, where=5), lambda: self.pool.empty(1, where=5),
                    lambda: self.pool.usage(5), lambda: self.pool.pressure(5)):
            with self.assertRaises(bitmem.NotFoundError):
                use()
        for use in (lambda: self.pool.tensor(1, where=-1), lambda: self.pool.add(node=4096),
                    lambda: self.pool.add(width=31), lambda: self.pool.add(width=-1),
                    lambda: self.pool.add(node=-2), lambda: self.pool.usage(1 << 32),
                    lambda: self.pool.tensor(1, where=1, shareable=True)):
            with self.assertRaises(bitmem.InvalidError):
                use()
        for _ in range(7):
            self.pool.add()
        with self.assertRaises(bitmem.Error) as caught:
            self.pool.add()
        self.assertEqual(errno.EMFILE, caught.exception.errno)


class Figures(PoolCase):
    def test_counters(self):
        tensors = [self.pool.tensor(100 + i, "U8") for i in range(10)]
        view = tensors[0][1:2]
        stats = self.pool.stats()
        self.assertEqual((10, 1045, 1, 10, 0), (stats.live, stats.live_bytes, stats.views,
                                                stats.allocs, stats.frees))
        self.assertGreaterEqual(stats.committed_bytes, 1045)
        self.assertGreater(stats.meta_bytes, 0)
        del tensors, view
        stats = self.pool.stats()
        self.assertEqual((0, 0, 1045, 10), (stats.live, stats.live_bytes, stats.peak_bytes,
                                            stats.frees))

    def test_audit(self):
        tensor = self.pool.tensor((100, 100))
        audit = self.pool.audit()
        self.assertEqual((1, 40000, 1, 40000), (audit.live, audit.live_bytes, audit.found,
                                                audit.found_bytes))
        self.assertEqual(audit.segments, audit.backend_segments)
        del tensor


class GivingBack(PoolCase):
    def test_trim(self):
        tensors = [self.pool.tensor(1 << 20, "U8") for _ in range(8)]
        before = self.pool.stats().committed_bytes
        del tensors
        gone = self.pool.trim()
        self.assertGreater(gone, 0)
        self.assertEqual(before - gone, self.pool.stats().committed_bytes)
        self.assertEqual(0, self.pool.trim())
        self.assertGreaterEqual(self.pool.returned()["on_call"].bytes, gone)

    def test_compact(self):
        kept = [self.pool.tensor(1 << 20, "U8") for _ in range(8)][::2]
        for i, tensor in enumerate(kept):
            tensor.numpy()[:] = i + 1
        done = self.pool.compact()
        self.assertGreater(done.returned, 0)
        self.assertEqual([1, 2, 3, 4], [int(tensor.numpy().max()) for tensor in kept])
        self.assertTrue(all((tensor.numpy() == i + 1).all() for i, tensor in enumerate(kept)))

    def test_strategy(self):
        self.assertEqual(bitmem.Return(0), self.pool.strategy.flags)
        self.pool.strategy = bitmem.Strategy(bitmem.Return.PERIODIC, period_ms=20, sample_ms=20)
        self.assertEqual((bitmem.Return.PERIODIC, 20),
                         (self.pool.strategy.flags, self.pool.strategy.period_ms))
        del [self.pool.tensor(1 << 20, "U8") for _ in range(8)][:]
        for _ in range(500):
            if not self.pool.stats().committed_bytes:
                break
            threading.Event().wait(0.02)
        self.assertEqual(0, self.pool.stats().committed_bytes)
        self.assertGreater(self.pool.returned()["on_period"].bytes, 0)

    def test_strategies_that_are_refused(self):
        before = self.pool.strategy
        for strategy in (bitmem.Strategy(idle_ms=1), bitmem.Strategy(period_ms=-1),
                         bitmem.Strategy(sample_ms=1 << 40), bitmem.Strategy(flags=64),
                         bitmem.Strategy(level=9)):
            with self.subTest(strategy=strategy), self.assertRaises(ValueError):
                self.pool.strategy = strategy
        self.assertEqual(before, self.pool.strategy)


class Scopes(PoolCase):
    def test_closed_together(self):
        with self.pool.scope() as scope:
            first, second = scope.tensor((2, 2)), scope.empty(3, "U8", name="s")
            third = scope.add(self.pool.tensor(1))
            self.assertEqual((3, 3), (len(scope), self.live()))
            array = first.numpy()
        self.assertTrue(first.closed and second.closed and third.closed)
        self.assertEqual(1, self.live())
        array[0, 0] = 1
        del array
        self.assertEqual(0, self.live())

    def test_closed_when_something_is_raised(self):
        with self.assertRaises(ZeroDivisionError):
            with self.pool.scope() as scope:
                scope.zeros(4)
                raise ZeroDivisionError
        self.assertEqual(0, self.live())

    def test_scopes_in_scopes(self):
        with self.pool.scope() as outer:
            inner = outer.scope()
            kept, dropped = inner.tensor(1), inner.tensor(2)
            taken = inner.take(inner.tensor(3))
            inner.keep(kept)
            inner.close()
            self.assertEqual((False, True, False), (kept.closed, dropped.closed, taken.closed))
            left = outer.scope()
            last = left.tensor(1)
        self.assertTrue(kept.closed and last.closed)
        self.assertFalse(taken.closed)
        for scope in (outer, inner, left):
            scope.close()
            with self.assertRaises(bitmem.ClosedError):
                scope.tensor(1)
            with self.assertRaises(bitmem.ClosedError):
                scope.add(taken)
            self.assertEqual(0, len(scope))
        taken.close()

    def test_what_is_not_in_it(self):
        with self.pool.scope() as scope, self.pool.tensor(1) as tensor:
            with self.assertRaises(bitmem.NotFoundError):
                scope.take(tensor)
            with self.assertRaises(bitmem.NotFoundError):
                scope.keep(tensor)
