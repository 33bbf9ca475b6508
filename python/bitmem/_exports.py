# SPDX-License-Identifier: LGPL-2.1-or-later
"""A tensor's memory as others see it: as a buffer, and as an array of NumPy's.

Each export has a reference of its own to the tensor, which it drops when the last memoryview,
array or slice of one that stands on it is gone.
"""

from __future__ import annotations

import ctypes
from typing import Any

from ._process import Handle
from .dtypes import DType

_CTYPES: dict[str, Any] = {
    "d": ctypes.c_double, "f": ctypes.c_float, "?": ctypes.c_bool, "q": ctypes.c_int64,
    "i": ctypes.c_int32, "h": ctypes.c_int16, "b": ctypes.c_int8, "Q": ctypes.c_uint64,
    "I": ctypes.c_uint32, "H": ctypes.c_uint16, "B": ctypes.c_uint8,
}


def raw(dtype: DType, shape: tuple[int, ...], nbytes: int) -> tuple[str, tuple[int, ...]]:
    """What NumPy is told: bytes, one after the other, where it has no such type."""
    if dtype.typestr is None:
        return "|u1", (nbytes,)
    return dtype.typestr, shape


class Array:
    """What NumPy takes for an array, and keeps as the base of the one that it makes."""

    __slots__ = ("__array_interface__", "_hold")

    def __init__(self, hold: Handle, address: int, typestr: str, shape: tuple[int, ...],
                 readonly: bool) -> None:
        self._hold = hold
        self.__array_interface__ = {
            "version": 3, "typestr": typestr, "shape": shape, "data": (address, readonly)}


def block(hold: Handle, address: int, nbytes: int) -> Any:
    """The memory as an array of ctypes, which is a buffer of bytes."""
    array: Any = (ctypes.c_ubyte * nbytes).from_address(address)
    array.hold = hold
    return array


def _empty(hold: Handle, letter: str, shape: tuple[int, ...]) -> memoryview:
    """memoryview cannot give a buffer without bytes another type and shape, but ctypes has one."""
    kind = _CTYPES[letter]
    for n in reversed(shape):
        kind = kind * n
    array = kind()
    array.hold = hold
    return memoryview(array)


def view(hold: Handle, address: int, dtype: DType, shape: tuple[int, ...],
         nbytes: int) -> memoryview:
    """The memory with its elements; flat and as bytes where memoryview cannot read those."""
    letter = dtype.format
    if not nbytes:
        known = letter in _CTYPES
        return _empty(hold, letter if letter and known else "B", shape if known else (0,))
    # memoryview turns bytes into other elements, but nothing else into those.
    flat = memoryview(block(hold, address, nbytes)).cast("B")
    return flat if letter is None else flat.cast(letter, shape)
