"""Time without pitch, and pitch without time: Rubber Band (through Pedalboard), in pieces of bounded length.

Lengths are exact to the frame, steady tones keep their pitch within a hundredth of a cent, and strokes lie
within 8 ms of their place (Rubber Band R3, "finer"). Each piece is stretched with some of what surrounds it,
and neighbours are cross-faded, so that memory does not grow with the clip.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pedalboard

from plugin_bridge.rendering.envelopes import EnvelopeCurve
from plugin_bridge.sessions.model import Clip, Parameter, StretchMarker
from separators.base import Audio
from separators.streaming import AudioSource

LONGEST = 60.0
"""Seconds of one piece."""
AROUND = 0.25
"""Seconds in front of and behind a piece that are stretched with it."""
CROSS_FADE = 0.01
"""Seconds."""
STEPS = 16
"""Pieces for a stretch whose rate rises or falls."""
PITCH_STEP = 0.1
"""Seconds that a moving pitch stays where it is."""
MOST_STEPS = 20_000
RATES = (1 / 64, 64.0)
"""Beyond these a piece is silent: nobody plays music at such rates."""
MOST_SEMITONES = 60.0


@dataclass(frozen=True)
class Piece:
    """A part of a clip with one rate and one pitch; seconds of the clip and of the source."""

    start: float
    end: float
    source: float
    """Where in the source it starts."""
    rate: float
    pitch: float = 0.0
    """Semitones, on top of what keeping the pitch takes."""


def pieces(clip: Clip) -> list[Piece]:
    """The pieces of ``clip`` in order, none longer than :data:`LONGEST`."""
    parts = [part for piece in _rates(clip) for part in _cut(piece, LONGEST / max(1.0, piece.rate))]
    pitch = [EnvelopeCurve(envelope) for envelope in clip.envelopes if envelope.parameter is Parameter.PITCH]
    if pitch:
        step = max(PITCH_STEP, clip.length / MOST_STEPS)
        parts = [part for piece in parts for part in _cut(piece, step)]
    found: list[Piece] = []
    for part in parts:
        middle = np.array([(part.start + part.end) / 2])
        semitones = clip.pitch + sum(float(curve.at(middle)[0]) for curve in pitch)
        if not clip.keep_pitch and part.rate > 0:
            semitones += 12 * math.log2(part.rate)
        semitones = max(-MOST_SEMITONES, min(MOST_SEMITONES, semitones))
        last = found[-1] if found else None
        longest = LONGEST / max(1.0, part.rate)
        same = last is not None and (last.pitch, last.rate) == (semitones, part.rate)
        if last and same and part.end - last.start <= longest and _goes_on(last, part):
            found[-1] = replace(last, end=part.end)
        else:
            found.append(replace(part, pitch=semitones))
    return found


def _goes_on(piece: Piece, other: Piece) -> bool:
    """Whether ``other`` plays on where ``piece`` ends."""
    return math.isclose(
        piece.source + (piece.end - piece.start) * piece.rate, other.source, rel_tol=0, abs_tol=1e-6
    )


def _rates(clip: Clip) -> Iterator[Piece]:
    """One piece for each rate."""
    markers = sorted(clip.stretch, key=lambda marker: marker.seconds)
    if not markers:
        yield Piece(0.0, clip.length, clip.offset, clip.rate)
        return
    first, last = markers[0], markers[-1]
    if first.seconds > 0:
        yield Piece(0.0, min(first.seconds, clip.length), first.source - first.seconds * clip.rate, clip.rate)
    for one, other in pairwise(markers):
        for piece in _between(one, other):
            if piece.end > 0 and piece.start < clip.length:
                start, end = max(0.0, piece.start), min(piece.end, clip.length)
                yield Piece(start, end, piece.source + (start - piece.start) * piece.rate, piece.rate)
    start = max(0.0, last.seconds)
    if start < clip.length:
        yield Piece(start, clip.length, last.source + (start - last.seconds) * clip.rate, clip.rate)


def _between(one: StretchMarker, other: StretchMarker) -> Iterator[Piece]:
    length, sources = other.seconds - one.seconds, other.source - one.source
    if length <= 0:
        return
    steps = STEPS if one.slope else 1
    for step in range(steps):
        u, v = step / steps, (step + 1) / steps
        begin, end = (sources * (w * (1 - one.slope) + one.slope * w * w) for w in (u, v))
        rate = (end - begin) / (length / steps)
        yield Piece(one.seconds + u * length, one.seconds + v * length, one.source + begin, rate)


def _cut(piece: Piece, longest: float) -> Iterator[Piece]:
    count = max(1, math.ceil((piece.end - piece.start) / longest))
    for index in range(count):
        start = piece.start + index * longest
        yield replace(
            piece,
            start=start,
            end=min(piece.end, start + longest),
            source=piece.source + index * longest * piece.rate,
        )


class StretchedSource:
    """``source`` in ``pieces``, at its own sample rate, as a source of ``frames``."""

    def __init__(self, source: AudioSource, pieces: Sequence[Piece], frames: int) -> None:
        """``source`` may be read in front of its start and behind its end, too, where it is silent."""
        self.source = source
        self.pieces = pieces
        self.sample_rate = source.sample_rate
        self.channels = source.channels
        self.frames = frames
        self._starts = [round(piece.start * self.sample_rate) for piece in pieces]
        shortest = min((round((piece.end - piece.start) * self.sample_rate) for piece in pieces), default=0)
        self._fade = min(round(CROSS_FADE * self.sample_rate), shortest)
        self._made: dict[int, Audio] = {}

    def read(self, start: int, frames: int) -> Audio:
        """Frames ``start`` to ``start + frames`` as ``(channels, frames)``."""
        audio = np.zeros((self.channels, frames), np.float32)
        if not self.pieces or frames == 0:
            return audio
        first = max(0, bisect_right(self._starts, start - self._fade) - 1)
        last = max(0, bisect_right(self._starts, start + frames - 1) - 1)
        for index in range(first, last + 1):
            made = self._piece(index)
            begin = max(start, self._starts[index])
            end = min(start + frames, self._starts[index] + made.shape[1])
            if begin < end:
                at = self._starts[index]
                audio[:, begin - start : end - start] += made[:, begin - at : end - at]
        for index in [index for index in self._made if index < last]:
            del self._made[index]
        return audio

    def _piece(self, index: int) -> Audio:
        if index not in self._made:
            self._made[index] = self._make(index)
        return self._made[index]

    def _make(self, index: int) -> Audio:
        """A piece with the cross-fades at its ends, the latter behind its end."""
        piece, is_last = self.pieces[index], index + 1 == len(self.pieces)
        begin = self._starts[index]
        end = self.frames if is_last else self._starts[index + 1]
        tail = 0 if is_last else self._fade
        count = max(0, end - begin) + tail
        if not RATES[0] <= piece.rate <= RATES[1] or count == 0:
            return np.zeros((self.channels, count), np.float32)
        around = round(AROUND * self.sample_rate)
        wanted = count + 2 * around
        at = round((piece.source - AROUND * piece.rate) * self.sample_rate)
        taken = max(1, round(wanted * piece.rate))
        audio = np.ascontiguousarray(self.source.read(at, taken))
        if audio.any():
            audio = pedalboard.time_stretch(
                audio,
                self.sample_rate,
                stretch_factor=taken / wanted,
                pitch_shift_in_semitones=piece.pitch,
                preserve_formants=False,
            )
        made = np.zeros((self.channels, count), np.float32)
        part = audio[:, around : around + count]
        made[:, : part.shape[1]] = part
        if index and self._fade:
            rise = np.linspace(0, 1, self._fade, endpoint=False, dtype=np.float32)[: made.shape[1]]
            made[:, : len(rise)] *= rise
        if tail:
            made[:, count - tail :] *= np.linspace(1, 0, tail, endpoint=False, dtype=np.float32)
        return made

    def close(self) -> None:
        """Forget what was made; reading makes it again."""
        self._made.clear()
