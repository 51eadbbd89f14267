"""What moves the faders of a strip or a send, as DAWproject has it.

Its automation takes the place of a fader, in straight lines or in steps; other DAWs' may come on top of the
fader, and bend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from xml.etree.ElementTree import Element, SubElement

from plugin_bridge.sessions.curves import PointCurve
from plugin_bridge.sessions.model import Envelope, Parameter, Point, PointShape, Scale

SHAPES = {PointShape.LINEAR: "linear", PointShape.HOLD: "hold"}
FADERS = (Parameter.VOLUME, Parameter.PAN, Parameter.MUTE)
"""What a channel and a send have automation of."""
MUTED = 0.5
NORMALIZED, ENABLE = "normalized", "enable"
"""Units: a pan from 0 to 1; a switch that is on where a mute is off."""


def in_place_of_faders(
    envelopes: Iterable[Envelope], volume: float, pan: float, muted: bool, law: float = 1.0
) -> tuple[list[Envelope], list[Parameter]]:
    """The envelopes with the faders on which they come taken in, and the parameters that cannot be written.

    ``law`` is the gain of a pan that stands still, which ``volume`` has in it already. A parameter that
    several envelopes move together is not written; what a mute moves in a muted strip changes nothing.
    """
    kept: list[Envelope] = []
    lost: list[Parameter] = []
    found = list(envelopes)
    for envelope in found:
        same = [one for one in found if one.parameter is envelope.parameter]
        if envelope.parameter not in FADERS or len(same) > 1:
            lost += [] if envelope.parameter in lost else [envelope.parameter]
        elif not envelope.relative:
            is_louder = envelope.parameter is Parameter.VOLUME and law != 1
            kept.append(_moved(envelope, lambda value: value * law) if is_louder else envelope)
        elif envelope.parameter is Parameter.VOLUME:
            kept.append(_moved(envelope, lambda value: value * volume))
        elif envelope.parameter is Parameter.PAN:
            kept.append(_moved(envelope, lambda value: max(-1.0, min(1.0, value + pan))))
        elif not muted:
            kept.append(replace(envelope, relative=False))
    return kept, lost


def _moved(envelope: Envelope, moved: Callable[[float], float]) -> Envelope:
    """In straight lines: on a fader's scale other values have other ways between them."""
    points = [replace(point, value=moved(point.value)) for point in _straight(envelope)]
    return replace(envelope, points=tuple(points), scale=Scale.VALUE, relative=False)


def _straight(envelope: Envelope) -> Iterator[Point]:
    return PointCurve(envelope.points, envelope.scale).straight()


def is_straight(envelope: Envelope) -> bool:
    """Whether DAWproject draws it as it is."""
    is_mute = envelope.parameter is Parameter.MUTE
    plain = envelope.scale is Scale.VALUE and all(point.shape in SHAPES for point in envelope.points)
    return is_mute or plain


def points_of(
    envelope: Envelope, target: dict[str, str], identifier: str, offset: float = 0.0, unit: str = "linear"
) -> Element:
    """The lane of an envelope in ``unit``, whose points lie ``offset`` seconds later."""
    points = Element("Points", id=identifier)
    if envelope.parameter is Parameter.MUTE:
        SubElement(points, "Target", target)
        for point in envelope.points:
            SubElement(points, "BoolPoint", time=repr(offset + point.seconds), value=_switch(point, unit))
        return points
    points.set("unit", unit)
    SubElement(points, "Target", target)
    for point in _straight(envelope):
        value = (point.value + 1) / 2 if unit == NORMALIZED else point.value
        shape = SHAPES.get(point.shape, "linear")
        time = repr(offset + point.seconds)
        SubElement(points, "RealPoint", time=time, value=repr(value), interpolation=shape)
    return points


def _switch(point: Point, unit: str) -> str:
    return "true" if (point.value >= MUTED) != (unit == ENABLE) else "false"
