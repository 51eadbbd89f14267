"""Runs any separator over audio of any length in flat memory.

The separator learns from a bounded sample, spread out over what sounds in the source, and then
transforms overlapping blocks, which are cross-faded where they overlap. The cross-fade's
weights sum to one, so stems that sum to the mixture in every block sum to it everywhere.
Block borders lie on a grid of :data:`GRID` frames, so that the STFT frames of neighbouring
blocks fall on the same samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from separators.base import AnyPlace, Audio, Piece, PlacedTransform, Separator, Stems, Transform
from separators.errors import AudioError
from separators.remarks import remark
from separators.sampling import QUIET_DB, cell_frames, stretches_to_hear

GRID = 4096
"""Blocks start at multiples of this many frames."""
SAMPLE_PIECES = 12
"""The fitting sample of a long source is as long as this many pieces, and mostly consists of them."""
LITTLE_SECONDS = 3.0
"""If less than this sounds in a long source's sample, the user is told."""
MOMENT_SECONDS = 0.05
"""Over such moments it is judged what sounds."""

Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all); may raise to stop the work."""


class AudioSource(Protocol):
    """Anything that audio can be read from at any position: an array, a file, a session's track."""

    @property
    def sample_rate(self) -> int:
        """In hertz."""
        ...

    @property
    def channels(self) -> int:
        """How many channels."""
        ...

    @property
    def frames(self) -> int:
        """How many frames from start to end."""
        ...

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``, all inside the source."""
        ...


class ArraySource:
    """Audio in memory as an :class:`AudioSource`."""

    def __init__(self, audio: Audio, sample_rate: int) -> None:
        self.audio = audio
        self.sample_rate = sample_rate
        self.channels, self.frames = audio.shape

    def read(self, start: int, frames: int) -> Audio:
        """A view of frames ``start`` to ``start + frames``."""
        return self.audio[:, start : start + frames]


def as_audio(audio: NDArray[Any]) -> Audio:
    """Check ``(channels, frames)`` or ``(frames,)`` float audio; returns float32 ``(channels, frames)``."""
    array = np.asarray(audio)
    if array.dtype not in (np.float32, np.float64):
        raise AudioError(f"audio must be float32 or float64, not {array.dtype}; scale it to -1..1 first")
    if array.ndim == 1:
        array = array[np.newaxis]
    if array.ndim != 2:
        raise AudioError(f"audio must have the shape (channels, frames) or (frames,), not {array.shape}")
    if array.shape[0] == 0 and array.shape[1] > 0:
        raise AudioError(f"audio of shape {array.shape} has no channels")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite and is refused
        array = array.astype(np.float32, copy=False)
    _refuse_non_finite(array, 0)
    return array


def separate_array(separator: Separator, mixture: NDArray[Any], sample_rate: float) -> Stems:
    """Separate audio in memory; see :meth:`separators.base.Separator.separate`."""
    audio = as_audio(mixture)
    if not (math.isfinite(sample_rate) and sample_rate >= 1):
        raise AudioError(f"the sample rate must be at least 1 Hz, not {sample_rate!r}")
    source = ArraySource(audio, round(sample_rate))
    names = separator.stem_names(source.channels)
    array = np.zeros((len(names), *audio.shape), np.float32)
    position = 0
    for stems in separate_blocks(separator, source):
        array[:, :, position : position + stems.shape[2]] = stems
        position += stems.shape[2]
    return Stems(names, array, source.sample_rate)


def separate_blocks(
    separator: Separator,
    source: AudioSource,
    progress: Progress | None = None,
    fitted: Callable[[Transform], None] | None = None,
) -> Iterator[Audio]:
    """Separate ``source`` and yield its stems ``(stems, channels, frames)`` in consecutive pieces.

    The pieces join without gap or overlap to the source's length. ``fitted`` gets the transform as
    soon as it is learned (never, if the source is silent). Raises
    :class:`~separators.errors.ChannelError` before any work if the method cannot serve the
    source's channels, :class:`AudioError` if the source holds NaN or infinity.
    """
    separator.stem_names(source.channels)
    if source.frames == 0:
        return
    transform = FittedTransform(separator, source, fitted)
    block = _on_grid(separator.block_seconds * source.sample_rate)
    overlap = min(_on_grid(separator.overlap_seconds * source.sample_rate), block)
    fade_in = _fade(overlap)

    tail: Audio | None = None  # the faded end of the last block, waiting for the next one
    for start in range(0, source.frames, block):
        # A short rest joins the block before it, so that no block is shorter than the overlap.
        last = source.frames - start <= block + overlap
        end = source.frames if last else start + block + overlap
        stems = transform(_read(source, start, end - start), start)
        if tail is not None:
            stems[:, :, :overlap] *= fade_in
            stems[:, :, :overlap] += tail
        if not last:
            tail = stems[:, :, block:] * fade_in[::-1]
            stems = stems[:, :, :block]
        yield stems
        if progress is not None:
            progress(min(start + stems.shape[2], source.frames), source.frames)
        if last:
            return


class FittedTransform:
    """The transform of a separator fitted to a source, at any level.

    Fits on the source's sample (or, if that is silent, on the first block that is not).
    ``fitted`` gets what was learned then.
    """

    def __init__(
        self,
        separator: Separator,
        source: AudioSource,
        fitted: Callable[[Transform], None] | None = None,
        pieces: Sequence[Piece] | None = None,
    ) -> None:
        """``pieces`` say where ``source`` lies in the whole audio if it is a sample of that."""
        self.separator = separator
        self.fitted = fitted
        self.sample_rate = source.sample_rate
        self.stem_count = len(separator.stem_names(source.channels))
        self.scale = 1.0
        self.transform: PlacedTransform | None = None
        sample, found = fitting_sample(source, separator.fit_seconds)
        if sample.shape[1] < source.frames:
            self._say_if_little(sample, source.frames)
        self._fit(sample, found if pieces is None else _pieces_of_pieces(found, pieces))

    def _say_if_little(self, sample: Audio, frames: int) -> None:
        sounding = _sounding_seconds(sample, self.sample_rate)
        if 0 < sounding < min(LITTLE_SECONDS, self.separator.fit_seconds / 4):
            remark(
                f"{self.separator.name}: only {sounding:.2g} s of the audio's "
                f"{frames / self.sample_rate:.0f} s are not far softer than its loudest moment, and what is "
                "learned from so little may be poor; cut out the part that matters, or take out clicks"
            )

    def _fit(self, sample: Audio, pieces: Sequence[Piece]) -> None:
        level = _rms(sample)
        if level > 0:
            # Fitted at a fixed level, so that a gain on the mixture is the same gain on the stems.
            self.scale = max(level, float(np.finfo(np.float32).tiny))
            self.transform = self.separator.fit_placed(
                sample / np.float32(self.scale), self.sample_rate, pieces
            )
            if self.fitted is not None and isinstance(self.transform, AnyPlace):
                self.fitted(self.transform.transform)

    def __call__(self, block: Audio, start: int) -> Audio:
        """The stems of a block ``(channels, frames)`` that begins at frame ``start`` of the source."""
        if not block.any():
            return np.zeros((self.stem_count, *block.shape), np.float32)
        if self.transform is None:
            self._fit(block, [Piece(0, start, block.shape[1])])
        assert self.transform is not None  # the block is not silent, so _fit has set it
        stems = self.transform(block / np.float32(self.scale), start)
        stems *= np.float32(self.scale)
        return stems


def fitting_sample(source: AudioSource, seconds: float, by_level: bool = True) -> tuple[Audio, list[Piece]]:
    """The whole source if it is short enough, else pieces of it, and where they lie.

    They are chosen by one pass over the source's levels (:mod:`separators.sampling`) or, not ``by_level``,
    spread evenly without reading more than them. Their ends are faded over 5 ms, so that their joints add
    no broadband clicks that a method would learn.
    """
    length = round(seconds * source.sample_rate)
    if source.frames <= length:
        return _read(source, 0, source.frames), [Piece(0, 0, source.frames)]
    piece = max(1, length // SAMPLE_PIECES)
    cell = cell_frames(source.frames, piece) if by_level else source.frames
    starts = range(0, source.frames, cell)
    powers = np.ones(1)
    if by_level:
        powers = np.array([_power(source, at, min(cell, source.frames - at), piece) for at in starts])
    stretches = stretches_to_hear(powers, source.frames, cell, piece, SAMPLE_PIECES)
    sample = np.empty((source.channels, sum(frames for _, frames in stretches)), np.float32)
    pieces: list[Piece] = []
    place = 0
    for start, frames in stretches:
        part = sample[:, place : place + frames]
        part[:] = _read(source, start, frames)
        fade = min(round(0.005 * source.sample_rate), frames // 2)
        ramp = _linear(fade)
        part[:, :fade] *= ramp
        part[:, frames - fade :] *= ramp[::-1]
        pieces.append(Piece(place, start, frames))
        place += frames
    return sample, pieces


def _power(source: AudioSource, start: int, frames: int, step: int) -> float:
    """Mean power of a stretch without what is constant, read ``step`` frames at a time."""
    powers = [
        float(np.var(_read(source, at, min(step, start + frames - at)), axis=1, dtype=np.float64).mean())
        for at in range(start, start + frames, step)
    ]
    return float(np.mean(powers))


def _sounding_seconds(sample: Audio, sample_rate: int) -> float:
    """How long ``sample`` is within :data:`~separators.sampling.QUIET_DB` of its loudest moment."""
    moment = max(1, round(MOMENT_SECONDS * sample_rate))
    starts = range(0, sample.shape[1], moment)
    powers = np.array([np.var(sample[:, at : at + moment], axis=1, dtype=np.float64).mean() for at in starts])
    return float(np.sum(powers > 10 ** (QUIET_DB / 10) * powers.max(initial=0.0))) * moment / sample_rate


def _pieces_of_pieces(pieces: Sequence[Piece], outer: Sequence[Piece]) -> list[Piece]:
    """Where ``pieces`` of a sample lie in the audio that the sample itself is ``outer`` pieces of."""
    found = []
    for place, start, frames in pieces:
        for outer_place, outer_start, outer_frames in outer:
            first, last = max(start, outer_place), min(start + frames, outer_place + outer_frames)
            if first < last:
                found.append(Piece(place + first - start, outer_start + first - outer_place, last - first))
    return found


def _read(source: AudioSource, start: int, frames: int) -> Audio:
    audio = source.read(start, frames)
    _refuse_non_finite(audio, start)
    return audio


def _refuse_non_finite(audio: NDArray[Any], start: int) -> None:
    finite = np.isfinite(audio)
    if not finite.all():
        channel, frame = np.argwhere(~finite)[0]
        raise AudioError(
            f"the audio holds {audio[channel, frame]} at frame {start + frame} of channel {channel + 1}; "
            "replace such samples before separating"
        )


def _rms(audio: Audio) -> float:
    step = 8 * GRID  # what stays in the processor's cache
    pieces = (audio[:, start : start + step] for start in range(0, audio.shape[1], step))
    return math.sqrt(sum(float(np.square(piece, dtype=np.float64).sum()) for piece in pieces) / audio.size)


def _on_grid(frames: float) -> int:
    return max(1, round(frames / GRID)) * GRID


def _linear(frames: int) -> Audio:
    """A ramp from 0 to 1 whose sum with its mirror image is 1."""
    return ((np.arange(frames) + 0.5) / max(frames, 1)).astype(np.float32)


def _fade(overlap: int) -> Audio:
    """The cross-fade over an overlap.

    Only its middle half is used, since every method is least certain at a block's edge.
    """
    quarter = overlap // 4
    ramp = _linear(overlap - 2 * quarter)
    return np.concatenate([np.zeros(quarter, np.float32), ramp, np.ones(quarter, np.float32)])
