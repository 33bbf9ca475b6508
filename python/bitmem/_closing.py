# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is closed at the end of a `with`."""

from __future__ import annotations

from types import TracebackType
from typing import ClassVar, Optional, Self

from ._process import Handle
from .errors import closed


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


class Held(Closing):
    """Base of what has one handle of the library's, and is closed by letting go of it."""

    __slots__ = ("_hold",)

    #: What the error calls it.
    _what: ClassVar[str]
    _hold: Optional[Handle]

    def _live(self) -> Handle:
        """For reading: good in the child of a fork, too."""
        hold = self._hold
        if hold is None:
            raise closed(self._what)
        return hold

    _enter = _live

    def close(self) -> None:
        """Lets go of it; the memory stays while anything of it is in use. Once more does
        nothing."""
        self._hold = None

    @property
    def closed(self) -> bool:
        return self._hold is None
