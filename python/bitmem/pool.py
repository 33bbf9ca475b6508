# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools: where tensors come from. One is a context of the library's."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from . import _sites, dlpack, share, trace, tracking
from ._arguments import fits, path, text
from ._closing import Closing
from ._library import lib
from ._process import Handle, prepared
from ._structs import Compacted as CCompacted
from ._structs import MAX_POOLS, CError, Options, Policy, PoolOptions, PoolUsage
from ._structs import Strategy as CStrategy
from ._structs import StrategyStats
from .block import Block
from .dtypes import DType, DTypeLike, c_shape, dtype, dtypes, shape_of
from .errors import InvalidError, NotFoundError, check, closed, inherited
from .pressure import Pressure, Strategy, Watch
from .scope import Scope
from .tensor import Tensor, _fail

BACKENDS = {"auto": 0, "device": 1, "memfd": 2}
TRACKING = {"auto": 0, "counters": 1, "sites": 2, "full": 3}
POLICIES = {"strict": 0, "fallback": 1, "interleave": 2}
ALL = 0xffffffff


@dataclass(frozen=True)
class Part:
    """Where a part of a pool has its memory: see Pool.add()."""

    node: Optional[int]
    width: int
    bind: bool


class Pool(Closing):
    """Memory of the device, or of the fallback, and the tensors in it.

    Tensors that are alive when it is closed stay good, and so do arrays of them; nothing new
    can be made. See bitmem.open() for the arguments.
    """

    def __init__(self, backend: Optional[str] = None, *, node: Optional[int] = None,
                 device: Union[str, os.PathLike[str], None] = None,
                 segment_size: Optional[int] = None, tracking: Optional[str] = None) -> None:
        self._context: Optional[Handle] = None
        self._watches: set[Watch] = set()
        options, words = prepared(Options, lib.options_init_sized), CError()
        options.error = ctypes.pointer(words)
        options.backend = _choice("backend", backend or "auto", BACKENDS)
        options.tracking = _choice("tracking", tracking or "auto", TRACKING)
        options.node = -1 if node is None else fits("node", node, 1 << 31)
        options.segment_size = fits("segment_size", segment_size or 0, 1 << 64)
        options.device = None if device is None else path(device, "device")
        pointer = lib.open(ctypes.byref(options)) or _fail("open", words)
        self._context = Handle(pointer, _drop)
        self._backend: str = lib.backend_name(lib.backend(pointer)).decode()

    # --- its life ---

    def _own(self) -> Handle:
        context = self._context
        if context is None:
            raise closed("pool")
        if context.inherited:
            raise inherited("pool")
        return context

    def close(self) -> None:
        """Closes the pool, when calls of other threads that are in it are over. Once more does
        nothing."""
        for watch in list(self._watches):
            watch.close()
        self._context = None

    @property
    def closed(self) -> bool:
        return self._context is None

    _enter = _own

    @property
    def backend(self) -> str:
        """"device" or "memfd"."""
        return self._backend

    def __repr__(self) -> str:
        return f"<bitmem.Pool {self._backend}{' closed' if self.closed else ''}>"

    # --- tensors ---

    def tensor(self, shape: Any, dtype: DTypeLike = "F32", *, where: int = 0,
               shareable: bool = False, name: Optional[str] = None,
               tag: Optional[str] = None) -> Tensor:
        """A tensor whose bytes are 0. `where` is a part that add() has added. A shareable one
        can be sent to other processes."""
        if shareable and where:
            raise InvalidError(errno.EINVAL, f"where: a shareable tensor is not of part {where}")
        if shareable:
            make = lib.tensor_new_shareable_at
        else:
            make = lib.tensor_new_in_at if where else lib.tensor_new_at
        return self._make(make, shape, dtype, where, name, tag)

    def empty(self, shape: Any, dtype: DTypeLike = "F32", *, where: int = 0,
              name: Optional[str] = None, tag: Optional[str] = None) -> Tensor:
        """A tensor with what was there before."""
        make = lib.tensor_empty_in_at if where else lib.tensor_empty_at
        return self._make(make, shape, dtype, where, name, tag)

    def zeros(self, shape: Any, dtype: DTypeLike = "F32", *, name: Optional[str] = None,
              tag: Optional[str] = None) -> Tensor:
        """A tensor whose elements are 0, which of ternary types is not what bytes of 0 are."""
        return self._make(lib.tensor_zeros_at, shape, dtype, 0, name, tag)

    def _make(self, make: Any, shape: Any, like: DTypeLike, where: int, name: Optional[str],
              tag: Optional[str]) -> Tensor:
        kind, dims = dtype(like), shape_of(shape)
        parts = (fits("where", where, ALL),) if where else ()
        tensor = Tensor(make(self._own(), *parts, kind.number, len(dims), c_shape(dims),
                             _sites.caller()) or _fail(f"tensor {kind} {list(dims)}"))
        try:
            if name is not None:
                tensor.name = name
            if tag is not None:
                tensor.tag = tag
        except BaseException:
            tensor.close()
            raise
        return tensor

    def alloc(self, nbytes: int, align: int = 0, *, zeroed: bool = False,
              where: int = 0) -> Block:
        """A block of bytes without a type, with what was there before, or zeroed. `align` is a
        power of two; 0 is 64."""
        if where:
            make = lib.zalloc_in_at if zeroed else lib.alloc_in_at
        else:
            make = lib.zalloc_at if zeroed else lib.alloc_at
        context = self._own()
        parts = (fits("where", where, ALL),) if where else ()
        return Block(context, make(context, *parts, fits("nbytes", nbytes, 1 << 64),
                                   fits("align", align, 1 << 64), _sites.caller()) or
                     _fail(f"{nbytes} bytes"), nbytes)

    def copy(self, source: Any) -> Tensor:
        """A tensor with the elements of another one, of an array, or of anything that is a
        buffer without gaps."""
        if isinstance(source, Tensor):
            return Tensor(lib.tensor_copy_at(self._own(), source._own(), _sites.caller()) or
                          _fail(f"copy {source!r}"))
        buffer = memoryview(source)
        tensor = self.empty(buffer.shape, _type_of(buffer))
        if tensor.nbytes:
            # tobytes() would take them twice; a cast wants them without gaps.
            flat = buffer.cast("B") if buffer.c_contiguous else memoryview(buffer.tobytes())
            tensor.view("U8", tensor.nbytes).memoryview()[:] = flat
        return tensor

    def from_dlpack(self, source: Any) -> Tensor:
        """A tensor of what another framework has: this pool's own is that tensor again, of
        others the elements are copied."""
        return Tensor(dlpack.take(self._own(), source))

    def find(self, name: str) -> Tensor:
        """The tensor with that name; of several, the one that was named last."""
        if name is None:
            raise TypeError("name: None")
        return Tensor(lib.tensor_find(self._own(), text(name, "name")) or
                      _fail(f"tensor {name!r}"))

    def receive(self, socket: share.Socket) -> Tensor:
        """A tensor that another process sends; the memory is both's."""
        return Tensor(share.receive(self._own(), socket))

    def scope(self) -> Scope:
        """Tensors that are closed together, at the end of a `with`."""
        self._own()
        return Scope(self)

    # --- parts: memory of a node, or for a device ---

    def add(self, *, node: Optional[int] = None, width: int = 0, bind: bool = True) -> int:
        """Adds a part with the memory of a NUMA node, or that a device with so many address
        bits reaches: its number, for `where`. What open() gave is number 0."""
        options, words = prepared(PoolOptions, lib.pool_options_init_sized), CError()
        number = ctypes.c_uint()
        options.error = ctypes.pointer(words)
        options.node = -1 if node is None else fits("node", node, 1 << 31)
        options.width = fits("width", width, 1 << 31)
        options.bind = bind
        check(lib.pool_add(self._own(), ctypes.byref(options), ctypes.byref(number)),
              "add", words)
        return number.value

    def parts(self) -> list[Part]:
        """Where each part's memory is, by its number."""
        found: list[Part] = []
        while True:
            options = PoolOptions(size=ctypes.sizeof(PoolOptions))
            try:
                check(lib.pool_info(self._own(), len(found), ctypes.byref(options)), "part")
            except NotFoundError:
                return found
            found.append(Part(None if options.node < 0 else options.node, options.width,
                              bool(options.bind)))

    def set_policy(self, kind: str = "strict", order: Sequence[int] = (), *,
                   where: Optional[int] = None, level: Pressure = Pressure.HIGH) -> None:
        """Where requests go that are made to a part, or to any: "strict": there and nowhere
        else; "fallback": to others after it, from a pressure of `level` on before it takes more
        memory; "interleave": to each of `order` in turn. Without an order the nearest come
        first."""
        policy, words = prepared(Policy, lib.policy_init_sized), CError()
        if len(order) > MAX_POOLS:
            raise InvalidError(errno.EINVAL, f"order: {len(order)} parts, of {MAX_POOLS} at most")
        policy.kind = _choice("kind", kind, POLICIES)
        policy.nr_pools = len(order)
        policy.pools[:len(order)] = [fits("order", number, ALL) for number in order]
        policy.level = fits("level", level, 1 << 31)
        policy.error = ctypes.pointer(words)
        number = ALL if where is None else fits("where", where, ALL)
        check(lib.set_policy(self._own(), number, ctypes.byref(policy)), f"part {where}", words)

    def where(self, tensor: Tensor) -> int:
        """The number of the part that a tensor's memory is from."""
        return check(lib.pool_of(self._own(), tensor.address), f"where is {tensor!r}")

    def usage(self, where: Optional[int] = None) -> tracking.Usage:
        """What the memory is used for, to the byte; of one part, or of all."""
        usage = PoolUsage()
        number = ALL if where is None else fits("where", where, ALL)
        check(lib.pool_usage(self._own(), number, ctypes.byref(usage)), f"part {where}")
        return tracking.Usage._of(usage)

    # --- figures ---

    def stats(self) -> tracking.Stats:
        """The counters, all of one instant."""
        return tracking.stats(self._own())

    def snapshot(self) -> tracking.Snapshot:
        """All that is alive, and who made it."""
        return tracking.Snapshot(lib.snapshot(self._own()) or _fail("snapshot"))

    def mark(self) -> tracking.Mark:
        """An instant, to ask later what came after it."""
        return tracking.Mark(lib.mark(self._own()) or _fail("mark"))

    def leaks(self, since: Optional[tracking.Mark] = None) -> tracking.Snapshot:
        """What was made after a mark, and is alive."""
        mark = None if since is None else since._handle
        return tracking.Snapshot(lib.leaks(self._own(), mark) or _fail("leaks"))

    def trace(self) -> trace.Trace:
        """The latest events, for a pool that was opened with tracking="full"; else an
        UnsupportedError."""
        return trace.Trace(lib.trace(self._own()) or _fail("trace"))

    def stacks_lost(self) -> int:
        """Of how many allocations the stack was not kept, as there were too many; with
        tracking="full"."""
        return int(lib.stacks_lost(self._own()))

    def audit(self) -> tracking.Audit:
        """Compares what the library says, what it has, and what the backend says; an Error with
        EUCLEAN if they do not agree."""
        return tracking.audit(self._own())

    # --- giving back ---

    def trim(self) -> int:
        """Gives back what is free: the bytes that really went."""
        return int(lib.trim(self._own()))

    def compact(self) -> tracking.Compacted:
        """Gives back what is free, and has the module put together what is left."""
        done = CCompacted()
        check(lib.compact(self._own(), ctypes.byref(done)), "compact")
        return tracking.Compacted._of(done)

    @property
    def strategy(self) -> Strategy:
        """When free memory goes back by itself. A pool is opened with flags 0: never."""
        strategy = CStrategy(size=ctypes.sizeof(CStrategy))
        check(lib.get_strategy(self._own(), ctypes.byref(strategy)), "strategy")
        return Strategy._read(strategy)

    @strategy.setter
    def strategy(self, value: Strategy) -> None:
        strategy, words = prepared(CStrategy, lib.strategy_init_sized), CError()
        value._write(strategy)
        strategy.error = ctypes.pointer(words)
        check(lib.set_strategy(self._own(), ctypes.byref(strategy)), "strategy", words)

    def returned(self) -> dict[str, tracking.Returns]:
        """What went back, by reason: on_call, on_idle, on_pressure, on_period."""
        stats = StrategyStats()
        check(lib.strategy_stats(self._own(), ctypes.byref(stats)), "returned")
        return {name: tracking.Returns._of(getattr(stats, name)) for name, _ in stats._fields_[1:]}

    def pressure(self, where: Optional[int] = None) -> Pressure:
        """How tight memory is now, for all or for one part."""
        if where is None:
            return Pressure(lib.pressure(self._own()))
        level = ctypes.c_int()
        check(lib.pool_pressure(self._own(), fits("where", where, ALL), ctypes.byref(level)),
              f"part {where}")
        return Pressure(level.value)

    def watch(self, level: Pressure = Pressure.MEDIUM,
              callback: Optional[Callable[[Pressure], Any]] = None) -> Watch:
        """Has the callback told when the pressure changes and was or is at least `level`;
        without one, what is returned is an iterator of levels that a selector can wait for."""
        return Watch(self, level, callback)


# At the end of the interpreter pools go before or after their tensors, as it happens: the library
# itself tells then what is still there when all have gone.
def _drop(pointer: int, close: Any = lib.close, ending: Any = sys.is_finalizing) -> None:
    if not ending():
        close(pointer)


def _choice(what: str, value: str, choices: dict[str, int]) -> int:
    if value not in choices:
        raise InvalidError(errno.EINVAL, f"{what}: {value!r} is none of {', '.join(choices)}")
    return choices[value]


_SIGNED, _UNSIGNED = "bhilqn", "BHILQNc"


def _type_of(buffer: memoryview) -> DType:
    """The type of a buffer's elements, by struct's letters."""
    # ctypes' buffers say the machine's own order in so many words.
    letter = buffer.format.lstrip("@=" + ("<" if sys.byteorder == "little" else ">"))
    bits = buffer.itemsize * 8
    if letter == "?":
        return dtypes["BOOL"]
    if letter in ("e", "f", "d"):
        return dtypes[f"F{bits}"]
    if letter == "Zf":
        return dtypes["C64"]
    if letter and letter in _SIGNED:
        return dtypes[f"I{bits}"]
    if letter and letter in _UNSIGNED:
        return dtypes[f"U{bits}"]
    raise InvalidError(errno.EINVAL, f"copy: no type for elements of format {buffer.format!r}")

