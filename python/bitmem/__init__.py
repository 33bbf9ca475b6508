# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pinned, DMA-capable memory for tensors.

    import bitmem

    with bitmem.open() as pool:
        tensor = pool.tensor((2, 3), "F32")
        array = tensor.numpy()          # the same memory, for as long as the array lives

    with bitmem.load("model.gguf") as model:
        for name, tensor in model.items():
            print(name, tensor.dtype, tensor.shape)

See docs/python.md, and the headers of the C library for what each thing means.
"""

from __future__ import annotations

import os as _os
from typing import Any as _Any
from typing import Optional as _Optional
from typing import Union as _Union

from ._library import lib as _lib
from .block import Block
from .dtypes import DType, dtype, dtypes
from .errors import (AccessError, BrokenError, ClosedError, EndError, Error, ForkedError,
                     FormatError, InvalidError, NotFoundError, OutOfMemoryError, StaleError,
                     UnsupportedError, WaitError, WouldBlockError)
from .model import Arrays, Entry, Info, Model, Progress, load
from .pool import Part, Pool
from .pressure import Pressure, Return, Strategy, Watch
from .scope import Scope
from .tensor import Tensor, Weak
from .trace import Trace, TraceEvent, TraceKind
from .tracking import Change, Group, Live, Mark, Snapshot, Stats, Usage, suspects
from .version import VERSION as __version__

#: The version of the C library in use.
library_version: str = _lib.version().decode()


def open(backend: _Optional[str] = None, *, node: _Optional[int] = None,
         device: _Union[str, "_os.PathLike[str]", None] = None,
         segment_size: _Optional[int] = None, tracking: _Optional[str] = None) -> Pool:
    """Opens a pool.

    backend       "device" or "memfd"; by default what $BITMEM_BACKEND says, else the device if
                  it is there
    node          NUMA node to prefer
    device        another device node than $BITMEM_DEVICE or /dev/bitmem
    segment_size  bytes of a segment that small tensors share
    tracking      how much is kept of each: "counters", "sites" or "full"; by default what
                  $BITMEM_TRACKING says, else sites
    """
    return Pool(backend, node=node, device=device, segment_size=segment_size, tracking=tracking)


def from_dlpack(source: _Any, pool: Pool) -> Tensor:
    """Pool.from_dlpack() as other frameworks spell it."""
    return pool.from_dlpack(source)


__all__ = [
    "AccessError", "Arrays", "Block", "BrokenError", "Change", "ClosedError", "DType", "EndError",
    "Entry", "Error", "ForkedError", "FormatError", "Group", "Info", "InvalidError", "Live", "Mark",
    "Model", "NotFoundError", "OutOfMemoryError", "Part", "Pool", "Pressure", "Progress", "Return",
    "Scope", "Snapshot", "StaleError", "Stats", "Strategy", "Tensor", "Trace", "TraceEvent",
    "TraceKind", "UnsupportedError", "Usage", "WaitError", "Watch", "Weak", "WouldBlockError",
    "dtype", "dtypes", "from_dlpack", "library_version", "load", "open", "suspects",
]
