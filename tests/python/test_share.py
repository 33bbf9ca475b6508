# SPDX-License-Identifier: GPL-2.0
"""Tensors over UNIX sockets, between processes and within one."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy

import bitmem
from support import LIMIT, PoolCase, clean


class Sockets(PoolCase):
    def setUp(self):
        super().setUp()
        self.here, self.there = socket.socketpair()
        self.addCleanup(self.here.close)
        self.addCleanup(self.there.close)

    def shareable(self):
        tensor = self.pool.tensor((4, 5), "I32", shareable=True)
        tensor.numpy()[:] = numpy.arange(20).reshape(4, 5)
        return tensor

    def test_both_have_the_same_memory(self):
        tensor = self.shareable()
        with bitmem.open() as other:
            tensor.send(self.here)
            got = other.receive(self.there)
            self.assertEqual(("I32", (4, 5)), (got.dtype.name, got.shape))
            numpy.testing.assert_array_equal(tensor.numpy(), got.numpy())
            self.assertNotEqual(tensor.address, got.address)
            got.numpy()[1, 1] = -1
            tensor.numpy()[2, 2] = -2
            self.assertEqual((-1, -2), (tensor.numpy()[1, 1], got.numpy()[2, 2]))
            live = other.snapshot()[0]
            self.assertEqual((True, True, __file__), (live.segment, live.shared, live.place.file))
            # The memory stays when the sender drops it.
            tensor.close()
            self.assertEqual(-2, got.numpy()[2, 2])
            del got

    def test_views_and_descriptors(self):
        tensor = self.shareable()
        tensor[1:3].send(self.here.fileno())
        got = self.pool.receive(self.there.fileno())
        self.assertEqual([5, 10], got.numpy()[:, 0].tolist())
        # What was received can be sent on.
        got.send(self.there)
        self.assertEqual([5, 10], self.pool.receive(self.here).numpy()[:, 0].tolist())

    def test_what_lies_among_others_is_not_sent(self):
        with self.assertRaises(bitmem.UnsupportedError):
            self.pool.tensor(4).send(self.here)

    def test_sockets_that_are_none(self):
        tensor = self.shareable()
        with open("/dev/null", "rb") as null:
            for fd, code in ((-1, errno.EBADF), (null.fileno(), errno.ENOTSOCK),
                             (999999, errno.EBADF)):
                for use in (lambda fd=fd: tensor.send(fd), lambda fd=fd: self.pool.receive(fd)):
                    with self.subTest(fd=fd), self.assertRaises(bitmem.Error) as caught:
                        use()
                    self.assertEqual(code, caught.exception.errno)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inet:
            with self.assertRaises(bitmem.InvalidError):
                tensor.send(inet)
        for no in (None, "socket", 1.5):
            with self.subTest(no=no), self.assertRaises((TypeError, AttributeError)):
                tensor.send(no)

    def test_the_end(self):
        self.here.close()
        with self.assertRaises(EOFError):
            self.pool.receive(self.there)
        with self.assertRaises(BrokenPipeError):
            self.shareable().send(self.there)

    def test_messages_that_are_none(self):
        self.here.send(b"x" * 104)
        with self.assertRaises(bitmem.FormatError):
            self.pool.receive(self.there)
        self.assertEqual(0, self.live())

    def test_timeouts(self):
        self.there.settimeout(0.05)
        start = time.monotonic()
        with self.assertRaises(TimeoutError):
            self.pool.receive(self.there)
        self.assertGreaterEqual(time.monotonic() - start, 0.05)
        self.there.settimeout(0)
        with self.assertRaises(BlockingIOError):
            self.pool.receive(self.there)
        os.set_blocking(self.here.fileno(), False)
        with self.assertRaises(BlockingIOError):
            self.pool.receive(self.here.fileno())
        self.there.settimeout(LIMIT)
        timer = threading.Timer(0.05, self.shareable().send, [self.here])
        timer.start()
        self.assertEqual((4, 5), self.pool.receive(self.there).shape)
        timer.join()

    def test_a_full_socket(self):
        tensor = self.shareable()
        self.here.settimeout(0)
        with self.assertRaises(BlockingIOError):
            for _ in range(100000):
                tensor.send(self.here)
        self.here.settimeout(0.05)
        with self.assertRaises(TimeoutError):
            tensor.send(self.here)

    def test_a_signal_while_it_waits(self):
        class Alarm(Exception):
            pass

        def ring(*_):
            raise Alarm

        before = signal.signal(signal.SIGALRM, ring)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        for which in (self.there, self.there.fileno()):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with self.assertRaises(Alarm):
                self.pool.receive(which)


class Processes(PoolCase):
    CHILD = """
        import bitmem, socket, sys, os, signal
        sock = socket.socket(fileno=int(sys.argv[1]))
        pool = bitmem.open()
        if sys.argv[2] == "receive":
            tensor = pool.receive(sock)
            array = tensor.numpy()
            array *= 2
            sock.send(b"!")
        else:
            tensor = pool.tensor((3, 3), "F64", shareable=True)
            tensor.numpy()[:] = 7
            tensor.send(sock)
            os.kill(os.getpid(), signal.SIGKILL)
        """

    def child(self, *what):
        here, there = socket.socketpair()
        self.addCleanup(here.close)
        with there:
            process = subprocess.Popen([sys.executable, "-c", clean(self.CHILD),
                                        str(there.fileno()), *what], pass_fds=[there.fileno()])
        self.addCleanup(process.kill)
        return here, process

    def test_to_another_process(self):
        here, process = self.child("receive")
        tensor = self.pool.tensor((2, 2), "F32", shareable=True)
        tensor.numpy()[:] = 21
        tensor.send(here)
        self.assertEqual(b"!", here.recv(1))
        self.assertEqual(0, process.wait(LIMIT))
        self.assertEqual([[42, 42], [42, 42]], tensor.numpy().tolist())

    def test_from_one_that_is_killed(self):
        here, process = self.child("send")
        self.assertEqual(-signal.SIGKILL, process.wait(LIMIT))
        tensor = self.pool.receive(here)
        self.assertEqual(63.0, tensor.numpy().sum())
        tensor.numpy()[:] = 1
        self.assertEqual(9.0, tensor.numpy().sum())


