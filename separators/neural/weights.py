"""Trained weights: safetensors in half precision, loaded once and shared between threads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import nn

from separators import regular_files
from separators.atomic import write_atomically
from separators.errors import SeparatorError
from separators.forks import refuse_after_fork
from separators.neural.limits import refuse_other_shapes
from separators.neural.network import Architecture, Network

FOLDER = Path(__file__).parent / "weights"
FORMAT = "stembridge-voices-1"

N = TypeVar("N", bound=nn.Module)

_lock = Lock()


class WeightsError(SeparatorError):
    """A weights file is missing, damaged or of another kind."""


def save(network: Network, path: Path, notes: dict[str, Any]) -> None:
    """Write a voice network in half precision, with its architecture and ``notes`` in the file's metadata."""
    write(network, path, FORMAT, network.architecture.to_dict(), notes)


def notes(path: Path) -> dict[str, Any]:
    """What was noted with the weights in ``path`` when they were saved."""
    with safe_open(path, "pt") as file:
        found: dict[str, Any] = json.loads((file.metadata() or {}).get("notes", "{}"))
    return found


def load(path: Path) -> Network:
    """The voice network in ``path``, ready for inference in single precision."""
    return read(path, FORMAT, lambda values: Network(Architecture.from_dict(values)))


def network(name: str, path: str) -> Network:
    """The trained network of the voice separator ``name``; see :func:`trained`."""
    return trained(name, path, load)


def write(
    network: nn.Module, path: Path, format: str, architecture: Mapping[str, Any], notes: Mapping[str, Any]
) -> None:
    """Write the weights of ``network`` in half precision, and what it takes to build it again."""
    tensors = {name: value.detach().half().contiguous() for name, value in network.state_dict().items()}
    metadata = {"format": format, "architecture": json.dumps(architecture), "notes": json.dumps(notes)}
    write_atomically(path, to_bytes(tensors, metadata))


def read(path: Path, format: str, build: Callable[[dict[str, Any]], N]) -> N:
    """The network in ``path``, which must be of this ``format``, made by ``build(architecture)``.

    Its tensors are compared with its description first, so that it takes no more memory than its file.
    Raises :class:`WeightsError`.
    """
    try:
        regular_files.check(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            found = metadata.get("format")
            if found != format:
                raise WeightsError(f"{path} holds weights of the format {found!s:.40}, not {format}")
            architecture = json.loads(metadata["architecture"])
            names = list(file.keys())
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            refuse_other_shapes(lambda: build(architecture), shapes)
            tensors = {name: file.get_tensor(name).float() for name in names}
            for name, tensor in tensors.items():
                if not tensor.isfinite().all():
                    raise ValueError(f"its tensor {name} holds NaN or infinity")
            network = build(architecture)
            network.load_state_dict(tensors)
    except (
        OSError,
        SafetensorError,
        RuntimeError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise WeightsError(f"cannot load the weights {path}: {_reason(error)}") from error
    network.requires_grad_(False)
    return network.eval()


def _reason(error: Exception) -> str:
    """What is wrong, in words of our own: those of libraries say nothing to people."""
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    if isinstance(error, json.JSONDecodeError | LookupError | TypeError | AttributeError | RecursionError):
        return "its description is missing or damaged"
    if isinstance(error, ValueError):
        return str(error)
    return "it is damaged, or no safetensors file"


def trained(name: str, path: str, load: Callable[[Path], N]) -> N:
    """The trained network of separator ``name``: the file at ``path``, or the package's own if that is empty.

    Loaded on first use, one copy for all threads; a file that has changed is loaded anew.
    Raises :class:`~separators.errors.ForkError`.
    """
    refuse_after_fork()
    file = _file(name, path)
    status = file.stat()
    with _lock:
        found: N = _cached(load, file, status.st_mtime_ns, status.st_size)
        return found


def given(name: str, path: str) -> list[Path]:
    """The weights file at ``path`` for separator ``name``; none if that is empty."""
    return [_file(name, path)] if path else []


def _file(name: str, path: str) -> Path:
    file = Path(path) if path else FOLDER / f"{name}.safetensors"
    try:
        regular_files.check(file)
    except OSError as error:
        reason = f": {error.strerror}" if not isinstance(error, FileNotFoundError) else ""
        raise WeightsError(f"{name}: there is no weights file {file}{reason}") from None
    return file


@lru_cache(maxsize=8)
def _cached(load: Callable[[Path], Any], file: Path, _modified: int, _size: int) -> Any:
    return load(file)
