"""Whether channels hear the same sound at different times, as microphones that stand apart do.

The phases of two channels' cross-spectrum, averaged over windows and turned back into time, peak at the
delays of what both hear, whatever its spectrum (C. Knapp, G. Carter, "The generalized correlation
method for estimation of time delay", IEEE Trans. ASSP 24(4), 1976). A pan pot gives a peak at zero.
"""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np

from separators.base import Audio

WINDOW_SECONDS = 0.1
MOST_WINDOWS = 128
"""At most, spread over the sample."""
LARGEST_SECONDS = 0.02
"""Seven metres."""
SMALLEST_SECONDS = 0.0003
"""Ten centimetres: what is closer counts as the same place."""
ABOVE_ZERO, ABOVE_NOISE = 2.0, 25.0
"""A delay is believed whose peak is so many times higher than that at zero, and than most of the others."""


class Delay(NamedTuple):
    """Two channels, numbered from 0, and by how much the same sound comes apart in them."""

    first: int
    second: int
    seconds: float


def largest_delay(audio: Audio, sample_rate: int) -> Delay | None:
    """The delay that stands out most between any two channels of ``(channels, frames)``, if one does."""
    size = 1 << round(np.log2(max(16, WINDOW_SECONDS * sample_rate)))
    starts = np.arange(0, audio.shape[1] - size + 1, size)
    if not len(starts):
        return None
    if len(starts) > MOST_WINDOWS:
        starts = starts[np.linspace(0, len(starts) - 1, MOST_WINDOWS).astype(int)]
    window = np.hanning(size).astype(np.float32)
    spectra = np.fft.rfft(np.stack([audio[:, start : start + size] for start in starts], 1) * window)
    best, most = None, ABOVE_ZERO
    for first, second in combinations(range(len(audio)), 2):
        crossed = spectra[first] * spectra[second].conj()
        # Windows count by their level, not by their power, so that a loud one does not decide alone.
        crossed *= np.sqrt(np.abs(crossed).sum(axis=1, keepdims=True)) / np.maximum(np.abs(crossed), 1e-30)
        correlation = np.abs(np.fft.irfft(crossed.sum(axis=0)))
        seconds = np.fft.fftfreq(size, 1 / size) / sample_rate
        at_zero = correlation[np.abs(seconds) < SMALLEST_SECONDS].max()
        apart = (np.abs(seconds) >= SMALLEST_SECONDS) & (np.abs(seconds) <= LARGEST_SECONDS)
        peak = np.flatnonzero(apart)[correlation[apart].argmax()]
        if correlation[peak] > max(most * at_zero, ABOVE_NOISE * np.median(correlation)):
            most = correlation[peak] / max(at_zero, 1e-30)
            best = Delay(first, second, float(abs(seconds[peak])))
    return best
