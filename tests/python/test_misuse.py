# SPDX-License-Identifier: GPL-2.0
"""What a program does by mistake, or finds out late: an exception, never a crash."""

import copy
import os
import pickle
import resource
import threading

import bitmem
from support import PoolCase, python


class Misuse(PoolCase):
    def test_copies_of_handles(self):
        tensor = self.pool.tensor(4)
        for thing in (self.pool, tensor, self.pool.mark(), self.pool.watch(bitmem.Pressure.LOW)):
            with self.subTest(thing=type(thing).__name__):
                self.assertRaises(TypeError, copy.deepcopy, thing)
                self.assertRaises(TypeError, pickle.dumps, thing)
        self.assertEqual(1, self.live())
        tensor.close()

    def test_no_name(self):
        self.assertRaises(TypeError, self.pool.find, None)

    def test_names_of_files_that_end_early(self):
        self.assertRaises(ValueError, bitmem.load, "model.gguf\0.txt", pool=self.pool)
        self.assertRaises(ValueError, bitmem.open, device="/dev/null\0x")

    def test_numbers_that_c_cuts_off(self):
        tensor = self.pool.tensor(4)
        self.assertRaises(bitmem.InvalidError, tensor.migrate, 1 << 32)
        self.assertRaises(bitmem.InvalidError, self.pool.watch, (1 << 32) + 2)
        tensor.close()

    def test_a_tensor_is_true(self):
        with self.pool.tensor(()) as scalar, self.pool.tensor(0) as empty:
            self.assertTrue(scalar)
            self.assertTrue(empty)

    def test_a_file_name_that_cannot_be_written(self):
        scope = {"pool": self.pool}
        exec(compile("tensor = pool.tensor(4)", "\ud800.py", "exec"), scope)
        scope.pop("tensor").close()

    def test_many_descriptors(self):
        """More than select() knows."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 1200:
            self.skipTest(f"{hard} descriptors at most")
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
        held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
        try:
            watch = self.pool.watch(bitmem.Pressure.LOW)
            self.assertLess(1024, watch.fileno())
            threading.Timer(0.1, watch.close).start()
            self.assertEqual([], list(watch))
        finally:
            for fd in held:
                os.close(fd)

    def test_a_pool_that_closes_before_the_watch_is_known(self):
        real = self.pool._watches

        class Late(set):
            def add(_, watch):  # noqa: N805
                real.add(watch)
                real.discard(watch)
                self.pool.close()

        self.pool._watches = Late()
        watch = self.pool.watch(bitmem.Pressure.LOW)
        self.assertTrue(watch.closed)
        self.assertEqual([], list(watch))


class Children(PoolCase):
    def child(self, function):
        """Its exit status: 0 if the function returned true."""
        pid = os.fork()
        if not pid:
            try:
                os._exit(0 if function() else 1)
            finally:
                os._exit(2)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def test_a_weak_handle_is_the_parents(self):
        tensor = self.pool.tensor(4)
        weak = tensor.weak()

        def inherited():
            try:
                weak()
            except bitmem.ForkedError:
                return True

        self.assertEqual(0, self.child(inherited))
        self.assertIsNotNone(weak())
        tensor.close()

    def test_a_watch_is_the_parents(self):
        watch = self.pool.watch(bitmem.Pressure.LOW)

        def inherited():
            for use in (watch.fileno, watch.read, lambda: next(iter(watch))):
                try:
                    use()
                    return False
                except bitmem.ForkedError:
                    pass
            return True

        os.write(watch._writer, bytes([bitmem.Pressure.HIGH]))
        self.assertEqual(0, self.child(inherited))
        self.assertEqual([bitmem.Pressure.HIGH], watch.read())
        watch.close()

    def test_a_lock_that_a_thread_had(self):
        status, _, errors = python("""
            import os, signal
            import bitmem
            pool = bitmem.open(segment_size=4 << 20)
            watch = pool.watch(bitmem.Pressure.LOW)
            with watch._lock:
                pid = os.fork()
            if not pid:
                signal.alarm(20)
                watch.close()
                os._exit(0)
            raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """)
        self.assertEqual((0, ""), (status, errors))
