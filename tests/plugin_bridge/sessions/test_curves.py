"""Curves through points: parts that say the same, and straight lines that follow them."""

import numpy as np
import pytest

from plugin_bridge.sessions.curves import PointCurve
from plugin_bridge.sessions.model import Point, PointShape, Scale

SHAPES = [*((shape, 0.0) for shape in PointShape), (PointShape.BEZIER, 0.7), (PointShape.BEZIER, -0.9)]
CUT_DB, STRAIGHT_DB = -60.0, -60.0
"""Of the larger end; bent stretches that are cut, or that are made straight, are lines."""


def curve(shape, bend, scale):
    points = [Point(0.5, 0.2, shape, bend), Point(2.0, 1.5, shape, bend), Point(2.0, 0.7, shape, bend)]
    return PointCurve([*points, Point(4.0, 0.1)], scale)


@pytest.mark.parametrize(("shape", "bend"), SHAPES)
@pytest.mark.parametrize("scale", [Scale.VALUE, Scale.REAPER_FADER, Scale.DECIBELS])
@pytest.mark.parametrize(("first", "last"), [(0.0, 5.0), (0.75, 1.75), (1.0, 3.0), (2.0, 4.0), (3.0, 3.0)])
def test_a_part_says_the_same(shape, bend, scale, first, last):
    whole = curve(shape, bend, scale)
    part = PointCurve(whole.part(first, last), scale)
    seconds = np.linspace(first, last, 1001)
    assert part.points[0].seconds == first
    assert part.points[-1].seconds == last
    off = np.abs(part.at(seconds) - whole.at(seconds))
    off[np.abs(seconds - 2) < 1e-6] = 0  # where it jumps
    assert 20 * np.log10(off.max() / 1.5 + 1e-12) < CUT_DB


@pytest.mark.parametrize(("shape", "bend"), SHAPES)
@pytest.mark.parametrize("scale", list(Scale))
def test_straight_lines_follow_it(shape, bend, scale):
    whole = curve(shape, bend, scale)
    points = list(whole.straight())
    assert {point.shape for point in points} <= {PointShape.LINEAR, PointShape.HOLD}
    seconds = np.linspace(0, 5, 5001)
    off = np.abs(PointCurve(points).at(seconds) - whole.at(seconds))
    assert 20 * np.log10(off.max() / 1.5 + 1e-12) < STRAIGHT_DB


def test_lines_stay_as_few_as_they_are():
    points = (Point(0, 0.0), Point(1, 1.0, PointShape.HOLD), Point(2, 0.5), Point(3, 0.5))
    assert [point.seconds for point in PointCurve(points).straight()] == [0, 1, 2, 3]
