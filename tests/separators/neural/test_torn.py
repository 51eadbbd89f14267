"""Torn moments of one voice come on its stem; two voices that talk at once stay as they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from separators.neural.network import HOP, SAMPLE_RATE
from separators.neural.torn import SHORTEST, Join, join, joins

SAME = 1e-6
"""Largest difference of samples that ought to be equal."""
EDGE = 0.13
"""Seconds at either end of a torn moment that smoothing may leave as they are."""
LEFT = 1e-3
"""Part of a torn moment's energy that may stay on the wrong stem, away from its ends."""


def voices(seconds=4.0, count=2):
    """Independent sounds that rise and fall, ``(count, frames)``."""
    frames = round(seconds * SAMPLE_RATE)
    rng = np.random.default_rng(1)
    time = np.arange(frames) / SAMPLE_RATE
    swing = 1.2 + np.sin(2 * np.pi * np.array([[3.1], [4.3], [5.7]])[:count] * time)
    return (0.05 * swing * rng.standard_normal((count, frames))).astype(np.float32)


def talk():
    """The first talks up to 2.4 s, the second from there on."""
    stems = voices()
    change = round(2.4 * SAMPLE_RATE)
    stems[0, change:], stems[1, :change] = 0, 0
    return stems


def torn(stems, start, end, part=0.5, owner=0, other=1):
    """``stems`` with a ``part`` of the owner's sound on the other stem from ``start`` to ``end`` seconds."""
    out = stems.copy()
    where = slice(round(start * SAMPLE_RATE), round(end * SAMPLE_RATE))
    out[other, where] += part * stems[owner, where]
    out[owner, where] -= part * stems[owner, where]
    return out


def mended(stems):
    out = stems.copy()
    join(out, joins(stems))
    return out


def wrong(stems, expected, start, end, stem=1):
    """Energy of the error of a stem between two seconds, as a part of all that sounds there."""
    where = slice(round((start + EDGE) * SAMPLE_RATE), round((end - EDGE) * SAMPLE_RATE))
    error = np.square(stems[stem, where] - expected[stem, where]).sum()
    return error / np.square(expected[:, where].sum(0)).sum()


@pytest.mark.parametrize("part", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("length", [0.4, 0.8])
def test_a_torn_moment_of_one_who_talks_alone_comes_on_that_stem(part, length):
    whole = talk()
    stems = torn(whole, 1.0, 1.0 + length, part)
    assert wrong(stems, whole, 1.0, 1.0 + length) > 0.08
    assert wrong(mended(stems), whole, 1.0, 1.0 + length) < LEFT


def test_the_other_one_s_too():
    whole = talk()
    stems = torn(whole, 3.0, 3.5, 0.5, owner=1, other=0)
    assert wrong(mended(stems), whole, 3.0, 3.5, stem=0) < LEFT


def test_two_who_talk_at_once_are_left_alone():
    assert joins(voices()) == []


def test_where_both_talk_around_it_nothing_is_mended():
    # There the network may have failed to separate two voices, of which neither may lose its half.
    stems = voices()
    where = slice(SAMPLE_RATE, 3 * SAMPLE_RATE // 2)
    stems[:, where] = stems[:, where].sum(0) / 2
    assert joins(stems) == []


def test_badly_separated_voices_are_no_copies():
    first, second = voices()
    both = np.stack([0.8 * first + 0.2 * second, 0.2 * first + 0.8 * second])
    both[1, : 3 * SAMPLE_RATE // 2] = 0
    assert joins(both) == []


def test_of_the_same_sound_all_along_nobody_knows_whose_it_is():
    stems = np.repeat(voices(count=2)[:1] / 2, 2, 0)
    assert joins(stems) == []


def test_a_third_stem_is_not_touched():
    whole = np.concatenate([talk(), np.zeros((1, 4 * SAMPLE_RATE), np.float32)])
    stems = torn(whole, 1.0, 1.6, other=2)
    out = mended(stems)
    assert wrong(out, whole, 1.0, 1.6, stem=2) < LEFT
    np.testing.assert_array_equal(out[1], stems[1])


def test_quiet_copies_and_blips_are_left_as_they_are():
    whole = talk()
    assert joins(torn(whole, 1.0, 1.5, 0.05)) == []
    assert joins(torn(whole, 1.0, 1.0 + 0.5 * SHORTEST * HOP / SAMPLE_RATE)) == []


@pytest.mark.parametrize("frames", [0, 1, HOP, 5 * HOP, 20 * HOP])
def test_silence_and_short_audio_hold_nothing(frames):
    assert joins(np.zeros((2, frames), np.float32)) == []


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_at_another_rate_and_with_channels_the_same_moments_are_mended(rate):
    scale = rate / SAMPLE_RATE
    stems = np.ones((2, 2, rate), np.float32)
    join(stems, [Join(20, 40, 0, 1)], 0, scale)
    middle = round(30 * HOP * scale)
    np.testing.assert_allclose(stems[:, :, middle], [[2, 2], [0, 0]], atol=SAME)
    np.testing.assert_array_equal(stems[:, :, round(19 * HOP * scale)], 1)
    np.testing.assert_array_equal(stems[:, :, round(41 * HOP * scale)], 1)
    np.testing.assert_allclose(stems.sum(0), 2, atol=SAME)


def test_what_lies_before_the_first_frame_is_left_out():
    stems = np.ones((2, 30 * HOP), np.float32)
    join(stems, [Join(0, 10, 0, 1), Join(20, 40, 1, 0)], 20 * HOP)
    np.testing.assert_allclose(stems[:, 10 * HOP], [0, 2], atol=SAME)
    np.testing.assert_array_equal(stems[:, 21 * HOP :], 1)


@given(
    gain=st.floats(1e-3, 1e3), negative=st.booleans(), start=st.floats(0.3, 1.5), length=st.floats(0.2, 0.8)
)
def test_gain_polarity_and_the_order_of_stems_change_nothing(gain, negative, start, length):
    stems = torn(talk(), start, min(2.3, start + length))
    found = joins(stems)
    assert joins(stems * np.float32(-gain if negative else gain)) == found
    turned = [(one.start, one.end, 1 - one.owner, 1 - one.other) for one in joins(stems[::-1])]
    assert turned == [tuple(one) for one in found]
    np.testing.assert_allclose(mended(stems).sum(0), stems.sum(0), atol=SAME)
