# SPDX-License-Identifier: LGPL-2.1-or-later
"""Errors: all are `Error`, which is an OSError, with the library's words and an errno.

Each is what else Python calls a failure of that kind, too, so that `except FileNotFoundError`
and `except MemoryError` do what they say.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Optional

from ._structs import CError


class Error(OSError):
    """A call of the library failed."""


class InvalidError(Error, ValueError):
    """An argument cannot be right."""


class StaleError(Error, ReferenceError):
    """What it was about is not there any more."""


class ClosedError(Error, ValueError):
    """The pool, tensor, model or watch was closed."""


class ForkedError(Error, RuntimeError):
    """It belongs to the process that this one was forked from."""


class FormatError(Error, ValueError):
    """A file is not what its format demands, or has none that is known."""


class UnsupportedError(Error, NotImplementedError):
    """The library, or the other side, cannot do that."""


class OutOfMemoryError(Error, MemoryError):
    """There is not so much memory."""


class NotFoundError(Error, FileNotFoundError):
    """There is no such file, device, tensor or pool."""


class AccessError(Error, PermissionError):
    """That is not permitted."""


class WouldBlockError(Error, BlockingIOError):
    """A socket that does not block is not ready."""


class WaitError(Error, TimeoutError):
    """A socket's timeout is over."""


class EndError(Error, EOFError):
    """The other end of a socket is closed."""


class BrokenError(Error, BrokenPipeError):
    """The other end of a socket does not receive any more."""


_BY_ERRNO: dict[int, type[Error]] = {
    errno.EINVAL: InvalidError,
    errno.EOVERFLOW: InvalidError,
    errno.ENAMETOOLONG: InvalidError,
    errno.ESTALE: StaleError,
    errno.EBADMSG: FormatError,
    errno.EMEDIUMTYPE: FormatError,
    errno.EPROTO: FormatError,
    errno.EOPNOTSUPP: UnsupportedError,
    errno.ENOMEM: OutOfMemoryError,
    errno.ENOENT: NotFoundError,
    errno.EACCES: AccessError,
    errno.EPERM: AccessError,
    errno.EAGAIN: WouldBlockError,
    errno.ENODATA: EndError,
    errno.EPIPE: BrokenError,
}


def error(code: int, what: str) -> Error:
    """The error of that errno."""
    return _BY_ERRNO.get(code, Error)(code, what)


def failure(what: str, words: Optional[CError] = None) -> Error:
    """Why the call before this one failed: in the library's words if it has any."""
    code = ctypes.get_errno()
    if words is not None and words.text:
        return error(code, words.text.decode(errors="backslashreplace"))
    return error(code, f"{what}: {os.strerror(code)}")


def check(result: int, what: str, words: Optional[CError] = None) -> int:
    """A result that is not negative; else the error that it is."""
    if result >= 0:
        return result
    if words is not None and words.text:
        raise error(-result, words.text.decode(errors="backslashreplace"))
    raise error(-result, f"{what}: {os.strerror(-result)}")


def closed(what: str) -> ClosedError:
    """The error of one who uses what is closed."""
    return ClosedError(errno.EBADF, f"{what} is closed")


def inherited(what: str) -> ForkedError:
    """The error of a child that would change its parent's books."""
    return ForkedError(errno.EBUSY, f"{what} is the parent process's since fork(); "
                                    "open a pool of this process's own")
