"""Envelopes as values per frame: their curves, their DAW's smoothing, and what they do to a fader."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

from plugin_bridge.rendering import ardour
from plugin_bridge.sessions.curves import PointCurve, Values
from plugin_bridge.sessions.model import Envelope, Parameter

Smoothing = Callable[[Callable[[Values], Values], int, int, int], Values]
"""Given the values at any seconds, a first frame, a count and the sample rate: the smoothed values."""
SMOOTHING: dict[str, Smoothing] = {
    "ardour": ardour.smoothed,
    "ardour send": partial(ardour.smoothed, late=0),
    "ardour switch": partial(ardour.smoothed, is_switch=True),
}
"""How a DAW smooths what moves, by the name that :attr:`Envelope.smoothing` carries."""
MUTED = 0.5
"""From here on a mute is on."""


class EnvelopeCurve(PointCurve):
    """An envelope's values at any time.

    >>> from plugin_bridge.sessions.model import Point
    >>> ramp = Envelope(Parameter.VOLUME, (Point(0.0, 0.0), Point(2.0, 1.0)))
    >>> EnvelopeCurve(ramp).frames(1, 2, 4).tolist()
    [0.125, 0.25]
    """

    def __init__(self, envelope: Envelope) -> None:
        super().__init__(envelope.points, envelope.scale)
        self.envelope = envelope
        self._is_mute = envelope.parameter is Parameter.MUTE

    def frames(self, start: int, count: int, sample_rate: int) -> float | Values:
        """The values at frames ``start`` to ``start + count``; one number where nothing moves.

        Those of a mute are gains: 0 and 1, and what smoothing leaves between.
        """
        if (smoothing := SMOOTHING.get(self.envelope.smoothing)) is not None:
            return smoothing(self._gain_at if self._is_mute else self.at, start, count, sample_rate)
        around = self.around(start / sample_rate, (start + count) / sample_rate)
        if all(point.value == around[0].value for point in around):
            return float(around[0].value < MUTED) if self._is_mute else around[0].value
        moments = (start + np.arange(count)) / sample_rate
        return self._gain_at(moments) if self._is_mute else self.at(moments)

    def _gain_at(self, seconds: Values) -> Values:
        return np.where(self.at(seconds) >= MUTED, 0.0, 1.0)


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
