"""Time without pitch and pitch without time: lengths to the frame, pitch to a cent, memory in pieces."""

from itertools import pairwise

import numpy as np
import pytest

from plugin_bridge.rendering.stretching import CROSS_FADE, LONGEST, Piece, StretchedSource, pieces
from plugin_bridge.rendering.tracks import TrackSource
from plugin_bridge.sessions.model import (
    Clip,
    Envelope,
    Parameter,
    Point,
    PointShape,
    Session,
    StretchMarker,
    Track,
)
from separators.streaming import ArraySource
from tests.plugin_bridge.session_helpers import RATE, write

CENT = 1.0
TONE = 440.0
STROKE = 0.008
"""Seconds that a stroke may lie off its place."""


def tone(seconds, hertz=TONE, rate=RATE):
    return (0.25 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)[
        None
    ]


def cents(audio, hertz, rate=RATE):
    """How far a steady tone is off ``hertz``, by the turning of its phase."""
    turning = audio.astype(float) * np.exp(-2j * np.pi * hertz * np.arange(len(audio)) / rate)
    window = np.hanning(rate // 20)
    phase = np.unwrap(np.angle(np.convolve(turning, window / window.sum(), "valid")))
    slope = np.polyfit(np.arange(len(phase)), phase, 1)[0] * rate / (2 * np.pi)
    return 1200 * np.log2((hertz + slope) / hertz)


def rendered(tmp_path, audio, file_rate=RATE, **clip):
    path = write(tmp_path / "a.wav", audio, file_rate)
    track = Track("T", clips=[Clip(path, 0.5, **clip)])
    with TrackSource(Session(tmp_path, "test", RATE, [track]), track) as source:
        return source.read(0, source.frames)


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.37, 2.0])
@pytest.mark.parametrize("file_rate", [RATE, 44100])
def test_a_stretched_tone_keeps_its_pitch_and_has_its_length(tmp_path, rate, file_rate):
    audio = rendered(
        tmp_path, tone(2 * rate, rate=file_rate), file_rate, length=2.0, rate=rate, keep_pitch=True
    )
    assert audio.shape == (1, 2 * RATE)
    middle = audio[0, RATE // 2 : -RATE // 2]
    assert abs(cents(middle, TONE)) < CENT
    assert np.abs(middle).max() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(("pitch", "rate", "keeps", "hertz"), [
    (7.0, 1.0, False, TONE * 2 ** (7 / 12)),
    (-12.0, 1.0, True, TONE / 2),
    (0.5, 0.75, True, TONE * 2 ** (0.5 / 12)),
    (12.0, 0.5, False, TONE),
])  # fmt: skip
def test_a_pitch_is_shifted_by_its_semitones(tmp_path, pitch, rate, keeps, hertz):
    audio = rendered(tmp_path, tone(2), length=1.5, pitch=pitch, rate=rate, keep_pitch=keeps)
    assert audio.shape == (1, 1.5 * RATE)
    assert abs(cents(audio[0, RATE // 4 : -RATE // 4], hertz)) < CENT


def strokes(*seconds, length=4.0):
    audio = np.zeros((1, round(length * RATE)), np.float32)
    for at in seconds:
        audio[0, round(at * RATE) : round(at * RATE) + 48] = 0.9
    return audio


def loudest(audio, at, around=0.05):
    first = round((at - around) * RATE)
    part = np.abs(audio[0, first : round((at + around) * RATE)])
    return (first + int(part.argmax())) / RATE


def test_stretch_markers_nail_moments_of_the_source(tmp_path):
    markers = (StretchMarker(0.0, 0.0), StretchMarker(1.0, 2.0), StretchMarker(3.0, 3.0))
    audio = rendered(tmp_path, strokes(1.0, 2.5, 3.5), length=4.0, keep_pitch=True, stretch=markers)
    # Twice as fast up to 1 s, half as fast up to 3 s, as it is behind.
    for heard in (0.5, 2.0, 3.5):
        assert loudest(audio, heard) == pytest.approx(heard, abs=STROKE)


def test_a_slope_is_slow_at_one_end_and_fast_at_the_other(tmp_path):
    markers = (StretchMarker(0.0, 0.0, 0.5), StretchMarker(2.0, 2.0))
    audio = rendered(tmp_path, strokes(0.75), length=2.0, keep_pitch=True, stretch=markers)
    # source(u) = 2 (0.5 u + 0.5 u^2) is 0.75 at u = 0.5: a second on the timeline
    assert loudest(audio, 1.0) == pytest.approx(1.0, abs=0.02)


def test_a_pitch_envelope_moves_the_pitch(tmp_path):
    points = (Point(0.0, 0.0, PointShape.HOLD), Point(1.0, 12.0))
    audio = rendered(tmp_path, tone(2), length=2.0, envelopes=(Envelope(Parameter.PITCH, points),))
    assert abs(cents(audio[0, RATE // 4 : 3 * RATE // 4], TONE)) < CENT
    assert abs(cents(audio[0, 5 * RATE // 4 : 7 * RATE // 4], 2 * TONE)) < CENT


def test_silence_stays_silence(tmp_path):
    assert not rendered(
        tmp_path, np.zeros((2, RATE), np.float32), length=2.0, rate=0.5, keep_pitch=True
    ).any()


def test_no_piece_is_longer_than_what_is_stretched_at_once():
    clip = Clip(None, 0.0, 1000.0, rate=4.0, keep_pitch=True)
    found = pieces(clip)
    assert max((piece.end - piece.start) * piece.rate for piece in found) <= LONGEST + 1e-9
    assert (found[0].start, found[-1].end) == (0, 1000)
    for one, other in pairwise(found):
        assert one.end == other.start
        assert one.source + (one.end - one.start) * 4 == pytest.approx(other.source)


def test_pieces_are_joined_without_a_seam():
    audio = tone(3)
    parts = [Piece(0.0, 1.0, 0.0, 1.0), Piece(1.0, 2.0, 1.0, 1.0), Piece(2.0, 3.0, 2.0, 1.0)]
    source = StretchedSource(_Padded(audio), parts, 3 * RATE)
    joined = np.concatenate([source.read(at, 4800) for at in range(0, 3 * RATE, 4800)], axis=1)
    # At rate 1 nothing is to be done: the cross-fades must sum to what was there.
    edge = round(CROSS_FADE * RATE)
    assert np.abs(joined - audio)[:, edge:-edge].max() < 2e-3


class _Padded(ArraySource):
    def __init__(self, audio):
        super().__init__(audio, RATE)

    def read(self, start, frames):
        audio = np.zeros((self.channels, frames), np.float32)
        first, last = max(0, start), min(self.frames, start + frames)
        if first < last:
            audio[:, first - start : last - start] = super().read(first, last - first)
        return audio
