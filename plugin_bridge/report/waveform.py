"""The outline of audio of any length: the lowest and highest sample of a bounded number of stretches."""

from __future__ import annotations

import numpy as np

from separators.base import Audio

COLUMNS = 4096
"""Most stretches; enough for a wide screen at several times its width."""


class Waveform:
    """Collects the extremes over all channels, and the peak and the energy of the whole."""

    def __init__(self, frames: int) -> None:
        """For ``frames`` samples of audio, which then come by :meth:`add`."""
        self.frames = frames
        self.columns = max(1, min(COLUMNS, frames))
        self.energy = 0.0
        """The sum of squares, the mean over the channels."""
        self._low = np.zeros(self.columns, np.float32)
        self._high = np.zeros(self.columns, np.float32)
        self._done = 0

    def add(self, audio: Audio) -> None:
        """Take in the next block ``(channels, frames)``."""
        length = audio.shape[1]
        if length == 0:
            return
        self.energy += float(np.square(audio, dtype=np.float64).sum()) / len(audio)
        column = (self._done + np.arange(length)) * self.columns // self.frames
        columns, starts = np.unique(column, return_index=True)
        low = np.minimum.reduceat(audio.min(axis=0), starts)
        high = np.maximum.reduceat(audio.max(axis=0), starts)
        self._low[columns] = np.minimum(self._low[columns], low)
        self._high[columns] = np.maximum(self._high[columns], high)
        self._done += length

    @property
    def peak(self) -> float:
        """The largest sample's magnitude so far."""
        return float(max(self._high.max(), -self._low.min()))

    def pairs(self, full_scale: float) -> bytes:
        """``low, high`` of each stretch as signed bytes, 127 for ``full_scale``; what sounds is never 0."""
        both = np.stack([self._low, self._high], axis=1) * (127 / full_scale if full_scale else 0)
        outward = np.where(both < 0, np.floor(both), np.ceil(both))
        return bytes(np.clip(outward, -127, 127).astype(np.int8).tobytes())
