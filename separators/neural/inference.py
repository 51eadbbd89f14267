"""From masks at 16 kHz to stems of any rate and any number of channels.

The mixture is split linearly into what 16 kHz can carry and the rest above. The masks, worked out
on the mean of the channels, are applied to every channel of the lower part, so panning is kept.
The part above 8 kHz is shared out moment by moment in the proportion in which the stems hold the
octave below it (4 to 8 kHz). Both shares sum to one, so stems sum to the mixture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor

from separators.base import Audio, Transform
from separators.forks import network_runs
from separators.neural.allocator import keep_block_memory
from separators.neural.background import shared_background
from separators.neural.identity import Identity
from separators.neural.network import HOP, LINEAR_BINS, SAMPLE_RATE, Network, power
from separators.neural.pauses import Masks, masks_without_pauses
from separators.neural.reminder import Reminder, active_level
from separators.neural.talkers import Talkers, move
from separators.neural.torn import join, joins
from separators.neural.tracking import agreement, best_order
from separators.streaming import GRID

NOTHING: Audio = np.zeros(0, np.float32)
ONLY_VOICES = 1.5e-2
"""Where less than this part of the energy is background there is no music that could be taken for people."""
QUIET_MID = 1e-2
"""Channels whose mean holds less than this part of their energy are judged by the loudest one."""


@dataclass
class Heard:
    """What is remembered from block to block, so that each voice stays on its stem."""

    reminder: Reminder = field(default_factory=Reminder)
    block: Audio | None = None
    """The end of the last block, to see whether the next one follows it."""
    voices: Audio | None = None
    """The end of its voices."""
    talkers: Talkers | None = None
    """Who talks in which phrase; none where phrases stay where the network puts them."""


def voices_transform(
    network: Network,
    masks: Masks,
    sample: Audio,
    sample_rate: int,
    block_seconds: float,
    overlap_seconds: float,
    background: bool = False,
    heard: Heard | None = None,
    identity: Identity | None = None,
) -> Transform:
    """A transform of one voice per stem, each of which stays on its stem from block to block.

    With what another transform has ``heard`` it goes on where that one stopped.

    In front of the first block the ``sample`` of the whole audio is heard, in front of all others a
    reminder. With ``background`` a last stem has what is no voice; else that stays with the voices.
    With ``identity`` and ``heard.talkers`` each phrase comes on the stem of who says it, torn moments on one.
    """
    keep_block_memory()
    overlap = round(overlap_seconds * sample_rate / GRID) * GRID
    common = round(overlap * SAMPLE_RATE / sample_rate)
    heard = heard or Heard()
    reminder = heard.reminder
    # Masks of two voices that could not be told apart are copies, too, which those by clusters are not.
    clusters = network.architecture.head == "embeddings"

    def front_of(block: Audio) -> Audio:
        if heard.block is not None:
            return NOTHING if reminder.stems is None else reminder.stems.sum(0)
        # Audio shorter than a block is heard as it is, and needs no sample of itself.
        if sample.shape[1] < block_seconds * sample_rate <= block.shape[1]:
            return _leading_of(sample, sample_rate)
        return NOTHING

    def transform(block: Audio) -> Audio:
        network_runs()
        separated = separate_block(network, masks, block, sample_rate, front_of(block), background)
        alike = np.zeros((len(separated.leading), len(separated.leading)))
        if heard.block is None:
            reminder.begin(separated.front)
        else:
            if reminder.stems is not None:
                again = agreement(reminder.stems, separated.front)
                if not reminder.holds(again):
                    separated = separate_block(
                        network, masks, block, sample_rate, front_of(block), background
                    )
                    again = agreement(reminder.stems, separated.front)
                alike += again
            if heard.voices is not None and np.array_equal(heard.block, block[:, :overlap]):
                alike += agreement(heard.voices, separated.leading[:, : heard.voices.shape[1]])
        order = best_order(alike)
        leading = separated.leading[order]
        stems = np.concatenate([separated.stems[order], separated.stems[len(order) :]])
        if heard.talkers and identity:
            # The sample in front of the first block has phrases of everybody.
            front = separated.front[order] if heard.block is None else separated.front[:, :0]
            known, new = np.concatenate([front, leading], 1), front.shape[1]
            torn = joins(known) if clusters else []
            join(known, torn)
            join(stems, torn, new, sample_rate / SAMPLE_RATE)
            leading = known[:, new:]
            moves = heard.talkers.moves(identity, known, new, separated.background < ONLY_VOICES)
            move(leading, moves)
            move(stems, moves, sample_rate / SAMPLE_RATE)
            for voices in (leading, stems):
                heard.talkers.one_person.join(voices)
        reminder.learn(leading)
        heard.block, heard.voices = block[:, -overlap:].copy(), leading[:, -common:]
        return stems

    return transform


class Separated(NamedTuple):
    """What the network makes of a block, in the order of its outputs."""

    stems: Audio
    """``(stems, channels, frames)``, which sum to the block."""
    leading: Audio
    """The voices ``(voices, frames)`` of the block's leading signal, at 16 kHz."""
    front: Audio
    """The voices ``(voices, frames)`` of what was heard in front of the block, at 16 kHz."""
    background: float
    """The part of the block's energy that is no voice's, as far as the network knows of such."""


def separate_block(
    network: Network,
    masks: Masks,
    block: Audio,
    sample_rate: int,
    front: Audio = NOTHING,
    background: bool = False,
) -> Separated:
    """Separate ``block``, heard behind ``front`` ``(frames,)`` at 16 kHz, a multiple of ``HOP``.

    All of it happens on the device of ``network``. With ``background`` the last stem has what is no voice.
    """
    low = _low(block, sample_rate)
    weights = leading_weights(low)
    leading = weights @ low
    # The front is made as loud as the block where neither is silent; both together have an RMS of 1.
    balance = active_level(leading) / max(active_level(front), np.float32(1e-12))
    heard = np.concatenate([balance * front, leading])
    heard /= np.float32(max(_rms(heard), 1e-12))
    times = len(front) // HOP
    device = network.device
    with torch.inference_mode():
        mask = masks_without_pauses(masks, heard, device)
        spectrum = network.spectrogram(torch.from_numpy(low).to(device))
        voices = len(mask) - network.architecture.background
        own = mask[..., times:]
        behind = 0.0
        if network.architecture.background:
            mixture = (torch.from_numpy(weights).to(device)[:, None, None] * spectrum).sum(0)
            behind = float(power(own[-1] * mixture).sum() / power(mixture).sum().clamp_min(1e-20))
            if not background:
                own = shared_background(own, mixture)
        # Masks and shares sum to one: the last stem is what the others leave.
        spectra = own[:-1, None] * spectrum
        stems_low = network.audio(spectra, low.shape[-1]).cpu().numpy()
        shares = _upper_shares(spectra, spectrum).cpu().numpy()
        front_stems = np.zeros((voices, 0), np.float32)
        if len(front):
            front_spectrum = network.spectrogram(torch.from_numpy(front).to(device))
            front_masks = mask[:voices, :, : times + 1]
            front_stems = network.audio(front_masks * front_spectrum, len(front)).cpu().numpy()
    changed = resample(np.concatenate([stems_low, low[None]]), SAMPLE_RATE, sample_rate, block.shape[-1])
    rest = block - changed[-1]
    stems = changed
    stems[-1] = block
    moments = np.arange(block.shape[-1]) * (SAMPLE_RATE / sample_rate / HOP)
    for stem, share in zip(stems[:-1], shares, strict=True):
        stem += np.interp(moments, np.arange(len(share)), share).astype(np.float32) * rest
        stems[-1] -= stem
    leading_stems = weights @ stems_low
    leading_stems = np.concatenate([leading_stems, (leading - leading_stems.sum(0))[None]])
    return Separated(stems, leading_stems[:voices], front_stems, behind)


def _low(audio: Audio, sample_rate: int) -> Audio:
    """What 16 kHz can carry of ``audio`` ``(channels, frames)``, at that rate."""
    return resample(
        audio, sample_rate, SAMPLE_RATE, max(1, round(audio.shape[-1] * SAMPLE_RATE / sample_rate))
    )


def _leading_of(audio: Audio, sample_rate: int) -> Audio:
    """Leading signal ``(frames,)`` of ``audio`` at 16 kHz, cut to a multiple of ``HOP``."""
    low = _low(audio, sample_rate)
    leading: Audio = leading_weights(low) @ low[:, : low.shape[1] // HOP * HOP]
    return leading


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
    # Where that octave is empty, as in telephone speech, the whole spectrum decides.
    energy = torch.stack(
        [_energy(one[:, LINEAR_BINS:]) + 1e-3 * _energy(one) for one in (*spectra, mixture - spectra.sum(0))]
    )
    energy = torch.nn.functional.avg_pool1d(energy[:, None], 5, 1, 2)[:, 0] + 1e-20
    return energy[:-1] / energy.sum(0)


def _energy(spectrum: Tensor) -> Tensor:
    """Complex ``(channels, bins, times)`` -> its energy ``(times,)``."""
    # Bins first: summing over neighbours in memory takes eight times as long.
    return torch.view_as_real(spectrum).square().sum(1).sum((0, 2))


def resample(audio: Audio, rate: float, new_rate: float, frames: int | None = None) -> Audio:
    """Resample ``(..., frames)``; cut or padded with silence to ``frames`` if given.

    The result is the audio itself where there is nothing to do.
    """
    if rate == new_rate and frames in (None, audio.shape[-1]):
        return audio
    flat = audio.reshape(-1, audio.shape[-1])
    # Channel by channel: soxr would interleave them, and they would have to be taken apart again.
    changed = [soxr.resample(channel, rate, new_rate) for channel in flat] if rate != new_rate else flat
    fitted = np.zeros((len(flat), len(changed[0]) if frames is None else frames), np.float32)
    for channel, row in zip(changed, fitted, strict=True):
        row[: len(channel)] = channel[: len(row)]
    return fitted.reshape(*audio.shape[:-1], -1)
