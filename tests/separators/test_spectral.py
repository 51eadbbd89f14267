import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from separators.errors import ParameterError
from separators.spectral import STFT, apply_masks, fft_size_for, ratio_masks, stems_from_models

SUM_DB = -120.0
MASK_TOLERANCE = 1e-6


def error_db(estimate, reference):
    return 20 * np.log10(np.linalg.norm(estimate - reference) / np.linalg.norm(reference) + 1e-30)


def noise(channels, length, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, length)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 5000),
    channels=st.integers(1, 3),
    size=st.sampled_from([2, 16, 50, 256, 1024, 2048]),
    hop_part=st.floats(0.01, 0.5),
)
def test_any_length_and_hop_reconstructs(length, channels, size, hop_part):
    stft = STFT(size, max(1, int(size * hop_part)))
    audio = noise(channels, length)
    spectrum = stft.forward(audio)
    assert spectrum.dtype == np.complex64
    assert spectrum.shape == (channels, stft.bins, stft.frames(length))
    back = stft.inverse(spectrum, length)
    assert back.dtype == np.float32
    assert error_db(back, audio) < SUM_DB


def test_no_samples_are_no_samples():
    stft = STFT(256)
    assert stft.inverse(stft.forward(np.zeros((2, 0), np.float32)), 0).shape == (2, 0)


def test_a_sine_peaks_in_its_bin_at_half_the_window_sum():
    stft = STFT(1024)
    audio = np.cos(2 * np.pi * 100 / 1024 * np.arange(8192)).astype(np.float32)
    middle = np.abs(stft.forward(audio)[:, 10])
    assert middle.argmax() == 100
    assert middle[100] == pytest.approx(1024 / 4, rel=1e-4)


def test_frames_of_blocks_on_the_grid_fall_on_the_same_samples():
    stft = STFT(1024)
    audio = noise(1, 16384)
    whole, block = stft.forward(audio), stft.forward(audio[:, 4096:])
    inside = slice(8, 40)
    later = slice(inside.start + 4096 // stft.hop, inside.stop + 4096 // stft.hop)
    np.testing.assert_allclose(block[..., inside], whole[..., later], atol=1e-3)


@pytest.mark.parametrize(("size", "hop"), [(1024, 0), (1024, 513), (1, 1), (256, -4)])
def test_a_hop_that_loses_samples_is_refused(size, hop):
    with pytest.raises(ParameterError, match="hop"):
        STFT(size, hop)


def test_a_spectrum_of_another_length_is_refused():
    stft = STFT(256)
    with pytest.raises(ValueError, match="does not belong"):
        stft.inverse(stft.forward(noise(1, 1000)), 2000)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 88200, 96000])
def test_fft_size_lasts_about_46_ms(rate):
    size = fft_size_for(rate)
    assert size & (size - 1) == 0
    assert 2**-0.5 <= size / rate / (2048 / 44100) <= 2**0.5


# Magnitudes from denormals to near the largest float32.
any_models = arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 6)),
    elements=st.one_of(st.just(0.0), st.floats(0, float(np.float32(1e38)), width=32)),
)


@settings(max_examples=100, deadline=None)
@given(models=any_models, power=st.sampled_from([0.5, 1.0, 2.0, 8.0]))
def test_masks_are_finite_between_0_and_1_and_sum_to_one(models, power):
    before = models.copy()
    masks = ratio_masks(models, power)
    assert np.isfinite(masks).all()
    assert (masks >= 0).all()
    assert (masks <= 1).all()
    np.testing.assert_allclose(masks.sum(axis=0), 1, atol=MASK_TOLERANCE)
    np.testing.assert_array_equal(models, before)


def test_masks_where_nothing_is_known_share_equally():
    np.testing.assert_allclose(ratio_masks(np.zeros((4, 3, 2), np.float32)), 0.25)


def test_masks_follow_the_models():
    models = np.array([3.0, 1.0], np.float32).reshape(2, 1, 1)
    np.testing.assert_allclose(ratio_masks(models).ravel(), [0.75, 0.25])
    np.testing.assert_allclose(ratio_masks(models, 2).ravel(), [0.9, 0.1])


@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 4000), channels=st.integers(1, 3), stems=st.integers(1, 5), seed=st.integers(0, 99)
)
def test_stems_sum_to_the_block(length, channels, stems, seed):
    stft = STFT(512)
    audio = noise(channels, length, seed)
    spectrum = stft.forward(audio)
    random = np.random.default_rng(seed)
    models = random.exponential(size=(stems, *spectrum.shape[1:])).astype(np.float32)
    models[:, random.random(spectrum.shape[1:]) < 0.3] = 0  # bins that no model explains
    separated = stems_from_models(spectrum, models, stft, length)
    assert separated.shape == (stems, channels, length)
    assert error_db(separated.sum(axis=0), audio) < SUM_DB


def test_keep_or_kill_two_tones():
    rate, length = 16000, 16000
    time = np.arange(length) / rate
    low, high = (np.sin(2 * np.pi * f * time).astype(np.float32) for f in (500, 3000))
    stft = STFT(1024)
    spectrum = stft.forward((low + high)[np.newaxis])
    below = np.arange(stft.bins)[:, np.newaxis] * rate / 1024 < 1500
    masks = np.stack([below, ~below]).astype(np.float32) * np.ones(spectrum.shape[1:], np.float32)
    stems = apply_masks(spectrum, masks, stft, length)
    inside = slice(1024, -1024)
    assert error_db(stems[0, 0, inside], low[inside]) < -60
    assert error_db(stems[1, 0, inside], high[inside]) < -60


def test_masks_may_differ_between_channels():
    stft = STFT(256)
    audio = noise(2, 2000)
    spectrum = stft.forward(audio)
    masks = np.zeros((2, *spectrum.shape), np.float32)
    masks[0, 0] = masks[1, 1] = 1
    stems = apply_masks(spectrum, masks, stft, 2000)
    assert error_db(stems[0, 0], audio[0]) < SUM_DB
    assert not stems[0, 1].any()
    assert error_db(stems[1, 1], audio[1]) < SUM_DB
