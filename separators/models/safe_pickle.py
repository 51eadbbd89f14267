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

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from separators.models.files import ModelError, first_line

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

    Raises :class:`ModelError` if it cannot be read, or names what even the restricted reader refuses.
    """
    known = dict(known or {})
    try:
        names = get_unsafe_globals_in_checkpoint(path) if zipfile.is_zipfile(path) else []
        for name in names:
            known.setdefault(name, type(name.rpartition(".")[2], (Nothing,), {}))
        with _lock, safe_globals([(taken, name) for name, taken in known.items()]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (
        OSError,
        RuntimeError,
        ValueError,
        LookupError,
        TypeError,
        EOFError,
        pickle.UnpicklingError,
    ) as error:
        raise ModelError(f"{path} cannot be read as a file of torch.save: {first_line(error)}") from error
