"""Several processes train one network: each draws its own batches, their gradients are averaged.

On a few cores this beats more threads in one process: small convolutions leave threads waiting.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = timedelta(minutes=30)
"""How long a member waits for the others, who may be validating."""


class Team:
    """The processes that train together; number 0 decides, the others follow."""

    def __init__(self, meeting: Path, number: int, size: int) -> None:
        """Meet the other members at the file ``meeting``, which must be new."""
        self.number = number
        self.size = size
        dist.init_process_group(
            "gloo", init_method=meeting.resolve().as_uri(), rank=number, world_size=size, timeout=PATIENCE
        )

    def average(self, gradients: Iterable[Tensor], rate: float) -> float:
        """Replace ``gradients`` by their mean over the team; returns the learning rate of number 0."""
        gradients = list(gradients)
        decided = torch.tensor([rate if self.number == 0 else 0.0])
        self.add([*gradients, decided])
        torch._foreach_div_(gradients, self.size)
        return float(decided)

    def add(self, tensors: list[Tensor]) -> None:
        """Replace each of ``tensors`` by its sum over the team."""
        together = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(together)
        parts = torch.split(together, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def leave(self) -> None:
        """Part from the others; they end with an error when they next wait for this one."""
        dist.destroy_process_group()


def start_members(
    folder: Path, size: int, member: Callable[..., None], *arguments: Any
) -> tuple[Path, list[BaseProcess]]:
    """Start ``size - 1`` processes that call ``member(meeting, number, size, *arguments)``.

    They end with this process. ``member`` and its arguments must be picklable.
    """
    meeting = folder / f"meeting-{uuid4().hex}"
    context = multiprocessing.get_context("spawn")
    members: list[BaseProcess] = []
    for number in range(1, size):
        process = context.Process(target=member, args=(meeting, number, size, *arguments), daemon=True)
        process.start()
        members.append(process)
    return meeting, members
