# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tensors: type and shape, names and tags, other views of the same memory."""

from __future__ import annotations

import builtins
import ctypes
import operator
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Optional, Union

from . import _exports, _sites, dlpack, share
from ._arguments import fits, text
from ._closing import Held
from ._library import lib
from ._process import Fork, Handle
from ._structs import CError
from ._structs import Weak as CWeak
from .dtypes import DType, DTypeLike, by_number, c_shape, dtype, shape_of
from .errors import StaleError, check, failure, inherited

if TYPE_CHECKING:
    import numpy

    from .pool import Pool

INFER = (1 << 64) - 1
LABEL_SIZE = 256
#: Of the buffer protocol: who asks wants to know what the elements are.
FORMAT = 4


class Tensor(Held):
    """A tensor: a reference to it, which `close()`, the end of a `with`, or the end of this
    object drops. Its memory stays while there is any other reference, and while there are
    arrays, memoryviews and capsules of it."""

    __slots__ = ("_dtype", "_shape", "_nbytes", "__weakref__")

    _what = "tensor"

    def __init__(self, pointer: int) -> None:
        """Takes over a reference of the library's; tensors are made by pools."""
        self._hold = Handle(pointer, lib.tensor_unref)
        self._dtype = by_number(lib.tensor_dtype(pointer))
        self._shape: tuple[int, ...] = tuple(lib.tensor_shape(pointer)[:lib.tensor_ndims(pointer)])
        self._nbytes: int = lib.tensor_bytes(pointer)

    # --- its life ---

    def _own(self) -> Handle:
        """For what changes the library's books."""
        hold = self._live()
        if hold.inherited:
            raise inherited("tensor")
        return hold

    def ref(self) -> Tensor:
        """Another reference to the same tensor, with an end of its own."""
        return Tensor(lib.tensor_ref(self._own()) or _fail("tensor"))

    def weak(self) -> Weak:
        """Knows the tensor without keeping it alive."""
        handle = CWeak()
        check(lib.tensor_weak(self._own(), ctypes.byref(handle)), "weak handle")
        return Weak(handle)

    # --- what it is ---

    @property
    def dtype(self) -> DType:
        return self._dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Element counts, the last one's elements next to each other."""
        return self._shape

    @property
    def ndim(self) -> int:
        return len(self._shape)

    @property
    def nbytes(self) -> int:
        return self._nbytes

    @property
    def strides(self) -> Optional[tuple[int, ...]]:
        """Bytes from one element to the next; None if they share bytes or come in blocks."""
        itemsize = self._dtype.itemsize
        if itemsize is None:
            return None
        step = itemsize
        strides: list[int] = []
        for n in reversed(self._shape):
            strides.append(step)
            step *= n
        return tuple(reversed(strides))

    @property
    def address(self) -> int:
        """Where the memory is. It stays there while the tensor lives and nobody migrates it."""
        return int(lib.tensor_data(self._live()) or 0)

    @property
    def name(self) -> Optional[str]:
        """Its name, by which Pool.find() finds it; it is this tensor's, not the memory's."""
        return self._label(lib.tensor_name)

    @name.setter
    def name(self, value: Optional[str]) -> None:
        check(lib.tensor_set_name(self._own(), text(value, "name")), f"name {value!r}")

    @property
    def tag(self) -> Optional[str]:
        """What it is for, by which memory is counted: "kv", "weights"."""
        return self._label(lib.tensor_tag)

    @tag.setter
    def tag(self, value: Optional[str]) -> None:
        check(lib.tensor_set_tag(self._own(), text(value, "tag")), f"tag {value!r}")

    def _label(self, read: Callable[..., int]) -> Optional[str]:
        buffer = ctypes.create_string_buffer(LABEL_SIZE)
        check(read(self._live(), buffer, LABEL_SIZE), "tensor")
        return buffer.value.decode(errors="surrogateescape") or None

    def __repr__(self) -> str:
        state = " closed" if self._hold is None else ""
        return f"<bitmem.Tensor {self._dtype} {list(self._shape)}{state}>"

    # --- the same memory for others ---

    def _export(self) -> tuple[Handle, int]:
        """A reference for an export, and the address that does not change while that is there.
        A child's memory never goes: what it has inherited needs no reference."""
        hold = self._live()
        if not hold.inherited:
            hold = Handle(lib.tensor_ref(hold) or _fail("tensor"), lib.tensor_unref)
        return hold, lib.tensor_data(hold) or 0

    def memoryview(self, *, readonly: bool = False) -> builtins.memoryview:
        """The memory as a buffer. Types that memoryview cannot read are bytes, one after the
        other."""
        hold, address = self._export()
        view = _exports.view(hold, address, self._dtype, self._shape, self._nbytes)
        return view.toreadonly() if readonly else view

    def __buffer__(self, flags: int) -> builtins.memoryview:
        """For Python 3.12 and newer: the tensor is a buffer itself. Who asks what the elements
        are gets no bytes for others: NumPy then takes __array_interface__."""
        if flags & FORMAT and self._dtype.format is None:
            raise BufferError(f"buffers have no elements of type {self._dtype}; memoryview() of the"
                              " tensor gives bytes")
        return self.memoryview()

    def numpy(self, *, readonly: bool = False) -> numpy.ndarray[Any, Any]:
        """The memory as an array. Types that NumPy does not have are bytes, one after the
        other."""
        import numpy

        hold, address = self._export()
        typestr, shape = _exports.raw(self._dtype, self._shape, self._nbytes)
        return numpy.asarray(_exports.Array(hold, address, typestr, shape, readonly))

    @property
    def __array_interface__(self) -> dict[str, Any]:
        hold, address = self._export()
        typestr, shape = _exports.raw(self._dtype, self._shape, self._nbytes)
        # NumPy keeps whatever the data is, so the array outlives this tensor's close().
        return {"version": 3, "typestr": typestr, "shape": shape,
                "data": _exports.block(hold, address, self._nbytes)}

    def __dlpack__(self, *, stream: Any = None, max_version: Optional[tuple[int, int]] = None,
                   dl_device: Optional[tuple[int, int]] = None,
                   copy: Optional[bool] = None) -> Any:
        return dlpack.export(self._own(), stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CPU

    # --- the same memory as other tensors ---

    def view(self, like: DTypeLike, shape: Any, offset: int = 0) -> Tensor:
        """Some of the memory as another type and shape, from a byte on."""
        kind, dims = dtype(like), shape_of(shape)
        if not 0 <= operator.index(offset) < 1 << 64:
            raise ValueError(f"offset: no number of bytes: {offset}")
        return Tensor(lib.tensor_view_at(self._own(), kind.number, len(dims), c_shape(dims), offset,
                                         _sites.caller()) or
                      _fail(f"view as {kind} {list(dims)} at {offset} of {self!r}"))

    def reshape(self, *shape: Any) -> Tensor:
        """All elements in another shape; one of the counts may be -1: what the others leave."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        dims = shape_of(tuple(INFER if n == -1 else n for n in given))
        words = CError()
        return Tensor(lib.tensor_reshape_at(self._own(), len(dims), c_shape(dims),
                                            ctypes.byref(words), _sites.caller()) or
                      _fail(f"reshape {self!r}", words))

    def _part(self, start: list[int], count: list[int]) -> Tensor:
        words = CError()
        return Tensor(lib.tensor_part_at(self._own(), c_shape(start), c_shape(count),
                                         ctypes.byref(words), _sites.caller()) or
                      _fail(f"part of {self!r}", words))

    def __getitem__(self, key: Union[int, slice, tuple[Union[int, slice], ...]]) -> Tensor:
        """A part whose elements lie together: indices, then at most one range that is not
        all. Ranges have no steps."""
        keys = key if isinstance(key, tuple) else (key,)
        if len(keys) > len(self._shape):
            raise IndexError(f"{len(keys)} indices of {len(self._shape)} dimensions")
        start, count, kept = [], [], []
        for i, n in enumerate(self._shape):
            first, many, stays = _range(keys[i] if i < len(keys) else slice(None), n)
            start.append(first)
            count.append(many)
            if stays:
                kept.append(many)
        part = self._part(start, count)
        return part if len(kept) == len(count) else part.reshape(kept)

    def __bool__(self) -> bool:
        """As an object: a scalar has no length, and an empty tensor is one, too."""
        return True

    def __len__(self) -> int:
        if not self._shape:
            raise TypeError("a scalar has no length")
        return self._shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def clone(self) -> Tensor:
        """Another tensor on the same memory, with a name and an end of its own."""
        return Tensor(lib.tensor_clone_at(self._own(), _sites.caller()) or _fail("clone"))

    def copy(self, pool: Pool) -> Tensor:
        """The same elements in memory of their own, of that pool."""
        return pool.copy(self)

    # --- to elsewhere ---

    def migrate(self, where: int) -> None:
        """Moves the memory to another of its pool's parts: see Pool.add(). What would have to
        be copied must have no views, arrays or memoryviews: that is EBUSY."""
        check(lib.tensor_migrate(self._own(), fits("where", where, 1 << 32)),
              f"migrate {self!r} to {where}")

    def send(self, socket: share.Socket) -> None:
        """Sends it to another process, which then has the same memory. Only tensors with
        `shareable=True`, received ones, a model's on the device, and views of those."""
        share.send(socket, self._own(), repr(self))


class Weak:
    """A weak handle: gives the tensor as long as it lives."""

    __slots__ = ("_generation", "_handle")

    def __init__(self, handle: CWeak) -> None:
        self._handle = handle
        self._generation = Fork.generation

    def get(self) -> Optional[Tensor]:
        """The tensor, or None if its last reference was dropped."""
        if self._generation != Fork.generation:
            raise inherited("weak handle")
        try:
            return Tensor(lib.weak_get(ctypes.byref(self._handle)) or _fail("weak handle"))
        except StaleError:
            return None

    def __call__(self) -> Optional[Tensor]:
        return self.get()


def _range(key: Union[int, slice], n: int) -> tuple[int, int, bool]:
    """First, how many, and whether the dimension stays one."""
    if isinstance(key, slice):
        first, last, step = key.indices(n)
        if step != 1:
            raise ValueError(f"a tensor's elements lie together: no steps of {step}")
        return first, max(last - first, 0), True
    index = operator.index(key)
    if not -n <= index < n:
        raise IndexError(f"index {index} of {n}")
    return index % n, 1, False


def _fail(what: str, words: Optional[CError] = None) -> int:
    raise failure(what, words)
