"""Audio at another sample rate or play rate, with soxr, as a source of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import soxr

from plugin_bridge.audio.pcm import interleaved
from plugin_bridge.audio.sequential import SequentialReader
from separators.base import Audio
from separators.streaming import AudioSource

CONVERTED_AT_ONCE = 1 << 15
MAX_RATIO = 256.0
"""Rates may differ by this factor at most; beyond it soxr's filters grow out of hand."""


class ResampledSource:
    """``source`` played at ``rate_in`` frames a second, heard at ``sample_rate``.

    The first frames coincide, and frame n lies at n / sample_rate seconds; what lies behind the
    source's end is silence up to ``frames``. Reading piece by piece gives the same samples as reading
    the whole, since the stream is always converted from its start.
    """

    def __init__(self, source: AudioSource, rate_in: float, sample_rate: int, frames: int) -> None:
        self.source = source
        self.rate_in = rate_in
        self.sample_rate = sample_rate
        self.channels = source.channels
        self.frames = frames
        self._reader = SequentialReader(source.channels, self._convert)

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``."""
        audio = np.zeros((self.channels, frames), np.float32)
        found = self._reader.read(start, frames)
        audio[:, : found.shape[1]] = found
        return audio

    def close(self) -> None:
        """Release the stream; reading starts it again."""
        self._reader.close()

    def _convert(self) -> Iterator[Audio]:
        stream = soxr.ResampleStream(
            self.rate_in, self.sample_rate, self.channels, dtype="float32", quality="VHQ"
        )
        for start in range(0, self.source.frames, CONVERTED_AT_ONCE):
            frames = min(CONVERTED_AT_ONCE, self.source.frames - start)
            block = self.source.read(start, frames)
            last = start + frames == self.source.frames
            yield np.ascontiguousarray(stream.resample_chunk(interleaved(block), last=last).T)
