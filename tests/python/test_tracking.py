# SPDX-License-Identifier: GPL-2.0
"""What is alive, by the line of Python that made it."""

import inspect
import json
import threading
import time
import unittest

import bitmem
from support import PoolCase, python


def line():
    return inspect.currentframe().f_back.f_lineno


class Traces(unittest.TestCase):
    def test_the_latest_events(self):
        with bitmem.open(tracking="full") as pool:
            before = time.monotonic_ns()
            tensor = pool.tensor(10, "U8"); made = line()
            address = tensor.address
            view = tensor[1:]
            view.close()
            tensor.close()
            pool.alloc(30).close()
            trace = pool.trace()
            self.assertEqual(["TENSOR", "VIEW", "VIEW_END", "TENSOR_END", "ALLOC", "FREE"],
                             [event.kind.name for event in trace])
            first, last = trace[0], trace[-3]
            self.assertEqual((address, 10, made, threading.get_native_id()),
                             (first.address, first.nbytes, first.place.line, first.thread))
            self.assertTrue(before <= first.time_ns <= last.time_ns <= time.monotonic_ns())
            self.assertEqual(made, last.place.line)
            self.assertTrue(first.place.stack)
            self.assertEqual((0, 0, 6), (trace.lost, pool.stacks_lost(), len(trace[:])))
            with self.assertRaises(IndexError):
                trace[6]
            for _ in range(3000):
                pool.alloc(30).close()
            trace = pool.trace()
            self.assertEqual((4096, 6 + 6000 - 4096), (len(trace), trace.lost))
        self.assertEqual(4096, len(list(trace)))

    def test_only_where_it_is_kept(self):
        with bitmem.open(tracking="sites") as pool, self.assertRaises(bitmem.UnsupportedError):
            pool.trace()


class Snapshots(PoolCase):
    def test_each_with_its_place(self):
        tensor = self.pool.tensor((2, 3), "F16", tag="kv"); made = line()
        view = tensor[1]; viewed = line()
        snapshot = self.pool.snapshot()
        self.assertEqual(2, len(snapshot))
        first, second = snapshot
        self.assertEqual(("tensor", 12, "F16", "kv", tensor.address, 0, False, False),
                         (first.kind, first.nbytes, first.dtype.name, first.tag, first.address,
                          first.where, first.segment, first.shared))
        self.assertEqual((__file__, made, "test_each_with_its_place"),
                         (first.place.file, first.place.line, first.place.function))
        self.assertEqual(("view", viewed, view.address),
                         (second.kind, second.place.line, second.address))
        self.assertLessEqual(first.min_age_ns, first.max_age_ns)
        self.assertEqual(f"{__file__}:{made} test_each_with_its_place", str(first.place))
        self.assertEqual([second], snapshot[-1:])
        with self.assertRaises(IndexError):
            snapshot[2]
        self.assertEqual((1, 1), (snapshot.stats.live, snapshot.stats.views))

    def test_groups(self):
        kept = [self.pool.tensor(n, "U8", tag=tag)
                for n, tag in ((100, "kv"), (120, "kv"), (2000, "weights"))]
        kept += [self.pool.tensor(4, "F16"), self.pool.alloc(30)]
        kept.append(kept[0].clone())
        snapshot = self.pool.snapshot()

        def sums(key):
            return {g.key: (g.sum.count, g.sum.bytes, g.sum.views) for g in snapshot.group(key)}

        self.assertEqual({"kv": (2, 220, 0), "weights": (1, 2000, 0), None: (2, 38, 1)},
                         sums("tag"))
        self.assertEqual({64: (2, 220, 1), 1024: (1, 2000, 0), 8: (1, 8, 0), 16: (1, 30, 0)},
                         sums("size"))
        self.assertEqual({"block": (1, 30, 0), "tensor": (4, 2228, 0), "view": (0, 0, 1)},
                         sums("kind"))
        self.assertEqual({bitmem.dtype("U8"): (3, 2220, 1), bitmem.dtype("F16"): (1, 8, 0),
                          None: (1, 30, 0)}, sums("dtype"))
        self.assertEqual({0: (5, 2258, 1)}, sums("where"))
        self.assertEqual([2000, 220, 38], [g.sum.bytes for g in snapshot.group("tag")])
        self.assertEqual({live.place for live in snapshot},
                         {g.key for g in snapshot.group("place")})
        self.assertEqual({(True, "tensor"): (1, 2000, 0), (False, "tensor"): (3, 228, 0),
                          (False, "block"): (1, 30, 0), (False, "view"): (0, 0, 1)},
                         sums(lambda live: (live.nbytes > 1000, live.kind)))
        self.assertEqual("weights", snapshot.group("tag")[0].example.tag)

    def test_groups_refused(self):
        tensor = self.pool.tensor(4, "F16")
        snapshot = self.pool.snapshot()
        with self.assertRaisesRegex(ValueError, "'colour'"):
            snapshot.group("colour")
        with self.assertRaises(ZeroDivisionError):
            snapshot.group(lambda live: 1 // 0)
        with self.assertRaises(TypeError):
            snapshot.group(lambda live: [])
        tensor.close()
        self.assertEqual([], self.pool.snapshot().group("tag"))

    def test_it_does_not_depend_on_the_pool(self):
        tensor = self.pool.tensor(10, "U8")
        snapshot = self.pool.snapshot()
        tensor.close()
        self.pool.close()
        self.assertEqual([10], [live.nbytes for live in snapshot])

    def test_reports(self):
        tensor = self.pool.tensor(1000, "U8"); made = line()
        text = self.pool.snapshot().report()
        self.assertIn(f"1 live, 1000 bytes", text)
        self.assertIn(f"{__file__}:{made} test_reports (tensor, U8)", text)
        report = json.loads(self.pool.snapshot().report("json"))
        self.assertIn(__file__, json.dumps(report))
        with self.assertRaises(ValueError):
            self.pool.snapshot().report("xml")
        del tensor
        self.assertEqual("", self.pool.snapshot().report())

    def test_places_of_code_that_is_made(self):
        space = {"pool": self.pool}
        exec(compile("\n\ndef made():\n    return pool.tensor(1)\n", "größe\udc80.py", "exec"), space)
        tensor = space["made"]()
        place = self.pool.snapshot()[0].place
        self.assertEqual(("größe\udc80.py", 4, "made"), (place.file, place.line, place.function))
        del tensor, space


class Marks(PoolCase):
    def test_differences(self):
        old = self.pool.tensor(10, "U8"); first = line()
        before = self.pool.mark()
        new = [self.pool.tensor(20, "U8") for _ in range(3)]; second = line()
        old.close()
        after = self.pool.mark()
        changes = {change.place.line: change for change in before.diff(after)}
        self.assertEqual({first, second}, set(changes))
        self.assertEqual((3, 60, 0), (changes[second].added, changes[second].added_bytes,
                                      changes[second].gone))
        self.assertEqual((0, 1, 10), (changes[first].added, changes[first].gone,
                                      changes[first].gone_bytes))
        self.assertEqual((1, 10), (before.sum.count, before.sum.bytes))
        with self.assertRaises(bitmem.InvalidError):
            after.diff(before)
        self.assertEqual([], after.diff(self.pool.mark()))
        del new

    def test_leaks_since_a_mark(self):
        old = self.pool.tensor(10, "U8")
        mark = self.pool.mark()
        self.assertEqual(0, len(self.pool.leaks(mark)))
        new = self.pool.tensor(20, "U8")
        self.assertEqual([20], [leak.nbytes for leak in self.pool.leaks(mark)])
        self.assertEqual([10, 20], sorted(leak.nbytes for leak in self.pool.leaks()))
        with bitmem.open() as other, self.assertRaises(bitmem.InvalidError):
            other.leaks(mark)
        del old, new

    def test_suspects(self):
        marks, kept, steady = [], [], [self.pool.tensor(1)]
        for _ in range(4):
            marks.append(self.pool.mark())
            kept.append(self.pool.tensor(8, "U8")); grows = line()
            steady = [self.pool.tensor(1)]
        self.assertEqual([grows], [c.place.line for c in bitmem.suspects(marks)])
        self.assertEqual([], bitmem.suspects(marks, min_bytes=1000))
        with self.assertRaises(bitmem.InvalidError):
            bitmem.suspects(marks[:2])
        with self.assertRaises(bitmem.InvalidError):
            bitmem.suspects(marks[::-1])
        del kept, steady


class AtExit(unittest.TestCase):
    """The library tells what is alive when there is no interpreter any more."""

    def test_what_was_kept_is_told_of(self):
        status, _, stderr = python("""
            import bitmem
            pool = bitmem.open()
            tensor = pool.tensor(1000, "U8")
            # A reference that nobody can drop.
            bitmem._process.immortal(tensor)
            """, env={"BITMEM_LEAKS": "1", "PYTHONMALLOC": "debug"})
        self.assertEqual(0, status, stderr)
        self.assertIn("1 live, 1000 bytes", stderr)
        self.assertIn("<string>:4 <module> (tensor, U8)", stderr)

    def test_nothing_is_nothing(self):
        status, _, stderr = python("""
            import bitmem
            pool = bitmem.open()
            tensors = [pool.tensor(n) for n in range(10)]
            model = {name: tensor.memoryview() for name, tensor in enumerate(tensors)}
            """, env={"BITMEM_LEAKS": "1"})
        self.assertEqual((0, ""), (status, stderr))
