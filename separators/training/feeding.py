"""Batches mixed by worker processes, so that a GPU need not wait for them.

Of N workers each mixes every Nth step's batch, ahead of time. What a step trains on depends on the seed and
its number alone, so it is the same with any number of workers.
"""

from __future__ import annotations

import mmap
import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch import Tensor

from separators.errors import SeparatorError

Mixer = Callable[[np.random.Generator], Any]
"""Makes a batch: tensors, in tuples or dataclasses."""


class FeedingError(SeparatorError):
    """A process that mixes batches has ended, or could not mix one."""


def step_rng(seed: int, step: int, member: int = 0) -> np.random.Generator:
    """The random numbers of a step's batch, for each process of a team."""
    return np.random.default_rng((seed, step, member))


class Feeder:
    """Batches of consecutive steps from ``first`` on, mixed by ``workers`` processes."""

    def __init__(self, mixer: Mixer, seed: int, first: int, workers: int) -> None:
        """Start the processes; ``mixer`` must be picklable. Recordings mapped into memory are not copied."""
        context = multiprocessing.get_context("spawn")
        self.step = first
        self.processes = []
        self.connections: list[Connection] = []
        for number in range(workers):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_mix, args=(theirs, mixer, seed, first + number, workers), daemon=True
            )
            process.start()
            theirs.close()  # so that a worker's end is seen
            self.processes.append(process)
            self.connections.append(ours)

    def next(self) -> Any:
        """The batch of the next step; raises :class:`FeedingError`."""
        try:
            # They took the steps in turn, from the first on.
            arrays = self.connections[0].recv()
        except EOFError:
            raise FeedingError("a process that mixes batches has ended; start the training again") from None
        if isinstance(arrays, Exception):
            raise FeedingError(f"a batch could not be mixed: {arrays}") from arrays
        self.connections.append(self.connections.pop(0))
        self.step += 1
        return mapped(arrays, torch.from_numpy)

    def close(self) -> None:
        """End the processes."""
        for process in self.processes:
            process.terminate()
        for connection in self.connections:
            connection.close()


def _mix(connection: Connection, mixer: Mixer, seed: int, first: int, every: int) -> None:
    """A worker: mixes and sends, until nobody listens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's to answer
    torch.set_num_threads(1)
    step = first
    try:
        while True:
            try:
                found = mapped(mixer(step_rng(seed, step)), lambda tensor: tensor.numpy())
            except Exception as error:
                connection.send(RuntimeError(f"{type(error).__name__}: {error}"))
                return
            connection.send(found)
            step += every
    except OSError:
        return  # the trainer is gone


def mapped(batch: Any, change: Callable[[Any], Any]) -> Any:
    """``batch`` with each of its tensors or arrays changed."""
    if isinstance(batch, Tensor | np.ndarray):
        return change(batch)
    if isinstance(batch, tuple):
        return tuple(mapped(part, change) for part in batch)
    if is_dataclass(batch) and not isinstance(batch, type):
        return replace(
            batch, **{field.name: mapped(getattr(batch, field.name), change) for field in fields(batch)}
        )
    return batch


def _mapped_again(recordings: np.memmap[Any, Any]) -> tuple[Any, ...]:
    """How recordings travel to a worker: by the name of their file, of which it maps all."""
    if isinstance(recordings.base, mmap.mmap):
        return np.memmap, (recordings.filename, recordings.dtype, "r", recordings.offset, recordings.shape)
    return np.array, (np.asarray(recordings),)


ForkingPickler.register(np.memmap, _mapped_again)
