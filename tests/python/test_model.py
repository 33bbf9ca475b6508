# SPDX-License-Identifier: GPL-2.0
"""Models: files made here, and real ones against a reader of their own."""

import gc
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import signal
import struct
import tempfile
import threading
import unittest

import numpy

import bitmem
from support import PoolCase, models, python

READER = os.environ.get("BITMEM_READER", "")


def reader():
    """tests/tools/reference, which shares nothing with the library."""
    loader = importlib.machinery.SourceFileLoader("reference", READER)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("reference", loader))
    loader.exec_module(module)
    return module


def safetensors(tensors, header=None):
    """A file of name: (dtype, shape, bytes)."""
    table, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        table[name] = {"dtype": dtype, "shape": shape,
                       "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(table if header is None else header).encode()
    return struct.pack("<Q", len(text)) + text + data


FLOATS = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
CONTENT = {
    "weights": ("F32", [2, 3], FLOATS.tobytes()),
    "half": ("BF16", [4], bytes(range(8))),
    "größe.重み": ("I64", [2], struct.pack("=2q", -1, 1 << 40)),
    "scale": ("F16", [], numpy.float16(0.5).tobytes()),
    "none": ("F32", [0, 5], b""),
}


class ModelCase(PoolCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.path = self.write("model.safetensors", safetensors(CONTENT))

    def write(self, name, content):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def big(self, mib):
        path = self.write("big.safetensors", safetensors(
            {}, {"big": {"dtype": "U8", "shape": [mib << 20], "data_offsets": [0, mib << 20]}}))
        os.truncate(path, os.path.getsize(path) + (mib << 20))
        return path


class Files(ModelCase):
    def test_a_mapping(self):
        with bitmem.load(self.path, self.pool) as model:
            self.assertEqual(set(CONTENT), set(model))
            self.assertEqual(len(CONTENT), len(model))
            self.assertIn("weights", model)
            self.assertNotIn("bias", model)
            self.assertIsNone(model.get("bias"))
            with self.assertRaises(KeyError):
                model["bias"]
            for name, (dtype, shape, content) in CONTENT.items():
                tensor = model[name]
                self.assertEqual((dtype, tuple(shape)), (tensor.dtype.name, tensor.shape))
                self.assertEqual(content, tensor.numpy().tobytes())
            numpy.testing.assert_array_equal(FLOATS, model.arrays["weights"])
            # What NumPy does not have is bytes, and the type is told.
            self.assertEqual((numpy.uint8, (8,)), (model.arrays["half"].dtype,
                                                   model.arrays["half"].shape))
            self.assertEqual(list(model), list(model.arrays))
            self.assertIn("safetensors", repr(model))
            del tensor

    def test_entries_and_info(self):
        with bitmem.load(self.path, self.pool) as model:
            entry = model.entry("weights")
            self.assertEqual(("F32", "F32", (2, 3), 24, 0), (
                entry.dtype_name, entry.dtype.name, entry.file_shape, entry.nbytes, entry.file))
            with open(self.path, "rb") as file:
                file.seek(entry.file_offset)
                self.assertEqual(FLOATS.tobytes(), file.read(24))
            info = model.info
            self.assertEqual(("safetensors", (self.path,), len(CONTENT)),
                             (info.format, info.files, info.tensors))
            self.assertEqual(sum(len(c) for _, _, c in CONTENT.values()), info.nbytes)
            self.assertRegex(info.io, "^(io_uring|pread)")
        with bitmem.load(self.path, self.pool, buffered=True, queue_depth=1, window=4096) as model:
            self.assertIn("buffered", model.info.io)

    def test_several_files(self):
        other = self.write("other.safetensors", safetensors({"bias": ("U8", [3], b"xyz")}))
        with bitmem.load([self.path, other], self.pool) as model:
            self.assertEqual(set(CONTENT) | {"bias"}, set(model))
            self.assertEqual((self.path, other), model.info.files)
            self.assertEqual(1, model.entry("bias").file)
        index = self.write("m.safetensors.index.json", json.dumps({"weight_map": {
            "bias": "other.safetensors", **dict.fromkeys(CONTENT, "model.safetensors")}}).encode())
        with bitmem.load(index, self.pool) as model:
            self.assertEqual(b"xyz", model["bias"].numpy().tobytes())
        with self.assertRaises(bitmem.FormatError):
            bitmem.load([self.path, self.write("again.safetensors", safetensors(CONTENT))],
                        self.pool)

    def test_files_that_are_refused(self):
        for name, content, kind in (
                ("none", None, FileNotFoundError), ("empty", b"", bitmem.FormatError),
                ("text", b"hello, world, hello", bitmem.FormatError),
                ("cut", safetensors(CONTENT)[:-1], bitmem.FormatError),
                ("magic", b"GGUF" + bytes(100), bitmem.Error)):
            path = os.path.join(self.directory, name)
            if content is not None:
                self.write(name, content)
            with self.subTest(name=name), self.assertRaises(kind) as caught:
                bitmem.load(path, self.pool)
            self.assertIn(path, str(caught.exception))
        self.assertEqual(0, self.live())

    def test_options_that_are_refused(self):
        for options, kind in (({"dialect": "klingon"}, ValueError), ({"window": -1}, ValueError),
                              ({"queue_depth": 1 << 32}, ValueError),
                              ({"queue_depth": 5000}, ValueError),
                              ({"window": 1 << 40}, ValueError), ({"backend": "memfd"}, TypeError),
                              ({"speed": 3}, TypeError)):
            with self.subTest(options=options), self.assertRaises(kind):
                bitmem.load(self.path, self.pool, **options)
        with self.assertRaises(ValueError):
            bitmem.load([], self.pool)
        with self.assertRaises(TypeError):
            bitmem.load(7, self.pool)


class Lives(ModelCase):
    def test_use_after_close(self):
        model = bitmem.load(self.path, self.pool)
        kept, array = model["weights"], model.arrays["weights"]
        model.close()
        model.close()
        self.assertTrue(model.closed)
        self.assertIn("closed", repr(model))
        for use in (lambda: model["weights"], lambda: model.entry("weights"), model.__enter__,
                    lambda: model.arrays["weights"], lambda: list(model.values())):
            with self.assertRaises(bitmem.ClosedError):
                use()
        numpy.testing.assert_array_equal(FLOATS, kept.numpy())
        kept.close()
        numpy.testing.assert_array_equal(FLOATS, array)
        self.assertNotEqual(0, self.pool.stats().committed_bytes)
        del array
        gc.collect()
        self.assertEqual(0, self.live())

    def test_a_pool_of_its_own(self):
        with bitmem.load(self.path, backend="memfd") as model:
            array = model.arrays["weights"]
        numpy.testing.assert_array_equal(FLOATS, array)
        with self.assertRaises(ValueError):
            bitmem.load(self.path, backend="disk")

    def test_nothing_stays_of_failures(self):
        fds = len(os.listdir("/proc/self/fd"))
        bad = self.write("cut", safetensors(CONTENT)[:-1])
        for _ in range(50):
            with self.assertRaises(bitmem.FormatError):
                bitmem.load(bad)
        gc.collect()
        self.assertEqual(fds, len(os.listdir("/proc/self/fd")))

    def test_written_to(self):
        with bitmem.load(self.path, self.pool) as model:
            model["weights"].numpy()[0, 0] = 42
            self.assertEqual(42, model["weights"].memoryview()[0, 0])

    def test_threads(self):
        errors = []

        def work():
            try:
                for _ in range(20):
                    with bitmem.load(self.path, self.pool) as model:
                        numpy.testing.assert_array_equal(FLOATS, model.arrays["weights"])
            except BaseException as e:
                errors.append(e)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], errors)


class Progress(ModelCase):
    def test_told(self):
        seen = []
        with bitmem.load(self.big(8), self.pool, progress=seen.append, window=1 << 20):
            pass
        self.assertEqual((8 << 20, 8 << 20, 1, 1), (seen[-1].done, seen[-1].total,
                                                    seen[-1].files_done, seen[-1].files))
        self.assertEqual(sorted(p.done for p in seen), [p.done for p in seen])

    def test_what_it_raises_ends_the_load(self):
        class Mine(Exception):
            pass

        def progress(_):
            raise Mine("enough")

        with self.assertRaises(Mine):
            bitmem.load(self.big(8), self.pool, progress=progress)
        self.assertEqual((0, 0), (self.live(), self.pool.stats().committed_bytes))

    def test_a_load_in_a_load(self):
        inner = []

        def progress(told):
            if not inner:
                inner.append(bitmem.load(self.path, self.pool))

        with bitmem.load(self.big(1), self.pool, progress=progress) as model:
            numpy.testing.assert_array_equal(FLOATS, inner[0].arrays["weights"])
            self.assertEqual(1 << 20, model["big"].nbytes)
        inner.pop().close()

    def test_closing_the_pool_from_it(self):
        model = bitmem.load(self.path, self.pool, progress=lambda _: self.pool.close())
        numpy.testing.assert_array_equal(FLOATS, model.arrays["weights"])
        model.close()

    def test_ctrl_c_ends_it_without_a_callback(self):
        status, stdout, stderr = python("""
            import bitmem, signal, sys
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            pool = bitmem.open()
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.02)
                bitmem.load(sys.argv[1], pool, window=4096, queue_depth=1)
            except KeyboardInterrupt:
                print("interrupted", pool.stats().committed_bytes)
            """, self.big(64))
        self.assertEqual((0, ""), (status, stderr))
        self.assertEqual("interrupted 0\n", stdout)


class Real(ModelCase):
    @unittest.skipUnless(models(), "no models in $BITMEM_MODELS")
    def test_against_another_reader(self):
        reference = reader()
        for path in models():
            with self.subTest(path=path), bitmem.load(path, self.pool) as model:
                expected = {name.decode(): (dtype, shape, offset, size) for
                            name, dtype, shape, offset, size in reference.open_model(path).tensors}
                self.assertEqual(set(expected), set(model))
                gguf = path.endswith(".gguf")
                for name, (dtype, shape, offset, size) in expected.items():
                    tensor, entry = model[name], model.entry(name)
                    self.assertEqual((dtype, dtype, size, offset),
                                     (tensor.dtype.name, entry.dtype_name, tensor.nbytes,
                                      entry.file_offset))
                    self.assertEqual(tuple(shape), entry.file_shape)
                    self.assertEqual(tuple(reversed(shape)) if gguf else tuple(shape), tensor.shape)
                    self.assertEqual(reference.digest(path, offset, size),
                                     hashlib.sha256(tensor.memoryview()).hexdigest())
                    if dtype == "F32":
                        with open(path, "rb") as file:
                            file.seek(offset)
                            values = numpy.fromfile(file, numpy.float32, size // 4)
                        numpy.testing.assert_array_equal(values.reshape(tensor.shape),
                                                         model.arrays[name])
                del tensor
