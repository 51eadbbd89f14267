"""The multichannel Wiener filter with one step of expectation-maximization (Nugraha, Liutkus, Vincent 2016).

Beside its loudness, each stem gets a direction: how its channels go together at each frequency. What sounds
from elsewhere is taken out of it, which masks on single channels cannot do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from separators.spectral import Magnitude, Spectrum

WINDOW = 300
"""Frames over which directions stay the same."""
FLOOR = 1e-7
"""Part of the mixture's power in a window below which there is nothing to share out."""


def multichannel_wiener(spectrum: Spectrum, models: Magnitude) -> Spectrum:
    """The stems' spectra ``(stems, channels, bins, frames)`` from the mixture's and the stems' magnitudes.

    They sum to the mixture ``(channels, bins, frames)``, but for bins near silence.
    """
    stems = np.empty(models.shape, np.complex64)
    for start in range(0, spectrum.shape[-1], WINDOW):
        part = np.s_[..., start : start + WINDOW]
        stems[part] = _one_window(spectrum[part], models[part])
    return stems


def _one_window(mixture: Spectrum, models: Magnitude) -> NDArray[np.complex128]:
    """Directions and loudness of one window are those of the magnitudes with the mixture's phase."""
    loudness = np.abs(mixture)
    floor = np.float32(FLOOR * np.square(loudness, dtype=np.float64).mean() + np.finfo(np.float32).tiny)
    phase = mixture / np.maximum(loudness, np.finfo(np.float32).tiny)
    guess = models * phase
    power = np.square(models).mean(1)
    # (stems, bins, channels, channels)
    direction = np.matmul(guess.transpose(0, 2, 1, 3), guess.conj().transpose(0, 2, 3, 1))
    direction /= (power.sum(-1) + floor)[..., np.newaxis, np.newaxis]
    # In double precision: where one stem is alone, the matrices are nearly singular.
    covariance = np.einsum("sft,sfcd->cdft", power, direction, dtype=np.complex128)
    for channel in range(len(mixture)):
        covariance[channel, channel] += floor
    share = _solve(covariance, mixture)
    return np.stack(
        [
            power_ * np.einsum("fcd,dft->cft", direction_, share)
            for power_, direction_ in zip(power, direction, strict=True)
        ]
    )


def _solve(matrices: NDArray[np.complex128], sides: Spectrum) -> NDArray[np.complex128]:
    """``x`` of ``matrices @ x = sides`` for one or two channels, which stand in front."""
    if len(sides) == 1:
        alone: NDArray[np.complex128] = sides / matrices[0]
        return alone
    (a, b), (c, d) = matrices
    first, second = sides
    found: NDArray[np.complex128] = np.stack([d * first - b * second, a * second - c * first]) / (
        a * d - b * c
    )
    return found
