"""Teaches the network that tells whether a stem sounds: on songs mixed anew, as the Wave-U-Net hears them.

Mixtures of ten seconds, in which every stem is often absent, are taken apart by the shipped Wave-U-Net once.
What is kept of them are mel levels, of which thousands fit into memory.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from separators.atomic import write_atomically
from separators.neural import presence, wave_u_net
from separators.neural.presence import HOP, MOMENT, SAMPLE_RATE, SPAN, STEMS, Presence
from separators.neural.weights import trained
from separators.training.music import weighted
from separators.training.recipes import Prepared
from separators.training.song_mixing import Mixer, MixingSettings
from separators.training.songs import Songs, load
from separators.training.trainer import Report

SECONDS = 10
"""Of a mixture."""
MIXTURES, VALIDATED = 2000, 400
"""For training and for validation."""
MIXING = MixingSettings(
    batch=1,
    frames=SECONDS * SAMPLE_RATE,
    coherent=0.25,
    dropped=0.35,
    fill=0.7,
    over=0.65,
    sung=0.5,
    presence=(0.5, 0.5, 0.6, 0.85),
)
"""Every stem is absent as often as not."""
SOUNDS_DB, SILENT_DB = -30.0, -50.0
"""A stem sounds where it is this loud beside the whole mixture, for two seconds; what lies between may be
either."""
AROUND = round(2.0 * SAMPLE_RATE / HOP) // 2
"""Hops to each side over which that is seen."""
TILT, SHIFT = 0.03, 0.1
"""Deviations of random equalisers, from band to band, and of levels, each in units of 20 dB."""
WHOLE = 0.25
"""In so many examples all of the mixture was taken for the stem: by how much that is it must not go alone."""
UNKNOWN = -1
BATCH = 16


@dataclass(frozen=True)
class Examples:
    """Mixtures as the network hears them, and when their stems sound."""

    levels: NDArray[np.float16]
    """``(mixtures, 1 + stems, bands, hops)``: of the mixture, then of what was taken for each stem."""
    sounds: NDArray[np.int8]
    """``(mixtures, stems, moments)``: 1 where it sounds, 0 where not, else :data:`UNKNOWN`."""

    @cached_property
    def known(self) -> NDArray[np.int64]:
        """Numbers of the mixtures and stems ``(pairs, 2)`` of which something is known."""
        return np.argwhere((self.sounds != UNKNOWN).any(2))

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Levels ``(size, 2, bands, hops)``, numbers of stems ``(size,)``, and when they sound; at random."""
        mixtures, stems = self.known[rng.integers(len(self.known), size=size)].T
        heard = np.stack([self.levels[mixtures, 0], self.levels[mixtures, 1 + stems]], 1).astype(np.float32)
        whole = rng.random(size) < WHOLE
        heard[whole, 1] = heard[whole, 0]
        equalisers = np.cumsum(rng.normal(0, TILT, (size, heard.shape[2])), 1)
        equalisers += rng.normal(0, SHIFT, (size, 1)) - equalisers.mean(1, keepdims=True)
        heard += equalisers[:, None, :, None].astype(np.float32)
        return (
            torch.from_numpy(heard),
            torch.from_numpy(stems.astype(np.int64)),
            torch.from_numpy(self.sounds[mixtures, stems]),
        )


@dataclass
class PresenceTask:
    """Trains a :class:`Presence`."""

    examples: Examples
    validation: Examples
    size: int = BATCH
    network: Presence = field(default_factory=Presence)

    def hidden_weights(self) -> list[Tensor]:
        """Those of all convolutions but the first and the last."""
        inner = {"second", "third", "later"}
        named = self.network.named_parameters()
        return [weight for name, weight in named if weight.ndim > 1 and name.partition(".")[0] in inner]

    @property
    def mixer(self) -> PresenceTask:
        """What makes batches."""
        return self

    def __call__(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """See :meth:`Examples.batch`."""
        return self.examples.batch(rng, self.size)

    batch = __call__

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Cross entropy of the moments that are known."""
        levels, stems, sounds = batch
        with torch.autocast(levels.device.type, enabled=False):
            return _entropy(network(levels, stems), sounds)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """``score``: minus the loss, mean over stems; and what of each stem would be silenced.

        In percent of the moments in which it sounds (``lost``), or in which it does not (``caught``).
        """
        found: dict[str, float] = {}
        losses = []
        device = cast(Presence, network).device
        heard = torch.from_numpy(self.validation.levels.astype(np.float32)).to(device)
        for number, stem in enumerate(STEMS):
            sounds = torch.from_numpy(self.validation.sounds[:, number]).to(device)
            which = torch.full((len(heard),), number, device=device)
            with torch.autocast(device.type, enabled=False):
                sure = network(torch.stack([heard[:, 0], heard[:, 1 + number]], 1), which)
            losses.append(_entropy(sure, sounds).item())
            near = functional.max_pool1d(sure.sigmoid()[:, None], 2 * SPAN + 1, 1, SPAN)[:, 0]
            silenced = (near < presence.SURE[stem][0]).float()
            for name, moments in (("lost", sounds == 1), ("caught", sounds == 0)):
                found[f"{stem}_{name}"] = 100 * float(silenced[moments].mean()) if moments.any() else 0.0
        return {"score": -float(np.mean(losses)), **found}


def _entropy(logits: Tensor, sounds: Tensor) -> Tensor:
    known = sounds != UNKNOWN
    return functional.binary_cross_entropy_with_logits(logits[known], sounds[known].float())


def make(songs: Songs, split: str, count: int, seed: int, report: Report) -> Examples:
    """``count`` mixtures of ``songs``, heard by the shipped Wave-U-Net for vocals and drums."""
    mixer = Mixer(songs, split, MIXING)
    network = trained(wave_u_net.TWICE, "", wave_u_net.load)
    rng = np.random.default_rng(seed)
    levels, sounds = [], []
    for number in range(1, count + 1):
        batch = mixer(rng)
        targets, groups = batch.targets[0].numpy(), batch.groups[0].numpy()
        mixture = np.ascontiguousarray(targets.sum(0))
        level = presence.level_db(mixture)
        stems = wave_u_net.separate_segments(network, mixture, which=slice(len(STEMS)))
        heard = [presence.levels(torch.from_numpy(part), level).numpy() for part in (mixture, *stems)]
        levels.append(np.stack(heard).astype(np.float16))
        sounds.append(np.stack([when(targets[k], groups[:, k], groups, level) for k in range(len(STEMS))]))
        if number % 100 == 0:
            report(f"heard {number} of {count} mixtures ({split})")
    return Examples(np.stack(levels), np.stack(sounds))


def when(
    target: NDArray[np.float32], own: NDArray[np.float32], groups: NDArray[np.float32], level_db: float
) -> NDArray[np.int8]:
    """In which moments the stem ``target`` ``(channels, frames)`` sounds, in a mixture of ``level_db``.

    ``own`` is its column of ``groups`` (:class:`~separators.training.song_mixing.Batch`); of a stem that is
    known only as part of a sum, nothing is.
    """
    power = np.square(target, dtype=np.float64).mean(0)
    hops = len(power) // HOP
    steps = power[: hops * HOP].reshape(hops, HOP).mean(1)
    around = np.convolve(steps, np.full(2 * AROUND + 1, 1 / (2 * AROUND + 1)), "same")
    loud = 10 * np.log10(around + 1e-12)[MOMENT // 2 - 1 :: MOMENT][: (hops + 1) // MOMENT] - level_db
    if groups[own > 0].sum(1).max(initial=0) > 1:
        return np.full(len(loud), UNKNOWN, np.int8)
    return np.where(loud > SOUNDS_DB, 1, np.where(loud < SILENT_DB, 0, UNKNOWN)).astype(np.int8)


def kept(file: Path, songs: Songs, split: str, count: int, seed: int, report: Report) -> Examples:
    """The examples in ``file``; made and written there if it is not there yet."""
    if not file.is_file():
        made = make(songs, split, count, seed, report)
        content = io.BytesIO()
        np.savez(content, levels=made.levels, sounds=made.sounds)
        write_atomically(file, content.getbuffer())
    with np.load(file) as found:
        return Examples(found["levels"], found["sounds"])


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
    """The task on the songs in ``data``; see :mod:`.recipes`."""
    songs = weighted(load(data, work, report), source_weights)
    key = hashlib.sha256(repr((MIXING, songs.recordings)).encode()).hexdigest()[:16]
    examples, validation = (
        kept(work / f"presence-{key}-{split}.npz", songs, split, count, number, report)
        for number, (split, count) in enumerate((("train", MIXTURES), ("valid", VALIDATED)))
    )
    torch.manual_seed(seed)
    network = Presence() if start is None else presence.load(start).requires_grad_(True)

    def export(done: nn.Module, path: Path, notes: Mapping[str, Any]) -> None:
        presence.save(cast(Presence, done), path, {**notes, "mixtures": len(examples.sounds)})

    return Prepared(PresenceTask(examples, validation, batch or BATCH, network), export)
