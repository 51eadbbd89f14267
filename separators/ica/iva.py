"""AuxIVA: sources whose bins sound and pause together, which settles their order in every bin.

N. Ono, "Stable and fast update rules for independent vector analysis based on auxiliary
function technique", WASPAA 2011. Its likelihood has many local optima, in which stretches of the
spectrum hold the sources in another order. Two runs that begin with a heavier-tailed model
(a Gaussian with a variance for every frame) by different updates usually end in different ones; the
likelier wins.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from separators.base import Audio
from separators.ica.demixing import (
    Demixing,
    Matrix,
    PairProducts,
    Update,
    covariances,
    iterative_projection,
    iterative_source_steering,
    power_coefficients,
)

Model = Literal["laplace", "gauss"]

QUIET = 1e-6
"""A source's power in a frame counts at least this much of its mean (-60 dB)."""


def auxiva(products: PairProducts, start: Demixing, iterations: int) -> Demixing:
    """Demixing matrices ``(bins, sources, channels)`` of the white spectra behind ``products``.

    ``start`` are the matrices to begin with; half the iterations take the Gaussian model,
    half the Laplacian.
    """
    best, least = start, np.inf
    for update in (iterative_source_steering, iterative_projection):
        demixing = start.copy()
        _iterate(products, demixing, iterations // 2, "gauss", update)
        power = _iterate(products, demixing, iterations - iterations // 2, "laplace", iterative_projection)
        loss = float(np.sqrt(power).mean(axis=1).sum() - 2 * np.linalg.slogdet(demixing)[1].sum())
        if loss < least:
            best, least = demixing, loss
    return best


def _iterate(
    products: PairProducts, demixing: Demixing, iterations: int, model: Model, update: Update
) -> Matrix:
    """Improve ``demixing`` in place; returns the sources' powers ``(sources, frames)`` over all bins."""
    channels, frames = products.channels, products.frames
    power = np.zeros((channels, frames))
    for bins, pairs in products.chunks():
        power += _power(demixing[bins], pairs)
    for _ in range(iterations):
        power = np.maximum(power, QUIET * power.mean(axis=1, keepdims=True))
        weights = 0.5 / np.sqrt(power) if model == "laplace" else products.bins / power
        columns = (weights.T / frames).astype(np.float32)
        power = np.zeros((channels, frames))
        for bins, pairs in products.chunks():
            sums = (pairs.reshape(-1, frames) @ columns).reshape(-1, channels**2, channels)
            update(demixing[bins], covariances(sums))
            power += _power(demixing[bins], pairs)
    return power


def _power(demixing: Demixing, pairs: Audio) -> Matrix:
    """Power of the sources ``(sources, frames)``, summed over the bins of ``pairs``."""
    coefficients = power_coefficients(demixing).transpose(1, 0, 2).reshape(demixing.shape[1], -1)
    power: Matrix = np.maximum(coefficients @ pairs.reshape(-1, pairs.shape[2]), 0.0).astype(np.float64)
    return power
