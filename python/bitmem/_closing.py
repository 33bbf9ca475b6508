# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is closed at the end of a `with`."""

from __future__ import annotations

from types import TracebackType
from typing import Optional, Self


class Closing:
    """Base of all that has a close()."""

    __slots__ = ()

    def close(self) -> None:
        """Is the class's own."""
        raise NotImplementedError

    def _enter(self) -> object:
        """Raises where there is nothing left to use."""

    def __enter__(self) -> Self:
        self._enter()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()
