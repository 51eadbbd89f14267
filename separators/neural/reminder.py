"""A few seconds in which all voices talk, put in front of every block that a network hears.

A network that was trained on voices that talk at the same time tears a voice apart that talks alone for a
whole block, and does not know from block to block which voice is on which stem. With the reminder
in front it always hears all of them, and what it makes of it tells the order of its outputs.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from separators.base import Audio
from separators.neural.network import HOP
from separators.neural.tracking import Agreement, best_order

FRAMES = 250 * HOP
"""Length of a reminder at 16 kHz: 4 s, a whole number of the network's frames."""
TRUSTED = 0.75
"""A reminder is kept while at least this part of it is separated as before when it is heard again."""
BETTER = 1.5
"""A reminder is replaced by one of this much more worth: a slightly louder one is often separated worse."""
STEP = 25
"""Reminders are looked for every so many hops."""
QUIETEST_SHARE = 0.1
"""The least energy that each stem must have of a reminder."""
LIKENESS = 0.3
"""Stems whose loudness rises and falls together by more than this correlation hold the same voice."""


class Reminder:
    """The stretch heard so far in which the voices are loudest and rise and fall most independently."""

    def __init__(self) -> None:
        self.stems: Audio | None = None
        """``(stems, FRAMES)`` at 16 kHz; none until all voices were heard."""
        self._sample: Audio | None = None
        self._worth = 0.0

    def begin(self, stems: Audio) -> None:
        """Learn from the stems ``(stems, frames)`` of the sample that is heard first; it may be empty."""
        self.learn(stems)
        if self.stems is not None:
            self._sample = stems

    def holds(self, again: Agreement) -> bool:
        """Whether the reminder came apart as before when it was heard again (:func:`agreement`).

        If not, it may be a single voice that was torn apart. Then the whole sample takes its place.
        """
        if self._sample is None or self.stems is self._sample:
            return True
        if again[range(len(again)), best_order(again)].sum() >= TRUSTED:
            return True
        self.stems, self._worth = self._sample, 0.0
        return False

    def learn(self, stems: Audio) -> None:
        """Look for a better stretch in the stems ``(stems, frames)`` of a block, which are in order."""
        hops = stems.shape[1] // HOP
        if hops * HOP < FRAMES:
            return
        power = np.square(stems[:, : hops * HOP].reshape(len(stems), hops, HOP)).sum(2)
        windows = np.lib.stride_tricks.sliding_window_view(power, FRAMES // HOP, 1)[:, ::STEP]
        energy = windows.sum(2)
        likeness = _likeness(np.sqrt(windows))
        worth = energy.min(0) * (1 - likeness)
        worth[(likeness > LIKENESS) | (energy.min(0) < QUIETEST_SHARE * energy.sum(0))] = 0
        best = int(worth.argmax())
        if worth[best] > BETTER * self._worth:
            self._worth = float(worth[best])
            start = best * STEP * HOP
            self.stems = stems[:, start : start + FRAMES].copy()


def active_level(audio: Audio) -> np.float32:
    """RMS of ``(frames,)`` in which moments count as much as they are loud, so that pauses do not."""
    if not len(audio):
        return np.float32(0)
    hops = max(1, len(audio) // HOP)
    power = np.square(audio[: len(audio) // hops * hops], dtype=np.float64).reshape(hops, -1).mean(1)
    return np.float32(np.sqrt(np.square(power).sum() / max(power.sum(), 1e-30)))


def _likeness(loudness: Audio) -> Audio:
    """The largest correlation over time of any two stems, ``(stems, windows, hops)`` -> ``(windows,)``."""
    deviation = loudness - loudness.mean(2, keepdims=True)
    size = np.sqrt(np.square(deviation).sum(2)) + 1e-12
    pairs = [
        (deviation[one] * deviation[other]).sum(1) / (size[one] * size[other])
        for one, other in combinations(range(len(loudness)), 2)
    ]
    likeness: Audio = np.max(pairs, axis=0)
    return likeness
