# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tensors to and from other frameworks by DLPack's capsules.

https://dmlc.github.io/dlpack/latest/python_spec.html

A capsule has its name until somebody takes what is in it, who then gives it another one. One
that still has it when it goes was taken by nobody, so that it drops its content itself: but not
in the child of a fork, where its content is the parent's. Its context says whose it is.
"""

from __future__ import annotations

import ctypes
import errno
from ctypes import c_char_p, c_int, c_void_p, py_object
from typing import Any, Optional

from . import _structs
from ._library import lib
from ._process import Fork, Handle, immortal
from .errors import UnsupportedError, failure

#: kDLCPU, as the memory is ordinary memory.
CPU = (1, 0)
VERSION = (1, 1)

_LEGACY = immortal(ctypes.create_string_buffer(b"dltensor"))
_VERSIONED = immortal(ctypes.create_string_buffer(b"dltensor_versioned"))
_USED = {_LEGACY.value: immortal(ctypes.create_string_buffer(b"used_dltensor")),
         _VERSIONED.value: immortal(ctypes.create_string_buffer(b"used_dltensor_versioned"))}

_Destructor = ctypes.PYFUNCTYPE(None, c_void_p)
_Deleter = ctypes.CFUNCTYPE(None, c_void_p)


def _api(name: str, result: Any, *arguments: Any) -> Any:
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_new = _api("PyCapsule_New", py_object, c_void_p, c_void_p, _Destructor)
_pointer = _api("PyCapsule_GetPointer", c_void_p, py_object, c_char_p)
_is_valid = _api("PyCapsule_IsValid", c_int, py_object, c_char_p)
_set_name = _api("PyCapsule_SetName", c_int, py_object, c_void_p)
# In a destructor nobody may take a reference to the capsule.
_dying_pointer = _api("PyCapsule_GetPointer", c_void_p, c_void_p, c_char_p)
_dying_is_valid = _api("PyCapsule_IsValid", c_int, c_void_p, c_char_p)
_dying_context = _api("PyCapsule_GetContext", c_void_p, c_void_p)
_set_context = _api("PyCapsule_SetContext", c_int, py_object, c_void_p)

_STRUCTS: dict[bytes, Any] = {_LEGACY.value: _structs.DLManagedTensor,
                              _VERSIONED.value: _structs.DLManagedTensorVersioned}


# A capsule may go when this module's names have gone already.
def _destroy(capsule: int, structs: Any = _STRUCTS, is_valid: Any = _dying_is_valid,
             pointer: Any = _dying_pointer, context: Any = _dying_context,
             deleter: Any = _Deleter, fork: type[Fork] = Fork) -> None:
    if (context(capsule) or 0) != fork.generation:
        return
    for name, struct in structs.items():
        if is_valid(capsule, name):
            managed = pointer(capsule, name)
            function = struct.from_address(managed).deleter
            if function:
                deleter(function)(managed)


_destructor = immortal(_Destructor(_destroy))
immortal(_destroy)


def export(hold: Handle, stream: Any, max_version: Optional[tuple[int, int]],
           device: Optional[tuple[int, int]], copy: Optional[bool]) -> Any:
    """A capsule with a reference to the tensor."""
    if stream is not None:
        raise UnsupportedError(errno.EOPNOTSUPP, f"DLPack: the CPU has no streams: {stream!r}")
    if device is not None and tuple(device) != CPU:
        raise BufferError(f"DLPack: the memory is not on device {device}")
    if copy:
        raise BufferError("DLPack: to get a copy, make one by Tensor.copy()")
    versioned = max_version is not None and max_version[0] >= VERSION[0]
    managed = (lib.tensor_to_dlpack if versioned else lib.tensor_to_dlpack_legacy)(hold)
    if not managed:
        raise failure("DLPack has no such element type")
    capsule = _new(managed, ctypes.addressof(_VERSIONED if versioned else _LEGACY), _destructor)
    _set_context(capsule, Fork.generation)
    return capsule


def _capsule(source: Any) -> Any:
    """What another framework's object gives of itself."""
    if not hasattr(source, "__dlpack__"):
        return source
    device = tuple(source.__dlpack_device__())
    if device != CPU:
        raise BufferError(f"DLPack: memory of device {device} is not the CPU's")
    try:
        return source.__dlpack__(max_version=VERSION)
    except TypeError:
        # Of before DLPack 1.0.
        return source.__dlpack__()


def take(context: Handle, source: Any) -> int:
    """A tensor's pointer, of what has __dlpack__ or is a capsule."""
    capsule = _capsule(source)
    for name in _STRUCTS:
        if _is_valid(capsule, name):
            break
    else:
        raise TypeError(f"DLPack: no capsule with a tensor that nobody has taken: {source!r}")
    words = _structs.CError()
    function = (lib.tensor_from_dlpack if name == _VERSIONED.value
                else lib.tensor_from_dlpack_legacy)
    managed = _pointer(capsule, name)
    # Whoever gets hold of the capsule meanwhile must not take it, too.
    _set_name(capsule, ctypes.addressof(_USED[name]))
    pointer: Optional[int] = function(context, managed, ctypes.byref(words))
    if pointer:
        return pointer
    raised = failure("DLPack", words)
    _set_name(capsule, ctypes.addressof(_BY_NAME[name]))
    raise raised


_BY_NAME = {_LEGACY.value: _LEGACY, _VERSIONED.value: _VERSIONED}

