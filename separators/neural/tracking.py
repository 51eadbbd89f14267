"""Keeps each voice on its stem from block to block.

The order of a new block's stems is the one that agrees best with two things: with the stems of the
block before where the two overlap, and with what the stems held so far, by their average
spectra. The overlap alone is not enough: one overlap that decides wrongly, or a silence, would swap
all that follows.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio
from separators.neural.network import HOP, SAMPLE_RATE, WINDOW

BANDS = 40
_MEL = np.linspace(2595 * np.log10(1 + 80 / 700), 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), BANDS + 1)
_EDGES = np.round((10 ** (_MEL / 2595) - 1) * 700 * WINDOW / SAMPLE_RATE).astype(int)[:-1]
"""The first bin of each mel band, from 80 Hz on."""
MEMORY_SECONDS = 60.0
"""The average spectra forget what is longer ago than about this much speech."""
LIKENESS_PER_DB2 = 0.03
"""What a mean squared difference of 1 dB weighs against full agreement in the overlap, which weighs 1."""
LOUD_RANGE_DB = 30.0
DOMINANT_SHARE = 0.8
"""Frames in which a stem holds this share of the energy tell what its voice sounds like."""


class VoiceTracker:
    """Finds the order of each block's stems; blocks must come in order of time."""

    def __init__(self) -> None:
        self._tail: Audio | None = None
        self._profiles: NDArray[np.float64] | None = None
        self._heard: NDArray[np.float64] | None = None

    def order(self, stems: Audio, overlap: int) -> list[int]:
        """The order that keeps voices in place, for stems ``(stems, frames)`` at 16 kHz.

        The first ``overlap`` frames were also the last of the block before; 0 after a silence.
        """
        count = len(stems)
        profiles, heard = _profiles(stems)
        agreement = np.zeros((count, count))
        if self._tail is not None and overlap > 0:
            overlap = min(overlap, self._tail.shape[1], stems.shape[1])
            before, now = self._tail[:, -overlap:], stems[:, :overlap]
            energy = max(float(np.square(before, dtype=np.float64).sum()), 1e-20)
            agreement = (before.astype(np.float64) @ now.T.astype(np.float64)) / energy
        if self._profiles is not None:
            agreement += LIKENESS_PER_DB2 * self._likeness(profiles, heard)
        orders = [list(order) for order in permutations(range(count))]
        # The first of equals: a first block stays as it is.
        order = max(orders, key=lambda order: float(agreement[np.arange(count), order].sum()))
        self._remember(profiles[order], heard[order])
        self._tail = stems[order]
        return order

    def _likeness(self, profiles: NDArray[np.float64], heard: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much stem ``k`` so far sounds like new stem ``j``: minus the squared distance in dB."""
        assert self._profiles is not None
        assert self._heard is not None
        distance = np.square(self._profiles[:, None] - profiles[None]).mean(2)
        known = (self._heard[:, None] > 0) & (heard[None] > 0)
        # An unheard voice is as far as the average, so that it decides nothing.
        average = distance[known].mean() if known.any() else 0.0
        return -np.where(known, distance, average)

    def _remember(self, profiles: NDArray[np.float64], heard: NDArray[np.float64]) -> None:
        if self._profiles is None or self._heard is None:
            self._profiles, self._heard = profiles, heard
            return
        share = (heard / np.maximum(self._heard + heard, 1e-9))[:, None]
        self._profiles = (1 - share) * self._profiles + share * profiles
        self._heard = np.minimum(self._heard + heard, MEMORY_SECONDS)


def _profiles(stems: Audio) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average spectrum ``(stems, bands)`` in dB of each stem's own moments, and their seconds in all."""
    count, frames = stems.shape
    times = max(1, frames // HOP)
    power = np.zeros((count, BANDS, times))
    padded = np.pad(stems, ((0, 0), (0, max(0, (times - 1) * HOP + WINDOW - frames))))
    window = np.hanning(WINDOW).astype(np.float32)
    for index, stem in enumerate(padded):
        frames_of = np.lib.stride_tricks.sliding_window_view(stem, WINDOW)[::HOP][:times]
        spectrum = np.abs(np.fft.rfft(frames_of * window)) ** 2
        power[index] = np.add.reduceat(spectrum, _EDGES, axis=1).T
    energy = power.sum(1)
    total = energy.sum(0)
    own = (energy > DOMINANT_SHARE * total) & (total > total.max() * 10 ** (-LOUD_RANGE_DB / 10))
    profiles = np.zeros((count, BANDS))
    for index in range(count):
        if own[index].any():
            decibels = 10 * np.log10(power[index][:, own[index]] + 1e-9 * total.max())
            profiles[index] = (decibels - decibels.mean(0)).mean(1)
    return profiles, own.sum(1) * (HOP / SAMPLE_RATE)
