"""Teaches the network that tells who talks: of many voices at once, which two phrases are one person's.

Each voice of a batch says two phrases; each must be nearer to the other of its own than to those of all other
voices (angular prototypical loss, Chung et al. 2020). The voices are the sources of mixtures as separators
learn from, with a little of the other voice and of what is behind them, as separation leaves it. Each phrase
goes through an equaliser of its own, so that it is the voice which counts and not the microphone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from separators.neural import identity
from separators.neural.identity import BANDS, Identity
from separators.neural.network import SAMPLE_RATE
from separators.training.corpus import load
from separators.training.mixing import ALL_TALK, Mixer
from separators.training.recipes import Prepared
from separators.training.trainer import Report

BATCH = 24
"""Mixtures of two voices in a step."""
SECONDS = 6.0
"""Of a mixture: its first half holds the first phrase, its second half the other one."""
MIXING = replace(ALL_TALK, seconds=SECONDS, speakers=(2,), close=0.5, room=0.3, equaliser_db=2.0)
PHRASE_SECONDS = (0.8, 3.0)
LEAK_DB = (-45.0, -8.0)
"""How loud the other voice and what is behind them are in a phrase."""
TILT = 0.04
"""Deviations of random equalisers from band to band, in units of 20 dB."""
SCALE = 15.0
"""Of cosines, at the beginning."""
VALIDATED = 12
"""Batches for validation."""


@dataclass(frozen=True)
class PhraseMixer:
    """Draws phrases ``(2, voices, bands, hops)`` of voices, and numbers of who they are ``(voices,)``."""

    mixer: Mixer

    def __call__(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Draw one batch."""
        mixture, sources, who = self.mixer.draw(rng)
        behind = mixture - sources.sum(1)
        frames = round(rng.uniform(*PHRASE_SECONDS) * SAMPLE_RATE)
        half = sources.shape[-1] // 2
        phrases = []
        for number in range(2):
            start = number * half + int(rng.integers(half - frames + 1))
            part = slice(start, start + frames)
            own = sources[..., part]
            other = _leak(rng, len(own)) * own.flip(1) + _leak(rng, len(own)) * behind[:, None, part]
            heard = identity.levels((own + other).flatten(0, 1))
            tilt = np.cumsum(rng.normal(0, TILT, (len(heard), BANDS)), 1)
            tilt -= tilt.mean(1, keepdims=True)
            phrases.append(heard + torch.from_numpy(tilt[..., None].astype(np.float32)))
        names = [utterance.speaker for voices in who for utterance in voices]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return torch.stack(phrases), torch.tensor([numbers[name] for name in names])


def _leak(rng: np.random.Generator, count: int) -> Tensor:
    """Gains ``(count, 2, 1)``."""
    decibels = rng.uniform(*LEAK_DB, (count, 2, 1))
    return torch.from_numpy((10 ** (decibels / 20)).astype(np.float32))


class Scaled(nn.Module):
    """An :class:`Identity` with the scale of its cosines, which is learned too."""

    def __init__(self, network: Identity) -> None:
        super().__init__()
        self.network = network
        self.scale = nn.Parameter(torch.tensor(SCALE))


@dataclass
class IdentityTask:
    """Trains an :class:`Identity`."""

    mixer: PhraseMixer
    validation: list[tuple[Tensor, Tensor]]
    network: Scaled = field(default_factory=lambda: Scaled(Identity()))

    def hidden_weights(self) -> list[Tensor]:
        """Those of all convolutions but the first."""
        return [layer.weight for layer in self.network.network.later]  # type: ignore[misc]

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """See :class:`PhraseMixer`."""
        return self.mixer(rng)

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Cross entropy of which phrase is of the same voice, both ways."""
        phrases, who = batch
        scaled = cast(Scaled, network)
        one, other = scaled.network(phrases.flatten(0, 1)).float().unflatten(0, phrases.shape[:2])
        # The same person at another speed is another voice, but nothing to be told from this one by force.
        same = (who[:, None] == who) & ~torch.eye(len(who), dtype=torch.bool, device=who.device)
        logits = (scaled.scale * one @ other.T).masked_fill(same, -torch.inf)
        right = torch.arange(len(who), device=who.device)
        return (functional.cross_entropy(logits, right) + functional.cross_entropy(logits.T, right)) / 2

    def validate(self, network: nn.Module) -> dict[str, float]:
        """``score``: minus the percentage of equal errors, own phrase or the other's in the mixture."""
        own, other = [], []
        for phrases, _ in self.validation:
            phrases = phrases.to(next(network.parameters()).device)
            made = cast(Scaled, network).network(phrases.flatten(0, 1)).float()
            first, second = made.unflatten(0, phrases.shape[:2])
            own.append((first * second).sum(1))
            partner = second.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
            other.append((first * partner).sum(1))
        return {"score": -100 * equal_error(torch.cat(own).cpu(), torch.cat(other).cpu())}


def equal_error(own: Tensor, other: Tensor) -> float:
    """The share of ``own`` below the threshold above which as many of ``other`` lie."""
    thresholds = torch.cat([own, other]).sort().values[:, None]
    missed = (own < thresholds).float().mean(1)
    taken = (other >= thresholds).float().mean(1)
    return float(torch.maximum(missed, taken).min())


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
    """The task on the recordings in ``data``; see :mod:`.recipes`."""
    corpus = load(data, work, report)
    mixing = replace(MIXING, batch=batch or BATCH, source_weights=dict(source_weights))

    def mixer(split: str) -> PhraseMixer:
        return PhraseMixer(Mixer(corpus, split, mixing))

    drawn = mixer("valid" if corpus.speakers("valid") else "train")
    validation = [drawn(np.random.default_rng([1, number])) for number in range(VALIDATED)]
    torch.manual_seed(seed)
    network = Identity() if start is None else identity.load(start).requires_grad_(True)

    def export(done: nn.Module, path: Path, notes: Mapping[str, Any]) -> None:
        identity.save(cast(Scaled, done).network, path, notes)

    return Prepared(IdentityTask(mixer("train"), validation, Scaled(network)), export)
