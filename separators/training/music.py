"""The Wave-U-Net's recipe: its loss, and how it is validated on whole songs.

Some recordings are known only as a sum: ``rest`` is bass and other in one file, ``accompaniment``
everything but the vocals. They are mixed like others; loss and scores then compare sums of stems
(:attr:`~separators.training.song_mixing.Batch.groups`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from separators.evaluation import si_sdr
from separators.neural import wave_u_net
from separators.neural.wave_u_net_architecture import Architecture, WaveUNet
from separators.neural.wave_u_net_fourier import FourierWaveUNet
from separators.neural.wave_u_net_network import build
from separators.training.recipes import Prepared
from separators.training.song_mixing import Batch, Mixer, MixingSettings, groups_of
from separators.training.songs import GROUPS, SAMPLE_RATE, STEMS, MusicError, Recording, Songs, load
from separators.training.trainer import Report

ENOUGH_DB = 25.0
"""An error this far below the mixture costs nothing more, so that no stem rules the loss."""
SILENCE_DB = 50.0
"""The same, of stems that are silent: what is heard of them is heard as an error."""
SILENCE_SHARE = 0.2
"""What a decibel counts there: as much as elsewhere, and to mute whatever is unsure would pay."""
SILENT = 1e-4
"""A stem is silent where its power is below this, of a mixture with power 1."""


def separation_loss(stems: Tensor, batch: Batch) -> Tensor:
    """Mean level of the errors in dB relative to the mixture, softly bounded at -ENOUGH_DB or -SILENCE_DB.

    After the thresholded SNR of Wisdom et al. (2021): it holds for silent stems too, and weak
    stems count as much as loud ones. ``stems`` may be the central part of the targets' length.
    """
    margin = (batch.targets.shape[-1] - stems.shape[-1]) // 2
    batch = Batch(batch.targets[..., margin : margin + stems.shape[-1]], batch.groups)
    with torch.autocast(stems.device.type, enabled=False):  # which would sum in 8 bits
        errors = torch.einsum("bgk,bkcn->bgcn", batch.groups, stems - batch.targets)
        known = torch.einsum("bgk,bkcn->bgcn", batch.groups, batch.targets)
    power = errors.square().mean((2, 3))
    floor = batch.mixture.square().mean((1, 2))[:, None] + 1e-6
    silent = known.square().mean((2, 3)) < SILENT * floor
    enough = torch.where(silent, 10 ** (-SILENCE_DB / 10), 10 ** (-ENOUGH_DB / 10))
    levels = 10 * torch.log10(power / floor + enough)
    told_apart = batch.groups.amax(2)
    counts = told_apart * torch.where(silent, SILENCE_SHARE, 1.0)
    return (levels * counts).sum() / told_apart.sum()


MOST_SONGS = 12
"""That are used for validation."""
VALID_SECONDS = 40.0
"""Of each of them, from its middle."""
WORST_DB = -20.0
"""A stem counts no less than this; one left silent would outweigh all others."""


@dataclass
class MusicTask:
    """Trains a Wave-U-Net on songs."""

    songs: Songs
    mixing: MixingSettings = field(default_factory=MixingSettings)
    network: WaveUNet = field(default_factory=lambda: build(Architecture()))

    def __post_init__(self) -> None:
        if self.network.architecture.layout == "paper":
            frames, _ = self.network.segment(self.mixing.frames)
            self.mixing = replace(self.mixing, frames=frames)
        self.mixer = Mixer(self.songs, "train", self.mixing)
        split = "valid" if self.songs.songs("valid") else "train"
        songs = list(self.songs.songs(split).values())
        songs.sort(key=lambda song: len({r.stem for r in song}) == 1)  # last
        self.validation = [_whole(self.songs, song) for song in songs[:MOST_SONGS]]
        if len({recording.stem for recording in songs[0]}) == 1:
            raise MusicError("validation needs at least one song of which two stems are known")

    def hidden_weights(self) -> list[Tensor]:
        """Those of all levels, without the way into and out of the network."""
        levels = {"kept", "down", "bottom", "up", "merged"}
        named = self.network.named_parameters()
        return [weight for name, weight in named if weight.ndim > 1 and name.partition(".")[0] in levels]

    def batch(self, rng: np.random.Generator) -> Batch:
        """A batch of mixtures and their stems."""
        return self.mixer(rng)

    def loss(self, network: nn.Module, batch: Batch) -> Tensor:
        """See :func:`separation_loss`."""
        return separation_loss(network(batch.mixture), batch)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """SI-SDR improvement in dB, mean over each validation song's stems and then over songs; and the loss.

        ``absent`` is the mean level, in dB of the mixture, of what is heard of stems that a song lacks.
        """
        scores: dict[str, float] = {}
        means: list[float] = []
        losses: list[float] = []
        absent: list[float] = []
        for song in self.validation:
            stems = _separated(network, song)
            gains, levels = _compared(stems, song)
            if len(gains) > 1:
                means.append(float(np.mean(list(gains.values()))))
                scores |= {f"{song.name}_{stem}": gain for stem, gain in gains.items()}
            absent += levels.values()
            scores |= {f"{song.name}_{stem}_absent": level for stem, level in levels.items()}
            truth = Batch(torch.from_numpy(song.targets)[None], song.groups[None])
            losses.append(separation_loss(torch.from_numpy(stems)[None], truth).item())
        found = {"score": float(np.mean(means)), "validation_loss": float(np.mean(losses))}
        return found | ({"absent": float(np.mean(absent))} if absent else {}) | scores


@dataclass(frozen=True)
class Song:
    """A validation song: stems ``(stems, 2, frames)`` and their groups."""

    name: str
    targets: NDArray[np.float32]
    groups: Tensor


def _whole(songs: Songs, recordings: list[Recording]) -> Song:
    whole = max(recording.frames for recording in recordings)
    frames = min(whole, round(VALID_SECONDS * SAMPLE_RATE))
    targets = np.zeros((len(STEMS), 2, frames), np.float32)
    for recording in recordings:
        stem = STEMS.index(GROUPS[recording.stem][-1])
        targets[stem] += songs.audio(recording, (whole - frames) // 2, frames)
    targets /= math.sqrt(float(np.mean(np.square(targets.sum(0))))) + 1e-6
    return Song(recordings[0].song, targets, groups_of([recording.stem for recording in recordings]))


def _separated(network: nn.Module, song: Song) -> NDArray[np.float32]:
    """The stems ``(stems, 2, frames)`` that ``network`` makes of ``song``."""
    known = cast(WaveUNet, network)
    fast = torch.is_autocast_enabled(known.device.type)
    return wave_u_net.separate_segments(known, song.targets.sum(0), fast)


def _compared(stems: NDArray[np.float32], song: Song) -> tuple[dict[str, float], dict[str, float]]:
    """Of each stem (or sum of stems) its SI-SDR improvement where it sounds, else the level heard of it."""
    names = [
        "+".join(stem for stem, counts in zip(STEMS, row, strict=True) if counts)
        for row in song.groups.tolist()
    ]
    mixture = song.targets.sum(0)
    gains, levels = {}, {}
    for name, row in zip(names, song.groups.numpy(), strict=True):
        target, estimate = (np.einsum("k,kcn->cn", row, part) for part in (song.targets, stems))
        if name and np.square(target).mean() > SILENT:
            gains[name] = max(WORST_DB, si_sdr(target, estimate) - si_sdr(target, mixture))
        elif name:
            levels[name] = 10 * math.log10(float(np.square(estimate).mean()) + 1e-9)
    return gains, levels


def weighted(songs: Songs, weights: Mapping[str, float]) -> Songs:
    """``songs`` with recordings that count as their sources, or what stands before their colons, should."""

    def asked(source: str) -> float:
        return weights.get(source, weights.get(source.partition(":")[0], 1.0))

    return replace(
        songs, recordings=[replace(r, weight=r.weight * asked(r.source)) for r in songs.recordings]
    )


def prepare(
    name: str,
    data: Path,
    work: Path,
    *,
    start: Path | None,
    seed: int,
    source_weights: Mapping[str, float],
    batch: int | None,
    report: Report,
) -> Prepared:
    """The task of the Wave-U-Net on the songs in ``data``; see :mod:`.recipes`."""
    songs = weighted(load(data, work, report), source_weights)
    torch.manual_seed(seed)
    network = build(Architecture()) if start is None else wave_u_net.load(start).requires_grad_(True)
    if isinstance(network, FourierWaveUNet) and network.first is not None:
        network.first.requires_grad_(False)  # the second pass learns from what it hears of the first
    minutes: dict[str, float] = {}
    for recording in songs.recordings:
        if recording.split == "train":
            minutes[recording.stem] = minutes.get(recording.stem, 0.0) + recording.frames / SAMPLE_RATE / 60

    def export(trained: nn.Module, path: Path, notes: Mapping[str, Any]) -> None:
        known = {"training_minutes": {stem: round(length, 1) for stem, length in sorted(minutes.items())}}
        wave_u_net.save(cast(WaveUNet, trained), path, {**notes, **known})

    mixing = MixingSettings() if batch is None else MixingSettings(batch=batch)
    return Prepared(MusicTask(songs, mixing, network), export)
