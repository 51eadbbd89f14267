"""Where a separation runs: on the device that was asked for, until its memory does not do.

Then segments get shorter, and if that is not enough, the processor goes on.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
from typing import Any, Protocol, Self, TypeVar

import torch

from separators.base import Separator
from separators.neural.devices import AUTO, CPU, NAMES, called, chosen, said
from separators.parameters import parameter
from separators.process_wide import ProcessWide
from separators.remarks import remark

HALVINGS = 2
"""How often segments are halved before the processor takes over: a quarter of the memory, or less."""


class NetworkSeparator(Separator):
    """Base of the separators whose networks run where the user wants them to."""

    device: str = parameter(
        default=AUTO,
        help="Where the network runs: auto takes the first GPU that works, else the CPU. Where its memory "
        "does not do, segments get shorter, and then the CPU goes on.",
        form=NAMES,
        decides=False,
    )

    def placement(self, halvings: int = HALVINGS) -> Placement:
        """Where it runs, for one separation; raises :class:`~separators.neural.devices.DeviceError`."""
        return Placement(self.name, chosen(self.device), halvings)

    def find_device(self) -> None:
        """Raises :class:`~separators.neural.devices.DeviceError` where it cannot run as it is told to."""
        self.placement()

    def particulars(self) -> list[str]:
        """On which GPU it runs."""
        return said(self.name, self.device)


class Movable(Protocol):
    """Networks, and what can be moved like them."""

    def to(self, device: torch.device) -> Self:
        """It, on ``device``."""
        ...


N = TypeVar("N", bound=Movable)
T = TypeVar("T")

_lock = Lock()


class Placement:
    """The device of one separation and in how many parts its segments are cut; both change if need be."""

    def __init__(self, owner: str, device: torch.device, halvings: int = HALVINGS) -> None:
        self.owner = owner
        self.device = device
        self.parts = 1
        self.halvings = halvings

    def run(self, work: Callable[[torch.device, int], T]) -> T:
        """``work(device, parts)``; where memory is short, in smaller parts, and then on the processor."""
        while True:
            try:
                with full_precision(self.device):
                    return work(self.device, self.parts)
            except Exception as error:
                if self.device == CPU or not is_out_of_memory(error):
                    raise
            # Not in the handler, which would keep alive all that the failed try holds.
            self._fall_back()

    def _fall_back(self) -> None:
        full = f"{self.owner}: {called(self.device)} has not enough memory"
        if self.halvings > 0:
            self.parts, self.halvings = 2 * self.parts, self.halvings - 1
            remark(f"{full}; goes on with segments of 1/{self.parts} of their length")
        else:
            self.device, self.parts = CPU, 1
            remark(f"{full}; goes on on the CPU")
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device's memory did not do; only CUDA itself has a class for that."""
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(
        sign in text for sign in ("out of memory", "ALLOC_FAILED", "Failed to allocate memory")
    )


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """NVIDIA GPUs would round to ten bits (TF32, -60 dB) what they convolve, or products if users say so."""
    if device.type != "cuda":
        yield
        return
    with _unrounded.held():
        yield


def _without_rounding() -> Callable[[], None]:
    before = [(where, name, getattr(where, name)) for where, name, _ in _precisions()]
    for where, name, value in _precisions():
        setattr(where, name, value)

    def undo() -> None:
        for where, name, value in before:
            setattr(where, name, value)

    return undo


_unrounded = ProcessWide(_without_rounding)


def _precisions() -> list[tuple[Any, str, Any]]:
    """Settings, and what they must be. Where newer ones are used, PyTorch refuses to tell the older."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    if hasattr(cudnn, "conv"):
        return [(where, "fp32_precision", "ieee") for where in (cudnn.conv, cudnn.rnn, matmul)]
    return [(cudnn, "allow_tf32", False), (matmul, "allow_tf32", False)]


def moved(network: N, device: torch.device) -> N:
    """``network``, which is on the processor, on ``device``: a copy, made once for all threads."""
    if device == CPU:
        return network
    with _lock:
        found: N = _copied(network, device)  # type: ignore[arg-type]  # objects are hashable
        return found


@lru_cache(maxsize=8)
def _copied(network: N, device: torch.device) -> N:
    return copy.deepcopy(network).to(device)
