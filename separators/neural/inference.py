"""From masks at 16 kHz to stems of any rate and any number of channels.

The mixture is split linearly into what 16 kHz can carry and the rest above. The masks, worked out
on the mean of the channels, are applied to every channel of the lower part, so panning is kept.
The part above 8 kHz is shared out moment by moment in the proportion in which the stems hold the
octave below it (4 to 8 kHz). Both shares sum to one, so stems sum to the mixture.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import soxr
import torch
from torch import Tensor

from separators.base import Audio, Transform
from separators.neural.network import HOP, LINEAR_BINS, SAMPLE_RATE, Network
from separators.neural.tracking import VoiceTracker
from separators.streaming import GRID

Masks = Callable[[Tensor], Tensor]
"""Audio ``(1, frames)`` at 16 kHz -> masks ``(1, stems, bins, times)``, which sum to one."""

QUIET_MID = 1e-2
"""Channels whose mean holds less than this part of their energy are judged by the loudest one."""


def tracked_transform(network: Network, masks: Masks, sample_rate: int, overlap_seconds: float) -> Transform:
    """A transform whose stems are put in order, so that each voice stays on its stem from block to block."""
    tracker = VoiceTracker()
    overlap = round(overlap_seconds * sample_rate / GRID) * GRID
    before: Audio | None = None  # the end of the last block, to see whether this one follows it

    def transform(block: Audio) -> Audio:
        nonlocal before
        head = block[:, :overlap]
        follows = before is not None and np.array_equal(before, head) and head.any()
        stems, stems_low = separate_block(network, masks, block, sample_rate)
        common = round(overlap * SAMPLE_RATE / sample_rate) if follows else 0
        order = tracker.order(stems_low.mean(1), common)
        before = block[:, -overlap:].copy()
        return stems[order]

    return transform


def separate_block(network: Network, masks: Masks, block: Audio, sample_rate: int) -> tuple[Audio, Audio]:
    """Stems ``(stems, channels, frames)`` of ``block``, and the part of them that 16 kHz carries."""
    low = resample(
        block, sample_rate, SAMPLE_RATE, max(1, round(block.shape[-1] * SAMPLE_RATE / sample_rate))
    )
    with torch.inference_mode():
        mask = masks(torch.from_numpy(leading_signal(low))[None])[0]
        spectra = mask[:, None] * network.spectrogram(torch.from_numpy(low))
        stems_low = network.audio(spectra, low.shape[-1]).numpy()
        shares = _upper_shares(spectra).numpy()
    stems = resample(stems_low, SAMPLE_RATE, sample_rate, block.shape[-1])
    rest = block - stems.sum(0)
    moments = np.arange(block.shape[-1]) * (SAMPLE_RATE / sample_rate / HOP)
    for stem, share in zip(stems, shares, strict=True):
        stem += np.interp(moments, np.arange(len(share)), share).astype(np.float32) * rest
    return stems, stems_low


def leading_signal(low: Audio) -> Audio:
    """The signal the masks are worked out on, ``(frames,)``, at an RMS of 1."""
    leading = low.mean(0)
    energies = np.square(low, dtype=np.float64).mean(1)
    if np.square(leading, dtype=np.float64).mean() < QUIET_MID * energies.mean():
        leading = low[energies.argmax()]
    level = np.sqrt(np.square(leading, dtype=np.float64).mean())
    scaled: Audio = leading / np.float32(max(level, 1e-12))
    return scaled


def _upper_shares(spectra: Tensor) -> Tensor:
    """Each stem's share ``(stems, times)`` of the energy between 4 and 8 kHz, smoothed over 80 ms."""
    power = spectra.abs().square().sum(1)
    # Where that octave is empty, as in telephone speech, the whole spectrum decides.
    energy = power[:, LINEAR_BINS:].sum(1) + 1e-3 * power.sum(1)
    energy = torch.nn.functional.avg_pool1d(energy[:, None], 5, 1, 2)[:, 0] + 1e-20
    return energy / energy.sum(0)


def resample(audio: Audio, rate: float, new_rate: float, frames: int | None = None) -> Audio:
    """Resample ``(..., frames)``; cut or padded with silence to ``frames`` if given."""
    flat = audio.reshape(-1, audio.shape[-1])
    changed = soxr.resample(flat.T, rate, new_rate).T if rate != new_rate else flat
    if frames is not None and changed.shape[-1] != frames:
        changed = np.pad(changed[:, :frames], ((0, 0), (0, max(0, frames - changed.shape[-1]))))
    return np.array(changed, np.float32, order="C").reshape(*audio.shape[:-1], -1)
