# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is called of the library: by name, the result and the arguments."""

from __future__ import annotations

from ctypes import (POINTER, c_char_p, c_int, c_size_t, c_uint, c_uint64, c_void_p)
from typing import Any

from . import _structs as s

# A pointer to something opaque, or to memory.
P = c_void_p
SITE = POINTER(s.Site)
ERROR = POINTER(s.CError)
SHAPE = s.Shape
CHANGES = POINTER(POINTER(s.Change))

KEY = (c_uint64, (POINTER(s.Live), P))

Table = dict[str, tuple[Any, tuple[Any, ...]]]

FUNCTIONS: Table = {
    # bitmem.h
    "bitmem_version": (c_char_p, ()),
    "bitmem_options_init_sized": (None, (POINTER(s.Options), c_size_t)),
    "bitmem_open": (P, (POINTER(s.Options),)),
    "bitmem_close": (c_size_t, (P,)),
    "bitmem_backend": (c_int, (P,)),
    "bitmem_backend_name": (c_char_p, (c_int,)),
    "bitmem_alloc_at": (P, (P, c_size_t, c_size_t, SITE)),
    "bitmem_zalloc_at": (P, (P, c_size_t, c_size_t, SITE)),
    "bitmem_free": (c_int, (P, P)),
    "bitmem_usable_size": (c_size_t, (P, P)),
    "bitmem_trim": (c_size_t, (P,)),
    "bitmem_stats": (c_int, (P, POINTER(s.Stats))),
    "bitmem_tensor_new_at": (P, (P, c_int, c_uint, SHAPE, SITE)),
    "bitmem_tensor_empty_at": (P, (P, c_int, c_uint, SHAPE, SITE)),
    "bitmem_tensor_view_at": (P, (P, c_int, c_uint, SHAPE, c_size_t, SITE)),
    "bitmem_tensor_ref": (P, (P,)),
    "bitmem_tensor_unref": (None, (P,)),
    "bitmem_tensor_data": (P, (P,)),
    "bitmem_tensor_bytes": (c_size_t, (P,)),
    "bitmem_tensor_dtype": (c_int, (P,)),
    "bitmem_tensor_ndims": (c_uint, (P,)),
    "bitmem_tensor_shape": (SHAPE, (P,)),
    # dtype.h
    "bitmem_dtype_info": (POINTER(s.DTypeInfo), (c_int,)),
    "bitmem_dtype_bytes": (c_int, (c_int, c_uint, SHAPE, c_uint, POINTER(c_uint64))),
    # lifetime.h
    "bitmem_tensor_weak": (c_int, (P, POINTER(s.Weak))),
    "bitmem_weak_get": (P, (POINTER(s.Weak),)),
    "bitmem_tensor_reshape_at": (P, (P, c_uint, SHAPE, ERROR, SITE)),
    "bitmem_tensor_part_at": (P, (P, SHAPE, SHAPE, ERROR, SITE)),
    "bitmem_tensor_clone_at": (P, (P, SITE)),
    "bitmem_tensor_copy_at": (P, (P, P, SITE)),
    "bitmem_tensor_zeros_at": (P, (P, c_int, c_uint, SHAPE, SITE)),
    "bitmem_tensor_set_name": (c_int, (P, c_char_p)),
    "bitmem_tensor_name": (c_int, (P, c_char_p, c_size_t)),
    "bitmem_tensor_find": (P, (P, c_char_p)),
    "bitmem_tensor_set_tag": (c_int, (P, c_char_p)),
    "bitmem_tensor_tag": (c_int, (P, c_char_p, c_size_t)),
    # dlpack.h
    "bitmem_tensor_to_dlpack": (P, (P,)),
    "bitmem_tensor_to_dlpack_legacy": (P, (P,)),
    "bitmem_tensor_from_dlpack": (P, (P, P, ERROR)),
    "bitmem_tensor_from_dlpack_legacy": (P, (P, P, ERROR)),
    # share.h
    "bitmem_tensor_new_shareable_at": (P, (P, c_int, c_uint, SHAPE, SITE)),
    "bitmem_tensor_send": (c_int, (c_int, P)),
    "bitmem_tensor_receive_at": (P, (P, c_int, ERROR, SITE)),
    # model.h
    "bitmem_model_options_init_sized": (None, (POINTER(s.ModelOptions), c_size_t)),
    "bitmem_model_load_files": (P, (P, POINTER(c_char_p), c_size_t, POINTER(s.ModelOptions))),
    "bitmem_model_close": (None, (P,)),
    "bitmem_model_info": (c_int, (P, POINTER(s.ModelInfo))),
    "bitmem_model_file": (c_char_p, (P, c_size_t)),
    "bitmem_model_entry": (POINTER(s.ModelEntry), (P, c_size_t)),
    # pressure.h
    "bitmem_pressure": (c_int, (P,)),
    "bitmem_pressure_watch": (c_int, (P, c_int, s.PressureFn, P, POINTER(c_uint64))),
    "bitmem_pressure_unwatch": (c_int, (P, c_uint64)),
    "bitmem_strategy_init_sized": (None, (POINTER(s.Strategy), c_size_t)),
    "bitmem_set_strategy": (c_int, (P, POINTER(s.Strategy))),
    "bitmem_get_strategy": (c_int, (P, POINTER(s.Strategy))),
    "bitmem_strategy_stats": (c_int, (P, POINTER(s.StrategyStats))),
    # pools.h
    "bitmem_pool_options_init_sized": (None, (POINTER(s.PoolOptions), c_size_t)),
    "bitmem_pool_add": (c_int, (P, POINTER(s.PoolOptions), POINTER(c_uint))),
    "bitmem_pool_info": (c_int, (P, c_uint, POINTER(s.PoolOptions))),
    "bitmem_pool_pressure": (c_int, (P, c_uint, POINTER(c_int))),
    "bitmem_alloc_in_at": (P, (P, c_uint, c_size_t, c_size_t, SITE)),
    "bitmem_zalloc_in_at": (P, (P, c_uint, c_size_t, c_size_t, SITE)),
    "bitmem_tensor_new_in_at": (P, (P, c_uint, c_int, c_uint, SHAPE, SITE)),
    "bitmem_tensor_empty_in_at": (P, (P, c_uint, c_int, c_uint, SHAPE, SITE)),
    "bitmem_pool_of": (c_int, (P, P)),
    "bitmem_policy_init_sized": (None, (POINTER(s.Policy), c_size_t)),
    "bitmem_set_policy": (c_int, (P, c_uint, POINTER(s.Policy))),
    "bitmem_tensor_migrate": (c_int, (P, c_uint)),
    "bitmem_pool_usage": (c_int, (P, c_uint, POINTER(s.PoolUsage))),
    "bitmem_compact": (c_int, (P, POINTER(s.Compacted))),
    # track.h
    "bitmem_symbol": (c_size_t, (P, c_char_p, c_size_t)),
    "bitmem_snapshot": (P, (P,)),
    "bitmem_snapshot_free": (None, (P,)),
    "bitmem_snapshot_stats": (c_int, (P, POINTER(s.Stats))),
    "bitmem_snapshot_count": (c_size_t, (P,)),
    "bitmem_snapshot_get": (POINTER(s.Live), (P, c_size_t)),
    "bitmem_snapshot_report": (c_int, (P, c_int, c_int)),
    "bitmem_by_place": KEY,
    "bitmem_by_dtype": KEY,
    "bitmem_by_pool": KEY,
    "bitmem_by_tag": KEY,
    "bitmem_by_kind": KEY,
    "bitmem_by_size": KEY,
    "bitmem_snapshot_group": (c_int, (P, s.KeyFn, P, POINTER(POINTER(s.Group)),
                                      POINTER(c_size_t))),
    "bitmem_leaks": (P, (P, P)),
    "bitmem_mark": (P, (P,)),
    "bitmem_mark_free": (None, (P,)),
    "bitmem_mark_sum": (s.Sum, (P,)),
    "bitmem_mark_diff": (c_int, (P, P, CHANGES, POINTER(c_size_t))),
    "bitmem_growth_init_sized": (None, (POINTER(s.Growth), c_size_t)),
    "bitmem_suspects": (c_int, (POINTER(P), c_size_t, POINTER(s.Growth), CHANGES,
                                POINTER(c_size_t))),
    "bitmem_trace": (P, (P,)),
    "bitmem_trace_free": (None, (P,)),
    "bitmem_trace_count": (c_size_t, (P,)),
    "bitmem_trace_lost": (c_uint64, (P,)),
    "bitmem_trace_get": (POINTER(s.TraceEvent), (P, c_size_t)),
    "bitmem_stacks_lost": (c_uint64, (P,)),
    "bitmem_audit": (c_int, (P, POINTER(s.Audit))),
}

# libbitmem-events
EVENTS: Table = {
    "bitmem_events_open": (P, (c_uint,)),
    "bitmem_events_close": (None, (P,)),
    "bitmem_events_fd": (c_int, (P,)),
    "bitmem_events_read": (c_int, (P, s.EventFn, P)),
}

# What drops things, which happens between any two lines of Python: it leaves errno alone.
QUIET = ("bitmem_close", "bitmem_free", "bitmem_tensor_unref", "bitmem_model_close",
         "bitmem_snapshot_free", "bitmem_mark_free", "bitmem_trace_free", "bitmem_events_close")
