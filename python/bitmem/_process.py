# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is the process's as a whole: forks, and objects that the C library may use to the end."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Generator
from typing import Any, Optional, TypeVar

T = TypeVar("T")


class Fork:
    """How many forks this process is away from the one that imported the package."""

    generation = 0

    @classmethod
    def _child(cls) -> None:
        cls.generation += 1


os.register_at_fork(after_in_child=Fork._child)


def immortal(thing: T) -> T:
    """Keeps an object until the process ends, when the interpreter may have gone already."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing


class Handle:
    """A pointer of the C library's, and how it is dropped when nobody has the handle any more.

    It is what ctypes hands on as the pointer. A call in progress has it among its arguments, so
    the pointer stays good until the call is over, whatever other threads do meanwhile. In the
    child of a fork nothing is dropped: the parent goes on with it.
    """

    __slots__ = ("_as_parameter_", "generation", "_drop")

    def __init__(self, pointer: int, drop: Any) -> None:
        self._as_parameter_ = pointer
        self._drop = drop
        self.generation = Fork.generation

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Not to be copied, nor sent to another process: who drops it would drop it twice."""
        raise TypeError("a handle of the C library's cannot be copied or pickled")

    def __del__(self, fork: type[Fork] = Fork) -> None:
        if self.generation == fork.generation:
            self._drop(self._as_parameter_)

    @property
    def inherited(self) -> bool:
        """Whether it came from a parent by fork()."""
        return self.generation != Fork.generation


def prepared(kind: Any, init: Any) -> Any:
    """A structure as the library's function of that name sets it up."""
    struct = kind()
    init(ctypes.byref(struct), ctypes.sizeof(kind))
    return struct


def guarded(function: Callable[[Any], Optional[int]],
            raised: list[BaseException]) -> Callable[[Any], int]:
    """What the library is to call on the caller's own thread: 0, or the number that the function
    gives; 1 when something was raised, which is kept. A signal's handler may raise before a
    function has come to its first line; a generator goes on within its `try`."""

    def steps() -> Generator[int, Any, None]:
        result = 0
        while True:
            try:
                while True:
                    argument = yield result
                    result = function(argument) or 0
            except GeneratorExit:
                return
            except BaseException as e:
                raised.append(e)
                result = 1

    generator = steps()
    next(generator)
    return generator.send
