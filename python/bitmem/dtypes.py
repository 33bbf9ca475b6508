# SPDX-License-Identifier: LGPL-2.1-or-later
"""Element types: the library's table, and what they are called elsewhere."""

from __future__ import annotations

import ctypes
import errno
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Optional, Union

from ._library import lib
from .errors import InvalidError, check

# The library's numbers are below this.
_NUMBERS = 256

# What struct, memoryview and NumPy call a type: (format, kind and bytes).
_ELSEWHERE = {
    "F64": ("d", "f8"), "F32": ("f", "f4"), "F16": ("e", "f2"), "C64": (None, "c8"),
    "BOOL": ("?", "b1"), "I64": ("q", "i8"), "I32": ("i", "i4"), "I16": ("h", "i2"),
    "I8": ("b", "i1"), "U64": ("Q", "u8"), "U32": ("I", "u4"), "U16": ("H", "u2"),
    "U8": ("B", "u1"),
}

_ORDER = "<" if sys.byteorder == "little" else ">"


@dataclass(frozen=True)
class DType:
    """An element type. A block has `block_elements` elements in `block_bits` bits; both are 0
    where the size of a tensor is a rule of its own."""

    name: str
    number: int
    block_elements: int
    block_bits: int
    #: memoryview's and struct's letter, if memoryview can read elements of it.
    format: Optional[str]
    #: NumPy's name, with the byte order; None if NumPy has no such type.
    typestr: Optional[str]

    @property
    def itemsize(self) -> Optional[int]:
        """Bytes of an element, where each has whole bytes of its own."""
        if self.block_elements != 1 or not self.block_bits or self.block_bits % 8:
            return None
        return self.block_bits // 8

    def nbytes(self, shape: Union[int, Sequence[int]]) -> int:
        """Exact bytes of a tensor of that shape."""
        dims = shape_of(shape)
        bytes_ = ctypes.c_uint64()
        check(lib.dtype_bytes(self.number, len(dims), c_shape(dims), max(len(dims) - 1, 0),
                              ctypes.byref(bytes_)), f"{self.name} {list(dims)}")
        return bytes_.value

    def __repr__(self) -> str:
        return f"bitmem.dtype({self.name!r})"

    def __str__(self) -> str:
        return self.name


def _readable(letter: Optional[str]) -> Optional[str]:
    """The letter, if this Python's memoryview can do something with it."""
    if letter is None:
        return None
    try:
        memoryview(bytes(8)).cast(letter)
    except ValueError:
        return None
    return letter


def _table() -> dict[str, DType]:
    table = {}
    for number in range(_NUMBERS):
        info = lib.dtype_info(number)
        if not info:
            continue
        name = info.contents.name.decode()
        letter, kind = _ELSEWHERE.get(name, (None, None))
        order = "|" if kind and kind.endswith("1") else _ORDER
        table[name] = DType(name, number, info.contents.block_elements,
                            info.contents.block_bits, _readable(letter),
                            order + kind if kind else None)
    return table


#: All element types by name.
dtypes: Mapping[str, DType] = MappingProxyType(_table())
_by_number = {t.number: t for t in dtypes.values()}
_by_typestr = {t.typestr: t for t in dtypes.values() if t.typestr}
_by_lower = {name.lower(): t for name, t in dtypes.items()}

DTypeLike = Union[DType, str, Any]


def by_number(number: int) -> DType:
    """The type that the library calls so."""
    return _by_number[number]


def dtype(like: DTypeLike) -> DType:
    """An element type: by its name ("F32", "bf16"), or NumPy's type for it (numpy.float32)."""
    if isinstance(like, DType):
        return like
    if isinstance(like, str):
        found = _by_lower.get(like.lower())
    else:
        found = _of_numpy(like)
    if found is None:
        raise InvalidError(errno.EINVAL, f"dtype: no such element type: {like!r}")
    return found


def _of_numpy(like: Any) -> Optional[DType]:
    """Whoever hands in a type of NumPy's has imported it."""
    numpy = sys.modules.get("numpy")
    # NumPy takes None for F64.
    if numpy is None or like is None:
        return None
    try:
        return _by_typestr.get(numpy.dtype(like).str)
    except TypeError:
        return None


def shape_of(shape: Any) -> tuple[int, ...]:
    """Element counts, of which each fits what the library takes."""
    dims = tuple(shape) if isinstance(shape, (Sequence, tuple)) else (shape,)
    for n in dims:
        if not hasattr(n, "__index__") or isinstance(n, bool):
            raise TypeError(f"shape: not an integer: {n!r}")
        if not 0 <= n < 1 << 64:
            raise InvalidError(errno.EINVAL, f"shape: no count of elements: {n}")
    return tuple(n.__index__() for n in dims)


def c_shape(dims: Sequence[int]) -> Any:
    """The same as the library's array."""
    return (ctypes.c_uint64 * len(dims))(*dims)
