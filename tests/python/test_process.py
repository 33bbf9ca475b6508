# SPDX-License-Identifier: GPL-2.0
"""Threads, forks, and the end of the interpreter."""

import os
import random
import signal
import threading
import unittest

import numpy

import bitmem
from bitmem import tracking
from support import LIMIT, PoolCase, python


class Threads(PoolCase):
    def test_many_at_once(self):
        errors = []

        def work(seed):
            rng, kept = random.Random(seed), []
            try:
                for _ in range(300):
                    n = rng.randrange(1, 5000)
                    tensor = self.pool.tensor(n, "U8", tag=f"t{seed}")
                    array = tensor.numpy()
                    if array.any():
                        raise AssertionError("not zero")
                    array[:] = seed
                    kept.append((tensor[n // 2:], array, seed))
                    if len(kept) > 20:
                        view, array, seed = kept.pop(rng.randrange(len(kept)))
                        if not ((array == seed).all() and (view.numpy() == seed).all()):
                            raise AssertionError("somebody else's")
            except BaseException as e:
                errors.append(e)

        threads = [threading.Thread(target=work, args=(i + 1,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], errors)
        del threads
        self.assertEqual(0, self.live())

    def test_dropped_by_another_thread(self):
        arrays = [self.pool.tensor(1000).numpy() for _ in range(100)]
        thread = threading.Thread(target=arrays.clear)
        thread.start()
        thread.join()
        self.assertEqual(0, self.live())

    def test_closed_while_it_is_used(self):
        """One tensor, closed by one thread in the middle of what others do with it."""
        for _ in range(200):
            tensor = self.pool.tensor((4, 100), "U8")
            start, errors = threading.Barrier(3), []

            def work(tensor=tensor, start=start, errors=errors):
                start.wait()
                try:
                    while True:
                        tensor[1].numpy()[:] = 1
                        tensor.weak()()
                except bitmem.ClosedError:
                    pass
                except BaseException as e:
                    errors.append(e)

            threads = [threading.Thread(target=work) for _ in range(2)]
            for thread in threads:
                thread.start()
            start.wait()
            tensor.close()
            for thread in threads:
                thread.join()
            self.assertEqual([], errors)
        del threads, work
        self.assertEqual(0, self.live())

    def test_the_interpreter_runs_meanwhile(self):
        """What takes long in the library does not hold up the others: sockets, for one."""
        import socket
        here, there = socket.socketpair()
        with here, there:
            thread = threading.Thread(target=lambda: self.pool.receive(there).close())
            thread.start()
            tensor = self.pool.tensor(1, shareable=True)
            tensor.send(here)
            thread.join(LIMIT)
            self.assertFalse(thread.is_alive())


class Forks(PoolCase):
    def child(self, function):
        """Runs it in a child: its words, and how it ended."""
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            signal.alarm(LIMIT)
            status = 1
            try:
                text = function()
                os.write(write, repr(text).encode())
                status = 0
            except BaseException as e:
                os.write(write, repr(e).encode())
            finally:
                os._exit(status)
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as file:
            text = file.read()
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status), text

    def test_the_memory_is_both(self):
        tensor = self.pool.tensor(8, "U8")
        array = tensor.numpy()

        def child():
            array[0] = 1
            tensor.numpy()[1] = 2
            tensor.memoryview()[2] = 3
            numpy.asarray(tensor)[3] = 4
            return tensor.shape, tensor.nbytes, str(tensor.dtype)

        self.assertEqual((0, "((8,), 8, 'U8')"), self.child(child))
        self.assertEqual([1, 2, 3, 4, 0, 0, 0, 0], array.tolist())

    def test_the_books_are_the_parents(self):
        tensor, scope = self.pool.tensor(8, "U8", name="mine"), self.pool.scope()

        def child():
            refused = 0
            for use in (lambda: self.pool.tensor(1), self.pool.stats, tensor.ref, tensor.clone,
                        lambda: tensor[1], tensor.weak, tensor.__dlpack__, self.pool.trim,
                        lambda: setattr(tensor, "name", "yours"), lambda: scope.tensor(1),
                        self.pool.watch, lambda: self.pool.copy(tensor)):
                try:
                    use()
                except bitmem.ForkedError:
                    refused += 1
            # Its own is its own.
            with bitmem.open() as pool:
                pool.copy(b"abc").close()
            return refused

        self.assertEqual((0, "12"), self.child(child))
        self.assertEqual(("mine", 1), (tensor.name, self.live()))

    def test_what_the_child_drops_stays(self):
        tensors = [self.pool.tensor(1 << 20, "U8") for _ in range(4)]
        capsules = [self.pool.tensor(1).__dlpack__(max_version=version)
                    for version in (None, (1, 0))]
        for i, tensor in enumerate(tensors):
            tensor.numpy()[:] = i + 1

        def child():
            context = self.pool._context
            for tensor in tensors:
                tensor.close()
            tensors.clear()
            capsules.clear()
            self.pool.close()
            return self.pool.closed, tracking.stats(context).live

        self.assertEqual((0, "(True, 6)"), self.child(child))
        capsules.clear()
        self.pool.trim()
        self.assertTrue(all((tensor.numpy() == i + 1).all() for i, tensor in enumerate(tensors)))
        self.assertEqual(4, self.live())

    def test_multiprocessing(self):
        status, stdout, stderr = python("""
            import bitmem, multiprocessing
            def work(i):
                tensor.numpy()[i] = i * i
                with bitmem.open() as pool:
                    return int(pool.copy(tensor.numpy()).numpy()[i])
            pool = bitmem.open()
            tensor = pool.tensor(8, "I64")
            with multiprocessing.get_context("fork").Pool(4) as workers:
                print(workers.map(work, range(8)))
            print(tensor.numpy().tolist())
            """)
        self.assertEqual((0, ""), (status, stderr))
        self.assertEqual(["[0, 1, 4, 9, 16, 25, 36, 49]"] * 2, stdout.splitlines())

    def test_a_fork_with_threads_at_work(self):
        stop = threading.Event()

        def work():
            while not stop.is_set():
                self.pool.tensor((100, 1000)).numpy()[0] = 1

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                def child():
                    with bitmem.open() as pool:
                        return pool.tensor(3).nbytes
                self.assertEqual((0, "12"), self.child(child))
        finally:
            stop.set()
            for thread in threads:
                thread.join()


class Ends(unittest.TestCase):
    """Nothing crashes when the interpreter ends, in whatever order things go."""

    def ends(self, source, env=None):
        # What was freed is overwritten, so that whoever uses it still is found out.
        status, _, stderr = python(source, env={"PYTHONMALLOC": "debug", **(env or {})})
        self.assertEqual((0, ""), (status, stderr))

    def test_everything_alive(self):
        self.ends("""
            import bitmem, numpy
            pool = bitmem.open()
            tensor = pool.tensor((4, 4), name="x", tag="y")
            array, view, capsule = tensor.numpy(), tensor.memoryview(), tensor.__dlpack__()
            versioned, taken = tensor.__dlpack__(max_version=(1, 1)), numpy.from_dlpack(tensor)
            weak, scope, mark, snapshot = tensor.weak(), pool.scope(), pool.mark(), pool.snapshot()
            scope.tensor(3)
            interface = tensor.__array_interface__
            part, watch = tensor[1], pool.watch(callback=print)
            queue = pool.watch(bitmem.Pressure.LOW)
            pool.strategy = bitmem.Strategy()
            """)

    def test_held_by_what_goes_last(self):
        self.ends("""
            import builtins, sys, bitmem
            pool = bitmem.open()
            builtins.kept = [pool, pool.tensor(4).numpy(), pool.tensor(4).__dlpack__()]
            sys.kept = pool.tensor(5).__dlpack__(max_version=(1, 0))
            class Late:
                def __del__(self, tensor=pool.tensor(6)):
                    tensor.close()
            builtins.late = Late()
            cycle = [pool.tensor(7)]
            cycle.append(cycle)
            """)

    def test_used_by_threads(self):
        self.ends("""
            import bitmem, threading, time
            pool = bitmem.open()
            def work():
                while True:
                    pool.tensor((3, 1000)).numpy()[0] = 1
            for _ in range(4):
                threading.Thread(target=work, daemon=True).start()
            time.sleep(0.2)
            """)

    def test_a_keeper_at_work(self):
        self.ends("""
            import bitmem
            pool = bitmem.open()
            seen = []
            for _ in range(8):
                pool.watch(bitmem.Pressure.LOW, seen.append)
            pool.strategy = bitmem.Strategy(bitmem.Return.PERIODIC, period_ms=10, sample_ms=10)
            tensor = pool.tensor(1000)
            """)

    def test_leaks_are_told_after_that(self):
        self.ends("""
            import bitmem
            pool = bitmem.open()
            kept = pool.tensor(4), pool.tensor(4).numpy(), pool.tensor(4)[1:]
            """, env={"BITMEM_LEAKS": "1"})
