"""The pitch of a voice: which voices are close, and hard to tell apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from separators.neural.network import SAMPLE_RATE

RANGE_HERTZ = (65.0, 400.0)
FRAME = SAMPLE_RATE // 16
"""62.5 ms: four periods of the lowest voice."""
FRAMES = 200
"""At most so many moments of a recording are looked at, the loudest ones."""
VOICED = 0.5
"""Least normalised autocorrelation of a moment that has a pitch."""


def median_pitch(audio: NDArray[np.float32] | NDArray[np.int16]) -> float:
    """Median pitch in hertz of the voiced moments of ``(frames,)`` at 16 kHz; NaN where there are none.

    By the highest peak of each moment's autocorrelation (Rabiner 1977), normalised by its window's
    (Boersma 1993).
    """
    usable = len(audio) // FRAME * FRAME
    moments = np.asarray(audio[:usable], np.float32).reshape(-1, FRAME)
    if not len(moments):
        return float("nan")
    loudest = np.argsort(-np.square(moments).sum(1), kind="stable")[:FRAMES]
    window = np.hanning(FRAME).astype(np.float32)
    centred = (moments[loudest] - moments[loudest].mean(1, keepdims=True)) * window
    correlation = _autocorrelation(centred) / _autocorrelation(window[None])
    shortest, longest = (int(SAMPLE_RATE / hertz) for hertz in reversed(RANGE_HERTZ))
    strength = correlation / np.maximum(correlation[:, :1], 1e-9)
    lags = strength[:, shortest : longest + 1]
    # Among lags that are nearly as good the shortest: twice a period is no period.
    good = lags >= 0.9 * lags.max(1, keepdims=True)
    best = good.argmax(1)
    # The first good lag lies on the rise to its peak; climb to the top.
    for row, start in enumerate(best):
        lag = start
        while lag + 1 < lags.shape[1] and lags[row, lag + 1] > lags[row, lag]:
            lag += 1
        best[row] = lag
    voiced = lags[np.arange(len(lags)), best] >= VOICED
    if not voiced.any():
        return float("nan")
    return float(np.median(SAMPLE_RATE / (shortest + best[voiced])))


def _autocorrelation(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    spectra = np.fft.rfft(rows, 2 * FRAME)
    found: NDArray[np.float32] = np.fft.irfft(np.square(np.abs(spectra)))[:, : FRAME // 2].astype(np.float32)
    return found
