# SPDX-License-Identifier: LGPL-2.1-or-later
"""Counters, what is alive and who made it, and what became different since a mark."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Optional, TypeVar, Union

from . import _structs as c
from ._library import lib
from ._listed import Listed
from ._process import Handle, guarded, prepared
from .dtypes import DType, by_number
from .errors import check

T = TypeVar("T", bound="Figures")

KINDS = ("block", "tensor", "view")
FORMATS = {"text": 0, "json": 1}
SEGMENT, SHARED = 1, 2


class Figures:
    """A dataclass whose members are named as those of a structure of the library's."""

    @classmethod
    def _of(cls: type[T], struct: Any) -> T:
        return cls(*(getattr(struct, field.name) for field in fields(cls)))


@dataclass(frozen=True)
class Stats(Figures):
    """The counters of a pool, all of one instant."""

    #: Tensors with memory now, and the bytes asked for by those.
    live: int
    live_bytes: int
    #: Tensors that share another's memory, now.
    views: int
    peak_bytes: int
    allocs: int
    frees: int
    #: Held from the backend, and how much of that is locked in memory.
    committed_bytes: int
    segments: int
    pinned_bytes: int
    #: What the library itself needs to keep track.
    meta_bytes: int


@dataclass(frozen=True)
class Usage(Figures):
    """What memory is used for, in bytes:
    committed = room + cached + slack + free + kept + moving."""

    committed: int
    returned: int
    blocks: int
    live: int
    room: int
    cached: int
    slack: int
    free: int
    free_slots: int
    kept: int
    moving: int
    free_runs: int
    free_run_bytes: int
    largest_free_run: int
    utilisation: float
    internal_fragmentation: float
    external_fragmentation: float


@dataclass(frozen=True)
class Compacted(Figures):
    """What Pool.compact() did, in bytes."""

    returned: int
    moved: int
    freed: int


@dataclass(frozen=True)
class Returns(Figures):
    """How often free memory was looked for, and the bytes that went back."""

    runs: int
    bytes: int


@dataclass(frozen=True)
class Audit(Figures):
    """What the library says of its memory, what it has, and what the backend says."""

    live: int
    live_bytes: int
    views: int
    segments: int
    committed_bytes: int
    pinned_bytes: int
    found: int
    found_bytes: int
    found_views: int
    backend_segments: int
    backend_bytes: int
    backend_resident: int
    backend_pinned: int
    exported: int
    named: int


@dataclass(frozen=True)
class Sum(Figures):
    """Some of what is alive, in sum; the oldest one's age is between two."""

    count: int
    bytes: int
    views: int
    min_oldest_ns: int
    max_oldest_ns: int


@dataclass(frozen=True)
class Place:
    """A place in code; of C code without a site it is an address, in words."""

    file: Optional[str]
    line: int
    function: Optional[str]
    symbol: Optional[str]
    #: Return addresses in words, the innermost first, where these are kept.
    stack: tuple[str, ...]

    def __str__(self) -> str:
        if self.file is None:
            return self.symbol or "unknown"
        return f"{self.file}:{self.line} {self.function}"


@dataclass(frozen=True)
class Live:
    """Something alive."""

    address: int
    #: Asked for, and what it takes of the pool.
    nbytes: int
    room: int
    #: "block", "tensor" or "view".
    kind: str
    #: None of a block, and of a tensor that a thread was just making.
    dtype: Optional[DType]
    where: int
    #: Its memory is a segment of its own, or a model's; and is another process's as well.
    segment: bool
    shared: bool
    place: Place
    min_age_ns: int
    max_age_ns: int
    tag: Optional[str]


@dataclass(frozen=True)
class Group:
    """What has one key, and one of them."""

    key: Any
    sum: Sum
    example: Live


@dataclass(frozen=True)
class Change:
    """What became different at one place from one mark to a later one."""

    place: Place
    added: int
    added_bytes: int
    added_views: int
    gone: int
    gone_bytes: int
    gone_views: int
    count: int
    bytes: int
    views: int


def stats(context: Handle) -> Stats:
    """The counters of a context."""
    struct = c.Stats()
    check(lib.stats(context, ctypes.byref(struct)), "stats")
    return Stats._of(struct)


def audit(context: Handle) -> Audit:
    """Of a context; raises if something does not agree."""
    words, struct = c.CError(), c.Audit(size=ctypes.sizeof(c.Audit))
    struct.error = ctypes.pointer(words)
    check(lib.audit(context, ctypes.byref(struct)), "audit", words)
    return Audit._of(struct)


def _text(raw: Optional[bytes]) -> Optional[str]:
    return None if raw is None else raw.decode(errors="surrogateescape")


def _symbol(address: Optional[int]) -> Optional[str]:
    if not address:
        return None
    text = ctypes.create_string_buffer(512)
    lib.symbol(address, text, len(text))
    return _text(text.value)


def _place(raw: Any) -> Place:
    stack = (_symbol(raw.stack[i]) or "unknown" for i in range(raw.depth))
    return Place(_text(raw.file), raw.line, _text(raw.function), _symbol(raw.address),
                 tuple(stack))


def _live(raw: c.Live) -> Live:
    return Live(raw.ptr or 0, raw.bytes, raw.room, KINDS[raw.kind],
                by_number(raw.dtype) if raw.dtype else None, raw.pool,
                bool(raw.flags & SEGMENT), bool(raw.flags & SHARED), _place(raw.place.contents),
                raw.min_age_ns, raw.max_age_ns, _text(raw.tag))


class Snapshot(Listed[Live]):
    """What was alive at one instant, in the order of addresses, views last."""

    def __init__(self, pointer: int) -> None:
        self._handle = Handle(pointer, lib.snapshot_free)
        self._count = lib.snapshot_count(pointer)

    @property
    def stats(self) -> Stats:
        """The counters of that instant, of the whole pool."""
        struct = c.Stats()
        check(lib.snapshot_stats(self._handle, ctypes.byref(struct)), "snapshot")
        return Stats._of(struct)

    def report(self, format: str = "text") -> str:
        """Lines for people, or a line of JSON: by place, most bytes first; "" of nothing."""
        if format not in FORMATS:
            raise ValueError(f"format: {format!r} is none of {', '.join(FORMATS)}")
        with tempfile.TemporaryFile() as file:
            check(lib.snapshot_report(self._handle, file.fileno(), FORMATS[format]), "report")
            file.seek(0, os.SEEK_SET)
            return file.read().decode(errors="replace")

    def group(self, key: Union[str, Callable[[Live], Hashable]]) -> list[Group]:
        """Sums by a key, most bytes first: "place", "dtype", "where", "tag", "kind", "size" (the
        power of two not above the bytes), or what a function says of each."""
        raised: list[BaseException] = []
        numbers: dict[Hashable, int] = {}

        def number(raw: Any) -> int:
            assert callable(key)
            return numbers.setdefault(key(_live(raw.contents)), len(numbers))

        if callable(key):
            groups = _groups(self._handle, c.KeyFn(guarded(number, raised)))
            if raised:
                raise raised[0]
            named = list(numbers)
            return [Group(named[i], total, live) for i, total, live in groups]
        if key not in KEYS:
            raise ValueError(f"key: {key!r} is none of {', '.join(KEYS)}")
        name, of = KEYS[key]
        function = ctypes.cast(getattr(lib, name), c.KeyFn)
        return [Group(of(live, i), total, live) for i, total, live in
                _groups(self._handle, function)]

    def _entry(self, number: int) -> Live:
        return _live(lib.snapshot_get(self._handle, number).contents)


#: By which function of the library's, and what its number stands for.
KEYS: dict[str, tuple[str, Callable[[Live, int], Any]]] = {
    "place": ("by_place", lambda live, number: live.place),
    "dtype": ("by_dtype", lambda live, number: live.dtype),
    "where": ("by_pool", lambda live, number: number),
    "tag": ("by_tag", lambda live, number: live.tag),
    "kind": ("by_kind", lambda live, number: live.kind),
    "size": ("by_size", lambda live, number: number),
}


def _groups(snapshot: Handle, key: Any) -> list[tuple[int, Sum, Live]]:
    array, n = ctypes.POINTER(c.Group)(), ctypes.c_size_t()
    check(lib.snapshot_group(snapshot, key, None, ctypes.byref(array), ctypes.byref(n)), "group")
    try:
        found = [(int(array[i].key), Sum._of(array[i].sum), _live(array[i].example.contents))
                 for i in range(n.value)]
    finally:
        _free(array)
    return sorted(found, key=lambda group: -group[1].bytes)


class Mark:
    """What was known of a pool at one instant."""

    def __init__(self, pointer: int) -> None:
        self._handle = Handle(pointer, lib.mark_free)

    @property
    def sum(self) -> Sum:
        """All that was alive."""
        return Sum._of(lib.mark_sum(self._handle))

    def diff(self, later: Mark) -> list[Change]:
        """What became different by then, by place, most added bytes first."""
        return _changes(lib.mark_diff, self._handle, later._handle)


def suspects(marks: Sequence[Mark], *, min_count: int = 0, min_bytes: int = 0,
             pauses: int = 0) -> list[Change]:
    """Places of which there was more at each of three marks or more."""
    growth = prepared(c.Growth, lib.growth_init_sized)
    growth.min_count, growth.min_bytes, growth.pauses = min_count, min_bytes, pauses
    handles = [mark._handle for mark in marks]
    array = (ctypes.c_void_p * len(handles))(*(h._as_parameter_ for h in handles))
    return _changes(lib.suspects, array, len(handles), ctypes.byref(growth))


_free = ctypes.CDLL(None).free
_free.restype, _free.argtypes = None, (ctypes.c_void_p,)


def _changes(function: Any, *arguments: Any) -> list[Change]:
    array, n = ctypes.POINTER(c.Change)(), ctypes.c_size_t()
    check(function(*arguments, ctypes.byref(array), ctypes.byref(n)), "marks")
    try:
        names = [field.name for field in fields(Change)][1:]
        return [Change(_place(array[i].place.contents),
                       *(getattr(array[i], name) for name in names)) for i in range(n.value)]
    finally:
        _free(array)
