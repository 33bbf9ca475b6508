# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lists that the library has, whose entries are read as they are asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, Union, overload

T = TypeVar("T")


class Listed(Sequence[T]):
    """Base of those: _count entries, each by its number."""

    _count: int

    @abstractmethod
    def _entry(self, number: int) -> T:
        """Is the class's own."""

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, key: int) -> T: ...

    @overload
    def __getitem__(self, key: slice) -> list[T]: ...

    def __getitem__(self, key: Union[int, slice]) -> Union[T, list[T]]:
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(self._count))]
        if not -self._count <= key < self._count:
            raise IndexError(f"index {key} of {self._count}")
        return self._entry(key % self._count)
