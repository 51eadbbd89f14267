"""Whether score and audio fit, and where they would fit best.

Two pictures are compared at all shifts up to :data:`MOST_SECONDS`: how each semitone band rises and how
loud it is, and where the score lets notes begin and sound, with their overtones. What belongs together
agrees at one shift far better than at the others; a score of other music, or in another
tempo, nowhere does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from scipy.signal import fftconvolve

from separators.nmf.solver import Matrix
from separators.score.score import Score
from separators.score.sounds import Seconds
from separators.spectral import STFT

MOST_SECONDS = 10.0
LOWEST, HIGHEST = 45, 105
"""The MIDI pitches of the bands; lower ones are closer together than bins, and known by their overtones."""
OVERTONES = {0: 1.0, 12: 0.7, 19: 0.5, 24: 0.4, 28: 0.3, 31: 0.3, 34: 0.2, 36: 0.2}
"""Semitones above a note that sound with it, and how strongly."""
DRUM = 0.3
"""How strongly each band begins with a drum."""
SUSTAINED = np.float32(0.3)
"""The weight of where notes sound, beside where they begin."""
COMPRESSION = 100.0
"""Levels enter as log(1 + COMPRESSION * level), levels relative to the mean."""
LEAST_AGREEMENT = 0.1
"""The least correlation of a score with its own audio. Measured on ten songs: 0.18 to 0.39 with their own
scores, 0.02 to 0.10 with another song's, and once 0.20; on basses alone, whose plucks are heard in all bands:
0.11 to 0.15 with their own and at most 0.03 with another song's."""


class Fit(NamedTuple):
    """The shift at which a score fits best."""

    seconds: float
    """By how much the score must be moved to later."""
    agreement: float
    """The correlation there, at most 1."""

    @property
    def is_plain(self) -> bool:
        """Whether score and audio belong together at all."""
        return self.agreement >= LEAST_AGREEMENT


def best_shift(V: Matrix, stft: STFT, sample_rate: int, seconds: Seconds, score: Score) -> Fit | None:
    """Where ``score`` fits the spectrogram ``V`` ``(frames, bins)`` best, whose frames lie at ``seconds``.

    None if too little sounds to tell.
    """
    hop = stft.hop / sample_rate
    reach = round(MOST_SECONDS / hop)
    total = np.zeros(2 * reach + 1)
    energy = np.zeros(2 * reach + 1)
    sounding = 0.0
    audio = _heard(V, stft, sample_rate)
    for first, last in _runs(seconds, hop):
        part = audio[first:last] - audio[first:last].mean(axis=0)
        written = _written(score, seconds[first] - reach * hop, hop, last - first + 2 * reach)
        total += fftconvolve(written, part[::-1], mode="valid", axes=0).sum(axis=1)
        squares = np.concatenate([[0.0], np.cumsum(np.square(written).sum(axis=1))])
        energy += squares[last - first :] - squares[: 2 * reach + 1]
        sounding += float(np.square(part).sum())
    if sounding == 0 or not energy.any():
        return None
    # At shifts where hardly a note falls into the audio, chance would decide.
    agreement = total / np.sqrt(sounding * np.maximum(energy, 0.1 * energy.max()))
    best = int(np.argmax(agreement))
    return Fit((reach - best) * hop, float(agreement[best]))


def _heard(V: Matrix, stft: STFT, sample_rate: int) -> Matrix:
    """How much louder each semitone band became, and how loud it is, ``(frames, 2 * bands)``."""
    hertz = np.maximum(np.arange(stft.bins), 0.5) * sample_rate / stft.fft_size
    pitches = (69 + 12 * np.log2(hertz / 440))[:, np.newaxis]
    half = np.maximum(1.0, np.gradient(pitches, axis=0))
    filters = (1 - np.abs(pitches - np.arange(LOWEST, HIGHEST + 1)) / half).clip(0)
    levels: Matrix = V @ filters.astype(np.float32)
    levels = np.log1p(levels * np.float32(COMPRESSION / max(float(levels.mean()), 1e-30)))
    rises = np.zeros_like(levels)
    rises[1:-1] = (levels[2:] - levels[:-2]).clip(0)  # over two hops, since a rise takes as long as a window
    return np.concatenate([_even(rises), _even(levels)], axis=1)


def _even(bands: Matrix) -> Matrix:
    """Bands of equal variance, but for nearly constant ones."""
    deviation = bands.std(axis=0)
    even: Matrix = bands / (deviation + np.float32(0.1) * deviation.mean() + np.float32(1e-30))
    return even


def _written(score: Score, start: float, hop: float, frames: int) -> Matrix:
    """Where notes begin and where they sound, frame by frame from ``start`` on, ``(frames, 2 * bands)``."""
    bands = HIGHEST - LOWEST + 1
    begins = np.zeros((frames, bands), np.float32)
    sounds = np.zeros_like(begins)
    for part in score.parts:
        for note in part.notes:
            first = round((note.start - start) / hop)
            last = max(first + 1, round((note.start + note.length - start) / hop))
            if last <= 0 or first >= frames:
                continue
            if note.is_drum:
                if first >= 0:
                    begins[first] += DRUM
                continue
            for above, strength in OVERTONES.items():
                band = note.pitch + above - LOWEST
                if 0 <= band < bands:
                    sounds[max(first, 0) : last, band] += strength
                    if first >= 0:
                        begins[first, band] += strength
    both: Matrix = np.concatenate([begins, SUSTAINED * sounds], axis=1)
    both -= both.mean(axis=0)
    return both


def _runs(seconds: Seconds, hop: float) -> list[tuple[int, int]]:
    """Stretches of frames without a jump in time, as (first, one past the last)."""
    borders = [0, *(np.flatnonzero(np.abs(np.diff(seconds) - hop) > hop / 2) + 1), len(seconds)]
    return [(int(a), int(b)) for a, b in pairwise(borders) if b - a > 2]
