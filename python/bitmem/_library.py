# SPDX-License-Identifier: LGPL-2.1-or-later
"""Finds libbitmem.so.1, and makes sure that it is what this package was made for."""

from __future__ import annotations

import ctypes
import os
import re
from typing import Any

from ._functions import EVENTS, FUNCTIONS, QUIET, Table
from .version import VERSION

SONAME = "libbitmem.so.1"
EVENTS_SONAME = "libbitmem-events.so.1"
ENVIRONMENT = "BITMEM_LIBRARY"


class Library:
    """The functions of a library by their names, without the prefix."""

    def __init__(self, path: str, functions: Table) -> None:
        self.path = path
        try:
            loud, quiet = ctypes.CDLL(path, use_errno=True), ctypes.CDLL(path)
        except OSError as e:
            raise ImportError(f"bitmem needs {os.path.basename(path)}: {e}; install libbitmem, "
                              f"or name a build tree's in ${ENVIRONMENT}") from None
        if "bitmem_version" in functions:
            self._check_version(loud)
        for name, (result, arguments) in functions.items():
            setattr(self, name.removeprefix("bitmem_"),
                    self._function(quiet if name in QUIET else loud, name, result, arguments))

    def _function(self, dll: ctypes.CDLL, name: str, result: Any, arguments: Any) -> Any:
        try:
            function = getattr(dll, name)
        except AttributeError:
            raise ImportError(f"bitmem: {self.path} has no {name}(), which version {VERSION} of "
                              "the Python package needs") from None
        function.restype = result
        function.argtypes = arguments
        return function

    def _check_version(self, dll: ctypes.CDLL) -> None:
        found = str(self._function(dll, "bitmem_version", ctypes.c_char_p, ())(), "ascii",
                    "replace")
        if _release(found) < _release(VERSION):
            raise ImportError(f"bitmem: {self.path} is version {found}; the Python package is "
                              f"version {VERSION} and needs one not older than that")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{self.path}: {name}")


def _release(version: str) -> tuple[int, ...]:
    """What decides which functions there are: patch releases add none."""
    match = re.match(r"(\d+)\.(\d+)", version)
    return tuple(map(int, match.groups())) if match else ()


def find(soname: str) -> str:
    """A name for the dynamic linker, or a path where $BITMEM_LIBRARY names a file or directory."""
    path = os.environ.get(ENVIRONMENT)
    if not path:
        return soname
    if os.path.isdir(path):
        return os.path.join(path, soname)
    return path if soname == SONAME else os.path.join(os.path.dirname(path), soname)


def load_events() -> Library:
    """libbitmem-events, which only those need who want the module's events."""
    return Library(find(EVENTS_SONAME), EVENTS)


lib = Library(find(SONAME), FUNCTIONS)
