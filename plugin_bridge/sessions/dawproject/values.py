"""DAWproject's values: units of faders and pans, enum words to the model's, automation points."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

from plugin_bridge.errors import SessionError
from plugin_bridge.sessions.model import Envelope, Parameter, Point, PointShape, Scale
from plugin_bridge.sessions.xml import number, switch

LOUDEST = 1000.0
"""A gain beyond +60 dB is damage."""
SHAPES = {"hold": PointShape.HOLD, "linear": PointShape.LINEAR}
MOST_POINTS = 1_000_000


def gain(value: float, unit: str) -> float:
    """A linear gain of a volume.

    >>> gain(0.5, "linear"), round(gain(-6.0206, "decibel"), 4), gain(50.0, "percent")
    (0.5, 0.5, 0.5)
    """
    linear = (
        10 ** (min(value, 200.0) / 20) if unit == "decibel" else value / 100 if unit == "percent" else value
    )
    if not 0 <= linear <= LOUDEST:
        raise SessionError(f"a volume of {value:g} {unit}; it must lie between silence and +60 dB")
    return linear


def pan(value: float, unit: str) -> float:
    """A pan of -1 to 1.

    >>> pan(0.5, "normalized"), pan(-1.0, "linear"), pan(100.0, "percent")
    (0.0, -1.0, 1.0)
    """
    moved = value if unit == "linear" else value / 50 - 1 if unit == "percent" else 2 * value - 1
    return min(1.0, max(-1.0, moved))


def real(element: Element | None, default: float, convert: Callable[[float, str], float]) -> float:
    """The value of a real parameter, converted from its unit; -inf decibels are silence."""
    if element is None or element.get("value") is None:
        return default
    unit = element.get("unit", "linear")
    if unit == "decibel" and element.get("value", "").strip().lower() in ("-inf", "-infinity"):
        return convert(-400.0, unit)
    return convert(number(element, "value"), unit)


def boolean(element: Element | None, default: bool) -> bool:
    """The value of a switch."""
    return default if element is None else switch(element, "value", default)


def envelope(
    points: Element,
    parameter: Parameter,
    unit: str,
    seconds: Callable[[float], float],
    *,
    relative: bool,
) -> Envelope | None:
    """The points of an automation lane; ``seconds`` says when a point's time is. None if there are none."""
    converted: list[Point] = []
    for element in points:
        if element.tag not in ("RealPoint", "BoolPoint"):
            continue
        if len(converted) > MOST_POINTS:
            raise SessionError(f"an automation lane of more than {MOST_POINTS} points")
        shape = PointShape.HOLD
        if element.tag == "BoolPoint":
            value = float(switch(element, "value"))
        else:
            shape = SHAPES.get(element.get("interpolation", "hold"), PointShape.HOLD)
            value = _value(element, parameter, unit)
        converted.append(Point(seconds(number(element, "time")), value, shape))
    if not converted:
        return None
    converted.sort(key=lambda point: point.seconds)
    scale = Scale.DECIBELS if unit == "decibel" and parameter is Parameter.VOLUME else Scale.VALUE
    return Envelope(parameter, tuple(converted), scale, relative)


def _value(element: Element, parameter: Parameter, unit: str) -> float:
    if element.get("value", "").strip().lower() in ("-inf", "-infinity"):
        return 0.0
    value = number(element, "value")
    match parameter:
        case Parameter.VOLUME:
            return gain(value, unit)
        case Parameter.PAN:
            return pan(value, unit)
    return value
