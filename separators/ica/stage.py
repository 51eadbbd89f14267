"""Which of two ways to take a room apart leaves the sources less alike.

Sources that are still mixed get louder and softer together, bin by bin. ILRMA, whose model has far more
to fit than AuxIVA's, lowers that where the sample supports it. Where echoes outlast the window it may
turn away from the sources instead, and then lowers it hardly at all (measured: ``benchmarks/rooms.py``).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from separators.ica.demixing import Demixing, PairProducts, source_powers

LEAST_GAIN = 0.0135
"""By so much the likeness must fall for the second stage to be kept."""
FLOOR = 1e-6
"""Below this part of a source's mean power (-60 dB) lies noise."""


def likeness(products: PairProducts, demixing: Demixing) -> float:
    """The mean correlation over time of any two sources' levels in decibels, in the same bin."""
    mean = np.zeros(products.channels)
    for bins, pairs in products.chunks():
        mean += source_powers(demixing[bins], pairs).sum(axis=(0, 2), dtype=np.float64)
    floor = FLOOR * mean / (products.bins * products.frames)
    total = 0.0
    for bins, pairs in products.chunks():
        levels = np.log(source_powers(demixing[bins], pairs) + floor[:, None].astype(np.float32))
        levels -= levels.mean(axis=2, keepdims=True)
        levels /= np.maximum(np.linalg.norm(levels, axis=2, keepdims=True), np.finfo(np.float32).tiny)
        for one, other in combinations(range(products.channels), 2):
            total += float(np.einsum("bt,bt->", levels[:, one], levels[:, other]))
    pairs_of_sources = products.channels * (products.channels - 1) / 2
    return float(total / (products.bins * pairs_of_sources))


def better(products: PairProducts, first: Demixing, second: Demixing) -> Demixing:
    """``second``, or ``first`` if the sources of ``second`` are not clearly less alike."""
    gained = likeness(products, first) - likeness(products, second)
    return second if gained > LEAST_GAIN else first
