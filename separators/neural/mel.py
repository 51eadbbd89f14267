"""Bands of a spectrum as wide as the ear's, evenly spaced in mel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def triangles(
    sample_rate: int, window: int, bands: int, lowest_hertz: float, highest_hertz: float
) -> NDArray[np.float64]:
    """Filters ``(bands, bins)`` for spectra of ``window`` frames; each falls to 0 where its neighbours peak.

    Between the first and the last peak they add up to one.
    """
    edges = np.linspace(_mel(lowest_hertz), _mel(highest_hertz), bands + 2)[:, None]
    distance = np.abs(_mel(np.fft.rfftfreq(window, 1 / sample_rate)) - edges[1:-1])
    found: NDArray[np.float64] = np.maximum(0, 1 - distance / (edges[1] - edges[0]))
    return found


def _mel(hertz: NDArray[Any] | float) -> NDArray[np.float64]:
    found: NDArray[np.float64] = 2595 * np.log10(1 + np.asarray(hertz) / 700)
    return found
