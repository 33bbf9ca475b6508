# SPDX-License-Identifier: LGPL-2.1-or-later
"""Places in Python code that allocate, as the library keeps them with each allocation."""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Optional

from ._process import immortal
from ._structs import Site

# Code that is made at run time could have any number; the library has some 12,000.
MAX_SITES = 8192
PACKAGE = __name__.rpartition(".")[0]

_sites: dict[tuple[str, int, str], Site] = {}


def _encoded(file: str) -> bytes:
    """Code that is made may say any string is its file."""
    try:
        return os.fsencode(file)
    except UnicodeEncodeError:
        return file.encode(errors="replace")


def _site(file: str, line: int, function: str) -> Site:
    key = (file, line, function)
    site = _sites.get(key)
    if site is None:
        if len(_sites) >= MAX_SITES:
            return _other
        site = _sites.setdefault(
            key, immortal(Site(0, line, _encoded(file), function.encode(errors="replace"))))
    return site


def _inside(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and (name == PACKAGE or name.startswith(PACKAGE + "."))


def caller() -> Site:
    """The innermost line of code that is not the package's own."""
    frame: Optional[FrameType] = sys._getframe(1)
    while frame is not None and _inside(frame):
        frame = frame.f_back
    if frame is None:
        return _other
    return _site(frame.f_code.co_filename, frame.f_lineno or 0, frame.f_code.co_name)


_other = _site("python", 0, "other")
