# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plain blocks: memory without a type or a shape."""

from __future__ import annotations

import builtins
from typing import Any

from . import _exports
from ._closing import Held
from ._library import lib
from ._process import Handle


class Block(Held):
    """Bytes of a pool. They stay until `close()`, the end of a `with`, or the end of this object,
    and while there are memoryviews of them, also when the pool was closed."""

    __slots__ = ("_nbytes", "_usable", "__weakref__")

    _what = "block"

    def __init__(self, context: Handle, pointer: int, nbytes: int) -> None:
        """Takes a block over; blocks are made by pools."""

        def drop(block: int, free: Any = lib.free) -> None:
            free(context, block)

        self._hold = Handle(pointer, drop)
        self._nbytes = nbytes
        self._usable: int = lib.usable_size(context, pointer)

    @property
    def nbytes(self) -> int:
        """As asked for."""
        return self._nbytes

    @property
    def usable(self) -> int:
        """Bytes that may be used there, with what rounding up left."""
        return self._usable

    @property
    def address(self) -> int:
        return int(self._live()._as_parameter_)

    def __len__(self) -> int:
        return self._nbytes

    def memoryview(self, *, readonly: bool = False) -> builtins.memoryview:
        """The bytes that were asked for, as a buffer: numpy.frombuffer() takes it."""
        hold = self._live()
        view = memoryview(_exports.block(hold, hold._as_parameter_, self._nbytes)).cast("B")
        return view.toreadonly() if readonly else view

    def __buffer__(self, flags: int) -> builtins.memoryview:
        """For Python 3.12 and newer: the block is a buffer itself."""
        return self.memoryview()

    def __repr__(self) -> str:
        return f"<bitmem.Block {self._nbytes} bytes{' closed' if self._hold is None else ''}>"
