"""Stems without pre-echo: what a long analysis window smears before a hit goes back where it belongs.

A mask says how a window's sound is shared. Where a hit begins in the window's middle, the mask
that suits the hit is also laid over what sounds before it: for half a window a stem that is about
to be struck plays its neighbours' sounds. Just there the block is shared anew, in windows of 6 ms: the
stems' own magnitudes are the models, and a stem that is about to be struck may not grow before
the hit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from separators.base import Audio
from separators.spectral import STFT, Magnitude, fft_size_for, stems_from_models

PARTS = 8
"""So many short windows are as long as an analysis window of the usual length, :func:`fft_size_for`."""
AHEAD_SECONDS = 0.02
"""A hit smears so far ahead at most."""
RISE_DB = 15.0
"""A stem is about to be struck if within that time it will be so much louder."""
POWER = 2.0


def without_pre_echo(block: Audio, stems: Audio, sample_rate: float) -> Audio:
    """``stems`` ``(stems, channels, frames)`` of ``block`` ``(channels, frames)``, shared anew before hits.

    They still sum to ``block``; away from hits they stay as they are.
    """
    size = fft_size_for(sample_rate) // PARTS
    stft = STFT(size, size // 2)
    models = np.zeros((len(stems), stft.frames(block.shape[1]), stft.bins), np.float32)
    for model, stem in zip(models, stems, strict=True):
        for channel in stem:
            model += np.abs(stft.forward(channel).T)
    struck_soon = _struck_soon(models, max(1, round(AHEAD_SECONDS * sample_rate / stft.hop)))
    if not struck_soon.any():
        return stems
    for model, soon in zip(models, struck_soon, strict=True):
        for frame in np.flatnonzero(soon[1:]) + 1:
            np.minimum(model[frame], model[frame - 1], out=model[frame])
    short = stems_from_models(stft.forward(block), models.swapaxes(1, 2), stft, block.shape[1], POWER)
    weights = _over_samples(np.any(struck_soon, axis=0), stft, block.shape[1])
    short -= stems
    short *= weights
    short += stems
    return short


def _struck_soon(models: Magnitude, ahead: int) -> NDArray[np.bool_]:
    """Where each stem of ``models`` ``(stems, frames, bins)`` will be much louder within ``ahead`` frames."""
    energy = np.square(models).sum(axis=2)
    soon = np.zeros(energy.shape, np.bool_)
    for frames in range(1, min(ahead, energy.shape[1] - 1) + 1):
        soon[:, :-frames] |= energy[:, frames:] > 10 ** (RISE_DB / 10) * energy[:, :-frames]
    return soon


def _over_samples(frames: NDArray[Any], stft: STFT, length: int) -> Audio:
    """One in the middle of the ``frames`` marked, zero in that of the others, in between a ramp."""
    middles = np.arange(len(frames)) * stft.hop  # the padding is half a window, a hop
    return np.asarray(np.interp(np.arange(length), middles, frames), np.float32)
