# SPDX-License-Identifier: LGPL-2.1-or-later
"""Model files (GGUF, safetensors) in a pool's memory."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Union

from ._arguments import fits
from ._arguments import path as path_of
from ._closing import Closing
from ._library import lib
from ._process import Handle, guarded, prepared
from ._structs import CError, ModelInfo, ModelOptions, ProgressFn
from .dtypes import DType, by_number
from .errors import InvalidError, check, closed, inherited
from .pool import Pool
from .pool import _choice
from .tensor import Tensor, _fail
from .tracking import Figures

if TYPE_CHECKING:
    import numpy

DIALECTS = {"auto": 0, "ggml": 1, "bitnet": 2}
BUFFERED = 1

Path = Union[str, os.PathLike[str]]


@dataclass(frozen=True)
class Progress(Figures):
    """How far a load has come: bytes, and files of the set."""

    done: int
    total: int
    files_done: int
    files: int


@dataclass(frozen=True)
class Info:
    """What was loaded and how: see struct bitmem_model_info."""

    #: "gguf" or "safetensors".
    format: str
    #: "io_uring+direct+fixed", "pread+buffered" …
    io: str
    #: Bytes of all tensors, and bytes read from the files' data.
    nbytes: int
    bytes_read: int
    seconds: float
    files: tuple[str, ...]
    tensors: int


@dataclass(frozen=True)
class Entry:
    """A tensor as its file describes it."""

    name: str
    #: The file's own name of the element type.
    dtype_name: str
    dtype: DType
    #: In the file's own order: GGUF has the fastest first.
    file_shape: tuple[int, ...]
    nbytes: int
    #: Which of Info.files holds it, and where its data starts in that.
    file: int
    file_offset: int


class Arrays(Mapping[str, "numpy.ndarray[Any, Any]"]):
    """A model's tensors as arrays of NumPy's, by name. Types that NumPy does not have are
    bytes, one after the other."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getitem__(self, name: str) -> numpy.ndarray[Any, Any]:
        return self._model[name].numpy()

    def __iter__(self) -> Iterator[str]:
        return iter(self._model)

    def __len__(self) -> int:
        return len(self._model)


class Model(Closing, Mapping[str, Tensor]):
    """The tensors of a model by name, in the files' order. Those that somebody still has, or has
    arrays of, stay when it is closed: with all of the file that they are from."""

    def __init__(self, paths: Sequence[Path], pool: Optional[Pool] = None, *,
                 progress: Optional[Callable[[Progress], Any]] = None, buffered: bool = False,
                 dialect: str = "auto", queue_depth: int = 0, window: int = 0,
                 **pool_options: Any) -> None:
        self._handle: Optional[Handle] = None
        self._own_pool: Optional[Pool] = None
        if pool is not None and pool_options:
            raise TypeError(f"load: the pool is there already, and has its {min(pool_options)}")
        options, words = prepared(ModelOptions, lib.model_options_init_sized), CError()
        options.flags = BUFFERED if buffered else 0
        options.dialect = _choice("dialect", dialect, DIALECTS)
        options.queue_depth = fits("queue_depth", queue_depth, 1 << 32)
        options.window = fits("window", window, 1 << 64)
        options.error = ctypes.pointer(words)
        if pool is None:
            pool = self._own_pool = Pool(**pool_options)
        try:
            self._load(pool, [path_of(path, "path") for path in paths], options, words, progress)
        except BaseException:
            self.close()
            raise

    def _load(self, pool: Pool, paths: list[bytes], options: Any, words: CError,
              progress: Optional[Callable[[Progress], Any]]) -> None:
        raised: list[BaseException] = []

        def told(raw: Any) -> None:
            if progress is not None:
                progress(Progress._of(raw.contents))

        # Without somebody to tell, too: this is where Ctrl-C is noticed.
        options.progress = ProgressFn(guarded(told, raised))
        array = (ctypes.c_char_p * len(paths))(*paths)
        pointer = lib.model_load_files(pool._own(), array, len(paths), ctypes.byref(options))
        if raised:
            if pointer:
                lib.model_close(pointer)
            raise raised[0]
        self._handle = Handle(pointer or _fail("load", words), lib.model_close)
        self._info = self._read_info()
        self._index = {}
        for i in range(self._info.tensors):
            raw = lib.model_entry(self._handle, i).contents
            self._index[_name(raw.name)] = i

    def _read_info(self) -> Info:
        raw = ModelInfo()
        check(lib.model_info(self._own(), ctypes.byref(raw)), "model")
        files = tuple(os.fsdecode(lib.model_file(self._own(), i)) for i in range(raw.files))
        return Info(raw.format_name.decode(), raw.io.decode(), raw.bytes, raw.bytes_read,
                    raw.seconds, files, raw.tensors)

    # --- its life ---

    def _own(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise closed("model")
        if handle.inherited:
            raise inherited("model")
        return handle

    def close(self) -> None:
        """Drops the model's own references. Once more does nothing."""
        self._handle = None
        if self._own_pool is not None:
            self._own_pool.close()

    @property
    def closed(self) -> bool:
        return self._handle is None

    _enter = _own

    # --- what is in it ---

    @property
    def info(self) -> Info:
        """What was loaded and how."""
        return self._info

    @property
    def arrays(self) -> Arrays:
        """The same names with arrays of NumPy's."""
        return Arrays(self)

    def _raw(self, name: str) -> Any:
        handle = self._own()
        return handle, lib.model_entry(handle, self._index[name]).contents

    def entry(self, name: str) -> Entry:
        """How the file describes a tensor."""
        _, raw = self._raw(name)
        return Entry(name, raw.dtype_name.decode(), by_number(raw.dtype),
                     tuple(raw.shape[:raw.ndims]), raw.bytes, raw.file, raw.file_offset)

    def __getitem__(self, name: str) -> Tensor:
        _keep, raw = self._raw(name)
        return Tensor(lib.tensor_ref(raw.tensor) or _fail(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<bitmem.Model {self._info.format}, {len(self)} tensors{state}>"


def _name(raw: bytes) -> str:
    """Names are UTF-8, or in GGUF whatever bytes there are."""
    return raw.decode(errors="surrogateescape")


def load(path: Union[Path, Sequence[Path]], pool: Optional[Pool] = None, *,
         progress: Optional[Callable[[Progress], Any]] = None, buffered: bool = False,
         dialect: str = "auto", queue_depth: int = 0, window: int = 0,
         **pool_options: Any) -> Model:
    """Loads a model: a file, the first of a split GGUF, the index of a sharded safetensors, or
    several of those. Without a pool it gets one of its own, for which there may be open()'s
    arguments, and which is closed with it. What `progress` raises ends the load."""
    paths = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    if not paths:
        raise InvalidError(errno.EINVAL, "load: no files")
    return Model(paths, pool, progress=progress, buffered=buffered, dialect=dialect,
                 queue_depth=queue_depth, window=window, **pool_options)
