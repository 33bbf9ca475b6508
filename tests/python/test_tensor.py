# SPDX-License-Identifier: GPL-2.0
"""Tensors: views, slices, names, weak handles, and what is refused."""

import errno
import itertools

import numpy

import bitmem
from support import PoolCase


class Views(PoolCase):
    def setUp(self):
        super().setUp()
        self.array = numpy.arange(24, dtype=numpy.int32).reshape(2, 3, 4)
        self.tensor = self.pool.copy(self.array)
        self.addCleanup(self.tensor.close)

    def same(self, array, tensor):
        self.assertEqual(array.shape, tensor.shape)
        numpy.testing.assert_array_equal(array, tensor.numpy())

    def test_slices_as_numpys(self):
        for key in (0, 1, -1, slice(1, 2), slice(None), slice(0, 0), slice(5, 9), (1, 2),
                    (0, slice(1, 3)), (-1, -1, -1), (1, 2, slice(1, 3)), (slice(None), slice(None)),
                    (1, 1, slice(2, 2)), ()):
            with self.subTest(key=key):
                self.same(self.array[key], self.tensor[key])

    def test_slices_are_the_same_memory(self):
        part = self.tensor[1, 1:]
        part.numpy()[0, 0] = -5
        self.assertEqual(-5, self.tensor.numpy()[1, 1, 0])
        self.assertEqual(self.tensor.address + 16 * 4, part.address)

    def test_rows(self):
        self.assertEqual(2, len(self.tensor))
        for row, expected in itertools.zip_longest(self.tensor, self.array):
            self.same(expected, row)

    def test_slices_that_are_refused(self):
        for key, kind in (((slice(None), 1), bitmem.InvalidError), (2, IndexError),
                          (-3, IndexError), ((0, 0, 0, 0), IndexError), (slice(0, 2, 2), ValueError),
                          ("x", TypeError), (1.0, TypeError), (None, TypeError)):
            with self.subTest(key=key), self.assertRaises(kind):
                self.tensor[key]
        self.assertEqual(1, self.live())

    def test_reshape(self):
        for shape in ((24,), (4, 6), (-1, 8), (2, -1, 2), (1, 24, 1)):
            self.same(self.array.reshape(shape), self.tensor.reshape(shape))
            self.same(self.array.reshape(shape), self.tensor.reshape(*shape))
        for shape in ((23,), (-1, -1), (5, -1), ()):
            with self.subTest(shape=shape), self.assertRaises(bitmem.InvalidError) as caught:
                self.tensor.reshape(shape)
            self.assertNotIn("Invalid argument", str(caught.exception))

    def test_other_types(self):
        self.same(self.array.view(numpy.uint8).reshape(2, 3, 16),
                  self.tensor.view("U8", (2, 3, 16)))
        self.same(self.array.reshape(-1)[5:7].view(numpy.float32),
                  self.tensor.view(numpy.float32, 2, offset=20))
        for args in (("F32", 25), ("F32", 1, 93), ("F32", 0, 1 << 40)):
            with self.subTest(args=args), self.assertRaises(bitmem.InvalidError):
                self.tensor.view(*args)
        for offset in (-1, 1 << 64):
            with self.assertRaises(ValueError):
                self.tensor.view("U8", 1, offset)

    def test_clone_shares_and_copy_does_not(self):
        clone, copy = self.tensor.clone(), self.tensor.copy(self.pool)
        self.tensor.numpy()[0, 0, 0] = 77
        self.assertEqual(77, clone.numpy()[0, 0, 0])
        self.assertEqual(0, copy.numpy()[0, 0, 0])
        with bitmem.open() as other, self.tensor.copy(other) as far:
            self.same(self.tensor.numpy(), far)
            self.assertEqual(1, other.stats().live)

    def test_a_view_keeps_the_memory(self):
        row = self.tensor[1]
        self.tensor.close()
        self.same(self.array[1], row)
        self.assertEqual(2, self.live())
        row.close()
        self.assertEqual(0, self.live())


class Lives(PoolCase):
    def test_dropped_when_nobody_has_it(self):
        tensor = self.pool.tensor(10)
        self.assertEqual(1, self.live())
        del tensor
        self.assertEqual(0, self.live())

    def test_use_after_close(self):
        tensor = self.pool.tensor((2, 2))
        tensor.close()
        tensor.close()
        self.assertTrue(tensor.closed)
        self.assertIn("closed", repr(tensor))
        for use in (tensor.numpy, tensor.memoryview, tensor.ref, tensor.weak, tensor.clone,
                    tensor.__dlpack__, tensor.__enter__, lambda: tensor.address,
                    lambda: tensor.name, lambda: setattr(tensor, "name", "x"), lambda: tensor.tag,
                    lambda: tensor.view("U8", 1), lambda: tensor.reshape(4), lambda: tensor[0],
                    lambda: tensor.copy(self.pool), lambda: tensor.migrate(0),
                    lambda: tensor.send(0), lambda: tensor.__array_interface__):
            with self.assertRaises(bitmem.ClosedError) as caught:
                use()
            self.assertEqual(errno.EBADF, caught.exception.errno)
        # What it was is still known.
        self.assertEqual(((2, 2), 16), (tensor.shape, tensor.nbytes))

    def test_references(self):
        tensor = self.pool.tensor(4, "U8")
        other = tensor.ref()
        tensor.close()
        other.numpy()[:] = 3
        self.assertEqual(1, self.pool.stats().live)
        other.close()
        self.assertEqual(0, self.pool.stats().live)

    def test_weak_handles(self):
        tensor = self.pool.tensor(4, "U8", name="w")
        weak = tensor.weak()
        got = weak()
        self.assertEqual(("w", tensor.address), (got.name, got.address))
        tensor.close()
        self.assertIsNotNone(weak.get())
        got.close()
        self.assertIsNone(weak.get())
        # Another one in its place is another one.
        again = self.pool.tensor(4, "U8", name="w")
        self.assertIsNone(weak())
        again.close()

    def test_a_weak_handle_outlives_its_pool(self):
        with bitmem.open() as pool:
            tensor = pool.tensor(1)
            weak = tensor.weak()
        self.assertIsNotNone(weak())
        tensor.close()
        self.assertIsNone(weak())

    def test_a_tensor_outlives_its_pool(self):
        tensor = self.pool.tensor(4, "U8", name="late")
        array = tensor.numpy()
        self.pool.close()
        array[:] = 9
        self.assertEqual([9] * 4, tensor.memoryview().tolist())
        self.assertEqual([9, 9], tensor[1:3].numpy().tolist())
        tensor.close()
        self.assertEqual([9] * 4, array.tolist())


class Labels(PoolCase):
    def test_names_and_tags(self):
        tensor = self.pool.tensor(1, name="größe.重み", tag="kv")
        self.assertEqual(("größe.重み", "kv"), (tensor.name, tensor.tag))
        self.assertEqual(tensor.address, self.pool.find("größe.重み").address)
        tensor.name = tensor.tag = None
        self.assertEqual((None, None), (tensor.name, tensor.tag))
        with self.assertRaises(FileNotFoundError):
            self.pool.find("größe.重み")

    def test_the_latest_of_a_name(self):
        first, second = self.pool.tensor(1, name="n"), self.pool.tensor(1, name="n")
        self.assertEqual(second.address, self.pool.find("n").address)
        second.close()
        self.assertEqual(first.address, self.pool.find("n").address)

    def test_labels_that_are_refused(self):
        tensor = self.pool.tensor(1, name="stays", tag="kv")
        for name in ("a\nb", "x" * 256, "a\0b"):
            with self.subTest(name=name), self.assertRaises(ValueError):
                tensor.name = name
            with self.assertRaises(ValueError):
                self.pool.tensor(1, name=name)
        with self.assertRaises(ValueError):
            tensor.tag = "x" * 32
        with self.assertRaises(AttributeError):
            tensor.name = 3
        self.assertEqual(("stays", "kv"), (tensor.name, tensor.tag))
        self.assertEqual(1, self.live())
        tensor.name, tensor.tag = "x" * 255, "x" * 31
        self.assertEqual((255, 31), (len(tensor.name), len(tensor.tag)))


class Wrong(PoolCase):
    def test_shapes(self):
        for make in (self.pool.tensor, self.pool.empty, self.pool.zeros):
            for shape, kind in ((-1, bitmem.InvalidError), ((2, -3), bitmem.InvalidError),
                                (1 << 64, bitmem.InvalidError), ((1 << 40,) * 2, bitmem.InvalidError),
                                ((1,) * 9, bitmem.InvalidError), (1.5, TypeError), ("3", TypeError),
                                ((2, None), TypeError), (None, TypeError), (True, TypeError),
                                (1 << 50, MemoryError)):
                with self.subTest(make=make.__name__, shape=shape), self.assertRaises(kind):
                    make(shape)
        with self.assertRaises(bitmem.InvalidError) as caught:
            self.pool.tensor((2, 33), "Q4_0")
        self.assertIn("Q4_0 [2, 33]", str(caught.exception))
        self.assertEqual(0, self.live())

    def test_shapes_of_numpys_numbers(self):
        with self.pool.tensor((numpy.int64(2), numpy.uint8(3))) as tensor:
            self.assertEqual((2, 3), tensor.shape)
            self.assertTrue(all(type(n) is int for n in tensor.shape))

    def test_scalars_and_empty_ones(self):
        with self.pool.tensor((), "F32") as scalar, self.pool.tensor((0, 3), "I16") as empty:
            scalar.numpy()[()] = 2.5
            self.assertEqual(2.5, scalar.memoryview()[()])
            self.assertEqual((), scalar.strides)
            with self.assertRaises(TypeError):
                len(scalar)
            self.assertEqual((0, 3), empty.numpy().shape)
            self.assertEqual((0, 3), numpy.asarray(empty).shape)
            self.assertEqual(((0, 3), []), (empty.memoryview().shape, list(empty)))

    def test_empty_ones_of_every_type(self):
        for dtype in bitmem.dtypes.values():
            shape = (0, 768)
            if dtype.name != "TL2":
                with self.subTest(dtype=dtype.name), self.pool.tensor(shape, dtype) as tensor:
                    view, array = tensor.memoryview(), tensor.numpy()
                    self.assertEqual((0, b""), (tensor.nbytes, view.tobytes()))
                    self.assertEqual(shape if dtype.typestr else (0,), array.shape)
                    self.assertEqual((0,) if dtype.format in (None, "e") else shape, view.shape)
                    self.assertEqual(array.shape, numpy.asarray(tensor).shape)

    def test_elements_that_buffers_do_not_have(self):
        """Who asks for the format is refused; who wants the bytes gets them."""
        simple, full = 0, 0x11c
        for name, readable in (("F32", True), ("U8", True), ("C64", False), ("BF16", False)):
            with self.subTest(name=name), self.pool.tensor((2, 3), name) as tensor:
                self.assertEqual(tensor.nbytes, tensor.__buffer__(simple).nbytes)
                if readable:
                    self.assertEqual((2, 3), tensor.__buffer__(full).shape)
                else:
                    with self.assertRaisesRegex(BufferError, name):
                        tensor.__buffer__(full)
        with self.pool.tensor((2, 3), "C64") as tensor:
            self.assertEqual(numpy.dtype("complex64"), numpy.asarray(tensor).dtype)

    def test_copies_of_what_is_no_array(self):
        for source, kind in ((3, TypeError), (None, TypeError), ([1, 2], TypeError),
                             (numpy.array([object()]), ValueError),
                             (numpy.zeros(2, "f4,i4"), ValueError),
                             (numpy.zeros(2, ">i4"), ValueError), (numpy.zeros(2, "U3"), ValueError),
                             (numpy.zeros(2, complex), ValueError)):
            with self.subTest(source=source), self.assertRaises(kind):
                self.pool.copy(source)
        self.assertEqual(0, self.live())

    def test_copies_of_buffers(self):
        gaps = numpy.arange(12, dtype=numpy.int16).reshape(3, 4)[:, ::2]
        for source, name, content in ((b"abc", "U8", [97, 98, 99]), (gaps, "I16", gaps.tolist()),
                                      (gaps.T, "I16", gaps.T.tolist()),
                                      (bytearray(), "U8", []), (numpy.zeros((0, 4)), "F64", [])):
            with self.subTest(name=name), self.pool.copy(source) as tensor:
                self.assertEqual((name, content), (tensor.dtype.name, tensor.numpy().tolist()))
