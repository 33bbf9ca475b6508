# SPDX-License-Identifier: LGPL-2.1-or-later
"""Arguments that C would take for others: numbers cut off, names that end early."""

from __future__ import annotations

import errno
import os
from typing import Optional, Union

from .errors import InvalidError


def fits(what: str, value: int, end: int) -> int:
    """A number from 0 on, below `end`."""
    if not isinstance(value, int):
        raise TypeError(f"{what}: not an integer: {value!r}")
    if not 0 <= value < end:
        raise InvalidError(errno.EINVAL, f"{what}: cannot be {value}")
    return value


def text(value: Optional[str], what: str) -> Optional[bytes]:
    """A name, if there is one."""
    if value is None:
        return None
    return _whole(value.encode(errors="surrogateescape"), what, value)


def path(value: Union[str, os.PathLike[str]], what: str) -> bytes:
    """The name of a file."""
    return _whole(os.fsencode(value), what, value)


def _whole(raw: bytes, what: str, value: object) -> bytes:
    if b"\0" in raw:
        raise ValueError(f"{what}: a NUL in {value!r}")
    return raw
