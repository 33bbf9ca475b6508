# SPDX-License-Identifier: GPL-2.0
"""The same memory for others, without a copy, and for as long as they have it."""

import ctypes
import gc
import sys
import unittest
import weakref

import numpy

import bitmem
from support import PoolCase


class Buffers(PoolCase):
    def test_written_through_one_read_through_the_other(self):
        tensor = self.pool.tensor((2, 3), "I32")
        views = [tensor.memoryview(), tensor.numpy(), numpy.asarray(tensor), numpy.array(
            tensor, copy=False), numpy.from_dlpack(tensor), tensor.clone().numpy(),
            tensor.ref().memoryview()]
        if sys.version_info >= (3, 12):
            views.append(memoryview(tensor))
        for i, writer in enumerate(views):
            if isinstance(writer, numpy.ndarray) and not writer.flags.writeable:
                continue
            writer[1, 2] = i + 1
            self.assertEqual([i + 1] * len(views), [int(view[1, 2]) for view in views])
        # And it is the library's: by the address.
        ctypes.c_int32.from_address(tensor.address + 20).value = 99
        self.assertEqual([99] * len(views), [int(view[1, 2]) for view in views])

    def test_memoryview_as_the_tensor_is(self):
        for name in ("F32", "F64", "I8", "U64", "BOOL"):
            dtype = bitmem.dtype(name)
            view = self.pool.tensor((4, 5, 6), name).memoryview()
            self.assertEqual((dtype.format, (4, 5, 6), dtype.itemsize, False),
                             (view.format, view.shape, view.itemsize, view.readonly))
            self.assertTrue(view.c_contiguous)
            numpy.testing.assert_array_equal(numpy.zeros((4, 5, 6)), numpy.asarray(view))

    def test_readonly(self):
        tensor = self.pool.tensor(4, "U8")
        view, array = tensor.memoryview(readonly=True), tensor.numpy(readonly=True)
        with self.assertRaises(TypeError):
            view[0] = 1
        with self.assertRaises(ValueError):
            array[0] = 1
        tensor.numpy()[0] = 7
        self.assertEqual((7, 7), (view[0], array[0]))

    def test_numpy_works_in_place(self):
        tensor = self.pool.tensor((64, 64), "F32")
        array = tensor.numpy()
        numpy.add(array, numpy.eye(64, dtype=numpy.float32), out=array)
        numpy.matmul(array, array * 3, out=array)
        self.assertEqual(3 * 64, tensor.numpy().trace())

    def test_a_file_is_read_into_it(self):
        tensor = self.pool.tensor(16, "U8")
        with open("/proc/self/exe", "rb") as file:
            self.assertEqual(16, file.readinto(tensor.memoryview()))
            file.seek(0)
            self.assertEqual(file.read(16), tensor.numpy().tobytes())

    def test_the_interface_of_numpy(self):
        interface = self.pool.tensor((2, 3), "F16").__array_interface__
        self.assertEqual((3, "<f2" if sys.byteorder == "little" else ">f2", (2, 3)),
                         (interface["version"], interface["typestr"], interface["shape"]))


class Lifetimes(PoolCase):
    EXPORTS = {
        "memoryview": lambda t: t.memoryview(),
        "memoryview of bytes": lambda t: t.view("BF16", t.nbytes // 2).memoryview(),
        "numpy": lambda t: t.numpy(),
        "asarray": numpy.asarray,
        "slice": lambda t: t.numpy()[1:],
        "slice of a view": lambda t: t[1].numpy().T,
        "memoryview of numpy": lambda t: memoryview(t.numpy())[1:],
        "numpy of memoryview": lambda t: numpy.asarray(t.memoryview()),
        "interface": lambda t: t.__array_interface__,
        "capsule": lambda t: t.__dlpack__(),
        "capsule 1.0": lambda t: t.__dlpack__(max_version=(1, 0)),
        "from_dlpack": numpy.from_dlpack,
        "frombuffer": lambda t: numpy.frombuffer(t.memoryview(), numpy.uint8),
    }

    def test_each_keeps_the_memory(self):
        for name, export in self.EXPORTS.items():
            with self.subTest(export=name):
                tensor = self.pool.tensor((4, 8), "F32")
                tensor.numpy()[:] = 3
                exported = export(tensor)
                tensor.close()
                del tensor
                gc.collect()
                self.assertEqual(1, self.pool.stats().live)
                # Another one would have got the memory, had it been free.
                others = [self.pool.tensor((4, 8), "F32") for _ in range(100)]
                for other in others:
                    other.numpy()[:] = 4
                if not name.startswith(("capsule", "interface", "memoryview of bytes")):
                    bytes_ = numpy.asarray(exported)
                    self.assertTrue((bytes_.view(numpy.float32).ravel() == 3).all())
                    del bytes_
                del exported, others, other
                gc.collect()
                self.assertEqual(0, self.live())

    def test_nothing_needs_the_collector(self):
        gc.disable()
        self.addCleanup(gc.enable)
        for name, export in self.EXPORTS.items():
            with self.subTest(export=name):
                exported = export(self.pool.tensor((4, 8), "F32"))
                self.assertNotEqual(0, self.live())
                del exported
                self.assertEqual(0, self.live())

    def test_cycles_are_collected(self):
        array = self.pool.tensor(8).numpy()
        holder = type("Holder", (), {})()
        holder.array, holder.self = array, holder
        seen = weakref.ref(holder)
        del array, holder
        gc.collect()
        self.assertIsNone(seen())
        self.assertEqual(0, self.live())

    def test_arrays_outlive_the_pool(self):
        array = self.pool.copy(numpy.arange(1000)).numpy()
        self.pool.close()
        self.assertEqual(499500, array.sum())
        array += 1
        self.assertEqual(500500, array.sum())

    def test_an_array_holds_off_a_migration(self):
        part = self.pool.add()
        tensor = self.pool.tensor(100, "U8")
        array = tensor.numpy()
        array[:] = 5
        with self.assertRaises(bitmem.Error) as caught:
            tensor.migrate(part)
        self.assertEqual("EBUSY", __import__("errno").errorcode[caught.exception.errno])
        self.assertEqual([5] * 100, array.tolist())
        del array
        caught.exception.__traceback__ = None
        tensor.migrate(part)
        self.assertEqual((part, [5] * 100), (self.pool.where(tensor), tensor.numpy().tolist()))
        self.assertEqual(0, self.pool.where(self.pool.tensor(1)))
        with self.assertRaises(bitmem.NotFoundError):
            tensor.migrate(7)


class DLPack(PoolCase):
    CODES = {"F64": (2, 64), "F32": (2, 32), "F16": (2, 16), "BF16": (4, 16), "C64": (5, 64),
             "BOOL": (6, 8), "I64": (0, 64), "I8": (0, 8), "U16": (1, 16), "F8_E4M3": (10, 8)}

    def test_content_of_a_capsule(self):
        get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
            ("PyCapsule_GetPointer", ctypes.pythonapi))
        for name, (code, bits) in self.CODES.items():
            with self.subTest(dtype=name):
                tensor = self.pool.tensor((3, 5), name)
                capsule = tensor.__dlpack__()
                words = (ctypes.c_uint64 * 6).from_address(get(capsule, b"dltensor"))
                shape = (ctypes.c_int64 * 2).from_address(words[3])
                strides = (ctypes.c_int64 * 2).from_address(words[4])
                self.assertEqual((tensor.address, [3, 5], [5, 1]),
                                 (words[0], list(shape), list(strides)))
                self.assertEqual((1, 0), tensor.__dlpack_device__())
                self.assertEqual((2, code, bits), (words[2] & 0xffffffff, words[2] >> 32 & 0xff,
                                                   words[2] >> 40 & 0xff))

    def test_numpy_takes_it(self):
        tensor = self.pool.copy(numpy.arange(12.0).reshape(3, 4))
        array = numpy.from_dlpack(tensor)
        self.assertEqual(tensor.address, array.__array_interface__["data"][0])
        numpy.testing.assert_array_equal(numpy.arange(12.0).reshape(3, 4), array)

    def test_ours_comes_back_as_itself(self):
        tensor = self.pool.tensor(4)
        for source in (tensor, tensor.__dlpack__(), tensor.__dlpack__(max_version=(1, 1))):
            again = bitmem.from_dlpack(source, self.pool)
            self.assertEqual(tensor.address, again.address)
        del again, source
        self.assertEqual(1, self.live())

    def test_numpys_are_copied(self):
        array = numpy.arange(24, dtype=numpy.float32).reshape(4, 6)
        for source in (array, array[:, 1:], array[::2], array.T, array[0, 0:0]):
            tensor = self.pool.from_dlpack(source)
            numpy.testing.assert_array_equal(source, tensor.numpy())
            self.assertFalse(numpy.shares_memory(source, tensor.numpy()))
            count = sys.getrefcount(array)
            del tensor, source
            self.assertLess(sys.getrefcount(array), count + 1)

    def test_a_producers_memory_is_given_back(self):
        array = numpy.zeros(1000)
        before = sys.getrefcount(array)
        for _ in range(100):
            self.pool.from_dlpack(array)
        self.assertEqual(before, sys.getrefcount(array))

    def test_taken_once(self):
        capsule = self.pool.tensor(4).__dlpack__()
        first = self.pool.from_dlpack(capsule)
        with self.assertRaises(TypeError):
            self.pool.from_dlpack(capsule)
        del capsule
        first.numpy()[:] = 1

    def test_a_failure_leaves_the_capsule(self):
        capsule = self.pool.tensor(4).__dlpack__()
        other = bitmem.open()
        other.close()
        with self.assertRaises(bitmem.ClosedError):
            other.from_dlpack(capsule)
        taken = self.pool.from_dlpack(capsule)
        self.assertEqual((4,), taken.shape)
        big = numpy.zeros((1,) * 9)
        before = sys.getrefcount(big)
        with self.assertRaises(bitmem.InvalidError):
            self.pool.from_dlpack(big)
        gc.collect()
        self.assertEqual(before, sys.getrefcount(big))

    def test_what_is_refused(self):
        tensor = self.pool.tensor(64, "Q4_0")
        with self.assertRaises(bitmem.UnsupportedError):
            tensor.__dlpack__()
        tensor = self.pool.tensor(4)
        for options, kind in (({"stream": 1}, bitmem.UnsupportedError),
                              ({"dl_device": (2, 0)}, BufferError), ({"copy": True}, BufferError)):
            with self.subTest(options=options), self.assertRaises(kind):
                tensor.__dlpack__(**options)
        far = type("Far", (), {"__dlpack__": None, "__dlpack_device__": lambda self: (2, 0)})()
        for source, kind in ((far, BufferError), (3, TypeError), (None, TypeError),
                             (numpy.zeros(2, "U1"), Exception)):
            with self.subTest(source=source), self.assertRaises(kind):
                self.pool.from_dlpack(source)

    def test_packed_types_need_the_versioned_one(self):
        tensor = self.pool.tensor(8, "I4")
        with self.assertRaises(bitmem.UnsupportedError):
            tensor.__dlpack__()
        again = self.pool.from_dlpack(tensor.__dlpack__(max_version=(1, 1)))
        self.assertEqual((tensor.address, "I4"), (again.address, again.dtype.name))


class Growth(PoolCase):
    def test_ten_thousand_leave_nothing(self):
        def round_():
            tensor = self.pool.tensor((8, 16), "F32")
            tensor.numpy()[0] = 1
            numpy.from_dlpack(tensor)
            tensor.__dlpack__()
            tensor.memoryview()
            numpy.asarray(tensor[1])

        for _ in range(2000):
            round_()
        gc.collect()
        objects, stats = len(gc.get_objects()), self.pool.stats()
        for _ in range(10000):
            round_()
        gc.collect()
        after = self.pool.stats()
        self.assertEqual((0, 0), (after.live, after.views))
        self.assertEqual(10000, after.allocs - stats.allocs)
        self.assertEqual((stats.committed_bytes, stats.peak_bytes, stats.meta_bytes),
                         (after.committed_bytes, after.peak_bytes, after.meta_bytes))
        self.assertLess(len(gc.get_objects()), objects + 50)

    @unittest.skipUnless(sys.platform == "linux", "reads /proc")
    def test_no_memory_of_pythons_either(self):
        from support import resident

        def rounds(n):
            for i in range(n):
                tensor = self.pool.tensor((1 + i % 64, 4), "U8")
                tensor.__array_interface__, tensor.__dlpack__(), tensor.name
        rounds(5000)
        gc.collect()
        before = resident()
        rounds(20000)
        gc.collect()
        self.assertLess(resident() - before, 2 << 20)
