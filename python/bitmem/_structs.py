# SPDX-License-Identifier: LGPL-2.1-or-later
"""The library's structures, member for member as its headers have them."""

from __future__ import annotations

import ctypes
from ctypes import (POINTER, Structure, c_char, c_char_p, c_double, c_int, c_size_t, c_uint,
                    c_uint32, c_uint64, c_void_p)
from typing import Any, ClassVar

MAX_DIMS = 8
MAX_POOLS = 8

Shape = POINTER(c_uint64)


class Sized(Structure):
    """One that says in its first member how large the caller takes it to be."""

    def __init__(self, *args: Any, **members: Any) -> None:
        super().__init__(*args, size=ctypes.sizeof(self), **members)


class CError(Structure):
    _fields_ = [("code", c_int), ("text", c_char * 508)]


class Options(Structure):
    _fields_ = [
        ("size", c_size_t), ("backend", c_int), ("node", c_int), ("device", c_char_p),
        ("segment_size", c_size_t), ("error", POINTER(CError)), ("tracking", c_int)]


class Site(Structure):
    _fields_ = [("state", c_uint32), ("line", c_uint32), ("file", c_char_p),
                ("function", c_char_p)]


class Stats(Sized):
    _fields_ = [("size", c_size_t)] + [(name, c_uint64) for name in (
        "live", "live_bytes", "views", "peak_bytes", "allocs", "frees", "committed_bytes",
        "segments", "pinned_bytes", "meta_bytes")]


class DTypeInfo(Structure):
    _fields_ = [("name", c_char_p), ("block_elements", c_uint32), ("block_bits", c_uint32)]


class Weak(Structure):
    _fields_ = [("context", c_uint64), ("id", c_uint64), ("generation", c_uint64)]


class Progress(Structure):
    _fields_ = [("done", c_uint64), ("total", c_uint64), ("files_done", c_uint),
                ("files", c_uint)]


# Each callback that is handed in is made for one call, and needs no argument of its own.
ProgressFn = ctypes.CFUNCTYPE(c_int, POINTER(Progress))


class ModelOptions(Structure):
    _fields_ = [
        ("size", c_size_t), ("flags", c_uint), ("dialect", c_int), ("queue_depth", c_uint),
        ("window", c_size_t), ("progress", ProgressFn), ("progress_arg", c_void_p),
        ("error", POINTER(CError))]


class ModelInfo(Sized):
    _fields_ = [
        ("size", c_size_t), ("format", c_int), ("format_name", c_char_p), ("io", c_char_p),
        ("bytes", c_uint64), ("bytes_read", c_uint64), ("seconds", c_double),
        ("files", c_size_t), ("tensors", c_size_t)]


class ModelEntry(Structure):
    _fields_ = [
        ("name", c_char_p), ("dtype_name", c_char_p), ("dtype", c_int), ("ndims", c_uint),
        ("shape", Shape), ("bytes", c_uint64), ("file", c_size_t), ("file_offset", c_uint64),
        ("tensor", c_void_p)]


PressureFn = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p)


class Strategy(Structure):
    _fields_ = [
        ("size", c_size_t), ("error", POINTER(CError)), ("flags", c_uint), ("level", c_int),
        ("pressure_ms", c_uint), ("idle_ms", c_uint), ("period_ms", c_uint),
        ("sample_ms", c_uint)]


class Returns(Structure):
    _fields_ = [("runs", c_uint64), ("bytes", c_uint64)]


class StrategyStats(Sized):
    _fields_ = [("size", c_size_t), ("on_call", Returns), ("on_idle", Returns),
                ("on_pressure", Returns), ("on_period", Returns)]


class PoolOptions(Structure):
    _fields_ = [("size", c_size_t), ("node", c_int), ("width", c_uint), ("bind", c_int),
                ("error", POINTER(CError))]


class PoolUsage(Sized):
    _fields_ = [("size", c_size_t)] + [(name, c_uint64) for name in (
        "committed", "returned", "blocks", "live", "room", "cached", "slack", "free",
        "free_slots", "kept", "moving", "free_runs", "free_run_bytes", "largest_free_run")] + [
        (name, c_double) for name in (
            "utilisation", "internal_fragmentation", "external_fragmentation")]


class Policy(Structure):
    _fields_ = [
        ("size", c_size_t), ("kind", c_int), ("nr_pools", c_uint), ("pools", c_uint * MAX_POOLS),
        ("level", c_int), ("error", POINTER(CError))]


class Compacted(Sized):
    _fields_ = [("size", c_size_t), ("returned", c_uint64), ("moved", c_uint64),
                ("freed", c_uint64)]


class Place(Structure):
    _fields_ = [
        ("file", c_char_p), ("function", c_char_p), ("line", c_uint), ("address", c_void_p),
        ("depth", c_uint), ("stack", POINTER(c_void_p))]


class Live(Structure):
    _fields_ = [
        ("ptr", c_void_p), ("bytes", c_size_t), ("room", c_size_t), ("kind", c_int),
        ("dtype", c_int), ("pool", c_uint), ("flags", c_uint), ("place", POINTER(Place)),
        ("min_age_ns", c_uint64), ("max_age_ns", c_uint64), ("tensor", c_void_p),
        ("tag", c_char_p)]


class Sum(Structure):
    _fields_ = [(name, c_uint64) for name in (
        "count", "bytes", "views", "min_oldest_ns", "max_oldest_ns")]


class Change(Structure):
    _fields_ = [("place", POINTER(Place))] + [(name, c_uint64) for name in (
        "added", "added_bytes", "added_views", "gone", "gone_bytes", "gone_views", "count",
        "bytes", "views")]


class Group(Structure):
    _fields_ = [("key", c_uint64), ("sum", Sum), ("example", POINTER(Live))]


KeyFn = ctypes.CFUNCTYPE(c_uint64, POINTER(Live))


class TraceEvent(Structure):
    _fields_ = [("kind", c_int), ("thread", c_int), ("time_ns", c_uint64), ("ptr", c_void_p),
                ("bytes", c_size_t), ("place", POINTER(Place))]


class Growth(Structure):
    _fields_ = [("size", c_size_t), ("min_count", c_uint64), ("min_bytes", c_uint64),
                ("pauses", c_uint)]


class Audit(Structure):
    _fields_ = [("size", c_size_t), ("error", POINTER(CError))] + [
        (name, c_uint64) for name in (
            "live", "live_bytes", "views", "segments", "committed_bytes", "pinned_bytes",
            "found", "found_bytes", "found_views", "backend_segments", "backend_bytes",
            "backend_resident", "backend_pinned", "exported", "named")]


class Event(Structure):
    _fields_ = [("type", c_int)] + [(name, c_uint32) for name in ("pool", "node", "level")] + [
        (name, c_uint64) for name in (
            "free", "capacity", "bytes", "count", "moved", "freed", "skipped", "file",
            "buffers")] + [("pid", c_uint32), ("uid", c_uint32), ("comm", c_char * 16)]


EventFn = ctypes.CFUNCTYPE(c_int, POINTER(Event))


class DLManagedTensor(Structure):
    """Of the legacy structure only what comes after the tensor itself."""

    _fields_: ClassVar[Any] = [("tensor", c_uint64 * 6), ("manager_ctx", c_void_p),
                               ("deleter", c_void_p)]


class DLManagedTensorVersioned(Structure):
    """Of the versioned structure what comes before the tensor itself."""

    _fields_: ClassVar[Any] = [
        ("major", c_uint32), ("minor", c_uint32), ("manager_ctx", c_void_p),
        ("deleter", c_void_p), ("flags", c_uint64)]
