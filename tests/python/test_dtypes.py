# SPDX-License-Identifier: GPL-2.0
"""Element types: the table, and every one of them in memory and in NumPy."""

import struct
import unittest

import numpy

import bitmem
from support import PoolCase

#: What NumPy calls those that it has.
NUMPY = {
    "F64": numpy.float64, "F32": numpy.float32, "F16": numpy.float16, "C64": numpy.complex64,
    "BOOL": numpy.bool_, "I64": numpy.int64, "I32": numpy.int32, "I16": numpy.int16,
    "I8": numpy.int8, "U64": numpy.uint64, "U32": numpy.uint32, "U16": numpy.uint16,
    "U8": numpy.uint8,
}


def some_shape(dtype):
    """Two dimensions that every type can have, TL2's 256 columns included."""
    return (3, 768 if dtype.name == "TL2" else 256)


class Table(unittest.TestCase):
    def test_sizes_as_the_formats_say(self):
        for name, shape, nbytes in (
                ("F32", (2, 3), 24), ("BF16", (5,), 10), ("BOOL", (3,), 3), ("F4", (3,), 2),
                ("I1", (9,), 2), ("TERNARY2", (5,), 2), ("TERNARY5", (6,), 2),
                ("F6_E2M3", (4,), 3), ("Q4_0", (2, 32), 36), ("Q8_0", (64,), 68),
                ("Q6_K", (256,), 210), ("TQ2_0", (256,), 66), ("MXFP4", (32,), 17),
                ("I2_S", (2, 256), 160), ("F32", (), 4), ("F32", (0, 7), 0), ("C64", 2, 16)):
            with self.subTest(name=name):
                self.assertEqual(nbytes, bitmem.dtypes[name].nbytes(shape))

    def test_every_type_of_numpys_is_known(self):
        for name, kind in NUMPY.items():
            dtype = bitmem.dtype(name)
            self.assertIs(dtype, bitmem.dtype(kind))
            self.assertIs(dtype, bitmem.dtype(numpy.dtype(kind)))
            self.assertEqual(numpy.dtype(kind).itemsize, dtype.itemsize)
            self.assertEqual(numpy.dtype(kind), numpy.dtype(dtype.typestr))
        named = {name for name, dtype in bitmem.dtypes.items() if dtype.typestr}
        self.assertEqual(set(NUMPY), named)

    def test_formats_are_structs(self):
        formats = {d.name: d for d in bitmem.dtypes.values() if d.format}
        self.assertGreaterEqual(set(formats), set(NUMPY) - {"F16", "C64"})
        for dtype in formats.values():
            self.assertEqual(dtype.itemsize, struct.calcsize(dtype.format))

    def test_names(self):
        self.assertEqual("BF16", str(bitmem.dtype("bf16")))
        self.assertEqual("bitmem.dtype('Q4_K')", repr(bitmem.dtype("q4_k")))
        with self.assertRaises(TypeError):
            bitmem.dtypes["F32"] = None

    def test_no_such_type(self):
        for like in ("F33", "", None, 7, numpy.complex128, numpy.dtype(">f4"), object()):
            with self.subTest(like=like), self.assertRaises(bitmem.InvalidError) as caught:
                bitmem.dtype(like)
            self.assertIn("dtype", str(caught.exception))

    def test_shapes_that_cannot_be(self):
        for name, shape in (("Q4_0", (31,)), ("Q4_K", (256, 3)), ("TL2", (4,)),
                            ("F32", (1,) * 9), ("F32", (1 << 40, 1 << 40))):
            with self.subTest(name=name, shape=shape), self.assertRaises(bitmem.InvalidError):
                bitmem.dtypes[name].nbytes(shape)


class Memory(PoolCase):
    def test_every_type_has_its_bytes(self):
        for dtype in bitmem.dtypes.values():
            with self.subTest(dtype=dtype.name):
                shape = some_shape(dtype)
                with self.pool.tensor(shape, dtype) as tensor:
                    self.assertEqual((dtype, shape), (tensor.dtype, tensor.shape))
                    self.assertEqual(dtype.nbytes(shape), tensor.nbytes)
                    self.assertEqual(0, tensor.address % 64)
                    view, array = tensor.memoryview(), tensor.numpy()
                    self.assertEqual(tensor.nbytes, view.nbytes)
                    self.assertEqual(tensor.nbytes, array.nbytes)
                    self.assertFalse(array.view(numpy.uint8).any())
                    # Written as bytes through one, read through the other.
                    content = numpy.arange(tensor.nbytes, dtype=numpy.uint8) & 1
                    array.reshape(-1).view(numpy.uint8)[:] = content
                    self.assertEqual(content.tobytes(), view.tobytes())
                    if dtype.typestr is None:
                        self.assertEqual((numpy.uint8, (tensor.nbytes,)),
                                         (array.dtype, array.shape))
                    else:
                        self.assertEqual((NUMPY[dtype.name], shape), (array.dtype, array.shape))
                    self.assertEqual(tensor.strides,
                                     array.strides if dtype.typestr else tensor.strides)

    def test_values_against_numpy(self):
        for name, kind in NUMPY.items():
            with self.subTest(dtype=name):
                info = numpy.iinfo(kind) if numpy.dtype(kind).kind in "iu" else None
                values = numpy.array([[0, 1, 1], [info.max, info.min, 7]] if info else
                                     [[0, 1, 1.5], [-2, 0.25, 7]], kind)
                with self.pool.copy(values) as tensor:
                    self.assertEqual(name, tensor.dtype.name)
                    numpy.testing.assert_array_equal(values, tensor.numpy())
                    self.assertEqual(values.tobytes(), tensor.memoryview().tobytes())
                    self.assertEqual(values.strides, tensor.strides)
                    if tensor.dtype.format:
                        self.assertEqual(values.tolist(), tensor.memoryview().tolist())

    def test_zeros(self):
        for dtype in bitmem.dtypes.values():
            if dtype.name == "F8_E8M0":
                with self.assertRaises(bitmem.InvalidError):
                    self.pool.zeros(some_shape(dtype), dtype)
                continue
            with self.subTest(dtype=dtype.name), \
                    self.pool.zeros(some_shape(dtype), dtype) as tensor:
                if dtype.typestr:
                    self.assertFalse(tensor.numpy().any())
        with self.pool.zeros(4, "TERNARY2") as tensor:
            self.assertEqual([0x55], tensor.memoryview().tolist())
