"""The steps that independent vector analysis and its relatives are made of, for all bins at once.

The mixture's spectrum is ``x(bin, frame) = A(bin) s(bin, frame)``, and a demixing matrix ``W(bin)``
gives the sources ``y = W x``. All that the iterations ask of the audio, the sources' powers
``|w x|²`` and the covariances ``Σ φ(frame) x xᴴ`` weighted by a source model, is linear in the
products of channel pairs. These are n² real numbers a bin and frame, and an iteration becomes
two real matrix products over them, whatever the algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio
from separators.spectral import Spectrum

Matrix = NDArray[np.float64]
Demixing = NDArray[np.complex128]
"""Matrices ``(bins, sources, channels)``."""
Covariances = NDArray[np.complex128]
"""Weighted covariances ``(bins, sources, channels, channels)``, one for each source's weights."""
Update = Callable[[Demixing, Covariances], None]
"""Improves demixing matrices in place, given the covariances."""

STORED = 1 << 26
"""Pair products are kept if they are no more numbers than this (256 MB), else made anew each time."""
CHUNK = 1 << 22
"""About how many numbers are made at a time where they are not kept."""
LOADING = 1e-6
"""Part of the mean power that is added to every channel's (-60 dB), so that matrices can be inverted."""


class PairProducts:
    """Products of channel pairs of white spectra, in chunks of bins."""

    def __init__(self, spectra: Spectrum) -> None:
        """``spectra`` is ``(bins, channels, frames)``."""
        self.bins, self.channels, self.frames = spectra.shape
        self._spectra = spectra
        size = self.channels**2 * self.frames
        self._step = self.bins if self.bins * size <= STORED else max(1, CHUNK // size)
        self._stored = pair_products(spectra) if self._step == self.bins else None

    def chunks(self) -> Iterator[tuple[slice, Audio]]:
        """Bins and their pair products ``(bins, channels², frames)``."""
        for start in range(0, self.bins, self._step):
            bins = slice(start, start + self._step)
            yield bins, self._stored if self._stored is not None else pair_products(self._spectra[bins])


def pair_products(spectra: Spectrum) -> Audio:
    """``|x_i|²``, then real and imaginary part of ``x_i x_j*`` for i < j: ``(bins, channels², frames)``."""
    bins, channels, frames = spectra.shape
    products = np.empty((bins, channels**2, frames), np.float32)
    for channel in range(channels):
        x = spectra[:, channel]
        products[:, channel] = x.real**2 + x.imag**2
    row = channels
    for first in range(channels):
        for second in range(first + 1, channels):
            product = spectra[:, first] * spectra[:, second].conj()
            products[:, row], products[:, row + 1] = product.real, product.imag
            row += 2
    return products


def power_coefficients(demixing: Demixing) -> Audio:
    """What turns pair products into powers: ``(bins, sources, channels²)``."""
    bins, sources, channels = demixing.shape
    coefficients = np.empty((bins, sources, channels**2), np.float32)
    coefficients[:, :, :channels] = np.abs(demixing) ** 2
    row = channels
    for first in range(channels):
        for second in range(first + 1, channels):
            product = 2 * demixing[:, :, first] * demixing[:, :, second].conj()
            coefficients[:, :, row], coefficients[:, :, row + 1] = product.real, -product.imag
            row += 2
    return coefficients


def source_powers(demixing: Demixing, pairs: Audio) -> Audio:
    """Power of the sources ``(bins, sources, frames)``, given the pair products of those bins."""
    power: Audio = np.maximum(power_coefficients(demixing) @ pairs, np.float32(0))
    return power


def covariances(sums: NDArray[np.floating]) -> Covariances:
    """Hermitian matrices from weighted sums of pair products ``(bins, channels², sources)``.

    A little of each matrix's mean power is added to its diagonal.
    """
    bins, pairs, sources = sums.shape
    channels = round(pairs**0.5)
    matrices = np.empty((bins, sources, channels, channels), np.complex128)
    loading = LOADING * sums[:, :channels].mean(axis=1)
    for channel in range(channels):
        matrices[:, :, channel, channel] = sums[:, channel] + loading
    row = channels
    for first in range(channels):
        for second in range(first + 1, channels):
            matrices[:, :, first, second] = sums[:, row] + 1j * sums[:, row + 1]
            matrices[:, :, second, first] = sums[:, row] - 1j * sums[:, row + 1]
            row += 2
    return matrices


def whitening(spectra: Spectrum) -> Demixing:
    """Matrices ``(bins, channels, channels)`` that make every bin of ``(bins, channels, frames)`` white.

    Bins far below the mean power, such as those above a codec's limit, are not lifted up to it.
    """
    channels = spectra.shape[1]
    power = (spectra @ spectra.conj().swapaxes(1, 2)).astype(np.complex128) / spectra.shape[2]
    mean = np.einsum("bcc->b", power).real / channels
    loading = LOADING * mean + LOADING**2 * mean.mean()
    values, vectors = np.linalg.eigh(power + loading[:, None, None] * np.eye(channels))
    white: Demixing = vectors.conj().swapaxes(1, 2) / np.sqrt(values)[:, :, None]
    return white


def iterative_projection(demixing: Demixing, weighted: Covariances) -> None:
    """One round of IP: each row in turn made the best one given the others.

    N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary
    function technique", WASPAA 2011.
    """
    sources = demixing.shape[1]
    for source in range(sources):
        unit = np.zeros((sources, 1))
        unit[source] = 1.0
        row = np.linalg.solve(demixing @ weighted[:, source], unit)[:, :, 0]
        power = np.einsum("bi,bij,bj->b", row.conj(), weighted[:, source], row).real
        demixing[:, source] = (row / np.sqrt(power)[:, None]).conj()


def iterative_source_steering(demixing: Demixing, weighted: Covariances) -> None:
    """One round of ISS: each source in turn taken out of all others as well as it can be.

    R. Scheibler, N. Ono, "Fast and stable blind source separation with rank-1 updates",
    ICASSP 2020. It needs no inverse and finds other minima than :func:`iterative_projection`.
    """
    for source in range(demixing.shape[1]):
        row = demixing[:, source].copy()
        steered = (weighted @ row.conj()[:, None, :, None])[..., 0]
        cross = np.einsum("bsc,bsc->bs", demixing, steered)
        power = np.einsum("bc,bsc->bs", row, steered).real
        share = cross / power
        share[:, source] = 1 - 1 / np.sqrt(power[:, source])
        demixing -= share[:, :, None] * row[:, None, :]
