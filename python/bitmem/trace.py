# SPDX-License-Identifier: LGPL-2.1-or-later
"""What happened last in a pool that was opened with tracking="full"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ._library import lib
from ._listed import Listed
from ._process import Handle
from .tracking import Place, _place

#: How many events are kept.
MAX = 4096


class TraceKind(IntEnum):
    """What happened: to a block, a tensor that has memory, a view."""

    ALLOC = 0
    TENSOR = 1
    VIEW = 2
    FREE = 3
    TENSOR_END = 4
    VIEW_END = 5
    #: A free of what is no live block; its place is not known.
    BAD_FREE = 6


@dataclass(frozen=True)
class TraceEvent:
    """An event. The place is where the memory was allocated, at its end, too."""

    kind: TraceKind
    #: As gettid(2) says, and threading.get_native_id().
    thread: int
    #: Of time.monotonic_ns().
    time_ns: int
    address: int
    nbytes: int
    place: Place


def _event(raw: Any) -> TraceEvent:
    return TraceEvent(TraceKind(raw.kind), raw.thread, raw.time_ns, raw.ptr or 0, raw.bytes,
                      _place(raw.place.contents))


class Trace(Listed[TraceEvent]):
    """The latest events at one instant, the oldest first."""

    def __init__(self, pointer: int) -> None:
        self._handle = Handle(pointer, lib.trace_free)
        self._count = lib.trace_count(pointer)

    @property
    def lost(self) -> int:
        """How many were before these, and are not kept."""
        return int(lib.trace_lost(self._handle))

    def _entry(self, number: int) -> TraceEvent:
        return _event(lib.trace_get(self._handle, number).contents)
