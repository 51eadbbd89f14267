"""Envelopes have the values that their DAWs show, at the frames where they belong."""

import numpy as np
import pytest

from plugin_bridge.rendering.envelopes import Automation, EnvelopeCurve
from plugin_bridge.sessions.curves import SCALES
from plugin_bridge.sessions.model import Envelope, Parameter, Point, PointShape, Scale

EXACT = 1e-12


def curve(*points, scale=Scale.VALUE):
    return EnvelopeCurve(Envelope(Parameter.VOLUME, tuple(Point(*point) for point in points), scale))


def value(made, seconds):
    return float(made.at(np.array([seconds]))[0])


@pytest.mark.parametrize(
    ("shape", "quarter"),
    [
        (PointShape.LINEAR, 0.25),
        (PointShape.HOLD, 0.0),
        (PointShape.SLOW, 3 / 16 - 2 / 64),
        (PointShape.FAST_START, 1 - 0.75**3),
        (PointShape.FAST_END, 0.25**3),
    ],
)
def test_shapes_have_their_value_a_quarter_of_the_way(shape, quarter):
    made = curve((1.0, 0.5, shape), (3.0, 1.5))
    assert value(made, 1.5) == pytest.approx(0.5 + quarter, abs=EXACT)
    assert value(made, 0.0) == 0.5
    assert value(made, 3.0) == value(made, 99.0) == 1.5


def test_a_bezier_bends_both_ways_and_is_straight_without_tension():
    straight, slow, fast = (
        curve((0.0, 0.0, PointShape.BEZIER, bend), (1.0, 1.0)) for bend in (0.0, 0.5, -0.5)
    )
    for x in (0.1, 0.5, 0.8):
        assert value(straight, x) == pytest.approx(x, abs=1e-9)
        assert value(slow, x) < x < value(fast, x)
        # One is the other turned by half a circle.
        assert value(slow, x) == pytest.approx(1 - value(fast, 1 - x), abs=1e-9)


@pytest.mark.parametrize("scale", SCALES)
def test_scales_are_undone_by_their_inverse(scale):
    gains = np.array([0.001, 0.1, 0.5, 1.0, 1.9])
    to_way, from_way = SCALES[scale]
    assert from_way(to_way(gains)) == pytest.approx(gains, rel=1e-9)


@pytest.mark.parametrize(
    ("decibels", "way"),  # of a fader's 1000 steps, as REAPER renders a ramp from +12 to -80 dB
    [(12, 1.0), (6, 0.8523), (0, 0.71622), (-6, 0.5928), (-20, 0.3633), (-40, 0.1710)],
)
def test_reapers_fader_is_where_its_renders_show_it(decibels, way):
    to_way, _ = SCALES[Scale.REAPER_FADER]
    assert to_way(np.array([10 ** (decibels / 20)]))[0] == pytest.approx(way, abs=2e-4)


def test_on_a_scale_the_middle_of_a_ramp_is_the_middle_of_the_way():
    made = curve((0.0, 1.0), (2.0, 0.01), scale=Scale.DECIBELS)
    assert value(made, 1.0) == pytest.approx(0.1, abs=EXACT)


def test_frames_are_one_number_where_nothing_moves():
    made = curve((0.0, 0.5), (1.0, 0.5), (2.0, 1.0))
    assert made.frames(0, 90, 100) == 0.5
    moving = made.frames(100, 101, 100)
    assert moving[[0, 50, 100]] == pytest.approx([0.5, 0.75, 1.0], abs=EXACT)


def test_blocks_are_the_whole():
    made = curve((0.1, 0.0), (0.1, 1.0), (0.35, 0.25, PointShape.SLOW), (0.9, 0.75))
    whole = made.frames(0, 1000, 1000)
    parts = [np.broadcast_to(made.frames(at, 7, 1000), 7) for at in range(0, 994, 7)]
    assert np.array_equal(np.concatenate(parts), whole[:994])


def test_an_envelope_comes_on_top_of_the_fader_or_takes_its_place():
    half = (Point(0.0, 0.5),)
    for relative, gain in ((True, 0.1), (False, 0.5)):
        automation = Automation([Envelope(Parameter.VOLUME, half, relative=relative)])
        assert automation.gain(0, 10, 100, 0.2, Parameter.VOLUME) == pytest.approx(gain)
        pan = Automation([Envelope(Parameter.PAN, half, relative=relative)])
        assert pan.moved(0, 10, 100, -0.25, Parameter.PAN) == (0.25 if relative else 0.5)


def test_a_mute_silences_from_its_point_on():
    points = (Point(0.0, 0.0, PointShape.HOLD), Point(0.5, 1.0, PointShape.HOLD), Point(0.75, 0.0))
    automation = Automation([Envelope(Parameter.MUTE, points)])
    gain = automation.gain(0, 100, 100, 1.0, Parameter.MUTE)
    assert np.array_equal(np.flatnonzero(gain == 0), np.arange(50, 75))
