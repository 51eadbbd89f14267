"""The curves of fades, as REAPER plays them.

The shapes and their bends follow the formulas that users of REAPER worked out from its renders
(forum.cockos.com, thread 262260, "item fade curves") and which renders of REAPER 7.82 confirm to
24 bits for the unbent shapes. :attr:`FadeShape.BEND` is the curve that REAPER has had since 7.81.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin_bridge.sessions.model import Fade, FadeShape

Curve = NDArray[np.float64]

NAMED_BEND = {FadeShape.FAST_END: 1.0, FadeShape.FAST_START_STEEP: -1.0, FadeShape.FAST_END_STEEP: 1.0}
"""The bend that gives a shape its name; 0 for the others."""


def fade_lengths(fade_in: Fade, fade_out: Fade, length: float) -> tuple[float, float]:
    """The lengths of both fades in a clip of ``length``: they never overlap, and the fade-in comes first.

    But Ardour's, which may be longer than the clip, too.

    >>> fade_lengths(Fade(0.75), Fade(0.75), 1.0)
    (0.75, 0.25)
    """
    if fade_in.to_last_frame or fade_out.to_last_frame:
        return fade_in.seconds, fade_out.seconds
    start = min(fade_in.seconds, length)
    return start, min(fade_out.seconds, length - start)


def fade_curve(fade: Fade, x: Curve) -> Curve:
    """The gain at ``x``, the part of a fade-in that is over, 0..1. A fade-out is given the part left.

    >>> float(fade_curve(Fade(1.0, FadeShape.FAST_START), np.array([0.5]))[0])
    0.75
    """
    x = np.clip(x, 0.0, 1.0)
    bend = NAMED_BEND.get(fade.shape, 0.0) if fade.bend is None else fade.bend
    match fade.shape:
        case FadeShape.FAST_START:
            if bend < 0:
                return _blend(x * (2 - x), np.sqrt(1 - (1 - x) ** 8), -bend)
            return _blend(x * (2 - x), x**4, bend)
        case FadeShape.FAST_END:
            return _blend(x, x**2 if bend > 0 else 1 - (1 - x) ** 2, abs(bend))
        case FadeShape.S_CURVE:
            bent = _through(x, 0.25 * (bend + 2))
            return (3 - 2 * bent) * bent**2
        case FadeShape.S_CURVE_STEEP:
            bent = _through(x, (5 * bend + 8) / 16)
            return np.where(bent <= 0.5, 8 * bent**4, 1 - 8 * (1 - bent) ** 4)
        case FadeShape.EQUAL_POWER:
            if bend < 0:
                falling = _blend(_nearly_equal_power(1 - x), (1 - x) ** 4, -bend)
                return np.sqrt(np.clip(1 - falling**2, 0.0, 1.0))
            return _blend(_nearly_equal_power(x), x**4, bend)
        case FadeShape.POINTS:
            return _smooth(fade.points, x)
        case FadeShape.BEND:
            return _s_bend(_bend(x, bend), fade.s_bend)
        case FadeShape.LINEAR | FadeShape.FAST_START_STEEP | FadeShape.FAST_END_STEEP:
            return _blend(x, x**4 if bend > 0 else 1 - (1 - x) ** 4, abs(bend))


def nearest_shape(fade: Fade) -> Fade:
    """``fade`` as one of the shapes by name, for projects that know no points."""
    if fade.shape is not FadeShape.POINTS:
        return fade
    x = np.linspace(0, 1, 33)
    wanted = fade_curve(fade, x)
    named = (
        Fade(fade.seconds, shape) for shape in FadeShape if shape not in (FadeShape.POINTS, FadeShape.BEND)
    )
    return min(named, key=lambda one: float(np.abs(fade_curve(one, x) - wanted).max()))


def beneath_curve(fade: Fade, x: Curve) -> Curve:
    """The gain of what lies beneath a clip's fade, where :func:`fade_curve` gives that of the clip."""
    if fade.beneath:
        return _smooth(fade.beneath, np.clip(x, 0.0, 1.0))
    return fade_curve(fade, 1 - x)


def faded(fade: Fade, over: Curve, frames: int, *, is_out: bool = False) -> Curve:
    """The part of a fade of so many ``frames`` as :func:`fade_curve` takes it, from the part that is over.

    >>> faded(Fade(to_last_frame=True), np.array([0.0, 0.5]), 2).tolist()
    [0.0, 1.0]
    """
    if fade.to_last_frame and frames > 1:
        over = over * (frames / (frames - 1))
    return 1 - over if is_out else over


def _blend(first: Curve, second: Curve, weight: float) -> Curve:
    return (1 - weight) * first + weight * second


def _nearly_equal_power(x: Curve) -> Curve:
    """A polynomial close to sin(x pi/2)."""
    left = (1 - x) ** 2
    return 1 - left * (2 - math.pi / 4 - (1 - math.pi / 4) * left)


def _through(x: Curve, t: float) -> Curve:
    """A quadratic Bezier curve from (0, 0) to (1, 1) through the control point (t, 1 - t)."""
    if math.isclose(t, 0.5):
        return x
    g = (np.sqrt(x * (1 - 2 * t) + t**2) - t) / (1 - 2 * t)
    return (2 * t - 1) * g**2 + (2 - 2 * t) * g


def _power(x: Curve, amount: float) -> Curve:
    """From x (0) over its square (0.5) to its fourth power (1)."""
    if amount <= 0.5:
        return _blend(x, x**2, 2 * amount)
    return _blend(x**2, x**4, 2 * amount - 1)


def _bend(x: Curve, bend: float) -> Curve:
    return _power(x, bend) if bend > 0 else 1 - _power(1 - x, -bend)


def _s_bend(x: Curve, amount: float) -> Curve:
    return np.where(x < 0.5, 0.5 * _power(2 * x, amount), 1 - 0.5 * _power(2 * (1 - x), amount))


def _smooth(points: tuple[tuple[float, float], ...], x: Curve) -> Curve:
    """A constrained cubic spline (CJC Kruger, 2003): smooth through the points, and never beyond them."""
    if len(points) < 3:
        at, values = np.array(points or ((0.0, 0.0), (1.0, 1.0))).T
        return np.asarray(np.interp(x, at, values), np.float64)
    from scipy.interpolate import CubicHermiteSpline  # slow to load, and few fades are drawn by points

    at, values = np.array(points, np.float64).T
    rises = np.diff(values) / np.diff(at)
    slopes = np.zeros(len(points))
    turns = rises[:-1] * rises[1:] <= 0
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes[1:-1] = np.where(turns, 0.0, 2 / (1 / rises[1:] + 1 / rises[:-1]))
    slopes[0] = 1.5 * rises[0] - slopes[1] / 2
    slopes[-1] = 1.5 * rises[-1] - slopes[-2] / 2
    curve: Curve = CubicHermiteSpline(at, values, slopes)(np.clip(x, at[0], at[-1])).astype(np.float64)
    return curve
