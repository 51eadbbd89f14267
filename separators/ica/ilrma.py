"""ILRMA: sources whose spectrograms are built of a few recurring spectra.

D. Kitamura, N. Ono, H. Sawada, H. Kameoka, H. Saruwatari, "Determined blind source separation unifying
independent vector analysis and nonnegative matrix factorization", IEEE/ACM TASLP 24(9), 2016.
The factorizations are first fitted to the sources that AuxIVA found, and only then may they
move the demixing matrices: from random ones they would lead away from that solution.
"""

from __future__ import annotations

import numpy as np

from separators.base import Audio
from separators.ica.demixing import (
    Demixing,
    PairProducts,
    covariances,
    iterative_projection,
    source_powers,
)

WARM_UP = 20
"""Iterations of the factorizations alone."""
FLOOR = np.float32(1e-7)
"""Least model power, for sources of power 1: -70 dB."""


def ilrma(products: PairProducts, start: Demixing, iterations: int, bases: int, seed: int) -> Demixing:
    """Demixing matrices ``(bins, sources, channels)`` of the white spectra behind ``products``.

    ``start`` are AuxIVA's, ``bases`` the spectra that build each source.
    """
    sources, bins, frames = products.channels, products.bins, products.frames
    demixing = start.copy()
    rng = np.random.default_rng(seed)
    spectra = 0.1 + 0.9 * rng.random((sources, bins, bases), np.float32)
    gains = 0.1 + 0.9 * rng.random((sources, bases, frames), np.float32)

    power = np.empty((sources, bins, frames), np.float32)
    for chunk, pairs in products.chunks():
        power[:, chunk] = source_powers(demixing[chunk], pairs).transpose(1, 0, 2)
    _normalize(demixing, power, spectra)
    inverse = np.empty_like(power)
    for source in range(sources):
        _invert(spectra[source], gains[source], inverse[source])
    weights = inverse.transpose(1, 2, 0)
    for iteration in range(WARM_UP + iterations):
        for source in range(sources):
            _factorize(power[source], spectra[source], gains[source], inverse[source])
        if iteration < WARM_UP:
            continue
        for chunk, pairs in products.chunks():
            iterative_projection(demixing[chunk], covariances(pairs @ weights[chunk] / frames))
            power[:, chunk] = source_powers(demixing[chunk], pairs).transpose(1, 0, 2)
        inverse *= _normalize(demixing, power, spectra)
    return demixing


def _factorize(power: Audio, spectra: Audio, gains: Audio, inverse: Audio) -> None:
    """One round of multiplicative updates (Itakura-Saito), in place.

    ``inverse`` is 1 / model ``(bins, frames)``, before and after.
    """
    ratio = power * inverse
    ratio *= inverse
    spectra *= np.sqrt((ratio @ gains.T) / (inverse @ gains.T))
    np.maximum(spectra, FLOOR, out=spectra)
    _invert(spectra, gains, inverse)
    np.multiply(power, inverse, out=ratio)
    ratio *= inverse
    gains *= np.sqrt((spectra.T @ ratio) / (spectra.T @ inverse))
    np.maximum(gains, FLOOR, out=gains)
    _invert(spectra, gains, inverse)


def _invert(spectra: Audio, gains: Audio, inverse: Audio) -> None:
    """Write 1 / model into ``inverse``."""
    np.matmul(spectra, gains, out=inverse)
    inverse += FLOOR
    np.reciprocal(inverse, out=inverse)


def _normalize(demixing: Demixing, power: Audio, spectra: Audio) -> Audio:
    """Scale all sources to mean power 1, in place; returns what their powers are divided by."""
    mean = np.maximum(power.mean(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)
    demixing /= np.sqrt(mean[:, 0])
    power /= mean
    spectra /= mean
    return np.asarray(mean, np.float32)
