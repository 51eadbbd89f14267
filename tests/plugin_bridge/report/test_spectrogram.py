"""Spectrograms for pictures: levels and places are right, however the audio is cut, and size is bounded."""

from __future__ import annotations

import numpy as np
import pytest

from plugin_bridge.report.spectrogram import BANDS, COLUMNS, Spectrogram

RATE = 44100
FAR_DB = 40
"""So much weaker is what a window smears to half an octave and more beside a tone, even at 100 Hz."""


def tone(hertz, seconds, rate=RATE, channels=1, level=0.5):
    time = np.arange(round(seconds * rate)) / rate
    return np.tile(level * np.sin(2 * np.pi * hertz * time), (channels, 1)).astype(np.float32)


def spectrogram(audio, rate=RATE, cuts=()):
    made = Spectrogram(rate, audio.shape[1])
    for part in np.split(audio, cuts, axis=1):
        made.add(part)
    return made


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
@pytest.mark.parametrize("hertz", [100, 440, 3000])
def test_a_tone_is_where_it_sounds_and_nowhere_else(rate, hertz):
    made = spectrogram(tone(hertz, 2, rate, channels=2), rate)
    levels = made.decibels()
    row = np.searchsorted(made.edges_hz, hertz) - 1
    middle = levels[:, levels.shape[1] // 2]
    assert abs(np.argmax(middle) - row) * (np.log(made.edges_hz[-1] / made.edges_hz[0]) / BANDS) < 0.25
    far = np.abs(np.log(made.edges_hz[1:] / hertz)) > 0.5
    assert middle[far].max() < middle.max() - FAR_DB


def test_a_gain_is_a_gain_in_decibels():
    loud, quiet = (spectrogram(tone(440, 1, level=level)).decibels() for level in (0.5, 0.05))
    heard = loud > loud.max() - 60
    np.testing.assert_allclose((loud - quiet)[heard], 20, atol=0.01)


def test_time_runs_along_the_columns():
    audio = np.concatenate([tone(440, 3, level=0), tone(440, 1)], axis=1)
    levels = spectrogram(audio).decibels()
    begins = np.argmax(levels.max(axis=0) > -60) / levels.shape[1]
    assert begins == pytest.approx(0.75, abs=0.02)
    assert np.isneginf(levels[:, : int(0.7 * levels.shape[1])]).all()


def test_how_the_audio_is_cut_makes_no_difference():
    audio = np.random.default_rng(0).standard_normal((2, 30001)).astype(np.float32)
    whole = spectrogram(audio).decibels()
    pieces = spectrogram(audio, cuts=[1, 2, 700, 701, 9000, 29000]).decibels()
    np.testing.assert_allclose(pieces, whole, atol=1e-3)


@pytest.mark.parametrize("frames", [0, 1, 100, 5000])
def test_short_audio_has_a_picture_too(frames):
    levels = spectrogram(np.ones((1, frames), np.float32)).decibels()
    assert levels.shape[0] == BANDS
    assert 1 <= levels.shape[1] <= max(1, frames)
    assert not np.isnan(levels).any()
    assert np.isfinite(levels).any() == (frames > 0)


def test_an_hour_has_as_many_columns_as_a_minute_and_each_is_filled():
    rate, frames = 8000, 3600 * 8000
    made = Spectrogram(rate, frames)
    assert made.decibels().shape == (BANDS, COLUMNS)
    made = Spectrogram(rate, frames // 20)
    block = np.random.default_rng(0).standard_normal((1, rate)).astype(np.float32)
    for _ in range(180):
        made.add(block)
    levels = made.decibels()
    assert levels.shape == (BANDS, COLUMNS)
    assert np.isfinite(levels).all()
