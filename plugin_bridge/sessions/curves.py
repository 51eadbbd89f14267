"""Points as a curve: shapes between them, on the scale of a DAW's fader.

REAPER's shapes and its fader's scale are those that its renders show; the scale's closed form, gain =
a (s^3 + s^6) with a = 10^0.6 / 2 for the fader's way s, meets 0 dB at 0.7162 and +12 dB at 1.
Ardour's fader is ((6 log2 gain + 192) / 198)^8.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.sessions.model import Point, PointShape, Scale

Values = NDArray[np.float64]
FEWEST = 32
"""Into so many lines at least a curved stretch is taken apart."""
HALVINGS = 8
"""So often each of those is cut in half at most."""
TOLERANCE = 2.5e-4
"""How far from the curve a line's middle may lie, as a part of the larger end's value."""


def _as_it_is(values: Values) -> Values:
    return values


FLOOR = 1e-7
"""-140 dB: what decibels are counted from where a gain is 0."""
REAPER_TOP = 10**0.6 / 2
"""Half of +12 dB, the top of REAPER's fader."""


def _to_reaper(gain: Values) -> Values:
    way: Values = np.cbrt((np.sqrt(1 + 4 * np.maximum(gain, 0) / REAPER_TOP) - 1) / 2)
    return way


def _from_reaper(way: Values) -> Values:
    cube: Values = np.maximum(way, 0) ** 3
    return REAPER_TOP * (cube + cube**2)


def _to_ardour(gain: Values) -> Values:
    level = 6 * np.log2(np.maximum(gain, 2.0**-32)) + 192
    way: Values = (np.maximum(level, 0) / 198) ** 8
    return way


def _from_ardour(way: Values) -> Values:
    gain = 2 ** ((np.maximum(way, 0) ** (1 / 8) * 198 - 192) / 6)
    return np.where(way <= 0, 0.0, gain)


SCALES: dict[Scale, tuple[Callable[[Values], Values], Callable[[Values], Values]]] = {
    Scale.DECIBELS: (
        lambda gain: 20 * np.log10(np.maximum(gain, FLOOR)),
        lambda level: np.where(level <= 20 * np.log10(FLOOR), 0.0, 10 ** (level / 20)),
    ),
    Scale.REAPER_FADER: (_to_reaper, _from_reaper),
    Scale.ARDOUR_FADER: (_to_ardour, _from_ardour),
}
"""From a gain to the fader's way and back."""


def scale_of(scale: Scale) -> tuple[Callable[[Values], Values], Callable[[Values], Values]]:
    """The way that a fader goes for a value, and back; both the value itself where there is no fader."""
    return SCALES.get(scale, (_as_it_is, _as_it_is))


class PointCurve:
    """The values at any time of at least one point; the first and the last one hold before and after.

    >>> ramp = PointCurve((Point(0.0, 0.0), Point(2.0, 1.0)))
    >>> ramp.at(np.array([-1.0, 0.5, 9.0])).tolist()
    [0.0, 0.25, 1.0]
    """

    def __init__(self, points: Sequence[Point], scale: Scale = Scale.VALUE) -> None:
        self.points = sorted(points, key=lambda point: point.seconds)
        self.scale = scale
        self._seconds = [point.seconds for point in self.points]
        to_way, self._from_way = scale_of(scale)
        self._ways = to_way(np.array([point.value for point in self.points], np.float64))

    def at(self, seconds: Values) -> Values:
        """The values at ``seconds``, in rising order."""
        low = max(0, bisect_right(self._seconds, float(seconds[0])) - 1) if len(seconds) else 0
        high = bisect_right(self._seconds, float(seconds[-1])) if len(seconds) else 0
        ways = np.full(len(seconds), self._ways[low])
        for index in range(low, min(high, len(self.points) - 1)):
            begin, end = self._seconds[index], self._seconds[index + 1]
            here = slice(*np.searchsorted(seconds, [begin, end]))
            if end > begin:
                part = _shaped((seconds[here] - begin) / (end - begin), self.points[index], self.scale)
                ways[here] = self._ways[index] + (self._ways[index + 1] - self._ways[index]) * part
        ways[np.searchsorted(seconds, self._seconds[-1]) :] = self._ways[-1]
        return self._from_way(ways)

    def around(self, first: float, last: float) -> list[Point]:
        """The points that decide what the curve is from ``first`` to ``last``, seconds."""
        low, high = bisect_right(self._seconds, first), bisect_right(self._seconds, last)
        return self.points[max(0, low - 1) : high + 1]

    def part(self, first: float, last: float) -> list[Point]:
        """Points of the same scale that say the same from ``first`` to ``last``, at both of which one lies.

        Bent stretches that are cut become lines.
        """
        until = bisect_left(self._seconds, last)
        ends_on_point = self._seconds[until : until + 1] == [last]
        inside = self.points[bisect_right(self._seconds, first) : until]
        own = self.points[max(0, bisect_right(self._seconds, first) - 1)]
        begins = [replace(own, seconds=first, value=self._value(first)), *inside]
        made: list[Point] = []
        for index, (begin, end) in enumerate(zip(begins, [*inside, None], strict=True)):
            is_cut = (index == 0 and own.seconds != first) or (end is None and not ends_on_point)
            if is_cut and begin.shape not in (PointShape.LINEAR, PointShape.HOLD) and last > begin.seconds:
                made += self._lines(begin.seconds, last if end is None else end.seconds)
            else:
                made.append(begin)
        return [*made, Point(last, self._value(last), PointShape.HOLD)]

    def straight(self) -> Iterator[Point]:
        """Points with straight lines of the value between them, or steps, for those who know no others."""
        for point, follower in pairwise(self.points):
            is_plain = point.shape is PointShape.LINEAR and self.scale is Scale.VALUE
            begin, end = point.seconds, follower.seconds
            if end <= begin or is_plain or point.shape is PointShape.HOLD or point.value == follower.value:
                shape = point.shape if point.shape is PointShape.HOLD else PointShape.LINEAR
                yield Point(begin, point.value, shape)
            else:
                yield from self._lines(begin, end)
        yield Point(self.points[-1].seconds, self.points[-1].value)

    def _value(self, second: float) -> float:
        return float(self.at(np.array([second]))[0])

    def _lines(self, begin: float, end: float) -> list[Point]:
        """Points from ``begin`` until before ``end`` with lines between them that follow a bent stretch."""
        seconds = np.linspace(begin, np.nextafter(end, begin), FEWEST + 1)
        values = self.at(seconds)
        allowed = TOLERANCE * float(np.abs(values[[0, -1]]).max())
        for _ in range(HALVINGS):
            middles = (seconds[:-1] + seconds[1:]) / 2
            there = self.at(middles)
            far = np.abs((values[:-1] + values[1:]) / 2 - there) > allowed
            if not far.any():
                break
            where = np.flatnonzero(far) + 1
            seconds, values = np.insert(seconds, where, middles[far]), np.insert(values, where, there[far])
        return [Point(float(at), float(value)) for at, value in zip(seconds[:-1], values[:-1], strict=True)]


def _shaped(x: Values, point: Point, scale: Scale) -> Values:
    match point.shape:
        case PointShape.HOLD:
            return np.zeros_like(x)
        case PointShape.SLOW:
            return x**2 * (3 - 2 * x)
        case PointShape.FAST_START:
            return 1 - (1 - x) ** 3
        case PointShape.FAST_END:
            return x**3
        case PointShape.BEZIER:
            return _bezier(x, max(-1.0, min(1.0, point.bend)), scale)
        case PointShape.LINEAR:
            return x


def _bezier(x: Values, bend: float, scale: Scale) -> Values:
    """REAPER's tension: a cubic from (0, 0) to (1, 1) whose inner points move towards a corner."""
    straight = 1 - abs(bend)
    rise = 7 / 8 if scale is Scale.REAPER_FADER else 3 / 4
    tail = 1 / 8 if scale is Scale.REAPER_FADER else 1 / 4
    across = (straight / 4, 3 * straight / 4)
    up = (1 - rise * straight, 1 - tail * straight)
    if bend > 0:
        across, up = (1 - across[1], 1 - across[0]), (1 - up[1], 1 - up[0])
    low, high = np.zeros_like(x), np.ones_like(x)
    for _ in range(40):
        middle = (low + high) / 2
        short = _cubic(middle, *across) < x
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return _cubic((low + high) / 2, *up)


def _cubic(u: Values, first: float, second: float) -> Values:
    return 3 * (1 - u) ** 2 * u * first + 3 * (1 - u) * u**2 * second + u**3
