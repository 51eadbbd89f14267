"""Trained weights: safetensors in half precision, loaded once and shared between threads."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from separators.errors import SeparatorError
from separators.neural.network import Architecture, Network

FOLDER = Path(__file__).parent / "weights"
FORMAT = "stembridge-voices-1"

_lock = Lock()


class WeightsError(SeparatorError):
    """A weights file is missing, damaged or of another kind."""


def save(network: Network, path: Path, notes: dict[str, Any]) -> None:
    """Write ``network`` in half precision, with its architecture and ``notes`` in the file's metadata."""
    tensors = {name: value.detach().half().contiguous() for name, value in network.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "architecture": json.dumps(network.architecture.to_dict()),
        "notes": json.dumps(notes),
    }
    partial = path.with_suffix(".part")
    partial.write_bytes(to_bytes(tensors, metadata))
    partial.replace(path)


def load(path: Path) -> Network:
    """The network in ``path``, ready for inference in single precision."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise WeightsError(f"{path} is not a weights file of a voice separator")
            network = Network(Architecture.from_dict(json.loads(metadata["architecture"])))
            network.load_state_dict({name: file.get_tensor(name).float() for name in file.keys()})  # noqa: SIM118
    except (OSError, SafetensorError, RuntimeError, KeyError) as error:
        raise WeightsError(f"cannot load the weights {path}: {error}") from error
    network.requires_grad_(False)
    return network.eval()


def network(name: str, path: str) -> Network:
    """The trained network of separator ``name``: the file at ``path``, or the package's own if that is empty.

    Loaded on first use, one copy for all threads; a file that has changed is loaded anew.
    """
    file = Path(path) if path else FOLDER / f"{name}.safetensors"
    if not file.is_file():
        raise WeightsError(f"{name}: there is no weights file {file}")
    status = file.stat()
    with _lock:
        return _cached(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=8)
def _cached(file: Path, _modified: int, _size: int) -> Network:
    return load(file)
