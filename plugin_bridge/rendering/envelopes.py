"""Envelopes as values per frame: shapes between the points, the DAW's scale, its smoothing.

REAPER's shapes and its fader's scale are those that its renders show; the scale's closed form, gain =
a (s^3 + s^6) with a = 10^0.6 / 2 for the fader's way s, meets 0 dB at 0.7162 and +12 dB at 1.
Ardour's fader is ((6 log2 gain + 192) / 198)^8.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.rendering import ardour
from plugin_bridge.sessions.model import Envelope, Parameter, Point, PointShape, Scale

Values = NDArray[np.float64]
Smoothing = Callable[[Callable[[Values], Values], int, int, int], Values]
"""Given the values at any seconds, a first frame, a count and the sample rate: the smoothed values."""
SMOOTHING: dict[str, Smoothing] = {
    "ardour": ardour.smoothed,
    "ardour send": partial(ardour.smoothed, late=0),
    "ardour switch": partial(ardour.smoothed, is_switch=True),
}
"""How a DAW smooths what moves, by the name that :attr:`Envelope.smoothing` carries."""


def _as_it_is(values: Values) -> Values:
    return values


MUTED = 0.5
"""From here on a mute is on."""
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


class EnvelopeCurve:
    """An envelope's values at any time.

    >>> ramp = Envelope(Parameter.VOLUME, (Point(0.0, 0.0), Point(2.0, 1.0)))
    >>> EnvelopeCurve(ramp).at(np.array([-1.0, 0.5, 9.0])).tolist()
    [0.0, 0.25, 1.0]
    """

    def __init__(self, envelope: Envelope) -> None:
        self.envelope = envelope
        self._is_mute = envelope.parameter is Parameter.MUTE
        points = sorted(envelope.points, key=lambda point: point.seconds)
        self._points = points
        self._seconds = [point.seconds for point in points]
        to_way, _ = SCALES.get(envelope.scale, (_as_it_is, _as_it_is))
        self._ways = to_way(np.array([point.value for point in points], np.float64))

    def frames(self, start: int, count: int, sample_rate: int) -> float | Values:
        """The values at frames ``start`` to ``start + count``; one number where nothing moves.

        Those of a mute are gains: 0 and 1, and what smoothing leaves between.
        """
        if (smoothing := SMOOTHING.get(self.envelope.smoothing)) is not None:
            return smoothing(self._gain_at if self._is_mute else self.at, start, count, sample_rate)
        first, last = start / sample_rate, (start + count) / sample_rate
        low, high = bisect_right(self._seconds, first), bisect_right(self._seconds, last)
        around = self._points[max(0, low - 1) : high + 1]
        if all(point.value == around[0].value for point in around):
            return float(around[0].value < MUTED) if self._is_mute else around[0].value
        moments = (start + np.arange(count)) / sample_rate
        return self._gain_at(moments) if self._is_mute else self.at(moments)

    def _gain_at(self, seconds: Values) -> Values:
        return np.where(self.at(seconds) >= MUTED, 0.0, 1.0)

    def at(self, seconds: Values) -> Values:
        """The values at ``seconds``, in rising order."""
        low = max(0, bisect_right(self._seconds, float(seconds[0])) - 1) if len(seconds) else 0
        high = bisect_right(self._seconds, float(seconds[-1])) if len(seconds) else 0
        ways = np.full(len(seconds), self._ways[low])
        for index in range(low, min(high, len(self._points) - 1)):
            begin, end = self._seconds[index], self._seconds[index + 1]
            here = slice(*np.searchsorted(seconds, [begin, end]))
            if end > begin:
                part = _shaped(
                    (seconds[here] - begin) / (end - begin), self._points[index], self.envelope.scale
                )
                ways[here] = self._ways[index] + (self._ways[index + 1] - self._ways[index]) * part
        ways[np.searchsorted(seconds, self._seconds[-1]) :] = self._ways[-1]
        _, from_way = SCALES.get(self.envelope.scale, (_as_it_is, _as_it_is))
        return from_way(ways)


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


class Automation:
    """What the envelopes of a strip, a clip or a send do to its parameters."""

    def __init__(self, envelopes: Iterable[Envelope]) -> None:
        self._curves = [EnvelopeCurve(envelope) for envelope in envelopes if envelope.points]

    def __bool__(self) -> bool:
        return bool(self._curves)

    def moves(self, *parameters: Parameter) -> bool:
        """Whether any of ``parameters`` has an envelope."""
        return any(curve.envelope.parameter in parameters for curve in self._curves)

    def gain(
        self, start: int, count: int, sample_rate: int, fader: float, *parameters: Parameter
    ) -> float | Values:
        """The gain of a ``fader`` with its envelopes, those of ``parameters``."""
        gain: float | Values = fader
        for curve in self._of(parameters):
            values = curve.frames(start, count, sample_rate)
            is_mute = curve.envelope.parameter is Parameter.MUTE
            gain = gain * values if is_mute or curve.envelope.relative else values
        return gain

    def moved(
        self, start: int, count: int, sample_rate: int, knob: float, parameter: Parameter
    ) -> float | Values:
        """The place of a ``knob`` from -1 to 1, such as pan, with its envelopes."""
        place: float | Values = knob
        for curve in self._of((parameter,)):
            values = curve.frames(start, count, sample_rate)
            place = place + values if curve.envelope.relative else values
        return np.clip(place, -1.0, 1.0) if isinstance(place, np.ndarray) else max(-1.0, min(1.0, place))

    def _of(self, parameters: tuple[Parameter, ...]) -> list[EnvelopeCurve]:
        """Those that take the fader's place first, then those that come on top, mutes last."""
        found = [curve for curve in self._curves if curve.envelope.parameter in parameters]
        return sorted(
            found, key=lambda curve: (curve.envelope.parameter is Parameter.MUTE, curve.envelope.relative)
        )
