"""Beats <-> seconds where the tempo moves evenly from beat to beat, as DAWproject and Live have it.

A tempo that goes from ``v0`` to ``v1`` over ``b`` beats takes ``60 b ln(v1 / v0) / (v1 - v0)`` seconds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from plugin_bridge.sessions.model import TempoChange
from plugin_bridge.sessions.xml import check_seconds

PIECES = 16
"""A ramp's tempo is even over beats here and over time in :class:`TempoChange`: so many of those for one."""
NEARLY_EQUAL = 1e-9


@dataclass(frozen=True)
class BeatTempo:
    """The tempo from a beat on."""

    beat: float
    """A quarter note, from the session's start."""
    bpm: float
    ramp: bool = False
    """The tempo moves evenly over the beats to the next one's."""


class BeatClock:
    """Converts between quarter notes and seconds; beat 0 is second 0.

    >>> clock = BeatClock([BeatTempo(0.0, 120.0), BeatTempo(4.0, 60.0)])
    >>> clock.seconds(5.0), clock.beats(3.0)
    (3.0, 5.0)
    """

    def __init__(self, tempo: Sequence[BeatTempo]) -> None:
        """``tempo`` in order of beats; the first one also holds before it."""
        self.tempo = tempo
        self._starts = [tempo[0].beat * 60 / tempo[0].bpm]
        for index, (one, following) in enumerate(pairwise(tempo)):
            self._starts.append(self._starts[-1] + self._elapsed(index, following.beat - one.beat))

    def seconds(self, beat: float) -> float:
        """The second at a beat."""
        index = max(0, bisect_right(self.tempo, beat, key=lambda one: one.beat) - 1)
        return self._starts[index] + self._elapsed(index, beat - self.tempo[index].beat)

    def beats(self, seconds: float) -> float:
        """The beat at a second."""
        index = max(0, bisect_right(self._starts, seconds) - 1)
        one, slope = self.tempo[index], self._slope(index)
        rest = seconds - self._starts[index]
        if slope == 0 or rest <= 0:
            return one.beat + rest * one.bpm / 60
        return one.beat + one.bpm * math.expm1(slope * rest / 60) / slope

    def changes(self, meters: Sequence[tuple[float, int, int]] = ()) -> list[TempoChange]:
        """The same as a session's tempo; ``meters`` are beats with numerator and denominator, in order."""
        beats = sorted({*self.grid(), *(beat for beat, _, _ in meters)})
        found = []
        for beat in beats:
            index = max(0, bisect_right(self.tempo, beat, key=lambda one: one.beat) - 1)
            bpm = self.tempo[index].bpm + self._slope(index) * max(0.0, beat - self.tempo[index].beat)
            meter = max((m for m in meters if m[0] <= beat), default=(0.0, 4, 4), key=lambda m: m[0])
            is_ramp = self._slope(index) != 0
            found.append(TempoChange(self.seconds(beat), bpm, meter[1], meter[2], is_ramp))
        return found

    def grid(self) -> list[float]:
        """The beats at which the tempo changes, and so many inside ramps that it is even between them."""
        grid = []
        for index, one in enumerate(self.tempo):
            pieces = PIECES if self._slope(index) else 1
            length = self.tempo[index + 1].beat - one.beat if index + 1 < len(self.tempo) else 0.0
            grid += [one.beat + length * piece / pieces for piece in range(pieces)]
        return grid

    def _slope(self, index: int) -> float:
        """Beats per minute more with each beat."""
        if not self.tempo[index].ramp or index + 1 == len(self.tempo):
            return 0.0
        one, following = self.tempo[index], self.tempo[index + 1]
        rise, length = following.bpm - one.bpm, following.beat - one.beat
        return rise / length if length > 0 and abs(rise) > NEARLY_EQUAL else 0.0

    def _elapsed(self, index: int, beats: float) -> float:
        one, slope = self.tempo[index], self._slope(index)
        if slope == 0 or beats <= 0:
            return beats * 60 / one.bpm
        return 60 / slope * math.log1p(slope * beats / one.bpm)


@dataclass(frozen=True)
class Frame:
    """Where the times of a timeline lie on the session's."""

    clock: BeatClock
    unit: str
    """``beats`` or ``seconds``."""
    origin: float = 0.0
    """Its time 0, in its unit, from the session's start."""

    def seconds(self, time: float) -> float:
        """The session's second at ``time``."""
        found = self.clock.seconds(self.origin + time) if self.unit == "beats" else self.origin + time
        check_seconds(found, lambda: f"a time of {time:g} {self.unit}")
        return found

    def time(self, seconds: float) -> float:
        """The time at a second of the session."""
        return (self.clock.beats(seconds) if self.unit == "beats" else seconds) - self.origin

    def inner(self, time: float, unit: str, content: float) -> Frame:
        """The frame of a timeline inside, whose time ``content`` lies at this one's ``time``."""
        if unit == self.unit:
            return replace(self, origin=self.origin + time - content)
        start = self.seconds(time)
        return Frame(self.clock, unit, (self.clock.beats(start) if unit == "beats" else start) - content)


def from_seconds(points: Sequence[tuple[float, float, bool]]) -> list[BeatTempo]:
    """The tempo of ``points``: seconds in order, beats a minute, whether it is a ramp in *time*.

    >>> from_seconds([(0.0, 120.0, False), (2.0, 60.0, False)])[-1]
    BeatTempo(beat=4.0, bpm=60.0, ramp=False)
    """
    found: list[BeatTempo] = []
    beat = points[0][0] * points[0][1] / 60
    for index, (start, bpm, ramp) in enumerate(points):
        following = points[index + 1] if index + 1 < len(points) else (start, bpm, False)
        length, rise = following[0] - start, following[1] - bpm
        if not ramp or length <= 0 or abs(rise) <= NEARLY_EQUAL or min(bpm, following[1]) <= 0:
            found.append(BeatTempo(beat, bpm))
            beat += length * bpm / 60
            continue
        for piece in range(PIECES):
            first, last = (bpm + rise * part / PIECES for part in (piece, piece + 1))
            found.append(BeatTempo(beat, first, True))
            beat += length / PIECES * (last - first) / 60 / math.log(last / first)
    return found
