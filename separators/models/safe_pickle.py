"""Reads what ``torch.save`` has written without running anything that the file asks for.

A pickle names functions and classes and says what to call them with. Here none of them is imported:
torch's own restricted reader builds tensors, numbers, texts and containers, and every other
name stands for a harmless object (:class:`Nothing`), unless the caller puts something of its own in
its place. Files refer to classes of the programs that made them where nothing of these is needed.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from separators import regular_files
from separators.models.files import ModelError, reason

_lock = Lock()


class Nothing:
    """Stands for an object whose class is not known here; it swallows what it is made of."""

    def __new__(cls, *_arguments: Any, **_named: Any) -> Nothing:
        """Take anything."""
        return super().__new__(cls)

    def __init__(self, *_arguments: Any, **_named: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        """Forget it."""


def read(path: Path, known: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """What ``torch.save`` wrote to ``path``; ``known`` maps names in the file to what to take for them.

    Raises :class:`ModelError` if it cannot be read, names what even the restricted reader refuses, or holds
    arrays that are larger than the file: those that repeat few numbers, or none at all.
    """
    known = dict(known or {})
    try:
        size = regular_files.check(path).st_size
        if zipfile.is_zipfile(path):
            _refuse_packed(path, size)
        names = get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else []
        for name in names:
            known.setdefault(name, type(name.rpartition(".")[2], (Nothing,), {}))
        with _lock, safe_globals([(taken, name) for name, taken in known.items()]):
            found = torch.load(path, map_location="cpu", weights_only=True)
        _refuse_larger(found, size)
    except (
        OSError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        EOFError,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
    ) as error:
        why = reason(error) if isinstance(error, OSError | ValueError) else "it is damaged, or asks for more"
        raise ModelError(f"{path} cannot be read as a file of torch.save: {why}") from error
    return found


def _refuse_packed(path: Path, size: int) -> None:
    """torch.save never compresses; what is compressed can be of any size."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > size:
            raise ValueError("it is compressed, which torch.save does not do")


def _refuse_larger(found: Any, size: int) -> None:
    """Raise ValueError if the arrays in ``found`` have more bytes than their file."""
    arrays: dict[tuple[int, int], int] = {}
    seen: set[int] = set()
    waiting = [found]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
                raise ValueError("it holds tensors that are not plain numbers")
            count = value.numel() * value.element_size()
            arrays[value.data_ptr(), count] = count
        elif isinstance(value, np.ndarray):
            arrays[value.ctypes.data, value.nbytes] = value.nbytes
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
    if sum(arrays.values()) > size:
        raise ValueError(f"it asks for {sum(arrays.values())} bytes, more than the {size} that it has")
