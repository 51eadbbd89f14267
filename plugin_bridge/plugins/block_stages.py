"""The stages of a streamed chain: each takes consecutive blocks and gives back as many frames in all.

A stage has ``process(block)``, which returns what is ready, and ``flush()``, which ends the signal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from separators import Audio

BLOCK_FRAMES = 8192
"""Pedalboard's own default ``buffer_size``."""
MAXIMUM_BLOCKS = 16
"""So many blocks are fed at once at most; ``run`` cuts them up."""


def joined(blocks: Sequence[Audio]) -> Audio:
    """``blocks``, at least one, one behind the other; an empty one may have any number of channels."""
    full = [block for block in blocks if block.shape[1]]
    return np.concatenate(full or [blocks[-1]], axis=1)


class FrameQueue:
    """Frames waiting, first in, first out."""

    def __init__(self, channels: int) -> None:
        self._blocks: deque[Audio] = deque()
        self.channels = channels
        self.frames = 0

    def put(self, block: Audio) -> None:
        """Put ``block`` behind all others."""
        if block.shape[1]:
            self._blocks.append(block)
            self.frames += block.shape[1]

    def put_back(self, block: Audio) -> None:
        """Put ``block`` before all others."""
        self._blocks.appendleft(block)
        self.frames += block.shape[1]

    def take(self, frames: int) -> Audio:
        """The first ``frames`` frames, copied."""
        taken = np.empty((self.channels, frames), np.float32)
        position = 0
        while position < frames:
            block = self._blocks.popleft()
            used = min(block.shape[1], frames - position)
            taken[:, position : position + used] = block[:, :used]
            position += used
            if used < block.shape[1]:
                self._blocks.appendleft(block[:, used:])
        self.frames -= frames
        return taken


class BlockStage:
    """Feeds ``run`` with blocks of one size and gives back as many frames as came in.

    ``run`` takes one or more whole blocks (at the end a shorter one) and returns as many frames or,
    where it holds some back, fewer: the latency, which is made up for with zeros at the end, as
    Pedalboard does inside one call.
    """

    def __init__(
        self, run: Callable[[Audio], Audio], channels: int, patience_frames: int, size: int = BLOCK_FRAMES
    ) -> None:
        self._run = run
        self._waiting = FrameQueue(channels)
        self._size = size
        self._patience = patience_frames
        self._fed = 0
        self._given = 0

    def process(self, block: Audio) -> Audio:
        """Take frames; returns those that are ready."""
        self._waiting.put(block)
        ready = [self._waiting.take(0)]
        while blocks := min(self._waiting.frames // self._size, MAXIMUM_BLOCKS):
            ready.append(self._feed(self._waiting.take(blocks * self._size)))
        return np.concatenate(ready, axis=1)

    def flush(self) -> Audio:
        """Feed the rest, then zeros until nothing is missing."""
        total = self._fed + self._waiting.frames
        size = min(self._size, total)  # as Pedalboard does for signals shorter than one block
        ready = [self._waiting.take(0)]
        while self._given < total:
            rest = self._waiting.take(min(self._waiting.frames, size))
            frames = min(size, total - self._given)
            block = np.zeros((len(rest), frames), np.float32)
            block[:, : rest.shape[1]] = rest
            missing = total - self._given
            ready.append(self._feed(block)[:, :missing])  # what works in steps of its own may give more
            if self._fed - total > self._patience:
                raise RuntimeError(f"a plug-in held back {total - self._given} frames for ever")
        return np.concatenate(ready, axis=1)

    def _feed(self, block: Audio) -> Audio:
        output = self._run(block)
        self._fed += block.shape[1]
        self._given += output.shape[1]
        return output


class WholeStage:
    """Calls ``run`` on the whole signal, which waits in memory, at its end; it may change the channels."""

    def __init__(self, run: Callable[[Audio], Audio], channels: int) -> None:
        self._run = run
        self._waiting = FrameQueue(channels)

    def process(self, block: Audio) -> Audio:
        """Take frames; none is ready."""
        self._waiting.put(block)
        return self._waiting.take(0)

    def flush(self) -> Audio:
        """Process all of them."""
        return self._run(self._waiting.take(self._waiting.frames))


class SegmentStage:
    """Calls ``run``, which keeps the length, on the whole signal, or on long segments of it.

    For what cannot be called block by block. Signals up to ``segment`` + 2 ``lead`` frames are one
    call; longer ones are cut into segments with ``lead`` frames of context on each side, and
    cross-faded over ``fade`` frames behind each cut.
    """

    def __init__(
        self, run: Callable[[Audio], Audio], channels: int, segment: int, lead: int, fade: int
    ) -> None:
        self._run = run
        self._waiting = FrameQueue(channels)
        self._segment = segment
        self._lead = lead
        self._ramp = ((np.arange(fade) + 0.5) / max(fade, 1)).astype(np.float32)
        self._context = np.zeros((channels, 0), np.float32)  # the frames before the waiting ones
        self._held: Audio | None = None  # the last segment's view of the first waiting frames

    def process(self, block: Audio) -> Audio:
        """Take frames; returns a segment when one is complete."""
        self._waiting.put(block)
        ready = [self._waiting.take(0)]
        while self._waiting.frames > self._segment + 2 * self._lead:
            frames = self._waiting.take(self._segment + self._lead)
            output = self._next(frames)
            ready.append(output[:, : self._segment])
            self._held = output[:, self._segment : self._segment + len(self._ramp)]
            self._context = frames[:, self._segment - self._lead : self._segment]
            self._waiting.put_back(frames[:, self._segment :])
        return np.concatenate(ready, axis=1)

    def flush(self) -> Audio:
        """Process what is left."""
        return self._next(self._waiting.take(self._waiting.frames))

    def _next(self, frames: Audio) -> Audio:
        before = self._context.shape[1]
        output = self._run(np.concatenate([self._context, frames], axis=1))[:, before:]
        if self._held is not None:
            fade = len(self._ramp)
            output[:, :fade] += (1 - self._ramp) * (self._held - output[:, :fade])
        return output
