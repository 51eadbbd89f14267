"""Keeps each voice on its stem from block to block.

The order of a new block's stems is the one in which they agree best with stems that are in order
already: those of the reminder in front of the block, and those of the block before where the two overlap.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio

Agreement = NDArray[np.float64]
"""``(stems in order, new stems)``: 1 in all on the diagonal where both are the same."""


def agreement(known: Audio, new: Audio) -> Agreement:
    """How much the stems ``new`` agree with ``known``, both ``(stems, frames)`` of the same moments."""
    energy = float(np.square(known, dtype=np.float64).sum())
    products: Agreement = known.astype(np.float64) @ new.T.astype(np.float64) / max(energy, 1e-20)
    return products


def best_order(agreement: Agreement) -> list[int]:
    """The order of the new stems with the largest sum; of equals the first, which leaves them as they are."""
    count = len(agreement)
    orders = [list(order) for order in permutations(range(count))]
    return max(orders, key=lambda order: float(agreement[np.arange(count), order].sum()))
