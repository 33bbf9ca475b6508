# SPDX-License-Identifier: GPL-2.0
"""Debian's NumPy on the device's memory: mapped by hand, by import bitmem, by bitmem run."""

import mmap
import os
import subprocess
import sys
import textwrap
import unittest

import numpy

import bitmem

DEVICE = "/dev/bitmem"
DISK = "/dev/nvme0n1"
SIZE = 6 << 20


def place(array):
    """What the kernel has mapped where an array is."""
    address = array.__array_interface__["data"][0]
    with open("/proc/self/maps", encoding="ascii") as file:
        for line in file:
            first, end = (int(part, 16) for part in line.split()[0].split("-"))
            if first <= address < end:
                return line.split()[-1]
    return None


def read_disk(memory):
    """Reads past the page cache, straight into memory."""
    fd = os.open(DISK, os.O_RDONLY | os.O_DIRECT)
    try:
        return os.preadv(fd, [memory], 0)
    finally:
        os.close(fd)


def on_disk():
    with open(DISK, "rb") as file:
        return file.read(SIZE)


class Mapped(unittest.TestCase):

    def setUp(self):
        self.fd = os.open(DEVICE, os.O_RDWR)
        self.addCleanup(os.close, self.fd)
        self.memory = mmap.mmap(self.fd, SIZE)

    def test_arithmetic(self):
        array = numpy.frombuffer(self.memory, dtype=numpy.float32)
        self.assertEqual(DEVICE, place(array))
        self.assertFalse(array.any())
        array[:] = numpy.arange(array.size, dtype=numpy.float32)
        square = array[: 1 << 20].reshape(1024, 1024)
        expected = numpy.arange(1 << 20, dtype=numpy.float32).reshape(1024, 1024)
        self.assertTrue(numpy.array_equal(square, expected))
        self.assertTrue(numpy.array_equal(square.T.sum(axis=0), expected.sum(axis=1)))

    def test_disk(self):
        array = numpy.frombuffer(self.memory, dtype=numpy.uint8)
        self.assertEqual(SIZE, read_disk(array))
        self.assertEqual(on_disk(), array.tobytes())


class Package(unittest.TestCase):

    def test_disk(self):
        with bitmem.open() as pool:
            array = pool.tensor(SIZE, "U8").numpy()
            self.assertEqual(DEVICE, place(array))
            self.assertEqual(SIZE, read_disk(array))
            self.assertEqual(on_disk(), array.tobytes())
            total = numpy.frombuffer(on_disk(), dtype=numpy.uint8).sum(dtype=numpy.uint64)
            self.assertEqual(total, array.sum(dtype=numpy.uint64))
            del array


class Preloaded(unittest.TestCase):
    """A program that knows nothing of bitmem."""

    def run_program(self, source, *options):
        program = "import sys\nsys.path.insert(0, sys.argv[1])\n" + textwrap.dedent(source)
        done = subprocess.run(["bitmem", "run", "--require", *options, "--", sys.executable, "-c",
                               program, os.path.dirname(__file__)],
                              capture_output=True, text=True, timeout=120, check=False)
        self.assertEqual((0, ""), (done.returncode, done.stderr), done.stdout)
        return done.stdout

    def test_arrays(self):
        self.assertEqual("right\n", self.run_program("""
            import numpy
            from test_numpy import DEVICE, SIZE, on_disk, place, read_disk
            a = numpy.zeros((600, 700))
            b = numpy.arange(420000.0).reshape(700, 600)
            small = numpy.zeros(10)
            assert place(a) == DEVICE and place(b) == DEVICE and place(small) != DEVICE
            assert not a.any()
            a += 2
            c = a @ b
            assert place(c) == DEVICE and numpy.array_equal(c[0], 2 * b.sum(axis=0))
            d = numpy.empty(SIZE + 4096, dtype=numpy.uint8)
            d = d[-d.__array_interface__["data"][0] % 4096:][:SIZE]
            assert place(d) == DEVICE and read_disk(d) == SIZE and d.tobytes() == on_disk()
            print("right")
            """))

    def test_children(self):
        self.assertEqual("right\n", self.run_program("""
            import multiprocessing, os, subprocess, numpy
            from test_numpy import DEVICE, place
            a = numpy.full(1 << 20, 3)

            def work(n):
                copied = place(a) != DEVICE and bool((a == 3).all())
                a[:] = n
                mine = numpy.full(1 << 20, n)
                return copied and place(mine) == DEVICE and int(mine[5]) == n

            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert all(pool.map(work, range(2), chunksize=1))
            assert place(a) == DEVICE and (a == 3).all()
            assert subprocess.run(["/bitmem/tests/preload/taker", "2"], check=True,
                                  capture_output=True).stdout == b"well\\n"
            print("right", flush=True)
            """))

    def test_threads(self):
        self.assertEqual("right\n", self.run_program("""
            import concurrent.futures, numpy
            from test_numpy import DEVICE, place

            def work(n):
                parts = [numpy.full(40000 + 9000 * i, n) for i in range(30)]
                return all(place(p) == DEVICE and (p == n).all() for p in parts)

            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                assert all(pool.map(work, range(12)))
            print("right")
            """))

    def test_everything(self):
        """All that Python and NumPy allocate, and what the package has of its own beside it."""
        self.assertEqual("right\n", self.run_program("""
            import numpy, bitmem
            from test_numpy import DEVICE, place
            assert place(numpy.zeros(100)) == DEVICE
            with bitmem.open() as pool:
                array = pool.tensor(1000000, "F32").numpy()
                array += numpy.ones(1000000, dtype=numpy.float32)
                assert place(array) == DEVICE and array.sum() == 1000000
                del array
            print("right")
            """, "--min-bytes", "1"))


if __name__ == "__main__":
    unittest.main()
