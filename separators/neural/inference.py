"""From masks at 16 kHz to stems of any rate and any number of channels.

The mixture is split linearly into what 16 kHz can carry and the rest above. The masks, worked out
on the mean of the channels, are applied to every channel of the lower part, so panning is kept.
The part above 8 kHz is shared out moment by moment in the proportion in which the stems hold the
octave below it (4 to 8 kHz). Both shares sum to one, so stems sum to the mixture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor

from separators.base import Audio, Transform
from separators.neural.network import HOP, LINEAR_BINS, SAMPLE_RATE, Network
from separators.neural.pauses import Masks, masks_without_pauses
from separators.neural.reminder import Reminder, active_level
from separators.neural.tracking import agreement, best_order
from separators.streaming import GRID

QUIET_MID = 1e-2
"""Channels whose mean holds less than this part of their energy are judged by the loudest one."""


def voices_transform(
    network: Network,
    new_masks: Callable[[], Masks],
    sample: Audio,
    sample_rate: int,
    overlap_seconds: float,
) -> Transform:
    """A transform of one voice per stem, each of which stays on its stem from block to block.

    ``sample`` of the whole audio is only heard if not all voices talk in the first block. ``new_masks``
    makes masks that know no block yet.
    """
    overlap = round(overlap_seconds * sample_rate / GRID) * GRID
    common = round(overlap * SAMPLE_RATE / sample_rate)
    reminder = Reminder()
    before: Audio | None = None  # the end of the last block, to see whether this one follows it
    known: Audio | None = None  # the end of its stems
    masks = new_masks()

    def separate_first(block: Audio) -> Separated:
        nonlocal masks
        separated = separate_block(network, masks, block, sample_rate)
        reminder.learn(separated.leading)
        if reminder.stems is not None or sample.shape[1] <= block.shape[1]:
            return separated
        masks = new_masks()
        reminder.learn(separate_block(network, masks, sample, sample_rate).leading)
        return separate_block(network, masks, block, sample_rate, reminder.stems)

    def separate(block: Audio) -> Separated:
        if before is None:
            return separate_first(block)
        return separate_block(network, masks, block, sample_rate, reminder.stems)

    def transform(block: Audio) -> Audio:
        nonlocal before, known
        separated = separate(block)
        alike = np.zeros((len(separated.stems), len(separated.stems)))
        if separated.reminder.size:
            assert reminder.stems is not None
            alike += agreement(reminder.stems, separated.reminder)
        if before is not None and known is not None and np.array_equal(before, block[:, :overlap]):
            alike += agreement(known, separated.leading[:, : known.shape[1]])
        order = best_order(alike)
        leading = separated.leading[order]
        reminder.learn(leading)
        before, known = block[:, -overlap:].copy(), leading[:, -common:]
        return separated.stems[order]

    return transform


class Separated(NamedTuple):
    """What the network makes of a block, in the order of its outputs."""

    stems: Audio
    """``(stems, channels, frames)``, which sum to the block."""
    leading: Audio
    """The stems ``(stems, frames)`` of the block's leading signal, at 16 kHz."""
    reminder: Audio
    """The stems ``(stems, frames)`` of the reminder in front, at 16 kHz; no frames if there is none."""


def separate_block(
    network: Network, masks: Masks, block: Audio, sample_rate: int, reminder: Audio | None = None
) -> Separated:
    """Separate ``block``, heard behind the sum of the ``reminder``'s stems ``(stems, frames)``."""
    low = resample(
        block, sample_rate, SAMPLE_RATE, max(1, round(block.shape[-1] * SAMPLE_RATE / sample_rate))
    )
    weights = leading_weights(low)
    leading = weights @ low
    # The reminder is as loud as the block where that is not silent; both together have an RMS of 1.
    front = np.zeros(0, np.float32) if reminder is None else active_level(leading) * reminder.sum(0)
    heard = np.concatenate([front, leading])
    level = np.float32(max(_rms(heard), 1e-12))
    times = len(front) // HOP
    with torch.inference_mode():
        mask = masks_without_pauses(masks, heard / level)
        spectrum = network.spectrogram(torch.from_numpy(low))
        # Masks and shares sum to one: the last stem is what the others leave.
        spectra = mask[:-1, None, :, times:] * spectrum
        stems_low = network.audio(spectra, low.shape[-1]).numpy()
        shares = _upper_shares(spectra, spectrum).numpy()
        reminded = np.zeros((len(mask), 0), np.float32)
        if reminder is not None:
            reminded_spectrum = network.spectrogram(torch.from_numpy(reminder.sum(0)))
            reminded = network.audio(mask[..., : times + 1] * reminded_spectrum, len(front)).numpy()
    changed = resample(np.concatenate([stems_low, low[None]]), SAMPLE_RATE, sample_rate, block.shape[-1])
    rest = block - changed[-1]
    stems = np.concatenate([changed[:-1], block[None]])
    moments = np.arange(block.shape[-1]) * (SAMPLE_RATE / sample_rate / HOP)
    for stem, share in zip(stems[:-1], shares, strict=True):
        stem += np.interp(moments, np.arange(len(share)), share).astype(np.float32) * rest
        stems[-1] -= stem
    leading_stems = weights @ stems_low
    return Separated(stems, np.concatenate([leading_stems, (leading - leading_stems.sum(0))[None]]), reminded)


def leading_weights(low: Audio) -> Audio:
    """What each channel of ``(channels, frames)`` counts in the signal the masks are worked out on."""
    energies = np.square(low, dtype=np.float64).mean(1)
    if _rms(low.mean(0)) ** 2 < QUIET_MID * energies.mean():
        weights: Audio = np.eye(len(low), dtype=np.float32)[energies.argmax()]
        return weights
    return np.full(len(low), 1 / len(low), np.float32)


def _rms(audio: Audio) -> float:
    return float(np.sqrt(np.square(audio, dtype=np.float64).mean()))


def _upper_shares(spectra: Tensor, mixture: Tensor) -> Tensor:
    """Shares ``(stems - 1, times)`` of all stems but the last in what is between 4 and 8 kHz, over 80 ms.

    ``spectra`` ``(stems - 1, channels, bins, times)`` are theirs, ``mixture`` is the sum of all.
    """
    power = torch.stack([_power(stem) for stem in (*spectra, mixture - spectra.sum(0))])
    # Where that octave is empty, as in telephone speech, the whole spectrum decides.
    energy = power[:, LINEAR_BINS:].sum(1) + 1e-3 * power.sum(1)
    energy = torch.nn.functional.avg_pool1d(energy[:, None], 5, 1, 2)[:, 0] + 1e-20
    return energy[:-1] / energy.sum(0)


def _power(spectrum: Tensor) -> Tensor:
    """Complex ``(channels, bins, times)`` -> their energy ``(bins, times)``."""
    return torch.view_as_real(spectrum).square().sum((0, 3))


def resample(audio: Audio, rate: float, new_rate: float, frames: int | None = None) -> Audio:
    """Resample ``(..., frames)``; cut or padded with silence to ``frames`` if given."""
    flat = audio.reshape(-1, audio.shape[-1])
    changed = soxr.resample(flat.T, rate, new_rate).T if rate != new_rate else flat
    if frames is not None and changed.shape[-1] != frames:
        changed = np.pad(changed[:, :frames], ((0, 0), (0, max(0, frames - changed.shape[-1]))))
    return np.array(changed, np.float32, order="C").reshape(*audio.shape[:-1], -1)
