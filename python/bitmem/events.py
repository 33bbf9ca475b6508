# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the kernel module tells: an iterator that a selector can wait for.

    with bitmem.events.Events() as events:
        for event in events:
            print(event.type.name, event.bytes)

Needs libbitmem-events.so.1, which the rest of the package does without.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Optional

from ._closing import Closing
from ._library import load_events
from ._process import Handle, guarded
from ._structs import EventFn
from .errors import ClosedError, check, closed, failure, inherited

lib = load_events()

#: Ask for processes and users, too; needs CAP_SYS_ADMIN.
OWNERS = 1
NOBODY = 0xffffffff


class EventType(IntEnum):
    """What happened; bitmem/events.h tells which members say more."""

    PRESSURE = 1
    EXHAUSTED = 2
    QUARANTINE = 3
    COMPACTED = 4
    RETIRED = 5
    SHRUNK = 6
    RECLAIMED = 7
    LOST = 8


@dataclass(frozen=True)
class Event:
    """An event. Members that its type does not name are 0; pid and uid of nobody are None."""

    type: EventType
    pool: int
    node: int
    level: int
    free: int
    capacity: int
    bytes: int
    count: int
    moved: int
    freed: int
    skipped: int
    file: int
    buffers: int
    pid: Optional[int]
    uid: Optional[int]
    comm: str


def _event(raw: Any) -> Event:
    values = {name: getattr(raw, name) for name, _ in raw._fields_}
    values["type"] = EventType(raw.type)
    values["comm"] = raw.comm.decode(errors="replace")
    for name in ("pid", "uid"):
        if values[name] == NOBODY:
            values[name] = None
    return Event(**values)


class Events(Closing):
    """A subscription. One thread at a time reads it; any may close it."""

    def __init__(self, *, owners: bool = False) -> None:
        self._lock = threading.Lock()
        self._handle: Optional[Handle] = None
        # A pipe that close() writes to, so that who waits sees it; and what is waited for: both.
        self._pipe: tuple[int, ...] = ()
        pointer = lib.events_open(OWNERS if owners else 0)
        if not pointer:
            raise failure("events of the bitmem module")
        handle = Handle(pointer, lib.events_close)
        self._pipe = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._either = select.epoll()
        self._either.register(self._pipe[0], select.EPOLLIN)
        self._either.register(lib.events_fd(handle), select.EPOLLIN)
        self._handle = handle

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a subscription cannot be copied or pickled")

    def __del__(self) -> None:
        for end in self._pipe:
            os.close(end)

    def _own(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise closed("subscription")
        if handle.inherited:
            raise inherited("subscription")
        return handle

    def fileno(self) -> int:
        """Readable when there are events, and when another thread closes it."""
        self._own()
        return self._either.fileno()

    def read(self) -> list[Event]:
        """The events that are there; does not wait."""
        found: list[Event] = []
        raised: list[BaseException] = []

        def told(raw: Any) -> None:
            # A newer library may have more types.
            if raw.contents.type in EventType._value2member_map_:
                found.append(_event(raw.contents))

        with self._lock:
            result = lib.events_read(self._own(), EventFn(guarded(told, raised)), None)
        if raised:
            raise raised[0]
        check(result, "events")
        return found

    def __iter__(self) -> Iterator[Event]:
        """Waits for events until the subscription is closed."""
        self._own()
        while True:
            self._either.poll()
            try:
                found = self.read()
            except ClosedError:
                return
            yield from found

    def close(self) -> None:
        """Ends the subscription, also while another thread waits. Once more does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None and not handle.inherited:
            os.write(self._pipe[1], b"\0")

    @property
    def closed(self) -> bool:
        return self._handle is None

    _enter = _own
