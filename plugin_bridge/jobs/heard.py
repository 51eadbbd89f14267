"""When each stem of a track is heard: how many people talk, and which instruments play when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio

FAINT = 1e-4
"""A stem is not heard in a second in which it has less than this part of the loudest one's energy: -40 dB."""
MASKED = 1e-2
"""Nor where it has less than this part of what all stems have in that second: -20 dB."""


class Heard:
    """Adds up the energy of stems second by second, in whatever blocks they come."""

    def __init__(self, stems: Sequence[str], sample_rate: int) -> None:
        self._stems = tuple(stems)
        self._rate = sample_rate
        self._frames = 0
        self._energies: list[NDArray[np.float64]] = []
        """One ``(stems,)`` for every second that has begun."""

    def add(self, stems: Sequence[Audio]) -> None:
        """The next block of all stems, each ``(channels, frames)``."""
        frames = stems[0].shape[1]
        start = 0
        while start < frames:
            if self._frames % self._rate == 0:
                self._energies.append(np.zeros(len(self._stems)))
            length = min(frames - start, self._rate - self._frames % self._rate)
            parts = [np.square(stem[:, start : start + length], dtype=np.float64).sum() for stem in stems]
            self._energies[-1] += parts
            start += length
            self._frames += length

    def spans(self) -> dict[str, list[list[float]]]:
        """For each stem the spans ``[start, end]`` in seconds in which it is heard, in order of time."""
        energies = np.array(self._energies).reshape(-1, len(self._stems))
        whole = energies.sum(1, keepdims=True)
        heard = (energies > FAINT * whole.max(initial=0.0)) & (energies > MASKED * whole)
        end = self._frames / self._rate
        return {stem: _spans(row, end) for stem, row in zip(self._stems, heard.T, strict=True)}


def _spans(seconds: NDArray[np.bool_], end: float) -> list[list[float]]:
    edges = np.flatnonzero(np.diff(np.pad(seconds.astype(np.int8), 1)))
    return [[float(start), min(float(stop), end)] for start, stop in edges.reshape(-1, 2)]
