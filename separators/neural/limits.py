"""What a weights file may say of its network, so that nothing in it costs more than the file itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

Shapes = Mapping[str, tuple[int, ...]]


def whole(name: str, value: object, low: int, high: int) -> None:
    """Raise ValueError unless ``value`` is a whole number from ``low`` to ``high``."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value!r:.40}")


def wholes(name: str, values: object, low: int, high: int, most: int = 64) -> None:
    """Raise ValueError unless ``values`` are at most ``most`` such numbers."""
    if not isinstance(values, tuple) or len(values) > most:
        raise ValueError(f"{name} must be a list of at most {most} numbers, not {values!r:.40}")
    for value in values:
        whole(name, value, low, high)


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise ValueError unless ``value`` is among ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r:.40}")


def refuse_other_shapes(build: Callable[[], nn.Module], held: Shapes) -> None:
    """Raise ValueError unless the network that ``build`` makes has tensors of the names and shapes ``held``.

    It is made without memory for its numbers, so that a small file cannot ask for a large network.
    """
    with torch.device("meta"):
        needed = {name: tuple(value.shape) for name, value in build().state_dict().items()}
    for name in sorted(needed.keys() | held.keys()):
        if needed.get(name) != held.get(name):
            there, meant = _shape(held.get(name)), _shape(needed.get(name))
            raise ValueError(f"its tensor {name:.80} is {there}, its description means {meant}")


def _shape(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape)) or "a single number"
