"""What is done to voices and mixes in training: gains, lengths and bands come out as said."""

import numpy as np
import pytest

from separators.training import song_effects as effects
from separators.training.songs import SAMPLE_RATE

FRAMES = 1 << 16


def noise(seed=0, frames=FRAMES):
    return np.random.default_rng(seed).standard_normal((2, frames)).astype(np.float32)


def rms(audio):
    return float(np.sqrt(np.mean(np.square(audio))))


def band_db(audio, low, high):
    spectrum = np.abs(np.fft.rfft(audio)) ** 2
    hertz = np.linspace(0, SAMPLE_RATE / 2, spectrum.shape[-1])
    inside = (hertz >= low) & (hertz < high)
    return 10 * np.log10(spectrum[:, inside].mean() + 1e-20)


@pytest.mark.parametrize(
    "effect",
    [
        lambda audio: effects.compressed(audio, 4.0),
        lambda audio: effects.distorted(audio, 12.0),
        lambda audio: effects.echoed(audio, np.random.default_rng(1)),
        lambda audio: effects.doubled(audio, np.random.default_rng(1)),
        lambda audio: effects.low_pass(audio, 5000.0),
    ],
)
def test_effects_keep_the_shape_and_turn_silence_into_silence(effect):
    heard = effect(noise())
    assert heard.shape == (2, FRAMES)
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    assert not effect(np.zeros((2, FRAMES), np.float32)).any()


def test_a_compressor_brings_loud_and_quiet_closer():
    audio = noise()
    audio[:, : FRAMES // 2] *= 0.1
    before = rms(audio[:, FRAMES // 2 :]) / rms(audio[:, : FRAMES // 2])
    heard = effects.compressed(audio, 4.0)
    after = rms(heard[:, FRAMES // 2 + 4096 :]) / rms(heard[:, : FRAMES // 2 - 4096])
    assert after < 0.6 * before


def test_a_limiter_holds_peaks_and_leaves_quiet_parts_alone():
    mixture = 0.1 * noise()
    mixture[:, FRAMES // 2 :] *= 10
    gains = effects.limiting(mixture, 6.0)
    assert gains.shape == (FRAMES,)
    assert gains.max() <= 1.0
    assert gains[: FRAMES // 2 - 8192].min() > 0.99
    assert np.quantile(np.abs(mixture * gains), 0.999) < 0.75 * np.quantile(np.abs(mixture), 0.999)


def test_a_low_pass_takes_what_is_above():
    heard = effects.low_pass(noise(), 4000.0)
    assert band_db(heard, 5000, 20_000) < band_db(heard, 100, 3500) - 50


def test_a_voice_is_given_a_top_quieter_than_the_band_below():
    dull = effects.low_pass(noise(), 7000.0)
    wide = effects.widened(dull, 8000.0)[:, :FRAMES]
    assert band_db(dull, 9000, 16_000) < band_db(dull, 4000, 6500) - 50
    assert -40 < band_db(wide, 9000, 16_000) - band_db(wide, 4000, 6500) < 0
    assert band_db(wide, 100, 3500) == pytest.approx(band_db(dull, 100, 3500), abs=0.5)


def test_panning_narrows_to_mono():
    audio = noise()
    mono = effects.panning(0.0) @ audio
    np.testing.assert_allclose(mono[0], mono[1], atol=1e-6)
    np.testing.assert_allclose(effects.panning(1.0) @ audio, audio, atol=1e-6)
