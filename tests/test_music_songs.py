"""What the benchmark of songs makes of a song: mastered, coded, without a stem."""

import numpy as np
import pytest

from benchmarks import music_songs
from benchmarks.music_songs import RATE, Song, aligned, mastered, versions


def stems(frames=RATE):
    rng = np.random.default_rng(0)
    time = np.arange(frames) / RATE
    loud = np.where(time % 0.5 < 0.1, 1.0, 0.2).astype(np.float32)
    tones = [np.sin(2 * np.pi * hertz * time).astype(np.float32) for hertz in (220, 700)]
    return {
        "vocals": 0.2 * tones[1] * np.ones((2, 1), np.float32),
        "drums": 0.3 * loud * rng.standard_normal((2, frames)).astype(np.float32),
        "rest": 0.2 * tones[0] * np.ones((2, 1), np.float32),
    }


def test_a_mastered_song_is_at_full_scale_and_its_stems_still_sum():
    before = stems()
    after = mastered(before)
    mixture, mix = sum(before.values()), sum(after.values())
    assert np.abs(mix).max() == pytest.approx(1.0, abs=1e-3)
    loudness = np.sqrt(np.mean(mix**2)) / np.abs(mix).max()
    assert loudness > 1.5 * np.sqrt(np.mean(mixture**2)) / np.abs(mixture).max()
    # Every stem got the same gains.
    gains = mix[0] / mixture[0]
    sure = np.abs(mixture[0]) > 0.05
    np.testing.assert_allclose(after["drums"][0][sure], (before["drums"][0] * gains)[sure], atol=1e-3)


def test_what_a_coder_has_delayed_is_laid_at_its_place():
    mixture = sum(stems().values())
    for delay in (0, 1105, -300):
        moved = np.roll(mixture, delay, axis=1)
        np.testing.assert_allclose(aligned(moved, mixture)[:, 2000:-2000], mixture[:, 2000:-2000], atol=1e-6)


def test_versions_lack_what_they_say_and_know_what_is_absent(monkeypatch):
    monkeypatch.setattr(
        music_songs, "KINDS", ((("a",), "without drums"), (("a",), "without vocals"), (("a",), "mastered"))
    )
    song = Song("a", "other act", stems())
    drumless, sung_less, loud = versions(song)
    assert (drumless.absent, sung_less.absent, loud.absent) == (["drums"], ["vocals"], [])
    assert np.abs(drumless.mixture - drumless.stems["vocals"] - drumless.stems["rest"]).max() < 1e-6
    assert Song("b", "instrumental", {"accompaniment": song.mixture}).absent == ["vocals"]
