"""Several tracks as the channels of one mixture: microphones that hear each other's instruments.

Every track is one channel; one with more channels is averaged for the separator. Source k is track
k's own: what the separator hears of it in track k is the track's ``direct`` stem, the same on all of
its channels, and what is left of the track is its ``bleed``. So the two sum to the track.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from plugin_bridge.errors import JobError
from separators.base import Audio, Separator, Transform
from separators.streaming import AudioSource, Progress, separate_blocks

DIRECT, BLEED = "direct", "bleed"


@dataclass(frozen=True)
class Placed:
    """A track and the frame of the common timeline that it begins at."""

    source: AudioSource
    start: int

    def overlap(self, start: int, frames: int) -> tuple[int, int]:
        """First and last frame of what the track fills of the timeline's ``start`` to ``start + frames``."""
        first = min(max(start, self.start), start + frames)
        return first, max(first, min(start + frames, self.start + self.source.frames))

    def read(self, first: int, last: int) -> Audio:
        """An overlap's audio."""
        if first == last:
            return np.zeros((self.source.channels, 0), np.float32)
        return self.source.read(first - self.start, last - first)


class Together:
    """Tracks as the channels of one :class:`~separators.streaming.AudioSource`, silent where they are not."""

    def __init__(self, tracks: Sequence[tuple[AudioSource, int]]) -> None:
        """``tracks`` are sources and their places in frames; raises :class:`JobError` for unequal rates."""
        rates = sorted({source.sample_rate for source, _ in tracks})
        if len(rates) != 1:
            raise JobError(
                f"tracks to be separated together must share a sample rate, these have "
                f"{', '.join(map(str, rates))} Hz; put them into a session folder and render that"
            )
        origin = min(start for _, start in tracks)
        self.tracks = [Placed(source, start - origin) for source, start in tracks]
        self.sample_rate = rates[0]
        self.channels = len(tracks)
        self.frames = max(track.start + track.source.frames for track in self.tracks)

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(tracks, frames)``."""
        audio = np.zeros((self.channels, frames), np.float32)
        for channel, track in zip(audio, self.tracks, strict=True):
            first, last = track.overlap(start, frames)
            channel[first - start : last - start] = track.read(first, last).mean(axis=0)
        return audio

    def separate(
        self,
        separator: Separator,
        progress: Progress | None = None,
        fitted: Callable[[Transform], None] | None = None,
    ) -> Iterator[list[tuple[Audio, Audio]]]:
        """Yield each track's next ``(direct, bleed)``; ``fitted`` gets the transform when it is learned.

        Raises :class:`JobError` if the separator does not find a source for each track.
        """
        names = separator.stem_names(self.channels)
        if len(names) < self.channels:
            raise JobError(
                f"{separator.name} finds {len(names)} sources in {self.channels} tracks, but each needs "
                "its own; set its number of sources to that of the tracks"
            )
        position = 0
        for stems in separate_blocks(separator, self, progress, fitted):
            frames = stems.shape[2]
            parts = []
            for index, track in enumerate(self.tracks):
                first, last = track.overlap(position, frames)
                block = track.read(first, last)
                own = stems[index, index, first - position : last - position]
                direct = np.repeat(own[np.newaxis], len(block), axis=0)
                parts.append((direct, block - direct))
            yield parts
            position += frames
