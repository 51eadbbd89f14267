import numpy as np
import pytest

from separators import NMF
from separators.nmf.grouping import RULES, group, mfcc, periodicities

RATE = 16000
HOP_SECONDS = 0.01


def comb(fundamental, envelope, bins=513):
    """The spectrum of a note with the timbre ``envelope(hertz)``."""
    hertz = np.linspace(0, RATE / 2, bins)
    lines = np.exp(-0.5 * (((hertz + fundamental / 2) % fundamental - fundamental / 2) / 25) ** 2)
    return lines * envelope(hertz)


def dark(hertz):
    return np.exp(-hertz / 600)


def nasal(hertz):
    return np.exp(-(((hertz - 2500) / 900) ** 2)) + 0.02


def pulses(period, offset, frames=1000):
    return np.exp(-((np.arange(frames) * HOP_SECONDS - offset) % period) / 0.04)


def test_timbre_joins_the_pitches_of_an_instrument():
    pitches = (196, 220, 262, 294)
    W = np.array([comb(pitch, timbre) for pitch in pitches for timbre in (dark, nasal)], np.float32)
    H = np.random.default_rng(0).random((200, len(W))).astype(np.float32)
    assert group(H, W, 2, RATE, "timbre").tolist() == [0, 1] * len(pitches)


def test_rhythm_joins_what_repeats_with_one_period():
    rows = [pulses(0.5, 0.0), pulses(0.37, 0.1), pulses(0.5, 0.25), pulses(0.37, 0.2)]
    H = np.array(rows, np.float32).T
    W = np.array([comb(150 + 40 * number, dark) for number in range(4)], np.float32)
    found = group(H, W, 2, RATE, "rhythm", HOP_SECONDS)
    assert found[0] == found[2] != found[1] == found[3]


def test_a_timbre_does_not_depend_on_the_level():
    W = np.array([comb(220, nasal)], np.float32)
    np.testing.assert_allclose(mfcc(W, RATE), mfcc(1e-6 * W, RATE), atol=1e-3)


def test_the_strongest_periodicity_is_the_period():
    lags = periodicities(np.array([pulses(0.5, 0.1)], np.float32).T, HOP_SECONDS)[0]
    assert (lags.argmax() + round(0.1 / HOP_SECONDS)) * HOP_SECONDS in (0.5, 1.0, 1.5, 2.0)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("rule", RULES)
def test_a_few_frames_are_no_trouble(rule, frames):
    H, W = np.ones((frames, 4), np.float32), np.ones((4, 33), np.float32)
    assert sorted(set(group(H, W, 2, RATE, rule, HOP_SECONDS).tolist())) == [0, 1]


@pytest.mark.parametrize("rule", RULES)
def test_templates_that_never_play_are_no_trouble(rule):
    H, W = np.zeros((20, 5), np.float32), np.zeros((5, 33), np.float32)
    assert sorted(set(group(H, W, 2, RATE, rule, HOP_SECONDS).tolist())) == [0, 1]


def test_the_place_joins_templates_that_are_otherwise_alike():
    H, W = np.ones((50, 4), np.float32), np.ones((4, 33), np.float32)
    gains = np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.2, 0.8]], np.float32)
    found = group(H, W, 2, RATE, gains=gains)
    assert found[0] == found[2] != found[1] == found[3]


def test_the_rules_are_the_choices():
    assert NMF.parameters["grouping"].choices == RULES
