"""The tempo map: seconds <-> quarter notes, integrated piece by piece from the start."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from plugin_bridge.sessions.model import TempoChange


class TempoMap:
    """Converts between seconds and quarter notes.

    >>> tempo = TempoMap([TempoChange(0.0, 120.0), TempoChange(2.0, 60.0)])
    >>> tempo.quarters(3.0), tempo.seconds(5.0)
    (5.0, 3.0)
    """

    def __init__(self, changes: Sequence[TempoChange]) -> None:
        """``changes`` in order of time; the first one also holds before it."""
        self.changes = changes
        self._quarters = [changes[0].seconds * changes[0].bpm / 60]
        for index, change in enumerate(changes[:-1]):
            length = changes[index + 1].seconds - change.seconds
            self._quarters.append(self._quarters[-1] + self._elapsed(index, length))

    def quarters(self, seconds: float) -> float:
        """The position in quarter notes at ``seconds``."""
        index = max(0, bisect_right(self.changes, seconds, key=lambda change: change.seconds) - 1)
        return self._quarters[index] + self._elapsed(index, seconds - self.changes[index].seconds)

    def seconds(self, quarters: float) -> float:
        """The position in seconds at ``quarters``."""
        index = max(0, bisect_right(self._quarters, quarters) - 1)
        change = self.changes[index]
        rest = quarters - self._quarters[index]
        slope = self._slope(index)
        per_second = change.bpm / 60
        if slope == 0 or rest < 0:
            return change.seconds + rest / per_second
        # rest = per_second t + slope t^2 / 2, solved for t in the form that keeps its digits.
        return change.seconds + 2 * rest / (
            per_second + math.sqrt(max(0.0, per_second**2 + 2 * slope * rest))
        )

    def _slope(self, index: int) -> float:
        """How fast the tempo changes, in quarter notes per second per second."""
        change = self.changes[index]
        if not change.ramp or index + 1 == len(self.changes):
            return 0.0
        following = self.changes[index + 1]
        length = following.seconds - change.seconds
        return (following.bpm - change.bpm) / 60 / length if length > 0 else 0.0

    def _elapsed(self, index: int, seconds: float) -> float:
        slope = self._slope(index) if seconds > 0 else 0.0
        return self.changes[index].bpm / 60 * seconds + slope * seconds**2 / 2
