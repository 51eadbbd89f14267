import numpy as np
import pytest

from separators.training.pitch import median_pitch
from tests.separators.training.synthetic_voices import RATE, voice


@pytest.mark.parametrize("hertz", [80, 110, 147, 220, 330])
def test_the_pitch_of_a_voice_is_found(hertz):
    assert median_pitch(voice(hertz, 4, 0)) == pytest.approx(hertz, rel=0.03)


def test_a_gain_and_noise_do_not_matter():
    audio = voice(150, 4, 1)
    noisy = 20 * audio + np.random.default_rng(0).normal(0, 0.05 * np.abs(audio).max(), len(audio))
    assert median_pitch(noisy.astype(np.float32)) == pytest.approx(median_pitch(audio), rel=0.02)


def test_noise_silence_and_nothing_have_no_pitch():
    rng = np.random.default_rng(1)
    assert np.isnan(median_pitch(rng.standard_normal(2 * RATE).astype(np.float32)))
    assert np.isnan(median_pitch(np.zeros(RATE, np.float32)))
    assert np.isnan(median_pitch(np.zeros(10, np.float32)))
