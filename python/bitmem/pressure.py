# SPDX-License-Identifier: LGPL-2.1-or-later
"""How tight memory is, who is told, and when free memory goes back by itself."""

from __future__ import annotations

import atexit
import ctypes
import itertools
import os
import select
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Any, Optional

from ._arguments import fits
from ._closing import Closing
from ._library import lib
from ._process import Fork, Handle, immortal
from ._structs import PressureFn
from ._structs import Strategy as CStrategy
from .errors import NotFoundError, check, inherited

if TYPE_CHECKING:
    from .pool import Pool


class Pressure(IntEnum):
    """How tight memory is: from 60, 80, 90 and 95 % in use."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class Return(IntFlag):
    """When free memory goes back by itself."""

    #: What was not needed for `idle_ms`.
    IDLE = 1
    #: When the pressure is `level` or more, and every `pressure_ms` while it lasts.
    PRESSURE = 2
    #: Every `period_ms`.
    PERIODIC = 4


@dataclass(frozen=True)
class Strategy:
    """When free memory goes back by itself. `sample_ms` is how often the pressure is looked at,
    for watches, too. The defaults here are the library's for a server."""

    flags: Return = Return.IDLE | Return.PRESSURE
    level: Pressure = Pressure.MEDIUM
    pressure_ms: int = 10_000
    idle_ms: int = 60_000
    period_ms: int = 60_000
    sample_ms: int = 1_000

    def _write(self, c: CStrategy) -> None:
        for name in self.__dataclass_fields__:
            value = int(getattr(self, name))
            if not 0 <= value < 1 << 31:
                raise ValueError(f"strategy: {name} cannot be {value}")
            setattr(c, name, value)

    @classmethod
    def _read(cls, c: CStrategy) -> Strategy:
        return cls(Return(c.flags), Pressure(c.level), c.pressure_ms, c.idle_ms, c.period_ms,
                   c.sample_ms)


# Callbacks by the number that the library has of each. It calls one function for all, which
# stays, as somebody may end a watch from within its own call.
_watches: dict[int, Watch] = {}
_numbers = itertools.count(1)


def _told(context: Optional[int], level: int, number: Optional[int]) -> None:
    watch = _watches.get(number or 0)
    if watch is not None:
        watch._tell(Pressure(level))


_callback = immortal(PressureFn(_told))


class Watch(Closing):
    """Is told when the level of a pool changes and was or is at least `level`.

    With a callback, that is called on a thread of the library's; what it raises goes to
    sys.unraisablehook. Without one the levels wait here: iterate, or have a selector wait for
    fileno() and call read(). Either way it goes on until it, or the pool, is closed.
    """

    def __init__(self, pool: Pool, level: Pressure,
                 callback: Optional[Callable[[Pressure], Any]]) -> None:
        self._pool = pool
        self._callback = callback
        self._lock = threading.Lock()
        self._reader: Optional[int] = None
        self._writer: Optional[int] = None
        self._number = next(_numbers)
        self._generation = Fork.generation
        self._id = 0
        id_ = ctypes.c_uint64()
        if callback is None:
            self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _watches[self._number] = self
        try:
            check(lib.pressure_watch(pool._own(), fits("level", level, 1 << 31), _callback,
                                     self._number, ctypes.byref(id_)),
                  f"watch for level {level!r}")
        except BaseException:
            self._end()
            raise
        self._id = id_.value
        pool._watches.add(self)
        if pool.closed:
            # Another thread did that meanwhile, and did not see this one.
            self.close()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a watch cannot be copied or pickled")

    def __del__(self) -> None:
        if self._reader is not None:
            os.close(self._reader)

    def _tell(self, level: Pressure) -> None:
        if self._callback is not None:
            self._callback(level)
            return
        with self._lock:
            if self._writer is not None:
                try:
                    os.write(self._writer, bytes([level]))
                except BlockingIOError:
                    # 65,536 that nobody has read: the latest are not news.
                    pass

    def _end(self) -> None:
        """Whoever waits sees the end of the pipe. They have its other end until they go."""
        _watches.pop(self._number, None)
        with self._lock:
            writer, self._writer = self._writer, None
        if writer is not None:
            os.close(writer)

    def close(self) -> None:
        """Ends the watch: no callback runs any more, but one that calls this. Once more does
        nothing."""
        context = self._pool._context
        if self._number in _watches and context is not None and not context.inherited:
            _unwatch(context, self._id)
        self._pool._watches.discard(self)
        self._end()

    @property
    def closed(self) -> bool:
        return self._number not in _watches

    def fileno(self) -> int:
        """Readable when there are levels to read, or when the watch is closed."""
        if self._reader is None:
            raise ValueError("this watch has a callback")
        if self._generation != Fork.generation:
            raise inherited("watch")
        return self._reader

    def read(self) -> list[Pressure]:
        """The levels that came since the last call; does not wait."""
        try:
            return [Pressure(level) for level in os.read(self.fileno(), 65536)]
        except BlockingIOError:
            return []

    def __iter__(self) -> Iterator[Pressure]:
        """Waits for levels until the watch is closed."""
        poller = select.poll()
        poller.register(self, select.POLLIN)
        while True:
            poller.poll()
            levels = self.read()
            if not levels and self.closed:
                return
            yield from levels


def _unwatch(context: Handle, number: int) -> None:
    try:
        check(lib.pressure_unwatch(context, number), f"watch {number}")
    except NotFoundError:
        # Another thread was faster.
        pass


def _at_exit() -> None:
    """No thread of the library's may call Python when there is no interpreter any more."""
    for watch in list(_watches.values()):
        watch.close()


def _in_child() -> None:
    """A thread that is not in the child may have had a lock."""
    for watch in _watches.values():
        watch._lock = threading.Lock()


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_in_child)
