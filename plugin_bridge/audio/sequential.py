"""Random access to audio that can only be made from its start on: a decoder's or a resampler's output."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from separators.base import Audio

HISTORY = 1 << 19
"""Frames that are kept for stepping back: 11 seconds at 48 kHz, 4 MB in stereo."""


class SequentialReader:
    """Reads any position of a stream of blocks; in order, it is made once.

    A reader who steps back by less than :data:`HISTORY` costs nothing; one who steps back further
    starts the stream again. What is read does not depend on the order of reading.
    """

    def __init__(self, channels: int, start_stream: Callable[[], Iterator[Audio]]) -> None:
        """``start_stream`` gives consecutive blocks ``(channels, frames)`` from frame 0 on."""
        self.channels = channels
        self.start_stream = start_stream
        self.position = 0
        self._stream: Iterator[Audio] | None = None
        self._kept: deque[tuple[int, Audio]] = deque()

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames``; fewer if the stream ends before."""
        if self._stream is None or not self.holds(start):
            self.close()
            self._stream = self.start_stream()
        while self.position < start + frames:
            block = next(self._stream, None)
            if block is None:
                break
            self._kept.append((self.position, block))
            self.position += block.shape[1]
            while self._end_of_oldest() <= min(start, self.position - HISTORY):
                self._kept.popleft()
        audio = np.zeros((self.channels, max(0, min(start + frames, self.position) - start)), np.float32)
        for at, block in self._kept:
            first, last = max(at, start), min(at + block.shape[1], start + frames)
            if first < last:
                audio[:, first - start : last - start] = block[:, first - at : last - at]
        return audio

    def holds(self, start: int) -> bool:
        """Whether frame ``start`` can be read without starting the stream again."""
        return self._stream is not None and start >= (self._kept[0][0] if self._kept else self.position)

    def _end_of_oldest(self) -> int:
        at, block = self._kept[0]
        return at + int(block.shape[1])

    def close(self) -> None:
        """Forget the stream and what was kept of it; reading starts it again."""
        self._stream = None
        self._kept.clear()
        self.position = 0

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stream": None, "_kept": deque(), "position": 0}
