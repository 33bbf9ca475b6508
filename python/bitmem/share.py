# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tensors over UNIX sockets.

The library waits for a socket without minding signals. So whoever waits does it here, where
Ctrl-C and a socket's timeout count.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket as sockets
import time
from typing import Optional, Union

from . import _sites
from ._library import lib
from ._process import Handle
from ._structs import CError
from .errors import WaitError, WouldBlockError, check, failure

Socket = Union[sockets.socket, int]


class _Waiting:
    """One call's patience with a socket: for ever, for the socket's timeout, or none."""

    def __init__(self, socket: Socket, event: int) -> None:
        self.fd = socket if isinstance(socket, int) else socket.fileno()
        self.event = event
        self.end: Optional[float] = None
        if isinstance(socket, int):
            self.patient = self.fd < 0 or _blocks(self.fd)
        else:
            timeout = socket.gettimeout()
            self.patient = timeout != 0
            if timeout:
                self.end = time.monotonic() + timeout

    def wait(self) -> None:
        """What is no socket at all is ready: it is the library that says so."""
        if not self.patient or self.fd < 0:
            return
        poll = select.poll()
        poll.register(self.fd, self.event)
        left = None if self.end is None else max(self.end - time.monotonic(), 0) * 1000
        if not poll.poll(left):
            raise WaitError(errno.ETIMEDOUT, f"socket {self.fd}: timed out")


def _blocks(fd: int) -> bool:
    try:
        return os.get_blocking(fd)
    except OSError:
        return False


def send(socket: Socket, hold: Handle, what: str) -> None:
    """Sends a tensor."""
    waiting = _Waiting(socket, select.POLLOUT)
    while True:
        waiting.wait()
        try:
            check(lib.tensor_send(waiting.fd, hold), f"send {what}")
            return
        except WouldBlockError:
            if not waiting.patient:
                raise


def receive(context: Handle, socket: Socket) -> int:
    """Receives a tensor: the library's pointer."""
    waiting = _Waiting(socket, select.POLLIN)
    words = CError()
    while True:
        waiting.wait()
        pointer: Optional[int] = lib.tensor_receive_at(context, waiting.fd, ctypes.byref(words),
                                                       _sites.caller())
        if pointer:
            return pointer
        raised = failure("receive", words)
        if not isinstance(raised, WouldBlockError) or not waiting.patient:
            raise raised
