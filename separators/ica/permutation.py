"""Gives the sources the same order in every bin of the spectrum.

AuxIVA may leave some bins, often low and loud ones, with the sources exchanged, and ILRMA keeps them so. A
source's share of a bin's power goes up and down alike in all bins, more alike in neighbours
and an octave apart; sources are exchanged where that makes their shares more alike, first
to the mean over all bins, then to the kindred ones (H. Sawada, S. Araki, S. Makino,
"Measuring dependence of bin-wise separated signals for permutation alignment in
frequency-domain BSS", ISCAS 2007).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.sparse import csr_array

from separators.base import Audio
from separators.ica.demixing import Demixing, PairProducts, source_powers

NEIGHBOURS, OCTAVE_NEIGHBOURS = 3, 1
"""Bins on either side of a bin, and of that an octave above or below, that are kindred to it."""
ROUNDS = 10
"""At most, over all bins; most often two suffice."""


def align(products: PairProducts, demixing: Demixing) -> Demixing:
    """``demixing`` ``(bins, sources, channels)`` with its rows in the same order in every bin."""
    bins, sources, frames = products.bins, products.channels, products.frames
    aligned = demixing.copy()
    shares = _shares(products, demixing)
    kindred = _kindred(bins)
    for everywhere in (True, False):
        for _ in range(ROUNDS):
            model = (
                shares.mean(axis=0)
                if everywhere
                else (kindred @ shares.reshape(bins, -1)).reshape(bins, sources, frames)
            )
            if not _exchange(shares @ model.swapaxes(-1, -2), shares, aligned):
                break
    return aligned


def _exchange(alike: Audio, shares: Audio, demixing: Demixing) -> bool:
    """Exchange pairs of sources, in place, in bins where they are then more alike to the model.

    ``alike`` ``(bins, sources, sources)`` says how much each source is like each of the model's.
    Returns whether there were such bins.
    """
    any_exchanged = False
    for one, other in combinations(range(alike.shape[1]), 2):
        kept = alike[:, one, one] + alike[:, other, other]
        bins = np.flatnonzero(alike[:, one, other] + alike[:, other, one] > kept)
        for rows in (alike, shares, demixing):
            rows[bins, one], rows[bins, other] = rows[bins, other], rows[bins, one]
        any_exchanged |= bins.size > 0
    return any_exchanged


def _shares(products: PairProducts, demixing: Demixing) -> Audio:
    """Each source's share of the power ``(bins, sources, frames)``, with mean 0 and length 1 over frames."""
    shares = np.empty((products.bins, products.channels, products.frames), np.float32)
    tiny = np.finfo(np.float32).tiny
    for bins, pairs in products.chunks():
        power = source_powers(demixing[bins], pairs)
        shares[bins] = power / np.maximum(power.sum(axis=1, keepdims=True), tiny)
    shares -= shares.mean(axis=2, keepdims=True)
    shares /= np.maximum(np.linalg.norm(shares, axis=2, keepdims=True), tiny)
    return shares


def _kindred(bins: int) -> csr_array:
    """Ones ``(bins, bins)`` where a bin is a neighbour of another or an octave from it."""
    places = np.arange(bins)
    near = [places + step for step in range(1, NEIGHBOURS + 1)]
    octave = [2 * places + step for step in range(-OCTAVE_NEIGHBOURS, OCTAVE_NEIGHBOURS + 1)]
    columns = np.concatenate([*near, *octave])
    rows = np.tile(places, len(near) + len(octave))
    inside = (columns > rows) & (columns < bins)
    upper = csr_array(
        (np.ones(inside.sum(), np.float32), (rows[inside], columns[inside])), shape=(bins, bins)
    )
    return upper + upper.T
