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
    phase = np.exp(1j * np.angle(mixture))
    # (stems, bins, frames, channels)
    guess = (models * phase).transpose(0, 2, 3, 1).astype(np.complex128)
    power = np.square(np.abs(guess)).mean(-1)
    floor = FLOOR * np.square(np.abs(mixture), dtype=np.float64).mean() + np.finfo(np.float32).tiny
    direction = np.einsum("sftc,sftd->sfcd", guess, guess.conj()) / (power.sum(-1) + floor)[..., None, None]
    covariance = np.einsum("sft,sfcd->ftcd", power, direction)
    covariance += floor * np.eye(len(mixture))
    share = np.linalg.solve(covariance, mixture.transpose(1, 2, 0)[..., None].astype(np.complex128))
    filtered: NDArray[np.complex128] = np.einsum("sft,sfcd,ftd->scft", power, direction, share[..., 0])
    return filtered
