#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of serve.c in Python: asks for tensors, and has their memory as NumPy arrays.

    fetch.py SOCKET NAME...
"""

import socket
import sys

import bitmem


def fetch(pool, server, name):
    """The tensor of that name, as the server has it: nothing is copied."""
    server.send(name.encode())
    answer = server.recv(600)
    if answer != b"ok":
        raise LookupError(answer.decode(errors="replace") or "the server has closed the connection")
    return pool.receive(server)


def main(path, names):
    # What with opens is closed at its end; memory that an array is of stays with the array.
    with bitmem.open() as pool, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(path)
        for name in names:
            with fetch(pool, server, name) as tensor:
                array = tensor.numpy()
                print(f"{name}: {tensor.dtype} {list(tensor.shape)},"
                      f" sum {array.sum(dtype=float):g}")
                del array


if __name__ == "__main__":
    if len(sys.argv) < 3:
        print(f"usage: {sys.argv[0]} SOCKET NAME...", file=sys.stderr)
        sys.exit(2)
    try:
        main(sys.argv[1], sys.argv[2:])
    except (OSError, LookupError) as error:
        sys.exit(f"{sys.argv[0]}: {error}")
