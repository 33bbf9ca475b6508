# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scopes: tensors that are closed together."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any, Optional

from ._closing import Closing
from .errors import NotFoundError, closed
from .tensor import Tensor

if TYPE_CHECKING:
    from .pool import Pool


class Scope(Closing):
    """For what lives as long as a token, a request, a layer: tensors that are made in it, or
    added, are closed at its end, the latest first. Arrays of them keep their memory."""

    def __init__(self, pool: Pool, parent: Optional[Scope] = None) -> None:
        self._pool = pool
        self._parent = parent
        self._inner: dict[int, Scope] = {}
        self._tensors: Optional[dict[int, Tensor]] = {}
        self._lock = threading.RLock()

    def _open(self) -> dict[int, Tensor]:
        if self._tensors is None:
            raise closed("scope")
        return self._tensors

    def add(self, tensor: Tensor) -> Tensor:
        """Has a tensor closed at the end of this scope."""
        with self._lock:
            self._open()[id(tensor)] = tensor
        return tensor

    def tensor(self, shape: Any, dtype: Any = "F32", **options: Any) -> Tensor:
        """Pool.tensor(), in this scope."""
        return self._make(self._pool.tensor, shape, dtype, options)

    def empty(self, shape: Any, dtype: Any = "F32", **options: Any) -> Tensor:
        """Pool.empty(), in this scope."""
        return self._make(self._pool.empty, shape, dtype, options)

    def zeros(self, shape: Any, dtype: Any = "F32", **options: Any) -> Tensor:
        """Pool.zeros(), in this scope."""
        return self._make(self._pool.zeros, shape, dtype, options)

    def _make(self, make: Any, shape: Any, dtype: Any, options: dict[str, Any]) -> Tensor:
        with self._lock:
            self._open()
            return self.add(make(shape, dtype, **options))

    def take(self, tensor: Tensor) -> Tensor:
        """Takes a tensor out: it is the caller's then."""
        with self._lock:
            if self._open().pop(id(tensor), None) is None:
                raise NotFoundError(errno.ENOENT, f"{tensor!r} is not in the scope")
        return tensor

    def keep(self, tensor: Tensor) -> Tensor:
        """Moves a tensor out into the scope around this one; without one it is the caller's."""
        self.take(tensor)
        return tensor if self._parent is None else self._parent.add(tensor)

    def scope(self) -> Scope:
        """A scope within this one, which is closed with it at the latest."""
        with self._lock:
            self._open()
            inner = Scope(self._pool, self)
            self._inner[id(inner)] = inner
        return inner

    def close(self) -> None:
        """Closes the tensors. Once more does nothing."""
        with self._lock:
            tensors, self._tensors = self._tensors, None
            inner, self._inner = self._inner, {}
        for scope in reversed(inner.values()):
            scope.close()
        if self._parent is not None:
            self._parent._inner.pop(id(self), None)
        for tensor in reversed((tensors or {}).values()):
            tensor.close()

    def __len__(self) -> int:
        return len(self._tensors or ())

    _enter = _open
