import numpy as np
import pytest

from separators.evaluation import si_sdr
from separators.evaluation.reference import ideal_binary_mask, ideal_ratio_mask, mixture_as_estimates

RATE = 44100
SUM_DB = -120.0
APART_DB = 60.0


def noise(stems, channels=2, frames=30000, seed=0):
    return np.random.default_rng(seed).standard_normal((stems, channels, frames)).astype(np.float32)


def tones(*frequencies, frames=30000):
    """Tones under a smooth envelope ``(tones, 1, frames)``, so that each keeps to its own bins."""
    t = np.arange(frames)[None, :] / RATE
    audio = np.hanning(frames) * np.sin(2 * np.pi * np.array(frequencies)[:, None] * t)
    return audio[:, None].astype(np.float32)


@pytest.mark.parametrize("make", [mixture_as_estimates, ideal_ratio_mask, ideal_binary_mask])
@pytest.mark.parametrize("frames", [0, 1, 777, 30000])
def test_estimates_have_the_sources_shape_and_sum_to_the_mixture(make, frames):
    sources = noise(3, frames=frames)
    estimates = make(sources) if make is mixture_as_estimates else make(sources, RATE)
    assert estimates.shape == sources.shape
    assert estimates.dtype == np.float32
    mixture = sources.sum(axis=0)
    error = np.linalg.norm(estimates.sum(axis=0) - mixture)
    assert error <= 10 ** (SUM_DB / 20) * np.linalg.norm(mixture)


def test_the_floor_is_the_same_for_every_stem():
    floor = mixture_as_estimates(noise(4))
    assert all(np.array_equal(estimate, floor[0]) for estimate in floor)


@pytest.mark.parametrize("mask", [ideal_ratio_mask, ideal_binary_mask])
def test_ideal_masks_take_tones_apart(mask):
    sources = tones(500, 3000, 9000)
    for source, estimate in zip(sources, mask(sources, RATE), strict=True):
        assert si_sdr(source, estimate) > (APART_DB if mask is ideal_binary_mask else APART_DB / 2)


def test_each_channel_has_its_own_mask():
    low, high = tones(500, 3000)[:, 0]
    sources = np.stack([[low, 0 * low], [0 * low, high]])
    np.testing.assert_allclose(ideal_ratio_mask(sources, RATE), sources, atol=1e-6)


def test_the_order_of_ceilings():
    # Noises that overlap everywhere: masking helps, power masks more than magnitude masks.
    sources = noise(2) * np.repeat(np.random.default_rng(1).random((2, 1, 300)) ** 3, 100, axis=2).astype(
        np.float32
    )
    floor, ratio, wiener = (
        np.mean([si_sdr(s, e) for s, e in zip(sources, estimates, strict=True)])
        for estimates in (
            mixture_as_estimates(sources),
            ideal_ratio_mask(sources, RATE),
            ideal_ratio_mask(sources, RATE, power=2),
        )
    )
    assert floor < ratio < wiener


def test_a_silent_source_gets_nothing():
    sources = noise(2)
    sources[1] = 0.0
    for mask in (ideal_ratio_mask, ideal_binary_mask):
        assert not mask(sources, RATE)[1].any()
